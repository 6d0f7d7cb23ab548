//! How well advice tells agreeing samples from conflicting ones, on labelled cases made from a set's requests to learn
//! from: samples that agree are requests for one agent, samples that conflict are requests for two agents of which the
//! ranker takes one for the next best of the other.

use std::collections::BTreeMap;

use super::metrics::auroc;
use super::sets::Set;
use crate::disagreement::{Sample, advise};
use crate::embedding::EmbedError;
use crate::index::Index;
use crate::layer::Weights;
use crate::ranking::Query;

/// Samples in one case.
const SAMPLES: usize = 4;

/// The disagreement of each case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Agreement {
    /// Of samples for one agent.
    pub agreeing: Vec<f64>,
    /// Of samples for two near agents.
    pub conflicting: Vec<f64>,
}

impl Agreement {
    /// Area under the receiver operating curve.
    pub fn auroc(&self) -> Option<f64> {
        auroc(&self.conflicting, &self.agreeing)
    }
}

/// Advises on every case that can be made of the set.
pub fn agreement(set: &Set, index: &Index, weights: &Weights) -> Result<Agreement, EmbedError> {
    let mut requests: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for request in set.lessons() {
        if let [agent] = request.expected.as_slice() {
            requests.entry(agent).or_default().push(&request.text);
        }
    }
    let records = BTreeMap::new();
    let mut found = Agreement::default();
    let advice = |texts: Vec<&str>| {
        let samples: Vec<Sample> =
            texts.into_iter().map(|text| Sample { text: text.to_owned(), mean_logprob: None }).collect();
        advise(index, weights, "", &samples, &|_| true).map(|advice| f64::from(advice.disagreement))
    };
    for (agent, own) in requests.iter().filter(|(_, own)| own.len() >= SAMPLES) {
        let Some(first) = own.first() else { continue };
        let ranking = index.rank(weights, &Query { text: first, eligible: &|_| true, records: &records })?;
        let near = ranking.candidates.iter().find_map(|one| {
            let other = requests.get(one.agent.as_str()).filter(|_| one.agent != **agent)?;
            (other.len() >= SAMPLES).then_some(other)
        });
        let Some(near) = near else { continue };
        found.agreeing.push(advice(own.iter().copied().take(SAMPLES).collect())?);
        let mixed = own.iter().take(SAMPLES / 2).chain(near.iter().take(SAMPLES / 2));
        found.conflicting.push(advice(mixed.copied().collect())?);
    }
    Ok(found)
}
