//! Putting the opinion and the ranking together: a product of experts, each share to the power of how much its source
//! counts. Who is not shown is part of "none of them" to the model, and keeps its part of that.

use super::{Heard, Opinion};
use crate::ranking::{Candidate, Ranking};

/// The least a share counts as, so that neither source can rule out what the other is sure of.
const LEAST: f32 = 1e-6;

impl Ranking {
    /// Puts the candidates in order anew with an opinion on those shown, which counts `weight` from 0 to 1, and the
    /// ranking the rest. Confidence and scope follow from the same product.
    pub fn fuse(&mut self, shown: &[String], opinion: &Opinion, weight: f32) {
        let weight = if weight.is_finite() { weight.clamp(0.0, 1.0) } else { 0.0 };
        let fused = |embedded: f32, opinion: f32| {
            embedded.max(LEAST).powf(1.0 - weight) * opinion.max(LEAST).powf(weight)
        };
        let heard: Vec<Option<f32>> = self.candidates.iter().map(|one| heard(one, shown, opinion)).collect();
        let unshown = self.candidates.iter().zip(&heard).filter(|(_, heard)| heard.is_none());
        let others = self.in_scope * unshown.map(|(one, _)| one.probability).sum::<f32>();
        let absent = others + (1.0 - self.in_scope).max(0.0);
        let fused_absent = fused(absent, opinion.none);
        // What the unshown keep of it, each.
        let kept = if absent > 0.0 { fused_absent * self.in_scope / absent } else { 0.0 };
        let weights: Vec<f32> = self
            .candidates
            .iter()
            .zip(&heard)
            .map(|(one, heard)| match heard {
                Some(heard) => fused(self.in_scope * one.probability, *heard),
                None => kept * one.probability,
            })
            .collect();
        let present: f32 = weights.iter().sum();
        let kept_others = if absent > 0.0 { fused_absent * others / absent } else { 0.0 };
        let whole = present + (fused_absent - kept_others).max(0.0);
        if !(whole.is_finite() && present > 0.0) {
            return;
        }
        for ((one, weight), heard) in self.candidates.iter_mut().zip(weights).zip(heard) {
            one.heard = heard.map(|opinion| Heard { embedded: one.probability, opinion });
            one.probability = weight / present;
        }
        self.candidates.sort_by(|a, b| {
            let by_share = b.probability.total_cmp(&a.probability);
            by_share.then(b.score.total_cmp(&a.score)).then(a.agent.cmp(&b.agent))
        });
        self.in_scope = present / whole;
        self.confidence = self.in_scope * self.candidates.first().map_or(0.0, |first| first.probability);
    }
}

fn heard(candidate: &Candidate, shown: &[String], opinion: &Opinion) -> Option<f32> {
    let place = shown.iter().position(|agent| *agent == candidate.agent)?;
    opinion.shares.get(place).copied()
}
