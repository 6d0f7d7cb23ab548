//! Agent cards (spec §4.4): what the broker reads is typed, everything else is kept as it came.

use crate::fields::wire_object;
use crate::{Fields, Metadata, Version};

wire_object! {
    /// One way to reach an agent.
    pub struct AgentInterface {
        /// Where.
        url: String = "url",
        /// How: `JSONRPC`, `HTTP+JSON`, `GRPC`, or a URI.
        protocol_binding: String = "protocolBinding",
        /// To be echoed in every request.
        tenant: Option<String> = "tenant",
        /// The protocol version spoken there.
        protocol_version: String = "protocolVersion",
    }
}

wire_object! {
    /// A protocol extension an agent supports.
    pub struct AgentExtension {
        /// Its name.
        uri: Option<String> = "uri",
        /// What for.
        description: Option<String> = "description",
        /// Callers must support it.
        required: bool = "required",
        /// Its own parameters.
        params: Metadata = "params",
    }
}

wire_object! {
    /// What an agent can do beyond the core.
    pub struct AgentCapabilities {
        /// Streams.
        streaming: Option<bool> = "streaming",
        /// Push notifications.
        push_notifications: Option<bool> = "pushNotifications",
        /// Extensions.
        extensions: Vec<AgentExtension> = "extensions",
        /// A richer card for those who are known.
        extended_agent_card: Option<bool> = "extendedAgentCard",
    }
}

wire_object! {
    /// Something an agent can do.
    pub struct AgentSkill {
        /// Unique within the card.
        id: String = "id",
        /// For people.
        name: String = "name",
        /// For people and models.
        description: String = "description",
        /// Keywords.
        tags: Vec<String> = "tags",
        /// Requests it can serve.
        examples: Vec<String> = "examples",
        /// Media types in, where they differ from the card's.
        input_modes: Vec<String> = "inputModes",
        /// Media types out, likewise.
        output_modes: Vec<String> = "outputModes",
    }
}

wire_object! {
    /// Who an agent is, what it can do and how to reach it.
    pub struct AgentCard {
        /// For people.
        name: String = "name",
        /// For people and models.
        description: String = "description",
        /// Ways to reach it, preferred first.
        supported_interfaces: Vec<AgentInterface> = "supportedInterfaces",
        /// The agent's own version.
        version: String = "version",
        /// What it can do beyond the core.
        capabilities: Option<Box<AgentCapabilities>> = "capabilities",
        /// How to authenticate.
        security_schemes: Fields = "securitySchemes",
        /// Media types in.
        default_input_modes: Vec<String> = "defaultInputModes",
        /// Media types out.
        default_output_modes: Vec<String> = "defaultOutputModes",
        /// What it can do.
        skills: Vec<AgentSkill> = "skills",
    }
}

impl AgentInterface {
    /// The version spoken there, if it is understood; "1.0" and "1.0.0" say the same.
    pub fn version(&self) -> Option<Version> {
        Version::read(&self.protocol_version)
    }
}

impl AgentCard {
    /// Whether the agent streams.
    pub fn streams(&self) -> bool {
        self.capabilities.as_ref().and_then(|capabilities| capabilities.streaming).unwrap_or(false)
    }

    /// Whether the agent sends push notifications.
    pub fn pushes(&self) -> bool {
        self.capabilities.as_ref().and_then(|capabilities| capabilities.push_notifications).unwrap_or(false)
    }

    /// The parameters under which it supports an extension.
    pub fn extension(&self, uri: &str) -> Option<&AgentExtension> {
        self.capabilities.as_ref()?.extensions.iter().find(|extension| extension.uri.as_deref() == Some(uri))
    }
}
