//! What became of the checks: passed, failed, or not decided, each with its reason.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most bytes of a reason: parts of it come from outside, and it is stored, shown and sent back to the delegate.
const MAX_REASON_BYTES: usize = 500;
/// Most reasons that are put together for people.
const MAX_REASONS: usize = 5;

/// What became of a check, or of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CheckOutcome")]
pub enum Outcome {
    /// As asked for.
    Passed,
    /// Not as asked for.
    Failed,
    /// It cannot be decided.
    Unverified,
}

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The media types of its parts.
    OutputModes,
    /// Its size as a whole.
    Size,
    /// An artifact that has to be there: its number, type, size and digest.
    Artifact,
    /// The JSON in it.
    Schema,
    /// What it cites.
    Citations,
    /// The expression.
    Expression,
    /// What another agent says of it.
    Judge,
    /// That it was checked at all, in the time there is.
    Time,
}

/// One check and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was checked.
    pub check: Criterion,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, for people, where it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Check {
    /// It is as asked for.
    pub fn passed(check: Criterion) -> Self {
        Self { check, outcome: Outcome::Passed, reason: None }
    }

    /// It is not.
    pub fn failed(check: Criterion, reason: &str) -> Self {
        Self { check, outcome: Outcome::Failed, reason: Some(shortened(reason)) }
    }

    /// Nobody can tell.
    pub fn unverified(check: Criterion, reason: &str) -> Self {
        Self { check, outcome: Outcome::Unverified, reason: Some(shortened(reason)) }
    }
}

/// What all checks come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Failed if any check failed, else unverified if any was not decided, else passed.
    #[serde(rename = "verdict")]
    pub outcome: Outcome,
    /// The checks, in the order they were made.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// What these checks come to.
    pub fn of(checks: Vec<Check>) -> Self {
        let has = |outcome| checks.iter().any(|check| check.outcome == outcome);
        let outcome = [Outcome::Failed, Outcome::Unverified].into_iter().find(|&outcome| has(outcome));
        Self { outcome: outcome.unwrap_or(Outcome::Passed), checks }
    }

    /// Nothing could be checked in the time there is.
    pub fn out_of_time(reason: &str) -> Self {
        Self::of(vec![Check::unverified(Criterion::Time, reason)])
    }

    /// The same with one check more.
    #[must_use]
    pub fn with(self, check: Check) -> Self {
        let mut checks = self.checks;
        checks.push(check);
        Self::of(checks)
    }

    /// Why it is what it is, in one sentence for people and for the next attempt.
    pub fn reason(&self) -> String {
        let reasons = self.checks.iter().filter(|check| check.outcome == self.outcome);
        let reasons: Vec<&str> = reasons.filter_map(|check| check.reason.as_deref()).collect();
        let more = reasons.len().saturating_sub(MAX_REASONS);
        let said = reasons.iter().take(MAX_REASONS).copied().collect::<Vec<_>>().join("; ");
        if more > 0 { format!("{said}; and {more} more") } else { said }
    }
}

/// A text cut to what may be kept.
pub(crate) fn shortened(text: &str) -> String {
    if text.len() <= MAX_REASON_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_REASON_BYTES);
    format!("{}…", text.get(..end).unwrap_or_default())
}
