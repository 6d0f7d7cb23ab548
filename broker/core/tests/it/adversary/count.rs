//! The accountant: what every purse holds, counted from the journal; and, from the texts of scopes alone, what all
//! children together may still do of one thing.

use broker_core::TaskId;
use broker_core::journal::{Allotment, Submission, Terms};
use capability::ledger::{Ceilings, Unit};
use capability::{Arg, Request, Scope};

use super::judge::{Judge, Seen};

/// Things done at tools, each of which all children together may do no oftener than their delegator.
const ACTS: [[&str; 3]; 4] =
    [["mcp", "tool", "search"], ["mcp", "tool", "fetch"], ["mcp", "tool", "send"], ["mcp", "tool", "x"]];

/// What is asked for is a limit.
pub(super) fn lies_within(got: &Ceilings, asked: &Ceilings) {
    for unit in Unit::ALL {
        if let Some(asked) = asked.get(unit) {
            assert!(got.get(unit).is_some_and(|got| got <= asked), "{got:?} is more than {asked:?}");
        }
    }
}

/// Where the delegator is limited, the delegate is, and draws on it.
pub(super) fn draws_on(child: &Submission, parent: &Submission) {
    let Some(above) = parent.terms.purses.first() else { return };
    let own = child.terms.purses.first().expect("below a budget everything has one");
    assert!(own.from.contains(&0), "a task is paid from its delegator's budget");
    for unit in Unit::ALL.into_iter().filter(|unit| above.ceilings.get(*unit).is_some()) {
        assert!(own.ceilings.get(unit).is_some(), "below a limit there is one");
    }
    for (position, capability) in (0_u32..).zip(child.terms.scope.iter()) {
        let limited = !capability.ceilings().is_unlimited();
        let counted = child.terms.purses.iter().any(|purse| purse.capabilities.contains(&position));
        assert_eq!(counted, limited, "{capability} draws on a purse if it is limited");
    }
}

pub(super) fn nothing_is_overspent(judge: &Judge, now: u64) {
    for (task, seen) in &judge.tasks {
        for (index, purse) in (0_u32..).zip(&seen.submission.terms.purses) {
            for unit in Unit::ALL {
                let Some(most) = purse.ceilings.get(unit) else { continue };
                let drawn = drawn(judge, seen, index, unit);
                assert!(drawn <= most, "{drawn} {unit:?} of {most} are gone from purse {index} of {task}");
            }
        }
        for act in &ACTS {
            let Some(most) = ceiling(&seen.submission.terms.scope, act, now, u64::saturating_add) else {
                continue;
            };
            let all: u64 =
                children(judge, seen).map(|child| reach(judge, child, act, now)).fold(0, u64::saturating_add);
            assert!(
                all <= most,
                "children of {task} may do {act:?} {all} times, it itself {most} times:\n{}",
                told(judge, seen)
            );
        }
    }
}

/// What a task and its children hold, for people.
fn told(judge: &Judge, seen: &Seen) -> String {
    let line = |seen: &Seen| {
        let Terms { scope, purses, .. } = &seen.submission.terms;
        format!("{:?} ended: {}, cost {:?}, purses {purses:?}\n", scope.texts(), seen.ended, seen.cost)
    };
    std::iter::once(seen).chain(children(judge, seen)).map(line).collect()
}

/// What a task has left of its own budget.
pub(super) fn left(judge: &Judge, seen: &Seen) -> Ceilings {
    let mut left = Ceilings::default();
    for unit in Unit::ALL {
        let most = seen.submission.terms.purses.first().and_then(|own| own.ceilings.get(unit));
        left.set(unit, most.map(|most| most - drawn(judge, seen, 0, unit)));
    }
    left
}

fn children<'a>(judge: &'a Judge, seen: &'a Seen) -> impl Iterator<Item = &'a Seen> {
    seen.children.iter().map(|child: &TaskId| &judge.tasks[child])
}

/// What is gone from a purse: held for children at work, used up by those that ended, and what delegating costs.
fn drawn(judge: &Judge, seen: &Seen, index: u32, unit: Unit) -> u64 {
    let mut drawn: u64 = 0;
    for child in children(judge, seen) {
        let from_here =
            (0_u32..).zip(&child.submission.terms.purses).filter(|(_, purse)| purse.from.contains(&index));
        for (position, purse) in from_here {
            let is_whole = purse.capabilities.is_empty();
            let fee = u64::from(is_whole && matches!(unit, Unit::Calls | Unit::Fanout));
            let held = if child.ended {
                used(judge, child, position, purse, unit)
            } else {
                purse.ceilings.get(unit).unwrap_or(0)
            };
            drawn = drawn.saturating_add(fee).saturating_add(held);
        }
    }
    drawn
}

/// What a task that ended used up: what it says and what it delegated; all there was, if it does not say.
fn used(judge: &Judge, seen: &Seen, index: u32, purse: &Allotment, unit: Unit) -> u64 {
    let own = if unit == Unit::Fanout { Some(0) } else { seen.cost.get(unit) };
    let delegated = drawn(judge, seen, index, unit);
    match (purse.ceilings.get(unit), own) {
        (Some(most), Some(own)) => own.saturating_add(delegated).min(most),
        (Some(most), None) => most,
        (None, own) => own.unwrap_or(0).saturating_add(delegated),
    }
}

/// How often a task may do an act, or did it at most: of its best capability for it, so rather too little.
fn reach(judge: &Judge, seen: &Seen, act: &[&str; 3], now: u64) -> u64 {
    let best = |scope: &Scope| ceiling(scope, act, now, u64::max).unwrap_or(u64::MAX);
    let most = best(&seen.submission.terms.scope);
    if !seen.ended {
        return most;
    }
    let own = seen.cost.calls.unwrap_or(u64::MAX);
    let below = children(judge, seen).map(|child| reach(judge, child, act, now));
    below.fold(own, u64::saturating_add).min(most)
}

/// The ceilings on calls of the capabilities that admit an act, taken together; `None` if one of them has none.
fn ceiling(scope: &Scope, act: &[&str; 3], time: u64, together: fn(u64, u64) -> u64) -> Option<u64> {
    if scope.is_top() {
        return None;
    }
    let [space, kind, name] = *act;
    let args = ["usd", "calls", "tokens", "fanout"].map(|unit| (unit, Arg::Int(0)));
    let request = Request { space, kind, path: &[name], args: &args, time, hop: 0, recent: &[] };
    let admitting = scope.iter().filter(|capability| capability.admits(&request));
    admitting
        .map(|capability| capability.ceilings().calls)
        .try_fold(0, |sum, calls| Some(together(sum, calls?)))
}
