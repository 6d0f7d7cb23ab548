//! Ranking: a request in, the candidates out, the best first, with how likely each is and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::confidence::{confidence_signals, probabilities};
use crate::embedding::EmbedError;
use crate::features::{Examination, NAMES, examine};
use crate::index::Index;
use crate::layer::{Weights, softmax};
use crate::record::Record;
use crate::reranking::Heard;

/// What is asked.
pub struct Query<'a> {
    /// The request's text.
    pub text: &'a str,
    /// Which agents may be chosen at all.
    pub eligible: &'a dyn Fn(&str) -> bool,
    /// What is known of agents' work so far.
    pub records: &'a BTreeMap<String, Record>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The leading candidates, the best first; ties by id.
    pub candidates: Vec<Candidate>,
    /// The probability that the first is a right one; others may be as well.
    pub confidence: f32,
    /// The probability that any agent is right for the request.
    pub in_scope: f32,
    /// The tier that ranked.
    pub tier: String,
    /// What further stages said, or why they did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<String>,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The agent's id.
    pub agent: String,
    /// Its score; only differences mean something.
    pub score: f32,
    /// Its share among the candidates.
    pub probability: f32,
    /// What the score is made of, the largest part first.
    pub contributions: Vec<Contribution>,
    /// The request's words found on its card, the rarest first.
    pub terms: Vec<String>,
    /// What its share was fused from, where there was an opinion on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Heard>,
}

/// One part of a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The feature.
    pub feature: String,
    /// Its value.
    pub value: f32,
    /// Its weight; the part is their product.
    pub weight: f32,
}

impl Index {
    /// Ranks all eligible agents.
    pub fn rank(&self, weights: &Weights, query: &Query<'_>) -> Result<Ranking, EmbedError> {
        let examination = self.examine(weights, query)?;
        Ok(self.judge(weights, query, &examination))
    }

    /// The same with a vector of the request that was made before.
    pub fn rank_with(
        &self,
        weights: &Weights,
        query: &Query<'_>,
        vector: Vec<f32>,
    ) -> Result<Ranking, EmbedError> {
        let vector = self.fitting(vector)?;
        let examination = examine(self, weights, query.text, vector, query.eligible);
        Ok(self.judge(weights, query, &examination))
    }

    /// The features of the leading agents, before any weight of the layer.
    pub fn examine(&self, weights: &Weights, query: &Query<'_>) -> Result<Examination, EmbedError> {
        let vector = self.embed(query.text)?;
        Ok(examine(self, weights, query.text, vector, query.eligible))
    }

    /// Puts examined agents in order.
    pub fn judge(&self, weights: &Weights, query: &Query<'_>, examination: &Examination) -> Ranking {
        let mut candidates: Vec<Candidate> = examination
            .leading
            .iter()
            .map(|examined| {
                let features = NAMES.iter().zip(examined.features).zip(weights.layer);
                let mut contributions: Vec<Contribution> = features
                    .filter(|((_, value), weight)| *value != 0.0 && *weight != 0.0)
                    .map(|((name, value), weight)| Contribution {
                        feature: (*name).to_owned(),
                        value,
                        weight,
                    })
                    .collect();
                let record = query.records.get(&examined.id).copied().unwrap_or_default();
                let past = record.contributions();
                let score = weights.score(&examined.features)
                    + past.iter().map(|part| part.value * part.weight).sum::<f32>();
                contributions.extend(past);
                contributions.sort_by(|a, b| {
                    (b.value * b.weight)
                        .abs()
                        .total_cmp(&(a.value * a.weight).abs())
                        .then(a.feature.cmp(&b.feature))
                });
                let terms = self.lexical.matching(&examination.wanted, examined.slot);
                let terms = terms.into_iter().map(|(word, _)| word.to_owned()).collect();
                let (agent, probability, heard) = (examined.id.clone(), 0.0, None);
                Candidate { agent, score, probability, contributions, terms, heard }
            })
            .collect();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.agent.cmp(&b.agent)));
        let scores: Vec<f32> = candidates.iter().map(|candidate| candidate.score).collect();
        for (candidate, share) in candidates.iter_mut().zip(softmax(&scores)) {
            candidate.probability = share;
        }
        let (confidence, in_scope) = if candidates.is_empty() {
            (0.0, 0.0)
        } else {
            probabilities(weights, &confidence_signals(weights, examination))
        };
        Ranking { candidates, confidence, in_scope, tier: self.tier().to_owned(), stages: Vec::new() }
    }
}
