//! What a send or a stream answers with (spec §3.2.3, §4.2): told apart by member name, never by a `kind`.

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::fields::{Member, wire_object};
use crate::{Artifact, Fields, Invalid, Message, Metadata, Task, TaskStatus};

wire_object! {
    /// A change of a task's status.
    pub struct TaskStatusUpdateEvent {
        /// The task.
        task_id: String = "taskId",
        /// Its context.
        context_id: Option<String> = "contextId",
        /// The status from now on.
        status: TaskStatus = "status",
        /// Extensions' data.
        metadata: Metadata = "metadata",
    }
}

wire_object! {
    /// An artifact, or a piece of one.
    pub struct TaskArtifactUpdateEvent {
        /// The task.
        task_id: String = "taskId",
        /// Its context.
        context_id: Option<String> = "contextId",
        /// The artifact or the piece.
        artifact: Artifact = "artifact",
        /// The parts are to be added to the artifact of the same id.
        append: bool = "append",
        /// No more pieces follow.
        last_chunk: bool = "lastChunk",
        /// Extensions' data.
        metadata: Metadata = "metadata",
    }
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamResponse {
    /// The task as it stands.
    Task(Task),
    /// A direct answer; the stream's only event.
    Message(Message),
    /// A change of status.
    StatusUpdate(TaskStatusUpdateEvent),
    /// An artifact, or a piece of one.
    ArtifactUpdate(TaskArtifactUpdateEvent),
}

/// The answer to SendMessage.
#[derive(Debug, Clone, PartialEq)]
pub enum SendMessageResponse {
    /// A task that tracks the work.
    Task(Task),
    /// A direct answer.
    Message(Message),
}

impl Serialize for StreamResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Task(task) => map.serialize_entry("task", task)?,
            Self::Message(message) => map.serialize_entry("message", message)?,
            Self::StatusUpdate(update) => map.serialize_entry("statusUpdate", update)?,
            Self::ArtifactUpdate(update) => map.serialize_entry("artifactUpdate", update)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for StreamResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        read_stream_response(&fields).map_err(serde::de::Error::custom)
    }
}

fn read_stream_response(fields: &Fields) -> Result<StreamResponse, Invalid> {
    const MEMBERS: [&str; 4] = ["task", "message", "statusUpdate", "artifactUpdate"];
    fn read<T: Member>(name: &str, raw: &RawValue) -> Result<T, Invalid> {
        T::read(Some(raw)).map_err(|invalid| invalid.within(name))
    }
    let mut present =
        MEMBERS.iter().filter_map(|name| Some((*name, fields.get(name).filter(|raw| raw.get() != "null")?)));
    match (present.next(), present.next()) {
        (Some((name @ "task", raw)), None) => read(name, raw).map(StreamResponse::Task),
        (Some((name @ "message", raw)), None) => read(name, raw).map(StreamResponse::Message),
        (Some((name @ "statusUpdate", raw)), None) => read(name, raw).map(StreamResponse::StatusUpdate),
        (Some((name, raw)), None) => read(name, raw).map(StreamResponse::ArtifactUpdate),
        _ => Err(Invalid::new("expected exactly one of task, message, statusUpdate, artifactUpdate")),
    }
}

impl Serialize for SendMessageResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Task(task) => map.serialize_entry("task", task)?,
            Self::Message(message) => map.serialize_entry("message", message)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for SendMessageResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match StreamResponse::deserialize(deserializer)? {
            StreamResponse::Task(task) => Ok(Self::Task(task)),
            StreamResponse::Message(message) => Ok(Self::Message(message)),
            _ => Err(serde::de::Error::custom("expected exactly one of task, message")),
        }
    }
}

impl From<SendMessageResponse> for StreamResponse {
    fn from(response: SendMessageResponse) -> Self {
        match response {
            SendMessageResponse::Task(task) => Self::Task(task),
            SendMessageResponse::Message(message) => Self::Message(message),
        }
    }
}

impl TaskArtifactUpdateEvent {
    /// A whole artifact, as a snapshot holds it.
    pub fn whole(artifact: Artifact) -> Self {
        Self {
            task_id: String::new(),
            context_id: None,
            artifact,
            append: false,
            last_chunk: true,
            metadata: Metadata::default(),
            unknown: Fields::default(),
        }
    }
}
