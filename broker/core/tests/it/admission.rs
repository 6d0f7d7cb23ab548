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
    assert_eq!([1, 2].map(|id| agent.enter(task(id), at(0))), [Entry::Admitted; 2]);
    assert_eq!(agent.enter(task(3), at(0)), Entry::Waits);
    for (id, owner) in [(3, "greedy"), (4, "greedy"), (5, "greedy"), (6, "modest"), (3, "greedy")] {
        agent.wait(ticket(id, owner));
    }
    assert_eq!((agent.waiting(), agent.enter(task(7), at(0))), (4, Entry::Full), "a ticket counts once");
    let mut order = Vec::new();
    for done in [1, 2, 3, 6] {
        assert_eq!(agent.next(at(0)), None, "both places are taken");
        agent.set_busy(task(done), false);
        order.extend(admitted(agent.next(at(0))));
    }
    assert_eq!(order, [3, 6, 4, 5].map(task));
}

#[test]
fn whoever_is_about_to_begin_does_not_overtake_whoever_waits() {
    let mut agent = Admission::new(LIMITS);
    agent.wait(ticket(1, "a"));
    assert_eq!(agent.enter(task(2), at(0)), Entry::Waits);
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
    agent.set_busy(task(2), false);
    agent.wait(ticket(4, "a"));
    assert!(admitted(agent.next(at(6_000))).is_some());
    agent.answered();
    assert!(admitted(agent.next(at(6_000))).is_some(), "the agent is back");
}

#[test]
fn a_trial_that_ends_without_a_word_makes_way_for_another() {
    let mut agent = Admission::new(AdmissionLimits { failures: 1, ..LIMITS });
    agent.failed(at(0));
    for id in [1, 2] {
        agent.wait(ticket(id, "a"));
    }
    assert_eq!(admitted(agent.next(at(1_000))), Some(task(1)));
    assert_eq!(agent.next(at(1_000)), None);
    agent.set_busy(task(1), false);
    assert_eq!(admitted(agent.next(at(1_000))), Some(task(2)));
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u8, u8),
    Done(u8),
    Pause(u8),
    Cancel(u8),
    Failed,
    Answered,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), 0_u8..4).prop_map(|(task, owner)| Step::Enter(task, owner)),
        4 => any::<u8>().prop_map(Step::Done),
        2 => any::<u8>().prop_map(Step::Pause),
        1 => any::<u8>().prop_map(Step::Cancel),
        1 => Just(Step::Failed),
        2 => Just(Step::Answered),
        2 => (0_u16..2_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// A slow reference: who is at work, who waits in which order of arrival.
    #[test]
    fn any_history_keeps_the_limit_the_order_and_everybody(steps in prop::collection::vec(step(), 1..80)) {
        let mut agent = Admission::new(LIMITS);
        let (mut now, mut working) = (0, BTreeSet::new());
        let mut arrived: BTreeMap<String, Vec<TaskId>> = BTreeMap::new();
        let (mut sent_away, mut seen) = (0, BTreeSet::new());
        for step in steps {
            match step {
                Step::Enter(id, owner) if seen.insert(id) => {
                    let (id, owner) = (task(u128::from(id)), format!("o{owner}"));
                    match agent.enter(id, at(now)) {
                        Entry::Admitted => {
                            prop_assert!(arrived.values().all(Vec::is_empty), "nobody is overtaken");
                            working.insert(id);
                        }
                        Entry::Waits => {
                            arrived.entry(owner.clone()).or_default().push(id);
                            agent.wait(Ticket { root: id, attempt: AttemptId { task: id, number: 1 }, owner });
                        }
                        Entry::Full => sent_away += 1,
                    }
                }
                Step::Enter(..) => {}
                Step::Done(id) | Step::Pause(id) => {
                    let id = task(u128::from(id));
                    working.remove(&id);
                    agent.set_busy(id, false);
                }
                Step::Cancel(id) => {
                    let id = task(u128::from(id));
                    for queue in arrived.values_mut() {
                        queue.retain(|other| *other != id);
                    }
                    agent.forget(id);
                }
                Step::Failed => agent.failed(at(now)),
                Step::Answered => agent.answered(),
                Step::Pass(millis) => now += i64::from(millis),
            }
            while let Some(turn) = agent.next(at(now)) {
                let (Turn::Admitted(ticket) | Turn::Down(ticket, _)) = &turn;
                let queue = arrived.get_mut(&ticket.owner).unwrap();
                prop_assert_eq!(queue.remove(0), ticket.attempt.task, "each owner's in order");
                if let Turn::Admitted(ticket) = turn {
                    working.insert(ticket.attempt.task);
                }
            }
            prop_assert!(working.len() <= 2, "never more at a time than may be");
            prop_assert_eq!((agent.busy(), agent.waiting()), (working.len(), arrived.values().map(Vec::len).sum()));
        }
        // The agent answers and is done with everything: nobody is left waiting.
        agent.answered();
        for _ in 0..600 {
            if let Some(id) = working.pop_first() {
                agent.set_busy(id, false);
            }
            while let Some(Turn::Admitted(ticket)) = agent.next(at(now)) {
                working.insert(ticket.attempt.task);
            }
        }
        prop_assert!(agent.is_idle(), "{agent:?}, {sent_away} were sent away");
    }
}
