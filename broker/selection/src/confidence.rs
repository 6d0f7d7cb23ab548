//! How far to trust a ranking: what is seen of the whole list, put into two logistic sums. One is the probability that
//! the first candidate is a right one, the other that any candidate is: below a threshold of the one it is better to
//! ask, of the other to refuse. Several may be right at once: agents whose cards say the same, or one agent for each of
//! several things asked. That the first has to share the softmax with those says nothing against it, so the confidence
//! looks at who its rivals are.

use crate::features::{Examination, FEATURES};
use crate::layer::{Weights, softmax, weighed};

/// How many signals there are, the constant included.
pub const SIGNALS: usize = 22;

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
    "pooled_log_odds",
    "name_match",
    "likeness",
    "several",
    "constant",
];

/// Odds beyond which more certainty is not believed, as a logarithm.
const MAX_LOG_ODDS: f32 = 8.0;
/// How like a card must be to the first one's to be taken for the same: a request for one is one for the other.
const SAME: f32 = 0.85;
/// How many of the best are looked at for how like the first they are.
const RIVALS: usize = 8;
/// Words beyond which a request is simply long.
const LONG: f32 = 40.0;

/// What the confidence in an examination is made of, records of past work aside.
pub fn confidence_signals(weights: &Weights, examination: &Examination) -> [f32; SIGNALS] {
    let scores: Vec<f32> = examination.leading.iter().map(|one| weights.score(&one.features)).collect();
    signals(examination, &scores)
}

/// How the first candidate's rivals are to it.
struct Rivalry {
    /// The share of the first and of all whose cards are as good as the same.
    pooled: f32,
    /// How like the first the others of the best few are, each counting by its share: rivals that are like it compete for one thing,
    /// rivals that are not may each be right about another.
    likeness: f32,
}

fn rivalry(examination: &Examination, order: &[usize], shares: &[f32]) -> Rivalry {
    let card = |at: &usize| examination.cards.get(*at);
    let first = order.first().and_then(card);
    let (mut pooled, mut alike, mut all) = (shares.first().copied().unwrap_or_default(), 0.0, 0.0);
    for (place, (at, share)) in order.iter().zip(shares).enumerate().skip(1) {
        let likeness = first.zip(card(at)).map_or(0.0, |(first, other)| first.cosine(other));
        if likeness >= SAME {
            pooled += share;
        } else if place < RIVALS {
            alike += share * likeness;
            all += share;
        }
    }
    Rivalry { pooled, likeness: if all > 0.0 { alike / all } else { 1.0 } }
}

fn log_odds(share: f32) -> f32 {
    let share = share.clamp(1e-6, 1.0 - 1e-6);
    (share / (1.0 - share)).ln().clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)
}

/// What is seen of a ranking as a whole. `scores` are those of the leading, in their order.
fn signals(examination: &Examination, scores: &[f32]) -> [f32; SIGNALS] {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let score = |at: usize| scores.get(at).copied().unwrap_or_default();
    let id = |at: usize| examination.leading.get(at).map(|one| one.id.as_str());
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then_with(|| id(a).cmp(&id(b))));
    let sorted: Vec<f32> = order.iter().map(|&at| score(at)).collect();
    let shares = softmax(&sorted);
    let share = shares.first().copied().unwrap_or_default();
    let rivalry = rivalry(examination, &order, &shares);
    let first = sorted.first().copied().unwrap_or_default();
    let second = sorted.get(1).copied().unwrap_or(first - MAX_LOG_ODDS);
    let entropy: f32 = shares.iter().filter(|share| **share > 0.0).map(|share| -share * share.ln()).sum();
    let best = order.first().copied().unwrap_or_default();
    let features = examination.leading.get(best).map(|examined| examined.features).unwrap_or_default();
    let [_, _, _, _, prototype, _, _, covered, name_match, ..] = features;
    let bare = if features.get(FEATURES - 2).is_some_and(|has| *has > 0.0) { 0.0 } else { 1.0 };
    let seen = examination.seen.get(best).copied().unwrap_or_default();
    let own_share = seen.share;
    let rivals = examination.seen.iter().enumerate().filter(|(at, _)| *at != best);
    let rival = rivals.map(|(_, one)| one.share).fold(0.0, f32::max);
    let [mean, spread] = examination.level;
    #[expect(clippy::cast_precision_loss, reason = "a number of words")]
    let words = (examination.words as f32).min(LONG);
    #[expect(clippy::cast_precision_loss, reason = "a number of sentences")]
    let more = (examination.sentences.max(1) as f32).min(LONG).ln();
    let tenth = sorted.get(9).or(sorted.last()).copied().unwrap_or(first);
    [
        log_odds(share),
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
        log_odds(rivalry.pooled),
        name_match,
        rivalry.likeness,
        more * (1.0 - rivalry.likeness),
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
