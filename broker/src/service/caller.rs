//! Who calls, and what of the tasks they may see. A call that presents a credential is judged by it alone.

use broker_core::{TaskId, Tree};
use capability::Scope;
use protocol::A2aError;
use sha2::{Digest, Sha256};

use super::{Broker, error};

/// What a call presented as proof of identity: a grant or an API key.
#[derive(Clone)]
pub struct Credential(pub String);

/// Somebody the configuration knows.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Name; owns the trees it begins.
    pub name: String,
    /// What it may do here.
    pub role: Role,
    /// What its root tasks hold.
    pub scope: Scope,
    /// SHA-256 of its API key.
    pub key_sha256: [u8; 32],
}

/// What a principal may do here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Sees and steers its own trees.
    User,
    /// Sees and steers all trees, and registers agents.
    Operator,
    /// Delegates for the tasks the broker gave this agent.
    Agent(String),
}

/// A judged caller.
#[derive(Debug, Clone)]
pub struct Caller(pub(super) Identity);

#[derive(Debug, Clone)]
pub(super) enum Identity {
    Principal {
        name: String,
        role: Role,
        scope: Scope,
    },
    /// An agent at work on a task, proved by its grant or by its key and the broker's own lineage.
    Delegate {
        root: TaskId,
        task: TaskId,
    },
}

/// The principal of a call without credentials to an open broker.
const ANONYMOUS: &str = "anonymous";

impl Broker {
    /// Judges a credential. Without principals in the configuration the broker is open: then, and only then, a call
    /// without any credential is `anonymous`.
    pub async fn authenticate(&self, credential: Option<&Credential>) -> Result<Caller, A2aError> {
        let Some(Credential(secret)) = credential else {
            return if self.principals.is_empty() {
                let (name, scope) = (ANONYMOUS.to_owned(), Scope::top());
                Ok(Caller(Identity::Principal { name, role: Role::Operator, scope }))
            } else {
                Err(error::unauthenticated(
                    "a credential is required: Authorization: Bearer <API key or grant>",
                ))
            };
        };
        if looks_like_grant(secret) {
            return self.judge_grant(secret).await.map(Caller);
        }
        let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        // Digests of high-entropy keys: their comparison reveals nothing of use.
        let known = self.principals.iter().find(|principal| principal.key_sha256 == digest);
        let principal = known.ok_or_else(|| error::unauthenticated("the API key is not known here"))?;
        Ok(Caller(Identity::Principal {
            name: principal.name.clone(),
            role: principal.role.clone(),
            scope: principal.scope.clone(),
        }))
    }

    async fn judge_grant(&self, token: &str) -> Result<Identity, A2aError> {
        let claims = self.grants.verify(token, self.clock.now())?;
        let revoked =
            || error::unauthenticated("the grant's task is over or was canceled; the grant opens nothing");
        let (root, task) = claims.root.parse().ok().zip(claims.task.parse().ok()).ok_or_else(revoked)?;
        let cell = self.trees.load(root).await?.ok_or_else(revoked)?;
        let granted = cell.tree.lock().await.is_granted(task);
        if granted { Ok(Identity::Delegate { root, task }) } else { Err(revoked()) }
    }
}

/// Three dots-separated parts: a JWT. API keys hold no dots.
fn looks_like_grant(secret: &str) -> bool {
    secret.split('.').count() == 3
}

impl Caller {
    /// Whether the caller may read a task. What it may not read does not exist for it.
    pub(super) fn may_read(&self, tree: &Tree, task: TaskId) -> bool {
        match &self.0 {
            Identity::Principal { role: Role::Operator, .. } => tree.state(task).is_some(),
            Identity::Principal { role: Role::Agent(agent), name, .. } => {
                owns(tree, task, name) || tree.is_below_agent(task, agent)
            }
            Identity::Principal { name, .. } => owns(tree, task, name),
            Identity::Delegate { root, task: own } => {
                *root == tree.root() && tree.is_granted(*own) && tree.is_within(task, *own)
            }
        }
    }

    /// Whether the caller may continue or cancel a task: an agent never the one it works on itself.
    pub(super) fn may_steer(&self, tree: &Tree, task: TaskId) -> bool {
        let is_own = matches!(&self.0, Identity::Delegate { task: own, .. } if *own == task);
        self.may_read(tree, task) && !is_own
    }

    /// Whether the caller may register agents.
    pub(super) fn is_operator(&self) -> bool {
        matches!(&self.0, Identity::Principal { role: Role::Operator, .. })
    }

    /// Under which name its message ids are kept.
    pub(super) fn claim_name(&self) -> String {
        match &self.0 {
            Identity::Principal { name, .. } => format!("p/{name}"),
            Identity::Delegate { task, .. } => format!("t/{task}"),
        }
    }

    /// How it is named to people.
    pub(super) fn display_name(&self) -> String {
        match &self.0 {
            Identity::Principal { name, .. } => name.clone(),
            Identity::Delegate { .. } => "the delegating agent".to_owned(),
        }
    }
}

fn owns(tree: &Tree, task: TaskId, name: &str) -> bool {
    tree.owner_and_context(task).is_some_and(|(owner, _)| owner == name)
}
