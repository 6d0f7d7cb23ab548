//! What an SDK cannot do: the one place where a cell of the matrix may fail, each with its reason. A limit that is not
//! there any more fails the test too, so that the list stays true.

use std::collections::BTreeMap;

use conformance_tests::wire;

use super::stage::Stage;
use super::subjects::{Binding, Cell, Feature, Sdk};

/// A binding that is not there at all.
pub(super) const MISSING_BINDING: (Sdk, Binding) = (Sdk::PythonV03, Binding::Grpc);
/// Why.
pub(super) const MISSING_BINDING_REASON: &str =
    "The broker speaks A2A 0.3 over JSON-RPC and HTTP+JSON only (decision 10).";

/// A feature that does not work, for a client or an agent; what is not named may be any.
pub(super) struct Limit {
    pub(super) client: Option<(Sdk, Option<Binding>)>,
    pub(super) agent: Option<(Sdk, Option<Binding>)>,
    pub(super) feature: Feature,
    /// Whose limitation it is, as seen in the source.
    pub(super) reason: &'static str,
}

/// None is known today.
pub(super) const LIMITS: &[Limit] = &[];

/// The number of the limit a cell falls under.
pub(super) fn of(cell: Cell) -> Option<usize> {
    let is = |named: Option<(Sdk, Option<Binding>)>, sdk, binding| {
        named.is_none_or(|(of, over)| of == sdk && over.is_none_or(|over| over == binding))
    };
    LIMITS.iter().position(|limit| {
        limit.feature == cell.feature
            && is(limit.client, cell.client.sdk, cell.client.binding)
            && is(limit.agent, cell.agent.sdk, cell.agent.binding)
    })
}

/// Cells that fail and are not declared, and those that are declared and work.
pub(super) fn compare(seen: &BTreeMap<Cell, Result<(), String>>) -> Vec<String> {
    let problems = seen.iter().filter_map(|(cell, verdict)| match (verdict, of(*cell)) {
        (Err(problem), None) => Some(format!("{cell}: {problem}")),
        (Ok(()), Some(limit)) => {
            Some(format!("{cell}: works; take it out of LIMITS, which says: {}", LIMITS[limit].reason))
        }
        _ => None,
    });
    problems.collect()
}

/// The cards' members of 0.3 name no gRPC; once they do, it has to be judged.
pub(super) async fn assert_bindings_stay_missing(stage: &Stage) {
    let url = format!("{}/.well-known/agent-card.json", stage.broker.agent_url("python-jsonrpc"));
    let card = wire::get(&url).await.json();
    let old = format!("{} {}", card["preferredTransport"], card["additionalInterfaces"]);
    assert!(old.contains("JSONRPC") && !old.contains("GRPC"), "0.3 over gRPC has no column yet: {old}");
}
