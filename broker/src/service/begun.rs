//! A task that is about to begin: who asks for it, where it will stand, what was said, and under what its message is
//! remembered.

use std::sync::Arc;

use broker_core::TaskId;
use broker_core::delegation::input::{AgentFacts, NewTask};
use broker_core::extension::Asked;
use broker_core::journal::{PushConfig, Upstream};
use broker_core::trace::TraceParent;
use protocol::{A2aError, Message};
use sha2::{Digest, Sha256};

use super::quotas::Reservation;
use super::trees::TreeCell;
use super::{Broker, Target, error};
use crate::ports::store::Claim;

/// The verified delegating task.
#[derive(Clone)]
pub(super) struct Parent {
    pub(super) cell: Arc<TreeCell>,
    pub(super) root: TaskId,
    pub(super) task: TaskId,
    pub(super) owner: String,
    pub(super) agent: String,
}

/// A task that is about to begin: who asks, where it will stand, and what was said.
pub(super) struct Begun {
    pub(super) id: TaskId,
    pub(super) parent: Option<Parent>,
    pub(super) owner: String,
    pub(super) caller: String,
    pub(super) held: capability::Scope,
    pub(super) context_id: String,
    pub(super) policy: Option<capability::Scope>,
    pub(super) key: Key,
    pub(super) message: Message,
    pub(super) accepted_output_modes: Vec<String>,
    pub(super) extensions: Vec<String>,
    pub(super) trace: Option<TraceParent>,
    pub(super) upstream: Option<Box<Upstream>>,
    pub(super) push: Option<PushConfig>,
    /// What is reserved for it.
    pub(super) quotas: Vec<Reservation>,
}

impl Begun {
    /// The tree it belongs to, a new one if it is a root.
    pub(super) fn cell(&self, broker: &Broker) -> Arc<TreeCell> {
        let cell = self.parent.as_ref().map(|parent| Arc::clone(&parent.cell));
        cell.unwrap_or_else(|| {
            broker.taken_up.note_begun(self.id);
            broker.trees.begin(self.id)
        })
    }

    pub(super) fn claim(&self) -> Claim {
        self.claim_for(self.id)
    }

    /// The message id, reserved for a task.
    pub(super) fn claim_for(&self, task: TaskId) -> Claim {
        let root = self.parent.as_ref().map_or(task, |parent| parent.root);
        self.key.claim(&self.message, task, root)
    }

    pub(super) fn into_task(self, asked: Asked, agent: AgentFacts, admitted: bool) -> NewTask {
        NewTask {
            id: self.id,
            parent: self.parent.map(|parent| parent.task),
            caller: self.caller,
            held: self.held,
            agent_context: agent_context(&self.owner, &self.context_id, &agent.name),
            agent,
            skill: asked.skill,
            asked: asked.scope,
            message: self.message,
            context_id: self.context_id,
            accepted_output_modes: self.accepted_output_modes,
            extensions: self.extensions,
            deadline: asked.deadline,
            retry: asked.retry,
            admitted,
            escalate: asked.escalate,
            budget: asked.budget,
            policy: self.policy,
            push: self.push,
            choice: None,
            specification: asked.specification,
            trace: self.trace,
            upstream: self.upstream,
        }
    }

    /// The same without what it says, to ask what would become of it.
    pub(super) fn preview(&self, asked: &Asked, agent: AgentFacts) -> NewTask {
        let begun = Self {
            id: self.id,
            parent: self.parent.clone(),
            owner: self.owner.clone(),
            caller: self.caller.clone(),
            held: self.held.clone(),
            context_id: self.context_id.clone(),
            policy: self.policy.clone(),
            key: self.key.clone(),
            message: Message::user_text(self.message.message_id.as_str(), ""),
            accepted_output_modes: self.accepted_output_modes.clone(),
            extensions: self.extensions.clone(),
            trace: self.trace,
            upstream: self.upstream.clone(),
            push: None,
            quotas: Vec::new(),
        };
        begun.into_task(asked.clone(), agent, true)
    }
}

/// Under what a message is remembered.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) principal: String,
    pub(super) digest: [u8; 32],
}

impl Key {
    pub(super) fn claim(&self, message: &Message, task: TaskId, root: TaskId) -> Claim {
        let (principal, message_id) = (self.principal.clone(), message.message_id.clone());
        Claim { principal, message_id, digest: self.digest, task, root }
    }
}

/// What a message says, and to whom.
pub(super) fn digest(target: &Target, message: &Message) -> Result<[u8; 32], A2aError> {
    let mut hash = Sha256::new();
    if let Target::Agent(name) = target {
        hash.update(name.as_bytes());
    }
    hash.update([0]);
    hash.update(protocol::to_json(message).map_err(|_| error::internal())?);
    Ok(hash.finalize().into())
}

/// The context an agent sees: one per owner, context and agent, so that agents cannot tell callers' contexts.
pub(super) fn agent_context(owner: &str, context_id: &str, agent: &str) -> String {
    let digest = Sha256::new()
        .chain_update(owner)
        .chain_update([0])
        .chain_update(context_id)
        .chain_update([0])
        .chain_update(agent)
        .finalize();
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid().to_string()
}
