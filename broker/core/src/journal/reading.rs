//! The journal for people: each record as one line that says what happened. Nothing here decides anything, and nothing
//! secret is said: of a receiver of pushes its id, of a message how it begins.

use protocol::{Message, TaskState, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::{ArtifactFact, AttemptOutcome, ChoiceVerdict, Fact, Origin, Outcome, Record, Submission};
use crate::TaskId;
use crate::text::shortened;

/// Most characters of a message that are shown.
const MAX_SAID_CHARS: usize = 200;

/// A record, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Line {
    /// Number of the record in the tree's journal, from 1.
    pub n: u64,
    /// The task it is about.
    pub task: TaskId,
    /// Number of the record among the task's own; the id of its event in a stream.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Of which kind it is, as the journal names it.
    pub kind: &'static str,
    /// The state the task is shown in from here on, if it says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
    /// What happened.
    pub text: String,
}

impl Line {
    /// Record number `n` of a journal, for people.
    pub fn of(n: u64, record: &Record) -> Self {
        let Record { task, seq, at, fact, .. } = record;
        let (task, seq, at) = (*task, *seq, *at);
        Self { n, task, seq, at, kind: fact.kind(), state: fact.state(), text: text(fact) }
    }
}

impl Fact {
    /// Its name in the journal.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Submitted(_) => "submitted",
            Self::AttemptScheduled { .. } => "attempt_scheduled",
            Self::AttemptQueued { .. } => "attempt_queued",
            Self::DelegateSought { .. } => "delegate_sought",
            Self::Weighed(_) => "weighed",
            Self::Reassigned(_) => "reassigned",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::AttemptAccepted { .. } => "attempt_accepted",
            Self::AttemptLost { .. } => "attempt_lost",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Resolved { .. } => "resolved",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::Resumed => "resumed",
            Self::Status(_) => "status",
            Self::Artifact(_) => "artifact",
            Self::Withheld(_) => "withheld",
            Self::Checking(_) => "checking",
            Self::Judging { .. } => "judging",
            Self::Checked { .. } => "checked",
            Self::Metadata(_) => "metadata",
            Self::Said(_) => "said",
            Self::Turn { .. } => "turn",
            Self::TurnTaken { .. } => "turn_taken",
            Self::TurnResent { .. } => "turn_resent",
            Self::TurnRefused { .. } => "turn_refused",
            Self::Bubbled(_) => "bubbled",
            Self::PassedOn { .. } => "passed_on",
            Self::Approved { .. } => "approved",
            Self::Held(_) => "held",
            Self::Closing { .. } => "closing",
            Self::Revoked { .. } => "revoked",
            Self::Cost { .. } => "cost",
            Self::PushSet(_) => "push_set",
            Self::PushDeleted { .. } => "push_deleted",
            Self::Ended(_) => "ended",
            Self::Late { .. } => "late",
        }
    }

    fn state(&self) -> Option<TaskState> {
        match self {
            Self::Submitted(_) => Some(TaskState::Submitted),
            Self::Status(status) => Some(status.state),
            Self::Bubbled(bubble) => Some(bubble.asks.state),
            Self::Ended(outcome) => Some(outcome.state),
            _ => None,
        }
    }
}

fn text(fact: &Fact) -> String {
    match fact {
        Fact::Submitted(submission) => submitted(submission),
        Fact::AttemptScheduled { number, not_before } => format!("attempt {number} waits until {not_before}"),
        Fact::AttemptQueued { number } => format!("attempt {number} waits for a place at its agent"),
        Fact::DelegateSought { number } => format!("another delegate is sought for attempt {number}"),
        Fact::Weighed(choice) => {
            let share = format!("confidence {:.2}, threshold {:.2}", choice.confidence, choice.threshold);
            let first = choice.candidates.first().map_or("nobody", |one| one.agent.as_str());
            format!("{}: {first} ({share}, {} considered)", chosen(choice.verdict), choice.considered)
        }
        Fact::Reassigned(to) => format!("goes to {} from attempt {} on", to.terms.agent, to.number),
        Fact::AttemptStarted { number } => format!("attempt {number} is sent"),
        Fact::AttemptAccepted { number, agent_task } => {
            format!("attempt {number} is with the agent, as its task {agent_task}")
        }
        Fact::AttemptLost { number, reason } => format!("contact was lost in attempt {number}: {reason}"),
        Fact::OutcomeUnknown { number, reason, .. } => {
            format!("what came of attempt {number} cannot be known: {reason}")
        }
        Fact::Resolved { number, by, resolution } => {
            format!("{by} decided about attempt {number}: {}", format!("{resolution:?}").to_lowercase())
        }
        Fact::CancelRequested { number } => format!("the agent is asked to cancel attempt {number}"),
        Fact::AttemptEnded { number, outcome, reason } => {
            with(format!("attempt {number} is over: {}", ended(*outcome)), reason.as_deref())
        }
        Fact::Resumed => "taken up again after the broker was away".to_owned(),
        Fact::Status(status) => status_text(&status.origin, status.message.as_ref()),
        Fact::Artifact(piece) => artifact(piece),
        Fact::Withheld(fact) => format!("kept back until it is accepted: {}", text(fact)),
        Fact::Checking(_) => "the agent is done; its result is being checked".to_owned(),
        Fact::Judging { judge, .. } => format!("a judge is asked, in task {judge}"),
        Fact::Checked { number, verdict } => {
            let outcome = format!("{:?}", verdict.outcome).to_lowercase();
            let reason = Some(verdict.reason()).filter(|reason| !reason.is_empty());
            with(format!("the result of attempt {number} was checked: {outcome}"), reason.as_deref())
        }
        Fact::Metadata(_) => "the agent attached metadata".to_owned(),
        Fact::Said(message) => with("said".to_owned(), beginning(Some(message)).as_deref()),
        Fact::Turn { message, .. } => with("the caller said".to_owned(), beginning(Some(message)).as_deref()),
        Fact::TurnTaken { number } => format!("the agent has what the caller said, in attempt {number}"),
        Fact::TurnResent { number } => format!("what the caller said goes out again, in attempt {number}"),
        Fact::TurnRefused { number, reason } => {
            format!("the agent did not take what the caller said, in attempt {number}: {reason}")
        }
        Fact::Bubbled(bubble) => {
            let asks = format!("{} asks here, from task {}", bubble.asks.agent, bubble.asks.task);
            with(asks, beginning(bubble.message.as_ref()).as_deref())
        }
        Fact::PassedOn { to, .. } => format!("the answer was passed on to task {to}"),
        Fact::Approved { by, done_by } => format!("{by} granted what was missing; task {done_by} does it"),
        Fact::Held(_) => "the agent is done; its children are not".to_owned(),
        Fact::Closing { outcome, .. } => format!("is about to end, {}", end(outcome)),
        Fact::Revoked { by } => format!("{by} revoked its grants and those below it"),
        Fact::Cost { number, .. } => format!("the agent says what attempt {number} has cost so far"),
        Fact::PushSet(config) => format!("its events are pushed, as configured in {}", config.id),
        Fact::PushDeleted { id } => format!("its events are pushed no longer, as {id} had it"),
        Fact::Ended(outcome) => end(outcome),
        Fact::Late { number, what } => format!("too late to count, from attempt {number}: {what}"),
    }
}

fn submitted(submission: &Submission) -> String {
    let Submission { caller, terms, message, escalation, group, .. } = submission;
    let skill = terms.skill.as_deref().map(|skill| format!(" for {skill}")).unwrap_or_default();
    let what = match (escalation, group) {
        (Some(escalation), _) => {
            format!("{caller} asks {}{skill}; missing: {}", terms.agent, escalation.missing.join(" "))
        }
        (None, Some(group)) => {
            format!("{caller} asks for several at once: {}, {} needed", group.mode.name(), group.need)
        }
        (None, None) => format!("{caller} asks {}{skill}", terms.agent),
    };
    with(what, beginning(Some(message)).as_deref())
}

fn status_text(origin: &Origin, message: Option<&Message>) -> String {
    match origin {
        Origin::Agent => beginning(message).unwrap_or_else(|| "the agent reports".to_owned()),
        Origin::Broker => beginning(message).unwrap_or_else(|| "the broker reports".to_owned()),
        Origin::Child(child) => {
            with(format!("task {} of {}", child.task, child.agent), beginning(message).as_deref())
        }
    }
}

fn artifact(piece: &ArtifactFact) -> String {
    let artifact = &piece.artifact;
    let name = artifact.name.as_deref().unwrap_or(&artifact.artifact_id);
    let how = if piece.append { "more of artifact" } else { "artifact" };
    let last = if piece.last_chunk { ", complete" } else { "" };
    format!("{how} {}: {} parts{last}", shortened(name, MAX_SAID_CHARS), artifact.parts.len())
}

fn end(outcome: &Outcome) -> String {
    let state = match outcome.state {
        TaskState::Completed => "completed",
        TaskState::Canceled => "canceled",
        TaskState::Rejected => "rejected",
        _ => "failed",
    };
    with(state.to_owned(), beginning(outcome.message.as_ref()).as_deref())
}

fn chosen(verdict: ChoiceVerdict) -> &'static str {
    match verdict {
        ChoiceVerdict::Confident => "chosen",
        ChoiceVerdict::Only => "the only one that could",
        ChoiceVerdict::Picked => "picked by the caller",
        ChoiceVerdict::Unsure => "unsure, the caller is asked",
        ChoiceVerdict::OutOfScope => "none is for this",
        ChoiceVerdict::Next => "the next likeliest",
    }
}

fn ended(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Reported => "reported",
        AttemptOutcome::NeverSent => "never sent",
        AttemptOutcome::Refused => "refused",
        AttemptOutcome::Failed => "failed",
        AttemptOutcome::Unknown => "outcome unknown",
        AttemptOutcome::Canceled => "canceled",
        AttemptOutcome::CancelUnconfirmed => "cancel requested, not confirmed",
        AttemptOutcome::HandedOff => "handed over",
        AttemptOutcome::Unaccepted => "not accepted",
    }
}

fn with(mut what: String, more: Option<&str>) -> String {
    if let Some(more) = more {
        what.push_str(": ");
        what.push_str(more);
    }
    what
}

/// How a message begins, if it says anything in words.
fn beginning(message: Option<&Message>) -> Option<String> {
    let text = message?.parts.iter().find_map(protocol::Part::as_text)?;
    Some(shortened(&text, MAX_SAID_CHARS)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_the_journal_names_them() {
        let message = || Message::user_text("m", "do it");
        let facts = [
            Fact::AttemptStarted { number: 1 },
            Fact::OutcomeUnknown { number: 1, reason: String::new(), until: Timestamp::default() },
            Fact::Resumed,
            Fact::Said(Box::new(message())),
            Fact::TurnRefused { number: 1, reason: String::new() },
            Fact::PushDeleted { id: "p".to_owned() },
            Fact::Late { number: 1, what: String::new() },
        ];
        for fact in facts {
            let stored = serde_json::to_value(&fact).unwrap();
            let name = stored.as_str().map(ToOwned::to_owned);
            let name = name.or_else(|| stored.as_object()?.keys().next().cloned());
            assert_eq!(name.as_deref(), Some(fact.kind()));
        }
    }

    #[test]
    fn a_receivers_secrets_are_not_told() {
        let stored = serde_json::json!({ "v": 1, "task": uuid::Uuid::nil(), "seq": 2, "at": "2026-01-01T00:00:00Z",
            "fact": { "push_set": { "id": "p", "url": "http://h/?key=s3cret", "token": "s3cret", "credentials": "s3cret" } } });
        let record = Record::decode(stored.to_string().as_bytes()).unwrap();
        let line = Line::of(2, &record);
        assert_eq!(line.text, "its events are pushed, as configured in p");
        assert!(!serde_json::to_string(&line).unwrap().contains("s3cret"));
    }
}
