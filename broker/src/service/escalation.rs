//! What people decide about tasks: whether what one lacks is granted, and what is to become of one whose outcome nobody knows.

use std::sync::Arc;

use broker_core::delegation::input::{Input, NewGrant};
use broker_core::journal::Resolution;
use broker_core::{TaskId, Timestamp};
use protocol::{A2aError, ErrorKind, TaskState};
use schemars::JsonSchema;
use serde::Serialize;

use super::caller::{Caller, Identity, Role};
use super::driver::Reserved;
use super::{Broker, Target, error};
use crate::ports::store::RowQuery;

/// Rows looked through at a time.
const PAGE: usize = 256;
/// Most approvals shown at once.
const MAX_SHOWN: usize = 1_000;
/// What only an operator may do here.
const RESOLVE: &str = "decide about a task whose outcome is unknown";

/// A task that waits for approval.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Approval {
    /// The task.
    pub task: TaskId,
    /// The root of its tree.
    pub root: TaskId,
    /// The principal that owns the tree.
    pub owner: String,
    /// The agent it is for.
    pub agent: String,
    /// The skill, if one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// Canonical scope tokens that are missing.
    pub missing: Vec<String>,
    /// Since when it waits.
    pub since: Timestamp,
    /// When it is too late.
    pub deadline: Timestamp,
}

impl Broker {
    /// Tasks that wait for approval by this caller: all for an operator, else those of its own trees.
    pub async fn approvals(&self, caller: &Caller) -> Result<Vec<Approval>, A2aError> {
        let Identity::Principal { name, role, .. } = &caller.0 else {
            return Err(error::forbidden("an agent does not approve what agents may do"));
        };
        let owner = (*role != Role::Operator).then(|| name.clone());
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let query = RowQuery {
                owner: owner.clone(),
                state: Some(TaskState::AuthRequired),
                after,
                limit: PAGE,
                ..RowQuery::default()
            };
            let page = self.store.rows(query).await.map_err(|failure| error::store(&failure))?;
            for row in page.rows {
                let Some(cell) = self.trees.look_at(row.root).await? else { continue };
                let tree = cell.tree.lock().await;
                let Some(summary) = tree.summary(row.task).filter(|summary| !summary.missing.is_empty())
                else {
                    continue;
                };
                found.push(Approval {
                    task: row.task,
                    root: row.root,
                    owner: row.owner,
                    agent: summary.agent,
                    skill: summary.skill,
                    missing: summary.missing,
                    since: summary.updated,
                    deadline: summary.deadline,
                });
            }
            match page.next.filter(|_| found.len() < MAX_SHOWN) {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Grants what a task lacks, or denies it. For operators, and for whoever owns the tree.
    pub async fn decide_approval(
        self: &Arc<Self>,
        caller: &Caller,
        task: &str,
        approve: bool,
    ) -> Result<(), A2aError> {
        if !matches!(&caller.0, Identity::Principal { role: Role::Operator | Role::User, .. }) {
            return Err(error::forbidden("an agent does not approve what agents may do"));
        }
        let (cell, task) = self.find_readable(caller, &Target::Any, task).await?;
        let waiting = {
            let tree = cell.tree.lock().await;
            let context = tree.owner_and_context(task).map(|(_, context)| context.to_owned());
            let names = tree.awaits_approval(task).map(|(agent, owner)| (agent.to_owned(), owner.to_owned()));
            names.zip(context)
        };
        let Some(((agent, owner), context)) = waiting else {
            let message = format!("task {task} waits for no approval; see `bailiwick task approvals`");
            return Err(A2aError::new(ErrorKind::UnsupportedOperation, message));
        };
        let by = caller.display_name();
        if !approve {
            let input = Input::Decide { task, grant: None, by };
            return Ok(self.drive_cell(cell, input, Reserved::default()).await?);
        }
        let agent = self.registry.resolved(&agent).await?;
        let id = self.clock.new_task_id();
        let place = self.enter(&agent.name, id, &owner)?;
        let to = self.candidate(&agent, &owner, &context, place.admits());
        let to = to.ok_or_else(|| error::agent_not_found(&agent.name))?;
        let input = Input::Decide { task, grant: Some(Box::new(NewGrant { id, to })), by };
        let reserved = Reserved { places: vec![place], ..Reserved::default() };
        Ok(self.drive_cell(cell, input, reserved).await?)
    }

    /// Decides about a task whose outcome is unknown. For operators.
    pub async fn resolve_task(
        self: &Arc<Self>,
        caller: &Caller,
        task: &str,
        resolution: Resolution,
    ) -> Result<(), A2aError> {
        self.require_operator(caller, RESOLVE)?;
        let (cell, task) = self.find_readable(caller, &Target::Any, task).await?;
        let by = caller.display_name();
        Ok(self.drive_cell(cell, Input::Resolve { task, resolution, by }, Reserved::default()).await?)
    }
}
