//! Whether anything grows while the same load goes on.

use std::time::Duration;

use anyhow::Result;

use super::{CONNECTIONS, P50, P99, PER_SECOND, echo};
use crate::contenders::{Kind, Setting};
use crate::load::{Request, closed_loop, open_loop};
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::{Plan, Rounds, rounds};
use crate::stage::Stage;

const MINUTES: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
const QUICK_MINUTE: Duration = Duration::from_secs(1);
const RESIDENT: &str = "resident MiB";
/// From here on nothing is warming up any more.
const SETTLED: usize = 3;

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let kind = Kind::Broker { fsync: true };
    let agent = echo(stage, Setting::default())?;
    let lineup = stage.lineup(&[kind], Setting { agent: Some(agent.address()), ..Setting::default() })?;
    let [broker] = &lineup[..] else { anyhow::bail!("the broker") };
    let request = Request::send(broker.address(), &broker.path);
    let most = stage
        .measure(broker, &agent, async |window| closed_loop(&request, CONNECTIONS, window).await)
        .await?;
    let rate = most.per_second() / 2.0;
    let minute = if stage.options.is_quick { QUICK_MINUTE } else { MINUTE };
    let mut all = Rounds::default();
    for number in 1..=MINUTES {
        let once = Plan { rounds: 1, ..stage.options.plan };
        let name = [number.to_string()];
        let measured = rounds(once, &name, None, async |_| {
            let tally = stage
                .measure(broker, &agent, async |window| {
                    let window = crate::load::Window { warm_up: Duration::ZERO, time: minute, ..window };
                    open_loop(&request, rate, window).await
                })
                .await?;
            Ok(vec![
                (RESIDENT, broker.process.resident()? as f64 / (1024.0 * 1024.0)),
                (P50, tally.histogram.percentile(0.5)),
                (P99, tally.histogram.percentile(0.99)),
                (PER_SECOND, tally.per_second()),
            ])
        });
        all.join(measured.await?);
    }
    let (first, last) = (SETTLED.to_string(), MINUTES.to_string());
    let mut outcome = stage.outcome("sustained", all)?;
    for column in [RESIDENT, P50, P99] {
        let what = format!("{column}: minute {last} / minute {first}");
        let goal = (column != P99).then_some(Goal::AtMost(1.1));
        outcome = outcome.judge_by(what, goal, |of| Some(of(&last, column)? / of(&first, column)?));
    }
    let slope = slope(&outcome.rounds, RESIDENT);
    Ok(outcome
        .note(format!("{rate:.0} durable sends a second, half of the most. Memory from minute {SETTLED} on: {slope:+.2} MiB a minute."))
        .picture(Picture::Lines { columns: vec![RESIDENT.to_owned(), P50.to_owned()], across: "minutes".to_owned() }))
}

/// The slope of the line that fits best, by least squares, from when it has settled.
fn slope(rounds: &Rounds, column: &str) -> f64 {
    let points: Vec<(f64, f64)> = (SETTLED..=MINUTES)
        .filter_map(|minute| Some((minute as f64, rounds.median(&minute.to_string(), column)?)))
        .collect();
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (over, under) = points.iter().fold((0.0, 0.0), |(over, under), point| {
        (over + (point.0 - x) * (point.1 - y), under + (point.0 - x) * (point.0 - x))
    });
    over / under
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Row;

    #[test]
    fn a_slope_is_that_of_the_settled_minutes() {
        let row = |minute: usize| Row {
            name: minute.to_string(),
            values: [(
                RESIDENT.to_owned(),
                vec![if minute < SETTLED { 1.0 } else { 100.0 + 2.0 * minute as f64 }],
            )]
            .into(),
        };
        let rounds = Rounds { rows: (1..=MINUTES).map(row).collect(), ..Rounds::default() };
        assert!((slope(&rounds, RESIDENT) - 2.0).abs() < 1e-9);
    }
}
