//! Artifacts a delegator gives along with a task, by reference: those that it made itself or was handed by what it
//! delegated. They are read where the message is sent, so that what is large is kept once, and a delegate gets what it was
//! given and nothing else of the tree.

use broker_acceptance::Reference;
use protocol::{Artifact, Message};
use serde::Serialize;

use super::body::bytes_of;
use super::draft::Draft;
use super::input::NewTask;
use super::state::Node;
use crate::TaskId;
use crate::error::Refusal;

/// Which parts of a message are an artifact that was given along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Given {
    /// The task that made it.
    pub task: TaskId,
    /// Its id there.
    pub artifact_id: String,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The first of its parts, counted from 0.
    pub first_part: usize,
    /// How many parts it has.
    pub parts: usize,
}

impl Draft<'_> {
    /// Whether what is given along is there, and the delegator's to give.
    pub(super) fn check_context(&self, new: &NewTask) -> Result<(), Refusal> {
        let missing = |reference: &Reference, why: String| Refusal::NotToGive {
            task: reference.task.clone(),
            artifact_id: reference.artifact_id.clone(),
            why,
        };
        let mut bytes = 0_u64;
        for reference in new.specification.iter().flat_map(|said| &said.context) {
            let delegator = new.parent.ok_or_else(|| {
                missing(reference, "a task at the root has no artifacts yet; send them as parts".to_owned())
            })?;
            let of_delegator = |task: &TaskId| self.tree.is_within(*task, delegator);
            let task = reference.task.parse().ok().filter(of_delegator).ok_or_else(|| {
                missing(
                    reference,
                    format!("expected {delegator} or a task below it, and an artifact of that"),
                )
            })?;
            let artifact = self.artifact(task, &reference.artifact_id).ok_or_else(|| {
                missing(
                    reference,
                    "the task has no artifact of that id; GetTask shows those it has".to_owned(),
                )
            })?;
            bytes = bytes.saturating_add(bytes_of(artifact));
            let limit = self.limits.max_task_bytes;
            if bytes > limit {
                let why = format!("all that is given along exceeds {limit} bytes (limits.max_task_size)");
                return Err(missing(reference, why));
            }
        }
        Ok(())
    }

    /// Puts what is given along behind a message's parts, and says which parts that are.
    pub(super) fn give_along(&self, node: &Node, message: &mut Message) -> Vec<Given> {
        let references = node.submission.specification.iter().flat_map(|said| &said.context);
        let found = references.filter_map(|reference| {
            let task = reference.task.parse().ok()?;
            Some((task, self.artifact(task, &reference.artifact_id)?))
        });
        // What has grown since it was looked at is not too large for want of looking.
        let mut room = self.limits.max_task_bytes;
        let mut found = found;
        let found = std::iter::from_fn(move || {
            let (task, artifact) = found.next()?;
            room = room.checked_sub(bytes_of(artifact))?;
            Some((task, artifact))
        });
        let give = |(task, artifact): (TaskId, &Artifact)| {
            let first_part = message.parts.len();
            message.parts.extend(artifact.parts.iter().cloned());
            let (artifact_id, name) = (artifact.artifact_id.clone(), artifact.name.clone());
            Given { task, artifact_id, name, first_part, parts: artifact.parts.len() }
        };
        found.map(give).collect()
    }

    fn artifact(&self, task: TaskId, id: &str) -> Option<&Artifact> {
        self.tree.bodies.get(task)?.artifacts.iter().find(|artifact| artifact.artifact_id == id)
    }
}
