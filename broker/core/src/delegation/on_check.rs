//! What an agent produced is checked before it is shown, where its delegator said what it accepts. Until then it is
//! withheld, and the task is WORKING. The broker checks what it can; the judge, where one is named, is asked by a task
//! below this one, which the broker delegates in the delegator's name and which holds nothing. What is not accepted is an
//! attempt that failed; what cannot be decided is accepted as *unverified*.

use std::sync::Arc;

use broker_acceptance::{Check, Criterion, Judgement, Outcome as Found, Produced, Verdict};
use capability::ledger::Unit;
use capability::{Allowed, Scope};
use protocol::{Part, TaskState};

use super::action::{self, Action};
use super::authority::Granted;
use super::draft::Draft;
use super::input::{AttemptId, Failure, NewTask};
use super::on_delegate::Particulars;
use super::purses;
use super::state::{Checking, Node, Phase, Progress};
use crate::TaskId;
use crate::attempts::{self, Next};
use crate::audit::{self, Event};
use crate::error::Refusal;
use crate::extension;
use crate::journal::{AttemptOutcome, Fact, Outcome};
use crate::sabotage::{Guard, removed};

/// Why something is accepted unchecked.
const TOO_LATE: &str = "the deadline passed before the checks were done";

impl Draft<'_> {
    /// Records what an agent produced; it is shown at once if nothing has to be accepted.
    pub(super) fn produce(&mut self, task: TaskId, fact: Fact) {
        let is_withheld = self.node(task).is_some_and(|node| node.submission.accept().is_some());
        let fact = if is_withheld { Fact::Withheld(Box::new(fact)) } else { fact };
        self.record(task, fact);
    }

    /// The agent has completed, and so has everything it delegated.
    pub(super) fn complete(&mut self, task: TaskId, outcome: Outcome) {
        let is_checked = self.node(task).is_some_and(|node| node.submission.accept().is_some());
        if !is_checked || outcome.state != TaskState::Completed {
            return self.end(task, outcome);
        }
        self.record(task, Fact::Checking(Box::new(outcome)));
        self.ask_for_check(task);
    }

    /// After a restart; a judge that was asked is a task of its own.
    pub(super) fn check_again(&mut self, task: TaskId) {
        if self.under_check(task).is_some() {
            self.ask_for_check(task);
        }
    }

    fn ask_for_check(&mut self, task: TaskId) {
        let Some(attempt) = self.under_check(task) else { return };
        let Some(Phase::Checking(checking)) = self.node(task).map(|node| &node.phase) else { return };
        let message = checking.outcome.message.clone();
        let submission = self.node(task).map(|node| Arc::clone(&node.submission));
        let mut artifacts = Vec::new();
        for fact in self.withheld(task) {
            if let Fact::Artifact(piece) = fact {
                protocol::merge_artifact(&mut artifacts, &piece.artifact, piece.append);
            }
        }
        if let Some(submission) = submission {
            let produced = Produced { artifacts, message };
            self.act(Action::Check(Box::new(action::Check { attempt, submission, produced })));
        }
    }

    /// The attempt whose result the broker itself is checking.
    fn under_check(&self, task: TaskId) -> Option<AttemptId> {
        let node = self.node(task)?;
        let Phase::Checking(checking) = &node.phase else { return None };
        let last = node.attempts.last().filter(|_| checking.judging.is_none())?;
        Some(AttemptId { task, number: last.number })
    }

    /// The broker has checked what it can.
    pub(super) fn on_checked(
        &mut self,
        attempt: AttemptId,
        verdict: Verdict,
        judge: Option<Result<Box<NewTask>, String>>,
    ) {
        if self.under_check(attempt.task) != Some(attempt) {
            return;
        }
        let unasked = match judge {
            Some(Ok(new)) if verdict.outcome != Found::Failed => {
                match self.ask_judge(attempt.task, &verdict, *new) {
                    Ok(()) => return,
                    Err(reason) => Some(reason),
                }
            }
            Some(Err(reason)) => Some(reason),
            Some(Ok(_)) | None => None,
        };
        let verdict = match unasked {
            Some(reason) => verdict.with(unjudged(&reason)),
            None => verdict,
        };
        self.settle(attempt, &verdict);
    }

    /// Delegates to the judge. Where it may not be, why not.
    fn ask_judge(&mut self, task: TaskId, verdict: &Verdict, new: NewTask) -> Result<(), String> {
        let asked = self.judged(new, |draft, new, audit| draft.delegate_to_judge(task, verdict, new, audit));
        asked.map_err(|refused| {
            if let Some(event) = refused.audit {
                self.audit(*event);
            }
            format!("the judge could not be asked: {}", refused.refusal)
        })
    }

    /// Whether the judge may be asked is a question of what the delegator holds, who named it; it gets nothing of that.
    fn delegate_to_judge(
        &mut self,
        task: TaskId,
        verdict: &Verdict,
        new: NewTask,
        audit: &mut audit::Delegation,
    ) -> Result<(), Refusal> {
        let node = self.node(task).filter(|_| self.is_granted(task)).ok_or(Refusal::NotFound)?;
        let submission = &node.submission;
        audit.owner = Some(submission.owner.clone());
        let held = submission.wish.as_deref().and_then(|wish| wish.held.clone()).unwrap_or_else(Scope::top);
        let of_delegator = NewTask { parent: submission.parent, held, ..new.clone() };
        let skills = self.authorize(&of_delegator, audit)?.skills;
        let place = self.place_below(node);
        // What the checked agent has said it used up is not settled yet, and no longer there to be given.
        let ledger = purses::charged(self.ledger(), node, &node.cost_said());
        let mut budget = node.left_in(&ledger);
        for unit in Unit::ALL {
            budget.set(unit, budget.get(unit).map(|left| self.limits.share_of(left)));
        }
        let new = NewTask { budget, ..new };
        self.guard(&new, &place)?;
        let nothing = Allowed { effective: Scope::empty(), skills: Vec::new(), under: Vec::new() };
        let purses = self.allot(&new, Some(node), &nothing, &ledger)?;
        let granted = Granted { scope: nothing.effective, skills, purses };
        let (judge, admitted) = (new.id, new.admitted);
        self.submit(new, place, granted, Particulars::default())?;
        self.record(task, Fact::Judging { judge, verdict: Box::new(verdict.clone()) });
        self.report_to_parent(judge);
        self.begin_attempt(AttemptId { task: judge, number: 1 }, admitted);
        Ok(())
    }

    /// The judge's task has ended.
    pub(super) fn on_judged(&mut self, task: TaskId, judge: TaskId) {
        let Some(node) = self.node(task) else { return };
        let Phase::Checking(checking) = &node.phase else { return };
        let Some((asked, verdict)) = checking.judging.clone() else { return };
        let Some(number) = node.attempts.last().map(|last| last.number) else { return };
        if asked == judge {
            let verdict = verdict.with(self.judgement(judge));
            self.settle(AttemptId { task, number }, &verdict);
        }
    }

    fn judgement(&self, judge: TaskId) -> Check {
        let Some(node) = self.node(judge) else { return unjudged("the judge's task is not there") };
        if node.state != TaskState::Completed {
            let words = self.last_words(judge).unwrap_or_default();
            let (agent, state) = (&node.terms().agent, node.state.as_str());
            return unjudged(&format!("the judge {agent} ended {state}: {words}"));
        }
        let artifacts = self.achieved(judge);
        let message = if artifacts.is_empty() { self.closing_message(judge) } else { None };
        match Judgement::read(&Produced { artifacts, message }) {
            Ok(judgement) => judgement.check(),
            Err(problem) => unjudged(&problem),
        }
    }

    /// All checks are done.
    fn settle(&mut self, attempt: AttemptId, verdict: &Verdict) {
        let AttemptId { task, number } = attempt;
        let Some(node) = self.node(task) else { return };
        let Phase::Checking(checking) = &node.phase else { return };
        let (outcome, agent) = (checking.outcome.clone(), node.terms().agent.clone());
        let said = audit::Checked::new(self.tree.root(), attempt, agent, verdict);
        self.audit(Event::Checked(said));
        self.record(task, Fact::Checked { number, verdict: Box::new(verdict.clone()) });
        if verdict.outcome == Found::Failed && !removed(Guard::Acceptance) {
            return self.refuse(attempt, verdict);
        }
        self.release(task, outcome, verdict);
    }

    /// What was produced is shown, and the task ends.
    fn release(&mut self, task: TaskId, outcome: Outcome, verdict: &Verdict) {
        for fact in self.withheld(task) {
            self.record(task, fact);
        }
        let is_first_word = self.node(task).is_some_and(|node| node.state == TaskState::Submitted);
        let metadata = extension::with_acceptance(outcome.metadata.clone(), verdict);
        self.close(task, Outcome { direct: outcome.direct && is_first_word, metadata, ..outcome });
    }

    /// Its deadline has come: what an agent completed in time is completed, but nobody vouches for it.
    pub(super) fn release_unchecked(&mut self, task: TaskId, outcome: Outcome) {
        let Some(node) = self.node(task) else { return };
        let (Some(_), Some(last)) = (node.submission.accept(), node.attempts.last()) else {
            return self.close(task, outcome);
        };
        let attempt = AttemptId { task, number: last.number };
        let before = match &node.phase {
            Phase::Checking(checking) => checking.judging.clone().map(|(_, verdict)| verdict),
            _ => None,
        };
        let verdict = before.unwrap_or_else(|| Verdict::of(Vec::new()));
        let verdict = verdict.with(Check::unverified(Criterion::Time, TOO_LATE));
        let agent = node.terms().agent.clone();
        self.audit(Event::Checked(audit::Checked::new(self.tree.root(), attempt, agent, &verdict)));
        let number = attempt.number;
        self.record(task, Fact::Checked { number, verdict: Box::new(verdict.clone()) });
        self.release(task, outcome, &verdict);
    }

    /// What was produced is not accepted: the attempts table says what follows.
    fn refuse(&mut self, attempt: AttemptId, verdict: &Verdict) {
        let Some(node) = self.node(attempt.task) else { return };
        let failure = Failure::Unaccepted(verdict.reason());
        let reason = attempts::describe(&failure, &node.terms().agent);
        let wait = self.limits.backoff(attempt.number + 1, 0);
        let (state, ended) = match self.follows(node, attempt, &failure, wait) {
            Next::Retry(ended) => return self.schedule_retry(attempt, ended, reason, wait),
            Next::Fallback(ended) => return self.fall_back(attempt, ended, reason),
            Next::End(state, ended) => (state, ended),
            Next::Recover | Next::Resend | Next::Unknown | Next::Stop => {
                (TaskState::Failed, AttemptOutcome::Unaccepted)
            }
        };
        let message = Some(self.note(attempt.task, &reason));
        let outcome = Outcome::new(state, message);
        let metadata = extension::with_acceptance(outcome.metadata.clone(), verdict);
        self.abandon(attempt, ended, reason);
        self.close(attempt.task, Outcome { metadata, ..outcome });
    }

    /// What is withheld of a task after what has been decided so far, in order.
    fn withheld(&self, task: TaskId) -> Vec<Fact> {
        let before = self.tree.bodies.get(task).map(|body| body.withheld.clone());
        let mut withheld = before.unwrap_or_default();
        for record in self.records().iter().filter(|record| record.task == task) {
            match &record.fact {
                Fact::Withheld(fact) => withheld.push((**fact).clone()),
                fact if fact.drops_withheld() => withheld.clear(),
                _ => {}
            }
        }
        withheld
    }
}

/// What a check makes of a task.
pub(super) fn apply(node: &mut Node, fact: &Fact) {
    match (fact, &node.phase) {
        (Fact::Checking(outcome), _) => {
            node.end_live_attempt();
            let outcome = (**outcome).clone();
            node.phase = Phase::Checking(Arc::new(Checking { outcome, judging: None }));
        }
        (Fact::Judging { judge, verdict }, Phase::Checking(checking)) => {
            let (outcome, judging) = (checking.outcome.clone(), Some((*judge, (**verdict).clone())));
            node.phase = Phase::Checking(Arc::new(Checking { outcome, judging }));
        }
        (Fact::Checked { verdict, .. }, _) => {
            node.verdict = Some(Arc::new((**verdict).clone()));
            // Before anything was shown, the next attempt may still answer with one message.
            let is_shown = node.state != TaskState::Submitted;
            node.phase = if is_shown { Phase::Working } else { Phase::Submitted };
        }
        _ => {}
    }
}

/// What an agent is told that is to do it again: why its last result was not accepted.
pub(super) fn instruction(node: &Node, number: u32) -> Option<Part> {
    let mut before = node.attempts.iter().rev().filter(|attempt| attempt.number < number);
    let last = before.find(|attempt| attempt.was_sent())?;
    let is_its_own = last.former.is_none() && last.progress == Progress::Ended(AttemptOutcome::Unaccepted);
    let reason = last.reason.as_deref().filter(|_| is_its_own)?;
    Some(Part::text(&format!("{reason}. Do it again, so that the result is what is expected.")))
}

fn unjudged(reason: &str) -> Check {
    Check::unverified(Criterion::Judge, reason)
}
