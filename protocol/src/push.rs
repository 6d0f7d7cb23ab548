//! Push notification configurations and what is asked about them (spec §3.1.7–3.1.10, §4.3).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Invalid;
use crate::fields::{Member, wire_object};

/// The header in which a configuration's `token` travels. The specification leaves its name open; the SDKs agree.
pub const PUSH_TOKEN_HEADER: &str = "X-A2A-Notification-Token";

wire_object! {
    /// Where a task's events are to be posted, and with what proof.
    pub struct TaskPushNotificationConfig {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
        /// Which of the task's configurations this is; made by the server if absent.
        id: Option<String> = "id",
        /// The task; empty within SendMessage.
        task_id: Option<String> = "taskId",
        /// Where to post.
        url: String = "url",
        /// What the receiver knows its own task by.
        token: Option<Secret> = "token",
        /// How to authenticate there.
        authentication: Option<Box<AuthenticationInfo>> = "authentication",
    }
}

wire_object! {
    /// How a notification is authenticated (spec §4.3.2).
    pub struct AuthenticationInfo {
        /// The scheme of the `Authorization` header.
        scheme: String = "scheme",
        /// What follows it.
        credentials: Option<Secret> = "credentials",
    }
}

wire_object! {
    /// GetTaskPushNotificationConfig.
    pub struct GetTaskPushNotificationConfigRequest {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
        /// The task.
        task_id: String = "taskId",
        /// The configuration.
        id: String = "id",
    }
}

wire_object! {
    /// ListTaskPushNotificationConfigs.
    pub struct ListTaskPushNotificationConfigsRequest {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
        /// The task.
        task_id: String = "taskId",
        /// At most this many; all of them if absent.
        page_size: Option<u32> = "pageSize",
        /// Where to continue.
        page_token: Option<String> = "pageToken",
    }
}

wire_object! {
    /// DeleteTaskPushNotificationConfig.
    pub struct DeleteTaskPushNotificationConfigRequest {
        /// Routes within one endpoint.
        tenant: Option<String> = "tenant",
        /// The task.
        task_id: String = "taskId",
        /// The configuration.
        id: String = "id",
    }
}

/// A page of a task's configurations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTaskPushNotificationConfigsResponse {
    /// The configurations, by id.
    pub configs: Vec<TaskPushNotificationConfig>,
    /// Where to continue; absent at the end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub next_page_token: String,
}

/// A text that is nobody else's business: it is written and stored, but never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Member for Option<Secret> {
    /// The empty string is proto3's unset. What was found instead of a text is not repeated.
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        let Some(raw) = raw else { return Ok(None) };
        let text: String = serde_json::from_str(raw.get()).map_err(|_| Invalid::new("expected a string"))?;
        Ok((!text.is_empty()).then_some(Secret(text)))
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}
