//! Choosing a delegate where nobody named one. What is here is live state: the ranker's index over the agents' cards, kept
//! true to the registry, and what was learned of agents. Who may have a task is the core's to say
//! ([`broker_core::selection`]), who of them fits best the ranker's ([`broker_selection`]), and what is done with the answer
//! [`routing`]'s.

mod advice;
mod cards;
mod learning;
mod routing;
mod stages;
mod vectors;
mod weighing;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use broker_selection::{Embedder, Index, Record, Weights};
use bytes::Bytes;

pub use self::advice::AdviceWanted;
pub(super) use self::learning::tend as keep_what_is_learned;
pub(super) use self::routing::{Answer, Route};
pub use self::stages::{RerankOptions, Stages};
pub(super) use self::vectors::tend as keep_vectors;
pub use self::weighing::Selected;
use super::agents::{Agent, Registry};
use crate::ports::stages::Reranker;

/// How delegates are chosen.
#[derive(Debug, Clone, Copy)]
pub struct SelectionOptions {
    /// The confidence from which the broker chooses by itself, from 0 to 1.
    pub threshold: f32,
    /// The probability that any agent is right below which a request is refused, from 0 to 1.
    pub scope: f32,
    /// How often a caller is asked about one task.
    pub questions: usize,
    /// How far the reranker is listened to, if there is one.
    pub rerank: RerankOptions,
}

/// The ranker and what it knows.
pub(super) struct Selection {
    options: SelectionOptions,
    reranker: Option<Arc<dyn Reranker>>,
    vectors: Option<vectors::Vectors>,
    weights: Weights,
    known: RwLock<Known>,
    learning: learning::Learning,
}

struct Known {
    index: Index,
    /// The card each agent is in the index with.
    cards: BTreeMap<String, Bytes>,
    /// What became of their work.
    records: BTreeMap<String, Record>,
    /// The registry's version all this follows from.
    version: Option<u64>,
}

impl Selection {
    pub(super) fn new(
        options: SelectionOptions,
        (embedder, weights): (Arc<dyn Embedder>, Weights),
        stages: Stages,
    ) -> Self {
        let index = Index::new(embedder);
        let (cards, records) = Default::default();
        let known = RwLock::new(Known { index, cards, records, version: None });
        Self {
            options,
            reranker: stages.reranker,
            vectors: stages.embeddings.map(vectors::Vectors::new),
            weights,
            known,
            learning: learning::Learning::default(),
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the index up to the registry: only cards that are new are read.
    fn follow(&self, registry: &Registry) {
        let version = registry.version();
        if self.known().version == Some(version) {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let agents = registry.all();
        for gone in known.gone(&agents) {
            known.index.remove(&gone);
            known.cards.remove(&gone);
        }
        for agent in &agents {
            known.take_in(agent);
        }
        known.index.settle();
        known.version = Some(version);
    }
}

impl Known {
    fn gone(&self, agents: &[Arc<Agent>]) -> Vec<String> {
        let is_there = |name: &String| {
            let agent = agents.binary_search_by(|agent| agent.name.as_str().cmp(name));
            agent.ok().and_then(|place| agents.get(place)).is_some_and(|agent| agent.resolved.is_some())
        };
        self.cards.keys().filter(|name| !is_there(name)).cloned().collect()
    }

    fn take_in(&mut self, agent: &Agent) {
        let Some(resolved) = &agent.resolved else { return };
        if self.cards.get(&agent.name).is_some_and(|card| *card == resolved.original) {
            return;
        }
        if let Err(failure) = self.index.put(&cards::candidate(&agent.name, &resolved.card)) {
            tracing::warn!(agent = agent.name, %failure, "an agent cannot be ranked");
            return;
        }
        self.cards.insert(agent.name.clone(), resolved.original.clone());
    }
}
