//! The operator API under `/api/v1`: the registry, trees, decisions, keys, the audit log and dead letters, for the CLI and
//! for scripts. Here is what all its resources share: who asks, and how they are answered.

mod agents;
mod audit;
mod backup;
mod broker;
mod dead_letters;
mod events;
mod exchange;
mod keys;
mod openapi;
mod query;
mod quotas;
mod refusals;
mod route;
mod selection;
mod tasks;
mod trees;

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use protocol::A2aError;

pub(super) use self::openapi::plain_document;
#[cfg(test)]
pub(super) use self::route::Endpoint;
pub(super) use self::route::{Resource, route};
use super::operations::Context;
use super::reply::{self, Body, method_not_allowed};
use crate::service::{Broker, Caller, Credential};

/// One call, as it came.
pub(super) struct Incoming<'r> {
    pub(super) method: &'r str,
    pub(super) query: &'r str,
    pub(super) credential: Option<&'r Credential>,
    pub(super) body: Result<Bytes, A2aError>,
}

/// One call, of somebody known.
struct Call<'r> {
    context: &'r Context,
    broker: &'r Arc<Broker>,
    caller: Caller,
    query: &'r str,
    body: Result<Bytes, A2aError>,
}

/// How a call is answered.
type Answered = Result<Response<Body>, A2aError>;

/// Serves one call.
pub(super) async fn serve(context: &Context, resource: Resource, incoming: Incoming<'_>) -> Response<Body> {
    answer(context, resource, incoming).await.unwrap_or_else(|error| reply::error(&error))
}

async fn answer(context: &Context, resource: Resource, incoming: Incoming<'_>) -> Answered {
    let Incoming { method, query, credential, body } = incoming;
    let broker = &context.broker;
    let caller = broker.authenticate(credential).await?;
    let Some(endpoint) = resource.by_method(method) else { return Ok(method_not_allowed(&resource.allow())) };
    let call = Call { context, broker, caller, query, body };
    endpoint.perform(&call, &resource.names).await
}
