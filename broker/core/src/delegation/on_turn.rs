//! A caller continues a task: its message goes to the agent's own task.

use protocol::Message;

use super::draft::Draft;
use super::input::AttemptId;
use super::state::Phase;
use crate::TaskId;
use crate::error::Refusal;
use crate::journal::Fact;

impl Draft<'_> {
    pub(super) fn on_turn(&mut self, task: TaskId, message: &Message) -> Result<(), Refusal> {
        if let Some(passed_on) = self.pass_on(task, message) {
            return passed_on;
        }
        let node = self.node(task).ok_or(Refusal::NotFound)?;
        let refusal = match &node.phase {
            // One at a time: what crosses another message on the way to the agent might overtake it, or get lost unseen.
            Phase::Working | Phase::Asking(_) if node.turn.is_some() => {
                Some("has not taken the message before yet; try again in a moment")
            }
            Phase::Working | Phase::Asking(_) => None,
            Phase::Submitted => Some("has not reached its agent yet; wait until it is working"),
            Phase::Held(_) | Phase::Checking(_) | Phase::Closing { .. } => {
                Some("is finishing and can take no further message")
            }
            Phase::Ended => Some("is over and can take no further message; start a new one"),
        };
        let attempt = node.live_attempt().filter(|attempt| attempt.agent_task.is_some());
        let number = attempt.map(|attempt| attempt.number);
        let (None, Some(number)) = (refusal, number) else {
            let why = refusal.unwrap_or("has no agent listening at the moment; try again later");
            return Err(Refusal::NotPossible(format!("task {task} {why}")));
        };

        let answers = matches!(node.phase, Phase::Asking(_));
        self.record(task, Fact::Turn { message: Box::new(message.clone()), answers });
        if answers {
            self.report_to_parent(task);
        }
        self.send(AttemptId { task, number }, Some(message));
        Ok(())
    }
}
