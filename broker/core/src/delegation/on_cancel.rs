//! The one cascade: revoke, cancel the children (depth first), cancel the agent, then report. Cancellation,
//! failure of a delegator and deadlines all go through `close`.

use protocol::{Message, TaskState};

use super::action::Action;
use super::draft::Draft;
use super::input::AttemptId;
use super::state::{Phase, Progress};
use crate::TaskId;
use crate::error::Refusal;
use crate::journal::{AttemptOutcome, Fact, Outcome};

impl Draft<'_> {
    pub(super) fn on_cancel(&mut self, task: TaskId, by: &str) -> Result<(), Refusal> {
        let node = self.node(task).ok_or(Refusal::NotFound)?;
        match node.phase {
            Phase::Ended => return Err(Refusal::NotCancelable { task, state: node.state.as_str() }),
            Phase::Closing { .. } => return Ok(()),
            _ => {}
        }
        let message = self.note(task, &format!("canceled by {by}"));
        self.close(task, Outcome::new(TaskState::Canceled, Some(message)));
        Ok(())
    }

    /// Brings a task to an end that takes its subtree down with it.
    pub(super) fn close(&mut self, task: TaskId, outcome: Outcome) {
        let Some(node) = self.node(task) else { return };
        if matches!(node.phase, Phase::Ended | Phase::Closing { .. }) {
            return;
        }
        let done_by = node.done_by;
        if node.open_children == 0 && node.live_attempt().is_none() {
            self.end(task, outcome);
            return self.cancel_in_place(done_by);
        }
        let give_up = self.now.add_millis(self.limits.cancel_ms);
        self.record(task, Fact::Closing { outcome: Box::new(outcome), give_up });
        self.cancel_children(task, "canceled because the delegating task ended");
        self.cancel_attempt(task);
        self.finish_closing(task);
    }

    /// The agent's answer to a cancel request.
    pub(super) fn on_cancel_answered(&mut self, attempt: AttemptId, confirmed: bool, reason: Option<String>) {
        let outcome = if confirmed { AttemptOutcome::Canceled } else { AttemptOutcome::CancelUnconfirmed };
        self.settle_cancel(attempt, outcome, reason);
    }

    /// What became of the attempt of a closing task is known, or will never be.
    pub(super) fn settle_cancel(
        &mut self,
        attempt: AttemptId,
        outcome: AttemptOutcome,
        reason: Option<String>,
    ) {
        let Some(node) = self.node(attempt.task) else { return };
        if !matches!(node.phase, Phase::Closing { .. }) || node.live(attempt.number).is_none() {
            return;
        }
        self.record(attempt.task, Fact::AttemptEnded { number: attempt.number, outcome, reason });
        self.act(Action::Abandon(attempt));
        self.finish_closing(attempt.task);
    }

    /// Ends a closing task once nothing below it and nothing at its agent is open.
    pub(super) fn finish_closing(&mut self, task: TaskId) {
        let Some(node) = self.node(task) else { return };
        let Phase::Closing { outcome, .. } = &node.phase else { return };
        if node.open_children > 0 || node.live_attempt().is_some() {
            return;
        }
        let unconfirmed = node
            .attempts
            .last()
            .filter(|attempt| attempt.progress == Progress::Ended(AttemptOutcome::CancelUnconfirmed));
        let mut outcome = (**outcome).clone();
        if let Some(attempt) = unconfirmed {
            let reason = attempt.reason.as_deref().unwrap_or("no answer in time");
            let agent = &node.terms().agent;
            let text = format!("{agent} was asked to cancel and has not confirmed it ({reason})");
            outcome.message = Some(self.extended(task, outcome.message.as_ref(), &text));
        }
        self.end(task, outcome);
    }

    /// A closing message with one more sentence of the broker's.
    fn extended(&self, task: TaskId, message: Option<&Message>, text: &str) -> Message {
        let mut note = self.note(task, text);
        if let Some(message) = message {
            let mut parts = message.parts.clone();
            parts.append(&mut note.parts);
            note.parts = parts;
        }
        note
    }

    fn cancel_attempt(&mut self, task: TaskId) {
        let Some(attempt) = self.node(task).and_then(|node| node.live_attempt()) else { return };
        let number = attempt.number;
        if attempt.progress.is_waiting() {
            let outcome =
                if attempt.was_sent() { AttemptOutcome::Unknown } else { AttemptOutcome::NeverSent };
            self.ask_to_cancel(AttemptId { task, number });
            return self.record(task, Fact::AttemptEnded { number, outcome, reason: None });
        }
        self.record(task, Fact::CancelRequested { number });
        self.ask_to_cancel(AttemptId { task, number });
    }
}
