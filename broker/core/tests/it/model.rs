//! The reference: slow, obvious, and written from the invariants alone. It reads a journal from the beginning and
//! says what is wrong with it.

use std::collections::BTreeMap;

use broker_core::TaskId;
use broker_core::journal::{Fact, Record};
use capability::Scope;
use protocol::TaskState;

use super::world::caps;

struct Seen {
    parent: Option<TaskId>,
    scope: Scope,
    state: TaskState,
    ended: bool,
    records: u64,
    started: Vec<u32>,
}

/// Checks design §4, invariants 1 to 4 and the order of attempts, record by record.
pub(crate) fn check(journal: &[Record]) {
    let mut tasks: BTreeMap<TaskId, Seen> = BTreeMap::new();
    for record in journal {
        if let Fact::Submitted(submission) = &record.fact {
            let scope = submission.scope.clone();
            assert!(scope.le(&caps(&submission.agent)), "a delegate gets no more than its ceiling");
            if let Some(parent) = submission.parent {
                let parent = &tasks[&parent];
                assert!(!parent.ended, "nothing is delegated after the end");
                assert!(scope.le(&parent.scope), "a child gets no more than its parent holds");
            }
            let state = TaskState::Submitted;
            let (parent, records, started) = (submission.parent, 0, Vec::new());
            tasks.insert(record.task, Seen { parent, scope, state, ended: false, records, started });
        }
        let seen = tasks.get_mut(&record.task).expect("records are about submitted tasks");
        seen.records += 1;
        assert_eq!(seen.records, record.seq, "records of a task are numbered without hole");
        match &record.fact {
            Fact::Late { .. } => {}
            fact => assert!(!seen.ended, "nothing follows the end: {fact:?}"),
        }
        match &record.fact {
            Fact::Status(status) => {
                assert!(!status.state.is_terminal(), "only an end is terminal");
                seen.state = status.state;
            }
            Fact::Turn { answers: true, .. } => seen.state = TaskState::Working,
            Fact::Ended(outcome) => {
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
