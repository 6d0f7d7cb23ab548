//! One run over one set: every request to be scored is ranked and what came out is compared with what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::metrics::{auroc, ece, ece_by_chance, places, quantile};
use super::sets::{Request, Set};
use crate::embedding::{EmbedError, Embedder};
use crate::index::Index;
use crate::layer::Weights;
use crate::outcomes::{Outcome, OutcomeKind};
use crate::ranking::Query;

/// What one set showed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SetReport {
    /// The set.
    pub set: String,
    /// Agents in it.
    pub agents: usize,
    /// Outcomes an agent that were learned from first, at most.
    pub outcomes: usize,
    /// Requests scored that have a right answer, and that have none.
    pub requests: [usize; 2],
    /// The right agent came first, in percent.
    pub top1: f64,
    /// The right agent was among the first three, in percent.
    pub top3: f64,
    /// Mean of one over the right agent's place.
    pub mrr: f64,
    /// Expected calibration error of the confidence over all requests, where one that is out of scope has no right first.
    pub ece: f64,
    /// What it would be by chance were the confidence exactly true.
    pub ece_by_chance: f64,
    /// The same over requests that have a right answer only.
    pub ece_in_scope: f64,
    /// The same of the first candidate's share of the softmax.
    pub ece_softmax: f64,
    /// How well the confidence that any agent is right tells requests in scope from others; none without others.
    pub oos_auroc: Option<f64>,
    /// Time of one ranking that half do not exceed, microseconds.
    pub p50_us: f64,
    /// Time of one ranking that 99 of 100 do not exceed, microseconds.
    pub p99_us: f64,
    /// Bytes of index for one agent.
    pub bytes_per_agent: usize,
}

/// An index of a set's agents.
pub fn index_of(set: &Set, embedder: Arc<dyn Embedder>) -> Result<Index, EmbedError> {
    let mut index = Index::new(embedder);
    for agent in &set.agents {
        index.put(agent)?;
    }
    Ok(index)
}

/// Teaches an index with the first `most` requests to learn from of each agent.
pub fn teach<'a>(
    index: &mut Index,
    lessons: impl Iterator<Item = &'a Request>,
    most: usize,
) -> Result<(), EmbedError> {
    let mut taught: BTreeMap<&str, usize> = BTreeMap::new();
    for request in lessons {
        for agent in request.expected.iter().take(1) {
            let count = taught.entry(agent).or_default();
            if *count == most {
                continue;
            }
            *count += 1;
            let vector = index.embed(&request.text)?;
            let outcome = Outcome { agent: agent.clone(), vector, kind: OutcomeKind::Chosen };
            // Its vector is the index's own.
            let _ = index.learn(outcome);
        }
    }
    Ok(())
}

/// Ranks every request of the set that is to be scored. `clock` gives microseconds.
pub fn evaluate(
    set: &Set,
    index: &Index,
    weights: &Weights,
    outcomes: usize,
    clock: &dyn Fn() -> f64,
) -> Result<SetReport, EmbedError> {
    let records = BTreeMap::new();
    index.settle();
    let (mut found, mut judged, mut judged_in, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut shares = Vec::new();
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for request in set.test() {
        let query = Query { text: &request.text, eligible: &|_| true, records: &records };
        let start = clock();
        let ranking = index.rank(weights, &query)?;
        times.push(clock() - start);
        let expected: BTreeSet<&str> = request.expected.iter().map(String::as_str).collect();
        let place = ranking.candidates.iter().position(|one| expected.contains(one.agent.as_str()));
        judged.push((f64::from(ranking.confidence), place == Some(0)));
        if expected.is_empty() {
            outside.push(f64::from(ranking.in_scope));
        } else {
            judged_in.push((f64::from(ranking.confidence), place == Some(0)));
            let share = ranking.candidates.first().map_or(0.0, |first| first.probability);
            shares.push((f64::from(share), place == Some(0)));
            inside.push(f64::from(ranking.in_scope));
            found.push(place.map(|place| place + 1));
        }
    }
    let (top1, top3, mrr) = places(&found);
    Ok(SetReport {
        set: set.name.clone(),
        agents: index.len(),
        outcomes,
        requests: [inside.len(), outside.len()],
        top1,
        top3,
        mrr,
        ece: ece(&judged),
        ece_by_chance: ece_by_chance(&judged),
        ece_in_scope: ece(&judged_in),
        ece_softmax: ece(&shares),
        oos_auroc: auroc(&inside, &outside),
        p50_us: quantile(&times, 0.5),
        p99_us: quantile(&times, 0.99),
        bytes_per_agent: index.bytes() / index.len().max(1),
    })
}
