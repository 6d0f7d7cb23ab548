//! How many durable sends there can be, and how long they take when there are half as many.

use anyhow::Result;

use super::{CONNECTIONS, CPU, OTHER_CORE, P50, P99, PER_SECOND, SERVER_CORE, echo, refs};
use crate::contenders::{Contender, Kind, Setting, count_back};
use crate::load::{Request, closed_loop, open_loop};
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::{Floor, Rounds};
use crate::stage::Stage;

const DIRECT: &str = "direct";
const BROKER: Kind = Kind::Broker { fsync: true };
const RELAY: Kind = Kind::Relay { fsync: true, sign: false };
const SIGNING: Kind = Kind::Relay { fsync: true, sign: true };
const LOAD: &str = "load µs";
/// The share of the broker's own most at which percentiles are taken.
const HALF: f64 = 0.5;

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let agent = echo(stage, Setting::default())?;
    let kinds = [Kind::Echo, Kind::Hop, RELAY, SIGNING, Kind::AgentGateway, BROKER];
    let mut lineup = stage.lineup(&kinds, Setting { agent: Some(agent.address()), ..Setting::default() })?;
    lineup.insert(0, agent.as_row(DIRECT));
    let mut rounds = most(stage, &lineup, &agent).await?;
    let rate = rounds.median(BROKER.name(), PER_SECOND).unwrap_or_default() * HALF;
    rounds.join(at_half(stage, &lineup, &agent, rate).await?);
    count_back(&refs(&lineup), &agent).await?;
    let load = rounds.median(Kind::Echo.name(), LOAD).unwrap_or_default();
    let (broker, relay, signing) = (BROKER.name(), RELAY.name(), SIGNING.name());
    Ok(stage
        .outcome("send", rounds)?
        .judge(PER_SECOND, broker, signing, Some(Goal::AtLeast(0.8)))
        .judge(P99, broker, relay, Some(Goal::AtMost(1.5)))
        .judge(PER_SECOND, broker, Kind::AgentGateway.name(), None)
        .judge(PER_SECOND, broker, relay, None)
        .judge(P99, broker, signing, None)
        .judge(PER_SECOND, broker, DIRECT, None)
        .note(format!("Percentiles at {rate:.0} requests a second to everybody."))
        .note(format!(
            "The load generator needs {load:.1} µs of its core for a call, so that it can make {:.0} a second; the other core's share \
             says how far from that, and from the agent's own limit, each row is.",
            1e6 / load
        ))
        .picture(Picture::Bars { column: PER_SECOND.to_owned(), logarithmic: false }))
}

async fn most(stage: &Stage, lineup: &[Contender], agent: &Contender) -> Result<Rounds> {
    let floor = Floor { name: Kind::Echo.name(), figure: PER_SECOND };
    stage
        .rounds(lineup, floor, async |contender| {
            let request = Request::send(contender.address(), &contender.path);
            let tally = stage
                .measure(contender, agent, async |window| closed_loop(&request, CONNECTIONS, window).await)
                .await?;
            Ok(vec![
                (PER_SECOND, tally.per_second()),
                (CPU, tally.cpu_micros()),
                (SERVER_CORE, tally.server_share()),
                (OTHER_CORE, tally.others_share()),
                (LOAD, tally.others.as_secs_f64() * 1e6 / tally.histogram.len() as f64),
            ])
        })
        .await
}

async fn at_half(stage: &Stage, lineup: &[Contender], agent: &Contender, rate: f64) -> Result<Rounds> {
    let floor = Floor { name: RELAY.name(), figure: P50 };
    stage
        .rounds(lineup, floor, async |contender| {
            let request = Request::send(contender.address(), &contender.path);
            let tally = stage
                .measure(contender, agent, async |window| open_loop(&request, rate, window).await)
                .await?;
            Ok(vec![(P50, tally.histogram.percentile(0.5)), (P99, tally.histogram.percentile(0.99))])
        })
        .await
}
