//! An agent gives the task it works on to another, for good: the same task northbound, another agent below. What the new
//! one may do is what a delegation by the former one would have given it; where the task stands in the tree, and whose
//! purses it draws on, stays.

use capability::ledger::{Ceilings, DELEGATION_FEE, Unit};
use protocol::Message;
use uuid::Uuid;

use super::action::Action;
use super::authority::Granted;
use super::draft::Draft;
use super::input::{AttemptId, NewHandOff, NewTask};
use super::on_delegate::may_delegate;
use super::purses::charged;
use super::state::Node;
use crate::TaskId;
use crate::audit;
use crate::error::{Refusal, Refused};
use crate::journal::{Allotment, AttemptOutcome, Fact, Reassignment};

/// Stands for the new agent's part while its terms are worked out: as if it were a task below.
const APART: TaskId = TaskId(Uuid::nil());

impl Draft<'_> {
    pub(super) fn on_hand_off(&mut self, asked: NewHandOff) -> Result<(), Refused> {
        let task = asked.task;
        let node = self.node(task).filter(|_| self.is_granted(task)).ok_or(Refusal::NotFound)?;
        may_delegate(node)?;
        if node.open_children > 0 {
            let problem = format!(
                "task {task} has open delegations; wait for them, or cancel them, before handing it off"
            );
            return Err(Refusal::NotPossible(problem).into());
        }
        let at_work = node.live_attempt().filter(|attempt| attempt.was_sent());
        let Some(number) = at_work.map(|attempt| attempt.number) else {
            return Err(Refusal::NotPossible(format!("nobody works on task {task} now")).into());
        };
        if node.handoffs() >= self.limits.max_handoffs {
            let limit = self.limits.max_handoffs;
            let problem = format!("task {task} has been handed over {limit} times (limits.max_handoffs)");
            return Err(Refusal::NotPossible(problem).into());
        }
        let (message, admitted) = (asked.message.clone(), asked.to.admitted);
        let new =
            as_delegated(node, asked, node.left_in(&charged(self.ledger(), node, &node.cost_handed_over())));
        self.judged(new, |draft, new, audit| {
            audit.task = task;
            let next = AttemptId { task, number: number + 1 };
            draft.hand_off(next, new, message, audit)?;
            draft.begin_attempt(next, admitted);
            Ok(())
        })
    }

    fn hand_off(
        &mut self,
        next: AttemptId,
        new: NewTask,
        message: Message,
        audit: &mut audit::Delegation,
    ) -> Result<(), Refusal> {
        let node = self.node(next.task).ok_or(Refusal::NotFound)?;
        audit.owner = Some(node.submission.owner.clone());
        if self.works_above(&new) {
            return Err(Refusal::Cycle { agent: new.agent.name });
        }
        let Granted { scope, skills, purses } =
            self.authorize_with(&charged(self.ledger(), node, &node.cost_handed_over()), &new, audit)?;
        let purses = in_place_of(&node.terms().purses, purses);
        let granted = Granted { scope, skills, purses };
        let retry = Some(self.retry(&new));
        let terms = granted.terms(new.agent, new.skill, new.agent_context);
        let said = format!("{} handed the task over to {}", node.terms().agent, terms.agent);
        let former = AttemptId { task: next.task, number: next.number - 1 };
        let outcome = AttemptOutcome::HandedOff;
        self.record(next.task, Fact::AttemptEnded { number: former.number, outcome, reason: None });
        self.act(Action::Abandon(former));
        let to = Reassignment { number: next.number, terms, retry, message: Some(message) };
        self.record(next.task, Fact::Reassigned(Box::new(to)));
        self.note_working(next.task, &said);
        Ok(())
    }
}

/// The wish as if the new agent got a task below.
fn as_delegated(node: &Node, asked: NewHandOff, left: Ceilings) -> NewTask {
    let mut budget = left;
    for unit in Unit::ALL {
        // The rest of the budget goes along, but for what handing it over costs.
        budget.set(unit, left.get(unit).map(|left| left.saturating_sub(DELEGATION_FEE.get(unit))));
    }
    let submission = &node.submission;
    NewTask {
        id: APART,
        parent: Some(node.id),
        caller: node.terms().agent.clone(),
        held: asked.held,
        agent: asked.to.agent,
        skill: asked.skill,
        asked: asked.asked,
        message: asked.message,
        context_id: submission.context_id.clone(),
        agent_context: asked.to.agent_context,
        accepted_output_modes: submission.accepted_output_modes.clone(),
        extensions: submission.extensions.clone(),
        deadline: Some(submission.deadline),
        retry: submission.retry_wish.clone(),
        admitted: asked.to.admitted,
        escalate: false,
        budget,
        policy: asked.to.policy,
        push: None,
        choice: None,
        specification: None,
        trace: submission.trace,
        upstream: None,
    }
}

/// Purses reserved with a task's own, reserved instead with what those are reserved with.
fn in_place_of(own: &[Allotment], below: Vec<Allotment>) -> Vec<Allotment> {
    let sources = |index: &u32| own.get(*index as usize).map(|own| own.from.clone()).unwrap_or_default();
    let lift = |purse: Allotment| {
        let mut from: Vec<u32> = purse.from.iter().flat_map(sources).collect();
        from.sort_unstable();
        from.dedup();
        Allotment { from, ..purse }
    };
    below.into_iter().map(lift).collect()
}
