//! The reference: slow, obvious, and written from the invariants alone. It reads a journal from the beginning and
//! says what is wrong with it.

use std::collections::BTreeMap;

use broker_acceptance::Outcome;
use broker_core::TaskId;
use broker_core::journal::{Allotment, Fact, Record};
use capability::Scope;
use protocol::TaskState;

use super::world::{World, caps};

struct Seen {
    parent: Option<TaskId>,
    purses: Vec<Allotment>,
    revoked: bool,
    /// What it certainly used up by itself, once it ended.
    calls: u64,
    /// What its agent said it used up, by attempt.
    said: BTreeMap<u32, u64>,
    /// Purses of delegates that had it before, and what those certainly used up.
    former: Vec<(Vec<Allotment>, u64)>,
    /// How many delegates its delegating task had had when it was delegated.
    under: usize,
    scope: Scope,
    state: TaskState,
    ended: bool,
    records: u64,
    started: Vec<u32>,
    checks: Checks,
}

/// How it stands with what is accepted of a task.
#[derive(Default)]
struct Checks {
    /// What is accepted was said.
    asked: bool,
    /// Another task does it in this one's place, and is checked itself.
    elsewhere: bool,
    stage: Stage,
}

#[derive(Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Unchecked,
    Checking,
    Accepted,
}

impl Checks {
    fn may_be_shown(&self) -> bool {
        !self.asked || self.elsewhere || self.stage == Stage::Accepted
    }

    /// Nothing is shown, and nothing completes, before it is accepted; what failed is not.
    fn follow(&mut self, fact: &Fact) {
        match fact {
            Fact::Artifact(_) | Fact::Said(_) | Fact::Metadata(_) => {
                assert!(self.may_be_shown(), "shown before it was accepted");
            }
            Fact::Withheld(_) => assert!(self.asked, "withheld for nobody"),
            Fact::Checking(outcome) => {
                assert!(self.asked && outcome.state == TaskState::Completed, "checked for nobody");
                self.stage = Stage::Checking;
            }
            Fact::Judging { .. } => assert!(self.stage == Stage::Checking, "judged before it was checked"),
            Fact::Checked { verdict, .. } if verdict.outcome != Outcome::Failed => {
                self.stage = Stage::Accepted;
            }
            Fact::Checked { .. } | Fact::AttemptStarted { .. } | Fact::Reassigned(_) => {
                self.stage = Stage::Unchecked;
            }
            Fact::Approved { .. } => self.elsewhere = true,
            Fact::Ended(outcome) if outcome.state == TaskState::Completed => {
                assert!(self.may_be_shown(), "completed and not accepted");
            }
            _ => {}
        }
    }
}

/// Checks design §4, invariants 1 to 4 and the order of attempts, record by record.
pub(crate) fn check(journal: &[Record]) {
    let mut tasks: BTreeMap<TaskId, Seen> = BTreeMap::new();
    for record in journal {
        if let Fact::Submitted(submission) = &record.fact {
            let scope = submission.terms.scope.clone();
            assert!(scope.le(&caps(&submission.terms.agent)), "a delegate gets no more than its ceiling");
            if let Some(parent) = submission.parent {
                let parent = &tasks[&parent];
                assert!(!parent.ended, "nothing is delegated after the end");
                assert!(!is_revoked(&tasks, submission.parent), "a dead grant opens nothing");
                let parent = &tasks[&submission.parent.unwrap()];
                assert!(scope.le(&parent.scope), "a child gets no more than its parent holds");
            }
            let state = TaskState::Submitted;
            let (parent, records, started) = (submission.parent, 0, Vec::new());
            let (purses, revoked, calls, said) = (submission.terms.purses.clone(), false, 0, BTreeMap::new());
            let checks = Checks { asked: submission.accept().is_some(), ..Checks::default() };
            let under = submission.parent.map_or(0, |parent| tasks[&parent].former.len());
            tasks.insert(
                record.task,
                Seen {
                    parent,
                    purses,
                    revoked,
                    calls,
                    said,
                    former: Vec::new(),
                    under,
                    scope,
                    state,
                    ended: false,
                    records,
                    started,
                    checks,
                },
            );
            nothing_is_overspent(&tasks);
        }
        if let Fact::Reassigned(to) = &record.fact {
            let (scope, parent) = (&to.terms.scope, tasks[&record.task].parent);
            assert!(scope.le(&caps(&to.terms.agent)), "another delegate gets no more than its ceiling");
            assert!(
                parent.is_none_or(|parent| scope.le(&tasks[&parent].scope)),
                "nor than its delegator holds"
            );
            assert!(!is_revoked(&tasks, Some(record.task)), "a dead grant opens nothing");
            let open = tasks.values().any(|child| child.parent == Some(record.task) && !child.ended);
            assert!(!open, "what the former delegate delegated is down");
            let seen = tasks.get_mut(&record.task).unwrap();
            let used = std::mem::take(&mut seen.said).into_values().sum();
            let purses = std::mem::replace(&mut seen.purses, to.terms.purses.clone());
            seen.former.push((purses, used));
            seen.scope = scope.clone();
            nothing_is_overspent(&tasks);
        }
        let seen = tasks.get_mut(&record.task).expect("records are about submitted tasks");
        seen.records += 1;
        assert_eq!(seen.records, record.seq, "records of a task are numbered without hole");
        seen.checks.follow(&record.fact);
        match &record.fact {
            Fact::Late { .. } | Fact::PushSet(_) | Fact::PushDeleted { .. } => {}
            fact => assert!(!seen.ended, "nothing that is shown follows the end: {fact:?}"),
        }
        match &record.fact {
            Fact::Status(status) => {
                assert!(!status.state.is_terminal(), "only an end is terminal");
                seen.state = status.state;
            }
            Fact::Turn { answers: true, .. } => seen.state = TaskState::Working,
            Fact::Cost { number, cost } => {
                cost.calls.map(|calls| seen.said.insert(*number, calls));
            }
            Fact::Revoked { .. } => seen.revoked = true,
            Fact::Ended(outcome) => {
                let most = seen.purses.first().and_then(|purse| purse.ceilings.calls).unwrap_or(u64::MAX);
                let said: u64 = seen.said.values().sum();
                assert!(outcome.cost.calls.is_none_or(|calls| calls == said), "every attempt is paid for");
                seen.calls = outcome.cost.calls.unwrap_or(most).min(most);
                assert!(outcome.state.is_terminal());
                seen.ended = true;
                seen.state = outcome.state;
            }
            Fact::AttemptStarted { number } => {
                let last = seen.started.last().copied().unwrap_or(0);
                assert!(*number == last || *number == last + 1, "attempts come one after another");
                seen.started.push(*number);
            }
            _ => {}
        }
        parents_are_open(&tasks, record.task);
    }
}

fn is_revoked(tasks: &BTreeMap<TaskId, Seen>, task: Option<TaskId>) -> bool {
    std::iter::successors(task, |task| tasks[task].parent).any(|task| tasks[&task].revoked)
}

/// At every purse: what is reserved for open children, what ended ones certainly used up, and what each delegation
/// costs, is no more than its ceiling. Counted from the journal alone.
fn nothing_is_overspent(tasks: &BTreeMap<TaskId, Seen>) {
    for (&id, seen) in tasks {
        for (index, purse) in (0_u32..).zip(&seen.purses) {
            let children = || {
                let now = seen.former.len();
                tasks.values().filter(move |child| child.parent == Some(id) && child.under == now)
            };
            let drawn = children().flat_map(|child| {
                let from_here = child.purses.iter().filter(move |purse| purse.from.contains(&index));
                from_here.map(move |purse| (child, purse))
            });
            let (mut calls, mut fanout) = (0, 0);
            let former = children().flat_map(|child| &child.former);
            for (purses, used) in former {
                for drawn in purses.iter().filter(|purse| purse.from.contains(&index)) {
                    let fee = u64::from(drawn.capabilities.is_empty());
                    calls += fee + (*used).min(drawn.ceilings.calls.unwrap_or(0));
                    fanout += fee;
                }
            }
            for (child, drawn) in drawn {
                let fee = u64::from(drawn.capabilities.is_empty());
                calls += fee
                    + if child.ended {
                        child.calls.min(drawn.ceilings.calls.unwrap_or(0))
                    } else {
                        drawn.ceilings.calls.unwrap_or(0)
                    };
                fanout += fee + if child.ended { 0 } else { drawn.ceilings.fanout.unwrap_or(0) };
            }
            assert!(
                purse.ceilings.calls.is_none_or(|most| calls <= most),
                "{calls} calls of {purse:?} at {id}"
            );
            assert!(
                purse.ceilings.fanout.is_none_or(|most| fanout <= most),
                "{fanout} delegations of {purse:?}"
            );
        }
    }
}

/// While a child is open its parent is neither terminal nor SUBMITTED. A new child and its parent's WORKING are one
/// append, so a parent may still be SUBMITTED at the child's very first record.
fn parents_are_open(tasks: &BTreeMap<TaskId, Seen>, changed: TaskId) {
    for seen in tasks.values().filter(|seen| !seen.ended) {
        let Some(parent) = seen.parent.map(|parent| &tasks[&parent]) else { continue };
        assert!(!parent.ended, "a parent ended before its child (at a record of {changed})");
        let is_new = seen.records == 1;
        assert!(parent.state != TaskState::Submitted || is_new, "a parent of an open child is not SUBMITTED");
    }
}

/// A message goes to an agent once, unless a resend was proved harmless or the broker died before it knew.
pub(crate) fn nothing_is_sent_twice(world: &World) {
    let mut starts: BTreeMap<(TaskId, u32), usize> = BTreeMap::new();
    for record in &world.journal {
        if let Fact::AttemptStarted { number } = record.fact {
            *starts.entry((record.task, number)).or_default() += 1;
        }
    }
    let mut sent: BTreeMap<&String, usize> = BTreeMap::new();
    world.sent.iter().for_each(|id| *sent.entry(id).or_default() += 1);
    for ((task, number), starts) in starts {
        let id = format!("m{task}.{task}.{number}");
        let times = sent.get(&id).copied().unwrap_or(0);
        assert!(times <= starts, "attempt {number} of {task} was sent {times} times, started {starts} times");
    }
    for task in world.tasks() {
        let goes_out = |fact: &Fact| {
            matches!(fact, Fact::AttemptStarted { .. } | Fact::Turn { .. } | Fact::TurnResent { .. })
        };
        let recorded = world.journal.iter().filter(|record| record.task == task && goes_out(&record.fact));
        let sent = world.sent.iter().filter(|id| id.contains(&format!(".{task}.")));
        assert!(
            sent.count() <= recorded.count(),
            "nothing is sent to the agent of {task} that is not recorded"
        );
    }
    assert!(
        world
            .dispatches
            .iter()
            .map(|dispatch| &dispatch.message)
            .filter(|sent| sent.message_id.starts_with("turn"))
            .all(|sent| sent.task_id.is_some())
    );
}
