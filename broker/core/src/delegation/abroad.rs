//! What a tree has to do with others' trees: its root may be done for a task of another broker, and a task of it may be
//! done by an agent of one. No agent is given what it is already at work on, however many brokers lie between.

use capability::ledger::{Amounts, Ceilings, DELEGATION_FEE};
use protocol::{Message, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::Tree;
use super::draft::Draft;
use super::input::{AttemptId, NewTask};
use super::on_group::BROKER_AGENT;
use super::state::Node;
use crate::TaskId;
use crate::extension::{self, AmountsWire};
use crate::federation::fingerprint;
use crate::journal::Upstream;

/// The task of another broker that a root is done for, as it is shown; whose it is there and who else works on it is told
/// to nobody here.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UpstreamNote {
    /// That broker's URL.
    pub broker: String,
    /// The root of the tree there.
    pub root: String,
    /// The task there.
    pub task: String,
}

/// An attempt that goes on though the grant of its task is dead.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The attempt.
    pub attempt: AttemptId,
    /// With whom it is.
    pub agent: String,
    /// When its task must be over.
    pub deadline: Timestamp,
}

impl UpstreamNote {
    pub(super) fn of(upstream: &Upstream) -> Self {
        let Upstream { broker, root, task, .. } = upstream.clone();
        Self { broker, root, task }
    }
}

impl Tree {
    /// The task of another broker that the root is done for.
    pub fn upstream(&self) -> Option<&Upstream> {
        self.nodes.get(self.root)?.submission.upstream.as_deref()
    }

    /// Attempts under way whose grants are dead.
    pub fn under_way_without_grant(&self) -> Vec<Revoked> {
        let revoked = self.nodes.values().filter(|node| !self.is_granted(node.id));
        let live = revoked.filter_map(|node| {
            let attempt = AttemptId { task: node.id, number: node.live_attempt()?.number };
            let (agent, deadline) = (node.terms().agent.clone(), node.submission.deadline);
            Some(Revoked { attempt, agent, deadline })
        });
        live.collect()
    }

    /// What a root that is done for another broker has used up once it is over: the whole tree, which that broker has no
    /// other way to know. The delegation itself has been paid for there. Before, it is not known.
    pub(super) fn cost_upstream(&self, node: &Node) -> Option<AmountsWire> {
        if node.submission.upstream.is_none() || node.is_open() {
            return None;
        }
        let Amounts { usd, calls, tokens, .. } = self.spent();
        let calls = calls.saturating_sub(DELEGATION_FEE.calls);
        let used = Ceilings { usd: Some(usd), calls: Some(calls), tokens: Some(tokens), fanout: None };
        Some(AmountsWire::of(&used))
    }

    /// A message of an agent as the broker that a root is done for sees it: what the agent has used up so far is not all that
    /// was.
    pub(super) fn message_upstream(node: &Node, mut message: Message) -> Message {
        if node.submission.upstream.is_some() && node.is_open() {
            message.metadata = extension::without_cost(message.metadata);
        }
        message
    }

    /// Fingerprints of the agents at work on a task and above it, here and further up: what the broker of its delegate
    /// is told.
    pub fn fingerprints(&self, task: TaskId) -> Vec<String> {
        let here = self.lineage(task).map(|node| node.terms().identity.as_str());
        let here = here.filter(|identity| !identity.starts_with(BROKER_AGENT)).map(fingerprint);
        here.chain(self.upstream().into_iter().flat_map(|upstream| upstream.lineage.iter().cloned()))
            .collect()
    }
}

impl Draft<'_> {
    /// Whether the agent of a new task is at work above it already.
    pub(super) fn works_above(&self, new: &NewTask) -> bool {
        let identity = &new.agent.identity;
        let mut above = new.parent.into_iter().flat_map(|parent| self.lineage(parent));
        let upstream = new.upstream.as_deref().or_else(|| self.upstream());
        above.any(|node| node.terms().identity == *identity)
            || upstream.is_some_and(|upstream| upstream.includes(identity))
    }

    fn upstream(&self) -> Option<&Upstream> {
        let root: &Node = self.node(self.tree.root())?;
        root.submission.upstream.as_deref()
    }
}
