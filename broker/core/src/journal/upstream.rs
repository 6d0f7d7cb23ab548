//! Where a root stands that another broker has delegated: in that one's tree.

use serde::{Deserialize, Serialize};

use crate::federation::fingerprint;

/// The task of another broker that a root is done for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// That broker's URL.
    pub broker: String,
    /// The principal there that owns the tree.
    pub owner: String,
    /// The root of the tree there.
    pub root: String,
    /// The task there.
    pub task: String,
    /// Hops from that root.
    pub depth: u32,
    /// Fingerprints of the agents at work on it and above it, in any order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lineage: Vec<String>,
}

impl Upstream {
    /// Whether an agent is at work on the task there, or above it.
    pub fn includes(&self, identity: &str) -> bool {
        self.lineage.contains(&fingerprint(identity))
    }
}
