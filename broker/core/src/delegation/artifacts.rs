//! What agents make. A piece is recorded as it came, and of a whole artifact that is found at an agent only what is new:
//! one that grows is found again and again.

use protocol::{Artifact, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState};

use super::body::{bytes_of, status_bytes};
use super::draft::Draft;
use super::on_agent::agent_status;
use super::state::Phase;
use crate::TaskId;
use crate::extension;
use crate::journal::{ArtifactFact, Fact};

/// Most artifacts of one task: each piece of one is looked up among them.
const MAX_ARTIFACTS: usize = 10_000;
/// How many times as much as may be kept for a task may be written of it in all: what is replaced stays in the journal.
const MAX_REWRITES: u64 = 16;

/// What an event changes in what is kept for a task, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    added: u64,
    replaced: u64,
}

impl Draft<'_> {
    /// A piece, or a whole artifact.
    pub(super) fn on_artifact(&mut self, task: TaskId, update: TaskArtifactUpdateEvent) {
        let starts = self.node(task).is_some_and(|node| matches!(node.phase, Phase::Submitted));
        if starts {
            self.record(task, Fact::Status(Box::new(agent_status(TaskState::Working, None))));
            self.report_to_parent(task);
        }
        let piece = ArtifactFact {
            replaces: self.replaced_by(task, &update),
            artifact: extension::clean_artifact(update.artifact),
            append: update.append,
            last_chunk: update.last_chunk,
            metadata: extension::without_broker_data(update.metadata),
        };
        self.produce(task, Fact::Artifact(Box::new(piece)));
    }

    /// What a found artifact adds to what is known of it: nothing, further parts, or itself in place of that.
    pub(super) fn news_in(&self, task: TaskId, found: &Artifact) -> Option<TaskArtifactUpdateEvent> {
        let mut found = extension::clean_artifact(found.clone());
        let Some(known) = self.known_artifact(task, &found.artifact_id) else {
            return Some(TaskArtifactUpdateEvent::whole(found));
        };
        if !found.parts.starts_with(&known.parts) {
            return Some(TaskArtifactUpdateEvent::whole(found));
        }
        let mut rest = found.parts.split_off(known.parts.len());
        let append = found == *known;
        if append && rest.is_empty() {
            return None;
        }
        if append {
            found.parts = rest;
        } else {
            found.parts.append(&mut rest);
        }
        Some(TaskArtifactUpdateEvent { append, ..TaskArtifactUpdateEvent::whole(found) })
    }

    /// Why an event is too much to be kept, if it is.
    pub(super) fn excess(&self, task: TaskId, event: &StreamResponse) -> Option<String> {
        let change = match event {
            StreamResponse::Task(found) => self.change_by(task, found),
            StreamResponse::StatusUpdate(update) => {
                added(status_bytes(update.status.message.as_deref(), &update.metadata))
            }
            StreamResponse::ArtifactUpdate(update) => self.change_by_piece(task, update),
            StreamResponse::Message(message) => added(bytes_of(message)),
        };
        let artifacts = match event {
            StreamResponse::Task(task) => task.artifacts.len(),
            _ => self
                .tree
                .bodies
                .get(task)
                .map_or(0, |body| body.artifacts.len().max(body.withheld_artifacts.len())),
        };
        if artifacts > MAX_ARTIFACTS {
            return Some(format!("the agent's task has more than {MAX_ARTIFACTS} artifacts"));
        }
        let (node, limit) = (self.node(task)?, self.limits.max_task_bytes);
        let written = node.bytes.saturating_add(change.added);
        if written.saturating_sub(change.replaced) > limit {
            return Some(format!(
                "the agent's messages and artifacts exceed {limit} bytes (limits.max_task_size)"
            ));
        }
        (written.saturating_add(node.replaced) > limit.saturating_mul(MAX_REWRITES)).then(|| {
            format!(
                "the agent's messages and artifacts, with what it replaced of them, exceed {MAX_REWRITES} times {limit} \
                 bytes (limits.max_task_size)"
            )
        })
    }

    /// What a whole task would change: what is known of it already is kept once.
    fn change_by(&self, task: TaskId, found: &Task) -> Change {
        let messages = self.news_among(task, found).map(bytes_of).fold(0, u64::saturating_add);
        let pieces = found.artifacts.iter().filter_map(|artifact| self.news_in(task, artifact));
        let own = added(messages.saturating_add(bytes_of(&found.metadata)));
        pieces.map(|piece| self.change_by_piece(task, &piece)).fold(own, |all, one| Change {
            added: all.added.saturating_add(one.added),
            replaced: all.replaced.saturating_add(one.replaced),
        })
    }

    fn change_by_piece(&self, task: TaskId, piece: &TaskArtifactUpdateEvent) -> Change {
        let added = bytes_of(&piece.artifact) + bytes_of(&piece.metadata);
        Change { added, replaced: self.replaced_by(task, piece) }
    }

    /// The size of what a piece takes the place of, in bytes. Of two in one decision that say so, the first does.
    fn replaced_by(&self, task: TaskId, piece: &TaskArtifactUpdateEvent) -> u64 {
        let id = &piece.artifact.artifact_id;
        let is_of_it = |fact: &Fact| {
            let fact = if let Fact::Withheld(fact) = fact { fact } else { fact };
            matches!(fact, Fact::Artifact(earlier) if earlier.artifact.artifact_id == *id)
        };
        if piece.append || self.records().iter().any(|record| record.task == task && is_of_it(&record.fact)) {
            return 0;
        }
        self.known_artifact(task, id).map_or(0, bytes_of)
    }

    fn known_artifact(&self, task: TaskId, id: &str) -> Option<&Artifact> {
        let body = self.tree.bodies.get(task)?;
        body.artifacts.iter().chain(&body.withheld_artifacts).find(|known| known.artifact_id == id)
    }
}

fn added(bytes: u64) -> Change {
    Change { added: bytes, replaced: 0 }
}
