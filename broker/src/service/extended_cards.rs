//! Agents' extended cards: what an agent tells the broker alone, because the broker has a credential for it. Its skills
//! count for what may be asked of the agent; the public card the broker serves does not show them.

use std::sync::Arc;

use bytes::Bytes;
use capability::{Scope, SkillRequirement};
use protocol::AgentCard;
use protocol::v03::read_card;

use super::agents::{Agent, CardDrift, Registry};
use super::card_trust::{self, Home};
use super::resolution::{CardParams, Resolved, card_params};
use crate::ports::downstream::FetchedCard;
use crate::ports::fetch::Caching;

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

    /// Asks for the extended card again and uses what is new in it, unless it claims more and that has to be reviewed:
    /// then the one that was known stays, with a warning.
    pub(super) async fn with_fresh_extended_card(&self, agent: Arc<Agent>) -> Arc<Agent> {
        if !agent.resolved.as_ref().is_some_and(offers) {
            return agent;
        }
        let fresh = self.with_extended_card(Agent::clone(&agent)).await;
        let (Some(used), Some(new)) = (&agent.resolved, &fresh.resolved) else { return agent };
        let Some(extended) = new.extended.as_ref().filter(|new| used.shows_other_than(new)) else {
            return agent;
        };
        if used.extended.is_some() && self.cards.drift == CardDrift::Review && new.claims_more_than(used) {
            tracing::warn!(
                agent = agent.name,
                "its extended card claims more than the one in use, which stays; register the agent again to accept it"
            );
            return agent;
        }
        let turn = self.changing.lock().await;
        let is_same = |current: &Arc<Agent>| {
            current.resolved.as_ref().is_some_and(|resolved| resolved.original == used.original)
        };
        let Some(current) = self.get(&agent.name).filter(is_same) else { return agent };
        let renewed = Agent::clone(&current).without_extended().extended(extended.original.clone());
        let stored = match renewed {
            Ok(renewed) => self.put(renewed, None, &turn).await.map_err(|error| error.message),
            Err(problem) => Err(problem),
        };
        stored.unwrap_or_else(|problem| {
            tracing::warn!(agent = agent.name, problem, "its extended card is not used");
            agent
        })
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
        let (original_card, url, caching) = (original.clone(), self.url.clone(), Caching::default());
        let fetched = FetchedCard { card, original: original_card, url, caching };
        let (fetched, _) = card_trust::judge(&self.card_keys, home, fetched)?;
        let Some(resolved) = self.resolved.as_mut() else {
            return Err("its public card is not known".to_owned());
        };
        resolved.extend(fetched.card, original)?;
        Ok(self)
    }

    /// Uses another public card. What the extended one said goes on counting until it is fetched again.
    pub(super) fn replace_card(&mut self, resolved: Resolved) {
        let known = self.resolved.as_ref().and_then(|known| known.extended.as_ref());
        let known = known.map(|extended| extended.original.clone());
        self.use_card(resolved);
        self.keep_extended(known);
    }

    /// Takes over an extended card that was known before, where its public card still offers one.
    pub(super) fn keep_extended(&mut self, original: Option<Bytes>) {
        let Some(original) = original.filter(|_| self.resolved.as_ref().is_some_and(offers)) else { return };
        *self = self.clone().extended(original).unwrap_or_else(|problem| self.clone().warned(&problem));
    }

    /// The agent as its public card alone leaves it.
    pub(super) fn without_extended(mut self) -> Self {
        let Some(known) = self.resolved.clone().filter(|known| known.extended.is_some()) else { return self };
        let (card, original, url) = (known.card, known.original, self.url.clone());
        let card = FetchedCard { card, original, url, caching: Caching::default() };
        if let Ok(resolved) = self.resolve(card, known.fetched) {
            self.resolved = Some(resolved);
        }
        self
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
    fn shows_other_than(&self, extended: &Extended) -> bool {
        self.extended.as_ref().is_none_or(|known| known.original != extended.original)
    }

    /// Whether there are skills here that are not there, or that require less here, or whether more may be held.
    fn claims_more_than(&self, other: &Self) -> bool {
        let is_covered = |skill: &SkillRequirement| {
            let known = other.facts.skills.iter().find(|known| known.id == skill.id);
            known.is_some_and(|known| known.requires.le(&skill.requires))
        };
        !self.facts.caps.le(&other.facts.caps) || !self.facts.skills.iter().all(is_covered)
    }

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
    use crate::service::agents::RetryPolicy;
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
        let fetched = FetchedCard {
            card: read_card(&original).unwrap(),
            original,
            url: "http://h:1".to_owned(),
            caching: Caching::default(),
        };
        let caps = Scope::parse(["a2a:skill/**", "mcp:tool/**"]).unwrap();
        let terms = Terms {
            name: "a",
            url: "http://h:1",
            caps: &caps,
            auth: None,
            card_keys: &[],
            retry: &RetryPolicy::default(),
        };
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
