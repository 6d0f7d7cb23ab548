//! The extension's data between brokers: what one says to another with a task, and what comes back of it.

use protocol::{Message, Metadata};

use super::{AmountsWire, BROKER_ONLY, URI, members_of, with_member};

/// Members that one broker tells another with a task, and that would be read as wishes: its names are not those here, and
/// what may be passed on is what the grant says.
const TOLD_ABROAD: [&str; 4] = ["scope", "skills", "criteria", "given"];

/// Takes the grant out of a message of another broker, and all that this one says of its own task.
pub fn take_grant(message: &mut Message) -> Option<String> {
    let mut said = message.metadata.get(URI).and_then(members_of)?;
    let grant = serde_json::from_str(said.get("grant")?.get()).ok();
    said.retain(|member, _| {
        !BROKER_ONLY.contains(&member.as_str()) && !TOLD_ABROAD.contains(&member.as_str())
    });
    if said.is_empty() || message.metadata.set(URI, &said).is_err() {
        message.metadata.remove(URI);
    }
    grant
}

/// Metadata that does not say what was used up so far, where it is not all that was.
pub(crate) fn without_cost(mut metadata: Metadata) -> Metadata {
    let Some(mut said) = metadata.get(URI).and_then(members_of) else { return metadata };
    if said.remove("cost").is_some() && (said.is_empty() || metadata.set(URI, &said).is_err()) {
        metadata.remove(URI);
    }
    metadata
}

/// Metadata that says what was used up, whatever else it says of that.
pub(crate) fn with_cost(metadata: Metadata, cost: &AmountsWire) -> Metadata {
    with_member(metadata, "cost", cost)
}
