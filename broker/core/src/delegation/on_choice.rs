//! Nobody said who is to do a task, and it is not clear enough to whom it belongs: the task exists, is the broker's own for
//! now, and asks its caller (INPUT_REQUIRED, with the candidates as data). The answer gives it to a delegate, whose terms
//! are worked out then as for any other. What belongs to none of the agents is refused, with the same explanation.

use capability::Scope;
use protocol::{Message, Part, TaskState};
use serde::Serialize;

use super::draft::Draft;
use super::input::{AttemptId, Candidate, NewTask};
use super::on_delegate::Particulars;
use super::on_group::BROKER_AGENT;
use super::state::{Node, Phase, Progress};
use crate::TaskId;
use crate::audit;
use crate::error::{Refusal, Refused};
use crate::journal::{Choice, ChoiceVerdict, Considered, Fact, Origin, Outcome};

/// Candidates a caller is shown.
const SHOWN: usize = 3;

/// The structured form of the question.
#[derive(Serialize)]
struct WhichAgent<'a> {
    question: &'static str,
    confidence: f64,
    candidates: &'a [Considered],
}

impl Draft<'_> {
    /// A task for which nobody is named, and which is to be asked about or refused, as the choice says.
    pub(super) fn on_ask(&mut self, new: NewTask) -> Result<(), Refused> {
        self.judged(new, Self::ask)
    }

    fn ask(&mut self, mut new: NewTask, audit: &mut audit::Delegation) -> Result<(), Refusal> {
        let Some(choice) = new.choice.take() else {
            return Err(Refusal::NotPossible("nothing was weighed".to_owned()));
        };
        let place = self.place(&new)?;
        audit.owner = Some(place.owner.clone());
        self.guard(&new, &place)?;
        let task = new.id;
        new.agent.identity = format!("{BROKER_AGENT}:{task}");
        let particulars = Particulars { seeks_choice: true, ..Particulars::default() };
        // Nothing is passed on until there is somebody to pass it on to.
        self.submit_undelegated(new, place, Scope::empty(), particulars)?;
        self.report_to_parent(task);
        self.record(task, Fact::DelegateSought { number: 1 });
        self.ask_whom(task, *choice);
        Ok(())
    }

    /// The answer names the delegate.
    pub(super) fn on_choose(
        &mut self,
        task: TaskId,
        message: &Message,
        to: Candidate,
    ) -> Result<(), Refused> {
        let task = self.answered(task, message)?;
        let said = self.tree.said_by_caller(task);
        let first = with_more(&said, message, to.choice.as_deref());
        self.record(task, Fact::Said(Box::new(message.clone())));
        self.give_to(AttemptId { task, number: 1 }, to, first)?;
        self.report_to_parent(task);
        Ok(())
    }

    /// The answer leaves it open, or shows that nobody is for it.
    pub(super) fn on_ask_again(
        &mut self,
        task: TaskId,
        message: &Message,
        choice: Choice,
    ) -> Result<(), Refused> {
        let task = self.answered(task, message)?;
        self.record(task, Fact::Said(Box::new(message.clone())));
        self.ask_whom(task, choice);
        Ok(())
    }

    /// Shows the question, or the refusal.
    fn ask_whom(&mut self, task: TaskId, choice: Choice) {
        let mut message = self.note(task, &text_of(&choice));
        let shown = choice.candidates.get(..SHOWN).unwrap_or(&choice.candidates);
        let question = WhichAgent { question: "agent", confidence: choice.confidence, candidates: shown };
        let data = serde_json::to_value(&question).ok();
        message.parts.extend(data.filter(|_| !shown.is_empty()).map(|data| Part::data(&data)));
        let refuses = choice.verdict == ChoiceVerdict::OutOfScope;
        self.record(task, Fact::Weighed(Box::new(choice)));
        if refuses {
            return self.close(task, Outcome::new(TaskState::Rejected, Some(message)));
        }
        self.show(task, TaskState::InputRequired, Some(message), Origin::Broker);
        self.report_to_parent(task);
    }

    /// The task whose question a message answers: the one it is sent to, or one below whose question is shown there.
    fn answered(&mut self, task: TaskId, message: &Message) -> Result<TaskId, Refusal> {
        let mut task = task;
        loop {
            let node = self.node(task).ok_or(Refusal::NotFound)?;
            if node.seeks_choice() {
                return Ok(task);
            }
            let Some(to) = node.bubbled.filter(|_| !matches!(node.phase, Phase::Asking(_))) else {
                return Err(Refusal::NotPossible(format!("task {task} does not ask for an agent")));
            };
            self.record(task, Fact::PassedOn { message: Box::new(message.clone()), to });
            self.report_to_parent(task);
            task = to;
        }
    }
}

impl super::Tree {
    /// The task whose question about its delegate is answered by a message to `task`, if that is what is asked there.
    pub fn asks_for_agent(&self, task: TaskId) -> Option<TaskId> {
        let shown = |node: &&Node| node.bubbled.and_then(|below| self.nodes.get(below));
        let mut below = std::iter::successors(self.nodes.get(task), shown);
        below.find(|node| node.seeks_choice()).map(|node| node.id)
    }

    /// What was said so far about what is to be done: the first message and what followed, oldest first.
    pub fn said_by_caller(&self, task: TaskId) -> Vec<&Message> {
        let (Some(node), Some(body)) = (self.nodes.get(task), self.bodies.get(task)) else {
            return Vec::new();
        };
        let history = body.history.iter().filter(|message| message.role == protocol::Role::User);
        std::iter::once(&node.submission.message).chain(history).collect()
    }

    /// How the task's delegate was chosen last.
    pub fn choice(&self, task: TaskId) -> Option<&Choice> {
        self.nodes.get(task)?.choice.as_deref()
    }
}

impl Node {
    /// Whether it waits for its caller to say who is to do it.
    pub(super) fn seeks_choice(&self) -> bool {
        let is_seeking = self.live_attempt().is_some_and(|attempt| attempt.progress == Progress::Seeking);
        is_seeking && matches!(self.phase, Phase::Asking(_)) && self.terms().agent == BROKER_AGENT
    }
}

/// The first message with what was said since about what is to be done; an answer that picks an agent says no more.
fn with_more(said: &[&Message], answer: &Message, choice: Option<&Choice>) -> Option<Message> {
    let (first, since) = said.split_first()?;
    let picks = choice.is_some_and(|choice| choice.verdict == ChoiceVerdict::Picked);
    let answer = Some(answer).filter(|_| !picks);
    let mut message = Message::clone(first);
    for more in since.iter().copied().chain(answer) {
        message.parts.extend(more.parts.iter().cloned());
    }
    Some(message)
}

fn text_of(choice: &Choice) -> String {
    if choice.verdict == ChoiceVerdict::OutOfScope {
        return "none of the agents is for this; name one (/agents/NAME) if you know better".to_owned();
    }
    let names: Vec<&str> =
        choice.candidates.iter().take(SHOWN).map(|candidate| candidate.agent.as_str()).collect();
    format!(
        "which agent is this for? {}; answer with a name, or say more about what is to be done",
        names.join(", ")
    )
}
