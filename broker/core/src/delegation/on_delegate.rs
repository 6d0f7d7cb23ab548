//! A task is asked for: authority first, then the guards, then it exists.

use std::sync::Arc;

use capability::{Allowed, Scope};

use super::action::Action;
use super::authority::Granted;
use super::draft::Draft;
use super::input::{AttemptId, NewTask};
use super::state::{Attempt, Node, Phase, Progress};
use crate::audit::{self, Event};
use crate::error::{Refusal, Refused};
use crate::journal::{Escalation, Fact, Group, Retry, Submission, Wish};
use crate::sabotage::{Guard, removed};

/// Of the time that is left, a delegator keeps no more than one part in so many.
const HOP_RESERVE_SHARE: i64 = 10;

/// What a new task inherits.
pub(super) struct Place {
    pub(super) depth: u32,
    pub(super) owner: String,
    deadline_limit: Option<protocol::Timestamp>,
}

/// What makes a task another than one delegation to one agent that may have it.
#[derive(Default)]
pub(super) struct Particulars {
    pub(super) group: Option<Group>,
    pub(super) escalation: Option<Escalation>,
    /// Its delegate is yet to be chosen.
    pub(super) seeks_choice: bool,
}

impl Draft<'_> {
    pub(super) fn on_delegate(&mut self, new: NewTask) -> Result<(), Refused> {
        self.judged(new, Self::delegate)
    }

    /// Does what is asked, and says in the audit log what was asked and what became of it.
    pub(super) fn judged(
        &mut self,
        new: NewTask,
        what: impl FnOnce(&mut Self, NewTask, &mut audit::Delegation) -> Result<(), Refusal>,
    ) -> Result<(), Refused> {
        let mut audit = audit::Delegation::asked(self.tree.root(), &new);
        match what(self, new, &mut audit) {
            Ok(()) => {
                self.audit(Event::Delegation(Box::new(audit)));
                Ok(())
            }
            Err(refusal) => {
                audit.refuse(&refusal);
                Err(Refused { refusal, audit: Some(Box::new(Event::Delegation(Box::new(audit)))) })
            }
        }
    }

    fn delegate(&mut self, mut new: NewTask, audit: &mut audit::Delegation) -> Result<(), Refusal> {
        let place = self.place(&new)?;
        audit.owner = Some(place.owner.clone());
        let granted = match self.authorize(&new, audit) {
            Err(Refusal::CapabilityExceeded { missing, explanation }) if new.escalate => {
                return self.escalate(new, place, missing, &explanation);
            }
            judged => judged?,
        };
        self.guard(&new, &place)?;
        let first = AttemptId { task: new.id, number: 1 };
        let (admitted, choice) = (new.admitted, new.choice.take());
        self.submit(new, place, granted, Particulars::default())?;
        if let Some(choice) = choice {
            self.record(first.task, Fact::Weighed(choice));
        }
        self.report_to_parent(first.task);
        self.begin_attempt(first, admitted);
        Ok(())
    }

    /// Whether that would be allowed.
    pub(super) fn would_delegate(&self, new: &NewTask) -> Result<(), Refusal> {
        let mut unrecorded = audit::Delegation::asked(self.tree.root(), new);
        let place = self.place(new)?;
        self.authorize(new, &mut unrecorded)?;
        self.guard(new, &place)
    }

    /// The task exists from here on, and whoever is to be told of it is.
    pub(super) fn submit(
        &mut self,
        new: NewTask,
        place: Place,
        granted: Granted,
        particulars: Particulars,
    ) -> Result<(), Refusal> {
        self.check_context(&new)?;
        let deadline = self.deadline(&new, &place)?;
        let retry = self.retry(&new);
        let Particulars { group, escalation, seeks_choice } = particulars;
        // What was asked for matters again where other terms may have to be worked out.
        let judge = new.specification.as_deref().and_then(|said| said.accept.as_ref()?.judge.as_ref());
        let is_kept = !retry.fallback.is_none() || escalation.is_some() || judge.is_some() || seeks_choice;
        let wish = is_kept.then(|| Box::new(Wish::of(new.held, new.asked)));
        let submission = Submission {
            parent: new.parent,
            depth: place.depth,
            owner: place.owner,
            caller: new.caller,
            terms: granted.terms(new.agent, new.skill, new.agent_context),
            context_id: new.context_id,
            message: new.message,
            accepted_output_modes: new.accepted_output_modes,
            extensions: new.extensions,
            deadline,
            retry,
            retry_wish: new.retry,
            wish,
            group,
            escalation: escalation.map(Box::new),
            specification: new.specification,
            trace: new.trace,
            upstream: new.upstream,
        };
        self.record(new.id, Fact::Submitted(Arc::new(submission)));
        if let Some(push) = new.push {
            self.record(new.id, Fact::PushSet(Box::new(push)));
        }
        Ok(())
    }

    /// A task that is with no delegate yet, or with none at all: what it holds is all that follows from authority.
    pub(super) fn submit_undelegated(
        &mut self,
        new: NewTask,
        place: Place,
        holds: Scope,
        particulars: Particulars,
    ) -> Result<(), Refusal> {
        let parent = new.parent.and_then(|parent| self.node(parent));
        let allowed = Allowed { effective: holds, skills: Vec::new(), under: Vec::new() };
        let purses = self.allot(&new, parent, &allowed, &self.charged_as_said(parent))?;
        let granted = Granted { scope: allowed.effective, skills: allowed.skills, purses };
        self.submit(new, place, granted, particulars)
    }

    /// What holds about trying again with an agent: what the caller says, or else its operator.
    pub(super) fn retry(&self, new: &NewTask) -> Retry {
        let of_agent = new.agent.retry_of(new.skill.as_deref());
        new.retry.clone().or(&of_agent).settle(self.limits)
    }

    /// An attempt goes out if there is a place for it, and else waits for one.
    pub(super) fn begin_attempt(&mut self, attempt: AttemptId, admitted: bool) {
        if admitted { self.start_attempt(attempt) } else { self.queue_attempt(attempt) }
    }

    pub(super) fn queue_attempt(&mut self, attempt: AttemptId) {
        self.record(attempt.task, Fact::AttemptQueued { number: attempt.number });
        self.ask_for_place(attempt);
    }

    pub(super) fn ask_for_place(&mut self, attempt: AttemptId) {
        let Some(node) = self.node(attempt.task) else { return };
        let (agent, owner) = (node.terms().agent.clone(), node.submission.owner.clone());
        self.act(Action::Admit { attempt, agent, owner });
    }

    /// There is a place for the attempt.
    pub(super) fn on_admitted(&mut self, attempt: AttemptId) {
        let live = self.node(attempt.task).and_then(|node| node.live(attempt.number));
        if live.is_some_and(|live| live.progress == Progress::Queued) {
            self.start_attempt(attempt);
        }
    }

    pub(super) fn start_attempt(&mut self, attempt: AttemptId) {
        self.record(attempt.task, Fact::AttemptStarted { number: attempt.number });
        self.send(attempt, None);
    }

    /// Where the task will stand, if its parent can have children now.
    pub(super) fn place(&self, new: &NewTask) -> Result<Place, Refusal> {
        let Some(parent) = new.parent else {
            let depth = new.upstream.as_deref().map_or(0, |upstream| upstream.depth);
            return Ok(Place { depth, owner: new.caller.clone(), deadline_limit: None });
        };
        let node = self.node(parent).ok_or(Refusal::NotFound)?;
        if !self.is_granted(parent) {
            // A dead grant opens nothing, not even an explanation.
            return Err(Refusal::NotFound);
        }
        may_delegate(node)?;
        let is_brokers = node.submission.group.is_some();
        if !is_brokers && !node.live_attempt().is_some_and(Attempt::was_sent) {
            return Err(Refusal::NotPossible(format!("nobody works on task {parent} now")));
        }
        Ok(self.place_below(node))
    }

    /// Where a child of a task will stand, whoever delegates.
    pub(super) fn place_below(&self, node: &Node) -> Place {
        Place {
            depth: node.submission.depth + 1,
            owner: node.submission.owner.clone(),
            deadline_limit: Some(self.shorter(node.submission.deadline)),
        }
    }

    /// A deadline a little before another, so that whoever waits for a delegate can still say what came of it.
    fn shorter(&self, deadline: protocol::Timestamp) -> protocol::Timestamp {
        let left = deadline.as_millis().saturating_sub(self.now.as_millis());
        deadline.add_millis(-self.limits.hop_reserve_ms.min(left / HOP_RESERVE_SHARE).max(0))
    }

    pub(super) fn guard(&self, new: &NewTask, place: &Place) -> Result<(), Refusal> {
        if !removed(Guard::Cycles) && self.works_above(new) {
            return Err(Refusal::Cycle { agent: new.agent.name.clone() });
        }
        if removed(Guard::Bounds) {
            return Ok(());
        }
        if place.depth > self.limits.max_depth {
            return Err(Refusal::DepthExceeded { depth: place.depth, limit: self.limits.max_depth });
        }
        let Some(parent) = new.parent else { return Ok(()) };
        let children = self.node(parent).map_or(0, |node| node.children.len());
        if children >= self.limits.max_fanout as usize {
            return Err(Refusal::FanoutExceeded { limit: self.limits.max_fanout });
        }
        if self.open() >= self.limits.max_live_tasks {
            let (limit, what) = (self.limits.max_live_tasks, "open tasks (limits.max_live_tasks)");
            return Err(Refusal::TreeTooLarge { limit, what });
        }
        if self.size() >= self.limits.max_tree_tasks as usize {
            let (limit, what) = (self.limits.max_tree_tasks, "tasks in all (limits.max_tree_tasks)");
            return Err(Refusal::TreeTooLarge { limit, what });
        }
        Ok(())
    }

    /// The deadline asked for, never later than the parent's.
    pub(super) fn deadline(&self, new: &NewTask, place: &Place) -> Result<protocol::Timestamp, Refusal> {
        let default = self.now.add_millis(self.limits.default_deadline_ms);
        let asked = new.deadline.unwrap_or(default);
        if asked <= self.now {
            return Err(Refusal::DeadlinePassed { deadline: asked });
        }
        let limit = place.deadline_limit.filter(|_| !removed(Guard::Deadlines));
        Ok(limit.map_or(asked, |limit| asked.min(limit)))
    }
}

/// Only an agent that is still at work may delegate.
pub(super) fn may_delegate(node: &Node) -> Result<(), Refusal> {
    match node.phase {
        Phase::Submitted | Phase::Working | Phase::Asking(_) => Ok(()),
        Phase::Held(_) | Phase::Checking(_) => Err(Refusal::NotPossible(format!(
            "task {} has reported completion; it can delegate no more",
            node.id
        ))),
        Phase::Closing { .. } | Phase::Ended => Err(Refusal::NotFound),
    }
}
