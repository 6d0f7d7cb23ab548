//! What is learned of agents, online: whom callers picked, whose results stood, who failed, and how long each took. Noted by
//! the driver in passing, worked in and kept by a task of its own; what is lost in a crash is a few examples, and no work.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use broker_core::Tree;
use broker_core::journal::{AttemptOutcome, Fact, Record};
use broker_selection::{Outcome, OutcomeKind, Outcomes};
use protocol::TaskState;
use serde::{Deserialize, Serialize};

use super::super::{Broker, error};
use super::vectors::Lesson;
use super::{Selection, cards};

/// The document of what was learned.
const DOCUMENT: &str = "selection";
/// Outcomes that wait to be worked in; of more, the oldest are forgotten. Each is read by the embedding model, which takes the
/// core from whoever is answered meanwhile.
const MAX_WAITING: usize = 256;
/// How often what was learned is worked in and written down.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest text of a request that is learned, bytes.
const MAX_TEXT_BYTES: usize = 8 * 1_024;

/// Outcomes on their way.
#[derive(Default)]
pub(super) struct Learning {
    waiting: Mutex<VecDeque<Noted>>,
}

struct Noted {
    agent: String,
    text: String,
    kind: OutcomeKind,
    /// It did the work, and the result did not pass its checks.
    is_unaccepted: bool,
    took_ms: Option<i64>,
}

/// What was learned, as it is stored.
#[derive(Serialize, Deserialize)]
struct Document<'k> {
    outcomes: Cow<'k, Outcomes>,
    records: Cow<'k, BTreeMap<String, broker_selection::Record>>,
}

impl Selection {
    /// Notes what became of a request with an agent.
    pub(super) fn note(&self, agent: &str, text: &str, kind: OutcomeKind) {
        let (agent, text) = (agent.to_owned(), text.to_owned());
        self.learning.push(Noted { agent, text, kind, is_unaccepted: false, took_ms: None });
    }

    /// Notes what records say of agents' work.
    pub(in crate::service) fn note_records(&self, tree: &Tree, records: &[Record]) {
        for record in records {
            let kind = match &record.fact {
                Fact::Ended(outcome) if outcome.state == TaskState::Completed => OutcomeKind::Accepted,
                // What the broker ends is not the agent's failure, or is counted as its attempt's.
                Fact::Ended(outcome)
                    if matches!(outcome.state, TaskState::Failed | TaskState::Rejected)
                        && tree.is_reported(outcome) =>
                {
                    OutcomeKind::Failed
                }
                Fact::AttemptEnded {
                    outcome: AttemptOutcome::Failed | AttemptOutcome::Refused | AttemptOutcome::Unaccepted,
                    ..
                } => OutcomeKind::Failed,
                _ => continue,
            };
            let Some(work) = tree.work_of(record.task, record.at) else { continue };
            let text = cards::request_text([work.message]);
            let (agent, took_ms) = (work.agent.to_owned(), Some(work.took_ms));
            let is_unaccepted =
                matches!(record.fact, Fact::AttemptEnded { outcome: AttemptOutcome::Unaccepted, .. });
            self.learning.push(Noted { agent, text, kind, is_unaccepted, took_ms });
        }
    }

    /// Works in what was noted, if there was anything; what is known then, to be kept.
    fn work_in(&self) -> Option<Vec<u8>> {
        let noted = std::mem::take(&mut *self.learning.lock());
        if noted.is_empty() {
            return None;
        }
        if let Some(vectors) = &self.vectors {
            for Noted { agent, text, kind, .. } in &noted {
                vectors.note(Lesson { agent: agent.clone(), text: text.clone(), kind: *kind });
            }
        }
        // A model takes its time over a text; nobody who chooses waits for it.
        let known = self.known();
        let vectors: Vec<_> = noted.iter().map(|noted| known.index.embed(&noted.text)).collect();
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (Noted { agent, kind, is_unaccepted, took_ms, .. }, vector) in noted.into_iter().zip(vectors) {
            let record = known.records.entry(agent.clone()).or_default();
            match kind {
                OutcomeKind::Accepted => record.note_success(took_ms),
                OutcomeKind::Failed if is_unaccepted => {
                    record.verification_failures = record.verification_failures.saturating_add(1);
                }
                OutcomeKind::Failed => record.failures = record.failures.saturating_add(1),
                OutcomeKind::Chosen | OutcomeKind::Corrected => {}
            }
            let learned = vector.map_err(|failure| failure.to_string()).and_then(|vector| {
                known.index.learn(Outcome { agent, vector, kind }).map_err(|failure| failure.to_string())
            });
            if let Err(failure) = learned {
                tracing::warn!(failure, "nothing is learned from an outcome");
            }
        }
        known.index.settle();
        drop(known);
        let known = self.known();
        let (outcomes, records) = (Cow::Borrowed(known.index.outcomes()), Cow::Borrowed(&known.records));
        serde_json::to_vec(&Document { outcomes, records }).ok()
    }
}

impl Learning {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Noted>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut noted: Noted) {
        let end = noted.text.floor_char_boundary(MAX_TEXT_BYTES);
        noted.text.truncate(end);
        let mut waiting = self.lock();
        if waiting.len() == MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(noted);
    }
}

impl Broker {
    /// Brings back what was learned. Call once, before anything is chosen.
    pub async fn load_learned(&self) -> Result<(), protocol::A2aError> {
        self.load_learned_vectors().await?;
        let stored = self.store.document(DOCUMENT).await.map_err(|failure| error::store(&failure))?;
        let Some(stored) = stored else { return Ok(()) };
        let document =
            serde_json::from_slice::<Document<'_>>(&stored).map_err(|damage| error::damaged(&damage))?;
        let mut known = self.selection.known.write().unwrap_or_else(PoisonError::into_inner);
        known.records = document.records.into_owned();
        if let Err(foreign) = known.index.restore(document.outcomes.into_owned()) {
            // Another tier was chosen since: what was learned with the other is of no use to this one.
            tracing::warn!(%foreign, "what was learned from outcomes is left aside");
        }
        Ok(())
    }
}

/// Works in and keeps what is learned, until the broker is gone.
pub(in crate::service) async fn tend(broker: Weak<Broker>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(broker) = broker.upgrade() else { return };
        let learning = Arc::clone(&broker);
        let learned = tokio::task::spawn_blocking(move || learning.selection.work_in()).await;
        let Ok(Some(document)) = learned else { continue };
        if let Err(failure) = broker.store.put_document(DOCUMENT, document.into(), None).await {
            tracing::warn!(%failure, "what was learned of agents is not stored");
        }
    }
}
