//! Why a decision came out as it did: what each factor of the effective scope took away, and for whatever is missing,
//! which factor lacks it. Data, for others to put into words.

use crate::capability::Capability;
use crate::decision::{Decision, Demand, DenyRule, decide};
use crate::scope::Scope;

/// What takes part in the effective scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// What the delegating task, or the principal, holds.
    Hold,
    /// What of it can be passed on: a hop less.
    Passing,
    /// What was asked to be passed on.
    Asked,
    /// The agent's ceiling.
    Caps,
    /// What the account's policy admits.
    Policy,
}

/// A decision and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What it begins with: the hold.
    pub hold: Scope,
    /// What each further factor left. Ends early where the scopes meet in too many capabilities.
    pub steps: Vec<Step>,
    /// The decision.
    pub decision: Decision,
    /// What is missing, where it was denied.
    pub lacks: Vec<Lack>,
}

/// One factor at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which one.
    pub factor: Factor,
    /// What it admits.
    pub scope: Scope,
    /// What there was.
    pub before: Scope,
    /// What is left.
    pub after: Scope,
}

/// Something missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// What, as canonical text.
    pub capability: String,
    /// The factors at fault.
    pub factors: Vec<Factor>,
}

/// Decides a demand and says why.
pub fn explain(demand: &Demand<'_>) -> Explanation {
    let decision = decide(demand);
    let lacks = match &decision {
        Decision::Allow(_) => Vec::new(),
        Decision::Deny(denied) => denied.missing.iter().map(|text| lack(demand, denied.rule, text)).collect(),
    };
    Explanation { hold: demand.hold.clone(), steps: steps(demand), decision, lacks }
}

/// The factors in the order of the rule.
fn factors(demand: &Demand<'_>) -> impl Iterator<Item = (Factor, Scope)> {
    // Where every hop is unlimited, passing on takes nothing away.
    let passable = Some(demand.passable()).filter(|passable| passable != demand.hold);
    let factors = [
        (Factor::Hold, Some(demand.hold.clone())),
        (Factor::Passing, passable),
        (Factor::Asked, demand.asked.cloned()),
        (Factor::Caps, Some(demand.caps.clone())),
        (Factor::Policy, demand.policy.cloned()),
    ];
    factors.into_iter().filter_map(|(factor, scope)| Some((factor, scope?)))
}

fn steps(demand: &Demand<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = demand.hold.clone();
    for (factor, scope) in factors(demand).skip(1) {
        let Ok(after) = before.meet(&scope) else { break };
        steps.push(Step { factor, scope, before, after: after.clone() });
        before = after;
    }
    steps
}

fn lack(demand: &Demand<'_>, rule: DenyRule, text: &str) -> Lack {
    let missing: Option<Capability> = text.parse().ok();
    let all: Vec<(Factor, Scope)> = factors(demand).collect();
    let at_fault = |factor: Factor, scope: &Scope| match (rule, &missing) {
        (DenyRule::RequirementUnmet, Some(missing)) => {
            !scope.is_top() && !scope.iter().any(|ours| ours.satisfies(missing, demand.now))
        }
        (DenyRule::AskedExceedsHold, Some(missing)) => {
            matches!(factor, Factor::Hold | Factor::Passing) && !scope.covers(missing)
        }
        // What the policy refuses is not the hold's fault.
        (_, Some(missing)) => {
            factor == if is_policys_word(demand, rule, missing) { Factor::Policy } else { Factor::Hold }
        }
        (_, None) => factor == Factor::Hold,
    };
    let mut factors: Vec<Factor> =
        all.iter().filter(|(factor, scope)| at_fault(*factor, scope)).map(|(factor, _)| *factor).collect();
    if factors.contains(&Factor::Hold) {
        // What is not held cannot be passed on: that says nothing more.
        factors.retain(|factor| *factor != Factor::Passing);
    }
    if factors.is_empty() {
        // Each has enough of it, all together have not.
        factors.extend(all.iter().map(|(factor, _)| *factor));
    }
    Lack { capability: text.to_owned(), factors }
}

/// Whether the policy does not speak of it, or the hold alone would not be refused like this.
fn is_policys_word(demand: &Demand<'_>, rule: DenyRule, missing: &Capability) -> bool {
    let Some(policy) = demand.policy else { return false };
    let alone = decide(&Demand { policy: None, ..*demand });
    is_silent(policy, missing) || !matches!(alone, Decision::Deny(denied) if denied.rule == rule)
}

/// Whether a scope does not speak of a capability at all.
fn is_silent(scope: &Scope, capability: &Capability) -> bool {
    !scope.is_top() && !scope.iter().any(|ours| ours.meet(capability).is_some())
}

impl Step {
    /// What the factor admits nothing of.
    pub fn removed(&self) -> impl Iterator<Item = &Capability> {
        self.changed().filter(|before| self.parts(before).is_empty())
    }

    /// What the factor left only parts of, and the parts.
    pub fn narrowed(&self) -> impl Iterator<Item = (&Capability, Scope)> {
        let parts = |before| (before, self.parts(before));
        self.changed().map(parts).filter(|(_, parts)| !parts.is_empty())
    }

    fn changed(&self) -> impl Iterator<Item = &Capability> {
        self.before.iter().filter(|before| !self.scope.covers(before))
    }

    fn parts(&self, of: &Capability) -> Scope {
        Scope::of(self.scope.iter().filter_map(|admitted| of.meet(admitted)))
    }
}
