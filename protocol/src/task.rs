//! Tasks and their status (spec §4.1.1, §4.1.2).

use crate::fields::wire_object;
use crate::{Artifact, Message, Metadata, TaskState, Timestamp};

wire_object! {
    /// Where a task stands.
    pub struct TaskStatus {
        /// The state.
        state: TaskState = "state",
        /// What the agent says about it.
        message: Option<Box<Message>> = "message",
        /// Since when.
        timestamp: Option<Timestamp> = "timestamp",
    }
}

wire_object! {
    /// A unit of work with a life of its own.
    pub struct Task {
        /// Made by the server.
        id: String = "id",
        /// The context it belongs to.
        context_id: Option<String> = "contextId",
        /// Where it stands.
        status: TaskStatus = "status",
        /// Its results so far.
        artifacts: Vec<Artifact> = "artifacts",
        /// Its conversation so far.
        history: Vec<Message> = "history",
        /// Extensions' data.
        metadata: Metadata = "metadata",
    }
}
