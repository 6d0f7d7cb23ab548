//! Measures the shipped static tier: `measure DATA` prints the report, the growth curve and how well advice tells
//! agreeing samples from conflicting ones.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for developers, run by hand"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use broker_selection::evaluation::metrics::quantile;
use broker_selection::evaluation::{Set, agreement, growth, index_of, report};
use broker_selection::{Embedder, Table, Weights};

fn main() {
    let data = PathBuf::from(std::env::args().nth(1).expect("the folder of labelled sets"));
    let embedder: Arc<dyn Embedder> = Arc::new(Table::shipped().expect("the table shipped"));
    let weights = Weights::shipped("static").expect("the weights shipped");
    let mut sets: Vec<Set> = ["clinc150", "plugins", "sealtools", "subagents"]
        .map(|name| {
            let text = |file: &str| {
                let path = data.join(name).join(file);
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            };
            Set::parse(name, &text("agents.jsonl"), &text("requests.jsonl")).expect("a set")
        })
        .into();
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64() * 1e6;
    let asked = std::env::args().nth(2).unwrap_or_default();
    if asked.is_empty() || asked == "report" {
        print!("{}", report(&sets, &embedder, &weights, &[0, 2, 5, 14], &clock).expect("vectors").table());
    }
    if asked.is_empty() || asked == "advise" {
        for set in sets.iter().filter(|set| set.lessons().count() > 1_000) {
            let index = index_of(set, Arc::clone(&embedder)).expect("vectors");
            let cases = agreement(set, &index, &weights).expect("vectors");
            let at = |values: &[f64]| [0.1, 0.25, 0.5, 0.75, 0.9].map(|share| quantile(values, share));
            println!("advise {}: AUROC {:.3}", set.name, cases.auroc().unwrap_or_default());
            println!("  agreeing {:.2?} conflicting {:.2?}", at(&cases.agreeing), at(&cases.conflicting));
        }
    }
    if asked.is_empty() || asked == "growth" {
        let own = sets.remove(0);
        let sizes = [10, 30, 100, 150, 300, 1_000, 3_000, 10_000, 30_000, 100_000];
        for point in growth(&own, &sets, &embedder, &weights, (&sizes, 500), &clock).expect("vectors") {
            println!("{}", serde_json::to_string(&point).expect("numbers"));
        }
    }
}
