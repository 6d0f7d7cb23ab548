//! The A2A v1.0 wire, sans-I/O: bytes ⇄ types, in both directions; and v0.3, translated to it and back.
//!
//! What passes through keeps what it does not know: every object holds its unknown members, and payloads nobody
//! here needs to look into stay the bytes they were. Nothing in this package knows of delegation.

mod agent_card;
mod artifact;
pub mod binding;
mod canonical;
mod card_signature;
mod error;
mod event;
mod fields;
mod json;
mod message;
mod operation;
mod part;
mod presence;
mod push;
mod request;
mod schema;
mod service_parameters;
mod task;
mod task_state;
mod timestamp;
pub mod v03;

pub use agent_card::{AgentCapabilities, AgentCard, AgentExtension, AgentInterface, AgentSkill};
pub use artifact::{Artifact, merge_artifact};
pub use canonical::canonicalize;
pub use card_signature::{CardSignature, ProtectedHeader, SignedForm, with_signatures, write_protected};
pub use error::{A2aError, ErrorDetail, ErrorKind};
pub use event::{SendMessageResponse, StreamResponse, TaskArtifactUpdateEvent, TaskStatusUpdateEvent};
pub use fields::{Fields, Invalid, Metadata, beginning};
pub use json::{MAX_NESTING, check_nesting, to_json};
pub use message::{Message, Role};
pub use operation::Operation;
pub use part::Part;
pub use push::{
    AuthenticationInfo, DeleteTaskPushNotificationConfigRequest, GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest, ListTaskPushNotificationConfigsResponse, PUSH_TOKEN_HEADER,
    Secret, TaskPushNotificationConfig,
};
pub use request::{
    CancelTaskRequest, GetExtendedAgentCardRequest, GetTaskRequest, ListTasksRequest, ListTasksResponse,
    MAX_PAGE_SIZE, SendMessageConfiguration, SendMessageRequest, SubscribeToTaskRequest, invalid_params,
    read_pairs, read_params,
};
pub use service_parameters::{EXTENSIONS_HEADER, PROTOCOL_VERSION, VERSION_HEADER, Version, check_version};
pub use task::{Task, TaskStatus};
pub use task_state::TaskState;
pub use timestamp::Timestamp;
