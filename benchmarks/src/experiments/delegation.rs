//! What it costs to delegate, beside a send that nobody delegated.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{CONNECTIONS, CPU, PER_SECOND, cost, echo, refs, saturate};
use crate::contenders::{AGENT, Contender, Kind, Setting, count_back, get};
use crate::floors::GRANTS;
use crate::load::{Request, calls};
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::Floor;
use crate::stage::Stage;

const ROOT: &str = "broker, root task";
const HOP: &str = "broker, delegation";
/// Tasks that delegate, made anew for each round.
const PARENTS: u64 = 1000;
/// Children that one of them may have; more than it gets.
const FANOUT: u64 = 1000;
const BOSS: &str = "boss";
const GRANTS_LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let agent = echo(stage, Setting::default())?;
    let boss = stage
        .agent(Kind::Patient, Setting::default())?
        .context("the patient agent is part of this program")?;
    let config = format!(
        "[limits]\nmax_open_tasks = 1000000\nmax_fanout = {FANOUT}\n[southbound]\npush_backstop = \"1h\"\n[log]\nlevel = \"error\"\n\
         [[agents]]\nname = \"{AGENT}\"\nurl = \"http://{}\"\n[[agents]]\nname = \"{BOSS}\"\nurl = \"http://{}\"\ncaps = [\"a2a:skill/**\"]\n",
        agent.address(),
        boss.address()
    );
    let broker = Contender::broker(stage, &config, &stage.room("delegation")?)?;
    broker.wait_for_agent(AGENT)?;
    broker.wait_for_agent(BOSS)?;
    let lineup = [broker.as_row(ROOT), broker.as_row(HOP)];
    let floor = Floor { name: ROOT, figure: PER_SECOND };
    let rounds = stage
        .rounds(&lineup, floor, async |contender| {
            let request = if contender.name == ROOT {
                Request::send(contender.address(), &contender.path)
            } else {
                let grants = parents(&broker, &boss).await?;
                Request::delegate(contender.address(), &contender.path, &grants)?
            };
            Ok(cost(&saturate(stage, contender, &agent, &request).await?))
        })
        .await?;
    count_back(&refs(&lineup), &agent).await?;
    Ok(stage
        .outcome("delegation", rounds)?
        .judge(CPU, HOP, ROOT, Some(Goal::AtMost(1.3)))
        .note(format!("{PARENTS} tasks delegate in turn, so that calls do not wait for each other's tree; each call shows its task's grant."))
        .picture(Picture::Bars { column: CPU.to_owned(), logarithmic: false }))
}

/// Has tasks begun at the agent that waits; the grants it was given for them.
async fn parents(broker: &Contender, boss: &Contender) -> Result<Vec<String>> {
    let before = granted(boss).await?.len();
    let request = Request::begin(broker.address(), &format!("/agents/{BOSS}"));
    calls(&request, CONNECTIONS, PARENTS).await?;
    let began = Instant::now();
    loop {
        // A task that is answered at once may be on its way to its agent still.
        let mut grants = granted(boss).await?;
        if grants.len() as u64 >= before as u64 + PARENTS {
            return Ok(grants.split_off(before));
        }
        let given = grants.len() - before;
        ensure!(
            began.elapsed() < GRANTS_LIMIT,
            "{PARENTS} tasks were begun, and their agent was given {given} grants"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn granted(boss: &Contender) -> Result<Vec<String>> {
    Ok(get(boss.address(), GRANTS).await?.lines().map(str::to_owned).collect())
}
