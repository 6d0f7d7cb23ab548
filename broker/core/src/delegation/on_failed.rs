//! The conversation with an agent failed: the attempts table says what follows.

use protocol::{Message, TaskState};

use super::action::Action;
use super::draft::Draft;
use super::input::{AttemptId, Failure};
use super::state::{Node, Phase, Progress};
use crate::TaskId;
use crate::attempts::{self, Next, Tried};
use crate::journal::{AttemptOutcome, Fact, Outcome};
use crate::sabotage::{Guard, removed};

impl Draft<'_> {
    pub(super) fn on_failed(&mut self, attempt: AttemptId, failure: &Failure, jitter: u16) {
        // The agent has the task, so what it never got or will not have is a further message. To begin the task again
        // would do it twice, and to end it would leave the agent at it: it is asked how the task stands.
        if self.agent_task(attempt).is_none() || removed(Guard::FurtherMessages) {
            return self.settle_failure(attempt, failure, jitter);
        }
        let has_turn = self.node(attempt.task).is_some_and(|node| node.turn.is_some());
        let reason = match failure {
            Failure::NeverSent(reason) | Failure::Down { reason, .. } | Failure::Busy { reason, .. } => {
                reason
            }
            Failure::Refused(reason) => {
                self.take_back_turn(attempt, reason);
                reason
            }
            Failure::Errored(reason) if has_turn => {
                self.take_back_turn(attempt, reason);
                reason
            }
            failure => return self.settle_failure(attempt, failure, jitter),
        };
        self.settle_failure(attempt, &Failure::Broken(reason.clone()), jitter);
    }

    fn settle_failure(&mut self, attempt: AttemptId, failure: &Failure, jitter: u16) {
        let Some(node) = self.node(attempt.task) else { return };
        let Some(live) = node.live(attempt.number) else { return };
        if matches!(live.progress, Progress::Unknown { .. }) {
            // It may yet come back and say; that it has not is known already. Whoever asked it may have made way for a
            // further message, which then failed. An agent that has said its last word about the task is not asked.
            if !matches!(failure, Failure::Gone(_) | Failure::Invalid(_)) {
                self.go_on_asking(attempt);
            }
            return;
        }
        if node.is_quiet() && ends_quietly(failure) {
            return;
        }
        if matches!(node.phase, Phase::Closing { .. }) {
            let id_known = live.agent_task.is_some();
            return self.on_failed_while_closing(attempt, failure, id_known);
        }
        let reason = attempts::describe(failure, &node.terms().agent);
        let asking = live.progress == Progress::Lost;
        let wait = self.limits.backoff(attempt.number + 1, jitter).max(asked_wait(failure));
        match self.follows(node, attempt, failure, wait) {
            Next::Recover => {
                if !asking {
                    self.record(attempt.task, Fact::AttemptLost { number: attempt.number, reason });
                }
                self.recover(attempt);
            }
            Next::Resend if live.starts < self.limits.max_attempts => self.start_attempt(attempt),
            Next::Resend => {
                let reason = format!("it lost the message {} times", live.starts);
                self.on_failed(attempt, &Failure::NeverSent(reason), jitter);
            }
            Next::Retry(outcome) => self.schedule_retry(attempt, outcome, reason, wait),
            Next::Fallback(outcome) => self.fall_back(attempt, outcome, reason),
            Next::Unknown => self.hold_unknown(attempt, reason),
            Next::Stop => self.fail(attempt.task, &reason),
            Next::End(state, outcome) => self.give_up(attempt, state, outcome, reason),
        }
    }

    /// What follows from a failure, another attempt no sooner than after so many milliseconds.
    pub(super) fn follows(&self, node: &Node, attempt: AttemptId, failure: &Failure, wait: i64) -> Next {
        let tried = self.tried(node, attempt.number);
        match attempts::next(failure, tried, node.retry()) {
            // It would be too late for this delegate by then.
            Next::Retry(_) if self.now.add_millis(wait) >= node.submission.deadline => {
                attempts::next(failure, Tried { here: u32::MAX, ..tried }, node.retry())
            }
            next => next,
        }
    }

    fn tried(&self, node: &Node, number: u32) -> Tried {
        Tried {
            here: number - node.first_attempt().min(number) + 1,
            in_all: number - node.handoffs(),
            limit: self.limits.max_attempts,
        }
    }

    /// An agent that reports REJECTED has refused the task as one that answers with an error has: it goes to another
    /// delegate if there may be one.
    pub(super) fn on_rejected(&mut self, attempt: AttemptId, words: Option<&Message>) -> bool {
        let Some(node) = self.node(attempt.task) else { return false };
        let failure = Failure::Refused(words.map(Message::joined_text).unwrap_or_default());
        let Next::Fallback(outcome) =
            attempts::next(&failure, self.tried(node, attempt.number), node.retry())
        else {
            return false;
        };
        let reason = attempts::describe(&failure, &node.terms().agent);
        self.fall_back(attempt, outcome, reason);
        true
    }

    pub(super) fn schedule_retry(
        &mut self,
        attempt: AttemptId,
        outcome: AttemptOutcome,
        reason: String,
        wait_ms: i64,
    ) {
        let AttemptId { task, number } = attempt;
        let not_before = self.now.add_millis(wait_ms);
        let note = format!("{reason}; attempt {} follows", number + 1);
        self.abandon(attempt, outcome, reason);
        self.record(task, Fact::AttemptScheduled { number: number + 1, not_before });
        self.note_working(task, &note);
    }

    pub(super) fn give_up(
        &mut self,
        attempt: AttemptId,
        state: TaskState,
        outcome: AttemptOutcome,
        reason: String,
    ) {
        let message = self.note(attempt.task, &reason);
        self.abandon(attempt, outcome, reason);
        self.close(attempt.task, Outcome::new(state, Some(message)));
    }

    /// The attempt is over for the broker: an agent that may still be at it is asked to stop, and so is everything it
    /// delegated.
    pub(super) fn abandon(&mut self, attempt: AttemptId, outcome: AttemptOutcome, reason: String) {
        if matches!(outcome, AttemptOutcome::Failed | AttemptOutcome::Unknown) {
            self.ask_to_cancel(attempt);
        }
        self.record(
            attempt.task,
            Fact::AttemptEnded { number: attempt.number, outcome, reason: Some(reason) },
        );
        self.act(Action::Abandon(attempt));
        self.cancel_children(attempt.task, "canceled because the attempt that delegated it is over");
    }

    pub(super) fn cancel_children(&mut self, task: TaskId, why: &str) {
        for child in self.node(task).map(|node| node.children.clone()).unwrap_or_default() {
            let message = self.note(child, why);
            self.close(child, Outcome::new(TaskState::Canceled, Some(message)));
        }
    }

    /// Once a cancel request is out, only its answer or its deadline settles the attempt.
    fn on_failed_while_closing(&mut self, attempt: AttemptId, failure: &Failure, id_known: bool) {
        let outcome = match failure {
            Failure::NeverSent(_)
            | Failure::Down { .. }
            | Failure::Busy { .. }
            | Failure::Absent { conclusive: true } => AttemptOutcome::NeverSent,
            Failure::Refused(_) => AttemptOutcome::Refused,
            Failure::Errored(_) => AttemptOutcome::Failed,
            _ if id_known => return,
            _ => AttemptOutcome::CancelUnconfirmed,
        };
        let agent = self.node(attempt.task).map(|node| node.terms().agent.clone()).unwrap_or_default();
        self.settle_cancel(attempt, outcome, Some(attempts::describe(failure, &agent)));
    }
}

fn ends_quietly(failure: &Failure) -> bool {
    matches!(failure, Failure::StreamEnded | Failure::Broken(_))
}

/// How long the agent asked to be left alone, or is not tried, in milliseconds.
fn asked_wait(failure: &Failure) -> i64 {
    match failure {
        Failure::Busy { retry_after_ms: Some(wait), .. } | Failure::Down { retry_after_ms: wait, .. } => {
            *wait
        }
        _ => 0,
    }
}
