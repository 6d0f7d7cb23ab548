//! SendMessage and SendStreamingMessage: who asks, what for, whether it was asked before; then a task begins or
//! goes on, and the caller hears of it.

use std::sync::Arc;

use broker_core::TaskId;
use broker_core::delegation::input::{Input, NewTask};
use broker_core::extension::{self, Asked};
use broker_core::journal::PushConfig;
use protocol::{
    A2aError, ErrorKind, Message, SendMessageRequest, SendMessageResponse, TaskPushNotificationConfig,
    Version,
};
use sha2::{Digest, Sha256};

use super::agents::Agent;
use super::caller::{Caller, Identity, Role};
use super::driver::DriveError;
use super::stream::TaskStream;
use super::trees::TreeCell;
use super::{Broker, Target, error};
use crate::ports::store::Claim;

/// A task that a message began, continued or had begun before.
struct Accepted {
    cell: Arc<TreeCell>,
    task: TaskId,
}

impl Broker {
    /// Sends a message and waits for the answer, unless told to return at once (spec §3.2.2). `version` is what the
    /// caller speaks, and what its receiver of pushes reads.
    pub async fn send(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: SendMessageRequest,
        version: Version,
    ) -> Result<SendMessageResponse, A2aError> {
        let (at_once, history) = (request.returns_immediately(), request.history_length());
        let Accepted { cell, task } = self.accept(caller, target, request, version).await?;
        if !at_once {
            return self.wait_for_answer(&cell, task, history).await;
        }
        let tree = cell.tree.lock().await;
        let shown = tree.task(task, history).ok_or_else(error::task_not_found)?;
        Ok(SendMessageResponse::Task(shown))
    }

    /// Sends a message and listens. Resolves with the first event (spec §3.1.2).
    pub async fn send_streaming(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: SendMessageRequest,
        version: Version,
    ) -> Result<TaskStream, A2aError> {
        let history = request.history_length();
        let Accepted { cell, task } = self.accept(caller, target, request, version).await?;
        self.stream_answer(cell, task, history).await
    }

    async fn accept(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: SendMessageRequest,
        version: Version,
    ) -> Result<Accepted, A2aError> {
        request.validate()?;
        let configuration = request.configuration.map(|configuration| *configuration).unwrap_or_default();
        let (message, modes) = (request.message, configuration.accepted_output_modes);
        let push = configuration.push.map(|push| self.read_pushed(*push, version, &message)).transpose()?;
        let key = Key { principal: caller.claim_name(), digest: digest(target, &message)? };
        let claimed = self.store.claim(&key.principal, &message.message_id).await;
        if let Some(claim) = claimed.map_err(|failure| error::store(&failure))? {
            return self.join(&key, &claim).await;
        }
        let begun = if message.task_id.is_some() {
            self.go_on(caller, target, message, push, &key).await
        } else {
            self.begin(caller, target, message, (modes, push), &key).await
        };
        match begun {
            Err(DriveError::Claimed(claim)) => self.join(&key, &claim).await,
            begun => Ok(begun?),
        }
    }

    /// A push configuration that comes with a message; it can be for the message's own task only.
    fn read_pushed(
        &self,
        sent: TaskPushNotificationConfig,
        version: Version,
        message: &Message,
    ) -> Result<PushConfig, A2aError> {
        if sent.task_id.is_some() && sent.task_id != message.task_id {
            let field = "configuration.taskPushNotificationConfig.taskId";
            return Err(error::invalid(field, "names another task than the message; leave it out"));
        }
        self.read_push(sent, version)
    }

    /// The same message again: the same task, open or done. Another message under its id is refused.
    async fn join(&self, key: &Key, claim: &Claim) -> Result<Accepted, A2aError> {
        if claim.digest != key.digest {
            return Err(error::message_id_reused(&claim.message_id));
        }
        let cell = self.trees.load(claim.root).await?.ok_or_else(error::task_not_found)?;
        Ok(Accepted { cell, task: claim.task })
    }

    /// Continues a task with another message.
    async fn go_on(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        message: Message,
        push: Option<PushConfig>,
        key: &Key,
    ) -> Result<Accepted, DriveError> {
        let failed = DriveError::Failed;
        let named = message.task_id.clone().unwrap_or_default();
        let (cell, task) = self.find_readable(caller, target, &named).await.map_err(failed)?;
        {
            let tree = cell.tree.lock().await;
            if !caller.may_steer(&tree, task) {
                return Err(failed(error::task_not_found()));
            }
            let context = tree.owner_and_context(task).map(|(_, context)| context.to_owned());
            if message.context_id.is_some() && message.context_id != context {
                let problem = "names another context than the task's; leave it out to continue the task";
                return Err(failed(error::invalid("message.contextId", problem)));
            }
        }
        let claim = key.claim(&message, task, cell.tree.lock().await.root());
        let message = Box::new(without_broker_data(message));
        if let Some(config) = push {
            // Ahead of the turn, so that nothing that comes of it is missed.
            self.set_push(Arc::clone(&cell), task, config).await.map_err(failed)?;
        }
        self.drive_cell(Arc::clone(&cell), Input::Turn { task, message }, Some(claim)).await?;
        Ok(Accepted { cell, task })
    }

    /// Begins a task: a child where the caller is an agent at work, a root otherwise.
    async fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        message: Message,
        (accepted_output_modes, push): (Vec<String>, Option<PushConfig>),
        key: &Key,
    ) -> Result<Accepted, DriveError> {
        let failed = DriveError::Failed;
        let asked = Asked::of(&message, self.limits.default_max_attempts)
            .map_err(|wrong| failed(error::invalid("message.metadata", &wrong.to_string())))?;
        let agent = self.choose(target, asked.agent.as_deref()).await.map_err(failed)?;
        let resolved = agent.resolved.as_ref().ok_or_else(|| failed(error::agent_not_found(&agent.name)))?;
        let lineage = self.lineage(caller, &asked, &message).await.map_err(failed)?;

        let id = self.clock.new_task_id();
        let root = lineage.as_ref().map_or(id, |parent| parent.root);
        let claim = key.claim(&message, id, root);
        let owner = lineage.as_ref().map_or_else(|| caller.display_name(), |parent| parent.owner.clone());
        let context_id = message.context_id.clone().unwrap_or_else(|| self.clock.new_task_id().to_string());
        let new = NewTask {
            id,
            parent: lineage.as_ref().map(|parent| parent.task),
            caller: lineage.as_ref().map_or_else(|| owner.clone(), |parent| parent.agent.clone()),
            held: caller.held(lineage.is_some()),
            agent: resolved.facts.clone(),
            skill: asked.skill,
            asked: asked.scope,
            agent_context: agent_context(&owner, &context_id, &agent.name),
            message: without_broker_data(message),
            context_id,
            accepted_output_modes,
            deadline: asked.deadline,
            retry: asked.retry,
            budget: asked.budget,
            policy: self.accounts.policy_of(&owner).cloned(),
            push,
        };
        let is_root = lineage.is_none();
        let cell = lineage.map_or_else(|| self.trees.begin(id), |parent| parent.cell);
        let begun = self.drive_cell(Arc::clone(&cell), Input::Delegate(Box::new(new)), Some(claim)).await;
        if begun.is_err() && is_root {
            self.trees.forget(id);
        }
        begun.map(|()| Accepted { cell, task: id })
    }

    /// The agent meant: the one addressed, the one named in the message, or the only one there is.
    async fn choose(&self, target: &Target, named: Option<&str>) -> Result<Arc<Agent>, A2aError> {
        let name = match (target, named) {
            (Target::Agent(addressed), Some(named)) if addressed != named => {
                let problem = format!("names agent {named}, but the message is addressed to {addressed}");
                return Err(error::invalid("message.metadata", &problem));
            }
            (Target::Agent(name), _) => name.clone(),
            (Target::Any, Some(name)) => name.to_owned(),
            (Target::Any, None) => match self.registry.all().as_slice() {
                [only] => only.name.clone(),
                agents => return Err(ambiguous(agents)),
            },
        };
        self.registry.resolved(&name).await
    }

    /// The task the caller delegates for. Never what it merely says: its grant names the task, or it is an agent
    /// known by its key and names a task the broker itself gave it.
    async fn lineage(
        &self,
        caller: &Caller,
        asked: &Asked,
        message: &Message,
    ) -> Result<Option<Parent>, A2aError> {
        match &caller.0 {
            Identity::Delegate { root, task, .. } => self.parent(*root, *task).await.map(Some),
            Identity::Principal { role: Role::Agent(agent), .. } => {
                let claimed = asked.claimed_task.iter().chain(&message.reference_task_ids);
                for task in claimed.filter_map(|task| task.parse::<TaskId>().ok()) {
                    let Some(cell) = self.trees.find(task).await? else { continue };
                    let tree = cell.tree.lock().await;
                    if tree.agent(task) == Some(agent) && tree.is_granted(task) {
                        let root = tree.root();
                        drop(tree);
                        return self.parent(root, task).await.map(Some);
                    }
                }
                Ok(None)
            }
            Identity::Principal { .. } => Ok(None),
        }
    }

    async fn parent(&self, root: TaskId, task: TaskId) -> Result<Parent, A2aError> {
        let cell = self.trees.load(root).await?.ok_or_else(error::task_not_found)?;
        let tree = cell.tree.lock().await;
        let (owner, _) = tree.owner_and_context(task).ok_or_else(error::task_not_found)?;
        let agent = tree.agent(task).ok_or_else(error::task_not_found)?;
        let (owner, agent) = (owner.to_owned(), agent.to_owned());
        drop(tree);
        Ok(Parent { cell, root, task, owner, agent })
    }
}

/// The verified delegating task.
struct Parent {
    cell: Arc<TreeCell>,
    root: TaskId,
    task: TaskId,
    owner: String,
    agent: String,
}

/// Under what a message is remembered.
struct Key {
    principal: String,
    digest: [u8; 32],
}

impl Key {
    fn claim(&self, message: &Message, task: TaskId, root: TaskId) -> Claim {
        let (principal, message_id) = (self.principal.clone(), message.message_id.clone());
        Claim { principal, message_id, digest: self.digest, task, root }
    }
}

/// What a message says, and to whom.
fn digest(target: &Target, message: &Message) -> Result<[u8; 32], A2aError> {
    let mut hash = Sha256::new();
    if let Target::Agent(name) = target {
        hash.update(name.as_bytes());
    }
    hash.update([0]);
    hash.update(serde_json::to_vec(message).map_err(|_| error::internal())?);
    Ok(hash.finalize().into())
}

/// The context an agent sees: one per owner, context and agent, so that agents cannot tell callers' contexts.
fn agent_context(owner: &str, context_id: &str, agent: &str) -> String {
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

fn without_broker_data(mut message: Message) -> Message {
    message.metadata = extension::without_broker_data(message.metadata);
    message
}

fn ambiguous(agents: &[Arc<Agent>]) -> A2aError {
    let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
    let message = if names.is_empty() {
        "no agent is registered; add one with `bailiwick agent add NAME URL`".to_owned()
    } else {
        format!("several agents are registered; send to /agents/NAME, with NAME one of {}", names.join(", "))
    };
    A2aError::new(ErrorKind::UnsupportedOperation, message)
}

impl Caller {
    /// What the caller's credential admits: for a root task what its principal holds; for a child at most what its
    /// grant says. A principal that speaks for a task by its key is bounded by what that task holds alone.
    fn held(&self, for_child: bool) -> capability::Scope {
        match &self.0 {
            Identity::Principal { .. } if for_child => capability::Scope::top(),
            Identity::Principal { scope, .. } => scope.clone(),
            Identity::Delegate { held, .. } => held.clone(),
        }
    }
}
