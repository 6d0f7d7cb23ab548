//! How the ranking bears more and more agents: one set's requests against its own agents and ever more others. The
//! others are first those of further sets, then made-up ones, each of the name and description of two of those, so that
//! they use real words without being anyone's twin. Nothing is left to chance.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::metrics::{places, quantile};
use super::sets::{Request, Set};
use crate::agent::{Agent, Skill};
use crate::embedding::{EmbedError, Embedder};
use crate::index::Index;
use crate::layer::Weights;
use crate::ranking::Query;

/// One point of the curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Agents.
    pub agents: usize,
    /// Requests ranked.
    pub requests: usize,
    /// The right agent came first, in percent.
    pub top1: f64,
    /// The right agent was among the first three, in percent.
    pub top3: f64,
    /// Time of one ranking that half do not exceed, microseconds.
    pub p50_us: f64,
    /// Time of one ranking that 99 of 100 do not exceed, microseconds.
    pub p99_us: f64,
    /// Bytes of index for one agent.
    pub bytes_per_agent: usize,
}

/// Measures `set` among so many agents, for each of `sizes` in rising order, with at most `most` of its requests.
/// `clock` gives microseconds.
pub fn growth(
    set: &Set,
    others: &[Set],
    embedder: &Arc<dyn Embedder>,
    weights: &Weights,
    (sizes, most): (&[usize], usize),
    clock: &dyn Fn() -> f64,
) -> Result<Vec<Point>, EmbedError> {
    let strangers: Vec<&Agent> = others.iter().flat_map(|other| &other.agents).collect();
    let mut index = Index::new(Arc::clone(embedder));
    let mut points = Vec::new();
    let mut added = 0;
    for &size in sizes {
        while added < size {
            let agent = match (set.agents.get(added), added.checked_sub(set.agents.len())) {
                (Some(own), _) => own.clone(),
                (None, Some(at)) => stranger(&strangers, at),
                (None, None) => break,
            };
            index.put(&agent)?;
            added += 1;
        }
        let known: Vec<&Agent> = set.agents.iter().take(size).collect();
        let answerable =
            |request: &&Request| request.expected.iter().any(|id| known.iter().any(|one| one.id == *id));
        let requests: Vec<&Request> = set.test().filter(answerable).collect();
        let step = requests.len().div_ceil(most.max(1)).max(1);
        let requests: Vec<&Request> = requests.into_iter().step_by(step).collect();
        points.push(point(&index, weights, &requests, clock)?);
    }
    Ok(points)
}

fn point(
    index: &Index,
    weights: &Weights,
    requests: &[&Request],
    clock: &dyn Fn() -> f64,
) -> Result<Point, EmbedError> {
    index.settle();
    let records = std::collections::BTreeMap::new();
    let (mut found, mut times) = (Vec::new(), Vec::new());
    for request in requests {
        let start = clock();
        let ranking =
            index.rank(weights, &Query { text: &request.text, eligible: &|_| true, records: &records })?;
        times.push(clock() - start);
        let place = ranking.candidates.iter().position(|one| request.expected.contains(&one.agent));
        found.push(place.map(|place| place + 1));
    }
    let (top1, top3, _) = places(&found);
    Ok(Point {
        agents: index.len(),
        requests: requests.len(),
        top1,
        top3,
        p50_us: quantile(&times, 0.5),
        p99_us: quantile(&times, 0.99),
        bytes_per_agent: index.bytes() / index.len().max(1),
    })
}

/// The stranger of a number: a real one as long as there are any, then one put together of two.
fn stranger(strangers: &[&Agent], at: usize) -> Agent {
    let count = strangers.len().max(1);
    let pick = |at: usize| strangers.get(at % count).copied().cloned().unwrap_or_default();
    if at < strangers.len() {
        let agent = pick(at);
        return Agent { id: format!("other/{at}/{}", agent.id), ..agent };
    }
    // A stride that meets every partner before it meets one again.
    let round = at / count;
    let (a, b) = (pick(at), pick(at + 1 + round * 7));
    let half = |text: &str, back: bool| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (front, rear) = words.split_at(words.len() / 2);
        if back { rear.join(" ") } else { front.join(" ") }
    };
    let examples =
        b.examples().take(2).map(|example| format!("{} {}", a.name, half(example, true))).collect();
    Agent {
        id: format!("made/{at}"),
        name: format!("{} {}", half(&a.name, false), b.name),
        description: format!("{} {}", half(&a.description, false), half(&b.description, true)),
        tags: b.tags,
        skills: vec![Skill { name: a.name, description: String::new(), tags: Vec::new(), examples }],
    }
}
