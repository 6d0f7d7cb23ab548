//! The keys grants and cards are signed with.

use serde::Deserialize;
use serde_json::json;

use super::{Answered, Call, ok};

/// What may be asked of a rotation.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    /// Others know the key that signs: the next one signs at once, and what the old one signed is dead.
    compromised: bool,
}

pub(super) fn list(call: &Call<'_>) -> Answered {
    Ok(ok(&json!({ "keys": call.broker.keys(&call.caller)? })))
}

pub(super) async fn rotate(call: &Call<'_>) -> Answered {
    let Rotation { compromised } = call.read_or_default()?;
    Ok(ok(&json!({ "keys": call.broker.rotate_keys(&call.caller, compromised).await? })))
}

pub(super) fn list_card_keys(call: &Call<'_>) -> Answered {
    Ok(ok(&json!({ "keys": call.broker.list_card_keys(&call.caller)? })))
}

pub(super) async fn rotate_card_keys(call: &Call<'_>) -> Answered {
    let Rotation { compromised } = call.read_or_default()?;
    Ok(ok(&json!({ "keys": call.broker.rotate_card_keys(&call.caller, compromised).await? })))
}
