//! Questions that their delegator cannot hear: it has reported completion, or it is the broker itself. They are shown
//! where somebody can answer (on the root's task, or on the broker's own), one at a time, and the answer goes down to
//! exactly the task that asks.

use std::collections::BTreeMap;

use protocol::Message;

use super::draft::Draft;
use super::state::{Node, Phase};
use crate::TaskId;
use crate::error::Refusal;
use crate::journal::{Bubble, Fact, Origin};

impl Draft<'_> {
    /// Shows every question where it can be answered, and none that is no longer asked.
    pub(super) fn bubble(&mut self) {
        let matters =
            |node: &Node| node.is_asking() || matches!(node.phase, Phase::Held(_) | Phase::Checking(_));
        let may_have_changed =
            self.changed().any(|node| matters(node) || self.tree.nodes.get(node.id).is_some_and(matters));
        if !may_have_changed {
            return;
        }
        // Children before parents, so that what a group asks is seen further up. What is shown stays until it is answered:
        // whoever reads it may be answering it. Else, of several, the oldest asks first.
        let mut asked: BTreeMap<TaskId, TaskId> = BTreeMap::new();
        for task in self.all_tasks().into_iter().rev() {
            self.bubble_to(task, asked.get(&task).copied());
            let Some(target) = self.answered_at(task) else { continue };
            let shown = self.node(target).and_then(|node| node.bubbled);
            if shown.is_none() || asked.get(&target).copied() != shown {
                asked.insert(target, task);
            }
        }
    }

    fn bubble_to(&mut self, target: TaskId, asks: Option<TaskId>) {
        let Some(node) = self.node(target) else { return };
        let can_show =
            matches!(node.phase, Phase::Submitted | Phase::Working | Phase::Held(_) | Phase::Checking(_));
        let shown = node.bubbled;
        let is_brokers = node.submission.group.is_some() || node.done_by.is_some();
        let is_target = target == self.tree.root() || is_brokers;
        if !is_target || !can_show {
            return;
        }
        match asks {
            Some(asks) if shown == Some(asks) && !self.asks_anew(asks) => {}
            Some(asks) => self.show_question(target, asks),
            None if shown.is_some() => {
                let message = self.note(target, "nothing is asked any more");
                self.show_working(target, Some(message), Origin::Broker);
                self.report_to_parent(target);
            }
            None => {}
        }
    }

    /// Whether a task asks something in this very decision, be it in place of what it asked before.
    fn asks_anew(&self, task: TaskId) -> bool {
        self.records().iter().filter(|record| record.task == task).any(|record| match &record.fact {
            Fact::Status(status) => status.state.is_interrupted(),
            Fact::Bubbled(_) => true,
            _ => false,
        })
    }

    /// Where a question is answered that its delegator cannot hear.
    fn answered_at(&self, task: TaskId) -> Option<TaskId> {
        let node = self.node(task).filter(|node| node.is_open() && node.is_asking())?;
        if let Some(stands_for) = node.in_place_of {
            return Some(stands_for);
        }
        let parent = self.node(node.submission.parent?)?;
        match parent.phase {
            _ if parent.submission.group.is_some() => Some(parent.id),
            Phase::Held(_) | Phase::Checking(_) => Some(self.tree.root()),
            _ => None,
        }
    }

    fn show_question(&mut self, target: TaskId, asks: TaskId) {
        let Some(note) = self.node(asks).map(Node::child_note) else { return };
        let message = self.question_of(asks).map(|mut message| {
            message.task_id = Some(target.to_string());
            message.context_id = self.node(target).map(|node| node.submission.context_id.clone());
            message
        });
        self.record(target, Fact::Bubbled(Box::new(Bubble { asks: note, message })));
        self.report_to_parent(target);
    }

    /// What a task asks: in this decision, or before it.
    fn question_of(&self, task: TaskId) -> Option<Message> {
        let now =
            self.records().iter().rev().filter(|record| record.task == task).find_map(|record| match &record
                .fact
            {
                Fact::Status(status) => Some(status.message.clone()),
                Fact::Bubbled(bubble) => Some(bubble.message.clone()),
                _ => None,
            });
        let before = || self.tree.bodies.get(task).and_then(|body| body.status_message.clone());
        now.unwrap_or_else(before)
    }

    /// Passes an answer on to the task whose question is shown, if that is what it answers.
    pub(super) fn pass_on(&mut self, task: TaskId, message: &Message) -> Option<Result<(), Refusal>> {
        let node = self.node(task)?;
        let to = node.bubbled.filter(|_| !matches!(node.phase, Phase::Asking(_)))?;
        self.record(task, Fact::PassedOn { message: Box::new(message.clone()), to });
        self.report_to_parent(task);
        Some(self.on_turn(to, message))
    }

    /// All tasks, those of this decision included, in order of creation.
    pub(super) fn all_tasks(&self) -> Vec<TaskId> {
        let mut tasks = self.tasks();
        tasks.extend(self.changed().map(|node| node.id).filter(|&task| self.tree.nodes.get(task).is_none()));
        tasks.sort_unstable();
        tasks
    }
}
