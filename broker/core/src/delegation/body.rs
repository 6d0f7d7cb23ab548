//! What people read of a task, its messages and artifacts: never copied to decide, and not looked into but for what is
//! news in it.

use protocol::{Artifact, Message, Metadata};
use serde::Serialize;

use super::slots::Slots;
use crate::journal::{Fact, Record};

/// What people read of a task.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    /// What was said after the first message, which stands in the submission.
    pub(super) history: Vec<Message>,
    /// Which of that the caller said to whom the task is with, and was not refused.
    further: Vec<usize>,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) metadata: Metadata,
    pub(super) status_message: Option<Message>,
    /// What is not shown until it is accepted, in order, and the artifacts it makes.
    pub(super) withheld: Vec<Fact>,
    pub(super) withheld_artifacts: Vec<Artifact>,
}

impl Body {
    pub(super) fn withhold(&mut self, fact: &Fact) {
        if let Fact::Artifact(piece) = fact {
            protocol::merge_artifact(&mut self.withheld_artifacts, &piece.artifact, piece.append);
        }
        self.withheld.push(fact.clone());
    }

    /// It is shown by now, or never will be.
    pub(super) fn drop_withheld(&mut self) {
        self.withheld.clear();
        self.withheld_artifacts.clear();
    }

    pub(super) fn say(&mut self, message: &Message) {
        self.history.push(message.clone());
    }

    /// The caller says more.
    pub(super) fn say_further(&mut self, message: &Message) {
        self.further.push(self.history.len());
        self.say(message);
    }

    /// The last of that was refused.
    pub(super) fn take_back(&mut self) {
        self.further.pop();
    }

    /// Another agent has it, which is told what matters by the one that had it.
    pub(super) fn begin_anew(&mut self) {
        self.further.clear();
    }

    /// What the caller has said since its first message to whom the task is with.
    pub(super) fn further(&self) -> impl Iterator<Item = &Message> {
        self.further.iter().filter_map(|index| self.history.get(*index))
    }

    /// A new status pushes the agent's previous message into the history; the broker's own notes are not kept there.
    pub(super) fn set_status(&mut self, message: Option<&Message>) {
        if let Some(previous) = self.status_message.take()
            && !is_note(&previous)
        {
            self.history.push(previous);
        }
        self.status_message = message.cloned();
    }
}

/// The one meaning of a record for what people read.
pub(super) fn apply(bodies: &mut Slots<Body>, record: &Record) {
    if let Fact::Submitted(_) = &record.fact {
        bodies.insert(record.task, Body::default());
    }
    let Some(body) = bodies.get_mut(record.task) else { return };
    match &record.fact {
        Fact::Status(status) => body.set_status(status.message.as_ref()),
        Fact::Ended(outcome) => body.set_status(outcome.message.as_ref()),
        Fact::Bubbled(bubble) => body.set_status(bubble.message.as_ref()),
        Fact::Said(message) | Fact::PassedOn { message, .. } => body.say(message),
        Fact::Turn { message, .. } => body.say_further(message),
        Fact::TurnRefused { .. } => body.take_back(),
        Fact::Reassigned(to) if to.message.is_some() => body.begin_anew(),
        Fact::Artifact(piece) => {
            protocol::merge_artifact(&mut body.artifacts, &piece.artifact, piece.append);
        }
        Fact::Metadata(metadata) => body.metadata = (**metadata).clone(),
        Fact::Withheld(fact) => body.withhold(fact),
        _ => {}
    }
    if record.fact.drops_withheld() {
        body.drop_withheld();
    }
}

/// Marks the broker's own progress notes among status messages.
pub(super) const NOTE_PREFIX: &str = "note.";

pub(super) fn is_note(message: &Message) -> bool {
    message.message_id.starts_with(NOTE_PREFIX)
}

/// What something takes up that is kept as JSON, in bytes: its texts and data, and whatever is hung on to them.
pub(super) fn bytes_of(kept: &impl Serialize) -> u64 {
    let mut counted = Counted(0);
    // Counting cannot fail, and what is no JSON is not kept.
    let _ = serde_json::to_writer(&mut counted, kept);
    counted.0
}

/// Takes any number of bytes and keeps none.
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a status adds, in bytes.
pub(super) fn status_bytes(message: Option<&Message>, metadata: &Metadata) -> u64 {
    message.map_or(0, bytes_of) + if metadata.is_empty() { 0 } else { bytes_of(metadata) }
}
