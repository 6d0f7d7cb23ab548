//! What can happen to a delegation tree from outside.

use capability::ledger::Ceilings;
use capability::{Scope, SkillRequirement};
use protocol::{Message, StreamResponse, Task, Timestamp};

use crate::TaskId;
use crate::journal::{PushConfig, Retry};

/// One attempt of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// The task.
    pub task: TaskId,
    /// Its attempt, from 1.
    pub number: u32,
}

/// A request for a new task, root or child.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// The id minted for it.
    pub id: TaskId,
    /// The broker-verified delegating task; `None` makes a root.
    pub parent: Option<TaskId>,
    /// Who asks: a principal for a root, the delegating agent for a child.
    pub caller: String,
    /// What the caller's credential admits: for a root the scope its principal holds; for a child everything, or the
    /// scope of the narrowed grant it was asked for with, which bounds what its parent holds.
    pub held: Scope,
    /// The agent chosen.
    pub agent: AgentFacts,
    /// The skill asked for.
    pub skill: Option<String>,
    /// The scope asked for; `None` asks for all that can be passed on.
    pub asked: Option<Scope>,
    /// The message as the caller sent it, broker-only data already dropped.
    pub message: Message,
    /// Northbound context id.
    pub context_id: String,
    /// Southbound context id.
    pub agent_context: String,
    /// Output modes the caller accepts.
    pub accepted_output_modes: Vec<String>,
    /// The deadline asked for.
    pub deadline: Option<Timestamp>,
    /// The retry policy asked for.
    pub retry: Option<Retry>,
    /// What it may use up at most, as far as the caller says.
    pub budget: Ceilings,
    /// What the policy of the owner's account admits; `None` is everything.
    pub policy: Option<Scope>,
    /// Where its events are to be pushed from the beginning.
    pub push: Option<PushConfig>,
}

/// What the registry knows of an agent, as far as deciding needs it.
#[derive(Debug, Clone)]
pub struct AgentFacts {
    /// Registered name.
    pub name: String,
    /// Canonical identity: two names of one agent share it.
    pub identity: String,
    /// `Caps(B)`: the operator's ceiling, lowered by the card.
    pub caps: Scope,
    /// The card's skills and what each requires.
    pub skills: Vec<SkillRequirement>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A new child is asked for. (A new root is [`super::Tree::open`].)
    Delegate(Box<NewTask>),
    /// A caller continues a task with another message.
    Turn {
        /// The task.
        task: TaskId,
        /// The message as the caller sent it.
        message: Box<Message>,
    },
    /// The agent said something.
    Agent {
        /// The attempt it spoke for.
        attempt: AttemptId,
        /// What it said, ids and metadata still the agent's own.
        event: Box<StreamResponse>,
    },
    /// The agent, asked what became of an attempt, answered with the task as it stands.
    Found {
        /// The attempt.
        attempt: AttemptId,
        /// The agent's task.
        task: Box<Task>,
    },
    /// The conversation with the agent broke or ended.
    Failed {
        /// The attempt.
        attempt: AttemptId,
        /// How.
        failure: Failure,
    },
    /// A caller asks to cancel a task.
    Cancel {
        /// The task.
        task: TaskId,
        /// Who asks, for people.
        by: String,
    },
    /// The grants of a task and of everything below it are to be dead.
    Revoke {
        /// The task.
        task: TaskId,
        /// Who revokes, for people.
        by: String,
    },
    /// A task's events are to be pushed somewhere.
    SetPush {
        /// The task.
        task: TaskId,
        /// Where, under which id.
        config: Box<PushConfig>,
    },
    /// A task's events are no longer to be pushed somewhere.
    DeletePush {
        /// The task.
        task: TaskId,
        /// The configuration.
        id: String,
    },
    /// The agent answered a cancel request, or could not be asked.
    CancelAnswered {
        /// The attempt.
        attempt: AttemptId,
        /// Whether the agent confirmed that it stopped.
        confirmed: bool,
        /// What it said, for people.
        reason: Option<String>,
    },
    /// Time passed; see [`super::Tree::next_timer`].
    Tick,
    /// The broker came back: everything under way must be taken up again.
    Resume,
}

/// How talking to an agent failed. The variant says what is known about the agent, not about the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The agent certainly never got it (no connection).
    NeverSent(String),
    /// The agent answered that it will not do it.
    Refused(String),
    /// The agent answered that it failed; it may have done part of it.
    Errored(String),
    /// The agent answered with something that is not A2A.
    Invalid(String),
    /// Contact broke after the agent may have got it.
    Broken(String),
    /// The event stream ended in good order before the task did.
    StreamEnded,
    /// The agent no longer knows the task it had accepted.
    Gone(String),
    /// The agent could not be asked within the recovery time.
    Unreachable(String),
    /// The agent was asked for a task it never confirmed and does not list it.
    Absent {
        /// The agent is known to list all it has: absence proves that it never arrived.
        conclusive: bool,
    },
}
