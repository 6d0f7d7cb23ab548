//! The index of all agents that may be chosen: words and vectors of their cards, and of requests they were given before.
//! Adding, replacing or removing an agent touches that agent only. Nothing in it depends on the order in which agents
//! came: an index built anew from the same cards and outcomes answers the same.

mod entry;
mod matrix;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

pub(crate) use entry::Entry;
pub(crate) use matrix::Matrix;

use crate::agent::Agent;
use crate::embedding::{EmbedError, Embedder, Quantised};
use crate::geometry::{Geometry, Moments};
use crate::lexical::Lexical;
use crate::outcomes::{Outcome, OutcomeError, Outcomes};

/// Requests learned of an agent, on average, with which what was learned counts half of what it ever may.
const HALF_TAUGHT: f32 = 4.0;

/// Agents that can be ranked.
pub struct Index {
    embedder: Arc<dyn Embedder>,
    slots: BTreeMap<String, u32>,
    pub(crate) entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    pub(crate) lexical: Lexical,
    /// One prototype a slot.
    pub(crate) prototypes: Matrix,
    moments: Moments,
    geometry: OnceLock<Geometry>,
    outcomes: Outcomes,
    /// Whether there is an agent in a slot, close together.
    taken: Vec<bool>,
    /// Requests known to have gone well, of the agents here.
    learned: usize,
}

impl Index {
    /// An index without agents, whose vectors this embedder makes.
    pub fn new(embedder: Arc<dyn Embedder>) -> Self {
        let dimensions = embedder.dimensions();
        Self {
            outcomes: Outcomes::new(embedder.tier(), dimensions),
            slots: BTreeMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            lexical: Lexical::default(),
            prototypes: Matrix::new(dimensions),
            moments: Moments::new(dimensions),
            geometry: OnceLock::new(),
            taken: Vec::new(),
            learned: 0,
            embedder,
        }
    }

    /// Adds an agent, or replaces the one of that id; what was learned of it stays.
    pub fn put(&mut self, agent: &Agent) -> Result<(), EmbedError> {
        let embedder = Arc::clone(&self.embedder);
        self.put_with(agent, &mut |text| embedder.embed(text))
    }

    /// The same with vectors that were made before, one for each of the texts of [`remote::texts_of`](crate::remote::texts_of).
    pub fn put_with(
        &mut self,
        agent: &Agent,
        embed: &mut dyn FnMut(&str) -> Result<Vec<f32>, EmbedError>,
    ) -> Result<(), EmbedError> {
        let entry = Entry::new(agent, &mut |text| self.fitting(embed(text)?))?;
        self.remove(&agent.id);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        self.lexical.add(slot, agent);
        self.slots.insert(agent.id.clone(), slot);
        self.set(slot, entry);
        Ok(())
    }

    /// Removes an agent; whether there was one. What was learned of it stays, should it come back.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(slot) = self.slots.remove(id) else { return false };
        self.lexical.remove(slot);
        self.unset(slot);
        self.free.push(slot);
        true
    }

    /// Learns from what became of a request.
    pub fn learn(&mut self, outcome: Outcome) -> Result<(), OutcomeError> {
        let agent = outcome.agent.clone();
        let slot = self.slots.get(&agent).copied();
        let entry = slot.and_then(|slot| self.unset(slot));
        let learned = self.outcomes.add(outcome);
        if let (Some(slot), Some(entry)) = (slot, entry) {
            self.set(slot, entry);
        }
        learned
    }

    /// What was learned, to be kept.
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// Puts what was learned before in the place of what is known now.
    pub fn restore(&mut self, outcomes: Outcomes) -> Result<(), OutcomeError> {
        outcomes.fits(self.embedder.tier(), self.embedder.dimensions())?;
        let taken: Vec<_> = (0_u32..).take(self.entries.len()).map(|slot| (slot, self.unset(slot))).collect();
        self.outcomes = outcomes;
        for (slot, entry) in taken {
            if let Some(entry) = entry {
                self.set(slot, entry);
            }
        }
        Ok(())
    }

    /// Works out what depends on all agents together, which the first request after a change would otherwise do.
    pub fn settle(&self) {
        self.geometry();
    }

    /// How many agents there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of memory kept for agents and outcomes, about; the embedder's own not counted.
    pub fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(|entry| entry.as_ref().map_or(0, Entry::bytes)).sum();
        let ids: usize = self.slots.keys().map(|id| id.len() + size_of::<(String, u32)>()).sum();
        entries
            + ids
            + self.lexical.bytes()
            + self.prototypes.bytes()
            + self.moments.bytes()
            + self.outcomes.bytes()
    }

    /// The vector of a text, as this index compares them.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.fitting(self.embedder.embed(text)?)
    }

    /// A vector, if it is one of those compared here.
    pub(crate) fn fitting(&self, vector: Vec<f32>) -> Result<Vec<f32>, EmbedError> {
        let (given, expected) = (vector.len(), self.embedder.dimensions());
        if given != expected {
            return Err(EmbedError::Dimensions { model: self.embedder.tier().to_owned(), given, expected });
        }
        Ok(vector)
    }

    /// The tier of its vectors.
    pub fn tier(&self) -> &str {
        self.embedder.tier()
    }

    /// The ids of all agents.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.slots.keys().map(String::as_str)
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        self.geometry.get_or_init(|| Geometry::new(&self.moments))
    }

    pub(crate) fn entry(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }

    /// The slots in which there is an agent.
    pub(crate) fn taken(&self) -> impl Iterator<Item = u32> {
        (0_u32..).zip(&self.taken).filter(|(_, taken)| **taken).map(|(slot, _)| slot)
    }

    /// How much was learned, from 0 to 1: one half at [`HALF_TAUGHT`] requests an agent.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    pub(crate) fn maturity(&self) -> f32 {
        let learned = self.learned as f32;
        learned / (learned + HALF_TAUGHT * self.slots.len().max(1) as f32)
    }

    fn set(&mut self, slot: u32, mut entry: Entry) {
        entry.attach(self.outcomes.of(&entry.id));
        self.prototypes.set(slot, &Quantised::new(entry.prototype()));
        for vector in entry.vectors() {
            self.moments.add(&vector, 1.0);
        }
        self.learned += entry.learned.good().count();
        if let Some(place) = self.entries.get_mut(slot as usize) {
            *place = Some(entry);
        }
        self.taken.resize(self.entries.len(), false);
        if let Some(taken) = self.taken.get_mut(slot as usize) {
            *taken = true;
        }
        self.geometry.take();
    }

    fn unset(&mut self, slot: u32) -> Option<Entry> {
        let entry = self.entries.get_mut(slot as usize)?.take()?;
        self.prototypes.clear(slot);
        self.learned -= entry.learned.good().count();
        if let Some(taken) = self.taken.get_mut(slot as usize) {
            *taken = false;
        }
        for vector in entry.vectors() {
            self.moments.add(&vector, -1.0);
        }
        self.geometry.take();
        Some(entry)
    }
}
