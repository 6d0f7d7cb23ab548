//! The first gate: do hold and policy together admit invoking this skill, now? Not to be refused for good is a rate that
//! frees up again, or a ceiling of which too little is left.

use std::borrow::Cow;

use super::{Demand, Denied, DenyRule, Invocation, too_complex};
use crate::capability::{Arg, Bar, Capability, Request};
use crate::ledger::Unit;
use crate::scope::Scope;

/// A demand, and what of its hold the policy leaves to invoke with. Nothing is passed on by invoking: no hop is spent.
pub(super) struct Gate<'d> {
    pub(super) demand: &'d Demand<'d>,
    within: Cow<'d, Scope>,
}

impl<'d> Gate<'d> {
    pub(super) fn new(demand: &'d Demand<'d>) -> Result<Self, Denied> {
        let within = match demand.policy {
            None => Cow::Borrowed(demand.hold),
            Some(policy) => Cow::Owned(demand.hold.meet(policy).map_err(too_complex)?),
        };
        Ok(Self { demand, within })
    }

    /// The capability that admits it; none if everything is admitted.
    ///
    /// # Errors
    /// What is missing, or when it may be tried again.
    pub(super) fn admit(&self, skill: Option<&str>) -> Result<Option<Capability>, Denied> {
        let wanted = wanted(self.demand.agent, skill);
        self.find(&wanted, skill).map_err(|bars| self.denied(&wanted, skill, bars))
    }

    /// The same, or what keeps those back that speak of it.
    fn find(&self, wanted: &Capability, skill: Option<&str>) -> Result<Option<Capability>, Vec<Bar>> {
        if self.within.is_top() {
            return Ok(None);
        }
        let (mut admitted, mut bars) = (Vec::new(), Vec::new());
        for held in self.within.iter().filter(|held| reaches(held, wanted)) {
            match bar(self.demand, held, skill) {
                None => admitted.push(held),
                Some(bar) => bars.push(bar),
            }
        }
        // One without ceilings is used before one that is used up by it.
        let best = admitted.into_iter().min_by_key(|held| !held.ceilings().is_unlimited());
        best.cloned().map(Some).ok_or(bars)
    }

    /// Nothing admits it, whenever and for however little.
    pub(super) fn refused(&self, wanted: &Capability) -> Denied {
        self.denied(wanted, None, Vec::new())
    }

    /// Of several capabilities that nearly admit it, the one that will soonest.
    fn denied(&self, wanted: &Capability, skill: Option<&str>, bars: Vec<Bar>) -> Denied {
        let missing = vec![wanted.to_string()];
        match bars.into_iter().min() {
            Some(Bar::Rate { retry_after }) => Denied {
                missing,
                rule: DenyRule::RateExceeded { retry_after },
                explanation: format!(
                    "{wanted} was used as often as its rate allows; try again in {retry_after} s"
                ),
            },
            Some(Bar::Ceiling { unit }) => Denied {
                missing,
                rule: DenyRule::BudgetExhausted,
                explanation: format!(
                    "too little is left of the {} of {wanted}; ask for a smaller budget, or wait until running \
                     delegations return what they do not use",
                    unit.name()
                ),
            },
            Some(Bar::Final) | None if self.is_policys_word(wanted, skill) => {
                forbidden_by_policy(self.demand, wanted)
            }
            Some(Bar::Final) | None => self.may_not(wanted),
        }
    }

    /// Whether it may not be for the policy: it does not speak of it, or the hold alone would do.
    fn is_policys_word(&self, wanted: &Capability, skill: Option<&str>) -> bool {
        let Some(policy) = self.demand.policy else { return false };
        let is_silent = !policy.is_top() && !policy.iter().any(|ours| reaches(ours, wanted));
        let alone = Demand { policy: None, ..*self.demand };
        let by_hold =
            || Gate { demand: &alone, within: Cow::Borrowed(alone.hold) }.find(wanted, skill).is_ok();
        is_silent || (self.find(wanted, skill).is_err() && by_hold())
    }

    fn may_not(&self, wanted: &Capability) -> Denied {
        let demand = self.demand;
        let hint = if demand.hold.is_empty() {
            "the delegating task holds no capabilities at all: its agent was registered without any \
             that reach this far"
        } else {
            "the delegating task's scope does not admit it now"
        };
        Denied {
            missing: vec![wanted.to_string()],
            rule: DenyRule::MayNotInvoke,
            explanation: format!(
                "delegating to {} needs {wanted}: {hint}; the operator can add it to the delegating agent's caps",
                demand.agent
            ),
        }
    }
}

/// What keeps a capability from admitting this delegation.
fn bar(demand: &Demand<'_>, held: &Capability, skill: Option<&str>) -> Option<Bar> {
    let recent = if held.rates().is_some() { uses(demand.recent, held) } else { Vec::new() };
    let args = Unit::ALL.map(|unit| (unit.name(), Arg::Int(consumed(demand, unit))));
    held.bar(&Request {
        space: "a2a",
        kind: "skill",
        path: &[demand.agent, skill.unwrap_or_default()],
        args: &args,
        time: demand.now,
        hop: 0,
        recent: &recent,
    })
}

/// Seconds until a scope's rates admit one more delegation to this skill; `None` if they do now, or do not matter.
pub(crate) fn rate_wait(
    scope: &crate::Scope,
    agent: &str,
    skill: Option<&str>,
    now: u64,
    recent: &[Invocation<'_>],
) -> Option<u64> {
    let wanted = wanted(agent, skill);
    let waits = scope
        .iter()
        .filter(|held| reaches(held, &wanted))
        .map(|held| held.rates().and_then(|rates| rates.wait(now, &uses(recent, held))));
    // One capability that admits it is enough; with none that speaks of it there is no rate to keep.
    waits.reduce(|a, b| Some(a?.min(b?))).flatten()
}

fn wanted(agent: &str, skill: Option<&str>) -> Capability {
    skill.map_or_else(|| Capability::invoke_any(agent), |skill| Capability::invoke(agent, skill))
}

/// Whether a capability speaks of what is wanted: of the skill named, or, with none named, of any of the agent's.
fn reaches(held: &Capability, wanted: &Capability) -> bool {
    held.is_akin(wanted) && held.resource().meet(wanted.resource()).is_some()
}

/// What the delegation itself uses up, with what its delegate may use up at least.
fn consumed(demand: &Demand<'_>, unit: Unit) -> u64 {
    let fee = crate::ledger::DELEGATION_FEE.get(unit);
    demand.budget.get(unit).unwrap_or(0).saturating_add(fee)
}

/// When this capability was used before.
fn uses(recent: &[Invocation<'_>], held: &Capability) -> Vec<u64> {
    let used = recent.iter().filter(|before| reaches(held, &wanted(before.agent, before.skill)));
    used.map(|before| before.at).collect()
}

fn forbidden_by_policy(demand: &Demand<'_>, wanted: &Capability) -> Denied {
    Denied {
        missing: vec![wanted.to_string()],
        rule: DenyRule::MayNotInvoke,
        explanation: format!(
            "delegating to {} needs {wanted}, which the account's policy does not admit now; the operator can change it",
            demand.agent
        ),
    }
}
