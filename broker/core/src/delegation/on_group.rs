//! Several sub-tasks as one: a task of the broker's own, whose children are delegated at once, and which is done when
//! enough of them are. What each achieved is kept, whatever becomes of the others.

use protocol::{Artifact, Message, Part, TaskState};

use super::authority::hold;
use super::draft::Draft;
use super::input::{NewGroup, NewTask};
use super::on_delegate::Particulars;
use super::state::{Node, Phase};
use crate::TaskId;
use crate::error::{Refusal, Refused};
use crate::journal::{ArtifactFact, Fact, Group, GroupMode, Origin, Outcome};

/// The broker, as the agent of its own tasks. No agent can be registered by this name.
pub const BROKER_AGENT: &str = "bailiwick";

/// How the sub-tasks of a group stand.
#[derive(Debug, Default, Clone, Copy)]
struct Standing {
    completed: u32,
    open: u32,
}

impl Draft<'_> {
    pub(super) fn on_group(&mut self, new: NewGroup) -> Result<(), Refused> {
        let NewGroup { task, group, subtasks } = new;
        let id = task.id;
        let note = format!("{} sub-tasks, {}", subtasks.len(), group.mode.name());
        self.submit_group(task, group)?;
        self.report_to_parent(id);
        let message = Some(self.note(id, &note));
        self.show_working(id, message, Origin::Broker);
        self.report_to_parent(id);
        for subtask in subtasks {
            self.on_delegate(subtask)?;
        }
        Ok(())
    }

    /// The broker acts for the delegator: the group holds what the delegator does, and passing on costs nothing here.
    fn submit_group(&mut self, mut new: NewTask, group: Group) -> Result<(), Refusal> {
        let place = self.place(&new)?;
        self.guard(&new, &place)?;
        let parent = new.parent.and_then(|parent| self.node(parent));
        let scope = hold(parent, &new, &self.charged_as_said(parent))?;
        new.agent.identity = format!("{BROKER_AGENT}:{}", new.id);
        let particulars = Particulars { group: Some(group), ..Particulars::default() };
        self.submit_undelegated(new, place, scope, particulars)
    }

    /// A sub-task has ended: takes over what it achieved, and ends the group once that is decided.
    pub(super) fn settle_group(&mut self, task: TaskId) {
        let Some(node) = self.node(task) else { return };
        let Some(group) = node.submission.group else { return };
        let children = node.children.clone();
        let standing = self.standing(&children);
        if standing.completed >= group.need {
            return self.end_group(task, TaskState::Completed, &children);
        }
        let can_be_reached = standing.completed + standing.open >= group.need;
        // Where all are wanted, what the others achieve is worth waiting for.
        let waits = can_be_reached || (group.mode == GroupMode::Parallel && standing.open > 0);
        if !waits {
            self.end_group(task, TaskState::Failed, &children);
        }
    }

    fn standing(&self, children: &[TaskId]) -> Standing {
        let nodes = children.iter().filter_map(|&child| self.node(child));
        nodes.fold(Standing::default(), |mut standing, node| {
            standing.open += u32::from(node.is_open());
            standing.completed += u32::from(node.state == TaskState::Completed);
            standing
        })
    }

    fn end_group(&mut self, task: TaskId, state: TaskState, children: &[TaskId]) {
        if self.node(task).is_none_or(|node| !matches!(node.phase, Phase::Submitted | Phase::Working)) {
            return;
        }
        let mut lines = Vec::new();
        for (index, &child) in children.iter().enumerate() {
            for artifact in self.achieved(child) {
                let artifact_id = format!("{}.{}", index + 1, artifact.artifact_id);
                self.record_artifact(task, Artifact { artifact_id, ..artifact });
            }
            lines.extend(self.node(child).map(|node| self.line(index + 1, node)));
        }
        let message = self.note(task, &lines.join("\n"));
        self.close(task, Outcome::new(state, Some(message)));
    }

    pub(super) fn record_artifact(&mut self, task: TaskId, artifact: Artifact) {
        let (append, last_chunk, replaces, metadata) = Default::default();
        let piece = ArtifactFact { artifact, append, last_chunk, replaces, metadata };
        self.record(task, Fact::Artifact(Box::new(piece)));
    }

    /// What a completed sub-task made: its artifacts, or the one message it answered with.
    pub(super) fn achieved(&self, task: TaskId) -> Vec<Artifact> {
        if self.node(task).is_none_or(|node| node.state != TaskState::Completed) {
            return Vec::new();
        }
        let mut artifacts = self.tree.bodies.get(task).map(|body| body.artifacts.clone()).unwrap_or_default();
        let now = self.records().iter().filter(|record| record.task == task);
        let mut direct = None;
        for record in now {
            match &record.fact {
                Fact::Artifact(piece) => {
                    protocol::merge_artifact(&mut artifacts, &piece.artifact, piece.append);
                }
                Fact::Ended(outcome) if outcome.direct => direct = outcome.message.as_ref(),
                _ => {}
            }
        }
        let before = || self.tree.one_message(task);
        artifacts.extend(direct.or_else(before).map(answer_as_artifact));
        artifacts
    }

    fn line(&self, number: usize, node: &Node) -> String {
        let terms = node.terms();
        let skill = terms.skill.as_deref().map(|skill| format!("/{skill}")).unwrap_or_default();
        let state =
            if node.is_open() { "no longer needed".to_owned() } else { node.state.as_str().to_owned() };
        let why = self.closing_words(node).map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{number}. {}{skill}: {state}{why}", terms.agent)
    }

    /// Why a sub-task did not complete, in its own words.
    fn closing_words(&self, node: &Node) -> Option<String> {
        if node.is_open() || node.state == TaskState::Completed {
            return None;
        }
        self.last_words(node.id)
    }

    /// What a task said at its end.
    pub(super) fn last_words(&self, task: TaskId) -> Option<String> {
        self.closing_message(task).as_ref().map(Message::joined_text)
    }

    /// The message a task ended with.
    pub(super) fn closing_message(&self, task: TaskId) -> Option<Message> {
        let now = self.records().iter().rev().find_map(|record| match &record.fact {
            Fact::Ended(outcome) if record.task == task => Some(outcome.message.as_ref()),
            _ => None,
        });
        let before = || self.tree.bodies.get(task).and_then(|body| body.status_message.as_ref());
        now.unwrap_or_else(before).cloned()
    }
}

/// A direct answer among artifacts.
fn answer_as_artifact(message: &Message) -> Artifact {
    let parts: Vec<Part> = message.parts.clone();
    let (name, description, unknown) = Default::default();
    Artifact {
        artifact_id: message.message_id.clone(),
        name,
        description,
        parts,
        metadata: message.metadata.clone(),
        extensions: Vec::new(),
        unknown,
    }
}
