//! A caller continues a task: its message goes to the agent's own task. Until the agent is known to have it no other goes
//! out, whatever the agent says meanwhile: that may have been on its way before.

use std::sync::Arc;

use protocol::{Message, Role, StreamResponse, Task, TaskState, TaskStatus};

use super::draft::{Draft, agent_message_id};
use super::input::AttemptId;
use super::on_agent::has;
use super::state::{Node, Phase};
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

    /// The agent was asked, and this is where its task stood. A further message it had never got by then is sent again.
    pub(super) fn on_found(&mut self, attempt: AttemptId, task: Task, latest: &str) {
        let delivery = self.delivery(attempt, &task, latest);
        match delivery {
            Some(Delivery::Arrived) => self.on_taken(attempt, latest),
            Some(Delivery::Unknowable) => self.presume_taken(attempt, latest),
            Some(Delivery::Lacking | Delivery::Awaited) | None => {}
        }
        self.on_agent(attempt, StreamResponse::Task(task));
        if delivery == Some(Delivery::Lacking) {
            self.resend_turn(attempt, latest);
        }
    }

    /// Sends a further message again, so many times, if what the agent showed has left room for it: that may have ended the
    /// attempt.
    fn resend_turn(&mut self, attempt: AttemptId, latest: &str) {
        let AttemptId { task, number } = attempt;
        if self.turn_id(attempt).is_none_or(|id| id != latest) || self.agent_task(attempt).is_none() {
            return;
        }
        let Some(node) = self.node(task).filter(|node| node.takes_turns()) else { return };
        let Some(turn) = node.turn.clone() else { return };
        if turn.starts < self.limits.max_attempts {
            self.record(task, Fact::TurnResent { number });
            return self.send(attempt, Some(&turn.message));
        }
        let reason = format!("it lost the message {} times", turn.starts);
        let said = format!("{} has not got the message: {reason}", node.terms().agent);
        self.drop_turn(attempt, reason, &said);
    }

    /// What a task shows that was asked for after the further message `latest` had gone out.
    fn delivery(&self, attempt: AttemptId, found: &Task, latest: &str) -> Option<Delivery> {
        let turn = self.node(attempt.task).filter(|node| node.takes_turns())?.turn.as_deref()?;
        if self.turn_id(attempt)? != latest || found.status.state.is_terminal() {
            return None;
        }
        let shows_callers = found.history.iter().any(|message| message.role == Role::User);
        let is_asked = self.is_stale_question(attempt.task, &found.status);
        Some(match &turn.answers {
            _ if has(&found.history, latest) => Delivery::Arrived,
            Some(_) if !is_asked => Delivery::Arrived,
            _ if shows_callers => Delivery::Lacking,
            Some(_) if !turn.taken => Delivery::Lacking,
            Some(_) => Delivery::Awaited,
            None => Delivery::Unknowable,
        })
    }

    /// The agent has a further message.
    pub(super) fn on_taken(&mut self, attempt: AttemptId, latest: &str) {
        let AttemptId { task, number } = attempt;
        let turn = self.node(task).filter(|node| node.is_open()).and_then(|node| node.turn.as_deref());
        let is_known = turn.is_none_or(|turn| turn.taken);
        if !is_known && self.turn_id(attempt).is_some_and(|id| id == latest) {
            self.record(task, Fact::TurnTaken { number });
        }
    }

    /// Whether the agent has it is not to be known. It is not sent again, and stands in nobody's way.
    fn presume_taken(&mut self, attempt: AttemptId, latest: &str) {
        let Some(agent) = self.node(attempt.task).map(|node| node.terms().agent.clone()) else { return };
        self.on_taken(attempt, latest);
        let text = format!("{agent} does not show whether it got the last message, which is not sent again");
        self.note_working(attempt.task, &text);
    }

    /// The agent has an answer, and goes on without saying anything.
    pub(super) fn settle_answer(&mut self, attempt: AttemptId) {
        let AttemptId { task, number } = attempt;
        let turn = self.node(task).and_then(|node| node.turn.as_deref());
        if turn.is_some_and(|turn| turn.answers.is_some() && turn.taken) {
            self.record(task, Fact::TurnTaken { number });
        }
    }

    /// A caller's further message is refused: it stays in the conversation and is not sent again. A question that it
    /// should have answered is shown again when the agent says how its task stands.
    pub(super) fn take_back_turn(&mut self, attempt: AttemptId, reason: &str) {
        let AttemptId { task, number } = attempt;
        let Some(node) = self.node(task) else { return };
        if node.turn.is_none() || node.live(number).is_none() {
            return;
        }
        let said = format!("{} refused the message: {reason}", node.terms().agent);
        self.drop_turn(attempt, reason.to_owned(), &said);
    }

    fn drop_turn(&mut self, attempt: AttemptId, reason: String, said: &str) {
        self.record(attempt.task, Fact::TurnRefused { number: attempt.number, reason });
        self.note_working(attempt.task, said);
    }

    /// After an answer, the agent's stream may begin with the old question; it is not asked again.
    pub(super) fn is_stale_question(&self, task: TaskId, status: &TaskStatus) -> bool {
        let asked = Question::of(status.state, status.message.as_deref());
        let turn = self.node(task).and_then(|node| node.turn.as_deref());
        asked.is_some() && turn.is_some_and(|turn| turn.answers == asked)
    }

    /// The southbound id of the further message that is on its way.
    pub(super) fn turn_id(&self, attempt: AttemptId) -> Option<String> {
        let node = self.node(attempt.task).filter(|node| node.live(attempt.number).is_some())?;
        Some(agent_message_id(&node.turn.as_deref()?.message.message_id, attempt))
    }
}

/// What an agent's task says about a further message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// It is there, or what it answers is no longer asked.
    Arrived,
    /// It is not there though others are, or what it answers is still asked and nobody said that it came.
    Lacking,
    /// It was taken, and what comes of it is to be seen.
    Awaited,
    /// The task shows no messages.
    Unknowable,
}

/// A further message of the caller.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) message: Message,
    /// The question it answers, unless the agent went on by itself before it was known to have the answer: that it asks
    /// no more says nothing then.
    pub(super) answers: Option<Question>,
    /// The agent has it. An answer is kept until the agent reacts to it: until then it may go on showing the question.
    pub(super) taken: bool,
    /// How often it went out.
    pub(super) starts: u32,
}

/// Identifies a question of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) state: TaskState,
    pub(super) message_id: Option<String>,
}

impl Question {
    /// The question in a status, if it asks one.
    pub(super) fn of(state: TaskState, message: Option<&Message>) -> Option<Self> {
        state
            .is_interrupted()
            .then(|| Self { state, message_id: message.map(|message| message.message_id.clone()) })
    }
}

impl Node {
    /// Whether its agent can be sent a further message.
    pub(super) fn takes_turns(&self) -> bool {
        matches!(self.phase, Phase::Working | Phase::Asking(_))
    }

    /// Whether nothing is to be heard of its agent until the caller answers. What became of a message that is still on
    /// its way is to be heard.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::Asking(TaskState::InputRequired)) && self.turn.is_none()
    }

    /// A further message of the caller is on its way.
    pub(super) fn begin_turn(&mut self, message: &Message, answers: bool) {
        let answers = self.question.clone().filter(|_| answers);
        self.turn = Some(Arc::new(Turn { message: message.clone(), answers, taken: false, starts: 1 }));
    }

    /// It goes out again: the agent lacks it.
    pub(super) fn restart_turn(&mut self) {
        if let Some(turn) = self.turn.as_mut().map(Arc::make_mut) {
            (turn.taken, turn.starts) = (false, turn.starts + 1);
        }
    }

    /// The agent has that message. What an answer makes it say comes after that.
    pub(super) fn take_turn(&mut self) {
        match &mut self.turn {
            Some(turn) if turn.answers.is_some() && !turn.taken => Arc::make_mut(turn).taken = true,
            _ => self.turn = None,
        }
    }

    /// The agent goes on from what it asked: because of the answer if it has that. What it said before is no sign that
    /// it has it, and no word is one that it has a message that answers nothing.
    pub(super) fn go_on_from_question(&mut self) {
        match &mut self.turn {
            Some(turn) if turn.answers.is_some() && !turn.taken => Arc::make_mut(turn).answers = None,
            Some(turn) if turn.answers.is_some() => self.turn = None,
            _ => {}
        }
    }
}
