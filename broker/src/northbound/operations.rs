//! The eleven operations, once for all bindings: check, authenticate, read the parameters, ask the service. A binding
//! only says where the parameters come from and how the answer travels.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use broker_core::trace::{TRACE_HEADER, TraceParent};
use bytes::Bytes;
use http::HeaderMap;
use protocol::{A2aError, EXTENSIONS_HEADER, ErrorKind, Operation, VERSION_HEADER, Version, check_version};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::leaving::{Phase, begun};
use super::mcp;
use super::memory::Memory;
use super::places::Places;
use super::{overload, reply};
use crate::service::{Broker, Credential, ServiceParameters, Target, TaskStream, is_agent_name};

/// The header in which a resuming client names the last event it saw.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

/// Extensions of a call that are regarded, at most.
const MAX_EXTENSIONS: usize = 64;

/// What every request is served with.
pub(super) struct Context {
    pub(super) broker: Arc<Broker>,
    /// How far the server is in leaving.
    pub(super) phase: watch::Sender<Phase>,
    /// Memory for what is on its way.
    pub(super) memory: Arc<Memory>,
    /// A place for each connection.
    pub(super) places: Arc<Places>,
    /// A place for each request that may be in hand.
    pub(super) requests: Semaphore,
    /// How many requests may be in hand.
    pub(super) max_requests: usize,
    /// A place for each stream that may be open.
    pub(super) streams: Arc<Semaphore>,
    /// How many streams may be open.
    pub(super) max_streams: usize,
    /// Silence on a stream after which a sign of life is due.
    pub(super) heartbeat: Duration,
    /// How the fleet is served as tools.
    pub(super) mcp: mcp::Options,
    /// Calls of tools that another request may cancel.
    pub(super) under_way: Arc<mcp::UnderWay>,
    /// The configuration in effect, as operators see it.
    pub(super) configuration: RwLock<Map<String, Value>>,
}

/// Whom the server serves now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Serving {
    /// Whether it is on its way out.
    leaving: bool,
    /// Connections that are open.
    connections: usize,
    /// Requests that are being answered, this one too; event streams are not counted here once they have begun.
    requests: usize,
    /// Event streams that are open.
    streams: usize,
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

impl Call<'_> {
    fn service_parameters(&self) -> ServiceParameters {
        let (extensions, trace) = (self.head.extensions(), self.head.trace());
        ServiceParameters { version: self.version, extensions, trace }
    }
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

impl Head<'_> {
    /// The extensions the caller wants to use, in one header or several (spec §14.2.2), under the name of either version.
    fn extensions(&self) -> Vec<String> {
        let names = [EXTENSIONS_HEADER, protocol::v03::EXTENSIONS_HEADER];
        let headers = names.into_iter().flat_map(|name| self.headers.get_all(name));
        let listed = headers.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let mut extensions: Vec<String> = Vec::new();
        for uri in listed.map(str::trim).filter(|uri| !uri.is_empty()) {
            if extensions.len() < MAX_EXTENSIONS && !extensions.iter().any(|known| known == uri) {
                extensions.push(uri.to_owned());
            }
        }
        extensions
    }

    /// Where the caller stands in a trace. What cannot be read is as good as nothing (W3C Trace Context, section 3.2.2).
    fn trace(&self) -> Option<TraceParent> {
        reply::header(self.headers, TRACE_HEADER)?.parse().ok()
    }
}

/// Where a binding has its parameters.
pub(super) trait Parameters {
    /// Reads them as an operation's request.
    fn read<T: DeserializeOwned>(self) -> Result<T, A2aError>;
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
        parameters: impl Parameters,
    ) -> Result<Answer, A2aError> {
        let (header, query) = call.head.asked_version();
        check_version(header, query.as_deref())?;
        self.perform_unversioned(call, parameters).await
    }

    /// Serves a call whose version its caller has judged. One that is not over when the server has to go is refused;
    /// what it began goes on.
    pub(super) async fn perform_unversioned(
        &self,
        call: &Call<'_>,
        parameters: impl Parameters,
    ) -> Result<Answer, A2aError> {
        let mut phase = self.phase();
        tokio::select! {
            biased;
            answer = self.operate(call, parameters) => answer,
            () = begun(Phase::Late, &mut phase) => Err(overload::shutting_down()),
        }
    }

    async fn operate(&self, call: &Call<'_>, parameters: impl Parameters) -> Result<Answer, A2aError> {
        let broker = &self.broker;
        let caller = broker.authenticate(call.head.credential).await?;
        match call.operation {
            Operation::SendMessage => {
                let request: protocol::SendMessageRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&broker.send(&caller, &target, request, call.service_parameters()).await?)
            }
            Operation::SendStreamingMessage => {
                let request: protocol::SendMessageRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                let place = self.place_for_stream()?;
                let events =
                    broker.send_streaming(&caller, &target, request, call.service_parameters()).await?;
                Ok(Answer::Stream(events.holding(place)))
            }
            Operation::GetTask => {
                let request: protocol::GetTaskRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                broker.get_task(&caller, &target, request).await.map(Answer::Json)
            }
            Operation::ListTasks => {
                let request: protocol::ListTasksRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&broker.list_tasks(&caller, &target, request).await?)
            }
            Operation::CancelTask => {
                let request: protocol::CancelTaskRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&Box::pin(broker.cancel_task(&caller, &target, request)).await?)
            }
            Operation::SubscribeToTask => {
                let request: protocol::SubscribeToTaskRequest = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                let after = last_event_id(call.head.headers)?;
                let place = self.place_for_stream()?;
                let events = broker.subscribe(&caller, &target, request, after).await?;
                Ok(Answer::Stream(events.holding(place)))
            }
            Operation::CreateTaskPushNotificationConfig => {
                let request: protocol::TaskPushNotificationConfig = parameters.read()?;
                let target = target(&call.addressed, request.tenant.as_deref())?;
                json(&Box::pin(broker.create_push(&caller, &target, request, call.version)).await?)
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
                Box::pin(broker.extended_card(&caller, &target)).await.map(|card| Answer::Json(card.json))
            }
        }
    }

    /// Taken before anything begins, so that what is refused has done nothing.
    pub(super) fn place_for_stream(&self) -> Result<OwnedSemaphorePermit, A2aError> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| overload::too_many_streams())
    }

    /// Whom the server serves now.
    pub(super) fn serving(&self) -> Serving {
        Serving {
            leaving: *self.phase.borrow() > Phase::Serving,
            connections: self.places.taken(),
            requests: self.max_requests.saturating_sub(self.requests.available_permits()),
            streams: self.max_streams.saturating_sub(self.streams.available_permits()),
        }
    }

    /// The configuration in effect, as operators see it.
    pub(super) fn configuration(&self) -> Map<String, Value> {
        self.configuration.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far the server is in leaving.
    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }
}

fn json(result: &impl Serialize) -> Result<Answer, A2aError> {
    let json = protocol::to_json(result);
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
    let Some(given) = headers.get(LAST_EVENT_ID).filter(|given| !given.is_empty()) else { return Ok(None) };
    let digits = given.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or_else(|| {
        let problem = "expected the id of an event of this task, a number";
        protocol::invalid_params(vec![("Last-Event-ID".to_owned(), problem.to_owned())])
    })
}
