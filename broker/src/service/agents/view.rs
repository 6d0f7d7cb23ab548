//! Agents as they are shown to people and tools.

use broker_core::Timestamp;
use protocol::AgentCard;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Agent, Health, Source};
use crate::service::Broker;

/// An agent, as shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AgentView {
    /// Registered name.
    pub name: String,
    /// Registered URL.
    pub url: String,
    /// `Caps(B)` as canonical texts, lowered by the card.
    pub caps: Vec<String>,
    /// Where the registration comes from.
    pub source: Source,
    /// What the card says; absent while it could not be fetched.
    pub description: Option<String>,
    /// The agent's own version.
    pub version: Option<String>,
    /// Its skills.
    pub skills: Vec<SkillView>,
    /// Whether it streams.
    pub streaming: bool,
    /// Of which kind the broker's credential for it is, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// What will probably not work, or not be safe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Thumbprint of the key its grants are bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether its card is signed, and by whom; absent while there is no card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Whether it does its work, from what its answers to messages were; never from its card.
    #[serde(default)]
    pub health: Health,
    /// The broker it is an agent of, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// Most tasks it works on at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
    /// Tasks that keep it busy now; counted where there is such a limit.
    #[serde(default)]
    pub busy: usize,
    /// Tasks that wait for it.
    #[serde(default)]
    pub waiting: usize,
    /// Until when it is not tried, because it did not answer lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_until: Option<Timestamp>,
    /// Whether a card that claims more waits for an operator.
    #[serde(default)]
    pub pending: bool,
    /// SHA-256 of that card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_card: Option<String>,
    /// How its card has changed, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
}

/// A skill, as shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SkillView {
    /// The skill's id.
    pub id: String,
    /// For people.
    pub name: String,
}

impl Broker {
    /// An agent with what is known of it while the broker runs.
    pub(super) fn view(&self, agent: &Agent) -> AgentView {
        let mut view = registered(agent);
        let load = self.load_of(&agent.name);
        (view.busy, view.waiting, view.down_until) = (load.busy, load.waiting, load.down_until);
        view.health = self.health(&agent.name);
        view.warnings.extend(self.refreshing.trouble(&agent.name, agent.resolved.is_some()));
        view
    }
}

/// An agent as its registration and its card have it; how it does its work is not known here.
fn registered(agent: &Agent) -> AgentView {
    let card = agent.resolved.as_ref().map(|resolved| &resolved.card);
    let skill = |skill: &protocol::AgentSkill| SkillView { id: skill.id.clone(), name: skill.name.clone() };
    AgentView {
        name: agent.name.clone(),
        url: agent.url.clone(),
        caps: agent.resolved.as_ref().map_or(&agent.caps, |resolved| &resolved.facts.caps).texts(),
        source: agent.source,
        description: card.map(|card| card.description.clone()),
        version: card.map(|card| card.version.clone()),
        skills: card.map(|card| card.skills.iter().map(skill).collect()).unwrap_or_default(),
        streaming: card.is_some_and(AgentCard::streams),
        auth: agent.auth.as_ref().map(|auth| auth.kind_name().to_owned()),
        warnings: agent.resolved.as_ref().map(|resolved| resolved.warnings.clone()).unwrap_or_default(),
        key: agent.confirmation(),
        signature: agent.resolved.as_ref().map(|resolved| resolved.standing.to_string()),
        health: Health::Unknown,
        broker: agent.broker.clone(),
        max_concurrent: agent.max_concurrent,
        busy: 0,
        waiting: 0,
        down_until: None,
        pending: agent.waits_for_operator(),
        pending_card: agent.drift.pending_digest().map(|digest| digest.to_string()),
        drift: agent.drift.sentences(),
    }
}
