//! The journal's vocabulary: what can become true of a task, in the order it became true.
//!
//! A tree's journal is the only source of truth. State is a fold of these records, and so is every
//! northbound event stream. Records are versioned JSON, readable by a person with `less`; a reader of a later
//! version must be able to fold every earlier one.

mod choice;
mod reading;
mod submission;
mod upstream;

use std::sync::Arc;

use broker_acceptance::Verdict;
use capability::ledger::Ceilings;
use protocol::{Artifact, Message, Metadata, Secret, TaskState, Timestamp, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::TaskId;

pub use self::choice::{Choice, ChoiceVerdict, Considered, Excluded};
pub use self::reading::Line;
pub use self::submission::{
    Allotment, Escalation, Fallback, Group, GroupMode, Reassignment, Retry, Submission, Terms, Wish,
};
pub use self::upstream::Upstream;

/// The record format written by this version.
pub const RECORD_VERSION: u16 = 1;

/// One fact about one task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Format version, [`RECORD_VERSION`] when written by this build.
    pub v: u16,
    /// The task it is about.
    pub task: TaskId,
    /// Number of this record among the task's own, from 1; the id of its event in a stream.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// What became true.
    pub fact: Fact,
}

/// What became true of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The task exists: accepted, budgeted, allowed.
    Submitted(Arc<Submission>),
    /// An attempt waits for its time (backoff).
    AttemptScheduled {
        /// Attempt number, from 1.
        number: u32,
        /// Not sent before this.
        not_before: Timestamp,
    },
    /// The attempt waits for a place at its agent, in order; nothing was sent.
    AttemptQueued {
        /// Attempt number, from 1.
        number: u32,
    },
    /// The attempt waits until another delegate is chosen; nothing was sent.
    DelegateSought {
        /// Attempt number.
        number: u32,
    },
    /// Nobody was named to do it: the broker has weighed whom to give it to.
    Weighed(Box<Choice>),
    /// The task is another agent's from this attempt on, on terms of its own.
    Reassigned(Box<Reassignment>),
    /// The attempt is about to be sent: from here on the agent may have it.
    AttemptStarted {
        /// Attempt number.
        number: u32,
    },
    /// The agent has it, under its own task id; also once it says so again after contact was lost.
    AttemptAccepted {
        /// Attempt number.
        number: u32,
        /// The agent's id for the task.
        agent_task: String,
    },
    /// Contact was lost while the agent may be working; it is being asked.
    AttemptLost {
        /// Attempt number.
        number: u32,
        /// What happened, for people.
        reason: String,
    },
    /// What the agent did cannot be known, and it must not be sent again unasked: an operator may decide.
    OutcomeUnknown {
        /// Attempt number.
        number: u32,
        /// What happened, for people.
        reason: String,
        /// When nobody is waited for any longer.
        until: Timestamp,
    },
    /// An operator decided about an attempt whose outcome is unknown.
    Resolved {
        /// Attempt number.
        number: u32,
        /// Who decided, for people.
        by: String,
        /// What to do.
        resolution: Resolution,
    },
    /// The agent was asked to cancel.
    CancelRequested {
        /// Attempt number.
        number: u32,
    },
    /// The attempt is over.
    AttemptEnded {
        /// Attempt number.
        number: u32,
        /// How.
        outcome: AttemptOutcome,
        /// Why, for people.
        reason: Option<String>,
    },
    /// The broker came back and took the attempt up again.
    Resumed,
    /// The northbound status changed or was restated.
    Status(Box<StatusFact>),
    /// An artifact, or a piece of one, arrived.
    Artifact(Box<ArtifactFact>),
    /// Something the agent produced that is shown once it is accepted: then it becomes a record of its own.
    Withheld(Box<Fact>),
    /// The agent says COMPLETED: what it produced is being checked against what is accepted.
    Checking(Box<Outcome>),
    /// Nothing failed so far, and another task asks the judge.
    Judging {
        /// That task.
        judge: TaskId,
        /// What became of the checks so far.
        verdict: Box<Verdict>,
    },
    /// What became of the checks. Where any failed, so did the attempt.
    Checked {
        /// Attempt number.
        number: u32,
        /// What became of them.
        verdict: Box<Verdict>,
    },
    /// The agent attached metadata to the task as a whole.
    Metadata(Box<Metadata>),
    /// A message of the conversation that was not a status (a caller's further turn, or history an agent reported).
    Said(Box<Message>),
    /// A caller's further turn is on its way to the agent.
    Turn {
        /// What the caller said.
        message: Box<Message>,
        /// It answers a question, so the task is WORKING again.
        answers: bool,
    },
    /// The agent has that turn. Another may follow, after an answer once the agent has reacted to it: by a status, or, where
    /// that says nothing new, by this a second time.
    TurnTaken {
        /// Attempt number.
        number: u32,
    },
    /// The agent lacks that turn: it goes out again.
    TurnResent {
        /// Attempt number.
        number: u32,
    },
    /// The agent refused that turn, or lost it too often: it is not sent again, and the task goes on as it was.
    TurnRefused {
        /// Attempt number.
        number: u32,
        /// What it said, for people.
        reason: String,
    },
    /// A task below asks, and its delegator cannot hear it: the question is shown here, to be answered here.
    Bubbled(Box<Bubble>),
    /// The answer to that question was passed on to the task that asks.
    PassedOn {
        /// What the caller said.
        message: Box<Message>,
        /// The task that asks.
        to: TaskId,
    },
    /// What was missing was granted: another task, which may do it, does it in this one's place.
    Approved {
        /// Who granted it, for people.
        by: String,
        /// That task.
        done_by: TaskId,
    },
    /// The agent says COMPLETED, but children are open: the end waits for them.
    Held(Box<Outcome>),
    /// The task will end like this once its subtree is cancelled. Its grants are dead from here on.
    Closing {
        /// The end to come.
        outcome: Box<Outcome>,
        /// When to stop waiting for confirmations.
        give_up: Timestamp,
    },
    /// Grants of the task and of everything below it are dead from here on; what was begun goes on.
    Revoked {
        /// Who revoked them, for people.
        by: String,
    },
    /// The agent says what an attempt has used up so far. Of a unit the last word counts.
    Cost {
        /// Attempt number.
        number: u32,
        /// The totals it states.
        cost: Cost,
    },
    /// The task's events are to be pushed somewhere, from here on; replaces the configuration of the same id.
    PushSet(Box<PushConfig>),
    /// They are no longer to be pushed there.
    PushDeleted {
        /// The configuration.
        id: String,
    },
    /// The end. Nothing that is shown follows.
    Ended(Box<Outcome>),
    /// Something arrived after the end, or from a lost attempt; kept, never shown.
    Late {
        /// Attempt number.
        number: u32,
        /// What it was, for people.
        what: String,
    },
}

impl Fact {
    /// Whether nothing comes any more of what is withheld: it is shown, or the next attempt begins anew. Whoever hands a task
    /// over leaves what it made.
    pub(crate) fn drops_withheld(&self) -> bool {
        match self {
            Self::Ended(_) => true,
            Self::AttemptEnded { outcome, .. } => *outcome != AttemptOutcome::HandedOff,
            _ => false,
        }
    }
}

/// A question shown where it can be answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bubble {
    /// The task that asks.
    pub asks: ChildNote,
    /// What it asks.
    pub message: Option<Message>,
}

/// What an operator decides about an attempt whose outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Ask the agent once more.
    Ask,
    /// It was not done, or doing it twice is harmless: another attempt.
    Retry,
    /// Let the task fail.
    Fail,
}

/// Where a task's events are pushed. Its secrets are stored with the task and shown to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushConfig {
    /// Unique among the task's own.
    pub id: String,
    /// Where to post; judged when it was given, and again at each connection.
    pub url: String,
    /// What the receiver knows its task by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The scheme of the `Authorization` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// What follows the scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
    /// The version of A2A it was registered in, and so the one its receiver reads.
    #[serde(default, skip_serializing_if = "is_current")]
    pub version: Version,
}

/// What a record need not say.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_current(version: &Version) -> bool {
    *version == Version::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A northbound status.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatusFact {
    /// The state shown.
    pub state: TaskState,
    /// The message shown with it.
    pub message: Option<Message>,
    /// Event metadata.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Who says so.
    pub origin: Origin,
}

/// Who a status comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The agent working on the task.
    Agent,
    /// The broker, about the task's attempts.
    Broker,
    /// The broker, about the progress of a child.
    Child(ChildNote),
}

/// A child's progress, as its parent's stream shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Child")]
pub struct ChildNote {
    /// The child.
    pub task: TaskId,
    /// Its agent.
    pub agent: String,
    /// Its skill, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// Its state.
    pub state: TaskState,
}

/// A piece of an artifact as it arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArtifactFact {
    /// The artifact, or the parts to append to it.
    pub artifact: Artifact,
    /// Appends to the artifact of the same id.
    pub append: bool,
    /// No more pieces follow.
    pub last_chunk: bool,
    /// The size of what it takes the place of, in bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replaces: u64,
    /// Event metadata.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// An amount of each unit as far as it is known.
pub type Cost = Ceilings;

/// How a task ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// A terminal state.
    pub state: TaskState,
    /// The closing message.
    pub message: Option<Message>,
    /// Event metadata.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The agent answered with this message and no task, before it or a child gave a sign of work: it passes as exactly
    /// that, unless the caller was told of a task because it had to wait for a place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
    /// What its agent used up by itself in all attempts on the terms it ended on, without its delegations; a unit that is
    /// absent is unknown. Set when it ends.
    #[serde(default, skip_serializing_if = "Cost::is_unlimited")]
    pub cost: Cost,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The agent reported a terminal state.
    Reported,
    /// The agent never got it.
    NeverSent,
    /// The agent refused it.
    Refused,
    /// It failed, possibly with effects.
    Failed,
    /// What the agent did cannot be known.
    Unknown,
    /// The agent confirmed the cancellation.
    Canceled,
    /// Cancellation was requested, not confirmed.
    CancelUnconfirmed,
    /// The agent handed the task over to another.
    HandedOff,
    /// What it produced was not accepted.
    Unaccepted,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not a record of a known shape.
    #[error("not a journal record: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a later version.
    #[error(
        "journal record version {found} is newer than {RECORD_VERSION}, the newest this build reads; upgrade the broker"
    )]
    Newer {
        /// Version found.
        found: u16,
    },
}

impl Record {
    /// The stored form: one JSON object.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        Ok(protocol::to_json(self)?)
    }

    /// Reads the stored form of this or any earlier version.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            v: u16,
        }
        serde_json::from_slice::<Self>(bytes).map_err(|malformed| {
            match serde_json::from_slice::<Version>(bytes) {
                Ok(Version { v }) if v > RECORD_VERSION => RecordError::Newer { found: v },
                _ => malformed.into(),
            }
        })
    }
}
