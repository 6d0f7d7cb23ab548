//! A delegation lacks a capability that a task further up holds: instead of refusing it, the broker asks. The task exists,
//! shown as AUTH_REQUIRED, and nothing of it is sent. What is granted is granted to another task, below the one that holds
//! it, so that no task ever gets more than its delegator has; that task does it in the first one's place.

use capability::Scope;
use protocol::TaskState;

use super::draft::Draft;
use super::input::{Candidate, NewGrant, NewTask};
use super::on_delegate::{Particulars, Place};
use super::state::{Node, Phase};
use crate::TaskId;
use crate::audit::{self, Event};
use crate::error::{Refusal, Refused};
use crate::extension;
use crate::journal::{Escalation, Fact, Origin, Outcome};

impl Draft<'_> {
    /// Lets a task wait for what it lacks, if a task further up holds that; else it is refused as always.
    pub(super) fn escalate(
        &mut self,
        new: NewTask,
        place: Place,
        missing: Vec<String>,
        explanation: &str,
    ) -> Result<(), Refusal> {
        let Some(holder) = self.holder_above(&new) else {
            let explanation = format!("{explanation}; no task further up holds it either");
            return Err(Refusal::CapabilityExceeded { missing, explanation });
        };
        self.guard(&new, &place)?;
        let task = new.id;
        let text = format!("{explanation}; waiting for approval (`bailiwick task approve {task}`)");
        let escalation = Some(Escalation { holder, missing });
        let particulars = Particulars { escalation, ..Particulars::default() };
        self.submit_undelegated(new, place, Scope::empty(), particulars)?;
        self.report_to_parent(task);
        let message = Some(self.note(task, &text));
        self.show(task, TaskState::AuthRequired, message, Origin::Broker);
        self.report_to_parent(task);
        Ok(())
    }

    /// The nearest task above the delegating one that could have it done itself.
    fn holder_above(&self, new: &NewTask) -> Option<TaskId> {
        let above = self.lineage(new.parent?).skip(1).map(|node| node.id);
        above.into_iter().find(|&holder| {
            let mut unrecorded = audit::Delegation::asked(self.tree.root(), new);
            let of_holder = NewTask { parent: Some(holder), held: Scope::top(), ..new.clone() };
            self.authorize(&of_holder, &mut unrecorded).is_ok()
        })
    }

    /// Somebody who may has decided about what a task lacks.
    pub(super) fn on_decide(
        &mut self,
        task: TaskId,
        grant: Option<NewGrant>,
        by: &str,
    ) -> Result<(), Refused> {
        let node = self.node(task).ok_or(Refusal::NotFound)?;
        let waits = matches!(node.phase, Phase::Asking(_)) && node.done_by.is_none();
        let Some(escalation) = node.submission.escalation.clone().filter(|_| waits) else {
            return Err(Refusal::NotPossible(format!("task {task} waits for no approval")).into());
        };
        let Escalation { holder, missing } = *escalation;
        let mut said = audit::Approval {
            by: by.to_owned(),
            root: self.tree.root(),
            task,
            agent: node.terms().agent.clone(),
            skill: node.terms().skill.clone(),
            missing,
            granted: None,
        };
        let Some(NewGrant { id, to }) = grant else {
            let message = self.note(task, &format!("{by} denied {}", said.missing.join(" ")));
            self.audit(Event::Approval(said));
            self.close(task, Outcome::new(TaskState::Rejected, Some(message)));
            return Ok(());
        };
        let asked = self.approved(node, &said.missing)?;
        let new = in_place(node, id, holder, asked, to);
        self.on_delegate(new)?;
        let scope = self.node(id).map_or_else(Scope::empty, |node| node.terms().scope.clone());
        said.granted = Some(audit::Granted { task: id, holder, scope });
        self.audit(Event::Approval(said));
        self.record(task, Fact::Approved { by: by.to_owned(), done_by: id });
        self.report_to_parent(task);
        Ok(())
    }

    /// What is approved: what the delegating task could have passed on itself, and what was missing; no more, whatever the
    /// task holds that has it.
    fn approved(&self, node: &Node, missing: &[String]) -> Result<Scope, Refusal> {
        let delegator = node.submission.parent.and_then(|parent| self.node(parent));
        let own = delegator.map(|delegator| delegator.terms().scope.texts()).unwrap_or_default();
        let limit = Scope::parse([own, missing.to_vec()].concat());
        let limit = limit.map_err(|problem| Refusal::NotPossible(problem.to_string()))?;
        let asked = node.submission.wish.as_ref().and_then(|wish| wish.asked.as_ref());
        let bounded = asked.map_or(Ok(limit.clone()), |asked| asked.meet(&limit));
        bounded.map_err(|problem| Refusal::NotPossible(problem.to_string()))
    }

    /// A task that did another's part has ended: so does the other, with what it achieved.
    pub(super) fn end_in_place(&mut self, task: TaskId) {
        let Some(node) = self.node(task) else { return };
        let (Some(stands_for), state) = (node.in_place_of, node.state) else { return };
        if self.node(stands_for).is_none_or(|node| matches!(node.phase, Phase::Closing { .. } | Phase::Ended))
        {
            return;
        }
        for artifact in self.achieved(task) {
            self.record_artifact(stands_for, artifact);
        }
        let message = self.last_words(task).map(|words| self.note(stands_for, &words));
        let outcome = Outcome::new(state, message);
        let verdict = self.node(task).and_then(|node| node.verdict.clone());
        let metadata = match verdict {
            Some(verdict) => extension::with_acceptance(outcome.metadata.clone(), &verdict),
            None => outcome.metadata.clone(),
        };
        self.close(stands_for, Outcome { metadata, ..outcome });
    }

    /// What is done in a task's place is not wanted any more.
    pub(super) fn cancel_in_place(&mut self, done_by: Option<TaskId>) {
        let Some(task) = done_by else { return };
        let message = self.note(task, "canceled because what it was done for is over");
        self.close(task, Outcome::new(TaskState::Canceled, Some(message)));
    }
}

/// What a task asks for, as a delegation by the one that holds it.
fn in_place(node: &Node, id: TaskId, holder: TaskId, asked: Scope, to: Candidate) -> NewTask {
    let (submission, terms) = (&node.submission, node.terms());
    NewTask {
        id,
        parent: Some(holder),
        caller: submission.caller.clone(),
        held: Scope::top(),
        agent: to.agent,
        skill: terms.skill.clone(),
        asked: Some(asked),
        message: submission.message.clone(),
        context_id: submission.context_id.clone(),
        agent_context: to.agent_context,
        accepted_output_modes: submission.accepted_output_modes.clone(),
        extensions: submission.extensions.clone(),
        deadline: Some(submission.deadline),
        retry: submission.retry_wish.clone(),
        admitted: to.admitted,
        escalate: false,
        budget: submission.terms.purses.first().map(|purse| purse.ceilings).unwrap_or_default(),
        policy: to.policy,
        push: None,
        choice: None,
        specification: submission.specification.clone(),
        trace: submission.trace,
        upstream: None,
    }
}
