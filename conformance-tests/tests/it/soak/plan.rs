//! What a tree is to be: which agent delegates to which, and what each has to deliver. Every piece names its node, so
//! that the result of the root shows of each piece whether it is there, once, and in its place.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One task of a tree that is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Who works on it; no agent has two tasks of one tree.
    pub(crate) agent: String,
    /// Where its delegator stands in the plan, which is before it; the root has none.
    pub(crate) parent: Option<usize>,
    /// What it delivers, in order, before what its delegates deliver.
    pub(crate) pieces: Vec<String>,
    /// It works this long first, and then pauses before each piece; milliseconds.
    pub(crate) delay_ms: u64,
    pub(crate) pace_ms: u64,
}

/// A tree that is to be; its root comes first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan(pub(crate) Vec<Node>);

impl Plan {
    /// The script for the agent of a node (see `agents/scripted.py`).
    pub(crate) fn script(&self, node: usize) -> Value {
        let order = |child: usize| json!({ "to": self.0[child].agent, "script": self.script(child) });
        let orders: Vec<Value> = self.children(node).map(order).collect();
        let Node { pieces, delay_ms, pace_ms, .. } = &self.0[node];
        let mut script = json!({ "chunks": pieces, "delay_ms": delay_ms, "pace_ms": pace_ms });
        if !orders.is_empty() {
            script["delegate"] = Value::Array(orders);
        }
        script
    }

    fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        (0..self.0.len()).filter(move |child| self.0[*child].parent == Some(node))
    }

    /// Every piece below a node with the node it belongs to, in the order in which the result has them.
    pub(crate) fn expected(&self, node: usize) -> Vec<(&str, usize)> {
        let own = self.0[node].pieces.iter().map(|piece| (piece.as_str(), node));
        own.chain(self.children(node).flat_map(|child| self.expected(child))).collect()
    }

    /// A node and everybody above it, the root left out.
    pub(crate) fn path(&self, node: usize) -> Vec<usize> {
        let above = std::iter::successors(Some(node), |node| self.0[*node].parent);
        above.filter(|node| self.0[*node].parent.is_some()).collect()
    }
}

/// The pieces in a text.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive(']').filter(|piece| piece.starts_with('[') && piece.ends_with(']')).collect()
}
