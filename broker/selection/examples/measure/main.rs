//! Measures the shipped weights: `measure DATA [WHAT] [MODEL]` prints the report, how well advice tells agreeing samples
//! from conflicting ones, how often the right agent is among the leading, and the growth curve, of the static tier or,
//! with the path of its ONNX file, the quality tier. WHAT is `report`, `advise`, `leading` or `growth`; with `growth` the
//! curve is drawn into the file PLOT names. Times are those of the thread's own work, whatever else the machine does.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a program for developers, run by hand"
)]

mod plot;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use broker_selection::evaluation::metrics::quantile;
use broker_selection::evaluation::{Set, agreement, growth, index_of, report};
use broker_selection::{Embedder, LEADING, Query, Table, Weights};
use rustix::time::{ClockId, clock_gettime};

/// Agents in the growth curve, and at most how many requests.
const SIZES: [usize; 9] = [10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000];
const REQUESTS: usize = 500;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let data = PathBuf::from(arguments.next().expect("the folder of labelled sets"));
    let asked = arguments.next().unwrap_or_default();
    let embedder: Arc<dyn Embedder> = match arguments.next() {
        Some(model) => quality(&model),
        None => Arc::new(Table::shipped().expect("the table shipped")),
    };
    let weights = Weights::shipped(embedder.tier()).expect("the weights shipped");
    let mut sets: Vec<Set> = ["clinc150", "plugins", "sealtools", "subagents"]
        .map(|name| {
            let text = |file: &str| {
                let path = data.join(name).join(file);
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            };
            Set::parse(name, &text("agents.jsonl"), &text("requests.jsonl")).expect("a set")
        })
        .into();
    let is = |what: &str| asked.is_empty() || asked == what;
    if is("report") {
        print!("{}", report(&sets, &embedder, &weights, &[0, 2, 5, 14], &worked).expect("vectors").table());
    }
    for set in sets.iter().filter(|set| is("advise") && set.lessons().count() > 1_000) {
        let index = index_of(set, Arc::clone(&embedder)).expect("vectors");
        let cases = agreement(set, &index, &weights).expect("vectors");
        let at = |values: &[f64]| [0.1, 0.25, 0.5, 0.75, 0.9].map(|share| quantile(values, share));
        let (agreeing, conflicting) = (at(&cases.agreeing), at(&cases.conflicting));
        println!(
            "advise {}: {} cases each, AUROC {:.3}",
            set.name,
            cases.agreeing.len(),
            cases.auroc().unwrap_or_default()
        );
        println!("  quantiles: agreeing {agreeing:.2?} conflicting {conflicting:.2?}");
    }
    for set in sets.iter().filter(|set| is("leading") && set.lessons().next().is_some()) {
        leading(set, &embedder, &weights);
    }
    if is("growth") {
        let own = sets.remove(0);
        let points = growth(&own, &sets, &embedder, &weights, (&SIZES, REQUESTS), &worked).expect("vectors");
        for point in &points {
            println!("{}", serde_json::to_string(&point).expect("numbers"));
        }
        if let Ok(file) = std::env::var("PLOT") {
            let title =
                "clinc150 among ever more other agents: accuracy, and time of one ranking on one core";
            std::fs::write(file, plot::plot(title, &points)).expect("the plot can be written");
        }
    }
}

/// How often the right agent is among the leading, over the requests to learn from.
fn leading(set: &Set, embedder: &Arc<dyn Embedder>, weights: &Weights) {
    let index = index_of(set, Arc::clone(embedder)).expect("vectors");
    let records = BTreeMap::new();
    let (mut all, mut missed) = (0_u32, 0_u32);
    for request in set.lessons().filter(|request| !request.expected.is_empty()) {
        let query = Query { text: &request.text, eligible: &|_| true, records: &records };
        let ranking = index.rank(weights, &query).expect("a vector");
        all += 1;
        missed += u32::from(!ranking.candidates.iter().any(|one| request.expected.contains(&one.agent)));
    }
    println!("leading {}: {missed} of {all} not among the first {LEADING}", set.name);
}

/// Microseconds this thread has worked.
fn worked() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

#[cfg(feature = "minilm")]
fn quality(model: &str) -> Arc<dyn Embedder> {
    let file = std::fs::read(model).expect("the model can be read");
    Arc::new(broker_selection::MiniLm::load(file).expect("the model"))
}

#[cfg(not(feature = "minilm"))]
fn quality(_model: &str) -> Arc<dyn Embedder> {
    panic!("build with the feature minilm")
}
