//! What a delegator says of a task beside its message: what is wanted, within which bounds, what is expected, what is
//! accepted, and which artifacts go along. Explicit members, so that a delegate need not find them in prose.

use serde::{Deserialize, Serialize};

use crate::criteria::{Acceptance, Wrong, bounded, short, sized};

/// Longest goal, constraint, or description of what is expected; bytes.
const MAX_TEXT_BYTES: usize = 4 * 1024;
/// Most constraints.
const MAX_CONSTRAINTS: usize = 32;
/// Most artifacts that go along.
const MAX_REFERENCES: usize = 64;

/// What is said of a task beside its message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Specification {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// What has to be kept to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// What the result should be, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Acceptance>,
    /// Artifacts that go along with the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<Reference>,
}

/// An artifact, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The task that made it.
    pub task: String,
    /// Its id there.
    pub artifact_id: String,
}

impl Specification {
    /// Nothing, if nothing is said.
    pub fn said(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }

    /// Whether its texts are within bounds; criteria are judged when they are read.
    pub fn check(&self) -> Result<(), Wrong> {
        for (member, text) in [(".goal", &self.goal), (".expected", &self.expected)] {
            text.as_ref().map_or(Ok(()), |text| sized(member, text, MAX_TEXT_BYTES))?;
        }
        bounded(".context", self.context.len(), MAX_REFERENCES)?;
        for Reference { task, artifact_id } in &self.context {
            short(".context.task", task)?;
            short(".context.artifact_id", artifact_id)?;
        }
        bounded(".constraints", self.constraints.len(), MAX_CONSTRAINTS)?;
        self.constraints.iter().try_for_each(|text| sized(".constraints", text, MAX_TEXT_BYTES))
    }
}
