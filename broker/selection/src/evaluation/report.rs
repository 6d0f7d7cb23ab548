//! The run over several sets as one value, as JSON and as a text table with known baselines beside it.

use std::fmt::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::runner::{SetReport, evaluate, index_of, teach};
use super::sets::Set;
use crate::embedding::{EmbedError, Embedder};
use crate::layer::Weights;

/// What known ways reach on known sets (Top-1/Top-3 in percent), as the data's README reports them.
const BASELINES: [(&str, [&str; 4]); 4] = [
    ("clinc150", ["73/87", "79/93", "86/97", "92/98"]),
    ("plugins", ["64/78", "69/83", "74/86", "80/92"]),
    ("sealtools", ["93/98", "94/99", "84/94", "–"]),
    ("subagents", ["37/56", "40/62", "34/59", "–"]),
];
/// What the baselines are.
const WAYS: [&str; 4] = ["BM25", "static+BM25", "MiniLM", "MiniLM+outcomes"];

/// A whole evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The tier.
    pub tier: String,
    /// One entry a set and number of outcomes.
    pub sets: Vec<SetReport>,
}

/// Evaluates all sets, each after as many outcomes an agent as `outcomes` says, one run for each. `clock` gives
/// microseconds.
pub fn report(
    sets: &[Set],
    embedder: &Arc<dyn Embedder>,
    weights: &Weights,
    outcomes: &[usize],
    clock: &dyn Fn() -> f64,
) -> Result<Report, EmbedError> {
    let mut report = Report { tier: embedder.tier().to_owned(), sets: Vec::new() };
    for set in sets {
        for &most in outcomes {
            if most > 0 && set.lessons().next().is_none() {
                continue;
            }
            let mut index = index_of(set, Arc::clone(embedder))?;
            teach(&mut index, set.lessons(), most)?;
            report.sets.push(evaluate(set, &index, weights, most, clock)?);
        }
    }
    Ok(report)
}

impl Report {
    /// The report as lines of text.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<12}{:>8}{:>9}{:>8}{:>8}{:>7}{:>7}{:>8}{:>8}{:>10}{:>10}{:>9}",
            "set",
            "agents",
            "outcomes",
            "top-1",
            "top-3",
            "MRR",
            "ECE",
            "chance",
            "AUROC",
            "p50 µs",
            "p99 µs",
            "B/agent"
        );
        for way in WAYS {
            let _ = write!(text, "{way:>17}");
        }
        text.push('\n');
        for set in &self.sets {
            let auroc = set.oos_auroc.map_or_else(|| "–".to_owned(), |auroc| format!("{auroc:.3}"));
            let _ = write!(
                text,
                "{:<12}{:>8}{:>9}{:>8.1}{:>8.1}{:>7.3}{:>7.3}{:>8.3}{:>8}{:>10.0}{:>10.0}{:>9}",
                set.set,
                set.agents,
                set.outcomes,
                set.top1,
                set.top3,
                set.mrr,
                set.ece,
                set.ece_by_chance,
                auroc,
                set.p50_us,
                set.p99_us,
                set.bytes_per_agent
            );
            let known = BASELINES.iter().find(|(name, _)| *name == set.set);
            for value in known.map_or(["–"; 4], |(_, values)| *values) {
                let _ = write!(text, "{value:>17}");
            }
            text.push('\n');
        }
        text
    }
}
