//! What a durable send costs beside a server of an SDK that does it all by itself.

use anyhow::Result;

use super::{CPU, PER_SECOND, cost, echo, refs, saturate};
use crate::contenders::{Kind, Setting, count_back};
use crate::load::Request;
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::Floor;
use crate::stage::Stage;

const BROKER: Kind = Kind::Broker { fsync: true };
const KINDS: [Kind; 5] = [Kind::Hop, BROKER, Kind::RustSdk, Kind::NodeSdk, Kind::PythonSdk];

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
    let mut outcome = stage.outcome("sdk-servers", rounds)?;
    for (sdk, limit) in [(Kind::RustSdk, 1.4), (Kind::NodeSdk, 1.0 / 8.0), (Kind::PythonSdk, 1.0 / 50.0)] {
        outcome = outcome.judge(CPU, BROKER.name(), sdk.name(), Some(Goal::AtMost(limit)));
    }
    Ok(outcome.picture(Picture::Bars { column: CPU.to_owned(), logarithmic: true }))
}
