//! An endpoint's vectors, in an index of their own beside the one that is always there. The vectors of cards and of what
//! is learned are fetched in the background; a request's own is fetched while it waits, for a bounded time. Whenever
//! one is missing, the index that needs nobody answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use broker_selection::remote::{Remote, texts_of};
use broker_selection::{Agent, EmbedError, Index, Outcome, OutcomeKind, Outcomes, Query, Ranking, Weights};
use bytes::Bytes;

use super::super::{Broker, error};
use super::cards;
use crate::ports::stages::Embeddings;

/// The document of what was learned with these vectors.
const DOCUMENT: &str = "selection-vectors";
/// Between two looks at whether cards have changed or anything is to be learned.
const PAUSE: Duration = Duration::from_secs(1);
/// Texts sent at a time.
const BATCH: usize = 64;
/// Agents whose texts are sent together.
const AGENTS_AT_ONCE: usize = 8;
/// Outcomes that wait for their vectors; of more, the oldest are forgotten.
const MAX_WAITING: usize = 1_024;

/// An endpoint's vectors and the index over them.
pub(super) struct Vectors {
    embeddings: Arc<dyn Embeddings>,
    weights: Weights,
    held: RwLock<Held>,
    waiting: Mutex<VecDeque<Lesson>>,
}

struct Held {
    index: Index,
    /// The card each agent is in the index with.
    cards: BTreeMap<String, Bytes>,
    /// The registry's version it is complete for.
    version: Option<u64>,
}

/// An outcome whose request has no vector yet.
pub(super) struct Lesson {
    pub(super) agent: String,
    pub(super) text: String,
    pub(super) kind: OutcomeKind,
}

impl Vectors {
    pub(super) fn new((embeddings, weights): (Arc<dyn Embeddings>, Weights)) -> Self {
        let index = Index::new(Arc::new(Remote::new(embeddings.model(), embeddings.dimensions())));
        let held = RwLock::new(Held { index, cards: BTreeMap::new(), version: None });
        Self { embeddings, weights, held, waiting: Mutex::default() }
    }

    /// The vector of a request, if the cards have theirs.
    pub(super) async fn of_request(&self, text: &str, registry: u64) -> Result<Vec<f32>, String> {
        if self.held().version != Some(registry) {
            return Err("not all cards have their vectors yet".to_owned());
        }
        self.embeddings.of_request(text.to_owned()).await
    }

    /// The model's name.
    pub(super) fn model(&self) -> &str {
        self.embeddings.model()
    }

    /// Ranks by these vectors, unless the cards have changed meanwhile.
    pub(super) fn rank(
        &self,
        query: &Query<'_>,
        vector: &[f32],
        registry: u64,
    ) -> Option<Result<Ranking, EmbedError>> {
        let held = self.held();
        (held.version == Some(registry)).then(|| held.index.rank_with(&self.weights, query, vector.to_vec()))
    }

    /// Remembers what is to be learned.
    pub(super) fn note(&self, lesson: Lesson) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(lesson);
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the vectors of cards that are new, and forgets agents that are gone.
    async fn follow(&self, broker: &Arc<Broker>) -> Result<(), String> {
        let version = broker.registry.version();
        if self.held().version == Some(version) {
            return Ok(());
        }
        let agents = broker.registry.all();
        let known = agents.iter().filter_map(|agent| Some((agent, agent.resolved.as_ref()?)));
        let there: BTreeSet<&str> = known.clone().map(|(agent, _)| agent.name.as_str()).collect();
        self.held_mut().retain(&there);
        let is_new = |name: &String, card: &Bytes| self.held().cards.get(name) != Some(card);
        let new = known.filter(|(agent, resolved)| is_new(&agent.name, &resolved.original));
        let new: Vec<(Agent, Bytes)> = new
            .map(|(agent, resolved)| {
                (cards::candidate(&agent.name, &resolved.card), resolved.original.clone())
            })
            .collect();
        for some in new.chunks(AGENTS_AT_ONCE) {
            let vectors = self.fetch(some.iter().flat_map(|(agent, _)| texts_of(agent)).collect()).await?;
            for (agent, card) in some {
                self.held_mut().put(agent, card, &vectors)?;
            }
        }
        self.settle(broker).await;
        self.held_mut().version = Some(version);
        Ok(())
    }

    /// Learns what waits; what is known then, to be kept, if that is more.
    async fn learn(&self, broker: &Arc<Broker>) -> Result<Option<Vec<u8>>, String> {
        let lessons: Vec<Lesson> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let some = waiting.len().min(BATCH);
            waiting.drain(..some).collect()
        };
        if lessons.is_empty() {
            return Ok(None);
        }
        let texts = lessons.iter().map(|lesson| lesson.text.clone()).collect();
        let vectors = match self.fetch(texts).await {
            Ok(vectors) => vectors,
            Err(reason) => {
                for lesson in lessons {
                    self.note(lesson);
                }
                return Err(reason);
            }
        };
        for Lesson { agent, text, kind } in lessons {
            let Some(vector) = vectors.get(&text).cloned() else { continue };
            let learned = self.held_mut().index.learn(Outcome { agent, vector, kind });
            learned.map_err(|failure| failure.to_string())?;
        }
        self.settle(broker).await;
        Ok(serde_json::to_vec(self.held().index.outcomes()).ok())
    }

    /// What depends on all vectors together takes its time, and nobody who chooses waits for it.
    async fn settle(&self, broker: &Arc<Broker>) {
        let broker = Arc::clone(broker);
        let settled = tokio::task::spawn_blocking(move || {
            if let Some(vectors) = &broker.selection.vectors {
                vectors.held().index.settle();
            }
        });
        let _ = settled.await;
    }

    async fn fetch(&self, texts: Vec<String>) -> Result<BTreeMap<String, Vec<f32>>, String> {
        let texts: Vec<String> = texts.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let mut vectors = BTreeMap::new();
        for batch in texts.chunks(BATCH) {
            let made = self.embeddings.of_texts(batch).await?;
            vectors.extend(batch.iter().cloned().zip(made));
        }
        Ok(vectors)
    }
}

impl Held {
    fn put(
        &mut self,
        agent: &Agent,
        card: &Bytes,
        vectors: &BTreeMap<String, Vec<f32>>,
    ) -> Result<(), String> {
        let model = self.index.tier().to_owned();
        let reason = || "a text of the card has no vector".to_owned();
        let missing = || EmbedError::Model { model: model.clone(), reason: reason() };
        let put = self.index.put_with(agent, &mut |text| vectors.get(text).cloned().ok_or_else(missing));
        put.map_err(|failure| failure.to_string())?;
        self.cards.insert(agent.id.clone(), card.clone());
        Ok(())
    }

    fn retain(&mut self, there: &BTreeSet<&str>) {
        let gone: Vec<String> =
            self.cards.keys().filter(|name| !there.contains(name.as_str())).cloned().collect();
        for name in gone {
            self.index.remove(&name);
            self.cards.remove(&name);
        }
    }
}

impl Broker {
    /// Brings back what was learned with an endpoint's vectors.
    pub(super) async fn load_learned_vectors(&self) -> Result<(), protocol::A2aError> {
        let Some(vectors) = &self.selection.vectors else { return Ok(()) };
        let stored = self.store.document(DOCUMENT).await.map_err(|failure| error::store(&failure))?;
        let Some(stored) = stored else { return Ok(()) };
        let outcomes: Outcomes = serde_json::from_slice(&stored).map_err(|damage| error::damaged(&damage))?;
        if let Err(foreign) = vectors.held_mut().index.restore(outcomes) {
            tracing::warn!(%foreign, "what was learned with another model's vectors is left aside");
        }
        Ok(())
    }
}

/// Keeps an endpoint's vectors true to the cards and learns with them, until the broker is gone.
pub(in crate::service) async fn tend(broker: Weak<Broker>) {
    let mut told = None;
    loop {
        {
            let Some(broker) = broker.upgrade() else { return };
            let Some(vectors) = &broker.selection.vectors else { return };
            let followed = vectors.follow(&broker).await;
            let learned = if followed.is_ok() { vectors.learn(&broker).await } else { Ok(None) };
            match followed.and(learned) {
                Ok(Some(document)) => {
                    if let Err(failure) = broker.store.put_document(DOCUMENT, document.into(), None).await {
                        tracing::warn!(%failure, "what was learned with an endpoint's vectors is not stored");
                    }
                }
                Ok(None) => told = None,
                Err(reason) => {
                    if told.as_ref() != Some(&reason) {
                        tracing::warn!(reason, "an endpoint's vectors are not complete");
                    }
                    told = Some(reason);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
