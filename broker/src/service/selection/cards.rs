//! What the ranker is told: of a card what it says the agent is for, of a request what is to be done.

use broker_selection::{Agent, Skill};
use protocol::{AgentCard, Message, Part};
use serde::Deserialize;

/// An agent as a candidate.
pub(super) fn candidate(name: &str, card: &AgentCard) -> Agent {
    let skill = |skill: &protocol::AgentSkill| Skill {
        name: skill.name.clone(),
        description: skill.description.clone(),
        tags: skill.tags.clone(),
        examples: skill.examples.clone(),
    };
    Agent {
        id: name.to_owned(),
        name: card.name.clone(),
        description: card.description.clone(),
        tags: Vec::new(),
        skills: card.skills.iter().map(skill).collect(),
    }
}

/// What messages say is to be done: their texts, and their data as text.
pub(super) fn request_text<'m>(messages: impl IntoIterator<Item = &'m Message>) -> String {
    let parts = messages.into_iter().flat_map(|message| &message.parts);
    parts.filter_map(Content::of).filter_map(Content::said).collect::<Vec<_>>().join("\n")
}

/// The media types of what messages carry beside texts and data.
pub(super) fn media_types(message: &Message) -> Vec<String> {
    message.parts.iter().filter_map(Content::of).filter_map(|content| content.media_type).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    text: Option<String>,
    data: Option<serde_json::Value>,
    media_type: Option<String>,
}

impl Content {
    fn of(part: &Part) -> Option<Self> {
        serde_json::from_str(part.raw().get()).ok()
    }

    fn said(self) -> Option<String> {
        self.text.or_else(|| self.data.map(|data| data.to_string()))
    }
}
