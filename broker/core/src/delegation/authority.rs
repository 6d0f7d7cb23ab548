//! What a new task may do: the rule of `capability::decide`, put to what the delegating task has left. Refusals for good
//! are told from those that wait for a rate or a budget.

use capability::{Decision, Demand, Denied, DenyRule, Giver, Invocation, Scope};
use protocol::Timestamp;

use super::draft::Draft;
use super::input::{AgentFacts, NewTask};
use super::on_group::BROKER_AGENT;
use super::purses::{self, Purses};
use super::state::{Delegated, Node};
use crate::TaskId;
use crate::audit::{self, Judged};
use crate::error::Refusal;
use crate::journal::{Allotment, Terms};
use crate::sabotage::{Guard, removed};

const MILLIS_PER_SECOND: i64 = 1_000;

/// What a new task gets.
pub(super) struct Granted {
    pub(super) scope: Scope,
    pub(super) skills: Vec<String>,
    pub(super) purses: Vec<Allotment>,
}

impl Granted {
    /// The terms on which an agent has the task then.
    pub(super) fn terms(self, agent: AgentFacts, skill: Option<String>, agent_context: String) -> Terms {
        let skills = if skill.is_some() { Vec::new() } else { self.skills };
        let AgentFacts { name: agent, identity, .. } = agent;
        Terms { agent, identity, skill, skills, agent_context, scope: self.scope, purses: self.purses }
    }
}

impl Draft<'_> {
    /// `Effective = pass_on(hold) ∩ asked ∩ caps ∩ policy`, and both gates (design §3).
    pub(super) fn authorize(&self, new: &NewTask, audit: &mut audit::Delegation) -> Result<Granted, Refusal> {
        let parent = new.parent.and_then(|parent| self.node(parent));
        self.authorize_with(&self.charged_as_said(parent), new, audit)
    }

    /// The same where this is left in the purses.
    pub(super) fn authorize_with(
        &self,
        ledger: &Purses,
        new: &NewTask,
        audit: &mut audit::Delegation,
    ) -> Result<Granted, Refusal> {
        let parent = new.parent.and_then(|parent| self.node(parent));
        let hold = hold(parent, new, ledger)?;
        let recent = match parent {
            Some(parent) if hold.has_rates() || new.policy.as_ref().is_some_and(Scope::has_rates) => {
                self.invocations_below(parent.id)
            }
            _ => Vec::new(),
        };
        let demand = self.demand(new, &hold, &recent);
        let decision = capability::decide(&demand);
        audit.judged = Some(Judged::new(&demand, &decision));
        let allowed = match decision {
            Decision::Allow(allowed) => allowed,
            Decision::Deny(denied) => return Err(refusal(denied, parent, &demand, new)),
        };
        self.keep_rates_above(new)?;
        let purses = self.allot(new, parent, &allowed, ledger)?;
        Ok(Granted { scope: allowed.effective, skills: allowed.skills, purses })
    }

    fn demand<'a>(&self, new: &'a NewTask, hold: &'a Scope, recent: &'a [Invocation<'a>]) -> Demand<'a> {
        Demand {
            hold,
            giver: self.giver(new.parent),
            asked: new.asked.as_ref(),
            budget: new.budget,
            caps: &new.agent.caps,
            policy: new.policy.as_ref(),
            agent: &new.agent.name,
            skill: new.skill.as_deref(),
            skills: &new.agent.skills,
            now: seconds(self.now),
            recent,
        }
    }

    /// Whose hold it is: a root of the broker's own stands for its principal.
    fn giver(&self, parent: Option<TaskId>) -> Giver {
        let parent = parent.and_then(|parent| self.node(parent));
        let is_principals = |node: &Node| node.submission.group.is_some() && node.submission.parent.is_none();
        if parent.is_none_or(is_principals) { Giver::Principal } else { Giver::Task }
    }

    /// A rate holds for everything below the task that holds it, however far down.
    fn keep_rates_above(&self, new: &NewTask) -> Result<(), Refusal> {
        let Some(parent) = new.parent else { return Ok(()) };
        for above in self.lineage(parent).skip(1).filter(|above| above.terms().scope.has_rates()) {
            let (recent, skill) = (self.invocations_below(above.id), new.skill.as_deref());
            let wait = above.terms().scope.rate_wait(&new.agent.name, skill, seconds(self.now), &recent);
            if let Some(retry_after) = wait {
                let explanation = format!(
                    "delegations to {} below task {} have reached its rate; try again in {retry_after} s",
                    new.agent.name, above.id
                );
                return Err(Refusal::RateExceeded { explanation, retry_after });
            }
        }
        Ok(())
    }

    /// Every delegation below a task so far.
    fn invocations_below(&self, above: TaskId) -> Vec<Invocation<'_>> {
        let tasks = self.all_tasks().into_iter().filter(|&task| task != above);
        let below = tasks.filter(|&task| self.lineage(task).any(|node| node.id == above));
        below.filter_map(|task| self.node(task)).flat_map(invocations).collect()
    }
}

/// What the delegator holds now: its ceilings lowered to what is left, and no more than its credential admits.
pub(super) fn hold(parent: Option<&Node>, new: &NewTask, ledger: &Purses) -> Result<Scope, Refusal> {
    let Some(parent) = parent else { return Ok(new.held.clone()) };
    if removed(Guard::Attenuation) {
        return Ok(Scope::top());
    }
    purses::left_of(parent, ledger).meet(&new.held).map_err(too_complex)
}

/// Each delegate a task has had is one.
fn invocations(node: &Node) -> impl Iterator<Item = Invocation<'_>> {
    let Terms { agent, skill, .. } = node.terms();
    let now = Invocation { agent, skill: skill.as_deref(), at: seconds(node.delegated) };
    let former = node.former.iter().map(|former| {
        let Delegated { agent, skill, at } = former;
        Invocation { agent, skill: skill.as_deref(), at: seconds(*at) }
    });
    // The broker asking whom a task is for is no delegation yet.
    former.chain(std::iter::once(now)).filter(|one| one.agent != BROKER_AGENT)
}

/// A refusal for good says what is missing. If it is missing only because it is used up, it may come back.
fn refusal(denied: Denied, parent: Option<&Node>, demand: &Demand<'_>, new: &NewTask) -> Refusal {
    let Denied { missing, rule, explanation } = denied;
    match rule {
        DenyRule::RateExceeded { retry_after } => Refusal::RateExceeded { explanation, retry_after },
        DenyRule::BudgetExhausted => Refusal::BudgetExhausted { explanation },
        _ if parent.is_some_and(|parent| is_used_up(parent, demand, new)) => {
            let explanation = format!("{explanation} (its ceilings count what is left of them)");
            Refusal::BudgetExhausted { explanation }
        }
        _ => Refusal::CapabilityExceeded { missing, explanation },
    }
}

/// Whether the same would be allowed had nothing been used up yet.
fn is_used_up(parent: &Node, demand: &Demand<'_>, new: &NewTask) -> bool {
    let Ok(hold) = parent.terms().scope.meet(&new.held) else { return false };
    !parent.terms().purses.is_empty()
        && matches!(capability::decide(&Demand { hold: &hold, ..*demand }), Decision::Allow(_))
}

fn too_complex(limit: capability::LimitExceeded) -> Refusal {
    let explanation = format!("{limit}; ask for fewer capabilities");
    Refusal::CapabilityExceeded { missing: Vec::new(), explanation }
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis() / MILLIS_PER_SECOND).unwrap_or(0)
}
