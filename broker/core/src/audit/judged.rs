//! A decision of authority with everything it was made from: the one place where a [`Demand`] has a stored form.

use capability::ledger::Ceilings;
use capability::{Decision, Demand, DenyRule, Giver, Invocation, Scope, SkillRequirement};
use serde::{Deserialize, Serialize};

/// What authority was asked and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// What the delegating task, or the root's principal, holds; ceilings lowered to what is left.
    pub hold: Scope,
    /// Whose hold it is.
    pub giver: Giver,
    /// What was asked to be passed on; absent: all that can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Scope>,
    /// What the delegate may use up, as far as the delegator says.
    #[serde(default, skip_serializing_if = "Ceilings::is_unlimited")]
    pub budget: Ceilings,
    /// The agent's ceiling.
    pub caps: Scope,
    /// What policy admits; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Scope>,
    /// The skills of the card that matter, with what they require: all, or the one that is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<SkillRequirement>,
    /// When, in seconds since the epoch, as windows and rates count.
    pub now: u64,
    /// Earlier delegations under the same hold that its rates still count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<Used>,
    /// The answer.
    pub verdict: Verdict,
}

/// An earlier delegation, as rates count it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The agent.
    pub agent: String,
    /// The skill, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// When, in seconds since the epoch.
    pub at: u64,
}

/// The answer, without its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may be.
    Allowed {
        /// The effective scope.
        effective: Scope,
        /// The skills that may be used.
        skills: Vec<String>,
        /// The capabilities of the hold it was invoked under, as canonical texts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        under: Vec<String>,
    },
    /// It may not be.
    Denied {
        /// The rule that says no.
        rule: DenyRule,
        /// What is missing, as canonical texts.
        missing: Vec<String>,
    },
}

impl Judged {
    /// A demand and the decision on it.
    pub(crate) fn new(demand: &Demand<'_>, decision: &Decision) -> Self {
        let matters = |skill: &&SkillRequirement| demand.skill.is_none_or(|named| named == skill.id);
        let window = demand.policy.map_or(0, Scope::longest_window).max(demand.hold.longest_window());
        let counts = |used: &&Invocation<'_>| used.at.saturating_add(window) > demand.now;
        Self {
            hold: demand.hold.clone(),
            giver: demand.giver,
            asked: demand.asked.cloned(),
            budget: demand.budget,
            caps: demand.caps.clone(),
            policy: demand.policy.cloned(),
            skills: demand.skills.iter().filter(matters).cloned().collect(),
            now: demand.now,
            recent: demand.recent.iter().filter(counts).map(Used::of).collect(),
            verdict: Verdict::of(decision),
        }
    }

    /// Decides once more, by the rules of this build.
    pub(super) fn again(&self, agent: &str, skill: Option<&str>) -> Verdict {
        let recent: Vec<Invocation<'_>> = self.recent.iter().map(Used::invocation).collect();
        Verdict::of(&capability::decide(&Demand {
            hold: &self.hold,
            giver: self.giver,
            asked: self.asked.as_ref(),
            budget: self.budget,
            caps: &self.caps,
            policy: self.policy.as_ref(),
            agent,
            skill,
            skills: &self.skills,
            now: self.now,
            recent: &recent,
        }))
    }

    /// Whether authority said yes.
    pub fn is_allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allowed { .. })
    }
}

impl Used {
    fn of(used: &Invocation<'_>) -> Self {
        Self { agent: used.agent.to_owned(), skill: used.skill.map(ToOwned::to_owned), at: used.at }
    }

    fn invocation(&self) -> Invocation<'_> {
        Invocation { agent: &self.agent, skill: self.skill.as_deref(), at: self.at }
    }
}

impl Verdict {
    fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Allow(allowed) => Self::Allowed {
                effective: allowed.effective.clone(),
                skills: allowed.skills.clone(),
                under: allowed.under.iter().map(ToString::to_string).collect(),
            },
            Decision::Deny(denied) => Self::Denied { rule: denied.rule, missing: denied.missing.clone() },
        }
    }
}
