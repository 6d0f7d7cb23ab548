//! What a candidate is to the ranker: the part of an agent's card that says what the agent is good for. Nothing of its
//! address, its health or the right to call it stands here; whoever asks has settled those before.

use serde::{Deserialize, Serialize};

/// An agent that may be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id, unique in an index; decides ties.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// Words it files itself under.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it can do, one by one.
    #[serde(default)]
    pub skills: Vec<Skill>,
}

/// One skill of a card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skill {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// Words it is filed under.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Requests it is good for.
    #[serde(default)]
    pub examples: Vec<String>,
}

impl Agent {
    /// The example requests of all skills, in the card's order.
    pub fn examples(&self) -> impl Iterator<Item = &str> {
        self.skills.iter().flat_map(|skill| skill.examples.iter()).map(String::as_str)
    }
}
