//! A call of a tool: a task is begun, or one that is there is found; its events are told as progress; its end, or what it asks,
//! is the result. How a call ends is not how its task ends: one that is cancelled cancels it, and so does, where the protocol
//! says that hanging up means that, a caller that hangs up; a broker that leaves does not.

use futures_util::StreamExt;
use protocol::{
    A2aError, ErrorKind, SendMessageRequest, SendMessageResponse, StreamResponse, Task, TaskState, Version,
};
use rmcp::model::{CallToolResult, ProgressNotificationParam, ProgressToken, ProtocolVersion};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::json;

use super::super::leaving::{Phase, begun};
use super::super::overload;
use super::fleet::Fleet;
use super::outcome;
use super::under_way::Named;
use crate::service::{StreamItem, Target, TaskStream};

/// Longest message of a progress notification, characters.
const MAX_PROGRESS_CHARS: usize = 500;

/// One call.
pub(super) struct Call {
    fleet: Fleet,
    context: RequestContext<RoleServer>,
    named: Option<Named>,
    progress: Progress,
}

/// What the caller has heard so far.
struct Progress {
    token: Option<ProgressToken>,
    told: u32,
}

/// Why a call ends before its task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Its caller says so.
    Cancelled,
    /// Its caller is gone.
    HungUp,
    /// The broker goes.
    Leaving,
}

impl Call {
    pub(super) fn new(fleet: Fleet, context: RequestContext<RoleServer>) -> Self {
        let session = fleet.session.as_deref();
        let named = session.map(|session| fleet.under_way.name(&fleet.caller, session, &context.id));
        let progress = Progress { token: context.meta.get_progress_token(), told: 0 };
        Self { fleet, context, named, progress }
    }

    /// Begins a task, or goes on with one that asked, and waits for what comes of it.
    pub(super) async fn delegate(mut self, target: &Target, request: SendMessageRequest) -> CallToolResult {
        let Ok(_place) = self.fleet.streams.clone().try_acquire_owned() else {
            return outcome::of_error(&overload::too_many_streams(), None);
        };
        let Fleet { broker, caller, .. } = &self.fleet;
        let _call = match broker.begin_call(caller) {
            Ok(call) => call,
            Err(refused) => return outcome::of_error(&refused, None),
        };
        let task = match broker.send(caller, target, request, Version::V1.into()).await {
            Ok(SendMessageResponse::Task(task)) => task.id,
            Ok(SendMessageResponse::Message(message)) => return outcome::of_message(&message),
            Err(refused) => return outcome::of_error(&refused, None),
        };
        match self.follow(&task).await {
            Ok(Ok(task)) => outcome::of_task(&task),
            Ok(Err(broken)) if self.cancels(broken) => self.cancel(&task).await,
            Ok(Err(_)) => outcome::broken_off(&task),
            Err(error) => outcome::of_error(&error, Some(&task)),
        }
    }

    /// Waits for a task that is there. Who gives up waiting has given up nothing else.
    pub(super) async fn wait_for(mut self, task: &str) -> CallToolResult {
        let Ok(_place) = self.fleet.streams.clone().try_acquire_owned() else {
            return outcome::of_error(&overload::too_many_streams(), Some(task));
        };
        let _call = match self.fleet.broker.begin_call(&self.fleet.caller) {
            Ok(call) => call,
            Err(refused) => return outcome::of_error(&refused, Some(task)),
        };
        match self.follow(task).await {
            Ok(Ok(task)) => outcome::of_task(&task),
            Ok(Err(_)) => outcome::broken_off(task),
            Err(error) => outcome::of_error(&error, None),
        }
    }

    /// Cancels a task, and says how it stands then.
    pub(super) async fn cancel(&self, task: &str) -> CallToolResult {
        let Fleet { broker, caller, .. } = &self.fleet;
        let cancelled = match read(&json!({ "id": task })) {
            Ok(request) => broker.cancel_task(caller, &Target::Any, request).await,
            Err(error) => Err(error),
        };
        match cancelled {
            Ok(task) => outcome::of_task(&task),
            Err(error) => outcome::of_error(&error, None),
        }
    }

    fn cancels(&self, broken: Broken) -> bool {
        match broken {
            Broken::Cancelled => true,
            Broken::HungUp => self.fleet.cancel_on_hangup && self.hanging_up_cancels(),
            Broken::Leaving => false,
        }
    }

    /// Since 2026-07-28 a closed stream is how a call is cancelled; before that, it means nothing.
    fn hanging_up_cancels(&self) -> bool {
        let version = self.context.protocol_version();
        version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
    }

    /// Follows a task until it is over or asks; or until the call breaks off.
    async fn follow(&mut self, task: &str) -> Result<Result<Task, Broken>, A2aError> {
        if let Some(mut events) = self.events(task).await? {
            loop {
                let event = tokio::select! {
                    biased;
                    broken = self.broken() => return Ok(Err(broken)),
                    event = events.next() => event,
                };
                let Some(event) = event.transpose()? else { break };
                let state = self.tell(&event).await?;
                if state.is_some_and(|state| state.is_terminal() || state.is_interrupted()) {
                    break;
                }
            }
        }
        self.look_at(task).await.map(Ok)
    }

    /// What is to come of a task; nothing, if it is over.
    async fn events(&self, task: &str) -> Result<Option<TaskStream>, A2aError> {
        let Fleet { broker, caller, .. } = &self.fleet;
        match broker.follow(caller, &Target::Any, read(&json!({ "id": task }))?, None).await {
            Ok(events) => Ok(Some(events)),
            Err(error) if error.kind == ErrorKind::UnsupportedOperation => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn look_at(&self, task: &str) -> Result<Task, A2aError> {
        let Fleet { broker, caller, .. } = &self.fleet;
        let request = read(&json!({ "id": task, "historyLength": 0 }))?;
        said(&broker.get_task(caller, &Target::Any, request).await?)
    }

    async fn broken(&self) -> Broken {
        let mut phase = self.fleet.phase.clone();
        let cancelled = async {
            match &self.named {
                Some(named) => named.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // First: a broker that goes hangs up itself.
            () = begun(Phase::Draining, &mut phase) => Broken::Leaving,
            () = cancelled => Broken::Cancelled,
            () = self.context.ct.cancelled() => Broken::HungUp,
        }
    }

    /// Tells an event, if the caller wants to hear of progress; the state that the task is in then.
    async fn tell(&mut self, event: &StreamItem) -> Result<Option<TaskState>, A2aError> {
        let (state, news) = news(&said(&event.json)?);
        if let Some(token) = self.progress.token.clone() {
            self.progress.told += 1;
            let news: String = news.chars().take(MAX_PROGRESS_CHARS).collect();
            let progress =
                ProgressNotificationParam::new(token, f64::from(self.progress.told)).with_message(news);
            // Who is gone is noticed as such.
            let _ = self.context.peer.notify_progress(progress).await;
        }
        Ok(state)
    }
}

/// What an event says, and the state the task is in after it.
fn news(event: &StreamResponse) -> (Option<TaskState>, String) {
    let of_status = |status: &protocol::TaskStatus| {
        let said = status.message.as_ref().map(|message| message.joined_text());
        let said = said.filter(|text| !text.is_empty()).unwrap_or_else(|| outcome::in_words(status.state));
        (Some(status.state), said)
    };
    match event {
        StreamResponse::Task(task) => of_status(&task.status),
        StreamResponse::StatusUpdate(update) => of_status(&update.status),
        StreamResponse::Message(message) => (None, message.joined_text()),
        StreamResponse::ArtifactUpdate(update) => {
            let artifact = &update.artifact;
            let texts: Vec<String> = artifact.parts.iter().filter_map(protocol::Part::as_text).collect();
            let name = artifact.name.as_ref().filter(|_| texts.is_empty());
            (None, name.map_or_else(|| texts.concat(), Clone::clone))
        }
    }
}

/// A request of an operation, of a form that is right.
fn read<T: serde::de::DeserializeOwned>(request: &serde_json::Value) -> Result<T, A2aError> {
    serde_json::from_str(&request.to_string())
        .map_err(|error| A2aError::new(ErrorKind::InvalidParams, error.to_string()))
}

/// What the broker says itself.
fn said<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, A2aError> {
    serde_json::from_slice(json).map_err(|error| A2aError::new(ErrorKind::Internal, error.to_string()))
}
