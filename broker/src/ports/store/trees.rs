//! What a list of trees asks the store for. Root ids are in the order in which trees began, so the order of the list is
//! theirs, and a tree keeps its place while it is looked through.

use broker_core::TaskId;
use protocol::TaskState;

use super::TaskRow;

/// A page request over trees, the newest first.
#[derive(Debug, Clone, Default)]
pub struct TreeQuery {
    /// Only this owner's; `None` is everyone's, for operators.
    pub owner: Option<String>,
    /// Only those whose root is with this agent.
    pub agent: Option<String>,
    /// Only those whose root is in one of these states; empty: in any.
    pub states: Vec<TaskState>,
    /// Only those that began before this one.
    pub before: Option<TaskId>,
    /// At most this many.
    pub limit: usize,
    /// At most this many are looked at to find them.
    pub look_at: usize,
}

impl TreeQuery {
    /// Whether the row of a tree's root is asked for.
    pub fn admits(&self, root: &TaskRow) -> bool {
        self.owner.as_ref().is_none_or(|owner| root.owner == *owner)
            && self.agent.as_ref().is_none_or(|agent| root.agent == *agent)
            && (self.states.is_empty() || self.states.contains(&root.state))
    }
}

/// A page of trees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreePage {
    /// The rows of their roots, the newest first.
    pub roots: Vec<TaskRow>,
    /// Where to continue; `None` at the end. A page can be short of its limit, or empty, and others follow.
    pub next: Option<TaskId>,
}
