//! What a hop costs the server that is in between.

use anyhow::Result;

use super::{CONNECTIONS, CPU, OTHER_CORE, PER_SECOND, SERVER_CORE, echo, refs};
use crate::contenders::{Kind, Setting, count_back};
use crate::load::{Request, closed_loop};
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::Floor;
use crate::stage::Stage;

const KINDS: [Kind; 9] = [
    Kind::Hop,
    Kind::Nginx,
    Kind::Relay { fsync: false, sign: false },
    Kind::Relay { fsync: false, sign: true },
    Kind::Relay { fsync: true, sign: false },
    Kind::Relay { fsync: true, sign: true },
    Kind::AgentGateway,
    Kind::Broker { fsync: false },
    Kind::Broker { fsync: true },
];

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let agent = echo(stage, Setting::default())?;
    let lineup = stage.lineup(&KINDS, Setting { agent: Some(agent.address()), ..Setting::default() })?;
    let floor = Floor { name: Kind::Hop.name(), figure: PER_SECOND };
    let rounds = stage
        .rounds(&lineup, floor, async |contender| {
            let request = Request::send(contender.address(), &contender.path);
            let tally = stage
                .measure(contender, &agent, async |window| closed_loop(&request, CONNECTIONS, window).await)
                .await?;
            Ok(vec![
                (CPU, tally.cpu_micros()),
                (PER_SECOND, tally.per_second()),
                (SERVER_CORE, tally.server_share()),
                (OTHER_CORE, tally.others_share()),
            ])
        })
        .await?;
    count_back(&refs(&lineup), &agent).await?;
    let (quick, durable) = (Kind::Broker { fsync: false }.name(), Kind::Broker { fsync: true }.name());
    let (nginx, gateway) = (Kind::Nginx.name(), Kind::AgentGateway.name());
    let relay = |fsync, sign| Kind::Relay { fsync, sign }.name();
    Ok(stage
        .outcome("hop", rounds)?
        .judge(CPU, durable, relay(true, true), Some(Goal::AtMost(1.1)))
        .judge(CPU, quick, nginx, None)
        .judge(CPU, durable, nginx, None)
        .judge(CPU, durable, gateway, None)
        .judge(CPU, durable, relay(true, false), None)
        .judge(CPU, quick, relay(false, true), None)
        .judge(CPU, quick, relay(false, false), None)
        .picture(Picture::Bars { column: CPU.to_owned(), logarithmic: false }))
}
