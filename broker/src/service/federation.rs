//! Delegation across brokers. Towards an agent of another broker, this one says what it grants in names that are the same
//! everywhere, and for that broker alone; from another broker, it takes a message only with such a grant, and the tree that it
//! begins stands below the task it came from: no wider, no shallower, and never with an agent that is already at work above.
//! Why so: `docs/decisions/0030-federation.md`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use broker_core::TaskId;
use broker_core::delegation::abroad::Revoked;
use broker_core::delegation::action::Passport;
use broker_core::delegation::input::Failure;
use broker_core::extension;
use broker_core::federation::full_name;
use broker_core::journal::Upstream;
use capability::{Capability, Claims, FederatedGrant, Scope};
use protocol::{A2aError, Message};

use super::agents::Agent;
use super::caller::{Caller, Callers, Identity, Role};
use super::{Broker, error};
use crate::ports::store::Drive;

/// Longest pause before the other broker is told once more that grants are dead.
const MAX_REVOKE_PAUSE: Duration = Duration::from_secs(30);

/// What a broker says with a message it sends on.
pub(super) struct FromBroker {
    /// What the tree may hold, as that broker grants it.
    pub(super) scope: Scope,
    /// The task there.
    pub(super) upstream: Box<Upstream>,
}

impl Broker {
    /// The grant an agent gets with a task. An agent of another broker gets one for that broker.
    pub(super) async fn grant_for(
        &self,
        agent: Option<&Agent>,
        root: TaskId,
        passport: &Passport,
    ) -> Result<String, Failure> {
        if let Some((agent, name)) = agent.and_then(|agent| Some((agent, agent.broker.as_deref()?))) {
            return self.federated_grant(agent, name, root, passport).await;
        }
        let confirmation = agent.and_then(Agent::confirmation);
        self.grants.mint(passport, confirmation).map_err(|refused| Failure::NeverSent(refused.to_string()))
    }

    async fn federated_grant(
        &self,
        agent: &Agent,
        name: &str,
        root: TaskId,
        passport: &Passport,
    ) -> Result<String, Failure> {
        let never = |reason: String| Failure::NeverSent(reason);
        let callers = self.callers();
        let foreign = callers.broker(name);
        let foreign = foreign.ok_or_else(|| never(format!("broker {name} is none of [[brokers]]")))?;
        let delegate = foreign.settings.full_name_at(&agent.url);
        let delegate =
            delegate.ok_or_else(|| never(format!("{} is no agent of broker {name}", agent.url)))?;
        let cell = self.trees.load(root).await.map_err(|failure| never(failure.message))?;
        let cell = cell.ok_or_else(|| never("the task's tree is gone".to_owned()))?;
        let (lineage, is_granted) = {
            let tree = cell.tree.lock().await;
            (tree.fingerprints(passport.task), tree.is_granted(passport.task))
        };
        let claims = self.grants.claims(passport, None);
        // What was begun goes on after its grants are dead; what it holds is nothing.
        let held = if is_granted { claims.scope } else { Scope::empty() };
        let names = self.full_names(&callers);
        let names: Vec<_> = names.iter().map(|(here, full)| (here.as_str(), full.as_str())).collect();
        let held = held.renamed(&names).map_err(|limit| {
            let name = &agent.name;
            never(format!(
                "{limit}: the caps of {name} reach too many agents to be granted at another broker"
            ))
        })?;
        let (scope, audience) = (held.join(&to_be_asked(&delegate, passport)), foreign.settings.url.clone());
        // Which agents it came through is this broker's business.
        let claims = Claims { scope, audience, actors: None, ..claims };
        let signed = self.grants.sign_federated(&FederatedGrant { claims, lineage });
        signed.map_err(|refused| never(refused.to_string()))
    }

    /// The name each agent has here, and the one it has between brokers.
    fn full_names(&self, callers: &Callers) -> Vec<(String, String)> {
        let known = self.registry.all();
        let full = |agent: &Agent| match agent.broker.as_deref() {
            None => Some(full_name(&agent.name, &self.public_url)),
            Some(broker) => callers.broker(broker)?.settings.full_name_at(&agent.url),
        };
        known.iter().filter_map(|agent| Some((agent.name.clone(), full(agent)?))).collect()
    }

    /// What a message of another broker comes with; nothing for any other caller. What that broker says of its own task is
    /// taken out of the message.
    pub(super) async fn said_by_broker(
        &self,
        caller: &Caller,
        message: &mut Message,
    ) -> Result<Option<FromBroker>, A2aError> {
        let Identity::Principal { role: Role::Broker(name), scope, .. } = &caller.0 else { return Ok(None) };
        let callers = self.callers();
        let foreign = callers.broker(name);
        let foreign =
            foreign.ok_or_else(|| error::unauthenticated("its broker is not known here any more"))?;
        let grant = extension::take_grant(message).ok_or_else(|| {
            let expected = format!("metadata[{}].grant", extension::URI);
            error::unauthenticated(&format!("a broker's message has to carry its grant: expected {expected}"))
        })?;
        let now = self.grants.now();
        let FederatedGrant { claims, lineage } = foreign.verify(&grant, &self.public_url, now).await?;
        let names = self.full_names(&callers);
        let names: Vec<_> = names.iter().map(|(here, full)| (full.as_str(), here.as_str())).collect();
        let scope = claims.scope.renamed(&names).and_then(|granted| scope.meet(&granted));
        let scope = scope.map_err(|limit| error::invalid("message.metadata", &format!("grant: {limit}")))?;
        let upstream = Upstream {
            broker: claims.issuer,
            owner: claims.subject,
            root: claims.root,
            task: claims.task,
            depth: claims.depth,
            lineage,
        };
        Ok(Some(FromBroker { scope, upstream: Box::new(upstream) }))
    }

    /// Tells other brokers of their tasks in a tree whose grants are dead, until they have heard it or the tasks' time is up.
    pub(super) async fn tell_of_revocation(self: &Arc<Self>, root: TaskId) {
        let Ok(Some(cell)) = self.trees.load(root).await else { return };
        let revoked = cell.tree.lock().await.under_way_without_grant();
        for revoked in revoked {
            if self.is_abroad(&revoked.agent).await && self.telling.insert(revoked.attempt) {
                tokio::spawn(revoke_there(Arc::downgrade(self), root, revoked));
            }
        }
    }

    /// Whether an agent is another broker's; of one that is forgotten, only where it was reached says so.
    async fn is_abroad(&self, agent: &str) -> bool {
        match self.registry.get(agent) {
            Some(known) => known.broker.is_some(),
            None => self.registry.endpoint_at_last(agent).await.is_ok_and(|at| at.broker.is_some()),
        }
    }

    /// Done also where there is nothing left to revoke, or the tree is another broker's of the same store by now: that one
    /// tells when it takes it up.
    async fn try_to_revoke_there(&self, root: TaskId, revoked: &Revoked) -> Result<(), String> {
        let Revoked { attempt, agent, .. } = revoked;
        if matches!(self.store.driver(root).await, Ok(Drive::At(_))) {
            return Ok(());
        }
        let cell = self.trees.load(root).await.map_err(|failure| failure.message)?;
        let Some(cell) = cell else { return Ok(()) };
        let (there, is_live) = {
            let tree = cell.tree.lock().await;
            (tree.agent_task(*attempt).map(ToOwned::to_owned), tree.is_live(*attempt))
        };
        let Some(there) = there else {
            let untold = "it has not said yet what the task is there".to_owned();
            return if is_live { Err(untold) } else { Ok(()) };
        };
        let endpoint = self.registry.endpoint_at_last(agent).await?;
        let told = self.downstream.revoke_task(&endpoint, &there).await;
        told.map_err(|failure| failure.to_string())
    }
}

async fn revoke_there(broker: Weak<Broker>, root: TaskId, revoked: Revoked) {
    let mut pause = None;
    loop {
        let Some(broker) = broker.upgrade() else { return };
        let Err(reason) = broker.try_to_revoke_there(root, &revoked).await else { break };
        let (task, agent) = (revoked.attempt.task, &revoked.agent);
        tracing::warn!(%task, agent, reason, "its broker has not heard that grants are dead");
        if revoked.deadline <= broker.clock.now() {
            break;
        }
        let next = pause.map_or(broker.recovery.ask_every, |pause: Duration| MAX_REVOKE_PAUSE.min(pause * 2));
        pause = Some(next);
        drop(broker);
        tokio::time::sleep(next).await;
    }
    if let Some(broker) = broker.upgrade() {
        broker.telling.remove(&revoked.attempt);
    }
}

/// That a delegate may be asked for what it is sent, which is not for it to pass on.
fn to_be_asked(delegate: &str, passport: &Passport) -> Scope {
    let asked = match (&passport.skill, passport.skills.as_slice()) {
        (Some(skill), _) => vec![Capability::invoke(delegate, skill)],
        (None, []) => vec![Capability::invoke_any(delegate)],
        (None, skills) => skills.iter().map(|skill| Capability::invoke(delegate, skill)).collect(),
    };
    Scope::of(asked.iter().map(Capability::for_holder_alone))
}
