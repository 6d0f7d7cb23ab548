//! Agents' extended cards: what an agent tells the broker alone, because the broker has a credential for it. Its skills
//! count for what may be asked of the agent; the public card the broker serves does not show them.

use bytes::Bytes;
use capability::{Scope, SkillRequirement};
use protocol::AgentCard;
use protocol::v03::read_card;

use super::agents::{Agent, Registry};
use super::card_trust::{self, Home};
use super::resolution::{CardParams, Resolved, card_params};
use crate::ports::downstream::FetchedCard;

/// An extended card.
#[derive(Debug, Clone)]
pub(super) struct Extended {
    pub(super) card: AgentCard,
    pub(super) original: Bytes,
}

impl Registry {
    /// The agent with its extended card, where it has one for the broker. Without it, with a warning: the public card is
    /// enough to work with.
    pub(super) async fn with_extended_card(&self, agent: Agent) -> Agent {
        let Some(resolved) = agent.resolved.as_ref().filter(|resolved| offers(resolved)) else {
            return agent;
        };
        let fetched = self.downstream.extended_card(&resolved.endpoint).await;
        let fetched = fetched.map_err(|error| error.to_string());
        let extended = fetched.and_then(|original| agent.clone().extended(original));
        extended.unwrap_or_else(|problem| agent.warned(&problem))
    }
}

/// Whether an agent has more to say to the broker than to everybody.
fn offers(resolved: &Resolved) -> bool {
    let capabilities = resolved.card.capabilities.as_ref();
    let declares = capabilities.and_then(|capabilities| capabilities.extended_agent_card).unwrap_or(false);
    declares && resolved.endpoint.auth.is_some()
}

impl Agent {
    /// The agent with an extended card, or what is wrong with that.
    pub(super) fn extended(mut self, original: Bytes) -> Result<Self, String> {
        let card = read_card(&original).map_err(|invalid| invalid.to_string())?;
        let home = Home { url: &self.url, host: self.auth.as_ref().and_then(|auth| auth.host.as_deref()) };
        let fetched = FetchedCard { card, original: original.clone(), url: self.url.clone() };
        let (fetched, _) = card_trust::judge(&self.card_keys, home, fetched)?;
        let Some(resolved) = self.resolved.as_mut() else {
            return Err("its public card is not known".to_owned());
        };
        resolved.extend(fetched.card, original)?;
        Ok(self)
    }

    fn warned(mut self, problem: &str) -> Self {
        let warning = format!(
            "its extended card is not used: {problem}; until it is, only the skills of its public card are known"
        );
        tracing::warn!(agent = self.name, "{warning}");
        if let Some(resolved) = self.resolved.as_mut() {
            resolved.warnings.push(warning);
        }
        self
    }
}

impl Resolved {
    /// Adds what the extended card says. It adds skills and demands, and takes none away: the ceiling is only lowered, and
    /// a skill requires what either card says it requires.
    fn extend(&mut self, card: AgentCard, original: Bytes) -> Result<(), String> {
        let CardParams { caps, requires, .. } = card_params(&card)?;
        let mut facts = self.facts.clone();
        if let Some(texts) = &caps {
            let declared = Scope::parse(texts).map_err(|problem| problem.to_string())?;
            facts.caps = facts.caps.meet(&declared).map_err(|problem| problem.to_string())?;
        }
        for skill in &card.skills {
            let texts = requires.get(&skill.id).map(Vec::as_slice).unwrap_or_default();
            let requires = Scope::parse(texts).map_err(|problem| format!("skill {}: {problem}", skill.id))?;
            match facts.skills.iter_mut().find(|known| known.id == skill.id) {
                None => facts.skills.push(SkillRequirement { id: skill.id.clone(), requires }),
                Some(known) => {
                    let both = [known.requires.texts(), requires.texts()].concat();
                    known.requires = Scope::parse(&both).map_err(|problem| problem.to_string())?;
                }
            }
        }
        self.facts = facts;
        self.extended = Some(Extended { card, original });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use broker_core::{Timestamp, extension};
    use serde_json::{Value, json};

    use super::*;
    use crate::service::resolution::{Terms, resolve};

    fn card(skills: &[&str], params: &Value) -> Bytes {
        let skill = |id: &&str| json!({ "id": id, "name": id, "description": "", "tags": [] });
        let card = json!({
            "name": "a", "description": "", "version": "1",
            "supportedInterfaces": [{ "url": "http://h:1", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
            "capabilities": { "extensions": [{ "uri": extension::URI, "params": params }] },
            "skills": skills.iter().map(skill).collect::<Vec<_>>(),
        });
        card.to_string().into()
    }

    #[test]
    fn an_extended_card_adds_demands_and_takes_none_away() {
        let public =
            json!({ "caps": ["mcp:tool/**"], "requires": { "both": ["mcp:tool/x"], "old": ["mcp:tool/x"] } });
        let original = card(&["both", "old"], &public);
        let fetched =
            FetchedCard { card: read_card(&original).unwrap(), original, url: "http://h:1".to_owned() };
        let caps = Scope::parse(["a2a:skill/**", "mcp:tool/**"]).unwrap();
        let terms = Terms { name: "a", url: "http://h:1", caps: &caps, auth: None, card_keys: &[] };
        let mut resolved = resolve(terms, fetched, Timestamp::default()).unwrap();
        let more = json!({ "caps": ["a2a:skill/**", "mcp:tool/x"], "requires": { "both": ["mcp:tool/y"] } });
        let original = card(&["both", "new"], &more);
        resolved.extend(read_card(&original).unwrap(), original).unwrap();
        assert_eq!(resolved.facts.caps.texts(), ["mcp:tool/x"], "what one of them leaves out is out");
        let skills = resolved.facts.skills.iter().map(|skill| (skill.id.as_str(), skill.requires.texts()));
        let skills: Vec<_> = skills.collect();
        let both = ["mcp:tool/x", "mcp:tool/y"].map(ToOwned::to_owned).to_vec();
        let old = vec!["mcp:tool/x".to_owned()];
        assert_eq!(skills, [("both", both), ("old", old), ("new", Vec::new())]);
    }
}
