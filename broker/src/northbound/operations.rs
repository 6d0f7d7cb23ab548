//! The eleven operations, once for all bindings: check, authenticate, read the parameters, ask the service. A binding
//! only says where the parameters come from and how the answer travels.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use protocol::{A2aError, ErrorKind, Operation, VERSION_HEADER, Version, check_version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::reply;
use crate::service::{Broker, Credential, Target, TaskStream, is_agent_name};

/// The header in which a resuming client names the last event it saw.
const LAST_EVENT_ID: &str = "last-event-id";

/// What every request is served with.
pub(super) struct Context {
    pub(super) broker: Arc<Broker>,
    /// Turns true when the server shuts down.
    pub(super) over: watch::Sender<bool>,
}

/// One call, apart from its parameters.
pub(super) struct Call<'r> {
    pub(super) operation: Operation,
    /// The version it is named in.
    pub(super) version: Version,
    /// Whom the address names.
    pub(super) addressed: Target,
    pub(super) head: Head<'r>,
}

/// What the bindings share of a request's head.
#[derive(Clone, Copy)]
pub(super) struct Head<'r> {
    pub(super) headers: &'r HeaderMap,
    pub(super) query: &'r str,
    /// What the caller is judged by.
    pub(super) credential: Option<&'r Credential>,
}

impl Head<'_> {
    /// The protocol version asked for, in the header and in the query (spec §3.6).
    pub(super) fn asked_version(&self) -> (Option<&str>, Option<String>) {
        (reply::header(self.headers, VERSION_HEADER), reply::query_parameter(self.query, VERSION_HEADER))
    }
}

/// Where a binding has its parameters.
pub(super) trait Parameters {
    /// Reads them as an operation's request.
    fn read<T: DeserializeOwned>(&self) -> Result<T, A2aError>;
}

/// What a call is answered with.
pub(super) enum Answer {
    /// One result, as JSON.
    Json(Bytes),
    /// Events.
    Stream(TaskStream),
}

impl Context {
    /// Serves a call of A2A 1.0.
    pub(super) async fn perform(
        &self,
        call: &Call<'_>,
        parameters: &impl Parameters,
    ) -> Result<Answer, A2aError> {
        let (header, query) = call.head.asked_version();
        check_version(header, query.as_deref())?;
        self.perform_unversioned(call, parameters).await
    }

    /// Serves a call whose version its caller has judged.
    pub(super) async fn perform_unversioned(
        &self,
        call: &Call<'_>,
        parameters: &impl Parameters,
    ) -> Result<Answer, A2aError> {
        let broker = &self.broker;
        let caller = broker.authenticate(call.head.credential).await?;
        match call.operation {
            Operation::SendMessage => {
                let request: protocol::SendMessageRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&broker.send(&caller, &target, request, call.version).await?)
            }
            Operation::SendStreamingMessage => {
                let request: protocol::SendMessageRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                broker.send_streaming(&caller, &target, request, call.version).await.map(Answer::Stream)
            }
            Operation::GetTask => {
                let request: protocol::GetTaskRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&broker.get_task(&caller, &target, request).await?)
            }
            Operation::ListTasks => {
                let request: protocol::ListTasksRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&broker.list_tasks(&caller, &target, request).await?)
            }
            Operation::CancelTask => {
                let request: protocol::CancelTaskRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&broker.cancel_task(&caller, &target, request).await?)
            }
            Operation::SubscribeToTask => {
                let request: protocol::SubscribeToTaskRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                let after = last_event_id(call.head.headers)?;
                broker.subscribe(&caller, &target, request, after).await.map(Answer::Stream)
            }
            Operation::CreateTaskPushNotificationConfig => {
                let request: protocol::TaskPushNotificationConfig = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&broker.create_push(&caller, &target, request, call.version).await?)
            }
            Operation::GetTaskPushNotificationConfig => {
                let request: protocol::GetTaskPushNotificationConfigRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&broker.get_push(&caller, &target, request).await?)
            }
            Operation::ListTaskPushNotificationConfigs => {
                let request: protocol::ListTaskPushNotificationConfigsRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&broker.list_push(&caller, &target, request).await?)
            }
            Operation::DeleteTaskPushNotificationConfig => {
                let request: protocol::DeleteTaskPushNotificationConfigRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                broker.delete_push(&caller, &target, request).await?;
                json(&protocol::Fields::default())
            }
            Operation::GetExtendedAgentCard => {
                let request: protocol::GetExtendedAgentCardRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                broker.extended_card(&caller, &target).await.map(|card| Answer::Json(card.json))
            }
        }
    }

    /// Turns true when the server shuts down.
    pub(super) fn shutdown(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }
}

fn json(result: &impl Serialize) -> Result<Answer, A2aError> {
    let json = serde_json::to_vec(result);
    json.map(|json| Answer::Json(json.into()))
        .map_err(|error| A2aError::new(ErrorKind::Internal, error.to_string()))
}

/// Whom a request is for: its address, or at `/` the tenant it names.
fn target(addressed: &Target, tenant: Option<&str>) -> Result<Target, A2aError> {
    let wrong = |problem: String| protocol::invalid_params(vec![("tenant".to_owned(), problem)]);
    match (addressed, tenant) {
        (addressed, None) => Ok(addressed.clone()),
        (Target::Agent(name), Some(tenant)) if name == tenant => Ok(addressed.clone()),
        (Target::Agent(name), Some(tenant)) => {
            Err(wrong(format!("this address is agent {name}'s, not {tenant}'s; leave the tenant out here")))
        }
        (Target::Any, Some(tenant)) if is_agent_name(tenant) => Ok(Target::Agent(tenant.to_owned())),
        (Target::Any, Some(_)) => Err(wrong("expected the name of a registered agent".to_owned())),
    }
}

/// The last event a resuming client saw.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, A2aError> {
    let Some(text) = reply::header(headers, LAST_EVENT_ID).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        protocol::invalid_params(vec![("Last-Event-ID".to_owned(), "expected an event's id".to_owned())])
    })
}
