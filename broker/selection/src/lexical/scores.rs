//! What a request's words are worth at an agent: BM25, of some fields by themselves and of all as one. A common word stands
//! in a large part of all agents and is worth little; its many entries are looked at only where it could matter.

use super::{FIELDS, Lexical, Posting, Wanted, Word};

/// The measures taken of every agent: description, skills, tags, and all fields as one.
pub(crate) const MEASURES: usize = 4;
/// How soon more of the same word stops counting.
const SATURATION: f32 = 1.2;
/// How much a long field's words count less.
const LENGTH_WEIGHT: f32 = 0.5;

impl Lexical {
    /// Adds to the score of each slot what the request's rare words are worth there.
    pub(crate) fn add_rare(&self, wanted: &Wanted, weights: &[f32; MEASURES], scores: &mut [f32]) {
        let rare = wanted.words.iter().take(wanted.rare);
        self.add_scores(rare, wanted.weight, weights, (scores, f32::NEG_INFINITY));
    }

    /// The most that the request's common words can be worth anywhere; nothing if there are none.
    pub(crate) fn most_common(wanted: &Wanted, weights: &[f32; MEASURES]) -> f32 {
        let all: f32 =
            wanted.words.iter().skip(wanted.rare).map(|(_, _, rarity)| rarity / wanted.weight).sum();
        // A hair more than the sum, lest rounding make it less than it is.
        all * weights.iter().sum::<f32>() * (SATURATION + 1.0) * 1.001
    }

    /// Adds what the common words are worth, where the score is not below a floor.
    pub(crate) fn add_common(
        &self,
        wanted: &Wanted,
        weights: &[f32; MEASURES],
        (scores, floor): (&mut [f32], f32),
    ) {
        let common = wanted.words.iter().skip(wanted.rare);
        self.add_scores(common, wanted.weight, weights, (scores, floor));
    }

    /// Adds what words are worth, as a share of the request's weight: the BM25 of each measure, times its weight.
    fn add_scores<'a>(
        &self,
        words: impl Iterator<Item = &'a Word>,
        all: f32,
        weights: &[f32; MEASURES],
        (scores, floor): (&mut [f32], f32),
    ) {
        let means = self.mean_lengths();
        for (_, term, rarity) in words {
            let Some(postings) = term.and_then(|term| self.postings.get(term as usize)) else { continue };
            let share = rarity / all;
            for posting in postings {
                let slot = posting.slot as usize;
                if let (Some(score), Some(lengths)) = (scores.get_mut(slot), self.lengths.get(slot))
                    && *score >= floor
                {
                    *score += share * bm25(posting, lengths, &means, weights).iter().sum::<f32>();
                }
            }
        }
    }

    /// The measures of one slot, each by itself.
    pub(crate) fn measures(&self, wanted: &Wanted, slot: u32) -> [f32; MEASURES] {
        let means = self.mean_lengths();
        let mut measures = [0.0; MEASURES];
        let Some(lengths) = self.lengths.get(slot as usize) else { return measures };
        for (_, term, rarity) in &wanted.words {
            let Some(postings) = term.and_then(|term| self.postings.get(term as usize)) else { continue };
            let Ok(at) = postings.binary_search_by_key(&slot, |posting| posting.slot) else { continue };
            let Some(posting) = postings.get(at) else { continue };
            for (measure, part) in measures.iter_mut().zip(bm25(posting, lengths, &means, &[1.0; MEASURES])) {
                *measure += rarity / wanted.weight * part;
            }
        }
        measures
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of words")]
    fn mean_lengths(&self) -> [f32; FIELDS] {
        self.totals.map(|total| (total as f32 / self.count.max(1) as f32).max(1.0))
    }
}

/// What one word is worth in each measure of an agent, times its weight, its rarity aside.
fn bm25(
    posting: &Posting,
    lengths: &[u16; FIELDS],
    means: &[f32; FIELDS],
    weights: &[f32; MEASURES],
) -> [f32; MEASURES] {
    let (mut count, mut length, mut mean) = (0.0, 0.0, 0.0);
    let mut parts = [0.0; FIELDS];
    let [description, skills, tags, of_whole] = *weights;
    let of_fields = [0.0, description, skills, tags, 0.0];
    let all = parts.iter_mut().zip(&posting.counts).zip(lengths).zip(means).zip(of_fields);
    for ((((part, &own), &words), &usual), weight) in all {
        length += f32::from(words);
        mean += usual;
        count += f32::from(own);
        if own > 0 && weight != 0.0 {
            *part = weight * saturated(f32::from(own), f32::from(words) / usual);
        }
    }
    let [_, description, skills, tags, _] = parts;
    [description, skills, tags, of_whole * saturated(count, length / mean)]
}

/// How much a word counts that stands so often in a field so many times as long as others.
fn saturated(count: f32, length: f32) -> f32 {
    count * (SATURATION + 1.0) / (count + SATURATION * (1.0 - LENGTH_WEIGHT + LENGTH_WEIGHT * length))
}
