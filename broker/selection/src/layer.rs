//! The one layer that is learned: a weight a feature, a softmax over the candidates, and two small logistic sums that say
//! how far to trust the result. The weights stand in `data/weights.json`, a set for each tier, by the names of features.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::confidence::{SIGNAL_NAMES, SIGNALS};
use crate::features::{COMPLETE, FEATURES, NAMES, Row};

/// The weights shipped, fitted by `examples/fit.rs`.
const SHIPPED: &str = include_str!("../data/weights.json");

/// The weights of one tier.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// Of the features all agents have: picks the leading.
    pub gate: [f32; COMPLETE],
    /// Of all features.
    pub layer: Row,
    /// Of the signals: whether the first is right. The last is the constant.
    pub right: [f32; SIGNALS],
    /// Of the signals: whether any agent is right.
    pub in_scope: [f32; SIGNALS],
}

/// The weights as a file has them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    gate: BTreeMap<String, f32>,
    layer: BTreeMap<String, f32>,
    right: BTreeMap<String, f32>,
    in_scope: BTreeMap<String, f32>,
}

/// A weights file is not one.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// No JSON of the expected form.
    #[error(
        "the weights are no JSON of tiers with gate, layer, right and in_scope: {0}; fit them anew with examples/fit.rs"
    )]
    Form(#[from] serde_json::Error),
    /// No weights for this tier.
    #[error("no weights for the tier {0:?}; fit them with examples/fit.rs")]
    Tier(String),
    /// A weight is missing or one too many.
    #[error(
        "the weights of {part} are not those of its features: {name:?} is missing or unknown; fit them anew with examples/fit.rs"
    )]
    Names {
        /// Which weights.
        part: &'static str,
        /// The first name that does not fit.
        name: String,
    },
}

impl Weights {
    /// The weights shipped for a tier.
    pub fn shipped(tier: &str) -> Result<Self, WeightsError> {
        Self::parse(SHIPPED, tier)
    }

    /// Reads the weights of a tier.
    pub fn parse(file: &str, tier: &str) -> Result<Self, WeightsError> {
        let mut tiers: BTreeMap<String, Named> = serde_json::from_str(file)?;
        let named = tiers.remove(tier).ok_or_else(|| WeightsError::Tier(tier.to_owned()))?;
        let gate_names: Vec<&str> = NAMES.into_iter().take(COMPLETE).collect();
        Ok(Self {
            gate: in_order("gate", named.gate, &gate_names)?,
            layer: in_order("layer", named.layer, &NAMES)?,
            right: in_order("right", named.right, &SIGNAL_NAMES)?,
            in_scope: in_order("in_scope", named.in_scope, &SIGNAL_NAMES)?,
        })
    }

    /// These weights as a part of a file.
    pub fn to_json(&self) -> serde_json::Value {
        let named = |names: &[&str], weights: &[f32]| -> BTreeMap<String, f64> {
            // Four decimals are more than the data can tell apart.
            let short = |weight: f32| (f64::from(weight) * 1e4).round() / 1e4;
            names.iter().zip(weights).map(|(name, &weight)| ((*name).to_owned(), short(weight))).collect()
        };
        serde_json::json!({
            "gate": named(&NAMES, &self.gate),
            "layer": named(&NAMES, &self.layer),
            "right": named(&SIGNAL_NAMES, &self.right),
            "in_scope": named(&SIGNAL_NAMES, &self.in_scope),
        })
    }

    /// The score of a leading agent.
    pub(crate) fn score(&self, features: &Row) -> f32 {
        weighed(&self.layer, features)
    }
}

/// The probabilities that go with scores.
pub(crate) fn softmax(scores: &[f32]) -> Vec<f32> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shares: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f32 = shares.iter().sum();
    shares.into_iter().map(|share| share / sum).collect()
}

/// The sum of features times weights.
pub(crate) fn weighed(weights: &[f32], features: &[f32]) -> f32 {
    weights.iter().zip(features).map(|(w, x)| w * x).sum()
}

fn in_order<const N: usize>(
    part: &'static str,
    mut given: BTreeMap<String, f32>,
    names: &[&str],
) -> Result<[f32; N], WeightsError> {
    let mut weights = [0.0; N];
    for (place, name) in weights.iter_mut().zip(names) {
        let wrong = || WeightsError::Names { part, name: (*name).to_owned() };
        *place = given.remove(*name).filter(|weight| weight.is_finite()).ok_or_else(wrong)?;
    }
    match given.into_keys().next() {
        Some(name) => Err(WeightsError::Names { part, name }),
        None => Ok(weights),
    }
}

const _: () = assert!(NAMES.len() == FEATURES);
