//! What one event costs for each of a thousand who listen.

use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

use super::CPU;
use crate::contenders::{Contender, Kind, Setting, get};
use crate::floors::CAST;
use crate::load::{Connection, Request, unique};
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::{Figures, Floor, rounds};
use crate::{os, stage::Stage};

/// As many as the goal speaks of; a quick run has a tenth.
const LISTENERS: u32 = 1000;
const QUICK_LISTENERS: u32 = 100;
/// So slow that nobody falls behind: what an event costs is asked, not who is first to drop some.
const PACE_MILLIS: u64 = 20;
const BARE: Kind = Kind::Caster;
const BROKER: Kind = Kind::Broker { fsync: true };
const A_CORE: &str = "deliveries/s of a core";
const KILOBYTES: &str = "kB a listener";
const BUSY: &str = "its core %";
const OTHERS: &str = "other core %";

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let listeners = if stage.options.is_quick { QUICK_LISTENERS } else { LISTENERS };
    let agent =
        stage.agent(Kind::Caster, Setting::default())?.context("the caster is part of this program")?;
    let mut lineup = stage.lineup(&[BARE], Setting::default())?;
    lineup.extend(stage.lineup(&[BROKER], Setting { agent: Some(agent.address()), ..Setting::default() })?);
    let names: Vec<String> = lineup.iter().map(|contender| contender.name.clone()).collect();
    let floor = Floor { name: BARE.name(), figure: CPU };
    // Later rounds use memory again that the first one left.
    let empty = lineup.iter().map(|contender| contender.process.resident()).collect::<Result<Vec<_>>>()?;
    let measured = rounds(stage.options.plan, &names, Some(floor), async |at| {
        let contender = &lineup[at];
        // The bare one casts by itself.
        let source = if contender.kind == BARE { contender } else { &agent };
        LocalSet::new().run_until(cast(stage, contender, empty[at], source, listeners)).await
    });
    let outcome = stage.outcome("fan-out", measured.await?)?;
    Ok(outcome
        .judge_by(format!("deliveries for a second of CPU: {} / {}", BROKER.name(), BARE.name()), Some(Goal::AtLeast(0.8)), |of| {
            Some(of(BARE.name(), CPU)? / of(BROKER.name(), CPU)?)
        })
        .judge_by(format!("memory of a listener: {} / {}", BROKER.name(), BARE.name()), None, |of| {
            Some(of(BROKER.name(), KILOBYTES)? / of(BARE.name(), KILOBYTES)?)
        })
        .note(format!("{listeners} listeners, an event every {PACE_MILLIS} ms; every listener got every event exactly once."))
        .picture(Picture::Bars { column: CPU.to_owned(), logarithmic: false }))
}

/// Has a task's events heard by all; what that cost.
async fn cast(
    stage: &Stage,
    contender: &Contender,
    empty: u64,
    source: &Contender,
    listeners: u32,
) -> Result<Figures> {
    let events = u64::try_from(stage.options.plan.window.as_millis())? / PACE_MILLIS;
    let message = json!({ "messageId": unique(), "role": "ROLE_USER", "parts": [{ "text": "say a lot" }] });
    let sent = contender
        .call("SendMessage", &json!({ "message": message, "configuration": { "returnImmediately": true } }))
        .await?;
    let task = sent["task"]["id"].as_str().context("a task")?.to_owned();
    let (ready, mut hearing) = (Rc::new(Semaphore::new(0)), JoinSet::new());
    for _ in 0..listeners {
        let request = Request::subscribe(contender.address(), &contender.path, &task);
        hearing.spawn_local(hear(request, Rc::clone(&ready)));
    }
    tokio::select! {
        all = ready.acquire_many(listeners) => drop(all?),
        Some(ended) = hearing.join_next() => {
            ended??;
            anyhow::bail!("a listener heard the end before the beginning");
        }
    }
    let resident = contender.process.resident()?.saturating_sub(empty);
    let (began, cpu, own) = (Instant::now(), contender.process.cpu_time()?, os::own_cpu_time()?);
    get(source.address(), &format!("{CAST}{events}/{PACE_MILLIS}")).await?;
    while let Some(heard) = hearing.join_next().await {
        let heard = heard??;
        ensure!(heard == events, "a listener heard {heard} of {events} events");
    }
    let (elapsed, cpu, own) =
        (began.elapsed().as_secs_f64(), contender.process.cpu_time()? - cpu, os::own_cpu_time()? - own);
    let deliveries = events as f64 * f64::from(listeners);
    Ok(vec![
        (CPU, cpu.as_secs_f64() * 1e6 / deliveries),
        (A_CORE, deliveries / cpu.as_secs_f64()),
        (KILOBYTES, resident as f64 / 1000.0 / f64::from(listeners)),
        (BUSY, 100.0 * cpu.as_secs_f64() / elapsed),
        (OTHERS, 100.0 * own.as_secs_f64() / elapsed),
    ])
}

/// Listens to the end; how many events came after the task.
async fn hear(mut request: Request, ready: Rc<Semaphore>) -> Result<u64> {
    let mut connection = Connection::open(request.address()).await?;
    connection.send(request.numbered(0)).await?;
    let head = connection.head().await?;
    connection.pass(&head);
    let (mut body, mut heard) = (Vec::new(), 0);
    let mut is_ready = false;
    while connection.chunk(&mut body).await? {
        // Whole events are counted and let go of.
        let whole = memchr::memmem::rfind(&body, b"\n\n").map_or(0, |at| at + 2);
        heard += memchr::memmem::find_iter(&body[..whole], br#""artifactUpdate""#).count() as u64;
        if whole > 0 && !is_ready {
            is_ready = true;
            ready.add_permits(1);
        }
        body.drain(..whole);
    }
    ensure!(
        is_ready,
        "a listener was answered with HTTP {} and no event: {}",
        head.status,
        String::from_utf8_lossy(&body)
    );
    Ok(heard)
}
