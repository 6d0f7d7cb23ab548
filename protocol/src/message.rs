//! Messages (spec §4.1.4).

use crate::fields::{wire_enum, wire_object};
use crate::{Fields, Metadata, Part};

wire_enum! {
    /// Who speaks (spec §4.1.5).
    pub enum Role, "a role" {
        /// The caller.
        User = "ROLE_USER",
        /// The agent.
        Agent = "ROLE_AGENT",
    }
}

wire_object! {
    /// One turn of a conversation. Parts may be empty here: agents leave them out of status messages;
    /// [`crate::SendMessageRequest::validate`] is strict with callers.
    pub struct Message {
        /// Unique id made by its sender.
        message_id: String = "messageId",
        /// The context it belongs to.
        context_id: Option<String> = "contextId",
        /// The task it belongs to.
        task_id: Option<String> = "taskId",
        /// Who speaks.
        role: Role = "role",
        /// The content.
        parts: Vec<Part> = "parts",
        /// Extensions' data.
        metadata: Metadata = "metadata",
        /// URIs of the extensions the message uses.
        extensions: Vec<String> = "extensions",
        /// Tasks it refers to.
        reference_task_ids: Vec<String> = "referenceTaskIds",
    }
}

impl Message {
    /// A text message of an agent.
    pub fn agent_text(message_id: impl Into<String>, text: &str) -> Self {
        Self::text(message_id.into(), Role::Agent, text)
    }

    /// A text message of a caller.
    pub fn user_text(message_id: impl Into<String>, text: &str) -> Self {
        Self::text(message_id.into(), Role::User, text)
    }

    fn text(message_id: String, role: Role, text: &str) -> Self {
        Self {
            message_id,
            context_id: None,
            task_id: None,
            role,
            parts: vec![Part::text(text)],
            metadata: Metadata::default(),
            extensions: Vec::new(),
            reference_task_ids: Vec::new(),
            unknown: Fields::default(),
        }
    }

    /// All text of its parts, joined by line breaks.
    pub fn joined_text(&self) -> String {
        self.parts.iter().filter_map(Part::as_text).collect::<Vec<_>>().join("\n")
    }
}
