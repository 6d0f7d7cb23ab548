//! What a hop costs the server that is in between.

use anyhow::Result;

use super::{CPU, PER_SECOND, cost, echo, refs, saturate};
use crate::contenders::{Kind, Setting, count_back};
use crate::load::Request;
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
            Ok(cost(&saturate(stage, contender, &agent, &request).await?))
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
