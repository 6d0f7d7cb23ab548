//! What the core wants done, as data. The driver performs actions after their records are durable.

use std::sync::Arc;

use broker_acceptance::{Produced, Specification};
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::{Message, Timestamp};

use super::context::Given;
use super::input::AttemptId;
use crate::TaskId;
use crate::journal::{Fallback, Submission};
use crate::trace::TraceParent;

/// An effect to perform.
#[derive(Debug, Clone)]
pub enum Action {
    /// Say when the agent has a place for the attempt ([`super::input::Input::Admitted`]).
    Admit {
        /// The attempt.
        attempt: AttemptId,
        /// The agent.
        agent: String,
        /// The principal that owns the tree: places are shared fairly between principals.
        owner: String,
    },
    /// Find another delegate ([`super::input::Input::Reassign`], or [`super::input::Input::NoDelegate`]).
    Seek(Box<Search>),
    /// Check a result against what is accepted ([`super::input::Input::Checked`]).
    Check(Box<Check>),
    /// Send a message to the agent and listen to what it says.
    Send(Box<Dispatch>),
    /// Ask the agent what became of the attempt, then listen on.
    Recover(Box<Recovery>),
    /// Ask the agent to cancel its task.
    Cancel {
        /// The attempt.
        attempt: AttemptId,
        /// The agent.
        agent: String,
        /// The agent's own id of the task.
        agent_task: String,
    },
    /// Stop listening to an attempt that is over.
    Abandon(AttemptId),
}

/// An attempt to be asked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The attempt.
    pub attempt: AttemptId,
    /// The agent.
    pub agent: String,
    /// The agent's own id of the task, if it ever said one.
    pub agent_task: Option<String>,
    /// Southbound context, to look the task up when its id is unknown.
    pub agent_context: String,
    /// Southbound message id, likewise.
    pub message_id: String,
    /// Southbound id of the latest message of the attempt, which may be another.
    pub latest: String,
}

/// What another delegate is looked for by.
#[derive(Debug, Clone)]
pub struct Search {
    /// The attempt it is for.
    pub attempt: AttemptId,
    /// Who may be asked.
    pub among: Fallback,
    /// The skill that is needed.
    pub skill: Option<String>,
    /// Where none is named: those the former delegate was allowed.
    pub skills: Vec<String>,
    /// Agents that had the task already, and those above it.
    pub not: Vec<String>,
    /// The principal that owns the tree.
    pub owner: String,
    /// Northbound context id.
    pub context_id: String,
}

/// A result to be checked.
#[derive(Debug, Clone)]
pub struct Check {
    /// The attempt that produced it.
    pub attempt: AttemptId,
    /// What was asked for, and what is accepted.
    pub submission: Arc<Submission>,
    /// What was produced.
    pub produced: Produced,
}

/// A message on its way to an agent.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// The attempt.
    pub attempt: AttemptId,
    /// The agent.
    pub agent: String,
    /// The message, its ids already southbound.
    pub message: Message,
    /// Output modes the caller accepts.
    pub accepted_output_modes: Vec<String>,
    /// URIs of the extensions the caller wants to use.
    pub extensions: Vec<String>,
    /// What the agent is told and granted.
    pub passport: Passport,
}

/// What a grant is made of and what `metadata[extension]` tells the agent (design §2).
#[derive(Debug, Clone)]
pub struct Passport {
    /// The task.
    pub task: TaskId,
    /// Its parent.
    pub parent: Option<TaskId>,
    /// The root of its tree.
    pub root: TaskId,
    /// Hops from the root.
    pub depth: u32,
    /// The principal that owns the tree.
    pub owner: String,
    /// The agents the delegation came through, nearest first (audit only).
    pub chain: Vec<String>,
    /// The agent that holds the grant.
    pub agent: String,
    /// The skill asked for.
    pub skill: Option<String>,
    /// The skills that may be used when none was named.
    pub skills: Vec<String>,
    /// The effective scope.
    pub scope: Scope,
    /// When the task must be over.
    pub deadline: Timestamp,
    /// What it may use up, its delegations included.
    pub budget: Ceilings,
    /// What is said of it beside its message, and what is accepted of it.
    pub specification: Option<Box<Specification>>,
    /// Where the agent goes on from in the tree's trace.
    pub trace: TraceParent,
    /// Where its caller stands in a trace, for a broker that records none.
    pub caller_trace: Option<TraceParent>,
    /// Which parts of its message are artifacts that were given along.
    pub given: Vec<Given>,
}
