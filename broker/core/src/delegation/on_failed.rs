//! The conversation with an agent failed: the attempts table says what follows.

use protocol::TaskState;

use super::action::Action;
use super::draft::Draft;
use super::input::{AttemptId, Failure};
use super::state::{Phase, Progress};
use crate::attempts::{self, Next};
use crate::journal::{AttemptOutcome, Fact, Outcome};
use crate::sabotage::{Guard, removed};

impl Draft<'_> {
    pub(super) fn on_failed(&mut self, attempt: AttemptId, failure: &Failure) {
        let Some(node) = self.node(attempt.task) else { return };
        let Some(live) = node.live(attempt.number) else { return };
        // The agent has the task, so what it never got is a further message; to begin the task again would do it twice.
        let failure = &match failure {
            Failure::NeverSent(reason) if live.agent_task.is_some() && !removed(Guard::FurtherMessages) => {
                Failure::Broken(reason.clone())
            }
            failure => failure.clone(),
        };
        match &node.phase {
            // The agent answers with its last word; it needs no listener until then.
            Phase::Asking(TaskState::InputRequired) if ends_quietly(failure) => return,
            Phase::Closing { .. } => {
                let id_known = live.agent_task.is_some();
                return self.on_failed_while_closing(attempt, failure, id_known);
            }
            _ => {}
        }
        let retry = node.submission.retry;
        let reason = attempts::describe(failure, &node.submission.agent);
        let asking = live.progress == Progress::Lost;
        match attempts::next(failure, attempt.number, retry) {
            Next::Recover => {
                if !asking {
                    self.record(attempt.task, Fact::AttemptLost { number: attempt.number, reason });
                }
                self.recover(attempt);
            }
            Next::Resend => self.start_attempt(attempt),
            Next::Retry(outcome) => self.schedule_retry(attempt, outcome, reason),
            Next::End(state, outcome) => self.give_up(attempt, state, outcome, reason),
        }
    }

    fn schedule_retry(&mut self, attempt: AttemptId, outcome: AttemptOutcome, reason: String) {
        let AttemptId { task, number } = attempt;
        let not_before = self.now.add_millis(self.limits.backoff(number + 1));
        let note = format!("{reason}; attempt {} follows", number + 1);
        self.abandon(attempt, outcome, reason);
        self.record(task, Fact::AttemptScheduled { number: number + 1, not_before });
        self.note_working(task, &note);
    }

    fn give_up(&mut self, attempt: AttemptId, state: TaskState, outcome: AttemptOutcome, reason: String) {
        let message = self.note(attempt.task, &reason);
        self.abandon(attempt, outcome, reason);
        self.close(attempt.task, Outcome::new(state, Some(message)));
    }

    /// The attempt is over for the broker; an agent that may still be at it is asked to stop.
    fn abandon(&mut self, attempt: AttemptId, outcome: AttemptOutcome, reason: String) {
        if matches!(outcome, AttemptOutcome::Failed | AttemptOutcome::Unknown) {
            self.ask_to_cancel(attempt);
        }
        self.record(
            attempt.task,
            Fact::AttemptEnded { number: attempt.number, outcome, reason: Some(reason) },
        );
        self.act(Action::Abandon(attempt));
    }

    /// Once a cancel request is out, only its answer or its deadline settles the attempt.
    fn on_failed_while_closing(&mut self, attempt: AttemptId, failure: &Failure, id_known: bool) {
        let outcome = match failure {
            Failure::NeverSent(_) | Failure::Absent { conclusive: true } => AttemptOutcome::NeverSent,
            Failure::Refused(_) => AttemptOutcome::Refused,
            Failure::Errored(_) => AttemptOutcome::Failed,
            _ if id_known => return,
            _ => AttemptOutcome::CancelUnconfirmed,
        };
        let agent = self.node(attempt.task).map(|node| node.submission.agent.clone()).unwrap_or_default();
        self.settle_cancel(attempt, outcome, Some(attempts::describe(failure, &agent)));
    }
}

fn ends_quietly(failure: &Failure) -> bool {
    matches!(failure, Failure::StreamEnded | Failure::Broken(_))
}
