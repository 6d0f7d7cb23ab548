//! What is recorded. Names, ids, scopes and digests; never a secret, never what a message says.
//!
//! Members may be added, optional ones, without a new version of the entry; readers pass over what they do not know.

use capability::Scope;
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::chain::Hash;
use super::checked::Checked;
use super::judged::Judged;
use crate::TaskId;
use crate::delegation::input::NewTask;
use crate::error::Refusal;
use crate::journal::{Resolution, Upstream};

/// Most characters of a reason that are recorded: parts of it may come from outside.
const MAX_REASON_CHARS: usize = 200;

/// Something about authority that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Somebody asked for a task, and was allowed or refused.
    Delegation(Box<Delegation>),
    /// A call presented no credential, or none that is good.
    AuthenticationFailed(AuthenticationFailed),
    /// A caller that is known asked for what only an operator may have.
    Forbidden(Forbidden),
    /// A grant was handed out in answer to a request of its own.
    Grant(Grant),
    /// The grants of a task and of everything below it were revoked.
    Revoked(Revoked),
    /// Somebody decided about what a task lacks.
    Approval(Approval),
    /// An operator decided about a task whose outcome is unknown.
    Resolved(Resolved),
    /// What an agent produced was checked.
    Checked(Checked),
    /// An operator took a backup: all that is kept, the keys that sign among it.
    BackedUp(BackedUp),
    /// A new key signs, at once or from a time on.
    KeyFollows(KeyFollows),
    /// An agent was registered, or its registration replaced.
    AgentRegistered(Registered),
    /// An agent was forgotten.
    AgentRemoved(Removed),
    /// An agent's card claims more than the one in use, or no longer does, or an operator accepted it.
    CardChanged(CardChanged),
    /// The configuration was read again while the broker served, and says something else.
    Reconfigured(Reconfigured),
    /// Refusals alike that were counted and not recorded one by one.
    Repeated(Repeated),
}

/// A backup was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Who took it.
    pub by: By,
}

/// Another configuration holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconfigured {
    /// The keys that say something else, never what.
    pub changed: Vec<String>,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A principal, by name.
    Principal(String),
    /// The agent at work on a task.
    Task {
        /// The task.
        id: TaskId,
        /// The agent, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// The configuration file.
    Configuration,
}

/// A wish to delegate, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// Who asked.
    pub by: By,
    /// The principal that owns the tree; absent if the delegating task is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The tree.
    pub root: TaskId,
    /// The delegating task; absent for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// The task; where it was refused, the id it would have had.
    pub task: TaskId,
    /// The task of another broker that it is done for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Box<Upstream>>,
    /// The agent it is for.
    pub agent: String,
    /// The skill, if one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// What authority said, and from what; absent where it was refused before it came to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// Why there is no task. Authority may have allowed it and a guard (cycle, depth, …) not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The reason's name, as on the wire.
    pub code: String,
    /// In words, where `judged` does not say it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A failed authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationFailed {
    /// What was presented.
    pub presented: Presented,
    /// Why it is no good.
    pub reason: String,
}

/// What kind of credential a call presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presented {
    /// None.
    Nothing,
    /// A token: a grant, or somebody else's.
    Token,
    /// An API key.
    Key,
    /// A client certificate.
    Certificate,
    /// Something that could not be read as a credential.
    Unreadable,
}

/// A call that needs an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forbidden {
    /// Who asked.
    pub by: By,
    /// For what.
    pub act: String,
}

/// A grant handed out. The grants a task's agent is sent with its attempts are not recorded again: they follow from the
/// delegation, whose `task` they name and whose effective scope is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// How it came to be.
    pub act: GrantAct,
    /// Its id (`jti`).
    pub id: String,
    /// The task it acts for.
    pub task: String,
    /// The agent that holds it (`client_id`).
    pub holder: String,
    /// Whom it is for (`aud`).
    pub audience: String,
    /// SHA-256 of its scope's canonical texts joined by one space.
    pub scope_sha256: Hash,
    /// When it ends; seconds since the epoch.
    pub expires: u64,
}

/// How a grant came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantAct {
    /// Made for an agent.
    Minted,
    /// The same scope again, for longer.
    Renewed,
    /// Exchanged for a narrower one, or for one for another audience (RFC 8693).
    Exchanged,
}

/// A revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Who revoked, as the caller is named to people.
    pub by: String,
    /// The tree.
    pub root: TaskId,
    /// The task.
    pub task: TaskId,
}

/// A decision about what a task lacks. What follows from it, if it is granted, is a delegation with an entry of its own,
/// just before this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who decided, as the caller is named to people.
    pub by: String,
    /// The tree.
    pub root: TaskId,
    /// The task that waited.
    pub task: TaskId,
    /// The agent it was for.
    pub agent: String,
    /// The skill, if one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// Canonical scope tokens it lacked.
    pub missing: Vec<String>,
    /// What it was told; absent: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Granted>,
}

/// What was granted: to another task, which does it in the first one's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// That task.
    pub task: TaskId,
    /// The task whose hold it draws on: its delegator.
    pub holder: TaskId,
    /// What it may do.
    pub scope: Scope,
}

/// A decision about an attempt whose outcome nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// Who decided, as the caller is named to people.
    pub by: String,
    /// The tree.
    pub root: TaskId,
    /// The task.
    pub task: TaskId,
    /// The agent that may or may not have done it.
    pub agent: String,
    /// The attempt.
    pub attempt: u32,
    /// What is to be done.
    pub resolution: Resolution,
}

/// A key that follows another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFollows {
    /// What it signs.
    pub signs: Signs,
    /// Who asked for it; absent where the broker did what it is configured to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// Names it in what it signs and in the published key set.
    pub kid: String,
    /// When it signs for the first time; seconds since the epoch.
    pub from: u64,
    /// What the keys before it signed counts no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compromised: bool,
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signs {
    /// Grants.
    Grants,
    /// The cards the broker serves.
    Cards,
}

/// A registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Who registered it.
    pub by: By,
    /// Its name.
    pub agent: String,
    /// Where it is: scheme, host, port and path. Userinfo and query may be secrets.
    pub url: String,
    /// What the operator lets it hold.
    pub caps: Scope,
    /// How the broker proves itself to it: of which kind that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// Thumbprint of the key its grants are bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The ids of the keys that may sign its card; with none, anybody may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub card_keys: Vec<String>,
    /// How its card stands with them; absent where there is no card yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
}

/// A registration taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Who removed it.
    pub by: By,
    /// Its name.
    pub agent: String,
}

/// A card that claims more than the one in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardChanged {
    /// The agent.
    pub agent: String,
    /// What became of it.
    pub outcome: CardOutcome,
    /// Who accepted it; absent where the broker did what it is configured to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// SHA-256 of the card's bytes.
    pub card_sha256: Hash,
    /// What is different, in words.
    pub changes: Vec<String>,
}

/// What became of a card that claims more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardOutcome {
    /// It waits for an operator; the one in use stays.
    Held,
    /// It is used.
    Applied,
    /// An operator had it used.
    Accepted,
    /// The agent took it back before anybody accepted it.
    Withdrawn,
}

/// Refusals that were only counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// What they have in common with one another, and with an entry shortly before.
    pub like: Alike,
    /// How many.
    pub more: u64,
    /// When the first of them, or the entry they are like, happened.
    pub since: Timestamp,
    /// When the last of them happened.
    pub until: Timestamp,
}

/// What makes two refusals alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alike {
    /// The same asked for a task of the same agent and was refused for the same reason.
    Delegation {
        /// The principal that owns the tree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// The principal or the agent that asked.
        by: String,
        /// The agent it was for.
        agent: String,
        /// Why not.
        code: String,
    },
    /// The same kind of credential failed in the same way.
    AuthenticationFailed {
        /// What was presented.
        presented: Presented,
        /// The reason up to its first colon: what follows may come from outside.
        reason: String,
    },
    /// The same caller was forbidden the same.
    Forbidden {
        /// The principal, or `task`.
        by: String,
        /// What.
        act: String,
    },
    /// More kinds of refusals at a time than are told apart.
    Others,
}

impl Event {
    /// What a refusal has in common with others like it; `None` for what is always recorded.
    pub(super) fn alike(&self) -> Option<Alike> {
        match self {
            Self::Delegation(asked) => {
                let code = asked.refused.as_ref()?.code.clone();
                let (by, agent) = (asked.by.name().to_owned(), asked.agent.clone());
                Some(Alike::Delegation { owner: asked.owner.clone(), by, agent, code })
            }
            Self::AuthenticationFailed(failed) => {
                let class = failed.reason.split(':').next().unwrap_or_default();
                Some(Alike::AuthenticationFailed { presented: failed.presented, reason: class.to_owned() })
            }
            Self::Forbidden(forbidden) => {
                let by = forbidden.by.name().to_owned();
                Some(Alike::Forbidden { by, act: forbidden.act.clone() })
            }
            Self::Grant(_)
            | Self::Revoked(_)
            | Self::Approval(_)
            | Self::Checked(_)
            | Self::Resolved(_)
            | Self::BackedUp(_)
            | Self::Reconfigured(_)
            | Self::KeyFollows(_)
            | Self::AgentRegistered(_)
            | Self::AgentRemoved(_)
            | Self::CardChanged(_)
            | Self::Repeated(_) => None,
        }
    }
}

impl By {
    /// Without ids, of which one caller may have many.
    fn name(&self) -> &str {
        match self {
            Self::Principal(name) => name,
            Self::Task { agent, .. } => agent.as_deref().unwrap_or("task"),
            Self::Configuration => "configuration",
        }
    }
}

impl Delegation {
    /// The wish alone, nothing decided yet.
    pub(crate) fn asked(root: TaskId, new: &NewTask) -> Self {
        let by = match new.parent {
            None => By::Principal(new.caller.clone()),
            Some(id) => By::Task { id, agent: Some(new.caller.clone()) },
        };
        Self {
            by,
            owner: None,
            root,
            parent: new.parent,
            task: new.id,
            upstream: new.upstream.clone(),
            agent: new.agent.name.clone(),
            skill: new.skill.clone(),
            judged: None,
            refused: None,
        }
    }

    /// What became of it, where nothing did.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        let is_told = self.judged.as_ref().is_some_and(|judged| !judged.is_allowed());
        let why = (!is_told).then(|| shorten(&refusal.to_string()));
        self.refused = Some(Refused { code: refusal.code().to_owned(), why });
    }
}

impl AuthenticationFailed {
    /// A failure, its reason cut to a bounded length.
    pub fn new(presented: Presented, reason: &str) -> Self {
        Self { presented, reason: shorten(reason) }
    }
}

impl Grant {
    /// A grant as its claims describe it.
    pub fn new(act: GrantAct, claims: &capability::Claims) -> Self {
        Self {
            act,
            id: claims.id.clone(),
            task: claims.task.clone(),
            holder: claims.holder.clone(),
            audience: claims.audience.clone(),
            scope_sha256: Hash(Sha256::digest(claims.scope.texts().join(" ")).into()),
            expires: claims.expires,
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(MAX_REASON_CHARS).collect()
}
