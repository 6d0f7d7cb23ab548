//! What is learned from what became of requests. A request an agent was right for is one more example of it; one it
//! failed, or that was taken from it, is an example of what it is not for. Few are kept of each agent, the newest, so
//! memory is bounded and what is learned can be forgotten; applying the same outcomes in the same order gives the same
//! state.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::embedding::Quantised;

/// Most requests kept of one agent that it was right for.
pub const MAX_GOOD: usize = 32;
/// Most requests kept of one agent that it was wrong for.
pub const MAX_BAD: usize = 16;

/// What became of a request given to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Someone who saw the candidates picked this one.
    Chosen,
    /// The agent's result was accepted.
    Accepted,
    /// The agent failed, or its result was refused.
    Failed,
    /// Someone took the request from this agent: it belonged to another.
    Corrected,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The agent.
    pub agent: String,
    /// The request's vector, from [`Index::embed`](crate::Index::embed).
    pub vector: Vec<f32>,
    /// What became of it.
    pub kind: OutcomeKind,
}

/// An outcome cannot be learned from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OutcomeError {
    /// Its vectors are not those of the index.
    #[error(
        "outcomes of {given} cannot be compared with vectors of {expected}; start without them, or with that model"
    )]
    Foreign {
        /// Tier and dimensions given.
        given: String,
        /// Tier and dimensions expected.
        expected: String,
    },
}

/// All that was learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcomes {
    tier: String,
    dimensions: usize,
    agents: BTreeMap<String, Learned>,
}

/// What was learned of one agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    good: VecDeque<Quantised>,
    bad: VecDeque<Quantised>,
}

impl Outcomes {
    /// Nothing learned yet.
    pub fn new(tier: &str, dimensions: usize) -> Self {
        Self { tier: tier.to_owned(), dimensions, agents: BTreeMap::new() }
    }

    /// Takes one in.
    pub fn add(&mut self, outcome: Outcome) -> Result<(), OutcomeError> {
        self.fits(&self.tier, outcome.vector.len())?;
        let learned = self.agents.entry(outcome.agent).or_default();
        let (kept, most) = match outcome.kind {
            OutcomeKind::Chosen | OutcomeKind::Accepted => (&mut learned.good, MAX_GOOD),
            OutcomeKind::Failed | OutcomeKind::Corrected => (&mut learned.bad, MAX_BAD),
        };
        if kept.len() == most {
            kept.pop_front();
        }
        kept.push_back(Quantised::new(&outcome.vector));
        Ok(())
    }

    /// What was learned of an agent.
    pub fn of(&self, agent: &str) -> Option<&Learned> {
        self.agents.get(agent)
    }

    /// Whether these can be used with vectors of a tier.
    pub fn fits(&self, tier: &str, dimensions: usize) -> Result<(), OutcomeError> {
        if self.tier == tier && self.dimensions == dimensions {
            return Ok(());
        }
        Err(OutcomeError::Foreign {
            given: format!("{} with {} dimensions", self.tier, self.dimensions),
            expected: format!("{tier} with {dimensions} dimensions"),
        })
    }

    /// Bytes kept, about.
    pub fn bytes(&self) -> usize {
        self.agents.iter().map(|(id, learned)| id.len() + learned.bytes()).sum()
    }
}

impl Learned {
    /// Requests the agent was right for.
    pub fn good(&self) -> impl Iterator<Item = &Quantised> {
        self.good.iter()
    }

    /// Requests it was wrong for.
    pub fn bad(&self) -> impl Iterator<Item = &Quantised> {
        self.bad.iter()
    }

    pub(crate) fn bytes(&self) -> usize {
        let all = self.good.iter().chain(&self.bad);
        all.map(|vector| vector.bytes.len() + size_of::<Quantised>()).sum::<usize>() + size_of::<Self>()
    }
}
