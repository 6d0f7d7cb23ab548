//! A second opinion on the few that lead, by a language model: how it is asked, how its answer is read as probabilities,
//! and how those are put together with the ranking's own. Asking it is for others; here is only text and numbers.
//!
//! It is asked for one letter, and the probabilities of the letters are its opinion. Of a model that tells no
//! probabilities a rating of each agent is asked, from 1 to 5. The agents are shown in the order of their rank, ties by
//! id, so that the order in which they were registered has no part in it.

mod answer;
mod fusing;
mod prompt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use answer::tokens_used;
pub use prompt::MAX_SHOWN;

use crate::agent::Agent;

/// In which form an opinion is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One letter, with the probabilities of all letters.
    Label,
    /// A rating of each agent from 1 to 5.
    Rubric,
}

/// How likely each of the agents shown is the right one, as the model sees it. All together are one.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// One share an agent, in the order in which they were shown.
    pub shares: Vec<f32>,
    /// That it is none of them.
    pub none: f32,
}

/// What the parts of a fused share were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// The share by cards and outcomes alone.
    pub embedded: f32,
    /// The share by the model's opinion.
    pub opinion: f32,
}

/// An answer that tells no opinion.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// It is no answer of a chat endpoint.
    #[error("it is no chat completion: {0}")]
    Form(String),
    /// It says a letter, and not how likely the others are.
    #[error("it tells no log-probabilities")]
    NoLogprobs,
    /// It is not one of the letters.
    #[error("expected one of the letters shown, found {0:?}")]
    NoLabel(String),
    /// It is not a rating of each agent.
    #[error("expected a JSON object with a rating from 1 to 5 for each letter shown, found {0:?}")]
    NoRatings(String),
}

impl Form {
    /// The body of `POST /chat/completions` that asks a model which of the agents shown, the likeliest first, a request is
    /// for. Of more than [`MAX_SHOWN`] agents the rest is not shown.
    pub fn question(self, model: &str, request: &str, shown: &[Agent]) -> Vec<u8> {
        prompt::body(self, model, request, shown).to_string().into_bytes()
    }

    /// The opinion on so many agents shown, from the answer's body.
    pub fn read(self, answer: &[u8], shown: usize) -> Result<Opinion, Unreadable> {
        let shown = shown.min(MAX_SHOWN);
        match self {
            Self::Label => answer::label(answer, shown),
            Self::Rubric => answer::rubric(answer, shown),
        }
    }

    /// As it is told to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Label => "log-probabilities",
            Self::Rubric => "ratings",
        }
    }
}

impl Opinion {
    /// From weights, of which the last is that of none. Nothing comes of weights that are all zero, or none.
    fn of(mut weights: Vec<f32>) -> Option<Self> {
        let sum: f32 = weights.iter().sum();
        if !(sum.is_finite() && sum > 0.0) {
            return None;
        }
        for weight in &mut weights {
            *weight /= sum;
        }
        let none = weights.pop()?;
        Some(Self { shares: weights, none })
    }
}
