//! The registry.

use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Answered, Call, JSON, ok};
use crate::northbound::reply::{self, Body};
use crate::service::NewAgent;

/// What may be said of a card that is accepted.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Acceptance {
    /// SHA-256 of the card that was looked at; any other is not accepted.
    card: Option<String>,
}

/// What may be said of a probe.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Probe {
    /// What to say instead of the configured message.
    message: Option<String>,
}

pub(super) fn list(call: &Call<'_>) -> Response<Body> {
    ok(&json!({ "agents": call.broker.list_agents(&call.caller) }))
}

pub(super) async fn register(call: &Call<'_>) -> Answered {
    let new: NewAgent = call.read()?;
    Ok(reply::json(StatusCode::CREATED, JSON, &call.broker.register_agent(&call.caller, new).await?))
}

pub(super) fn show(call: &Call<'_>, name: &str) -> Answered {
    Ok(ok(&call.broker.show_agent(&call.caller, name)?))
}

pub(super) async fn remove(call: &Call<'_>, name: &str) -> Answered {
    call.broker.remove_agent(&call.caller, name).await?;
    Ok(reply::answer(StatusCode::NO_CONTENT, JSON, reply::whole("")))
}

pub(super) async fn accept_card(call: &Call<'_>, name: &str) -> Answered {
    let Acceptance { card } = call.read_or_default()?;
    Ok(ok(&call.broker.accept_card(&call.caller, name, card.as_deref()).await?))
}

pub(super) async fn probe(call: &Call<'_>, name: &str) -> Answered {
    let Probe { message } = call.read_or_default()?;
    Ok(ok(&call.broker.probe_agent(&call.caller, name, message.as_deref()).await?))
}
