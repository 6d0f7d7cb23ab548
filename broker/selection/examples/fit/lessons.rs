//! What is fitted on, made from a set's requests to learn from and from its cards' own examples, each held out of its
//! card when it is the request. Cards are also tried without any examples, and after outcomes were learned. Requests out
//! of scope are made by leaving out the agent that would be right, and by borrowing other sets' requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker_selection::evaluation::metrics::ece;
use broker_selection::evaluation::{Request, Set, Split, index_of, teach};
use broker_selection::{
    Agent, Embedder, Examination, Index, Query, Row, SIGNALS, Weights, confidence_signals,
};

use crate::joined::joined;

/// Most requests of one kind.
const MOST: usize = 500;
/// Outcomes an agent that lessons are given after.
const TAUGHT: [usize; 2] = [3, 8];

/// One choice among candidates.
pub(crate) struct Lesson {
    pub(crate) kind: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) right: usize,
}

/// One request looked at, for the confidence.
pub(crate) struct Sighting {
    kind: &'static str,
    examination: Examination,
    expected: Vec<String>,
    pub(crate) scope: Scope,
}

/// How many agents are right.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// None.
    Out,
    /// One.
    One,
    /// One for each of the things asked.
    Several,
}

/// All lessons of one set, with their weights.
pub(crate) struct Lessons {
    pub(crate) choices: Vec<(Lesson, f64)>,
    pub(crate) sightings: Vec<(Sighting, f64)>,
}

impl Sighting {
    pub(crate) fn signals(&self, weights: &Weights) -> [f32; SIGNALS] {
        confidence_signals(weights, &self.examination)
    }

    /// Whether the first is right.
    pub(crate) fn first(&self, weights: &Weights) -> bool {
        self.examination.first(weights).is_some_and(|first| self.expected.iter().any(|id| id == first))
    }
}

impl Lessons {
    /// How well weights do on these lessons, by kind.
    pub(crate) fn score(&self, weights: &Weights) -> Vec<(&'static str, f64, f64, f64)> {
        let mut kinds: BTreeMap<&'static str, [f64; 4]> = BTreeMap::new();
        for (lesson, _) in &self.choices {
            let scores: Vec<f64> = lesson
                .rows
                .iter()
                .map(|row| row.iter().zip(weights.layer).map(|(x, w)| f64::from(x * w)).sum())
                .collect();
            let right = scores[lesson.right];
            let place = scores.iter().filter(|score| **score > right).count();
            let sum: f64 = scores.iter().map(|score| (score - right).exp()).sum();
            let sums = kinds.entry(lesson.kind).or_default();
            sums[0] += 1.0;
            sums[1] += f64::from(u8::from(place < 1));
            sums[2] += f64::from(u8::from(place < 3));
            sums[3] += sum.ln();
        }
        kinds.into_iter().map(|(kind, [n, a, b, l])| (kind, 100.0 * a / n, 100.0 * b / n, l / n)).collect()
    }

    /// How well calibrated the confidence is on these lessons, by kind of those in scope: how many, the calibration
    /// error, the mean confidence and the share that is right.
    pub(crate) fn calibration(&self, weights: &Weights) -> Vec<(&'static str, usize, f64, f64, f64)> {
        let mut kinds: BTreeMap<&'static str, Vec<(f64, bool)>> = BTreeMap::new();
        for (one, _) in self.sightings.iter().filter(|(one, _)| one.scope != Scope::Out) {
            let sum: f32 = one.signals(weights).iter().zip(weights.right).map(|(x, w)| x * w).sum();
            let confidence = 1.0 / (1.0 + f64::from(-sum).exp());
            kinds.entry(one.kind).or_default().push((confidence, one.first(weights)));
        }
        let told = |(kind, judged): (_, Vec<(f64, bool)>)| {
            let count = judged.len() as f64;
            let mean = judged.iter().map(|(confidence, _)| confidence).sum::<f64>() / count;
            let right = judged.iter().filter(|(_, right)| *right).count() as f64 / count;
            (kind, judged.len(), ece(&judged), mean, right)
        };
        kinds.into_iter().map(told).collect()
    }

    pub(crate) fn of(set: &Set, sets: &[Set], embedder: &Arc<dyn Embedder>) -> Self {
        let mut lessons = Self { choices: Vec::new(), sightings: Vec::new() };
        let taught: Vec<Request> = spread(set.lessons().cloned().collect(), MOST);
        let full = index_of(set, Arc::clone(embedder)).expect("vectors");
        lessons.add("full", &full, &taught, 1.0, true);
        lessons.add("joined", &full, &spread(joined(&taught), MOST / 2), 1.0, false);
        // Requests of other sets, of which few could be meant for an agent of this one.
        let foreign = sets.iter().filter(|other| other.name != set.name);
        let foreign: Vec<Request> = foreign
            .flat_map(|other| spread(own_examples(&other.agents), 60))
            .map(|request| Request { expected: Vec::new(), ..request })
            .collect();
        lessons.add("foreign", &full, &foreign, 1.0, true);
        let most = set.agents.iter().map(|agent| agent.examples().count()).max().unwrap_or_default();
        for fold in 0..most {
            let (agents, requests) = hold_out(&set.agents, fold);
            let held = Set { agents, ..set.clone() };
            let index = index_of(&held, Arc::clone(embedder)).expect("vectors");
            if fold == 0 {
                lessons.add("joined", &index, &spread(joined(&requests), MOST / 2), 1.0, false);
            }
            lessons.add("held out", &index, &spread(requests, MOST / most), 1.0, true);
        }
        if most > 0 {
            let mut bare = set.clone();
            bare.agents
                .iter_mut()
                .flat_map(|agent| &mut agent.skills)
                .for_each(|skill| skill.examples.clear());
            let index = index_of(&bare, Arc::clone(embedder)).expect("vectors");
            lessons.add("bare", &index, &spread(own_examples(&set.agents), MOST / 2), 0.5, true);
            // A registry where every other card has none.
            let (mut agents, requests) = hold_out(&set.agents, 0);
            for agent in agents.iter_mut().step_by(2) {
                agent.skills.iter_mut().for_each(|skill| skill.examples.clear());
            }
            let index = index_of(&Set { agents, ..set.clone() }, Arc::clone(embedder)).expect("vectors");
            lessons.add("mixed", &index, &spread(requests, MOST / 2), 0.5, true);
        }
        if set.lessons().count() > 1_000 {
            let (odd, even): (Vec<_>, Vec<_>) = set.lessons().enumerate().partition(|(at, _)| at % 2 == 1);
            for k in TAUGHT {
                let mut index = index_of(set, Arc::clone(embedder)).expect("vectors");
                teach(&mut index, odd.iter().map(|(_, request)| *request), k).expect("vectors");
                let asked = even.iter().map(|(_, request)| (*request).clone()).collect();
                lessons.add("taught", &index, &spread(asked, MOST), 0.7, true);
            }
        }
        lessons
    }

    fn add(&mut self, kind: &'static str, index: &Index, requests: &[Request], weight: f64, scope: bool) {
        let weights = gate_weights();
        for (at, request) in requests.iter().enumerate() {
            let seen = look(index, &weights, &request.text, &|_| true);
            let right = seen.leading.iter().position(|one| request.expected.contains(&one.id));
            // Which of several is first is not to be learned.
            if let Some(right) = right.filter(|_| request.expected.len() == 1) {
                let rows = seen.leading.iter().map(|one| one.features).collect();
                self.choices.push((Lesson { kind, rows, right }, weight));
            }
            let expected = request.expected.clone();
            let of = match expected.len() {
                0 => Scope::Out,
                1 => Scope::One,
                _ => Scope::Several,
            };
            self.sightings.push((Sighting { kind, examination: seen, expected, scope: of }, weight));
            if scope && of == Scope::One && at % 6 == 0 {
                let seen =
                    look(index, &weights, &request.text, &|id| !request.expected.iter().any(|e| e == id));
                let expected = Vec::new();
                self.sightings
                    .push((Sighting { kind, examination: seen, expected, scope: Scope::Out }, weight));
            }
        }
    }
}

/// A gate that is good enough to find the leading by.
fn gate_weights() -> Weights {
    Weights { gate: [5.0, 5.0, 2.0, 5.0, 9.0, 10.0], ..Weights::default() }
}

fn look(index: &Index, weights: &Weights, text: &str, eligible: &dyn Fn(&str) -> bool) -> Examination {
    index.examine(weights, &Query { text, eligible, records: &BTreeMap::new() }).expect("vectors")
}

/// At most so many, evenly taken.
fn spread(requests: Vec<Request>, most: usize) -> Vec<Request> {
    let count = requests.len();
    if count <= most {
        return requests;
    }
    (0..most).map(|at| requests[at * count / most].clone()).collect()
}

fn own_examples(agents: &[Agent]) -> Vec<Request> {
    let request = |agent: &Agent, text: &str| Request {
        text: text.to_owned(),
        expected: vec![agent.id.clone()],
        split: Split::Train,
    };
    let examples = agents.iter().flat_map(|agent| agent.examples().map(move |text| request(agent, text)));
    examples.collect()
}

/// Cards without their example of this number, and those examples.
fn hold_out(agents: &[Agent], fold: usize) -> (Vec<Agent>, Vec<Request>) {
    let mut left = agents.to_vec();
    let mut requests = Vec::new();
    for agent in &mut left {
        let mut at = 0;
        for skill in &mut agent.skills {
            if fold >= at && fold < at + skill.examples.len() {
                let text = skill.examples.remove(fold - at);
                requests.push(Request { text, expected: vec![agent.id.clone()], split: Split::Train });
                break;
            }
            at += skill.examples.len();
        }
    }
    (left, requests)
}
