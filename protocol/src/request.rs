//! What callers ask (spec §3.2, §3.1.3–3.1.6).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{A2aError, ErrorDetail, ErrorKind};
use crate::fields::wire_object;
use crate::push::TaskPushNotificationConfig;
use crate::{Fields, Message, Metadata, Task, TaskState, Timestamp};

/// Most tasks a page of ListTasks may hold (spec §3.1.4).
pub const MAX_PAGE_SIZE: u32 = 100;
/// Tasks on a page when the caller does not say.
const DEFAULT_PAGE_SIZE: u32 = 50;

wire_object! {
    /// How a message is to be handled.
    #[derive(Default)]
    pub struct SendMessageConfiguration {
        /// Media types the caller accepts.
        accepted_output_modes: Vec<String> = "acceptedOutputModes",
        /// A push configuration to create with the task.
        push: Option<Box<TaskPushNotificationConfig>> = "taskPushNotificationConfig",
        /// How many of the latest messages to return.
        history_length: Option<u32> = "historyLength",
        /// Answer as soon as the task exists.
        return_immediately: bool = "returnImmediately",
    }
}

wire_object! {
    /// SendMessage and SendStreamingMessage.
    pub struct SendMessageRequest {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
        /// The message.
        message: Message = "message",
        /// How it is to be handled.
        configuration: Option<Box<SendMessageConfiguration>> = "configuration",
        /// Extensions' data.
        metadata: Metadata = "metadata",
    }
}

wire_object! {
    /// GetTask.
    pub struct GetTaskRequest {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
        /// The task.
        id: String = "id",
        /// How many of the latest messages to return.
        history_length: Option<u32> = "historyLength",
    }
}

wire_object! {
    /// ListTasks.
    pub struct ListTasksRequest {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
        /// Only tasks of this context.
        context_id: Option<String> = "contextId",
        /// Only tasks in this state.
        status: Option<TaskState> = "status",
        /// Tasks on a page, 1–100, 50 by default.
        page_size: Option<u32> = "pageSize",
        /// Where to continue.
        page_token: Option<String> = "pageToken",
        /// How many of the latest messages to return with each task.
        history_length: Option<u32> = "historyLength",
        /// Only tasks whose status changed at or after this time.
        status_timestamp_after: Option<Timestamp> = "statusTimestampAfter",
        /// Return artifacts too.
        include_artifacts: Option<bool> = "includeArtifacts",
    }
}

/// A page of tasks. All members are always present (spec §3.1.4).
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTasksResponse {
    /// The tasks, newest status first.
    pub tasks: Vec<Task>,
    /// Where to continue; empty at the end.
    pub next_page_token: String,
    /// Tasks asked for on this page.
    pub page_size: u32,
    /// Tasks on all pages together.
    pub total_size: u64,
}

wire_object! {
    /// CancelTask.
    pub struct CancelTaskRequest {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
        /// The task.
        id: String = "id",
        /// Extensions' data.
        metadata: Metadata = "metadata",
    }
}

wire_object! {
    /// GetExtendedAgentCard.
    pub struct GetExtendedAgentCardRequest {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
    }
}

wire_object! {
    /// SubscribeToTask.
    pub struct SubscribeToTaskRequest {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
        /// The task.
        id: String = "id",
    }
}

/// Longest message or context id, bytes of UTF-8.
const MAX_ID_BYTES: usize = 1_024;

impl SendMessageRequest {
    /// A request with nothing but a message.
    pub fn new(message: Message) -> Self {
        Self {
            tenant: None,
            message,
            configuration: None,
            metadata: Metadata::default(),
            unknown: Fields::default(),
        }
    }

    /// Checks what the proto marks REQUIRED beyond presence (spec §5.7): a message id and at least one part. And that ids are
    /// such as can be kept and looked up anywhere, which the specification leaves open.
    pub fn validate(&self) -> Result<(), A2aError> {
        let mut violations = Vec::new();
        if self.message.message_id.is_empty() {
            violations.push(("message.messageId".to_owned(), "expected a non-empty string".to_owned()));
        }
        let ids = [
            ("message.messageId", Some(&self.message.message_id)),
            ("message.contextId", self.message.context_id.as_ref()),
        ];
        for (field, id) in ids {
            if id.is_some_and(|id| id.len() > MAX_ID_BYTES || id.contains('\0')) {
                let problem = format!("expected at most {MAX_ID_BYTES} bytes, and no NUL among them");
                violations.push((field.to_owned(), problem));
            }
        }
        if self.message.parts.is_empty() {
            violations.push(("message.parts".to_owned(), "expected at least one part".to_owned()));
        }
        if violations.is_empty() { Ok(()) } else { Err(invalid_params(violations)) }
    }

    /// Whether the caller wants its answer at once.
    pub fn returns_immediately(&self) -> bool {
        self.configuration.as_ref().is_some_and(|configuration| configuration.return_immediately)
    }

    /// How many messages of history the caller wants.
    pub fn history_length(&self) -> Option<usize> {
        self.configuration.as_ref()?.history_length.map(|length| length as usize)
    }
}

impl ListTasksRequest {
    /// The page size, checked.
    pub fn checked_page_size(&self) -> Result<u32, A2aError> {
        match self.page_size.unwrap_or(DEFAULT_PAGE_SIZE) {
            size @ 1..=MAX_PAGE_SIZE => Ok(size),
            size => Err(invalid_params(vec![(
                "pageSize".to_owned(),
                format!("expected 1 to {MAX_PAGE_SIZE}, found {size}"),
            )])),
        }
    }
}

/// Reads a request's parameters; absent parameters are an empty object.
pub fn read_params<T: serde::de::DeserializeOwned>(params: Option<&RawValue>) -> Result<T, A2aError> {
    let text = params.map_or("{}", RawValue::get);
    serde_json::from_str(text).map_err(|error| {
        let problem = crate::fields::strip_position(&error);
        let field = problem.split(": ").next().filter(|_| problem.contains(": ")).unwrap_or_default();
        invalid_params(vec![(field.to_owned(), problem.clone())])
    })
}

/// Reads a request from a path's or query's pairs, as ProtoJSON members (spec §11.5).
pub fn read_pairs<'p, T: serde::de::DeserializeOwned>(
    pairs: impl IntoIterator<Item = (Cow<'p, str>, Cow<'p, str>)>,
) -> Result<T, A2aError> {
    let mut members = serde_json::Map::new();
    for (name, value) in pairs {
        let value = match (name.as_ref(), value.as_ref()) {
            ("includeArtifacts", "true") => true.into(),
            ("includeArtifacts", "false") => false.into(),
            _ => serde_json::Value::String(value.into_owned()),
        };
        if members.insert(name.to_string(), value).is_some() {
            return Err(invalid_params(vec![(name.into_owned(), "given twice".to_owned())]));
        }
    }
    let raw = serde_json::value::to_raw_value(&members).ok();
    read_params(raw.as_deref())
}

/// InvalidParams with the fields that are wrong.
pub fn invalid_params(violations: Vec<(String, String)>) -> A2aError {
    let message = violations
        .iter()
        .map(|(field, problem)| {
            if field.is_empty() || problem.starts_with(field.as_str()) {
                problem.clone()
            } else {
                format!("{field}: {problem}")
            }
        })
        .collect::<Vec<_>>()
        .join("; ");
    A2aError::new(ErrorKind::InvalidParams, format!("Invalid parameters: {message}"))
        .with(ErrorDetail::BadRequest { field_violations: violations })
}
