//! What an agent did cannot be known, and it must not be sent again unasked: the attempt is held, visibly, until an
//! operator decides, the agent speaks after all, or the wait is over.

use protocol::TaskState;

use super::draft::Draft;
use super::input::AttemptId;
use super::state::{Phase, Progress};
use crate::TaskId;
use crate::audit::{Event, Resolved};
use crate::error::Refusal;
use crate::journal::{AttemptOutcome, Fact, Resolution};

impl Draft<'_> {
    /// Holds an attempt whose outcome is unknown; where nobody is to be waited for, the task fails.
    pub(super) fn hold_unknown(&mut self, attempt: AttemptId, reason: String) {
        let Some(deadline) = self.node(attempt.task).map(|node| node.submission.deadline) else { return };
        let until = self.now.add_millis(self.limits.unknown_hold_ms).min(deadline);
        if until <= self.now {
            return self.give_up(attempt, TaskState::Failed, AttemptOutcome::Unknown, reason);
        }
        let note =
            format!("{reason}; until {until} an operator can decide what to do (`bailiwick task resolve`)");
        self.record(attempt.task, Fact::OutcomeUnknown { number: attempt.number, reason, until });
        self.note_working(attempt.task, &note);
        self.go_on_asking(attempt);
    }

    /// An agent that knows the task can say what became of it once it can be reached again.
    pub(super) fn go_on_asking(&mut self, attempt: AttemptId) {
        let live = self.node(attempt.task).and_then(|node| node.live(attempt.number));
        if live.is_some_and(|live| live.agent_task.is_some()) {
            self.recover(attempt);
        }
    }

    pub(super) fn on_resolve(
        &mut self,
        task: TaskId,
        resolution: Resolution,
        by: String,
    ) -> Result<(), Refusal> {
        let node = self.node(task).ok_or(Refusal::NotFound)?;
        let live = node.live_attempt().filter(|live| matches!(live.progress, Progress::Unknown { .. }));
        let is_closing = matches!(node.phase, Phase::Closing { .. });
        let Some(live) = live.filter(|_| !is_closing) else {
            let problem = format!("task {task} has no attempt whose outcome is unknown");
            return Err(Refusal::NotPossible(problem));
        };
        let (attempt, reason) =
            (AttemptId { task, number: live.number }, live.reason.clone().unwrap_or_default());
        let (by_whom, root, agent) = (by.clone(), self.tree.root(), node.terms().agent.clone());
        let said = Resolved { by: by_whom, root, task, agent, attempt: attempt.number, resolution };
        self.audit(Event::Resolved(said));
        self.record(task, Fact::Resolved { number: attempt.number, by, resolution });
        match resolution {
            Resolution::Ask => {
                self.record(task, Fact::AttemptLost { number: attempt.number, reason });
                self.recover(attempt);
            }
            Resolution::Retry => self.schedule_retry(attempt, AttemptOutcome::Unknown, reason, 0),
            Resolution::Fail => self.give_up(attempt, TaskState::Failed, AttemptOutcome::Unknown, reason),
        }
        Ok(())
    }

    /// Nobody decided in time.
    pub(super) fn fail_unknown(&mut self, attempt: AttemptId) {
        let live = self.node(attempt.task).and_then(|node| node.live(attempt.number));
        let reason = live.and_then(|live| live.reason.clone()).unwrap_or_default();
        self.give_up(attempt, TaskState::Failed, AttemptOutcome::Unknown, reason);
    }
}
