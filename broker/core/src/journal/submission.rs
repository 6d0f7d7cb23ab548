//! What is fixed when a task is accepted, and the terms on which an agent has it.

use broker_acceptance::{Acceptance, Specification};
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::{Message, Timestamp};
use serde::{Deserialize, Serialize};

use crate::TaskId;
use crate::delegation::input::RetryWish;
use crate::journal::Upstream;
use crate::trace::TraceParent;

/// Everything fixed when a task is accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submission {
    /// The delegating task; absent for a root.
    pub parent: Option<TaskId>,
    /// Hops from the root, 0 for a root.
    pub depth: u32,
    /// The principal that owns the tree.
    pub owner: String,
    /// Who asked: a principal's name for a root, the delegating agent's name for a child.
    pub caller: String,
    /// With whom it is, and what it may do there.
    #[serde(flatten)]
    pub terms: Terms,
    /// Northbound context id.
    pub context_id: String,
    /// The message as the caller sent it.
    pub message: Message,
    /// Output modes the caller accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_output_modes: Vec<String>,
    /// URIs of the extensions the caller wants to use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// When the task must be over.
    pub deadline: Timestamp,
    /// How often and when it may be tried again, with its first delegate.
    pub retry: Retry,
    /// What the caller said about that, for the next one.
    #[serde(default, skip_serializing_if = "RetryWish::says_nothing")]
    pub retry_wish: RetryWish,
    /// What was asked for, where other terms may have to be worked out later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Box<Wish>>,
    /// The task is the broker's own: it is done when so many of its sub-tasks are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The delegating task lacks what it needs, and a task further up holds it: it waits for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Box<Escalation>>,
    /// What was said of it beside its message, and what is accepted of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specification: Option<Box<Specification>>,
    /// Where its caller stands in a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// The task of another broker that it is done for; only of a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Box<Upstream>>,
}

impl Submission {
    /// What is accepted of it, if that is checked.
    pub fn accept(&self) -> Option<&Acceptance> {
        self.specification.as_deref()?.accept.as_ref()
    }
}

/// What a task waits for before it may be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// The task further up that holds what is missing.
    pub holder: TaskId,
    /// Canonical scope tokens that are missing.
    pub missing: Vec<String>,
}

/// When a task of several sub-tasks is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How its sub-tasks go together.
    pub mode: GroupMode,
    /// How many of them must be completed.
    pub need: u32,
}

/// How sub-tasks go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupMode {
    /// All are wanted; what some achieve is kept where others fail.
    Parallel,
    /// The first to be completed wins; the others are cancelled.
    Race,
    /// So many are enough; the others are cancelled then.
    Quorum,
}

impl GroupMode {
    /// Its name, as requests and people have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Race => "race",
            Self::Quorum => "quorum",
        }
    }
}

/// With whom a task is, and what it may do there: what another delegate has terms of its own for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Terms {
    /// The agent chosen.
    pub agent: String,
    /// The agent's canonical identity (what cycles are judged by).
    pub identity: String,
    /// The skill asked for, if one was named.
    pub skill: Option<String>,
    /// The skills that may be used when none was named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// Southbound context id.
    pub agent_context: String,
    /// The effective scope: what the agent may do with this task.
    pub scope: Scope,
    /// What it may use up, and with whom that is reserved: first the purse of the task as a whole, then those of its
    /// capabilities with ceilings. Empty if nothing limits it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purses: Vec<Allotment>,
}

/// What a delegator asked for, as far as terms follow from it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Wish {
    /// What the caller's credential admitted; absent if everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Scope>,
    /// The scope asked for; absent if all that can be passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Scope>,
}

impl Wish {
    /// What was asked for, and what the caller's credential admits.
    pub(crate) fn of(held: Scope, asked: Option<Scope>) -> Self {
        Self { held: (held != Scope::top()).then_some(held), asked }
    }
}

/// A task goes to another agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reassignment {
    /// The first attempt on the new terms.
    pub number: u32,
    /// The terms.
    #[serde(flatten)]
    pub terms: Terms,
    /// How often and when it may be tried again there; absent: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What the new agent is sent; absent if the task's own first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
}

/// A purse of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allotment {
    /// The most that may be used up.
    pub ceilings: Ceilings,
    /// Which purses of the delegating task it is reserved with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<u32>,
    /// Which capabilities of the scope draw on it, by position; none for the purse of the task as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<u32>,
}

/// What is known about trying again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts with one delegate, at least 1.
    pub max_attempts: u32,
    /// Doing it twice is harmless.
    pub idempotent: bool,
    /// Who else may do it.
    #[serde(default, skip_serializing_if = "Fallback::is_none")]
    pub fallback: Fallback,
}

/// Who may be given a task that its first delegate did not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Nobody.
    #[default]
    None,
    /// Any agent that can.
    Any,
    /// These, in this order.
    Agents(Vec<String>),
}

impl Fallback {
    /// Whether nobody else may have it.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}
