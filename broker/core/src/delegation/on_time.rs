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

/// What time brings to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Its agent has not confirmed that it stops.
    Unconfirmed,
    /// It should be over.
    Deadline,
    /// Another attempt.
    Attempt,
    /// No operator has decided about its outcome.
    Undecided,
    /// Nobody has answered its question.
    Unanswered,
    /// Its agent has said nothing for too long.
    Silence,
}

/// What time brings to a task next, and when. The one rule for waking up and for what is done then.
fn due<'n>(
    node: &'n Node,
    find: impl Fn(TaskId) -> Option<&'n Node>,
    limits: &Limits,
) -> Option<(Timestamp, Due)> {
    let live = node.live_attempt().map(|attempt| attempt.progress);
    match node.phase {
        Phase::Ended => return None,
        Phase::Closing { give_up, .. } => return live.map(|_| (give_up, Due::Unconfirmed)),
        _ => {}
    }
    let deadline = node.submission.deadline;
    let limit = node.heard.add_millis(limits.silence_ms);
    let before = match (&node.phase, live) {
        (_, Some(Progress::Scheduled { not_before })) => Some((not_before, Due::Attempt)),
        (_, Some(Progress::Unknown { until })) => Some((until, Due::Undecided)),
        // Nobody is left to answer the question.
        (Phase::Asking(_), _) if delegator_is_done(node, find) => Some((limit, Due::Unanswered)),
        (_, Some(Progress::Queued | Progress::Seeking)) => None,
        // A task that waits for its children or for its caller is not silent.
        (Phase::Submitted | Phase::Working, Some(_)) if node.open_children == 0 => {
            Some((limit, Due::Silence))
        }
        _ => None,
    };
    Some(before.filter(|(at, _)| *at < deadline).unwrap_or((deadline, Due::Deadline)))
}

/// Whether whoever delegated a task has reported completion. The broker's own tasks hear for the one above them.
fn delegator_is_done<'n>(node: &'n Node, find: impl Fn(TaskId) -> Option<&'n Node>) -> bool {
    let above = std::iter::successors(Some(node), |node| find(node.submission.parent?)).skip(1);
    let mut delegators = above.skip_while(|node| node.submission.group.is_some());
    delegators.next().is_some_and(|delegator| matches!(delegator.phase, Phase::Held(_) | Phase::Checking(_)))
}

/// When time next matters to a task.
pub(super) fn next_timer(tree: &Tree, node: &Node, limits: &Limits) -> Option<Timestamp> {
    due(node, |task| tree.nodes.get(task), limits).map(|(at, _)| at)
}

impl Draft<'_> {
    pub(super) fn on_tick(&mut self) {
        for task in self.tasks() {
            self.on_time(task);
        }
    }

    fn on_time(&mut self, task: TaskId) {
        let Some(node) = self.node(task) else { return };
        let what = due(node, |task| self.node(task), self.limits).filter(|(at, _)| *at <= self.now);
        let Some((_, what)) = what else { return };
        let (deadline, is_closing) = (node.submission.deadline, matches!(node.phase, Phase::Closing { .. }));
        // Where both have come while nobody was there, the end goes before what would have been done until then.
        let what = if deadline <= self.now && !is_closing { Due::Deadline } else { what };
        let live = node.live_attempt().map(|attempt| AttemptId { task, number: attempt.number });
        match (what, live) {
            (Due::Unconfirmed, Some(live)) => {
                self.settle_cancel(live, AttemptOutcome::CancelUnconfirmed, None);
            }
            (Due::Attempt, Some(live)) => self.queue_attempt(live),
            (Due::Undecided, Some(live)) => self.fail_unknown(live),
            (Due::Silence, Some(live)) => self.fail_silent(live),
            (Due::Unanswered, _) => self.cancel_unanswered(task),
            (Due::Deadline, _) => self.on_deadline(task, deadline),
            (_, None) => {}
        }
    }

    /// What an agent completed in time is completed, whatever its delegations did not manage.
    fn on_deadline(&mut self, task: TaskId, deadline: Timestamp) {
        let held = self.node(task).and_then(|node| match &node.phase {
            Phase::Held(outcome) => Some((**outcome).clone()),
            Phase::Checking(checking) => Some(checking.outcome.clone()),
            _ => None,
        });
        match held {
            Some(outcome) => self.release_unchecked(task, outcome),
            None => self.fail(task, &format!("the deadline {deadline} has passed")),
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
            let (phase, is_quiet) = (node.phase.clone(), node.is_quiet());
            self.check_again(task);
            let Some(attempt) = self.node(task).and_then(Node::live_attempt) else { continue };
            let (number, progress) = (attempt.number, attempt.progress);
            let id_known = attempt.agent_task.is_some();
            let attempt = AttemptId { task, number };
            match (progress, &phase) {
                (Progress::Queued, _) => self.ask_for_place(attempt),
                (Progress::Seeking, _) => self.look_for_delegate(task),
                (Progress::Unknown { .. }, _) => self.go_on_asking(attempt),
                (Progress::Scheduled { .. }, _) => {}
                _ if is_quiet => {}
                (Progress::Canceling, _) if id_known => self.ask_to_cancel(attempt),
                _ => {
                    self.record(task, Fact::Resumed);
                    self.recover(attempt);
                }
            }
        }
    }
}
