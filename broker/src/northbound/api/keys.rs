//! The keys grants and cards are signed with.

use protocol::A2aError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use super::exchange::Json;
use crate::service::KeyView;

/// What may be asked of a rotation.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rotation {
    /// Others know the key that signs: the next one signs at once, and what the old one signed is dead.
    compromised: bool,
}

/// Keys of one purpose.
#[derive(Serialize, JsonSchema)]
pub(super) struct Keys {
    /// Those that are published.
    keys: Vec<KeyView>,
}

pub(super) fn list(call: &Call<'_>) -> Result<Json<Keys>, A2aError> {
    answer(call.broker.keys(&call.caller))
}

pub(super) async fn rotate(call: &Call<'_>, rotation: Rotation) -> Result<Json<Keys>, A2aError> {
    answer(call.broker.rotate_keys(&call.caller, rotation.compromised).await)
}

pub(super) fn list_card_keys(call: &Call<'_>) -> Result<Json<Keys>, A2aError> {
    answer(call.broker.list_card_keys(&call.caller))
}

pub(super) async fn rotate_card_keys(call: &Call<'_>, rotation: Rotation) -> Result<Json<Keys>, A2aError> {
    answer(call.broker.rotate_card_keys(&call.caller, rotation.compromised).await)
}

fn answer(keys: Result<Vec<KeyView>, A2aError>) -> Result<Json<Keys>, A2aError> {
    keys.map(|keys| Json(Keys { keys }))
}
