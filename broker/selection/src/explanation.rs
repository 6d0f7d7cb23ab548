//! Why a candidate stands where it stands, in words for whoever reads a task later.

use std::fmt::Write;

use crate::ranking::{Candidate, Contribution, Ranking};
use crate::record::is_of_past;

/// Most parts of a score that are told.
const TOLD: usize = 5;

impl Ranking {
    /// The first few candidates and why, as text of one line each and one for the whole.
    pub fn explain(&self, candidates: usize) -> String {
        let mut text = format!(
            "{:.0} % sure that the first is a right one, {:.0} % that anybody is, tier {}\n",
            100.0 * self.confidence,
            100.0 * self.in_scope,
            self.tier
        );
        for stage in &self.stages {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{stage}");
        }
        for (place, candidate) in (1..).zip(self.candidates.iter().take(candidates)) {
            let _ = writeln!(text, "{place}. {}", candidate.explain());
        }
        text
    }
}

impl Candidate {
    /// Share, the largest parts of the score and what past work made of it, and the words that matched.
    pub fn explain(&self) -> String {
        let is_told = |(place, part): &(usize, &Contribution)| *place < TOLD || is_of_past(&part.feature);
        let told = self.contributions.iter().enumerate().filter(is_told);
        let parts = told.map(|(_, part)| {
            format!(
                "{} {:.2} × {:.2} = {:+.2}",
                part.feature,
                part.value,
                part.weight,
                part.value * part.weight
            )
        });
        let parts = parts.collect::<Vec<_>>().join(", ");
        let terms = if self.terms.is_empty() { "no words".to_owned() } else { self.terms.join(", ") };
        let heard = self.heard.map_or_else(String::new, |heard| {
            format!(
                " ({:.1} % by its card and past, {:.1} % by the reranker)",
                100.0 * heard.embedded,
                100.0 * heard.opinion
            )
        });
        format!("{} {:.1} %{heard}: {parts}; matching {terms}", self.agent, 100.0 * self.probability)
    }
}
