//! What can happen to a delegation tree from outside.

use std::collections::BTreeMap;

use broker_acceptance::{Specification, Verdict};
use capability::ledger::Ceilings;
use capability::{Scope, SkillRequirement};
use protocol::{Message, StreamResponse, Task, Timestamp};
use serde::{Deserialize, Serialize};

use crate::TaskId;
use crate::journal::{Choice, Fallback, Group, PushConfig, Resolution, Retry, Upstream};
use crate::limits::Limits;
use crate::trace::TraceParent;

/// One attempt of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// URIs of the extensions the caller wants to use.
    pub extensions: Vec<String>,
    /// The deadline asked for.
    pub deadline: Option<Timestamp>,
    /// What was said about trying again.
    pub retry: RetryWish,
    /// The agent has a place for it now; else it waits for one.
    pub admitted: bool,
    /// Where something is missing that a task further up holds, ask for it instead of refusing.
    pub escalate: bool,
    /// What it may use up at most, as far as the caller says.
    pub budget: Ceilings,
    /// What the policy of the owner's account admits; `None` is everything.
    pub policy: Option<Scope>,
    /// Where its events are to be pushed from the beginning.
    pub push: Option<PushConfig>,
    /// How its delegate was chosen, where nobody named one.
    pub choice: Option<Box<Choice>>,
    /// What is said of it beside its message, and what is accepted of it.
    pub specification: Option<Box<Specification>>,
    /// Where its caller stands in a trace.
    pub trace: Option<TraceParent>,
    /// The task of another broker that it is done for; only of a root.
    pub upstream: Option<Box<Upstream>>,
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
    /// What the operator says about trying its tasks again.
    pub retry: RetryWish,
    /// The same for single skills, which goes before.
    pub skill_retry: BTreeMap<String, RetryWish>,
}

/// What somebody says about trying again; what is left out is for the next to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryWish {
    /// Attempts with one delegate, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Doing it twice is harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// Who else may do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

impl RetryWish {
    /// Whether all is left to others to say.
    pub fn says_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// This, and where it says nothing, that.
    #[must_use]
    pub fn or(self, that: &Self) -> Self {
        Self {
            max_attempts: self.max_attempts.or(that.max_attempts),
            idempotent: self.idempotent.or(that.idempotent),
            fallback: self.fallback.or_else(|| that.fallback.clone()),
        }
    }

    /// What holds, within the limits.
    pub(super) fn settle(self, limits: &Limits) -> Retry {
        let max_attempts = self.max_attempts.unwrap_or(limits.default_max_attempts);
        Retry {
            max_attempts: max_attempts.clamp(1, limits.max_attempts),
            idempotent: self.idempotent.unwrap_or(false),
            fallback: self.fallback.unwrap_or_default(),
        }
    }
}

impl AgentFacts {
    /// What the operator says about trying a skill again.
    pub(super) fn retry_of(&self, skill: Option<&str>) -> RetryWish {
        let of_skill = skill.and_then(|skill| self.skill_retry.get(skill)).cloned();
        of_skill.unwrap_or_default().or(&self.retry)
    }
}

/// Another delegate for a task.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The agent.
    pub agent: AgentFacts,
    /// Southbound context id there.
    pub agent_context: String,
    /// What the policy of the owner's account admits; `None` is everything.
    pub policy: Option<Scope>,
    /// The agent has a place for it now; else it waits for one.
    pub admitted: bool,
    /// How it was chosen, where nobody named it.
    pub choice: Option<Box<Choice>>,
}

/// What is needed to do in another task's place what it may not.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// The id minted for the task that does it.
    pub id: TaskId,
    /// Its delegate.
    pub to: Candidate,
}

/// A request for several sub-tasks.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// The task they make up, which is the broker's own; its agent's facts are of no account.
    pub task: NewTask,
    /// When it is done.
    pub group: Group,
    /// The sub-tasks, each with the group's task as its parent.
    pub subtasks: Vec<NewTask>,
}

/// A request to give a task to another agent for good.
#[derive(Debug, Clone)]
pub struct NewHandOff {
    /// The task.
    pub task: TaskId,
    /// What the grant admits that it is asked with.
    pub held: Scope,
    /// Who shall have it.
    pub to: Candidate,
    /// The skill meant.
    pub skill: Option<String>,
    /// The scope to pass on; `None` is all that can be.
    pub asked: Option<Scope>,
    /// What the agent that gives it away says to the other.
    pub message: Message,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A task is asked for: the root, or a child of one that is there.
    Delegate(Box<NewTask>),
    /// A task is asked for, and it is open, or hopeless, whom to give it to: its choice says which.
    Ask(Box<NewTask>),
    /// The answer to that: a delegate.
    Choose {
        /// The task it was sent to.
        task: TaskId,
        /// What the caller said.
        message: Box<Message>,
        /// Where the task's events are to be pushed from then on.
        push: Option<Box<PushConfig>>,
        /// The delegate.
        to: Box<Candidate>,
    },
    /// The answer leaves it open still, or hopeless.
    AskAgain {
        /// The task it was sent to.
        task: TaskId,
        /// What the caller said.
        message: Box<Message>,
        /// Where the task's events are to be pushed from then on.
        push: Option<Box<PushConfig>>,
        /// What came of weighing again.
        choice: Box<Choice>,
    },
    /// Several sub-tasks are asked for as one.
    Group(Box<NewGroup>),
    /// An agent gives the task it works on away.
    HandOff(Box<NewHandOff>),
    /// A caller continues a task with another message.
    Turn {
        /// The task.
        task: TaskId,
        /// The message as the caller sent it.
        message: Box<Message>,
        /// Where the task's events are to be pushed from then on.
        push: Option<Box<PushConfig>>,
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
        /// Southbound id of the latest message of the attempt when the agent was asked. An answer may be older than a
        /// message that was sent since, and says nothing about that one.
        latest: String,
    },
    /// The agent answered the call that brought it a message.
    Taken {
        /// The attempt.
        attempt: AttemptId,
        /// Southbound id of the message.
        latest: String,
    },
    /// A result was checked against what is accepted.
    Checked {
        /// The attempt that produced it.
        attempt: AttemptId,
        /// What became of the checks.
        verdict: Verdict,
        /// The task that asks the judge, where one is to be asked and nothing failed; or why it cannot be asked.
        judge: Option<Result<Box<NewTask>, String>>,
    },
    /// The agent has a place for an attempt that waited for one.
    Admitted {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The conversation with the agent broke or ended.
    Failed {
        /// The attempt.
        attempt: AttemptId,
        /// How.
        failure: Failure,
        /// Spreads the waits of those that failed together; any number.
        jitter: u16,
    },
    /// Another delegate was found for an attempt that looks for one.
    Reassign {
        /// The attempt.
        attempt: AttemptId,
        /// The delegate.
        to: Box<Candidate>,
    },
    /// Nobody else can do it.
    NoDelegate {
        /// The attempt.
        attempt: AttemptId,
        /// Why not, candidate by candidate, for people.
        reason: String,
    },
    /// What a task lacks is granted by whoever may, or denied.
    Decide {
        /// The task that waits for it.
        task: TaskId,
        /// The task to be made if it is granted; `None` denies.
        grant: Option<Box<NewGrant>>,
        /// Who decides, for people.
        by: String,
    },
    /// An operator decides about an attempt whose outcome is unknown.
    Resolve {
        /// The task.
        task: TaskId,
        /// What to do.
        resolution: Resolution,
        /// Who decides, for people.
        by: String,
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
    /// The agent answered that it cannot take it now; nothing was done.
    Busy {
        /// What it said.
        reason: String,
        /// Not before this, says the agent; milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// The agent was not tried: it has not answered lately.
    Down {
        /// Until when, for people.
        reason: String,
        /// Not before this; milliseconds.
        retry_after_ms: i64,
    },
    /// The agent answered that it will not do it.
    Refused(String),
    /// The agent answered that it failed; it may have done part of it.
    Errored(String),
    /// The agent answered with something that is not A2A.
    Invalid(String),
    /// The agent reported completion, and its result is not what is accepted.
    Unaccepted(String),
    /// Nothing was heard of it for too long, though it may still be at it.
    Silent {
        /// How long, seconds.
        seconds: i64,
    },
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
