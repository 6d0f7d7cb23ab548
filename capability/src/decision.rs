//! The rule: `Effective(A→B) = Hold(A's task) ∩ asked ∩ Caps(B) ∩ policy`, and its two gates.

use crate::capability::Capability;
use crate::scope::{LimitExceeded, Scope};

/// What a skill requires of whoever works on it. A skill that declares nothing requires nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillRequirement {
    /// The skill's id.
    pub id: String,
    /// What must be within the effective scope.
    pub requires: Scope,
}

/// A wish to delegate.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// What the delegating task holds; for a root, what its principal holds.
    pub hold: &'a Scope,
    /// What the delegator wants to pass on; `None` is all it can.
    pub asked: Option<&'a Scope>,
    /// The operator's ceiling for the agent, lowered by its card.
    pub caps: &'a Scope,
    /// What the account's policy admits; `None` is everything.
    pub policy: Option<&'a Scope>,
    /// The agent.
    pub agent: &'a str,
    /// The skill, if one is named.
    pub skill: Option<&'a str>,
    /// The skills the agent's card lists.
    pub skills: &'a [SkillRequirement],
}

/// The answer, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be.
    Allow(Allowed),
    /// It may not be.
    Deny(Denied),
}

/// What the delegate gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The effective scope.
    pub effective: Scope,
    /// The skills it may use: the one named, or all that are allowed.
    pub skills: Vec<String>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Canonical scope tokens that are missing.
    pub missing: Vec<String>,
    /// The rule that says no.
    pub rule: DenyRule,
    /// A sentence with a next step.
    pub explanation: String,
}

/// The rules that can say no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyRule {
    /// More was asked to be passed on than is held.
    AskedExceedsHold,
    /// The hold does not admit invoking the skill.
    MayNotInvoke,
    /// The effective scope lacks what the skill requires.
    RequirementUnmet,
    /// The scopes meet in more capabilities than a scope may hold.
    TooComplex,
}

/// `Hold ∩ asked ∩ Caps ∩ policy`.
pub fn effective(demand: &Demand<'_>) -> Result<Scope, LimitExceeded> {
    let mut scope = demand.hold.meet(demand.caps)?;
    for narrower in [demand.asked, demand.policy].into_iter().flatten() {
        scope = scope.meet(narrower)?;
    }
    Ok(scope)
}

/// Decides a demand.
pub fn decide(demand: &Demand<'_>) -> Decision {
    judge(demand).map_or_else(Decision::Deny, Decision::Allow)
}

fn judge(demand: &Demand<'_>) -> Result<Allowed, Denied> {
    check_asked(demand)?;
    let effective = effective(demand).map_err(|limit| Denied {
        missing: Vec::new(),
        rule: DenyRule::TooComplex,
        explanation: format!("{limit}; ask for fewer capabilities"),
    })?;
    let skills = match demand.skill {
        Some(skill) => vec![named_skill(demand, &effective, skill)?],
        None => usable_skills(demand, &effective)?,
    };
    Ok(Allowed { effective, skills })
}

/// Asking for more than one holds is refused: nothing is narrowed silently.
fn check_asked(demand: &Demand<'_>) -> Result<(), Denied> {
    let missing: Vec<String> = demand
        .asked
        .into_iter()
        .flat_map(Scope::iter)
        .filter(|asked| !demand.hold.covers(asked))
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let explanation = format!(
        "the delegating task does not hold {}; ask only for what its own scope covers",
        missing.join(" ")
    );
    Err(Denied { missing, rule: DenyRule::AskedExceedsHold, explanation })
}

fn named_skill(demand: &Demand<'_>, effective: &Scope, skill: &str) -> Result<String, Denied> {
    let invoke = Capability::invoke(demand.agent, skill);
    if !demand.hold.covers(&invoke) {
        return Err(may_not_invoke(demand, &invoke));
    }
    let lacking: Vec<String> = demand
        .skills
        .iter()
        .filter(|known| known.id == skill)
        .flat_map(|known| lacking(&known.requires, effective))
        .collect();
    if lacking.is_empty() { Ok(skill.to_owned()) } else { Err(requirement_unmet(demand, skill, lacking)) }
}

/// With no skill named, all that are admitted and whose requirements are met; at least one.
fn usable_skills(demand: &Demand<'_>, effective: &Scope) -> Result<Vec<String>, Denied> {
    let any = Capability::invoke_any(demand.agent);
    if demand.skills.is_empty() {
        let admitted = demand.hold.is_top() || demand.hold.iter().any(|held| held.meet(&any).is_some());
        return if admitted { Ok(Vec::new()) } else { Err(may_not_invoke(demand, &any)) };
    }
    let usable: Vec<String> = demand
        .skills
        .iter()
        .filter(|skill| demand.hold.covers(&Capability::invoke(demand.agent, &skill.id)))
        .filter(|skill| lacking(&skill.requires, effective).next().is_none())
        .map(|skill| skill.id.clone())
        .collect();
    if usable.is_empty() { Err(may_not_invoke(demand, &any)) } else { Ok(usable) }
}

fn lacking<'a>(required: &'a Scope, effective: &'a Scope) -> impl Iterator<Item = String> + 'a {
    required.iter().filter(|capability| !effective.covers(capability)).map(ToString::to_string)
}

fn may_not_invoke(demand: &Demand<'_>, invoke: &Capability) -> Denied {
    let hint = if demand.hold.is_empty() {
        "the delegating task holds no capabilities at all: its agent was registered without any \
         that reach this far"
    } else {
        "the delegating task's scope does not cover it"
    };
    Denied {
        missing: vec![invoke.to_string()],
        rule: DenyRule::MayNotInvoke,
        explanation: format!(
            "delegating to {} needs {invoke}: {hint}; the operator can add it to the delegating agent's caps",
            demand.agent
        ),
    }
}

fn requirement_unmet(demand: &Demand<'_>, skill: &str, missing: Vec<String>) -> Denied {
    let explanation = format!(
        "skill {skill} of {agent} requires {}, which is not within both the delegating task's scope and \
         {agent}'s caps",
        missing.join(" "),
        agent = demand.agent,
    );
    Denied { missing, rule: DenyRule::RequirementUnmet, explanation }
}
