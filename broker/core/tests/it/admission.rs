//! Admission: never more at a time than may be, in order, fairly, and nobody waits for ever.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::admission::{Admission, AdmissionLimits, Entry, Ticket, Turn};
use broker_core::delegation::input::AttemptId;
use broker_core::{TaskId, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

const LIMITS: AdmissionLimits =
    AdmissionLimits { at_once: Some(2), waiting: 4, failures: 3, open_ms: 1_000, max_open_ms: 3_000 };

fn task(id: u128) -> TaskId {
    TaskId(Uuid::from_u128(id))
}

fn ticket(id: u128, owner: &str) -> Ticket {
    Ticket { root: task(id), attempt: AttemptId { task: task(id), number: 1 }, owner: owner.to_owned() }
}

/// The tree says that a task works, and what was taken ahead is released.
fn begin(agent: &mut Admission, id: u128) {
    agent.set_busy(task(id), true);
    agent.release(task(id));
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn admitted(turn: Option<Turn>) -> Option<TaskId> {
    match turn {
        Some(Turn::Admitted(ticket)) => Some(ticket.attempt.task),
        _ => None,
    }
}

#[test]
fn places_are_taken_in_order_and_principals_take_turns() {
    let mut agent = Admission::new(LIMITS);
    assert_eq!([1, 2].map(|id| agent.enter(task(id), "greedy", at(0))), [Entry::Admitted; 2]);
    (1..=2).for_each(|id| begin(&mut agent, id));
    assert_eq!(agent.enter(task(3), "greedy", at(0)), Entry::Waits);
    for (id, owner) in [(3, "greedy"), (4, "greedy"), (5, "greedy"), (6, "modest"), (3, "greedy")] {
        agent.wait(ticket(id, owner));
    }
    assert_eq!(agent.waiting(), 4, "a ticket counts once");
    let mut order = Vec::new();
    for done in [1, 2, 3, 6] {
        assert_eq!(agent.next(at(0)), None, "both places are taken");
        agent.set_busy(task(done), false);
        let next = admitted(agent.next(at(0))).unwrap();
        begin(&mut agent, next.0.as_u128());
        order.push(next);
    }
    assert_eq!(order, [3, 6, 4, 5].map(task));
}

#[test]
fn those_that_come_back_in_any_order_are_served_in_the_order_in_which_they_came_to_be() {
    let mut agent = Admission::new(LIMITS);
    for id in [4, 2, 5, 3, 1] {
        agent.wait(ticket(id, "greedy"));
    }
    let first: Vec<TaskId> = std::iter::from_fn(|| admitted(agent.next(at(0)))).collect();
    assert_eq!(first, [1, 2].map(task));
}

#[test]
fn who_asks_for_much_fills_its_own_queue_and_nobody_elses() {
    let mut agent = Admission::new(AdmissionLimits { at_once: Some(0), ..LIMITS });
    for id in 1..=4 {
        assert_eq!(agent.enter(task(id), "greedy", at(0)), Entry::Waits);
        agent.wait(ticket(id, "greedy"));
        agent.arrived("greedy");
    }
    assert_eq!(agent.enter(task(5), "greedy", at(0)), Entry::Full);
    assert_eq!(agent.enter(task(5), "modest", at(0)), Entry::Waits);
    agent.forget(task(2));
    assert_eq!(agent.enter(task(5), "greedy", at(0)), Entry::Waits, "who is gone waits no longer");
}

#[test]
fn whoever_is_about_to_wait_counts_already() {
    let mut agent = Admission::new(AdmissionLimits { at_once: Some(0), ..LIMITS });
    for id in 1..=4 {
        assert_eq!(agent.enter(task(id), "a", at(0)), Entry::Waits);
    }
    assert_eq!(agent.enter(task(5), "a", at(0)), Entry::Full, "four are on their way");
    agent.arrived("a");
    assert_eq!(agent.enter(task(5), "a", at(0)), Entry::Waits, "one of them never came to be");
}

#[test]
fn failures_of_what_was_under_way_when_the_circuit_opened_keep_it_open_no_longer() {
    let mut agent = Admission::new(LIMITS);
    for _ in 0..30 {
        agent.failed(at(0));
    }
    assert_eq!(agent.is_down(at(0)), Some(at(LIMITS.open_ms)));
}

#[test]
fn what_was_taken_ahead_and_what_the_tree_says_do_not_touch_each_other() {
    let mut agent = Admission::new(AdmissionLimits { at_once: Some(1), ..LIMITS });
    // A task that works here is offered to this agent once more, and that is refused.
    agent.set_busy(task(1), true);
    assert_eq!(agent.enter(task(1), "a", at(0)), Entry::Admitted);
    agent.release(task(1));
    assert_eq!((agent.busy(), agent.enter(task(2), "a", at(0))), (1, Entry::Waits), "it works all the same");
    agent.arrived("a");
    agent.set_busy(task(1), false);
    // Two who ask for the same: one of them is refused before the other has begun.
    assert_eq!([3, 3].map(|id| agent.enter(task(id), "a", at(0))), [Entry::Admitted; 2]);
    agent.release(task(3));
    assert_eq!(
        (agent.busy(), agent.enter(task(2), "a", at(0))),
        (1, Entry::Waits),
        "the other has its place"
    );
    agent.arrived("a");
    agent.release(task(3));
    assert!(agent.is_idle());
}

#[test]
fn whoever_is_about_to_begin_does_not_overtake_whoever_waits() {
    let mut agent = Admission::new(LIMITS);
    agent.wait(ticket(1, "a"));
    assert_eq!(agent.enter(task(2), "b", at(0)), Entry::Waits);
}

#[test]
fn a_circuit_opens_after_failures_in_a_row_and_closes_when_one_attempt_is_answered() {
    let mut agent = Admission::new(LIMITS);
    for _ in 0..2 {
        agent.failed(at(0));
    }
    agent.answered();
    for _ in 0..3 {
        assert_eq!(agent.is_down(at(0)), None, "not in a row");
        agent.failed(at(0));
    }
    assert_eq!(agent.is_down(at(999)), Some(at(1_000)));
    agent.wait(ticket(1, "a"));
    assert_eq!(agent.next(at(999)), Some(Turn::Down(ticket(1, "a"), at(1_000))));
    agent.wait(ticket(2, "a"));
    agent.wait(ticket(3, "a"));
    assert_eq!(admitted(agent.next(at(1_000))), Some(task(2)), "one is tried");
    assert_eq!(agent.next(at(1_000)), None, "and only one");
    agent.failed(at(1_000));
    assert_eq!(agent.is_down(at(1_000)), Some(at(3_000)), "twice as long");
    agent.failed(at(3_000));
    assert_eq!(agent.is_down(at(3_000)), Some(at(6_000)), "never longer than the bound");
    agent.release(task(2));
    agent.wait(ticket(4, "a"));
    assert!(admitted(agent.next(at(6_000))).is_some());
    agent.answered();
    assert!(admitted(agent.next(at(6_000))).is_some(), "the agent is back");
}

#[test]
fn a_trial_that_ends_without_a_word_is_the_next_ones_and_one_that_is_taken_lets_others_in() {
    let mut agent = Admission::new(AdmissionLimits { at_once: Some(4), failures: 1, ..LIMITS });
    agent.failed(at(0));
    for id in 1..=4 {
        agent.wait(ticket(id, "a"));
    }
    assert_eq!(admitted(agent.next(at(1_000))), Some(task(1)));
    assert_eq!(agent.next(at(1_000)), None);
    // It was not even sent.
    agent.release(task(1));
    assert_eq!(admitted(agent.next(at(1_000))), Some(task(2)));
    assert_eq!(agent.next(at(1_000)), None, "still nothing is known of the agent");
    begin(&mut agent, 2);
    agent.took();
    assert_eq!(admitted(agent.next(at(1_000))), Some(task(3)));
    agent.failed(at(1_000));
    assert_eq!(agent.is_down(at(1_000)), Some(at(3_000)), "what it took it did not answer");
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u8, u8),
    /// What was taken ahead is released: it works by then, or never will.
    Settle(u8, bool),
    /// It is over, or waits for something.
    Pause(u8),
    /// It comes back to work.
    Return(u8),
    Cancel(u8),
    Failed,
    Took,
    Answered,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 0_u8..40;
    prop_oneof![
        6 => (id(), 0_u8..4).prop_map(|(task, owner)| Step::Enter(task, owner)),
        6 => (id(), prop::bool::weighted(0.7)).prop_map(|(task, works)| Step::Settle(task, works)),
        4 => id().prop_map(Step::Pause),
        1 => id().prop_map(Step::Return),
        2 => id().prop_map(Step::Cancel),
        1 => Just(Step::Failed),
        1 => Just(Step::Took),
        2 => Just(Step::Answered),
        2 => (0_u16..2_000).prop_map(Step::Pass),
    ]
}

/// A slow reference: for whom a place was taken ahead, who works, and who waits, each owner's oldest first.
#[derive(Debug, Default)]
struct Reference {
    taken: BTreeSet<TaskId>,
    works: BTreeSet<TaskId>,
    /// Those who came back to work without asking.
    returned: BTreeSet<TaskId>,
    waits: BTreeMap<String, Vec<TaskId>>,
}

impl Reference {
    fn placed(&self) -> BTreeSet<TaskId> {
        self.taken.union(&self.works).copied().collect()
    }

    fn waits_for_place(&self, id: TaskId) -> bool {
        self.waits.values().flatten().any(|other| *other == id)
    }

    fn waiting(&self) -> usize {
        self.waits.values().map(Vec::len).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_limit_the_order_and_everybody(steps in prop::collection::vec(step(), 1..120)) {
        let mut agent = Admission::new(LIMITS);
        let (mut now, mut known) = (0, Reference::default());
        for step in steps {
            match step {
                Step::Enter(id, owner) => {
                    let (id, owner) = (task(u128::from(id)), format!("o{owner}"));
                    if known.placed().contains(&id) || known.waits_for_place(id) {
                        continue;
                    }
                    let of_owner = known.waits.get(&owner).map_or(0, Vec::len);
                    match agent.enter(id, &owner, at(now)) {
                        Entry::Admitted => {
                            prop_assert_eq!(known.waiting(), 0, "nobody is overtaken");
                            known.taken.insert(id);
                        }
                        Entry::Waits => {
                            prop_assert!(of_owner < 4, "no principal has more that wait than may");
                            let queue = known.waits.entry(owner.clone()).or_default();
                            queue.push(id);
                            queue.sort_unstable();
                            let attempt = AttemptId { task: id, number: 1 };
                            agent.wait(Ticket { root: id, attempt, owner: owner.clone() });
                            agent.arrived(&owner);
                        }
                        Entry::Full => prop_assert_eq!(of_owner, 4, "nobody is sent away for another's sake"),
                    }
                }
                Step::Settle(id, works) => {
                    let id = task(u128::from(id));
                    if known.taken.remove(&id) {
                        if works {
                            known.works.insert(id);
                            agent.set_busy(id, true);
                        }
                        agent.release(id);
                    }
                }
                Step::Pause(id) => {
                    let id = task(u128::from(id));
                    known.works.remove(&id);
                    known.returned.remove(&id);
                    agent.set_busy(id, false);
                }
                Step::Return(id) => {
                    let id = task(u128::from(id));
                    if known.waits_for_place(id) {
                        continue;
                    }
                    if known.works.insert(id) {
                        known.returned.insert(id);
                    }
                    agent.set_busy(id, true);
                }
                Step::Cancel(id) => {
                    let id = task(u128::from(id));
                    known.waits.values_mut().for_each(|queue| queue.retain(|other| *other != id));
                    agent.forget(id);
                }
                Step::Failed => agent.failed(at(now)),
                Step::Took => agent.took(),
                Step::Answered => agent.answered(),
                Step::Pass(millis) => now += i64::from(millis),
            }
            while let Some(turn) = agent.next(at(now)) {
                let (Turn::Admitted(ticket) | Turn::Down(ticket, _)) = &turn;
                let queue = known.waits.get_mut(&ticket.owner).unwrap();
                prop_assert_eq!(queue.remove(0), ticket.attempt.task, "each owner's in order");
                if let Turn::Admitted(ticket) = turn {
                    known.taken.insert(ticket.attempt.task);
                }
            }
            let placed = known.placed();
            let unasked = placed.intersection(&known.returned).count();
            prop_assert!(placed.len() - unasked <= 2, "never more at a time than may be");
            prop_assert_eq!((agent.busy(), agent.waiting()), (placed.len(), known.waiting()));
        }
        // The agent answers and is done with everything: nobody is left waiting, and no place is left taken.
        agent.answered();
        for _ in 0..60 {
            for id in std::mem::take(&mut known.taken) {
                agent.release(id);
            }
            for id in std::mem::take(&mut known.works) {
                agent.set_busy(id, false);
            }
            while let Some(Turn::Admitted(ticket)) = agent.next(at(now)) {
                known.taken.insert(ticket.attempt.task);
            }
        }
        prop_assert!(agent.is_idle(), "{agent:?}");
    }
}
