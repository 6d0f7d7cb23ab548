//! Whether a full store is slower than an empty one.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{CONNECTIONS, CPU, echo};
use crate::contenders::{Contender, Kind, Setting};
use crate::load::{Request, Window, calls, closed_loop};
use crate::outcome::{Goal, Outcome, Picture};
use crate::page::whole;
use crate::rounds::{Rounds, rounds};
use crate::stage::Stage;

/// Tasks in the store, one size after the other; a quick run has a hundredth of the first few.
const SIZES: [u64; 5] = [10_000, 30_000, 100_000, 300_000, 1_000_000];
const QUICKER: u64 = 100;
const FEW: usize = 3;
/// The part of a window in which tasks are sent, so that measuring adds few to those that are there.
const SENDING: u32 = 8;
/// Filling is done with more at a time than measuring.
const FILLERS: usize = 128;
const LIST: &str = "ListTasks p50 µs";
const HOP: &str = "bare hyper hop CPU µs";
const RESIDENT: &str = "resident MiB";
/// In less nothing is answered at all.
const LEAST: Duration = Duration::from_millis(250);

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let agent = echo(stage, Setting::default())?;
    let kinds = [Kind::Hop, Kind::Broker { fsync: true }];
    let lineup = stage.lineup(&kinds, Setting { agent: Some(agent.address()), ..Setting::default() })?;
    let [hop, broker] = &lineup[..] else { anyhow::bail!("the hop and the broker") };
    let sizes: Vec<u64> = if stage.options.is_quick {
        SIZES.iter().take(FEW).map(|size| size / QUICKER).collect()
    } else {
        SIZES.to_vec()
    };
    let mut all = Rounds::default();
    for &size in &sizes {
        fill(broker, size).await?;
        all.join(at_size(stage, size, hop, broker, &agent).await?);
    }
    let (least, most) = (whole(sizes[0]), whole(sizes[sizes.len() - 1]));
    let grows = |column: &str| format!("{column}: {most} / {least} tasks");
    Ok(stage
        .outcome("growth", all)?
        .judge_by(grows("CPU of a send"), Some(Goal::AtMost(1.1)), |of| {
            Some(of(&most, CPU)? / of(&least, CPU)?)
        })
        .judge_by(grows("page of ListTasks, p50"), Some(Goal::AtMost(1.1)), |of| {
            Some(of(&most, LIST)? / of(&least, LIST)?)
        })
        .judge_by(grows("the bare hop meanwhile, CPU"), None, |of| Some(of(&most, HOP)? / of(&least, HOP)?))
        .note("A row says how many tasks there were before its rounds, each of which adds a few thousand.")
        .picture(Picture::Lines {
            columns: vec![CPU.to_owned(), HOP.to_owned(), LIST.to_owned()],
            across: "tasks in the store".to_owned(),
        }))
}

/// Sends until the store has as many tasks.
async fn fill(broker: &Contender, size: u64) -> Result<()> {
    let there = broker.counted().await?.context("the broker counts its tasks")?;
    calls(&Request::send(broker.address(), &broker.path), FILLERS, size.saturating_sub(there)).await
}

async fn at_size(
    stage: &Stage,
    size: u64,
    hop: &Contender,
    broker: &Contender,
    agent: &Contender,
) -> Result<Rounds> {
    let name = [whole(size)];
    rounds(stage.options.plan, &name, None, async |_| {
        let send = Request::send(broker.address(), &broker.path);
        let sent = stage.measure(broker, agent, async |window| {
            let window =
                Window { warm_up: Duration::ZERO, time: (window.time / SENDING).max(LEAST), ..window };
            closed_loop(&send, CONNECTIONS, window).await
        });
        let sent = sent.await?;
        let list = Request::list_tasks(broker.address(), &broker.path);
        let listed = stage.measure(broker, agent, async |window| closed_loop(&list, 1, window).await).await?;
        let pass = Request::send(hop.address(), &hop.path);
        let passed =
            stage.measure(hop, agent, async |window| closed_loop(&pass, CONNECTIONS, window).await).await?;
        Ok(vec![
            (CPU, sent.cpu_micros()),
            (HOP, passed.cpu_micros()),
            (LIST, listed.histogram.percentile(0.5)),
            (RESIDENT, broker.process.resident()? as f64 / (1024.0 * 1024.0)),
        ])
    })
    .await
}
