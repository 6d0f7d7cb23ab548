//! Who calls, and what of the tasks they may see. A call that presents a credential is judged by it alone, and
//! refused if it is bad: never downgraded to another credential, or to none.

mod brokers;
mod callers;
mod issuers;
mod key_set;
mod principals;
mod published;
mod schemes;
mod token;

use std::sync::Arc;

use broker_core::sabotage::{Guard, removed};
use broker_core::{TaskId, Tree};
use capability::Scope;
use protocol::A2aError;

pub use self::brokers::ForeignBrokerSettings;
pub use self::callers::CallerSettings;
pub(super) use self::callers::Callers;
pub(crate) use self::callers::check_broker_of;
use self::issuers::Issuer;
pub use self::issuers::IssuerSettings;
pub use self::principals::{CertificateName, ClientCertificate, Principal, Principals, Proof, Role};
pub use self::token::Algorithm;
use self::token::Token;
use super::grants::SentProof;
use super::{Broker, error};

/// What a call presented as proof of identity.
#[derive(Clone)]
pub enum Credential {
    /// `Authorization: Bearer`: an API key, a grant of the broker's, or a token of a foreign issuer.
    Bearer(String),
    /// `Authorization: DPoP`: a grant of the broker's that is bound to a key, with a proof of that key.
    Dpop {
        /// The grant.
        grant: String,
        /// What came with it.
        proof: SentProof,
    },
    /// An API key where only an API key can stand.
    ApiKey(String),
    /// The client certificate of the connection.
    Certificate(Arc<ClientCertificate>),
    /// Something was presented, but not in a form that can be judged: bad, not absent. Why.
    Unreadable(&'static str),
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
        /// What its grant says; a narrowed one says less than the task holds.
        held: Scope,
    },
}

/// The principal of a call without credentials to an open broker.
const ANONYMOUS: &str = "anonymous";

impl Broker {
    /// Whether anybody may call.
    pub(super) fn is_open(&self) -> bool {
        self.callers().is_open()
    }

    /// Judges a credential. In open mode, and only there, a call without any is `anonymous`.
    pub(super) async fn judge_credential(&self, credential: Option<&Credential>) -> Result<Caller, A2aError> {
        let callers = self.callers();
        let identity = match credential {
            None if callers.is_open() => {
                let (name, scope) = (ANONYMOUS.to_owned(), Scope::top());
                Identity::Principal { name, role: Role::Operator, scope }
            }
            None => return Err(error::credential_required()),
            Some(Credential::Unreadable(why)) => return Err(error::unauthenticated(why)),
            Some(Credential::Certificate(certificate)) => {
                let known = callers.principals.by_certificate(certificate);
                known.map(Identity::of).ok_or_else(|| {
                    error::unauthenticated("the client certificate belongs to no principal, or to several")
                })?
            }
            Some(Credential::Dpop { grant, proof }) => self.judge_grant(grant, Some(proof)).await?,
            Some(Credential::Bearer(text)) if looks_like_token(text) => {
                self.judge_token(&callers, text).await?
            }
            Some(Credential::Bearer(key) | Credential::ApiKey(key)) => {
                let known = callers.principals.by_proof(&Proof::of_key(key));
                known
                    .map(Identity::of)
                    .ok_or_else(|| error::unauthenticated("the API key is not known here"))?
            }
        };
        Ok(Caller(identity))
    }

    /// What a token says of its issuer decides who judges it, and nothing else; that verifier then decides alone.
    async fn judge_token(&self, callers: &Callers, text: &str) -> Result<Identity, A2aError> {
        // What was found to be a grant before need not be taken apart to be taken for one.
        if self.grants.is_known(text) {
            return self.judge_grant(text, None).await;
        }
        let token = Token::read(text).map_err(|problem| error::unauthenticated(&problem.to_string()))?;
        let claimed = token.claimed_issuer();
        if claimed == Some(self.public_url.as_str()) {
            return self.judge_grant(text, None).await;
        }
        let issuer = callers.issuers.iter().find(|issuer| claimed == Some(issuer.settings.issuer.as_str()));
        let Some(issuer) = issuer else {
            return Err(error::unauthenticated("the token is from an issuer that is not known here"));
        };
        let vouched = issuer.judge(token).await?;
        let IssuerSettings { name, scope, .. } = &issuer.settings;
        let proof = Proof::Subject { issuer: name.clone(), subject: vouched.subject.clone() };
        if let Some(known) = callers.principals.by_proof(&proof) {
            return Ok(Identity::of(known));
        }
        let (role, scope) = match (vouched.is_operator, scope) {
            (true, scope) => (Role::Operator, scope.clone().unwrap_or_else(Scope::top)),
            (false, Some(scope)) => (Role::User, scope.clone()),
            (false, None) => {
                return Err(error::unauthenticated(
                    "the token is good, but its subject is no principal here",
                ));
            }
        };
        // Names of the configuration hold no colon, so nobody's is taken.
        Ok(Identity::Principal { name: format!("{name}:{}", vouched.subject), role, scope })
    }
}

/// Three parts separated by dots: a JWT. API keys hold no dots.
fn looks_like_token(secret: &str) -> bool {
    secret.split('.').count() == 3
}

impl Identity {
    fn of(principal: &Principal) -> Self {
        let Principal { name, role, scope, .. } = principal.clone();
        Self::Principal { name, role, scope }
    }
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
            Identity::Delegate { root, task: own, .. } => {
                *root == tree.root() && tree.is_granted(*own) && tree.is_within(task, *own)
            }
        }
    }

    /// Whether the caller may continue or cancel a task: an agent never the one it works on itself.
    pub(super) fn may_steer(&self, tree: &Tree, task: TaskId) -> bool {
        let is_own = match &self.0 {
            Identity::Delegate { task: own, .. } => *own == task,
            Identity::Principal { role: Role::Agent(agent), name, .. } => {
                tree.agent(task) == Some(agent) && !owns(tree, task, name)
            }
            Identity::Principal { .. } => false,
        };
        self.may_read(tree, task) && !is_own
    }

    /// Whether the caller may register agents.
    pub fn is_operator(&self) -> bool {
        matches!(&self.0, Identity::Principal { role: Role::Operator, .. })
    }

    /// Whether it is an agent, and not somebody who has it work.
    pub(super) fn is_at_work(&self) -> bool {
        matches!(&self.0, Identity::Delegate { .. } | Identity::Principal { role: Role::Agent(_), .. })
    }

    /// Under which name its message ids are kept.
    pub(crate) fn claim_name(&self) -> String {
        match &self.0 {
            Identity::Principal { name, .. } => format!("p/{name}"),
            Identity::Delegate { task, .. } => format!("t/{task}"),
        }
    }

    /// How it is named to people.
    pub fn display_name(&self) -> String {
        match &self.0 {
            Identity::Principal { name, .. } => name.clone(),
            Identity::Delegate { .. } => "the delegating agent".to_owned(),
        }
    }
}

fn owns(tree: &Tree, task: TaskId, name: &str) -> bool {
    tree.owner_and_context(task).is_some_and(|(owner, _)| owner == name || removed(Guard::Owners))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Sample, tree};
    use super::*;

    #[test]
    fn an_agent_steers_what_it_delegated_and_never_its_own_task_however_it_is_known() {
        let Sample { tree, tasks: [own, below], .. } = tree(["do it"; 2]);
        let by_key = |name: &str| {
            let (role, scope) = (Role::Agent("a".to_owned()), Scope::empty());
            Caller(Identity::Principal { name: name.to_owned(), role, scope })
        };
        let by_grant = Caller(Identity::Delegate { root: own, task: own, held: Scope::top() });
        for caller in [by_key("agent-a"), by_grant] {
            assert!(caller.may_read(&tree, own) && caller.may_steer(&tree, below), "{caller:?}");
            assert!(!caller.may_steer(&tree, own), "{caller:?}");
        }
        assert!(by_key("alice").may_steer(&tree, own), "the tree is its own");
    }
}
