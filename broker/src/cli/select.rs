//! `bailiwick select` and `bailiwick advise`: whom a request is for, and whether to delegate at all. `select --eval` measures
//! the ranker on labelled sets and asks no broker.

use std::path::{Path, PathBuf};
use std::time::Instant;

use broker_selection::evaluation::{Set, report};
use broker_selection::{Embedder, Weights};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::commands::Session;
use super::print;
use crate::config::{SelectionConfig, Tier};
use crate::ranking;

/// Files of a labelled set.
const FILES: [&str; 2] = ["agents.jsonl", "requests.jsonl"];
/// Outcomes an agent that are learned from first, one run for each, where a learning curve is asked for.
const OUTCOMES: [usize; 6] = [0, 1, 2, 4, 8, 16];
const MICROS_PER_SECOND: f64 = 1_000_000.0;

#[derive(Debug, Args)]
pub(super) struct Select {
    /// What is to be done; `-` reads it from standard input.
    #[arg(required_unless_present = "eval", conflicts_with = "eval")]
    text: Option<String>,
    /// Say what each score is made of.
    #[arg(long)]
    explain: bool,
    /// Measure the ranker on a folder of labelled sets (each sub-folder with agents.jsonl and requests.jsonl).
    #[arg(long, value_name = "FOLDER")]
    eval: Option<PathBuf>,
    /// Which vectors: the table that is part of the program, or a MiniLM model.
    #[arg(long, value_enum, default_value_t = Tier::Static, requires = "eval")]
    tier: Tier,
    /// File of the model (ONNX, int8) for `--tier minilm`.
    #[arg(long, value_name = "FILE", requires = "eval")]
    model: Option<PathBuf>,
    /// Also how it gets better with outcomes: a learning curve.
    #[arg(long, requires = "eval")]
    outcomes: bool,
}

#[derive(Debug, Args)]
pub(super) struct Advise {
    /// What is to be achieved, and what is known so far.
    #[arg(long)]
    goal: String,
    /// Next steps that were sampled; with its mean log-probability as `-0.42=text`, behind `--`.
    #[arg(required = true, num_args = 1.., value_name = "SAMPLE")]
    samples: Vec<String>,
}

pub(super) async fn select(session: &Session, arguments: Select) -> Result<(), String> {
    if let Some(folder) = &arguments.eval {
        return evaluate(session, folder, &arguments);
    }
    let text = super::commands::read_text(arguments.text.unwrap_or_default())?;
    let selected = session.broker.api(Method::POST, "/api/v1/select", Some(json!({ "text": text }))).await?;
    session.show(&selected, || print::selected(&selected, arguments.explain))
}

pub(super) async fn advise(session: &Session, arguments: Advise) -> Result<(), String> {
    let samples: Vec<Value> = arguments.samples.iter().map(|sample| read_sample(sample)).collect();
    let wanted = json!({ "goal": arguments.goal, "samples": samples });
    let advice = session.broker.api(Method::POST, "/api/v1/advise", Some(wanted)).await?;
    session.show(&advice, || print::advice(&advice))
}

fn read_sample(sample: &str) -> Value {
    let weighted =
        sample.split_once('=').and_then(|(number, text)| Some((number.parse::<f32>().ok()?, text)));
    match weighted {
        Some((logprob, text)) => json!({ "text": text, "mean_logprob": logprob }),
        None => json!({ "text": sample }),
    }
}

fn evaluate(session: &Session, folder: &Path, arguments: &Select) -> Result<(), String> {
    let config = SelectionConfig {
        tier: arguments.tier,
        model: arguments.model.clone().unwrap_or_default(),
        ..SelectionConfig::default()
    };
    let (embedder, weights): (std::sync::Arc<dyn Embedder>, Weights) = ranking::of(&config)?;
    let sets = read_sets(folder)?;
    let begun = Instant::now();
    let clock = || begun.elapsed().as_secs_f64() * MICROS_PER_SECOND;
    let runs: &[usize] = if arguments.outcomes { &OUTCOMES } else { &[0] };
    let found = report(&sets, &embedder, &weights, runs, &clock).map_err(|failure| failure.to_string())?;
    session.show(&found, || found.table())
}

fn read_sets(folder: &Path) -> Result<Vec<Set>, String> {
    let unreadable = |path: &Path, error: &std::io::Error| {
        format!(
            "{}: {error}; expected a folder with one sub-folder a set, each with {}",
            path.display(),
            FILES.join(" and ")
        )
    };
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut folders: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    if folders.is_empty() {
        return Err(format!("{} has no sub-folder; expected one a set", folder.display()));
    }
    let set = |path: PathBuf| {
        let read = |file: &str| {
            let path = path.join(file);
            std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let [agents, requests] = FILES;
        Set::parse(&name, &read(agents)?, &read(requests)?).map_err(|error| error.to_string())
    };
    folders.into_iter().map(set).collect()
}
