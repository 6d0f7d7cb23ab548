//! A task goes to another delegate: its first one refused it, could not be reached, or failed where doing it twice is
//! harmless. What the new one may do is worked out anew from what was asked and what the delegator holds now; what the
//! former one says from now on is late, and its grant is dead.

use capability::Scope;
use protocol::{Message, TaskState};

use super::action::{Action, Search};
use super::draft::Draft;
use super::input::{AgentFacts, AttemptId, Candidate, NewTask};
use super::purses;
use super::state::{Node, Phase, Progress};
use crate::TaskId;
use crate::audit;
use crate::error::{Refusal, Refused};
use crate::journal::{AttemptOutcome, Fact, Outcome, Reassignment, Retry, Wish};

impl Draft<'_> {
    /// The attempt is over; the next is another delegate's, once one is found.
    pub(super) fn fall_back(&mut self, attempt: AttemptId, outcome: AttemptOutcome, reason: String) {
        let AttemptId { task, number } = attempt;
        let note = format!("{reason}; another delegate is looked for");
        self.abandon(attempt, outcome, reason);
        self.record(task, Fact::DelegateSought { number: number + 1 });
        self.note_working(task, &note);
        self.look_for_delegate(task);
    }

    /// Looks for another delegate if one is needed. What the former one delegated comes down first: it draws on the same
    /// purses.
    pub(super) fn look_for_delegate(&mut self, task: TaskId) {
        // Its caller is asked whom it is for.
        let is_ready = |node: &Node| node.open_children == 0 && !node.seeks_choice();
        let Some(node) = self.node(task).filter(|node| is_ready(node)) else { return };
        let Some(attempt) = seeking(node) else { return };
        let former = node.attempts.iter().filter_map(|attempt| attempt.former.as_deref());
        let above = self.lineage(task).map(|node| node.terms().agent.as_str());
        // Whoever did it could not judge it any more.
        let judge = node.submission.accept().and_then(|accept| Some(accept.judge.as_ref()?.agent.as_str()));
        let search = Search {
            attempt,
            among: node.retry().fallback.clone(),
            skill: node.terms().skill.clone(),
            skills: node.terms().skills.clone(),
            not: former.chain(above).chain(judge).map(ToOwned::to_owned).collect(),
            owner: node.submission.owner.clone(),
            context_id: node.submission.context_id.clone(),
        };
        self.act(Action::Seek(Box::new(search)));
    }

    pub(super) fn on_reassign(&mut self, attempt: AttemptId, to: Candidate) -> Result<(), Refused> {
        self.give_to(attempt, to, None)
    }

    /// Gives a task to a delegate, with a first message of its own or the task's.
    pub(super) fn give_to(
        &mut self,
        attempt: AttemptId,
        to: Candidate,
        message: Option<Message>,
    ) -> Result<(), Refused> {
        let node = self.node(attempt.task).ok_or(Refusal::NotFound)?;
        if seeking(node) != Some(attempt) || node.open_children > 0 || !self.is_granted(attempt.task) {
            return Err(Refusal::NotPossible(format!("task {} seeks no delegate now", attempt.task)).into());
        }
        let admitted = to.admitted;
        let new = asked_anew(node, to, self.ledger());
        self.judged(new, |draft, new, audit| draft.reassign(attempt, new, admitted, message, audit))
    }

    fn reassign(
        &mut self,
        attempt: AttemptId,
        mut new: NewTask,
        admitted: bool,
        message: Option<Message>,
        audit: &mut audit::Delegation,
    ) -> Result<(), Refusal> {
        let node = self.node(attempt.task).ok_or(Refusal::NotFound)?;
        audit.owner = Some(node.submission.owner.clone());
        if self.works_above(&new) || node.terms().identity == new.agent.identity {
            return Err(Refusal::Cycle { agent: new.agent.name });
        }
        // Who else may do it was said about the task; what is harmless is said about each delegate.
        let retry = Some(Retry { fallback: node.retry().fallback.clone(), ..self.retry(&new) });
        // What the former delegate did not use up is there for this one.
        let (former, cost) = (node.terms().clone(), node.cost_on_terms());
        purses::close(self, attempt.task, &former, &cost);
        let granted = self.authorize(&new, audit)?;
        let said = format!("attempt {} is with {}", attempt.number, new.agent.name);
        if let Some(choice) = new.choice.take() {
            self.record(attempt.task, Fact::Weighed(choice));
        }
        let terms = granted.terms(new.agent, new.skill, new.agent_context);
        let to = Reassignment { number: attempt.number, terms, retry, message };
        self.record(attempt.task, Fact::Reassigned(Box::new(to)));
        self.note_working(attempt.task, &said);
        self.begin_attempt(attempt, admitted);
        Ok(())
    }

    /// Nobody else can do it: the task ends as its last attempt did.
    pub(super) fn on_no_delegate(&mut self, attempt: AttemptId, reason: &str) {
        let Some(node) = self.node(attempt.task).filter(|node| seeking(node) == Some(attempt)) else {
            return;
        };
        let last = node.attempts.iter().rev().find(|attempt| !attempt.is_live());
        let why = last.and_then(|attempt| attempt.reason.clone()).unwrap_or_default();
        let was_refused =
            last.map(|attempt| attempt.progress) == Some(Progress::Ended(AttemptOutcome::Refused));
        let state = if was_refused { TaskState::Rejected } else { TaskState::Failed };
        let message = self.note(attempt.task, &format!("{why}; no other delegate can do it: {reason}"));
        let (number, outcome) = (attempt.number, AttemptOutcome::NeverSent);
        self.record(attempt.task, Fact::AttemptEnded { number, outcome, reason: Some(reason.to_owned()) });
        self.close(attempt.task, Outcome::new(state, Some(message)));
    }
}

impl super::Tree {
    /// Whether a task that looks for a delegate could be given to an agent now: the rule of [`Input::Reassign`], without
    /// its effects.
    ///
    /// [`Input::Reassign`]: super::input::Input::Reassign
    pub fn would_give(
        &self,
        task: TaskId,
        agent: AgentFacts,
        policy: Option<Scope>,
        now: protocol::Timestamp,
        limits: &crate::Limits,
    ) -> Result<(), Refusal> {
        let attempt = self.nodes.get(task).and_then(seeking).ok_or(Refusal::NotFound)?;
        let to = Candidate { agent, agent_context: String::new(), policy, admitted: true, choice: None };
        let given = Draft::new(self, now, limits).give_to(attempt, to, None);
        given.map_err(|refused| refused.refusal)
    }

    /// What was asked for, put to an agent, to ask what would become of it.
    pub fn asked_anew(&self, task: TaskId, agent: AgentFacts, policy: Option<Scope>) -> Option<NewTask> {
        let node = self.nodes.get(task)?;
        let agent_context = node.terms().agent_context.clone();
        let to = Candidate { agent, agent_context, policy, admitted: true, choice: None };
        let new = asked_anew(node, to, &self.ledger);
        Some(NewTask { message: Message::user_text(task.to_string(), ""), ..new })
    }
}

/// The attempt another delegate is looked for, if the task is not being taken down.
fn seeking(node: &Node) -> Option<AttemptId> {
    let live = node.live_attempt().filter(|attempt| attempt.progress == Progress::Seeking)?;
    let goes_on = matches!(node.phase, Phase::Submitted | Phase::Working | Phase::Asking(_));
    goes_on.then_some(AttemptId { task: node.id, number: live.number })
}

/// What was asked for, put to another agent.
fn asked_anew(node: &Node, to: Candidate, ledger: &purses::Purses) -> NewTask {
    let submission = &node.submission;
    let Wish { held, asked } = submission.wish.as_deref().cloned().unwrap_or_default();
    NewTask {
        id: node.id,
        parent: submission.parent,
        caller: submission.caller.clone(),
        held: held.unwrap_or_else(Scope::top),
        agent: to.agent,
        skill: node.terms().skill.clone(),
        asked,
        message: submission.message.clone(),
        context_id: submission.context_id.clone(),
        agent_context: to.agent_context,
        accepted_output_modes: submission.accepted_output_modes.clone(),
        extensions: submission.extensions.clone(),
        deadline: Some(submission.deadline),
        retry: submission.retry_wish.clone(),
        admitted: to.admitted,
        escalate: false,
        budget: node.left_in(&purses::charged(ledger, node, &node.cost_on_terms())),
        policy: to.policy,
        push: None,
        choice: to.choice,
        specification: submission.specification.clone(),
        trace: submission.trace,
        upstream: submission.upstream.clone(),
    }
}
