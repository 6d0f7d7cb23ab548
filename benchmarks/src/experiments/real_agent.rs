//! What the broker takes from an agent that does some work of its own.

use anyhow::Result;

use super::{CPU, OTHER_CORE, P50, PER_SECOND, SERVER_CORE, refs, saturate};
use crate::contenders::{Kind, Setting, count_back};
use crate::load::Request;
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::{Floor, Rounds};
use crate::stage::Stage;

const DIRECT: &str = "a2a-server-lf, direct";
const BROKER: Kind = Kind::Broker { fsync: true };

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let Some(agent) = stage.agent(Kind::RustSdk, Setting::default())? else {
        return stage.outcome("real-agent", Rounds::default());
    };
    let kinds = [BROKER, Kind::Hop];
    let mut lineup = stage.lineup(&kinds, Setting { agent: Some(agent.address()), ..Setting::default() })?;
    lineup.insert(0, agent.as_row(DIRECT));
    let floor = Floor { name: DIRECT, figure: PER_SECOND };
    let rounds = stage
        .rounds(&lineup, floor, async |contender| {
            let request = Request::send(contender.address(), &contender.path);
            let tally = saturate(stage, contender, &agent, &request).await?;
            Ok(vec![
                (PER_SECOND, tally.per_second()),
                (P50, tally.histogram.percentile(0.5)),
                (CPU, tally.cpu_micros()),
                (SERVER_CORE, tally.server_share()),
                (OTHER_CORE, tally.others_share()),
            ])
        })
        .await?;
    count_back(&refs(&lineup), &agent).await?;
    Ok(stage
        .outcome("real-agent", rounds)?
        .judge(PER_SECOND, BROKER.name(), DIRECT, Some(Goal::AtLeast(0.78)))
        .judge(PER_SECOND, Kind::Hop.name(), DIRECT, None)
        .picture(Picture::Bars { column: PER_SECOND.to_owned(), logarithmic: false }))
}
