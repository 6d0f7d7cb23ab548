//! Who leads: the agents worth a closer look, found among all of them by the gate, which adds words to vectors.

use crate::index::Index;
use crate::lexical::{Lexical, MEASURES, Wanted};

/// How many agents all features are taken of. Of the labelled sets' requests to learn from, the right agent is not among
/// them in 2 of 100 of plugins, 2 of 1,000 of clinc150 and none of sealtools (`examples/measure`, `leading`).
pub const LEADING: usize = 64;

/// The eligible agents with the highest scores by the gate, ties by id. Exact, though common words are not looked up
/// everywhere: an agent whose score without them is further below the last of the leading than they can be worth at
/// most cannot get before it.
pub(crate) fn lead(
    index: &Index,
    wanted: &Wanted,
    weights: &[f32; MEASURES],
    scores: &mut [f32],
    eligible: &dyn Fn(&str) -> bool,
) -> Vec<u32> {
    index.lexical.add_rare(wanted, weights, scores);
    let most = Lexical::most_common(wanted, weights);
    let mut found = highest(index, scores, f32::NEG_INFINITY, eligible);
    if most > 0.0 {
        let last = found.last().filter(|_| found.len() == LEADING);
        let floor = last.map_or(f32::NEG_INFINITY, |(score, _)| score - most);
        index.lexical.add_common(wanted, weights, (&mut *scores, floor));
        found = highest(index, scores, floor, eligible);
    }
    found.into_iter().map(|(_, slot)| slot).collect()
}

/// The eligible agents with the highest scores not below a floor. Only as many are asked about as it takes.
fn highest(index: &Index, scores: &[f32], floor: f32, eligible: &dyn Fn(&str) -> bool) -> Vec<(f32, u32)> {
    let id = |slot: u32| index.entry(slot).map_or("", |entry| entry.id.as_str());
    let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then_with(|| id(a.1).cmp(id(b.1)));
    let mut most = 2 * LEADING;
    loop {
        let mut best: Vec<(f32, u32)> = Vec::with_capacity(2 * most);
        let mut floor = floor;
        for slot in index.taken() {
            let score = scores.get(slot as usize).copied().unwrap_or_default();
            if score < floor {
                continue;
            }
            best.push((score, slot));
            if best.len() == 2 * most {
                let (_, last, _) = best.select_nth_unstable_by(most - 1, order);
                floor = last.0;
                best.truncate(most);
            }
        }
        best.sort_unstable_by(order);
        let all = best.len() <= most && floor == f32::NEG_INFINITY;
        best.truncate(most);
        let asked = best.len();
        best.retain(|(_, slot)| eligible(id(*slot)));
        best.truncate(LEADING);
        if best.len() == LEADING || all || asked < most {
            return best;
        }
        most = most.saturating_mul(8);
    }
}
