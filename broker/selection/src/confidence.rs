//! How far to trust a ranking: what is seen of the whole list, put into two logistic sums. One is the probability that
//! the first candidate is right, the other that any candidate is: below a threshold of the one it is better to ask, of
//! the other to refuse.

use crate::features::{Examination, FEATURES};
use crate::layer::{Weights, softmax, weighed};

/// How many signals there are, the constant included.
pub const SIGNALS: usize = 18;

/// Their names, in order.
pub const SIGNAL_NAMES: [&str; SIGNALS] = [
    "first_log_odds",
    "lead",
    "certainty",
    "prototype",
    "raw_prototype",
    "raw_sample",
    "above_usual",
    "best_sample",
    "stands_out",
    "coverage",
    "covered_words",
    "length",
    "bare",
    "share",
    "share_lead",
    "explained",
    "relative_lead",
    "constant",
];

/// Odds beyond which more certainty is not believed, as a logarithm.
const MAX_LOG_ODDS: f32 = 8.0;
/// Words beyond which a request is simply long.
const LONG: f32 = 40.0;

/// What the confidence in an examination is made of, records of past work aside.
pub fn confidence_signals(weights: &Weights, examination: &Examination) -> [f32; SIGNALS] {
    let scores: Vec<f32> = examination.leading.iter().map(|one| weights.score(&one.features)).collect();
    signals(examination, &scores, examination.best(weights).unwrap_or_default())
}

/// What is seen of a ranking as a whole. `scores` are those of the leading, in their order; `best` is the place of the
/// best among them.
fn signals(examination: &Examination, scores: &[f32], best: usize) -> [f32; SIGNALS] {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let shares = softmax(&sorted);
    let share = shares.first().copied().unwrap_or_default().clamp(1e-6, 1.0 - 1e-6);
    let first = sorted.first().copied().unwrap_or_default();
    let second = sorted.get(1).copied().unwrap_or(first - MAX_LOG_ODDS);
    let entropy: f32 = shares.iter().filter(|share| **share > 0.0).map(|share| -share * share.ln()).sum();
    let features = examination.leading.get(best).map(|examined| examined.features).unwrap_or_default();
    let [_, _, _, _, prototype, _, _, covered, ..] = features;
    let bare = if features.get(FEATURES - 2).is_some_and(|has| *has > 0.0) { 0.0 } else { 1.0 };
    let seen = examination.seen.get(best).copied().unwrap_or_default();
    let own_share = seen.share;
    let rivals = examination.seen.iter().enumerate().filter(|(at, _)| *at != best);
    let rival = rivals.map(|(_, one)| one.share).fold(0.0, f32::max);
    let [mean, spread] = examination.level;
    #[expect(clippy::cast_precision_loss, reason = "a number of words")]
    let words = (examination.words as f32).min(LONG);
    let tenth = sorted.get(9).or(sorted.last()).copied().unwrap_or(first);
    [
        (share / (1.0 - share)).ln().clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS),
        (first - second).min(MAX_LOG_ODDS),
        (-entropy).exp(),
        prototype,
        seen.prototype,
        seen.sample,
        seen.above_usual,
        seen.centred_sample,
        if spread > 0.0 { (seen.gate - mean) / spread } else { 0.0 },
        examination.coverage,
        covered,
        (1.0 + words).ln(),
        bare,
        own_share,
        own_share - rival,
        examination.explained,
        (first - second) / (first - tenth).max(1e-3),
        1.0,
    ]
}

/// The probabilities that the first is right, and that any is.
pub(crate) fn probabilities(weights: &Weights, signals: &[f32; SIGNALS]) -> (f32, f32) {
    (logistic(weighed(&weights.right, signals)), logistic(weighed(&weights.in_scope, signals)))
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl Default for Weights {
    /// Weights that sum everything, for a first fit.
    fn default() -> Self {
        Self { gate: [1.0; _], layer: [1.0; _], right: [0.0; _], in_scope: [0.0; _] }
    }
}
