//! That a result was checked, and what became of each check. Not why: reasons repeat what results say.

use broker_acceptance::{Criterion, Outcome, Verdict};
use serde::{Deserialize, Serialize};

use crate::TaskId;
use crate::delegation::input::AttemptId;

/// A result that was checked against what its delegator accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The tree.
    pub root: TaskId,
    /// The task.
    pub task: TaskId,
    /// The agent that produced it.
    pub agent: String,
    /// The attempt.
    pub attempt: u32,
    /// What all checks come to.
    pub verdict: Outcome,
    /// Each check, in order.
    pub checks: Vec<(Criterion, Outcome)>,
}

impl Checked {
    pub(crate) fn new(root: TaskId, attempt: AttemptId, agent: String, verdict: &Verdict) -> Self {
        let checks = verdict.checks.iter().map(|check| (check.check, check.outcome)).collect();
        Self { root, task: attempt.task, agent, attempt: attempt.number, verdict: verdict.outcome, checks }
    }
}
