//! The state of one task.
//!
//! ```text
//!                submit
//!                  │
//!                  ▼
//!             ┌─Submitted─┐ agent's first sign of work, or a child
//!             │           ▼
//!             │        Working ◀───────────────┐ answered
//!             │         │ │ └──agent asks────▶ Asking
//!             │         │ │                     │
//!             │         │ └─COMPLETED, children open─▶ Held
//!             │         │                       │       │ last child settles (first Checking, where something
//!             │         │                       │       │   has to be accepted; not accepted: Working, next attempt)
//!   failed,   ▼         ▼                       ▼       ▼
//!   refused,  Closing ◀─(from any open state)────────▶ Ended
//!   cancelled,   │   revoked; children and agent are being cancelled   ▲
//!   deadline     └──────────────all settled, or time is up─────────────┘
//! ```
//!
//! `Node` is what decisions need and is cheap to copy; `Body` is what people read (messages, artifacts) and is
//! never copied to decide.

use std::sync::Arc;

use broker_acceptance::Verdict;
use capability::ledger::Unit;
use protocol::{Message, TaskState, Timestamp};

use super::body::bytes_of;
use super::on_push::Push;
use super::on_turn::{Question, Turn};
use crate::TaskId;
use crate::journal::{
    AttemptOutcome, ChildNote, Choice, Cost, Fact, Origin, Outcome, Reassignment, Retry, StatusFact,
    Submission, Terms,
};
use crate::sabotage::{Guard, removed};

/// Where a task stands; each phase carries exactly what is valid in it.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// Accepted; no sign of work yet.
    Submitted,
    /// The agent works, or a child does.
    Working,
    /// The agent waits for an answer: `INPUT_REQUIRED` or `AUTH_REQUIRED`.
    Asking(TaskState),
    /// The agent has completed; open children keep the task WORKING.
    Held(Arc<Outcome>),
    /// The agent has completed, and so have its children; what it produced is being checked, and not shown until then.
    Checking(Arc<Checking>),
    /// Revoked and being cancelled; it will end like this.
    Closing {
        /// The end to come.
        outcome: Arc<Outcome>,
        /// When confirmations are no longer waited for.
        give_up: Timestamp,
    },
    /// Over.
    Ended,
}

/// A check under way.
#[derive(Debug, Clone)]
pub(super) struct Checking {
    /// The end to come if it is accepted.
    pub(super) outcome: Outcome,
    /// The task that asks the judge, and what became of the other checks.
    pub(super) judging: Option<(TaskId, Verdict)>,
}

/// One dispatch of the task to its agent.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) progress: Progress,
    /// How often its message went out.
    pub(super) starts: u32,
    /// The agent's own id of the task, once it said one.
    pub(super) agent_task: Option<String>,
    pub(super) reason: Option<String>,
    /// The delegate, where the task is another's since.
    pub(super) former: Option<Arc<str>>,
    /// What the agent says it has used up in it so far.
    pub(super) cost: Cost,
    /// When its message first went out.
    pub(super) sent: Option<Timestamp>,
    /// When nothing more could come of it.
    pub(super) ended: Option<Timestamp>,
}

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Waits for its time.
    Scheduled {
        not_before: Timestamp,
    },
    /// Waits for a place at its agent.
    Queued,
    /// Waits for another delegate to be chosen.
    Seeking,
    /// Sent, or about to be.
    Started,
    /// The agent confirmed it.
    Accepted,
    /// Contact is lost; the agent is being asked.
    Lost,
    /// What the agent did cannot be known; an operator may decide until then.
    Unknown {
        until: Timestamp,
    },
    /// The agent was asked to cancel.
    Canceling,
    Ended(AttemptOutcome),
}

impl Progress {
    /// Whether nobody is to be heard of: it waits for its turn, for a delegate, or for an operator.
    pub(super) fn is_waiting(self) -> bool {
        matches!(self, Self::Scheduled { .. } | Self::Queued | Self::Seeking | Self::Unknown { .. })
    }
}

impl Attempt {
    /// Whether something may still come of it.
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.progress, Progress::Ended(_))
    }

    /// Whether the agent may have it and has not been heard of since contact broke.
    pub(super) fn is_out_of_touch(&self) -> bool {
        matches!(self.progress, Progress::Lost | Progress::Unknown { .. })
    }

    /// Whether its message has been on its way.
    pub(super) fn was_sent(&self) -> bool {
        !matches!(
            self.progress,
            Progress::Scheduled { .. }
                | Progress::Queued
                | Progress::Seeking
                | Progress::Ended(AttemptOutcome::NeverSent)
        )
    }
}

/// What deciding needs to know of a task.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) id: TaskId,
    pub(super) submission: Arc<Submission>,
    /// The terms it is on since it went to another agent.
    pub(super) reassigned: Option<Arc<Reassignment>>,
    pub(super) phase: Phase,
    /// The state shown northbound.
    pub(super) state: TaskState,
    pub(super) attempts: Vec<Attempt>,
    pub(super) children: Vec<TaskId>,
    pub(super) open_children: u32,
    /// Records of this task so far.
    pub(super) seq: u64,
    /// How many records the tree held once this task, or one below it, had last changed.
    pub(super) changed: u64,
    /// When the status last changed.
    pub(super) updated: Timestamp,
    /// When the agent, or a child, was last heard of.
    pub(super) heard: Timestamp,
    /// Bytes of messages and artifacts kept.
    pub(super) bytes: u64,
    /// Of these, bytes that are not shown until they are accepted.
    pub(super) withheld: u64,
    /// Bytes of artifacts that others have taken the place of: kept in the journal alone.
    pub(super) replaced: u64,
    pub(super) late: u32,
    /// When its delegate got it.
    pub(super) delegated: Timestamp,
    /// Who had it before, and since when.
    pub(super) former: Vec<Delegated>,
    /// What its agent says it has used up so far, in all attempts; once it ended, what was settled.
    pub(super) cost: Cost,
    /// Its grants, and those below it, are dead.
    pub(super) revoked: bool,
    /// It had to wait for a place before anything was sent, and its caller may have been told so.
    pub(super) queued: bool,
    /// The agent's answer was one direct message.
    pub(super) direct: bool,
    /// A caller's turn that the agent is not known to have, or has not reacted to yet.
    pub(super) turn: Option<Arc<Turn>>,
    /// The task that does this one in its place, having what it lacks.
    pub(super) done_by: Option<TaskId>,
    /// The task this one is done in the place of.
    pub(super) in_place_of: Option<TaskId>,
    /// The task below whose question is shown here.
    pub(super) bubbled: Option<TaskId>,
    /// What the agent last asked, to tell a new question from an old one restated.
    pub(super) question: Option<Question>,
    /// How its delegate was chosen last, where nobody named one.
    pub(super) choice: Option<Arc<Choice>>,
    /// Where its events are pushed, by id.
    pub(super) pushes: Vec<Arc<Push>>,
    /// What became of the last checks, until there is another attempt.
    pub(super) verdict: Option<Arc<Verdict>>,
}

/// A delegate a task was with.
#[derive(Debug, Clone)]
pub(super) struct Delegated {
    pub(super) agent: Arc<str>,
    pub(super) skill: Option<Arc<str>>,
    pub(super) at: Timestamp,
}

impl Node {
    pub(super) fn new(id: TaskId, submission: Arc<Submission>, at: Timestamp) -> Self {
        let bytes = bytes_of(&submission.message);
        Self {
            id,
            submission,
            reassigned: None,
            phase: Phase::Submitted,
            state: TaskState::Submitted,
            attempts: Vec::new(),
            children: Vec::new(),
            open_children: 0,
            seq: 0,
            changed: 0,
            updated: at,
            heard: at,
            bytes,
            withheld: 0,
            replaced: 0,
            late: 0,
            delegated: at,
            former: Vec::new(),
            cost: Cost::default(),
            revoked: false,
            queued: false,
            direct: false,
            turn: None,
            done_by: None,
            in_place_of: None,
            bubbled: None,
            question: None,
            choice: None,
            pushes: Vec::new(),
            verdict: None,
        }
    }

    /// How it stands, as its parent's stream shows it.
    pub(super) fn child_note(&self) -> ChildNote {
        let Terms { agent, skill, .. } = self.terms();
        ChildNote { task: self.id, agent: agent.clone(), skill: skill.clone(), state: self.state }
    }

    /// When it came to be.
    pub(super) fn created(&self) -> Timestamp {
        self.former.first().map_or(self.delegated, |first| first.at)
    }

    /// Whether it waits for an answer, its own or one to a task below it.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Asking(_)) || self.bubbled.is_some()
    }

    /// With whom it is, and what it may do there.
    pub(super) fn terms(&self) -> &Terms {
        self.reassigned.as_deref().map_or(&self.submission.terms, |reassigned| &reassigned.terms)
    }

    /// How often and when it may be tried again there.
    pub(super) fn retry(&self) -> &Retry {
        let own = self.reassigned.as_deref().and_then(|reassigned| reassigned.retry.as_ref());
        own.unwrap_or(&self.submission.retry)
    }

    /// What the agent it is with is sent first.
    pub(super) fn first_message(&self) -> &Message {
        let own = self.reassigned.as_deref().and_then(|reassigned| reassigned.message.as_ref());
        own.unwrap_or(&self.submission.message)
    }

    /// The first attempt on these terms.
    pub(super) fn first_attempt(&self) -> u32 {
        self.reassigned.as_deref().map_or(1, |reassigned| reassigned.number)
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Ended)
    }

    /// Whether the agent may act with its grant, as far as this task decides: open, not being cancelled, not revoked
    /// (invariant 8).
    pub(super) fn is_granted(&self) -> bool {
        removed(Guard::DeadGrants)
            || !self.revoked && !matches!(self.phase, Phase::Ended | Phase::Closing { .. })
    }

    /// How often an agent gave it away.
    pub(super) fn handoffs(&self) -> u32 {
        let handed_off = Progress::Ended(AttemptOutcome::HandedOff);
        self.attempts.iter().fold(0, |sum, attempt| sum + u32::from(attempt.progress == handed_off))
    }

    /// The attempt under way, if any.
    pub(super) fn live_attempt(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| attempt.is_live())
    }

    /// The attempt of that number, if it is the one under way.
    pub(super) fn live(&self, number: u32) -> Option<&Attempt> {
        self.live_attempt().filter(|attempt| attempt.number == number)
    }

    pub(super) fn begin_attempt(&mut self, number: u32, progress: Progress) {
        if let Some(attempt) = self.attempt_mut(number) {
            attempt.progress = progress;
        } else {
            // It begins with all that was said so far, and its agent has asked nothing.
            (self.turn, self.question) = (None, None);
            let (starts, agent_task, reason, former, cost) = Default::default();
            let (sent, ended) = (None, None);
            let attempt = Attempt { number, progress, starts, agent_task, reason, former, cost, sent, ended };
            self.attempts.push(attempt);
        }
    }

    /// Notes when the latest attempt was sent, and when it was over.
    pub(super) fn time_attempt(&mut self, now: Timestamp) {
        let Some(last) = self.attempts.last_mut() else { return };
        if last.sent.is_none() && last.starts > 0 {
            last.sent = Some(now);
        }
        if last.ended.is_none() && !last.is_live() {
            last.ended = Some(now);
        }
    }

    /// Its message goes out, perhaps again.
    pub(super) fn start_attempt(&mut self, number: u32) {
        self.verdict = None;
        self.begin_attempt(number, Progress::Started);
        if let Some(attempt) = self.attempt_mut(number) {
            attempt.starts += 1;
        }
    }

    /// The agent says what an attempt has used up so far: of each unit it names, in place of what it said before.
    pub(super) fn note_cost(&mut self, number: u32, said: &Cost) {
        if let Some(attempt) = self.attempt_mut(number) {
            attempt.cost = said.or(&attempt.cost);
        }
        for unit in Unit::ALL {
            let known = self.attempts.iter().filter_map(|attempt| attempt.cost.get(unit));
            self.cost.set(unit, known.reduce(u64::saturating_add));
        }
    }

    pub(super) fn accept_attempt(&mut self, number: u32, agent_task: &str) {
        if let Some(attempt) = self.attempt_mut(number) {
            attempt.agent_task = Some(agent_task.to_owned());
            if attempt.progress != Progress::Canceling {
                attempt.progress = Progress::Accepted;
            }
        }
    }

    /// Another agent has it now.
    pub(super) fn reassign(&mut self, to: &Reassignment, at: Timestamp) {
        let Terms { agent, skill, .. } = self.terms();
        let (former, skill): (Arc<str>, _) = (agent.as_str().into(), skill.as_deref().map(Into::into));
        self.former.push(Delegated { agent: Arc::clone(&former), skill, at: self.delegated });
        self.delegated = at;
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.number < to.number) {
            attempt.former.get_or_insert_with(|| Arc::clone(&former));
        }
        // What the one before was to do beside the first message is for the next one too, unless it is told otherwise.
        let before = self.reassigned.as_deref().and_then(|before| before.message.clone());
        let message = to.message.clone().or(before);
        self.reassigned = Some(Arc::new(Reassignment { message, ..to.clone() }));
        self.heard = at;
        self.begin_attempt(to.number, Progress::Queued);
    }

    /// Something is kept back.
    pub(super) fn withhold(&mut self, fact: &Fact) {
        let replaced = if let Fact::Artifact(piece) = fact { piece.replaces } else { 0 };
        let added = bytes_of(fact);
        self.bytes = self.bytes.saturating_add(added).saturating_sub(replaced);
        self.withheld = self.withheld.saturating_add(added).saturating_sub(replaced);
        self.replaced = self.replaced.saturating_add(replaced);
    }

    /// Of what was kept back nothing is any more, but for the journal.
    pub(super) fn drop_withheld(&mut self) {
        self.bytes = self.bytes.saturating_sub(self.withheld);
        self.replaced = self.replaced.saturating_add(self.withheld);
        self.withheld = 0;
    }

    /// The agent is heard of again.
    pub(super) fn regain_contact(&mut self, at: Timestamp) {
        self.heard = at;
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.is_out_of_touch()) {
            attempt.progress = Progress::Accepted;
        }
    }

    pub(super) fn advance(&mut self, number: u32, progress: Progress, reason: Option<&String>) {
        if let Some(attempt) = self.attempt_mut(number) {
            attempt.progress = progress;
            attempt.reason = reason.cloned().or(attempt.reason.take());
        }
    }

    /// The agent's terminal report ends its attempt; it needs no record of its own.
    pub(super) fn end_live_attempt(&mut self) {
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.is_live()) {
            attempt.progress = Progress::Ended(AttemptOutcome::Reported);
        }
    }

    /// A status is shown. The agent's own word may also react to an answer, or ask a question.
    pub(super) fn set_status(&mut self, status: &StatusFact, at: Timestamp) {
        self.heard = at;
        self.bubbled = None;
        if status.origin == Origin::Agent {
            self.regain_contact(at);
            self.go_on_from_question();
            self.question = Question::of(status.state, status.message.as_ref());
        }
        self.phase = match (status.state.is_interrupted(), &self.phase) {
            (true, _) => Phase::Asking(status.state),
            // A held task stays held, whatever its children report.
            (false, held @ (Phase::Held(_) | Phase::Checking(_))) => held.clone(),
            (false, _) => Phase::Working,
        };
        self.show(status.state, at);
    }

    pub(super) fn show(&mut self, state: TaskState, at: Timestamp) {
        self.state = state;
        self.updated = at;
    }

    fn attempt_mut(&mut self, number: u32) -> Option<&mut Attempt> {
        self.attempts.iter_mut().rev().find(|attempt| attempt.number == number)
    }
}
