//! What is compared: a row of numbers for each agent that says how well it goes with a request. The first ones are taken
//! of every agent; a sum of them, the gate, picks the leading few for which the dearer ones are taken as well. Each is a
//! function of request, agent and registry alone, so the order of agents cannot matter.

use crate::embedding::Quantised;
use crate::index::Index;
use crate::layer::Weights;
use crate::lexical::Wanted;

/// How many features there are.
pub const FEATURES: usize = 26;
/// How many of them are taken of every agent.
pub const COMPLETE: usize = 8;
/// How many agents all features are taken of. The right agent is not among them in fewer than one request in a hundred.
pub const LEADING: usize = 64;

/// Their names, in order; the weights file names them too.
pub const NAMES: [&str; FEATURES] = [
    "name_words",
    "description_words",
    "skill_words",
    "tag_words",
    "example_words",
    "whole_words",
    "prototype",
    "head",
    "card",
    "skill",
    "best_sample",
    "neighbours",
    "example_overlap",
    "sharp_head",
    "name_match",
    "rarest_word",
    "covered_words",
    "bare_words",
    "bare_covered",
    "bare_name",
    "bare_head",
    "taught_head",
    "taught_neighbours",
    "learned",
    "has_examples",
    "failed_before",
];

/// The weight of `failed_before`, the same everywhere: the labelled sets have no failures to fit it on.
pub const FAILED_WEIGHT: f32 = -6.0;

/// How sharply near samples count more than far ones among the neighbours.
const NEARNESS: f32 = 12.0;

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
    /// The gate's score.
    pub(crate) gate: f32,
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
    /// Mean and standard deviation of the gate's score over all agents.
    pub(crate) level: [f32; 2],
    /// The raw cosines of each of the leading: with the prototype, with the nearest sample, and how much the former is
    /// above what is usual for the agent's own samples.
    pub(crate) raw: Vec<[f32; 3]>,
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
    centred: Quantised,
    head: Quantised,
    sharp: Quantised,
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
    let (centred, head) = (geometry.centred(&vector), geometry.head(&vector));
    let wanted = index.lexical.wanted(request);
    // One walk through memory: the gate weighs both directions at once.
    let [of_fields @ .., of_prototype, of_head] = weights.gate;
    let gate: Vec<f32> = centred.iter().zip(&head).map(|(c, h)| of_prototype * c + of_head * h).collect();
    let mut scores = index.prototypes.products(&Quantised::new(&gate));
    index.lexical.add_scores(&wanted, &of_fields, &mut scores);
    let agents: Vec<(f32, u32)> =
        index.taken().map(|slot| (scores.get(slot as usize).copied().unwrap_or_default(), slot)).collect();
    let level = level(agents.iter().map(|(score, _)| *score));
    let ranked = lead(index, agents, eligible);
    let directions = Directions {
        centred: Quantised::new(&centred),
        head: Quantised::new(&head),
        sharp: Quantised::new(&geometry.sharp_head(&vector)),
        maturity: index.maturity(),
    };
    let whole = Quantised::new(&vector);
    let raw = ranked.iter().map(|&(_, _, slot)| raw_cosines(index, slot, &whole)).collect();
    let leading = ranked
        .into_iter()
        .map(|(gate, id, slot)| Examined {
            gate,
            slot,
            id: id.to_owned(),
            features: all_features(index, &directions, &wanted, slot),
        })
        .collect();
    Examination { leading, coverage: wanted.coverage, words: wanted.words.len(), wanted, vector, level, raw }
}

/// The eligible agents with the highest scores, ties by id. Only as many are asked about as it takes.
fn lead<'a>(
    index: &'a Index,
    mut agents: Vec<(f32, u32)>,
    eligible: &dyn Fn(&str) -> bool,
) -> Vec<(f32, &'a str, u32)> {
    let id = |slot: u32| index.entry(slot).map_or("", |entry| entry.id.as_str());
    let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then_with(|| id(a.1).cmp(id(b.1)));
    let mut leading: Vec<(f32, &str, u32)> = Vec::new();
    let mut rest = agents.as_mut_slice();
    let mut batch = 2 * LEADING;
    while !rest.is_empty() && leading.len() < LEADING {
        let count = batch.min(rest.len());
        if count < rest.len() {
            rest.select_nth_unstable_by(count, order);
        }
        let (first, behind) = rest.split_at_mut(count);
        first.sort_unstable_by(order);
        let may =
            first.iter().map(|&(score, slot)| (score, id(slot), slot)).filter(|(_, id, _)| eligible(id));
        leading.extend(may.take(LEADING - leading.len()));
        rest = behind;
        batch *= 4;
    }
    leading
}

fn raw_cosines(index: &Index, slot: u32, vector: &Quantised) -> [f32; 3] {
    let Some(entry) = index.entry(slot) else { return [0.0; 3] };
    let prototype = index.prototypes.product(slot, vector);
    let best = entry.samples().map(|sample| sample.dot(vector)).fold(prototype, f32::max);
    [prototype, best, prototype - entry.cohesion()]
}

fn all_features(index: &Index, of: &Directions, wanted: &Wanted, slot: u32) -> Row {
    let [name, description, skills, tags, examples, whole] = index.lexical.fields(wanted, slot);
    let (prototype, head) =
        (index.prototypes.product(slot, &of.centred), index.prototypes.product(slot, &of.head));
    let Some(entry) = index.entry(slot) else { return [0.0; FEATURES] };
    let card = entry.card.dot(&of.centred);
    let skill = entry.skills.iter().map(|skill| skill.dot(&of.centred)).fold(card, f32::max);
    let near: Vec<f32> = entry.samples().map(|sample| sample.dot(&of.centred)).collect();
    let known = near.get(..entry.examples.len()).unwrap_or_default();
    let best = |near: &[f32]| near.iter().copied().max_by(f32::total_cmp);
    let best_sample = best(&near).unwrap_or(card);
    let gained = (best_sample - best(known).unwrap_or(card)).max(0.0);
    let failed = entry.learned.bad().map(|request| request.dot(&of.centred)).fold(0.0, f32::max);
    let failed = (failed - best_sample.max(0.0) + FAILED_MARGIN).clamp(0.0, 1.0);
    let matching = index.lexical.matching(wanted, slot);
    let sharp = index.prototypes.product(slot, &of.sharp);
    let neighbours = neighbours(&near, card);
    let name_match = index.lexical.name_match(wanted, slot);
    let covered = matching.iter().map(|(_, share)| share).sum();
    let bare = |value: f32| if entry.has_examples() { 0.0 } else { value };
    [
        name,
        description,
        skills,
        tags,
        examples,
        whole,
        prototype,
        head,
        card,
        skill,
        best_sample,
        neighbours,
        index.lexical.overlap(wanted, slot),
        sharp,
        name_match,
        matching.first().map_or(0.0, |(_, share)| *share),
        covered,
        bare(whole),
        bare(covered),
        bare(name_match),
        bare(head),
        of.maturity * sharp,
        of.maturity * neighbours,
        gained,
        if entry.has_examples() { 1.0 } else { 0.0 },
        if entry.learned.bad().next().is_some() { failed } else { 0.0 },
    ]
}

/// How much nearer than the nearest good sample a request must be to a failed one to count, less than nothing: at the
/// same distance it counts a little.
const FAILED_MARGIN: f32 = 0.1;

/// A soft maximum over samples: several near ones count more than one.
#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
fn neighbours(near: &[f32], card: f32) -> f32 {
    if near.is_empty() {
        return card;
    }
    let mean = near.iter().map(|x| (NEARNESS * x).exp()).sum::<f32>() / near.len() as f32;
    mean.ln() / NEARNESS
}

/// Mean and standard deviation of scores. Summed as whole numbers, so that their order does not matter.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "scores of a few dozens at most"
)]
fn level(scores: impl Iterator<Item = f32>) -> [f32; 2] {
    let (mut count, mut sum, mut squares) = (0_i64, 0_i64, 0_i128);
    for score in scores {
        let steps = (score * LEVEL_STEPS) as i64;
        count += 1;
        sum += steps;
        squares += i128::from(steps) * i128::from(steps);
    }
    let (count, steps) = (count.max(1) as f64, f64::from(LEVEL_STEPS));
    let mean = sum as f64 / count;
    let spread = (squares as f64 / count - mean * mean).max(0.0).sqrt();
    [(mean / steps) as f32, (spread / steps) as f32]
}

/// Steps in which scores are summed.
const LEVEL_STEPS: f32 = 65_536.0;
