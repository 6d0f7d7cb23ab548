//! A task is asked for: authority first, then the guards, then it exists.

use super::authority::Granted;
use super::draft::Draft;
use super::input::{AgentFacts, AttemptId, NewTask};
use super::state::{Node, Phase};
use crate::TaskId;
use crate::audit::{self, Event};
use crate::error::{Refusal, Refused};
use crate::journal::{Fact, Retry, Submission};
use crate::sabotage::{Guard, removed};

/// What a new task inherits.
struct Place {
    depth: u32,
    owner: String,
    deadline_limit: Option<protocol::Timestamp>,
}

impl Draft<'_> {
    pub(super) fn on_delegate(&mut self, new: NewTask) -> Result<(), Refused> {
        let mut audit = audit::Delegation::asked(self.tree.root(), &new);
        match self.delegate(new, &mut audit) {
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

    fn delegate(&mut self, new: NewTask, audit: &mut audit::Delegation) -> Result<(), Refusal> {
        let place = self.place(&new)?;
        audit.owner = Some(place.owner.clone());
        let Granted { scope, skills, purses } = self.authorize(&new, audit)?;
        self.guard(&new, &place)?;
        let deadline = self.deadline(&new, &place)?;

        let retry = self.retry_policy(&new);
        let task = new.id;
        let named = new.skill.is_some();
        let submission = Submission {
            parent: new.parent,
            depth: place.depth,
            owner: place.owner,
            caller: new.caller,
            agent: new.agent.name,
            identity: new.agent.identity,
            skill: new.skill,
            skills: if named { Vec::new() } else { skills },
            context_id: new.context_id,
            agent_context: new.agent_context,
            message: new.message,
            accepted_output_modes: new.accepted_output_modes,
            scope,
            deadline,
            retry,
            purses,
        };
        self.record(task, Fact::Submitted(Box::new(submission)));
        if let Some(push) = new.push {
            self.record(task, Fact::PushSet(Box::new(push)));
        }
        self.report_to_parent(task);
        self.start_attempt(AttemptId { task, number: 1 });
        Ok(())
    }

    pub(super) fn start_attempt(&mut self, attempt: AttemptId) {
        self.record(attempt.task, Fact::AttemptStarted { number: attempt.number });
        self.send(attempt, None);
    }

    /// Where the task will stand, if its parent can have children now.
    fn place(&self, new: &NewTask) -> Result<Place, Refusal> {
        let Some(parent) = new.parent else {
            return Ok(Place { depth: 0, owner: new.caller.clone(), deadline_limit: None });
        };
        let node = self.node(parent).ok_or(Refusal::NotFound)?;
        if !self.is_granted(parent) {
            // A dead grant opens nothing, not even an explanation.
            return Err(Refusal::NotFound);
        }
        may_delegate(node)?;
        Ok(Place {
            depth: node.submission.depth + 1,
            owner: node.submission.owner.clone(),
            deadline_limit: Some(node.submission.deadline),
        })
    }

    fn guard(&self, new: &NewTask, place: &Place) -> Result<(), Refusal> {
        let Some(parent) = new.parent else { return Ok(()) };
        if !removed(Guard::Cycles) && self.works_above(parent, &new.agent) {
            return Err(Refusal::Cycle { agent: new.agent.name.clone() });
        }
        if removed(Guard::Bounds) {
            return Ok(());
        }
        if place.depth > self.limits.max_depth {
            return Err(Refusal::DepthExceeded { depth: place.depth, limit: self.limits.max_depth });
        }
        let children = self.node(parent).map_or(0, |node| node.children.len());
        if children >= self.limits.max_fanout as usize {
            return Err(Refusal::FanoutExceeded { limit: self.limits.max_fanout });
        }
        if self.open() >= self.limits.max_live_tasks {
            return Err(Refusal::TreeTooLarge { limit: self.limits.max_live_tasks });
        }
        Ok(())
    }

    fn works_above(&self, parent: TaskId, agent: &AgentFacts) -> bool {
        self.lineage(parent).any(|node| node.submission.identity == agent.identity)
    }

    /// The deadline asked for, never later than the parent's.
    fn deadline(&self, new: &NewTask, place: &Place) -> Result<protocol::Timestamp, Refusal> {
        let default = self.now.add_millis(self.limits.default_deadline_ms);
        let asked = new.deadline.unwrap_or(default);
        if asked <= self.now {
            return Err(Refusal::DeadlinePassed { deadline: asked });
        }
        let limit = place.deadline_limit.filter(|_| !removed(Guard::Deadlines));
        Ok(limit.map_or(asked, |limit| asked.min(limit)))
    }

    fn retry_policy(&self, new: &NewTask) -> Retry {
        let asked =
            new.retry.unwrap_or(Retry { max_attempts: self.limits.default_max_attempts, idempotent: false });
        Retry { max_attempts: asked.max_attempts.clamp(1, self.limits.max_attempts), ..asked }
    }
}

/// Only an agent that is still at work may delegate.
fn may_delegate(node: &Node) -> Result<(), Refusal> {
    match node.phase {
        Phase::Submitted | Phase::Working | Phase::Asking(_) => Ok(()),
        Phase::Held(_) => Err(Refusal::NotPossible(format!(
            "task {} has reported completion; it can delegate no more",
            node.id
        ))),
        Phase::Closing { .. } | Phase::Ended => Err(Refusal::NotFound),
    }
}
