//! What is compared: a row of numbers for each agent that says how well it goes with a request. The first ones are taken
//! of every agent; a sum of them, the gate, picks the leading few for which the dearer ones are taken as well. Each is a
//! function of request, agent and registry alone, so the order of agents cannot matter.

use crate::embedding::Quantised;
use crate::geometry::Placed;
use crate::index::{Entry, Index};
use crate::layer::Weights;
use crate::leading::lead;
use crate::lexical::{MEASURES, Wanted};
use crate::rivals;
use crate::text::sentences;

/// How many features there are.
pub const FEATURES: usize = 16;
/// How many of them are taken of every agent.
pub const COMPLETE: usize = MEASURES + 2;
/// Their names, in order; the weights file names them too.
pub const NAMES: [&str; FEATURES] = [
    "description_words",
    "skill_words",
    "tag_words",
    "whole_words",
    "prototype",
    "head",
    "skill",
    "covered_words",
    "name_match",
    "bare_covered",
    "bare_name",
    "claim",
    "taught_claim",
    "learned",
    "has_examples",
    "failed_before",
];

/// The weight of `failed_before`, the same everywhere: the labelled sets have no failures to fit it on.
pub const FAILED_WEIGHT: f32 = -6.0;

/// The features of one agent.
pub type Row = [f32; FEATURES];

/// One agent looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// Its place in the index.
    pub(crate) slot: u32,
    /// Its id.
    pub id: String,
    /// Its features.
    pub features: Row,
}

/// All that one look at the index gives.
#[derive(Debug, Clone, Default)]
pub struct Examination {
    /// The leading agents by the gate, the best first.
    pub leading: Vec<Examined>,
    /// The words of the request.
    pub(crate) wanted: Wanted,
    /// The request's vector.
    pub vector: Vec<f32>,
    /// Share of the weight of the request's words that some card has.
    pub coverage: f32,
    /// Words in the request.
    pub words: usize,
    /// Mean and standard deviation over all agents of what the vectors give to the gate.
    pub(crate) level: [f32; 2],
    /// What confidence looks at in each of the leading.
    pub(crate) seen: Vec<Seen>,
    /// The cards of the leading, to be compared with each other.
    pub(crate) cards: Vec<Placed>,
    /// How much of the request all samples explain together.
    pub(crate) explained: f32,
    /// Sentences in the request.
    pub(crate) sentences: usize,
}

/// What confidence looks at in one agent: its nearness as such, not compared with others.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Cosine with the prototype.
    pub(crate) prototype: f32,
    /// Cosine with the nearest sample.
    pub(crate) sample: f32,
    /// The same without what all agents share.
    pub(crate) centred_sample: f32,
    /// How much the prototype's is above what is usual for the agent's own samples.
    pub(crate) above_usual: f32,
    /// What the vectors give to the gate.
    pub(crate) gate: f32,
    /// Its share of the request among all samples.
    pub(crate) share: f32,
}

impl Examination {
    /// The place of the best by the layer; ties by id.
    pub(crate) fn best(&self, weights: &Weights) -> Option<usize> {
        let scored =
            self.leading.iter().enumerate().map(|(at, one)| (at, weights.score(&one.features), &one.id));
        scored.max_by(|a, b| a.1.total_cmp(&b.1).then(b.2.cmp(a.2))).map(|(at, ..)| at)
    }

    /// The id of the best by the layer.
    pub fn first(&self, weights: &Weights) -> Option<&str> {
        self.leading.get(self.best(weights)?).map(|one| one.id.as_str())
    }
}

/// A request's vectors.
struct Directions {
    whole: Quantised,
    centred: Quantised,
    head: Quantised,
    maturity: f32,
}

/// Looks at all agents for which `eligible` holds.
pub(crate) fn examine(
    index: &Index,
    weights: &Weights,
    request: &str,
    vector: Vec<f32>,
    eligible: &dyn Fn(&str) -> bool,
) -> Examination {
    let geometry = index.geometry();
    let centred = geometry.centred(&vector);
    let head = geometry.head(&centred);
    let wanted = index.lexical.wanted(request);
    let [of_words @ .., of_prototype, of_head] = weights.gate;
    // One walk through memory: the gate weighs both directions at once.
    let gate: Vec<f32> = centred.iter().zip(&head).map(|(c, h)| of_prototype * c + of_head * h).collect();
    let gate = Quantised::new(&gate);
    let mut scores = index.prototypes.products(&gate);
    let level = level(index.taken().filter_map(|slot| scores.get(slot as usize).copied()));
    let slots = lead(index, &wanted, &of_words, &mut scores, eligible);
    let of = Directions {
        whole: Quantised::new(&vector),
        centred: Quantised::new(&centred),
        head: Quantised::new(&head),
        maturity: index.maturity(),
    };
    let entries: Vec<Option<&Entry>> = slots.iter().map(|&slot| index.entry(slot)).collect();
    let shares = rivals::shares(&entries, &of.centred, geometry);
    let explained = shares.iter().sum();
    let mut seen = Vec::with_capacity(slots.len());
    let mut leading = Vec::with_capacity(slots.len());
    let mut cards = Vec::with_capacity(slots.len());
    for ((&slot, entry), share) in slots.iter().zip(&entries).zip(shares) {
        let Some(entry) = entry else { continue };
        let (features, looks) = features(index, &of, &wanted, (slot, entry, share));
        seen.push(Seen { gate: index.prototypes.product(slot, &gate), ..looks });
        cards.push(geometry.placed(&entry.card));
        leading.push(Examined { slot, id: entry.id.clone(), features });
    }
    let (coverage, words) = (wanted.coverage, wanted.count());
    let sentences = sentences(request);
    Examination { leading, wanted, vector, coverage, words, level, seen, cards, explained, sentences }
}

fn features(
    index: &Index,
    of: &Directions,
    wanted: &Wanted,
    (slot, entry, share): (u32, &Entry, f32),
) -> (Row, Seen) {
    let [description, skills, tags, whole] = index.lexical.measures(wanted, slot);
    let with = |vector: &Quantised| index.prototypes.product(slot, vector);
    let card = entry.card.dot(&of.centred);
    let skill = entry.skills.iter().map(|skill| skill.dot(&of.centred)).fold(card, f32::max);
    let near: Vec<f32> = entry.samples().map(|sample| sample.dot(&of.centred)).collect();
    let known = near.get(..entry.examples.len()).unwrap_or_default();
    let best = |near: &[f32]| near.iter().copied().max_by(f32::total_cmp);
    let best_sample = best(&near).unwrap_or(card);
    let gained = (best_sample - best(known).unwrap_or(card)).max(0.0);
    let failed = entry.learned.bad().map(|request| request.dot(&of.centred)).fold(0.0, f32::max);
    let failed = (failed - best_sample.max(0.0) + FAILED_MARGIN).clamp(0.0, 1.0);
    let name_match = index.lexical.name_match(wanted, slot);
    let covered = index.lexical.matching(wanted, slot).iter().map(|(_, share)| share).sum();
    let has_examples = !entry.examples.is_empty();
    let bare = |value: f32| if has_examples { 0.0 } else { value };
    let row = [
        description,
        skills,
        tags,
        whole,
        with(&of.centred),
        with(&of.head),
        skill,
        covered,
        name_match,
        bare(covered),
        bare(name_match),
        claim(share),
        of.maturity * claim(share),
        gained,
        if has_examples { 1.0 } else { 0.0 },
        if entry.learned.bad().next().is_some() { failed } else { 0.0 },
    ];
    let prototype = with(&of.whole);
    let seen = Seen {
        prototype,
        sample: entry.samples().map(|sample| sample.dot(&of.whole)).fold(prototype, f32::max),
        centred_sample: best_sample,
        above_usual: prototype - entry.cohesion(),
        gate: 0.0,
        share,
    };
    (row, seen)
}

/// How much nearer than the nearest good sample a request must be to a failed one to count, less than nothing: at the
/// same distance it counts a little.
const FAILED_MARGIN: f32 = 0.1;

/// A share of the request as evidence: that there is any matters more than how large it is.
fn claim(share: f32) -> f32 {
    (1.0 + share.max(0.0) / SMALL_SHARE).ln()
}

/// The share from which more counts less.
const SMALL_SHARE: f32 = 0.05;

/// Mean and standard deviation of scores. Summed as whole numbers, so that their order does not matter.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "scores of a few dozens at most"
)]
fn level(scores: impl Iterator<Item = f32>) -> [f32; 2] {
    let (mut count, mut sum, mut squares) = (0_i64, 0_i64, 0_i64);
    for score in scores {
        let steps = (score * LEVEL_STEPS) as i64;
        count += 1;
        sum += steps;
        squares += steps * steps;
    }
    let (count, steps) = (count.max(1) as f64, f64::from(LEVEL_STEPS));
    let mean = sum as f64 / count;
    let spread = (squares as f64 / count - mean * mean).max(0.0).sqrt();
    [(mean / steps) as f32, (spread / steps) as f32]
}

/// Steps in which scores are summed.
const LEVEL_STEPS: f32 = 4_096.0;
