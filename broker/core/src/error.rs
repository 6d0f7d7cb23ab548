//! Why the core will not do what it was asked. Transport-free; mapped to the wire in one place at the edge.

use crate::audit::Event;

/// A refusal that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such task in this tree.
    #[error("task not found")]
    NotFound,
    /// The scope does not reach; no child exists.
    #[error("{explanation}")]
    CapabilityExceeded {
        /// Canonical scope tokens that are missing.
        missing: Vec<String>,
        /// What to do about it, for the caller.
        explanation: String,
    },
    /// Too little is left of what may be used up; no child exists.
    #[error("{explanation}")]
    BudgetExhausted {
        /// What to do about it, for the caller.
        explanation: String,
    },
    /// It was done as often as a rate allows; no child exists.
    #[error("{explanation}")]
    RateExceeded {
        /// What it is about, for the caller.
        explanation: String,
        /// Seconds until it may be done again.
        retry_after: u64,
    },
    /// The agent is already working further up.
    #[error("delegating to {agent} would close a cycle: it already works on an ancestor of this task")]
    Cycle {
        /// The agent.
        agent: String,
    },
    /// The tree is deep enough.
    #[error("the task would be {depth} hops from its root; at most {limit} are allowed (limits.max_depth)")]
    DepthExceeded {
        /// Its depth.
        depth: u32,
        /// The bound.
        limit: u32,
    },
    /// The parent has children enough.
    #[error("the delegating task already has {limit} children, as many as are allowed (limits.max_fanout)")]
    FanoutExceeded {
        /// The bound.
        limit: u32,
    },
    /// The tree has tasks enough.
    #[error("the tree already has {limit} {what}, as many as are allowed")]
    TreeTooLarge {
        /// The bound.
        limit: u32,
        /// What is counted, and the key of the bound.
        what: &'static str,
    },
    /// The deadline asked for lies in the past.
    #[error("the deadline {deadline} has already passed; name a later time or none")]
    DeadlinePassed {
        /// The deadline.
        deadline: protocol::Timestamp,
    },
    /// What was to be given along is not there, or not the delegator's to give.
    #[error("the artifact {artifact_id} of task {task} cannot be given along: {why}")]
    NotToGive {
        /// The task, as it was named.
        task: String,
        /// The artifact, as it was named.
        artifact_id: String,
        /// Why not, and what was expected.
        why: String,
    },
    /// The task is over, or too far gone to take this.
    #[error("{0}")]
    NotPossible(String),
    /// The task has ended or is being cancelled already.
    #[error("task {task} is {state} and cannot be canceled")]
    NotCancelable {
        /// The task.
        task: crate::TaskId,
        /// Its state, as text.
        state: &'static str,
    },
}

impl Refusal {
    /// Its name: the reason given on the wire, and in the audit log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::CapabilityExceeded { .. } => "CAPABILITY_EXCEEDED",
            Self::BudgetExhausted { .. } => "BUDGET_EXHAUSTED",
            Self::RateExceeded { .. } => "RATE_EXCEEDED",
            Self::Cycle { .. } => "CYCLE",
            Self::DepthExceeded { .. } => "DEPTH_EXCEEDED",
            Self::FanoutExceeded { .. } => "FANOUT_EXCEEDED",
            Self::TreeTooLarge { .. } => "TREE_TOO_LARGE",
            Self::DeadlinePassed { .. } => "DEADLINE_PASSED",
            Self::NotToGive { .. } => "NOT_TO_GIVE",
            Self::NotPossible(_) => "NOT_POSSIBLE",
            Self::NotCancelable { .. } => "NOT_CANCELABLE",
        }
    }
}

/// A refusal, and what the audit log is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why not.
    pub refusal: Refusal,
    /// For the audit log, if authority was at issue.
    pub audit: Option<Box<Event>>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, audit: None }
    }
}
