//! How a delegate was chosen: who was weighed, who was left out, and why. Kept with the task, for people and tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The broker has weighed whom to give a task to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// What came of it.
    pub verdict: ChoiceVerdict,
    /// The probability that the first candidate is the right one, from 0 to 1.
    pub confidence: f64,
    /// The confidence from which the broker chooses by itself.
    pub threshold: f64,
    /// The leading candidates, the likeliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Considered>,
    /// Agents that could not have it; of many, those that fitted best.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<Excluded>,
    /// How many agents there were.
    pub considered: u32,
    /// What further stages of weighing said, or why they did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<String>,
}

/// What comes of weighing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceVerdict {
    /// The first candidate is likely enough.
    Confident,
    /// Only one could have it.
    Only,
    /// The caller picked.
    Picked,
    /// The caller is asked.
    Unsure,
    /// None of the agents is for this.
    OutOfScope,
    /// Those before it did not do it.
    Next,
}

impl Choice {
    /// The same, made for another candidate because those before it did not do it.
    #[must_use]
    pub fn next(&self, agent: &str) -> Self {
        let mut candidates = self.candidates.clone();
        candidates.sort_by_key(|one| one.agent != agent);
        Self { verdict: ChoiceVerdict::Next, candidates, ..self.clone() }
    }
}

/// A candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Considered {
    /// The agent.
    pub agent: String,
    /// What it is for, in its card's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The probability that it is the right one, from 0 to 1.
    pub probability: f64,
    /// What speaks for it and against it, the weightiest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

/// An agent that could not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excluded {
    /// The agent.
    pub agent: String,
    /// Why not.
    pub reason: String,
}
