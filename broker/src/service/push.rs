//! Push notifications: where a task's events are to be posted (spec §3.1.7–3.1.10), and getting them there. Who set
//! what is the core's to say, how far each receiver has come the store's; `outbox.rs` carries the one to the other.
//! Why it is built so: `docs/decisions/0009-push-outbox.md`.

mod dead_letters;
pub(super) mod hooks;
mod lanes;
mod outbox;
mod past;
mod read;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker_core::TaskId;
use broker_core::delegation::Push;
use broker_core::delegation::input::Input;
use broker_core::journal::PushConfig;
use protocol::{
    A2aError, AuthenticationInfo, DeleteTaskPushNotificationConfigRequest, Fields,
    GetTaskPushNotificationConfigRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, TaskPushNotificationConfig, Version,
};

pub use self::dead_letters::DeadLetter;
pub(super) use self::outbox::{Outbox, changes};
use super::caller::Caller;
use super::driver::Reserved;
use super::trees::TreeCell;
use super::{Broker, Target, error};
use crate::address::GivenBy;

/// How events are pushed.
#[derive(Debug, Clone, Copy)]
pub struct PushOptions {
    /// Callers may name this machine.
    pub loopback: bool,
    /// First wait after an event was not taken; doubles each time.
    pub backoff: Duration,
    /// Longest wait, if the receiver asks for no longer one.
    pub max_backoff: Duration,
    /// An event not taken for this long is a dead letter.
    pub give_up: Duration,
    /// Receivers of one host that are posted to at a time.
    pub per_host: usize,
    /// Receivers that are posted to at a time.
    pub at_once: usize,
}

impl Broker {
    /// Sets where a task's events are pushed from now on (spec §3.1.7), in the version the caller speaks. What is
    /// answered holds no secret.
    pub async fn create_push(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: TaskPushNotificationConfig,
        version: Version,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        let named = request.task_id.clone();
        let named = named.ok_or_else(|| error::invalid("taskId", "required, but missing"))?;
        let config = self.read_push(request, version)?;
        let (cell, task) = self.find_pushed(caller, target, &named).await?;
        let input = Input::SetPush { task, config: Box::new(config.clone()) };
        self.drive_cell(cell, input, Reserved::default()).await?;
        Ok(shown(task, &config))
    }

    /// One of a task's configurations, without its secrets (spec §3.1.8).
    pub async fn get_push(
        &self,
        caller: &Caller,
        target: &Target,
        request: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        let (cell, task) = self.find_pushed(caller, target, &request.task_id).await?;
        let tree = cell.tree.lock().await;
        let push = tree.push(task, &request.id).ok_or_else(error::task_not_found)?;
        Ok(shown(task, &push.config))
    }

    /// All of a task's configurations, without their secrets (spec §3.1.9).
    pub async fn list_push(
        &self,
        caller: &Caller,
        target: &Target,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2aError> {
        let after = request.page_token.as_deref().map(read_page_token).transpose()?;
        let limit = request.page_size.filter(|size| *size > 0).map_or(usize::MAX, |size| size as usize);
        let (cell, task) = self.find_pushed(caller, target, &request.task_id).await?;
        let tree = cell.tree.lock().await;
        let is_next = |push: &&Push| after.as_ref().is_none_or(|after| push.config.id > *after);
        let mut rest = tree.pushes(task).filter(is_next).map(|push| shown(task, &push.config));
        let configs: Vec<_> = rest.by_ref().take(limit).collect();
        let last = configs.last().and_then(|config| config.id.as_deref());
        let next_page_token = match (rest.next(), last) {
            (Some(_), Some(last)) => URL_SAFE_NO_PAD.encode(last),
            _ => String::new(),
        };
        Ok(ListTaskPushNotificationConfigsResponse { configs, next_page_token })
    }

    /// Pushes a task's events there no longer (spec §3.1.10).
    pub async fn delete_push(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), A2aError> {
        let (cell, task) = self.find_pushed(caller, target, &request.task_id).await?;
        Ok(self.drive_cell(cell, Input::DeletePush { task, id: request.id }, Reserved::default()).await?)
    }

    /// Reads a configuration as a caller sent it.
    pub(super) fn read_push(
        &self,
        sent: TaskPushNotificationConfig,
        version: Version,
    ) -> Result<PushConfig, A2aError> {
        read::config(sent, version, &self.push_given_by(), || self.clock.new_task_id().to_string())
    }

    /// What the URLs of configurations are judged by.
    fn push_given_by(&self) -> GivenBy {
        GivenBy::Caller { loopback: self.outbox.options.loopback }
    }

    /// The task a caller names, if its configurations are the caller's business: whoever may steer it, and so not the
    /// agent that works on it, which is told nothing of its delegator's receivers.
    async fn find_pushed(
        &self,
        caller: &Caller,
        target: &Target,
        id: &str,
    ) -> Result<(Arc<TreeCell>, TaskId), A2aError> {
        let (cell, task) = self.find_readable(caller, target, id).await?;
        let may = caller.may_steer(&*cell.tree.lock().await, task);
        if may { Ok((cell, task)) } else { Err(error::task_not_found()) }
    }
}

/// A configuration as it is shown: the scheme stands for the credentials, and the token is left out.
fn shown(task: TaskId, config: &PushConfig) -> TaskPushNotificationConfig {
    let scheme = config.scheme.clone();
    let info =
        |scheme| Box::new(AuthenticationInfo { scheme, credentials: None, unknown: Fields::default() });
    TaskPushNotificationConfig {
        tenant: None,
        id: Some(config.id.clone()),
        task_id: Some(task.to_string()),
        url: config.url.clone(),
        token: None,
        authentication: scheme.map(info),
        unknown: Fields::default(),
    }
}

fn read_page_token(token: &str) -> Result<String, A2aError> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| {
        error::invalid("pageToken", "not a token of this broker; use nextPageToken of the page before")
    })
}
