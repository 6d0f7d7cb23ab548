//! What a million tasks at work cost in memory, and how soon they are all there again after a restart.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::contenders::{AGENT, Contender, Kind, Setting};
use crate::floors;
use crate::load::{Request, calls};
use crate::outcome::{Goal, Outcome};
use crate::rounds::rounds;
use crate::stage::Stage;

const TASKS: u64 = 1_000_000;
const QUICK_TASKS: u64 = 2_000;
const CONNECTIONS: usize = 128;
const ROW: &str = "broker, durable";
const BYTES: &str = "resident kB a task";
const AGAIN: &str = "after a restart, kB a task";
const RESTART: &str = "restart s";
const SCAN: &str = "bare scan s";

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let tasks = if stage.options.is_quick { QUICK_TASKS } else { TASKS };
    let agent = stage
        .agent(Kind::Patient, Setting::default())?
        .context("the patient agent is part of this program")?;
    // The agent pushes, and never does: nothing is open towards it.
    let config = format!(
        "[limits]\nmax_open_tasks = 10000000\nsilence = \"24h\"\n[southbound]\npush_backstop = \"24h\"\n[log]\nlevel = \"error\"\n\
         [[agents]]\nname = \"{AGENT}\"\nurl = \"http://{}\"\n",
        agent.address()
    );
    let room = stage.room("open-tasks")?;
    let scan = floors::scan_time(&room.join("scanned"), tasks)?;
    let names = [ROW.to_owned()];
    let once = crate::rounds::Plan { rounds: 1, ..stage.options.plan };
    let measured = rounds(once, &names, None, async |_| {
        let broker = Contender::broker(stage, &config, &room)?;
        broker.wait_for_agent(AGENT)?;
        let empty = broker.process.resident()?;
        calls(&Request::begin(broker.address(), &broker.path), CONNECTIONS, tasks).await?;
        let counted = broker.counted().await?;
        ensure!(counted == Some(tasks), "{tasks} tasks were begun, and the broker has {counted:?}");
        let full = broker.process.resident()?;
        broker.stop()?;
        let began = Instant::now();
        let broker = Contender::broker(stage, &config, &room)?;
        broker.wait_until_ready()?;
        let restart = began.elapsed();
        let counted = broker.counted().await?;
        ensure!(counted == Some(tasks), "after the restart the broker has {counted:?} of {tasks} tasks");
        let each = |resident: u64| resident.saturating_sub(empty) as f64 / 1000.0 / tasks as f64;
        Ok(vec![
            (BYTES, each(full)),
            (AGAIN, each(broker.process.resident()?)),
            (RESTART, restart.as_secs_f64()),
            (SCAN, scan.as_secs_f64()),
        ])
    });
    Ok(stage
        .outcome("open-tasks", measured.await?)?
        .judge_by("resident kB a task", Some(Goal::AtMost(0.5)), |of| of(ROW, BYTES))
        .judge_by("restart / bare scan of as many records", Some(Goal::AtMost(3.0)), |of| {
            Some(of(ROW, RESTART)? / of(ROW, SCAN)?)
        })
        .note(format!("{tasks} tasks, made once; before and after the restart ListTasks has them all.")))
}
