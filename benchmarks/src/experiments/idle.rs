//! What the broker is before anybody asks it anything.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::contenders::Contender;
use crate::outcome::{Goal, Outcome};
use crate::rounds::rounds;
use crate::stage::Stage;

const ROW: &str = "broker, idle";
const RESIDENT: &str = "resident MiB";
const START: &str = "cold start ms";
const BINARY: &str = "binary MiB";
/// Until what was needed to start has settled.
const SETTLE: Duration = Duration::from_secs(1);
const MIB: f64 = 1024.0 * 1024.0;

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let size = std::fs::metadata(&stage.options.broker).map_or(0, |file| file.len());
    let names = [ROW.to_owned()];
    let measured = rounds(stage.options.plan, &names, None, async |_| {
        let room = stage.room("idle")?;
        let began = Instant::now();
        let broker = Contender::broker(stage, "[log]\nlevel = \"error\"\n", &room)?;
        broker.wait_until_ready()?;
        let start = began.elapsed();
        tokio::time::sleep(SETTLE).await;
        Ok(vec![
            (RESIDENT, broker.process.resident()? as f64 / MIB),
            (START, start.as_secs_f64() * 1000.0),
            (BINARY, size as f64 / MIB),
        ])
    });
    Ok(stage.outcome("idle", measured.await?)?.judge_by(
        "resident MiB, idle",
        Some(Goal::AtMost(15.0)),
        |of| of(ROW, RESIDENT),
    ))
}
