//! The rule: `Effective(A→B) = pass_on(Hold(A's task)) ∩ asked ∩ Caps(B) ∩ policy`, and its two gates: hold and policy
//! together admit invoking the skill, and what the skill requires is within the effective scope.

mod invoke;

use self::invoke::Gate;
pub(crate) use self::invoke::rate_wait;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::ledger::Ceilings;
use crate::scope::{LimitExceeded, Scope};

/// What a skill requires of whoever works on it. A skill that declares nothing requires nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillRequirement {
    /// The skill's id.
    pub id: String,
    /// What must be within the effective scope. A quantity it does not state (ceilings, rate, hops, window) is asked
    /// for in no particular amount: what the effective scope says about it only has to leave something, now.
    pub requires: Scope,
}

/// Whose hold it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Giver {
    /// A principal's: its root task holds what it holds.
    Principal,
    /// A task's: passing on costs a hop.
    Task,
}

/// An earlier delegation under the same hold, for rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invocation<'a> {
    /// The agent.
    pub agent: &'a str,
    /// The skill, if one was named.
    pub skill: Option<&'a str>,
    /// When, in seconds since the epoch.
    pub at: u64,
}

/// A wish to delegate.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// What the delegating task holds, its ceilings lowered to what is left; for a root, what its principal holds.
    pub hold: &'a Scope,
    /// Whose hold it is.
    pub giver: Giver,
    /// What the delegator wants to pass on; `None` is all it can.
    pub asked: Option<&'a Scope>,
    /// What the delegate may use up at most, as far as the delegator says.
    pub budget: Ceilings,
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
    /// Now, in seconds since the epoch.
    pub now: u64,
    /// Earlier delegations under this hold; needed only if it or the policy has rates (see [`Scope::has_rates`]).
    pub recent: &'a [Invocation<'a>],
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
    /// The capabilities of hold and policy together that admit invoking them; what they limit is used up by the
    /// delegation.
    pub under: Vec<Capability>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenyRule {
    /// More was asked to be passed on than can be.
    AskedExceedsHold,
    /// The hold, or the policy, does not admit invoking the skill.
    MayNotInvoke,
    /// The effective scope lacks what the skill requires.
    RequirementUnmet,
    /// The scopes meet in more than a scope may hold.
    TooComplex,
    /// It was done as often as a rate allows.
    RateExceeded {
        /// Seconds until it may be done again.
        retry_after: u64,
    },
    /// A ceiling leaves too little.
    BudgetExhausted,
}

impl Demand<'_> {
    /// What can be passed on at all, before anybody narrows it.
    pub fn passable(&self) -> Scope {
        match self.giver {
            Giver::Principal => self.hold.clone(),
            Giver::Task => self.hold.passed_on(),
        }
    }
}

/// `pass_on(Hold) ∩ asked ∩ Caps ∩ policy`.
pub fn effective(demand: &Demand<'_>) -> Result<Scope, LimitExceeded> {
    let mut scope = demand.passable().meet(demand.caps)?;
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
    let effective = effective(demand).map_err(too_complex)?;
    let gate = Gate::new(demand)?;
    let (skills, under) = match demand.skill {
        Some(skill) => named_skill(&gate, &effective, skill)?,
        None => usable_skills(&gate, &effective)?,
    };
    Ok(Allowed { effective, skills, under })
}

fn too_complex(limit: LimitExceeded) -> Denied {
    let explanation = format!("{limit}; ask for fewer capabilities");
    Denied { missing: Vec::new(), rule: DenyRule::TooComplex, explanation }
}

/// Asking for more than can be passed on is refused: nothing is narrowed silently.
fn check_asked(demand: &Demand<'_>) -> Result<(), Denied> {
    let Some(asked) = demand.asked else { return Ok(()) };
    let passable = demand.passable();
    let missing: Vec<String> =
        asked.iter().filter(|capability| !passable.covers(capability)).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let explanation = format!(
        "the delegating task holds no {} that it can pass on; ask only for what its own scope covers, with its \
         ceilings, windows and one hop less",
        missing.join(" ")
    );
    Err(Denied { missing, rule: DenyRule::AskedExceedsHold, explanation })
}

type Usable = (Vec<String>, Vec<Capability>);

fn named_skill(gate: &Gate<'_>, effective: &Scope, skill: &str) -> Result<Usable, Denied> {
    let demand = gate.demand;
    let under = gate.admit(Some(skill))?;
    let required = demand.skills.iter().filter(|known| known.id == skill);
    let missing: Vec<String> =
        required.flat_map(|known| lacking(&known.requires, effective, demand.now)).collect();
    if missing.is_empty() {
        Ok((vec![skill.to_owned()], under.into_iter().collect()))
    } else {
        Err(requirement_unmet(demand, skill, missing))
    }
}

/// With no skill named, all that are admitted and whose requirements are met; at least one.
fn usable_skills(gate: &Gate<'_>, effective: &Scope) -> Result<Usable, Denied> {
    let demand = gate.demand;
    if demand.skills.is_empty() {
        return Ok((Vec::new(), gate.admit(None)?.into_iter().collect()));
    }
    let (mut skills, mut all_under) = (Vec::new(), Vec::new());
    let mut refused = None;
    for skill in demand.skills {
        match gate.admit(Some(&skill.id)) {
            Err(denied) => refused = refused.or(Some(denied)),
            Ok(_) if lacking(&skill.requires, effective, demand.now).next().is_some() => {}
            Ok(under) => {
                skills.push(skill.id.clone());
                all_under.extend(under.filter(|under| !all_under.contains(under)));
            }
        }
    }
    if skills.is_empty() { Err(none_usable(gate, refused)) } else { Ok((skills, all_under)) }
}

/// What a skill requires and the effective scope does not give.
fn lacking<'a>(required: &'a Scope, effective: &'a Scope, now: u64) -> impl Iterator<Item = String> + 'a {
    let met = move |required: &Capability| {
        effective.is_top() || effective.iter().any(|ours| ours.satisfies(required, now))
    };
    required.iter().filter(move |required| !met(required)).map(ToString::to_string)
}

/// A rate or a budget says when or how to come back; otherwise what is missing is the right to any skill.
fn none_usable(gate: &Gate<'_>, refused: Option<Denied>) -> Denied {
    match refused {
        Some(denied) if !matches!(denied.rule, DenyRule::MayNotInvoke) => denied,
        _ => gate.refused(&Capability::invoke_any(gate.demand.agent)),
    }
}

fn requirement_unmet(demand: &Demand<'_>, skill: &str, missing: Vec<String>) -> Denied {
    let explanation = format!(
        "skill {skill} of {agent} requires {}, which is not within both what the delegating task can pass on and \
         {agent}'s caps",
        missing.join(" "),
        agent = demand.agent,
    );
    Denied { missing, rule: DenyRule::RequirementUnmet, explanation }
}
