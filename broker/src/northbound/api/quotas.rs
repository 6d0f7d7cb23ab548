//! Who may use how much.

use schemars::JsonSchema;
use serde::Serialize;

use super::Call;
use crate::service::QuotaView;

/// Quotas, and what was used.
#[derive(Serialize, JsonSchema)]
pub(super) struct Quotas {
    quotas: Vec<QuotaView>,
}

pub(super) fn list(call: &Call<'_>) -> Quotas {
    Quotas { quotas: call.broker.quotas(&call.caller) }
}
