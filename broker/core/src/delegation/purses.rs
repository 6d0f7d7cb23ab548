//! The purses of a tree: what each task, and each of its capabilities with ceilings, may use up.
//!
//! A task's first purse is the task's own: it is reserved with the delegator's, and with those of the capabilities it was
//! invoked under. Each further purse is shared by the capabilities that come from one purse of the delegator, so that
//! splitting a capability does not multiply its ceiling; and each of those that share has one of its own besides, so that
//! sharing does not let one be used up in the place of another. Purses are opened by the record that submits a task and closed
//! by the one that ends it: reservation and state are one append.

use std::borrow::Cow;
use std::collections::BTreeMap;

use capability::ledger::{Amounts, Ceilings, DELEGATION_FEE, Exhausted, Ledger, Unit};
use capability::{Allowed, Capability, Scope};

use super::Nodes;
use super::draft::Draft;
use super::input::NewTask;
use super::state::{Attempt, Node, Progress};
use crate::TaskId;
use crate::error::Refusal;
use crate::journal::{Allotment, AttemptOutcome, Cost, Terms};

/// The purses of a tree.
pub(super) type Purses = Ledger<PurseId>;

/// A purse of a task, by position among its allotments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PurseId {
    pub(super) task: TaskId,
    pub(super) index: u32,
}

/// Opens the purses of a task that begins on its terms, and charges that it does. One that has none, below a task that has,
/// only waits to be done in another one's place.
pub(super) fn open(nodes: &mut impl Nodes, task: TaskId, parent: Option<TaskId>, terms: &Terms) {
    for (index, purse) in (0..).zip(&terms.purses) {
        let from: Vec<PurseId> = parent.map_or_else(Vec::new, |task| ids(task, &purse.from));
        let (ledger, id) = (nodes.ledger_mut(), PurseId { task, index });
        if ledger.open(id, &from, purse.ceilings, fee(purse)).is_err() {
            // An older version may have given what was not there. What cannot be reserved is nothing, never unlimited.
            let _ = ledger.open(id, &[], nothing_of(&purse.ceilings), Amounts::default());
        }
    }
    let is_below = |parent| nodes.ledger_mut().get(&PurseId { task: parent, index: 0 }).is_some();
    if !terms.purses.is_empty() || !parent.is_some_and(is_below) {
        nodes.spend(&DELEGATION_FEE, &DELEGATION_FEE);
    }
}

/// Ceilings for the same, at nothing.
fn nothing_of(ceilings: &Ceilings) -> Ceilings {
    let mut nothing = *ceilings;
    for unit in Unit::ALL {
        nothing.set(unit, ceilings.get(unit).map(|_| 0));
    }
    nothing
}

/// Closes the purses of a task that ended, or goes on with another agent. How much was delegated the broker knows itself;
/// of a capability no more was used up than the task used up in all.
pub(super) fn close(nodes: &mut impl Nodes, task: TaskId, terms: &Terms, cost: &Cost) {
    let own = own_cost(cost);
    let close = |(index, _)| nodes.ledger_mut().close(&PurseId { task, index }, &own);
    let charged: Vec<_> = (0..).zip(&terms.purses).map(close).collect();
    let mut said = Amounts::default();
    for unit in Unit::ALL {
        said.set(unit, own(unit).unwrap_or(0));
    }
    // The first purse is that of the task as a whole. Where nothing is limited, what is not known counts as nothing.
    nodes.spend(&charged.into_iter().next().flatten().unwrap_or(said), &said);
}

/// What is charged to a task's purses: delegations are counted where they are made.
fn own_cost(cost: &Cost) -> impl Fn(Unit) -> Option<u64> {
    |unit| if unit == Unit::Fanout { Some(0) } else { cost.get(unit) }
}

/// The purses, those of a task charged with what it used up by itself so far, which they are not yet. What is not known is as
/// good as used up.
pub(super) fn charged<'l>(ledger: &'l Purses, node: &Node, used: &Cost) -> Cow<'l, Purses> {
    let mut ledger = Cow::Borrowed(ledger);
    for (index, _) in (0..).zip(&node.terms().purses) {
        ledger.to_mut().charge(&PurseId { task: node.id, index }, own_cost(used));
    }
    ledger
}

/// What a tree may still come to cost: its root's ceilings, without what was charged to it and to all below it so far. An
/// open purse keeps what was charged to itself and what is closed below it; its parents hear of that when it closes.
pub(super) fn held_for(ledger: &Purses, root: TaskId) -> Amounts {
    let Some(purse) = ledger.get(&PurseId { task: root, index: 0 }) else { return Amounts::default() };
    let of_tasks = ledger.iter().filter(|(id, _)| id.index == 0);
    let charged = of_tasks.fold(Amounts::default(), |sum, (_, purse)| sum.plus(&purse.spent));
    purse.ceilings.amounts().less(&charged)
}

/// What a task holds, its ceilings lowered to what is left.
pub(super) fn left_of(node: &Node, ledger: &Ledger<PurseId>) -> Scope {
    if node.terms().purses.is_empty() {
        return node.terms().scope.clone();
    }
    Scope::of(held(node, ledger).map(|(capability, _)| capability))
}

/// A capability, and the purses it draws on.
type Held = (Capability, Vec<u32>);

/// The capabilities a task holds now, each with the purses it draws on.
fn held<'a>(node: &'a Node, ledger: &'a Ledger<PurseId>) -> impl Iterator<Item = Held> + 'a {
    (0..).zip(node.terms().scope.iter()).map(move |(position, capability)| {
        let purses = (0..).zip(&node.terms().purses);
        let its = purses.filter(|(_, purse)| purse.capabilities.contains(&position));
        let its: Vec<u32> = its.map(|(index, _)| index).collect();
        let lower = |capability: Capability, &index: &u32| {
            capability.lowered(&ledger.left(&PurseId { task: node.id, index }))
        };
        (its.iter().fold(capability.clone(), lower), its)
    })
}

fn ids(task: TaskId, indices: &[u32]) -> Vec<PurseId> {
    indices.iter().map(|&index| PurseId { task, index }).collect()
}

/// A delegation is paid for once, with the purse of the task as a whole.
fn fee(purse: &Allotment) -> Amounts {
    if purse.capabilities.is_empty() { DELEGATION_FEE } else { Amounts::default() }
}

impl Draft<'_> {
    /// The purses of a new task, each reserved in turn on a copy of the ledger.
    pub(super) fn allot(
        &self,
        new: &NewTask,
        parent: Option<&Node>,
        allowed: &Allowed,
        ledger: &Purses,
    ) -> Result<Vec<Allotment>, Refusal> {
        let limited = parent.is_some_and(|parent| !parent.terms().purses.is_empty());
        let scope = &allowed.effective;
        let has_ceilings = |capability: &Capability| !capability.ceilings().is_unlimited();
        if !limited
            && new.budget.is_unlimited()
            && !allowed.under.iter().any(has_ceilings)
            && !scope.iter().any(has_ceilings)
        {
            return Ok(Vec::new());
        }
        let held: Vec<Held> = parent.map(|parent| held(parent, ledger).collect()).unwrap_or_default();
        let mut trial = Trial { new, ledger: ledger.clone(), purses: Vec::new() };
        let mut whole = whole_task(new, limited, &held, allowed);
        let within = whole.from.clone();
        if let Some(parent) = parent {
            let offer = ledger.offer(&ids(parent.id, &within), whole.ceilings, DELEGATION_FEE);
            self.share(&mut whole, new, &offer.map_err(exhausted)?);
        }
        trial.reserve(whole)?;
        let left = |index| parent.map(|parent| ledger.left(&PurseId { task: parent.id, index }));
        for purse in capability_purses(scope, &held, &within, |index| left(index).unwrap_or_default()) {
            trial.reserve(purse)?;
        }
        Ok(trial.purses)
    }

    /// Leaves something for the next one: where nothing was asked for, only a share of what is left is reserved.
    fn share(&self, whole: &mut Allotment, new: &NewTask, offer: &Ceilings) {
        for unit in Unit::ALL.into_iter().filter(|&unit| new.budget.get(unit).is_none()) {
            whole.ceilings.set(unit, offer.get(unit).map(|left| self.limits.share_of(left)));
        }
    }

    /// The purses, those of a delegating task charged with what it has said to have used up.
    pub(super) fn charged_as_said(&self, node: Option<&Node>) -> Cow<'_, Purses> {
        node.map_or(Cow::Borrowed(self.ledger()), |node| charged(self.ledger(), node, &node.cost_said()))
    }

    /// Whether the agent says it used up more than the task has left.
    pub(super) fn is_overspent(&self, task: TaskId) -> Option<Exhausted> {
        let node = self.node(task)?;
        let left = self.ledger().left(&PurseId { task, index: 0 });
        Unit::ALL.into_iter().find_map(|unit| {
            let (wanted, left) = (node.said_on_terms(unit)?, left.get(unit)?);
            (wanted > left).then_some(Exhausted { unit, wanted, left })
        })
    }
}

impl Node {
    /// What the task used up by itself on the terms it is on, as it stands: the sum over their attempts, unknown where an
    /// agent may have worked on one and has not said.
    pub(super) fn cost_on_terms(&self) -> Cost {
        self.cost_where(used_up)
    }

    /// The same where the last agent hands it over, and has said by now what it used up; of attempts before, what was not
    /// said is not known.
    pub(super) fn cost_handed_over(&self) -> Cost {
        let last = self.attempts.last().map(|last| last.number);
        self.cost_where(|attempt, unit| {
            used_up(attempt, unit).or((Some(attempt.number) == last).then_some(0))
        })
    }

    /// What was said so far, whatever may be said yet.
    pub(super) fn cost_said(&self) -> Cost {
        self.cost_where(|attempt, unit| Some(attempt.cost.get(unit).unwrap_or(0)))
    }

    fn cost_where(&self, used_up: impl Fn(&Attempt, Unit) -> Option<u64>) -> Cost {
        let mut cost = Cost::default();
        let is_limited = !self.terms().purses.is_empty();
        for unit in Unit::ALL.into_iter().filter(|&unit| is_limited || self.said_on_terms(unit).is_some()) {
            let mut used = self.attempts_on_terms().map(|attempt| used_up(attempt, unit));
            cost.set(unit, used.try_fold(0_u64, |sum, used| Some(sum.saturating_add(used?))));
        }
        cost
    }

    /// What the agent says it has used up on these terms so far.
    fn said_on_terms(&self, unit: Unit) -> Option<u64> {
        self.attempts_on_terms().filter_map(|attempt| attempt.cost.get(unit)).reduce(u64::saturating_add)
    }

    fn attempts_on_terms(&self) -> impl Iterator<Item = &Attempt> {
        let first = self.first_attempt();
        self.attempts.iter().filter(move |attempt| attempt.number >= first)
    }

    /// What the task as a whole may still use up, of these purses.
    pub(super) fn left_in(&self, ledger: &Purses) -> Ceilings {
        ledger.left(&PurseId { task: self.id, index: 0 })
    }
}

/// What an attempt used up: what the agent says, else nothing if it never began. An agent that hands the task over says
/// by then what it used up.
fn used_up(attempt: &Attempt, unit: Unit) -> Option<u64> {
    let is_settled = !attempt.was_sent()
        || matches!(attempt.progress, Progress::Ended(AttemptOutcome::Refused | AttemptOutcome::HandedOff));
    attempt.cost.get(unit).or(is_settled.then_some(0))
}

/// The purses being reserved for a new task.
struct Trial<'a> {
    new: &'a NewTask,
    ledger: Ledger<PurseId>,
    purses: Vec<Allotment>,
}

impl Trial<'_> {
    fn reserve(&mut self, mut purse: Allotment) -> Result<(), Refusal> {
        let id = PurseId { task: self.new.id, index: u32::try_from(self.purses.len()).unwrap_or(u32::MAX) };
        let from = self.new.parent.map_or_else(Vec::new, |parent| ids(parent, &purse.from));
        self.ledger.open(id, &from, purse.ceilings, fee(&purse)).map_err(exhausted)?;
        // What was not asked for came from what is left.
        purse.ceilings = self.ledger.get(&id).map(|opened| opened.ceilings).unwrap_or_default();
        self.purses.push(purse);
        Ok(())
    }
}

fn exhausted(exhausted: Exhausted) -> Refusal {
    let explanation = format!(
        "the budget of the delegating task does not reach: {exhausted}; ask for a smaller budget, or wait until running \
         delegations return what they do not use"
    );
    Refusal::BudgetExhausted { explanation }
}

/// The purse of the task as a whole: what was asked, and no more than the capabilities it is invoked under allow.
fn whole_task(new: &NewTask, limited: bool, held: &[Held], allowed: &Allowed) -> Allotment {
    let mut ceilings = new.budget;
    for unit in Unit::ALL {
        let most = allowed.under.iter().filter_map(|under| under.ceilings().get(unit)).min();
        let most = most.map(|most| most.saturating_sub(DELEGATION_FEE.get(unit)));
        ceilings.set(unit, ceilings.get(unit).into_iter().chain(most).min());
    }
    let mut from: Vec<u32> = if limited { vec![0] } else { Vec::new() };
    from.extend(allowed.under.iter().flat_map(|under| sources(under, held)));
    from.sort_unstable();
    from.dedup();
    Allotment { ceilings, from, capabilities: Vec::new() }
}

/// One purse for all capabilities that draw on the same purse of the delegator, and one for each that has none to itself
/// by that. What is spent under a capability to delegate is spent by the task itself: a purse the task as a whole is
/// reserved with (`within`) is not reserved with twice.
fn capability_purses(
    scope: &Scope,
    held: &[Held],
    within: &[u32],
    left: impl Fn(u32) -> Ceilings,
) -> Vec<Allotment> {
    let limited = (0_u32..).zip(scope.iter());
    let limited: Vec<_> = limited.filter(|(_, capability)| !capability.ceilings().is_unlimited()).collect();
    let mut sharing: BTreeMap<u32, Vec<(u32, &Capability)>> = BTreeMap::new();
    for &(position, capability) in &limited {
        let is_paid = |purse: &u32| capability.space() == DELEGATION_SPACE && within.contains(purse);
        for &purse in sources(capability, held).iter().filter(|purse| !is_paid(purse)) {
            sharing.entry(purse).or_default().push((position, capability));
        }
    }
    let shared = sharing.into_iter().map(|(purse, sharing)| Allotment {
        ceilings: together(&sharing, &left(purse)),
        from: vec![purse],
        capabilities: sharing.iter().map(|(position, _)| *position).collect(),
    });
    let mut purses: Vec<Allotment> = shared.collect();
    for (position, capability) in limited {
        if !purses.iter().any(|purse| purse.capabilities == [position]) {
            let (ceilings, capabilities) = (capability.ceilings(), vec![position]);
            purses.push(Allotment { ceilings, from: Vec::new(), capabilities });
        }
    }
    purses
}

/// The space of capabilities to delegate.
const DELEGATION_SPACE: &str = "a2a";

/// The delegator's purses a capability draws on: those of the first that covers it; none if one without a purse does.
fn sources<'a>(capability: &Capability, held: &'a [Held]) -> &'a [u32] {
    let covering = || held.iter().filter(|(held, _)| capability.is_within(held));
    match covering().next() {
        Some((_, purses)) if covering().all(|(_, purses)| !purses.is_empty()) => purses,
        _ => &[],
    }
}

/// What capabilities may use up between them: the sum of their ceilings, never more than is left. Where one of them has
/// no ceiling, only what is left bounds them together.
fn together(sharing: &[(u32, &Capability)], left: &Ceilings) -> Ceilings {
    let mut ceilings = Ceilings::default();
    for unit in Unit::ALL {
        let sum = sharing
            .iter()
            .map(|(_, capability)| capability.ceilings().get(unit))
            .try_fold(0_u64, |sum, ceiling| Some(sum.saturating_add(ceiling?)));
        ceilings.set(unit, sum.into_iter().chain(left.get(unit)).min());
    }
    ceilings
}
