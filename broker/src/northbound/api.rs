//! The operator API under `/api/v1`: the registry, trees and keys, for the CLI and for scripts.

use bytes::Bytes;
use http::{Response, StatusCode};
use protocol::A2aError;
use serde::Deserialize;
use serde_json::json;

use super::body;
use super::operations::Context;
use super::reply::{self, Body, method_not_allowed};
use super::route::Route;
use crate::service::{Credential, NewAgent};

const JSON: &str = "application/json";

/// What may be asked of a rotation.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    /// Others know the key that signs: the next one signs at once, and what the old one signed is dead.
    compromised: bool,
}

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

/// Serves one call of the operator API.
pub(super) async fn serve(
    context: &Context,
    route: Route,
    method: &str,
    credential: Option<&Credential>,
    sent: Result<Bytes, A2aError>,
) -> Response<Body> {
    call(context, route, method, credential, sent).await.unwrap_or_else(|error| reply::error(&error))
}

async fn call(
    context: &Context,
    route: Route,
    method: &str,
    credential: Option<&Credential>,
    sent: Result<Bytes, A2aError>,
) -> Result<Response<Body>, A2aError> {
    let broker = &context.broker;
    let caller = broker.authenticate(credential).await?;
    match (method, route) {
        ("GET", Route::Agents) => {
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "agents": broker.list_agents(&caller) })))
        }
        ("POST", Route::Agents) => {
            let new: NewAgent = body::read_json(&sent?)?;
            Ok(reply::json(StatusCode::CREATED, JSON, &broker.register_agent(&caller, new).await?))
        }
        ("GET", Route::Agent(name)) => {
            Ok(reply::json(StatusCode::OK, JSON, &broker.show_agent(&caller, &name)?))
        }
        ("DELETE", Route::Agent(name)) => {
            broker.remove_agent(&caller, &name).await?;
            Ok(reply::answer(StatusCode::NO_CONTENT, JSON, reply::whole("")))
        }
        ("POST", Route::AcceptCard(name)) => {
            let Acceptance { card } = read_or_default(&sent?)?;
            let accepted = broker.accept_card(&caller, &name, card.as_deref()).await?;
            Ok(reply::json(StatusCode::OK, JSON, &accepted))
        }
        ("POST", Route::ProbeAgent(name)) => {
            let Probe { message } = read_or_default(&sent?)?;
            let probed = broker.probe_agent(&caller, &name, message.as_deref()).await?;
            Ok(reply::json(StatusCode::OK, JSON, &probed))
        }
        ("GET", Route::Tree(id)) => {
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "tasks": broker.tree(&caller, &id).await? })))
        }
        ("POST", Route::RevokeTask(id)) => {
            broker.revoke_task(&caller, &id).await?;
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "revoked": id })))
        }
        ("GET", Route::Keys) => {
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "keys": broker.keys(&caller)? })))
        }
        ("POST", Route::RotateKeys) => {
            let rotation: Rotation = read_or_default(&sent?)?;
            let keys = broker.rotate_keys(&caller, rotation.compromised).await?;
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "keys": keys })))
        }
        ("GET", Route::CardKeys) => {
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "keys": broker.list_card_keys(&caller)? })))
        }
        ("POST", Route::RotateCardKeys) => {
            let rotation: Rotation = read_or_default(&sent?)?;
            let keys = broker.rotate_card_keys(&caller, rotation.compromised).await?;
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "keys": keys })))
        }
        (
            _,
            Route::RevokeTask(_)
            | Route::RotateKeys
            | Route::RotateCardKeys
            | Route::AcceptCard(_)
            | Route::ProbeAgent(_),
        ) => Ok(method_not_allowed("POST")),
        (_, Route::Agents) => Ok(method_not_allowed("GET, POST")),
        (_, Route::Agent(_)) => Ok(method_not_allowed("GET, DELETE")),
        _ => Ok(method_not_allowed("GET")),
    }
}

/// A body that may be left out.
fn read_or_default<T: Default + serde::de::DeserializeOwned>(sent: &Bytes) -> Result<T, A2aError> {
    if sent.is_empty() { Ok(T::default()) } else { body::read_json(sent) }
}
