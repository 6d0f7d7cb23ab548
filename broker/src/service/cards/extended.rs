//! Cards for those who are known (spec §3.1.11): what this caller may ask of an agent, and at `/` of every agent. Decided
//! by the rule that decides its calls, so that a card promises what a call will get.

use std::sync::Arc;

use broker_core::extension;
use capability::{Decision, Demand, DenyRule, Giver, Scope, decide, effective};
use protocol::{A2aError, AgentCard, AgentSkill, ErrorKind};
use serde_json::json;

use super::{CardDocument, MAY};
use crate::service::agents::Agent;
use crate::service::caller::Identity;
use crate::service::{Broker, Caller, Target, error};

const MILLIS_PER_SECOND: i64 = 1_000;

/// A skill that a caller may use, under its own id.
#[derive(Debug, Clone)]
pub struct OfferedSkill {
    /// Whose it is.
    pub agent: String,
    /// The skill.
    pub skill: AgentSkill,
}

/// What a caller delegates from.
struct Hold {
    scope: Scope,
    giver: Giver,
    policy: Option<Scope>,
}

impl Broker {
    /// The card of an agent, or of the broker's own, as it is for this caller.
    pub async fn extended_card(&self, caller: &Caller, target: &Target) -> Result<CardDocument, A2aError> {
        if self.is_open() {
            let message =
                "there is no extended agent card here: the broker is open, so its public cards say all";
            return Err(A2aError::new(ErrorKind::UnsupportedOperation, message));
        }
        let hold = self.hold(caller).await?;
        match target {
            Target::Any => {
                let mut card = self.own_card();
                for agent in self.registry.all() {
                    card.skills.extend(self.fleet_skills(&hold, &agent));
                }
                self.document(card, broker_core::Timestamp::default())
            }
            Target::Agent(name) => {
                let agent = self.registry.resolved(name).await?;
                let resolved = agent.resolved.as_ref().ok_or_else(|| error::agent_not_found(name))?;
                let shown = resolved.extended.as_ref().map_or(&resolved.card, |extended| &extended.card);
                let mut card = self.fronted(shown.clone(), name);
                card.skills.retain(|skill| self.may_invoke(&hold, &agent, &skill.id));
                self.say_what_may_be_asked(&mut card, &hold, &agent);
                self.document(card, resolved.fetched)
            }
        }
    }

    /// All skills that the caller may use: those its extended card at `/` lists; where the broker is open, all there are.
    pub async fn offered_skills(&self, caller: &Caller) -> Result<Vec<OfferedSkill>, A2aError> {
        let hold = self.hold(caller).await?;
        let mut offered = Vec::new();
        for agent in self.registry.all() {
            let skill = |skill: &AgentSkill| OfferedSkill { agent: agent.name.clone(), skill: skill.clone() };
            offered.extend(self.usable_skills(&hold, &agent).map(skill));
        }
        Ok(offered)
    }

    /// The agent and the skill that are meant, whoever may use it.
    pub fn find_skill(&self, is_meant: impl Fn(&str, &str) -> bool) -> Option<(String, String)> {
        self.registry.all().iter().find_map(|agent| {
            let skills = &shown(agent)?.skills;
            let skill = skills.iter().find(|skill| is_meant(&agent.name, &skill.id))?;
            Some((agent.name.clone(), skill.id.clone()))
        })
    }

    async fn hold(&self, caller: &Caller) -> Result<Hold, A2aError> {
        let policy = |owner: &str| self.policy_of(owner);
        match &caller.0 {
            Identity::Principal { name, scope, .. } => {
                Ok(Hold { scope: scope.clone(), giver: Giver::Principal, policy: policy(name) })
            }
            Identity::Delegate { root, task, held } => {
                let cell = self.trees.load(*root).await?.ok_or_else(error::task_not_found)?;
                let tree = cell.tree.lock().await;
                let left = tree.scope_left(*task).unwrap_or_else(Scope::empty);
                let (owner, _) = tree.owner_and_context(*task).ok_or_else(error::task_not_found)?;
                // What meets in more than a scope may hold would be refused when used, too.
                let scope = left.meet(held).unwrap_or_else(|_| Scope::empty());
                Ok(Hold { scope, giver: Giver::Task, policy: policy(owner) })
            }
        }
    }

    /// An agent's skills that the caller may use, named so that one card can list them all.
    fn fleet_skills(&self, hold: &Hold, agent: &Arc<Agent>) -> Vec<AgentSkill> {
        let Some(card) = shown(agent) else { return Vec::new() };
        let named = |skill: &AgentSkill| {
            let mut skill = super::without_security(skill.clone());
            skill.id = format!("{}/{}", agent.name, skill.id);
            if !skill.tags.contains(&agent.name) {
                skill.tags.push(agent.name.clone());
            }
            // What holds for the agent as a whole has to be said where another agent's skills stand beside.
            for (own, of_agent) in [
                (&mut skill.input_modes, &card.default_input_modes),
                (&mut skill.output_modes, &card.default_output_modes),
            ] {
                if own.is_empty() {
                    own.clone_from(of_agent);
                }
            }
            skill
        };
        self.usable_skills(hold, agent).map(named).collect()
    }

    fn usable_skills<'a>(
        &'a self,
        hold: &'a Hold,
        agent: &'a Agent,
    ) -> impl Iterator<Item = &'a AgentSkill> + 'a {
        let skills = shown(agent).map(|card| card.skills.as_slice()).unwrap_or_default();
        skills.iter().filter(|skill| self.may_invoke(hold, agent, &skill.id))
    }

    /// Not now, for a rate or a budget, is still the caller's to ask.
    fn may_invoke(&self, hold: &Hold, agent: &Agent, skill: &str) -> bool {
        let demand = self.demand(hold, agent, Some(skill));
        demand.is_some_and(|demand| match decide(&demand) {
            Decision::Allow(_) => true,
            Decision::Deny(denied) => {
                matches!(denied.rule, DenyRule::RateExceeded { .. } | DenyRule::BudgetExhausted)
            }
        })
    }

    fn demand<'a>(&self, hold: &'a Hold, agent: &'a Agent, skill: Option<&'a str>) -> Option<Demand<'a>> {
        let facts = &agent.resolved.as_ref()?.facts;
        Some(Demand {
            hold: &hold.scope,
            giver: hold.giver,
            asked: None,
            budget: capability::ledger::Ceilings::default(),
            caps: &facts.caps,
            policy: hold.policy.as_ref(),
            agent: &agent.name,
            skill,
            skills: &facts.skills,
            now: u64::try_from(self.clock.now().as_millis() / MILLIS_PER_SECOND).unwrap_or(0),
            recent: &[],
        })
    }

    /// The most the caller can pass on to the agent with a task, in the parameters of the broker's extension.
    fn say_what_may_be_asked(&self, card: &mut AgentCard, hold: &Hold, agent: &Agent) {
        let scope = self.demand(hold, agent, None).and_then(|demand| effective(&demand).ok());
        let skills: Vec<&str> = card.skills.iter().map(|skill| skill.id.as_str()).collect();
        let may = json!({ "skills": skills, "scope": scope.map(|scope| scope.texts()).unwrap_or_default() });
        let extensions = card.capabilities.iter_mut().flat_map(|capabilities| &mut capabilities.extensions);
        for own in extensions.filter(|known| known.uri.as_deref() == Some(extension::URI)) {
            let _ = own.params.set(MAY, &may);
        }
    }
}

/// The card that says most of an agent.
fn shown(agent: &Agent) -> Option<&AgentCard> {
    let resolved = agent.resolved.as_ref()?;
    Some(resolved.extended.as_ref().map_or(&resolved.card, |extended| &extended.card))
}
