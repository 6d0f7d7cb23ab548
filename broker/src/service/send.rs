//! SendMessage and SendStreamingMessage: who asks, what for, whether it was asked before; then a task begins or
//! goes on, and the caller hears of it.

use std::sync::Arc;

use broker_core::delegation::input::{Input, NewTask};
use broker_core::extension::{self, Asked, Mode};
use broker_core::journal::{Choice, PushConfig};
use broker_core::sabotage::{Guard, removed};
use broker_core::trace::TraceParent;
use broker_core::{TaskId, Tree};
use protocol::{
    A2aError, Message, SendMessageRequest, SendMessageResponse, Task, TaskPushNotificationConfig, Version,
};

use super::agents::Agent;
use super::begun::{Begun, Key, Parent, digest};
use super::caller::{Caller, Identity, Role};
use super::driver::{DriveError, Reserved};
use super::federation::FromBroker;
use super::selection::{Answer, Route};
use super::stream::TaskStream;
use super::trees::TreeCell;
use super::{Broker, Target, error};
use crate::ports::store::Claim;

/// What a call says beside the operation's own parameters (spec §3.2.6).
#[derive(Debug, Clone)]
pub struct ServiceParameters {
    /// What the caller speaks, and what its receiver of pushes reads.
    pub version: Version,
    /// URIs of the extensions it wants to use.
    pub extensions: Vec<String>,
    /// Where it stands in a trace, if it says so.
    pub trace: Option<TraceParent>,
}

impl From<Version> for ServiceParameters {
    /// No extension, and no trace.
    fn from(version: Version) -> Self {
        Self { version, extensions: Vec::new(), trace: None }
    }
}

/// What comes with a message that begins a task, beside the message itself.
struct Along {
    modes: Vec<String>,
    extensions: Vec<String>,
    trace: Option<TraceParent>,
    push: Option<PushConfig>,
    /// What another broker says with it.
    from: Option<FromBroker>,
}

/// A task that a message began, continued or had begun before.
pub(super) struct Accepted {
    cell: Arc<TreeCell>,
    task: TaskId,
    /// There is nothing for the caller to wait for, and what comes of the task is not its business.
    settled: bool,
}

impl Accepted {
    pub(super) fn new(cell: Arc<TreeCell>, task: TaskId) -> Self {
        Self { cell, task, settled: false }
    }

    /// The caller is done with the task.
    pub(super) fn settled(cell: Arc<TreeCell>, task: TaskId) -> Self {
        Self { cell, task, settled: true }
    }
}

impl Broker {
    /// Sends a message and waits for the answer, unless told to return at once (spec §3.2.2).
    pub async fn send(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: SendMessageRequest,
        parameters: ServiceParameters,
    ) -> Result<SendMessageResponse, A2aError> {
        let (at_once, history) = (request.returns_immediately(), request.history_length());
        // Who does not wait takes up nothing.
        let _call = if at_once { None } else { self.begin_call(caller)? };
        // Boxed, so that whoever waits then, perhaps for days, holds no more than waiting takes.
        let accepted = Box::pin(self.accept(caller, target, request, parameters));
        let Accepted { cell, task, settled } = accepted.await?;
        if !at_once && !settled {
            return self.wait_for_answer(cell, task, history).await;
        }
        let tree = cell.tree.lock().await;
        let shown = if settled { standing(&tree, task) } else { tree.task(task, history) };
        Ok(SendMessageResponse::Task(shown.ok_or_else(error::task_not_found)?))
    }

    /// Sends a message and listens. Resolves with the first event (spec §3.1.2).
    pub async fn send_streaming(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: SendMessageRequest,
        parameters: ServiceParameters,
    ) -> Result<TaskStream, A2aError> {
        let history = request.history_length();
        let call = self.begin_call(caller)?;
        // Boxed, so that whoever waits then, perhaps for days, holds no more than waiting takes.
        let accepted = Box::pin(self.accept(caller, target, request, parameters));
        let Accepted { cell, task, settled } = accepted.await?;
        if settled {
            return self.stream_once(&cell, task).await;
        }
        Ok(self.stream_answer(cell, task, history).await?.holding(call))
    }

    async fn accept(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: SendMessageRequest,
        parameters: ServiceParameters,
    ) -> Result<Accepted, A2aError> {
        request.validate()?;
        let configuration = request.configuration.map(|configuration| *configuration).unwrap_or_default();
        let (mut message, modes) = (request.message, configuration.accepted_output_modes);
        let from = self.said_by_broker(caller, &mut message).await?;
        let ServiceParameters { version, extensions, trace } = parameters;
        let push = configuration.push.map(|push| self.read_pushed(*push, version, &message)).transpose()?;
        let key = Key { principal: caller.claim_name(), digest: digest(target, &message)? };
        let message_id = message.message_id.clone();
        let claimed = self.store.claim(&key.principal, &message_id).await;
        if let Some(claim) = claimed.map_err(|failure| error::store(&failure))? {
            return self.join(caller, &key, &claim).await;
        }
        let begun = if message.task_id.is_some() {
            self.go_on(caller, target, message, push, &key).await
        } else {
            self.begin(caller, target, message, Along { modes, extensions, trace, push, from }, &key).await
        };
        match begun {
            Err(DriveError::Claimed(claim)) => self.join(caller, &key, &claim).await,
            // Its first copy may have come to be meanwhile, and be what it was refused for.
            Err(failure @ (DriveError::Refused(_) | DriveError::Failed(_))) => {
                match self.store.claim(&key.principal, &message_id).await {
                    Ok(Some(claim)) => self.join(caller, &key, &claim).await,
                    _ => Err(failure.into()),
                }
            }
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

    /// The same message again: the same task, open or done. Another message under its id is refused. Who gave the task
    /// away by it hears again how it stands, and no more.
    async fn join(&self, caller: &Caller, key: &Key, claim: &Claim) -> Result<Accepted, A2aError> {
        if claim.digest != key.digest {
            return Err(error::message_id_reused(&claim.message_id));
        }
        let cell = self.trees.load(claim.root).await?.ok_or_else(|| error::task_removed(claim))?;
        let may_read = caller.may_read(&*cell.tree.lock().await, claim.task);
        Ok(Accepted { settled: !may_read, ..Accepted::new(cell, claim.task) })
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
        let (root, asks, owner, agent) = {
            let tree = cell.tree.lock().await;
            if !caller.may_steer(&tree, task) {
                return Err(failed(error::task_not_found()));
            }
            let context = tree.owner_and_context(task).map(|(_, context)| context.to_owned());
            if message.context_id.is_some() && message.context_id != context {
                let problem = "names another context than the task's; leave it out to continue the task";
                return Err(failed(error::invalid("message.contextId", problem)));
            }
            let named = |name: Option<&str>| name.unwrap_or_default().to_owned();
            (tree.root(), tree.asks_for_agent(task), named(tree.owner()), named(tree.agent(task)))
        };
        self.use_turn(&owner, &agent).map_err(failed)?;
        let claim = key.claim(&message, task, root);
        let (message, push) = (Box::new(without_broker_data(message)), push.map(Box::new));
        if let Some(asks) = asks {
            let answer = Answer { task, asks, message: *message, push, claim };
            Box::pin(self.answer_choice(&cell, answer)).await?;
            return Ok(Accepted::new(cell, task));
        }
        let reserved = Reserved { claim: Some(claim), ..Reserved::default() };
        self.drive_cell(Arc::clone(&cell), Input::Turn { task, message, push }, reserved).await?;
        Ok(Accepted::new(cell, task))
    }

    /// Begins a task: a child where the caller is an agent at work, a root otherwise; or what else is asked for.
    async fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        message: Message,
        along: Along,
        key: &Key,
    ) -> Result<Accepted, DriveError> {
        let failed = DriveError::Failed;
        let Along { modes: accepted_output_modes, extensions, trace, push, from } = along;
        let mut asked = Asked::of(&message)
            .map_err(|wrong| failed(error::invalid("message.metadata", &wrong.to_string())))?;
        let parent = self.lineage(caller, &asked, &message).await.map_err(failed)?;
        let owner = parent.as_ref().map_or_else(|| caller.display_name(), |parent| parent.owner.clone());
        let opens = match &asked.mode {
            Mode::Group(_, subtasks) => 1 + subtasks.len() as u64,
            Mode::HandOff => 0,
            Mode::Delegate => 1,
        };
        let budget = parent.is_none().then_some(&mut asked.budget);
        let quotas = self.use_quotas(&owner, opens, budget).map_err(failed)?;
        let (held, upstream) = match from {
            Some(from) => (from.scope, Some(from.upstream)),
            None => (caller.held(parent.is_some()), None),
        };
        let begun = Begun {
            id: self.clock.new_task_id(),
            caller: parent.as_ref().map_or_else(|| owner.clone(), |parent| parent.agent.clone()),
            held,
            context_id: message.context_id.clone().unwrap_or_else(|| self.clock.new_task_id().to_string()),
            policy: self.policy_of(&owner),
            key: key.clone(),
            message: as_kept(message),
            accepted_output_modes,
            extensions,
            trace,
            upstream,
            push,
            quotas,
            parent,
            owner,
        };
        let mode = std::mem::take(&mut asked.mode);
        if let Mode::Group(group, subtasks) = mode {
            return Box::pin(self.begin_group(begun, asked, group, subtasks)).await;
        }
        let Some(agent) =
            self.named(target, asked.agent.as_deref(), &begun.extensions).await.map_err(failed)?
        else {
            return Box::pin(self.begin_unnamed(caller, begun, asked, &mode)).await;
        };
        match mode {
            Mode::HandOff => Box::pin(self.hand_over(caller, begun, asked, &agent)).await,
            _ => self.begin_one(begun, asked, &agent, None).await,
        }
    }

    /// Nobody is named: the task goes to whom it is clearly for, or asks.
    async fn begin_unnamed(
        self: &Arc<Self>,
        caller: &Caller,
        begun: Begun,
        asked: Asked,
        mode: &Mode,
    ) -> Result<Accepted, DriveError> {
        match (self.route(&begun, &asked).await.map_err(DriveError::Failed)?, mode) {
            (Route::To(agent, _), Mode::HandOff) => self.hand_over(caller, begun, asked, &agent).await,
            (Route::To(agent, choice), _) => self.begin_one(begun, asked, &agent, Some(choice)).await,
            (Route::Open(_), Mode::HandOff) => {
                let problem = "mode \"handoff\" needs to know to whom; name the agent";
                Err(DriveError::Failed(error::invalid("message.metadata", problem)))
            }
            (Route::Open(choice), _) => self.begin_open(begun, asked, choice).await,
        }
    }

    async fn begin_one(
        self: &Arc<Self>,
        mut begun: Begun,
        asked: Asked,
        agent: &Agent,
        choice: Option<Box<Choice>>,
    ) -> Result<Accepted, DriveError> {
        let facts = agent.resolved.as_ref().map(|resolved| resolved.facts.clone());
        let facts = facts.ok_or_else(|| DriveError::Failed(error::agent_not_found(&agent.name)))?;
        let id = begun.id;
        let place = self.enter(&agent.name, id, &begun.owner).map_err(DriveError::Failed)?;
        let (cell, claim, quotas) = (begun.cell(self), begun.claim(), std::mem::take(&mut begun.quotas));
        let new = NewTask { choice, ..begun.into_task(asked, facts, place.admits()) };
        let claim = Some(claim).filter(|_| !removed(Guard::MessageIds));
        let reserved = Reserved { claim, places: vec![place], quotas };
        self.drive_cell(Arc::clone(&cell), Input::Delegate(Box::new(new)), reserved).await?;
        Ok(Accepted::new(cell, id))
    }

    /// The agent meant: the one addressed, the one named in the message, or the only one there is; `None` if that does not
    /// say.
    async fn named(
        &self,
        target: &Target,
        named: Option<&str>,
        extensions: &[String],
    ) -> Result<Option<Arc<Agent>>, A2aError> {
        let name = match (target, named) {
            (Target::Agent(addressed), Some(named)) if addressed != named => {
                let problem = format!("names agent {named}, but the message is addressed to {addressed}");
                return Err(error::invalid("message.metadata", &problem));
            }
            (Target::Agent(name), _) => name.clone(),
            (Target::Any, Some(name)) => name.to_owned(),
            (Target::Any, None) => match self.registry.all().as_slice() {
                [only] => only.name.clone(),
                _ => return Ok(None),
            },
        };
        self.delegate(&name, extensions).await.map(Some)
    }

    /// An agent that can be sent a message. The caller has to want to use the extensions it insists on (spec §3.3.4).
    pub(super) async fn delegate(&self, name: &str, extensions: &[String]) -> Result<Arc<Agent>, A2aError> {
        let agent = self.registry.resolved(name).await?;
        let insists = agent.resolved.as_ref().and_then(|resolved| resolved.missing_extension(extensions));
        match insists {
            Some(uri) => Err(error::extension_required(name, uri)),
            None => Ok(agent),
        }
    }

    /// The task the caller delegates for. Never what it merely says: its grant names the task, or it is an agent
    /// known by its key and names a task the broker itself has sent it.
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
                    let Some(cell) = self.trees.look_for(task).await? else { continue };
                    let tree = cell.tree.lock().await;
                    if tree.was_sent_to(task, agent) && tree.is_granted(task) {
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

/// How a task stands, without what was said and made in it.
pub(super) fn standing(tree: &Tree, task: TaskId) -> Option<Task> {
    let mut shown = tree.task(task, Some(0))?;
    shown.artifacts.clear();
    shown.status.message = None;
    Some(shown)
}

/// A first message as it is kept, and as whoever does it can read it.
fn as_kept(mut message: Message) -> Message {
    message.metadata = extension::without_judge(message.metadata);
    without_broker_data(message)
}

fn without_broker_data(mut message: Message) -> Message {
    message.metadata = extension::without_broker_data(message.metadata);
    message
}

impl Caller {
    /// What the caller's credential admits: for a root task what its principal holds; for a child at most what its
    /// grant says. A principal that speaks for a task by its key is bounded by what that task holds alone.
    pub(super) fn held(&self, for_child: bool) -> capability::Scope {
        match &self.0 {
            Identity::Principal { .. } if for_child => capability::Scope::top(),
            Identity::Principal { scope, .. } => scope.clone(),
            Identity::Delegate { held, .. } => held.clone(),
        }
    }
}
