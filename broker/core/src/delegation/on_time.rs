//! Time passes: attempts fall due, deadlines and silence end tasks, cancellations stop waiting. And after a
//! restart, everything under way is taken up again.

use protocol::{TaskState, Timestamp};

use super::Tree;
use super::draft::Draft;
use super::input::{AttemptId, Failure};
use super::state::{Node, Phase, Progress};
use crate::TaskId;
use crate::journal::{AttemptOutcome, Fact, Outcome};
use crate::limits::Limits;

/// When time next matters to a task.
pub(super) fn next_timer(tree: &Tree, node: &Node, limits: &Limits) -> Option<Timestamp> {
    if !node.is_open() {
        return None;
    }
    if let Phase::Closing { give_up, .. } = node.phase {
        return node.live_attempt().map(|_| give_up);
    }
    let due = match node.live_attempt().map(|attempt| attempt.progress) {
        Some(Progress::Scheduled { not_before: at } | Progress::Unknown { until: at }) => Some(at),
        Some(Progress::Queued | Progress::Seeking) | None => None,
        Some(_) => silence_limit(tree, node, limits),
    };
    Some(due.map_or(node.submission.deadline, |due| due.min(node.submission.deadline)))
}

/// When silence ends the task. A task that waits for its children or for its caller is not silent.
fn silence_limit(tree: &Tree, node: &Node, limits: &Limits) -> Option<Timestamp> {
    let limit = node.heard.add_millis(limits.silence_ms);
    match node.phase {
        Phase::Submitted | Phase::Working if node.open_children == 0 => Some(limit),
        // Nobody is left to answer the question.
        Phase::Asking(_) if delegator_is_done(tree, node) => Some(limit),
        _ => None,
    }
}

fn delegator_is_done(tree: &Tree, node: &Node) -> bool {
    let parent = node.submission.parent.and_then(|parent| tree.nodes.get(parent));
    parent.is_some_and(|parent| matches!(parent.phase, Phase::Held(_)))
}

impl Draft<'_> {
    pub(super) fn on_tick(&mut self) {
        for task in self.tasks() {
            self.on_time(task);
        }
    }

    fn on_time(&mut self, task: TaskId) {
        let Some(node) = self.node(task) else { return };
        let live = node.live_attempt().map(|attempt| (attempt.number, attempt.progress));
        let deadline = node.submission.deadline;
        let silent = silence_limit(self.tree, node, self.limits).is_some_and(|limit| limit <= self.now);
        match (&node.phase, live) {
            (Phase::Closing { give_up, .. }, Some((number, _))) if *give_up <= self.now => {
                let attempt = AttemptId { task, number };
                self.settle_cancel(attempt, AttemptOutcome::CancelUnconfirmed, None);
            }
            (Phase::Closing { .. } | Phase::Ended, _) => {}
            _ if deadline <= self.now => self.fail(task, &format!("the deadline {deadline} has passed")),
            (_, Some((number, Progress::Scheduled { not_before }))) if not_before <= self.now => {
                self.queue_attempt(AttemptId { task, number });
            }
            (_, Some((number, Progress::Unknown { until }))) if until <= self.now => {
                self.fail_unknown(AttemptId { task, number });
            }
            (_, Some((_, waiting))) if waiting.is_waiting() => {}
            (Phase::Asking(_), _) if silent => self.cancel_unanswered(task),
            (_, Some((number, _))) if silent => self.fail_silent(AttemptId { task, number }),
            _ => {}
        }
    }

    /// Nobody is left to answer but the root's caller, and that one has not.
    fn cancel_unanswered(&mut self, task: TaskId) {
        let seconds = self.limits.silence_ms / 1_000;
        let message =
            self.note(task, &format!("nobody answered its question within {seconds} s (limits.silence)"));
        self.close(task, Outcome::new(TaskState::Canceled, Some(message)));
    }

    /// Silence is a failure like others: the attempts table says what follows.
    fn fail_silent(&mut self, attempt: AttemptId) {
        let seconds = self.limits.silence_ms / 1_000;
        self.on_failed(attempt, &Failure::Silent { seconds }, 0);
    }

    pub(super) fn fail(&mut self, task: TaskId, reason: &str) {
        let message = self.note(task, reason);
        self.close(task, Outcome::new(TaskState::Failed, Some(message)));
    }

    /// The broker came back: ask after every attempt that may be under way.
    pub(super) fn on_resume(&mut self) {
        for task in self.tasks() {
            let Some(node) = self.node(task).filter(|node| node.is_open()) else { continue };
            let Some(attempt) = node.live_attempt() else { continue };
            let (number, progress) = (attempt.number, attempt.progress);
            let id_known = attempt.agent_task.is_some();
            let attempt = AttemptId { task, number };
            match (progress, &node.phase) {
                (Progress::Queued, _) => self.ask_for_place(attempt),
                (Progress::Seeking, _) => self.look_for_delegate(task),
                (Progress::Scheduled { .. } | Progress::Unknown { .. }, _)
                | (_, Phase::Asking(TaskState::InputRequired)) => {}
                (Progress::Canceling, _) if id_known => self.ask_to_cancel(attempt),
                _ => {
                    self.record(task, Fact::Resumed);
                    self.recover(attempt);
                }
            }
        }
    }
}
