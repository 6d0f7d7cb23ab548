//! Fits the weights: `fit DATA TABLE [MODEL]` reads labelled sets and prints weights for each tier, and what they reach,
//! beside weights fitted without the set scored. Only requests to learn from and the cards' own examples are fitted on.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a program for developers, run by hand"
)]

mod cached;
mod joined;
mod lessons;
mod newton;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use broker_selection::evaluation::{Set, SetReport, evaluate, index_of, teach};
use broker_selection::{COMPLETE, Embedder, FAILED_WEIGHT, FEATURES, SIGNAL_NAMES, SIGNALS, Table, Weights};

use lessons::{Lesson, Lessons, Scope, Sighting};

/// The sets learned from.
const SETS: [&str; 4] = ["clinc150", "plugins", "sealtools", "subagents"];
/// The share of requests that no agent is right for, as confidence expects it.
const STRAY: f64 = 0.08;
/// The share of the others that ask for several things.
const SEVERAL: f64 = 0.3;
/// Outcomes an agent in the learning curve.
const CURVE: [usize; 2] = [0, 14];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let data = PathBuf::from(arguments.next().expect("the folder of labelled sets"));
    let table = std::fs::read(arguments.next().expect("the table's file")).expect("the table can be read");
    let table = Arc::new(Table::parse(&table).expect("a table"));
    let sets: Vec<Set> = SETS.iter().map(|name| read(&data.join(name), name)).collect();
    let mut file = serde_json::Map::new();
    let only = std::env::var("TIER").unwrap_or_default();
    if only != "minilm" {
        let embedder: Arc<dyn Embedder> = table.clone();
        file.insert("static".to_owned(), fit_tier(&sets, &embedder).to_json());
    }
    if let Some(model) = arguments.next() {
        let cached = cached::Cached::open(Path::new(&model));
        let embedder: Arc<dyn Embedder> = cached.clone();
        file.insert("minilm".to_owned(), fit_tier(&sets, &embedder).to_json());
        cached.save();
    }
    let text = serde_json::to_string_pretty(&file).expect("weights are plain numbers");
    if let Ok(out) = std::env::var("OUT") {
        std::fs::write(out, text + "\n").expect("the weights can be written");
    }
}

fn read(folder: &Path, name: &str) -> Set {
    let text = |file: &str| std::fs::read_to_string(folder.join(file)).expect("the set can be read");
    Set::parse(name, &text("agents.jsonl"), &text("requests.jsonl")).expect("a set")
}

fn fit_tier(sets: &[Set], embedder: &Arc<dyn Embedder>) -> Weights {
    let start = Instant::now();
    let lessons: Vec<Lessons> = sets.iter().map(|set| Lessons::of(set, sets, embedder)).collect();
    println!("{} lessons in {:?}", embedder.tier(), start.elapsed());
    let all: Vec<&Lessons> = lessons.iter().collect();
    let shipped = fit(&all);
    println!("{}", serde_json::to_string(&shipped.to_json()).expect("plain numbers"));
    for (at, set) in sets.iter().enumerate() {
        let others: Vec<&Lessons> =
            lessons.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, l)| l).collect();
        let left_out = fit(&others);
        for (kind, top1, top3, loss) in lessons[at].score(&left_out) {
            println!("  lessons of {:10} {kind:8} top1 {top1:.2} top3 {top3:.2} loss {loss:.4}", set.name);
        }
        for (kind, count, error, mean, right) in lessons[at].calibration(&left_out) {
            println!(
                "  confidence of {:10} {kind:8} n {count:4} ece {error:.3} mean {mean:.3} right {right:.3}",
                set.name
            );
        }
        for (name, weights) in [("shipped", &shipped), ("left out", &left_out)] {
            for outcomes in CURVE {
                if outcomes > 0 && !matches!(set.name.as_str(), "clinc150" | "plugins") {
                    continue;
                }
                let mut index = index_of(set, Arc::clone(embedder)).expect("vectors");
                teach(&mut index, set.lessons(), outcomes).expect("vectors");
                let clock = || start.elapsed().as_secs_f64() * 1e6;
                let report = evaluate(set, &index, weights, outcomes, &clock).expect("vectors");
                print(name, embedder.tier(), &report);
            }
        }
    }
    shipped
}

fn fit(lessons: &[&Lessons]) -> Weights {
    let mut weights = Weights::default();
    let choices: Vec<(&Lesson, f64)> = weighed(lessons, |l| &l.choices);
    weights.layer.copy_from_slice(&newton::choice(&choices, FEATURES));
    if let Some(failed) = weights.layer.last_mut() {
        *failed = FAILED_WEIGHT;
    }
    weights.gate.copy_from_slice(&newton::choice(&choices, COMPLETE));
    let right = |name: &str| RIGHT.contains(&name);
    weights.right = judge(lessons, &weights, [STRAY, SEVERAL], &right, Sighting::first);
    let in_scope = |name: &str| !RIGHT_ONLY.contains(&name);
    weights.in_scope = judge(lessons, &weights, [0.5, 0.0], &in_scope, |one, _| one.scope != Scope::Out);
    weights
}

/// Signals that say the same of the first candidate in any set; the others tell sets apart more than right from wrong.
const RIGHT: [&str; 6] = ["pooled_log_odds", "prototype", "name_match", "likeness", "several", "constant"];
/// Signals that say nothing of whether there is a right one at all.
const RIGHT_ONLY: [&str; 4] = ["pooled_log_odds", "name_match", "likeness", "several"];

/// Weights of the signals; in each set the same shares of requests that are out of scope, and, of the others, of those
/// that ask for several things.
fn judge(
    lessons: &[&Lessons],
    weights: &Weights,
    [stray, several]: [f64; 2],
    kept: &dyn Fn(&str) -> bool,
    holds: impl Fn(&Sighting, &Weights) -> bool,
) -> [f32; SIGNALS] {
    let mut seen = Vec::new();
    for one in lessons {
        let sum = |scope: Scope| -> f64 {
            one.sightings.iter().filter(|(s, _)| s.scope == scope).map(|(_, w)| w).sum()
        };
        for (scope, share) in [
            (Scope::Out, stray),
            (Scope::One, (1.0 - stray) * (1.0 - several)),
            (Scope::Several, (1.0 - stray) * several),
        ] {
            let each = share / sum(scope);
            seen.extend(one.sightings.iter().filter(|(s, _)| s.scope == scope && share > 0.0).map(
                |(sighting, weight)| (sighting.signals(weights), holds(sighting, weights), weight * each),
            ));
        }
    }
    newton::logistic(&seen, &SIGNAL_NAMES.map(kept))
}

/// Each set counts the same, however many lessons it has.
fn weighed<'a, T>(
    lessons: &[&'a Lessons],
    of: impl Fn(&'a Lessons) -> &'a Vec<(T, f64)>,
) -> Vec<(&'a T, f64)> {
    let mut all = Vec::new();
    for one in lessons {
        let list = of(one);
        let sum: f64 = list.iter().map(|(_, w)| w).sum();
        all.extend(list.iter().map(|(lesson, w)| (lesson, w / sum)));
    }
    all
}

fn print(weights: &str, tier: &str, r: &SetReport) {
    println!(
        "{tier:7} {weights:9} {:10} k={:2} top1 {:5.2} top3 {:5.2} mrr {:.3} ece {:.3}/{:.3}/{:.3} auroc {} p50 {:.0} p99 {:.0} B {}",
        r.set,
        r.outcomes,
        r.top1,
        r.top3,
        r.mrr,
        r.ece,
        r.ece_in_scope,
        r.ece_softmax,
        r.oos_auroc.map_or("-".into(), |a| format!("{a:.3}")),
        r.p50_us,
        r.p99_us,
        r.bytes_per_agent
    );
}
