//! The operator API under `/api/v1`: the registry, trees, decisions, keys, the audit log and dead letters, for the CLI and
//! for scripts. Here is what all its resources share: who asks, and how they are answered.

mod agents;
mod audit;
mod backup;
mod dead_letters;
mod events;
mod keys;
mod refusals;
mod route;
mod selection;
mod tasks;
mod trees;

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use protocol::A2aError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

pub(super) use self::route::{Resource, route};
use super::body;
use super::operations::Context;
use super::reply::{self, Body, method_not_allowed};
use crate::service::{Broker, Caller, Credential};

const JSON: &str = "application/json";

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

/// How a resource answers.
type Answered = Result<Response<Body>, A2aError>;

/// Serves one call.
pub(super) async fn serve(context: &Context, resource: Resource, incoming: Incoming<'_>) -> Response<Body> {
    answer(context, resource, incoming).await.unwrap_or_else(|error| reply::error(&error))
}

async fn answer(context: &Context, resource: Resource, incoming: Incoming<'_>) -> Answered {
    let Incoming { method, query, credential, body } = incoming;
    let broker = &context.broker;
    let caller = broker.authenticate(credential).await?;
    let allow = resource.allow();
    if !allow.split(", ").any(|allowed| allowed == method) {
        return Ok(method_not_allowed(allow));
    }
    let call = Call { context, broker, caller, query, body };
    match resource {
        Resource::Agents if method == "GET" => Ok(agents::list(&call)),
        Resource::Agents => agents::register(&call).await,
        Resource::Agent(name) if method == "GET" => agents::show(&call, &name),
        Resource::Agent(name) => agents::remove(&call, &name).await,
        Resource::AcceptCard(name) => agents::accept_card(&call, &name).await,
        Resource::ProbeAgent(name) => agents::probe(&call, &name).await,
        Resource::Whoami => Ok(ok(&broker.introduce(&call.caller))),
        Resource::Trees => trees::list(&call).await,
        Resource::Events => events::stream(&call).await,
        Resource::Refusals => refusals::list(&call).await,
        Resource::Quotas => Ok(ok(&json!({ "quotas": call.broker.quotas(&call.caller) }))),
        Resource::Log(task) => trees::log(&call, &task).await,
        Resource::Tree(task) => tasks::tree(&call, &task).await,
        Resource::RevokeTask(task) => tasks::revoke(&call, &task).await,
        Resource::Approvals => tasks::approvals(&call).await,
        Resource::Decide(task, approve) => tasks::decide(&call, &task, approve).await,
        Resource::Resolve(task) => tasks::resolve(&call, &task).await,
        Resource::Select => selection::select(&call).await,
        Resource::Advise => selection::advise(&call).await,
        Resource::LintCards => Ok(selection::lint(&call)),
        Resource::Backup => backup::stream(&call),
        Resource::Audit => audit::page(&call).await,
        Resource::Keys => keys::list(&call),
        Resource::RotateKeys => keys::rotate(&call).await,
        Resource::CardKeys => keys::list_card_keys(&call),
        Resource::RotateCardKeys => keys::rotate_card_keys(&call).await,
        Resource::DeadLetters => dead_letters::list(&call).await,
        Resource::RetryDeadLetter(task, config) => dead_letters::retry(&call, &task, &config).await,
    }
}

impl Call<'_> {
    /// A parameter of the query; one without a value is as good as none.
    fn text(&self, name: &str) -> Option<String> {
        reply::query_parameter(self.query, name).filter(|text| !text.is_empty())
    }

    /// A parameter that is a number.
    fn number(&self, name: &str) -> Result<Option<u64>, A2aError> {
        let Some(text) = reply::query_parameter(self.query, name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let problem = format!("expected a whole number, such as {name}=100, found {text:?}");
            protocol::invalid_params(vec![(name.to_owned(), problem)])
        })
    }

    /// A parameter that says how many.
    fn count(&self, name: &str) -> Result<Option<usize>, A2aError> {
        Ok(self.number(name)?.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, A2aError> {
        body::read_json(self.body.as_ref().map_err(Clone::clone)?)
    }

    /// A body that may be left out.
    fn read_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, A2aError> {
        let sent = self.body.as_ref().map_err(Clone::clone)?;
        if sent.is_empty() { Ok(T::default()) } else { body::read_json(sent) }
    }
}

fn ok(document: &impl Serialize) -> Response<Body> {
    reply::json(StatusCode::OK, JSON, document)
}
