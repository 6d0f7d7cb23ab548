//! What a server in between adds to one call.

use anyhow::Result;

use super::{P50, P99, echo, refs};
use crate::contenders::{Kind, Setting, count_back};
use crate::load::{Request, closed_loop};
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::Floor;
use crate::stage::Stage;

const DIRECT: &str = "direct";
const KINDS: [Kind; 8] = [
    Kind::Hop,
    Kind::Nginx,
    Kind::Relay { fsync: false, sign: false },
    Kind::AgentGateway,
    Kind::Broker { fsync: false },
    Kind::Relay { fsync: true, sign: false },
    Kind::Relay { fsync: true, sign: true },
    Kind::Broker { fsync: true },
];

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let agent = echo(stage, Setting::default())?;
    let mut lineup = stage.lineup(&KINDS, Setting { agent: Some(agent.address()), ..Setting::default() })?;
    lineup.insert(0, agent.as_row(DIRECT));
    let floor = Floor { name: Kind::Hop.name(), figure: P50 };
    let rounds = stage
        .rounds(&lineup, floor, async |contender| {
            let request = Request::send(contender.address(), &contender.path);
            let tally = stage
                .measure(contender, &agent, async |window| closed_loop(&request, 1, window).await)
                .await?;
            Ok(vec![(P50, tally.histogram.percentile(0.5)), (P99, tally.histogram.percentile(0.99))])
        })
        .await?;
    count_back(&refs(&lineup), &agent).await?;
    let added = |outcome: Outcome, ours: Kind, theirs: Kind, goal: Option<Goal>| {
        let what = format!("added p50: {} / {}", ours.name(), theirs.name());
        outcome.judge_by(what, goal, |of| {
            let direct = of(DIRECT, P50)?;
            Some((of(ours.name(), P50)? - direct) / (of(theirs.name(), P50)? - direct))
        })
    };
    let (quick, durable) = (Kind::Broker { fsync: false }, Kind::Broker { fsync: true });
    let relay = |fsync, sign| Kind::Relay { fsync, sign };
    let mut outcome = stage.outcome("latency", rounds)?;
    for (ours, theirs, goal) in [
        (quick, Kind::Hop, Some(Goal::AtMost(1.3))),
        (quick, Kind::AgentGateway, None),
        (quick, relay(false, false), None),
        (durable, relay(true, false), None),
        (durable, relay(true, true), None),
    ] {
        outcome = added(outcome, ours, theirs, goal);
    }
    Ok(outcome.picture(Picture::Bars { column: P50.to_owned(), logarithmic: false }))
}
