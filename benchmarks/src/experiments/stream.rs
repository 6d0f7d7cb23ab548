//! How soon the first event of a stream is there, over each binding.

use anyhow::Result;

use super::{P50, P99, echo, refs};
use crate::contenders::{AGENT, Contender, Kind, Setting, count_back};
use crate::load::{Request, Tally, Window, first_events, grpc_first_events};
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::Floor;
use crate::stage::Stage;

const BINDINGS: [Binding; 3] = [Binding::JsonRpc, Binding::HttpJson, Binding::Grpc];
const QUICK: Kind = Kind::Broker { fsync: false };
const DURABLE: Kind = Kind::Broker { fsync: true };
/// The rows of each binding, as they are called.
const DIRECT: &str = "direct";
/// Longer is what a server without TCP_NODELAY takes.
const LATE_MICROS: f64 = 5000.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Binding {
    JsonRpc,
    HttpJson,
    Grpc,
}

impl Binding {
    fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSON-RPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "gRPC",
        }
    }

    fn row(self, who: &str) -> String {
        format!("{}, {who}", self.name())
    }

    async fn first_events(self, contender: &Contender, window: Window<'_>) -> Result<Tally> {
        let (address, path) = (contender.address(), contender.path.as_str());
        match self {
            Self::JsonRpc => first_events(&Request::stream(address, path), window).await,
            Self::HttpJson => first_events(&Request::stream_http(address, path), window).await,
            Self::Grpc => {
                let tenant = if matches!(contender.kind, Kind::Broker { .. }) { AGENT } else { "" };
                grpc_first_events(address, tenant, window).await
            }
        }
    }
}

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let setting = Setting { streaming: true, ..Setting::default() };
    let agent = echo(stage, setting)?;
    let before = Setting { agent: Some(agent.address()), ..setting };
    let mut servers = stage.lineup(&[Kind::Hop, QUICK, DURABLE], before)?;
    servers.insert(0, agent.as_row(DIRECT));
    let mut rows: Vec<(Binding, Contender)> = Vec::new();
    for binding in BINDINGS {
        rows.extend(servers.iter().map(|server| (binding, server.as_row(&binding.row(&server.name)))));
    }
    // Those speak one binding each.
    let others = stage.lineup(&[Kind::AgentGateway, Kind::RustSdk], before)?;
    rows.extend(
        others.iter().map(|server| (Binding::JsonRpc, server.as_row(&Binding::JsonRpc.row(&server.name)))),
    );
    let (bindings, lineup): (Vec<Binding>, Vec<Contender>) = rows.into_iter().unzip();
    let hop = Binding::JsonRpc.row(Kind::Hop.name());
    let rounds = stage
        .rounds(&lineup, Floor { name: &hop, figure: P50 }, async |contender| {
            let at = lineup.iter().position(|row| row.name == contender.name).unwrap_or_default();
            let tally = stage
                .measure(contender, &agent, async |window| bindings[at].first_events(contender, window).await)
                .await?;
            Ok(vec![(P50, tally.histogram.percentile(0.5)), (P99, tally.histogram.percentile(0.99))])
        })
        .await?;
    count_back(&refs(&lineup), &agent).await?;
    let mut outcome = stage.outcome("stream", rounds)?;
    for binding in BINDINGS {
        outcome = judge(outcome, binding);
    }
    Ok(outcome.picture(Picture::Bars { column: P50.to_owned(), logarithmic: true }))
}

fn judge(outcome: Outcome, binding: Binding) -> Outcome {
    let row = |who: &str| binding.row(who);
    let added = |broker: Kind| {
        let (direct, hop, broker) = (row(DIRECT), row(Kind::Hop.name()), row(broker.name()));
        move |of: &dyn Fn(&str, &str) -> Option<f64>| {
            let direct = of(&direct, P50)?;
            Some((of(&broker, P50)? - direct) / (of(&hop, P50)? - direct))
        }
    };
    let late = row(DURABLE.name());
    outcome
        .judge_by(format!("added p50: {} / hop", row(QUICK.name())), Some(Goal::AtMost(2.0)), added(QUICK))
        .judge_by(format!("added p50: {} / hop", row(DURABLE.name())), None, added(DURABLE))
        .judge_by(format!("p99: {late} / 5 ms"), Some(Goal::AtMost(1.0)), |of| {
            Some(of(&late, P99)? / LATE_MICROS)
        })
}
