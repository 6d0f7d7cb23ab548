//! What is known of an agent's work so far, and what that is worth: small fixed weights, seen in the explanation like
//! all others, so that a bad record moves an agent behind its equals and not behind agents that cannot do the job.

use serde::{Deserialize, Serialize};

use crate::ranking::Contribution;

/// The parts of a score that a record makes.
const PARTS: [&str; 3] = ["success_rate", "verification_failures", "latency"];
/// Weight of the success rate, which goes from -1/2 to 1/2.
const SUCCESS_WEIGHT: f32 = 1.0;
/// Weight of the share of results that failed their checks.
const VERIFICATION_WEIGHT: f32 = -1.0;
/// Weight of the latency, in factors of ten over a second.
const LATENCY_WEIGHT: f32 = -0.1;
/// How many results of middling success every agent is taken to begin with.
const PRIOR: f32 = 2.0;
/// How much the latest task counts in how long tasks take.
const NEWS: f32 = 0.2;
/// Latency beyond which slower makes no difference, in factors of ten over a second.
const MAX_SLOWNESS: f32 = 3.0;

/// An agent's past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Tasks it finished.
    pub successes: u32,
    /// Tasks it failed.
    pub failures: u32,
    /// Results that failed their checks.
    pub verification_failures: u32,
    /// How long a task takes, in milliseconds; none if not known.
    pub latency_ms: Option<f32>,
}

impl Record {
    /// One more task that went well, and how long it took.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
    pub fn note_success(&mut self, took_ms: Option<i64>) {
        self.successes = self.successes.saturating_add(1);
        let Some(took) = took_ms.map(|took| took.max(0) as f32) else { return };
        let before = self.latency_ms.unwrap_or(took);
        self.latency_ms = Some(before + (took - before) * NEWS);
    }

    /// The parts of a score it makes; none for an agent without a past.
    #[expect(clippy::cast_precision_loss, reason = "counts of tasks")]
    pub(crate) fn contributions(&self) -> Vec<Contribution> {
        let (good, bad, unverified) =
            (self.successes as f32, self.failures as f32, self.verification_failures as f32);
        let all = good + bad + PRIOR;
        let slowness = self.latency_ms.map_or(0.0, |ms| (ms / 1_000.0).max(1.0).log10().min(MAX_SLOWNESS));
        let values = [
            ((good + PRIOR / 2.0) / all - 0.5, SUCCESS_WEIGHT),
            (unverified / (all + unverified), VERIFICATION_WEIGHT),
            (slowness, LATENCY_WEIGHT),
        ];
        let seen = PARTS.into_iter().zip(values).filter(|(_, (value, _))| *value != 0.0);
        seen.map(|(feature, (value, weight))| Contribution { feature: feature.to_owned(), value, weight })
            .collect()
    }
}

/// Whether a part of a score is made of past work.
pub(crate) fn is_of_past(feature: &str) -> bool {
    PARTS.contains(&feature)
}
