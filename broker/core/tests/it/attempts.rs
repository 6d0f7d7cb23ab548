//! Attempts: queues, retries, other delegates, and outcomes nobody knows.

use broker_core::delegation::input::{AttemptId, Failure, Input, NewTask, RetryWish};
use broker_core::journal::{Fallback, Resolution};
use broker_core::{Limits, Refusal, TaskId};
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::{Message, TaskState};

use super::world::{World, candidate, retries, snapshot, update};

fn attempt(task: TaskId, number: u32) -> AttemptId {
    AttemptId { task, number }
}

fn refused() -> Failure {
    Failure::Refused("not mine".to_owned())
}

/// A root that `b` works on, and that others may take over.
fn with_fallback(world: &mut World, idempotent: bool) -> TaskId {
    let new = world.new_task(None, "b", retries(1, idempotent, Fallback::Any));
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    id
}

fn states(world: &World, task: TaskId) -> Vec<&'static str> {
    world.tree.summary(task).unwrap().attempts.iter().map(|attempt| attempt.state).collect()
}

#[test]
fn a_task_without_a_place_stays_submitted_over_a_crash_and_is_sent_once_it_has_one() {
    let mut world = World::new();
    let mut new = world.new_task(None, "a", RetryWish::default());
    new.admitted = false;
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    world.crash();
    assert_eq!((world.state(id), states(&world, id)), (TaskState::Submitted, vec!["queued"]));
    assert!(world.sent.is_empty() && world.listening.is_empty(), "it was not sent, and nobody asks for it");
    assert_eq!(world.queued, [attempt(id, 1)], "it waits for a place again");
    assert!(world.tree.is_queued(id) && !world.tree.was_sent_to(id, "a"), "its agent knows nothing of it");
    for _ in 0..2 {
        world.feed(Input::Admitted { attempt: attempt(id, 1) }).unwrap();
    }
    assert!(!world.tree.is_queued(id) && world.tree.was_sent_to(id, "a"));
    assert!(!world.tree.was_sent_to(id, "b"));
    assert_eq!(world.sent.len(), 1, "a place is used once");
}

#[test]
fn a_queued_task_is_cancelled_without_asking_anybody() {
    let mut world = World::new();
    let mut new = world.new_task(None, "a", RetryWish::default());
    new.admitted = false;
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    world.feed(Input::Cancel { task: id, by: "alice".to_owned() }).unwrap();
    assert_eq!(world.state(id), TaskState::Canceled);
    assert!(world.canceling.is_empty());
    world.feed(Input::Admitted { attempt: attempt(id, 1) }).unwrap();
    assert!(world.sent.is_empty(), "a place that comes too late sends nothing");
}

#[test]
fn an_agent_that_is_too_busy_is_tried_again_no_sooner_than_it_asked() {
    let mut world = World::new();
    let id = world.delegate(None, "a").unwrap();
    let busy = Failure::Busy { reason: "HTTP 429".to_owned(), retry_after_ms: Some(90_000) };
    world.fail(attempt(id, 1), busy);
    assert_eq!(states(&world, id), ["never_sent", "scheduled"]);
    let due = world.tree.next_timer(&world.limits).unwrap();
    assert_eq!(due.as_millis() - world.now.as_millis(), 90_000);
    world.now = due;
    world.feed(Input::Tick).unwrap();
    assert_eq!(world.queued, [attempt(id, 2)], "another attempt needs a place too");
}

#[test]
fn an_agent_that_asks_to_be_left_alone_past_the_deadline_is_not_waited_for() {
    for (fallback, after) in
        [(Fallback::Any, vec!["never_sent", "seeking"]), (Fallback::None, vec!["never_sent"])]
    {
        let mut world = World::new();
        let new = world.new_task(None, "b", retries(3, false, fallback));
        let id = new.id;
        world.feed(Input::Delegate(Box::new(new))).unwrap();
        let retry_after_ms = Some(world.limits.default_deadline_ms + 1);
        world.fail(attempt(id, 1), Failure::Busy { reason: "full".to_owned(), retry_after_ms });
        assert_eq!(states(&world, id), after);
    }
}

#[test]
fn an_agent_that_is_known_to_be_down_could_not_be_reached_and_is_waited_for_that_long() {
    let down = || Failure::Down { reason: "not tried before noon".to_owned(), retry_after_ms: 90_000 };
    let mut world = World::new();
    let new = world.new_task(None, "b", retries(2, false, Fallback::None));
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    world.fail(attempt(id, 1), down());
    let due = world.tree.next_timer(&world.limits).unwrap();
    assert_eq!(due.as_millis() - world.now.as_millis(), 90_000);
    world.now = due;
    world.feed(Input::Tick).unwrap();
    world.fail(attempt(id, 2), down());
    assert_eq!(states(&world, id), ["never_sent", "never_sent"]);
    let text = world.tree.task(id, None).unwrap().status.message.unwrap().joined_text();
    assert_eq!(text, "b could not be reached: not tried before noon");
}

#[test]
fn waits_are_spread_by_jitter_within_their_bound() {
    let limits = Limits { backoff_ms: 1_000, ..Limits::default() };
    for (jitter, wait) in [(0, 500), (u16::MAX, 1_000), (u16::MAX / 2, 749)] {
        let mut world = World::new();
        world.limits = limits;
        let id = world.delegate(None, "a").unwrap();
        let failure = Failure::NeverSent("no connection".to_owned());
        world.feed(Input::Failed { attempt: attempt(id, 1), failure, jitter }).unwrap();
        let due = world.tree.next_timer(&world.limits).unwrap();
        assert_eq!(due.as_millis() - world.now.as_millis(), wait, "jitter {jitter}");
    }
}

#[test]
fn a_refused_task_goes_to_another_delegate_whose_scope_is_worked_out_anew() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let new = world.new_task(Some(root), "b", retries(1, false, Fallback::Any));
    let child = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    world.fail(attempt(child, 1), refused());
    assert_eq!(world.state(child), TaskState::Submitted, "no end while another delegate is looked for");
    let search = world.seeking.pop().unwrap();
    assert_eq!(search.attempt, attempt(child, 2));
    assert!(search.not.contains(&"b".to_owned()) && search.not.contains(&"a".to_owned()), "{:?}", search.not);
    world.crash();
    assert_eq!(world.seeking.len(), 1, "it is still looked for after a crash");
    world.feed(Input::Reassign { attempt: attempt(child, 2), to: Box::new(candidate("c")) }).unwrap();
    let summary = world.tree.summary(child).unwrap();
    assert_eq!(summary.agent, "c");
    assert_eq!(summary.scope, ["a2a:skill/*/work", "mcp:tool/search{calls<=4}"]);
    assert_eq!(summary.attempts[0].agent.as_deref(), Some("b"));
    world.say(attempt(child, 1), update(attempt(child, 1), TaskState::Completed, Some("late")));
    assert!(!world.state(child).is_terminal(), "the former delegate's word is late");
    world.say(attempt(child, 2), update(attempt(child, 2), TaskState::Completed, None));
    assert_eq!(world.state(child), TaskState::Completed);
}

#[test]
fn where_nobody_else_can_do_it_the_task_ends_as_its_last_attempt_did() {
    for (failure, idempotent, end) in [
        (refused(), false, TaskState::Rejected),
        (Failure::NeverSent("gone".to_owned()), false, TaskState::Failed),
        (Failure::Errored("HTTP 500".to_owned()), true, TaskState::Failed),
    ] {
        let mut world = World::new();
        let id = with_fallback(&mut world, idempotent);
        world.fail(attempt(id, 1), failure);
        assert_eq!(states(&world, id)[1], "seeking");
        world
            .feed(Input::NoDelegate { attempt: attempt(id, 2), reason: "c: lacks a skill".to_owned() })
            .unwrap();
        assert_eq!(world.state(id), end);
        let text = world.tree.task(id, None).unwrap().status.message.unwrap().joined_text();
        assert!(text.contains("no other delegate can do it: c: lacks a skill"), "{text}");
    }
}

#[test]
fn what_may_have_had_effects_goes_to_nobody_else_unless_that_is_harmless() {
    for failure in [Failure::Errored("HTTP 500".to_owned()), Failure::Invalid("garbage".to_owned())] {
        let mut world = World::new();
        let id = with_fallback(&mut world, false);
        world.fail(attempt(id, 1), failure);
        assert!(world.seeking.is_empty());
        assert_eq!(world.state(id), TaskState::Failed);
    }
}

fn turn(world: &mut World, task: TaskId, text: &str) {
    let message = Box::new(Message::user_text(text, text));
    world.feed(Input::Turn { task, message, push: None }).unwrap();
}

#[test]
fn a_further_message_that_is_refused_ends_nothing_and_begins_nothing_anew() {
    let mut world = World::new();
    let id = with_fallback(&mut world, true);
    let first = attempt(id, 1);
    world.say(first, update(first, TaskState::InputRequired, Some("colour?")));
    turn(&mut world, id, "a picture");
    world.fail(first, refused());
    assert_eq!((states(&world, id), world.seeking.len()), (vec!["lost"], 0), "nobody else begins it");
    assert_eq!(world.state(id), TaskState::Working);
    let note = world.tree.task(id, None).unwrap().status.message.unwrap().joined_text();
    assert_eq!(note, "b refused the message: not mine");
    world.crash();
    assert_eq!(world.listening, [first], "the agent is asked how it stands");
    let asks = snapshot(first, TaskState::InputRequired, Some("colour?"));
    world.feed(world.found(first, asks)).unwrap();
    assert_eq!((world.state(id), world.sent.len()), (TaskState::InputRequired, 2), "it is not sent again");
    let question = world.tree.task(id, None).unwrap().status.message.unwrap().joined_text();
    assert_eq!(question, "colour?", "the question stands");
    turn(&mut world, id, "red");
    assert_eq!(world.sent.len(), 3);
    world.say(first, update(first, TaskState::Completed, None));
    assert_eq!((world.state(id), states(&world, id)), (TaskState::Completed, vec!["reported"]));
}

#[test]
fn a_further_message_that_fails_at_the_agent_ends_nothing_either() {
    let mut world = World::new();
    let id = world.delegate(None, "b").unwrap();
    let first = attempt(id, 1);
    world.say(first, update(first, TaskState::Working, None));
    turn(&mut world, id, "hurry");
    world.fail(first, Failure::Errored("HTTP 500".to_owned()));
    assert_eq!((world.state(id), states(&world, id)), (TaskState::Working, vec!["lost"]), "it is asked");
    turn(&mut world, id, "please");
    world.say(first, update(first, TaskState::Completed, None));
    assert_eq!(world.state(id), TaskState::Completed);
}

#[test]
fn a_refusal_by_an_agent_that_has_the_task_is_no_reason_to_give_it_away_or_to_forget_it() {
    let mut world = World::new();
    let id = with_fallback(&mut world, true);
    let first = attempt(id, 1);
    world.say(first, update(first, TaskState::Working, None));
    world.fail(first, refused());
    assert_eq!((states(&world, id), world.seeking.len()), (vec!["lost"], 0));

    world.feed(Input::Cancel { task: id, by: "alice".to_owned() }).unwrap();
    world.fail(first, refused());
    assert_eq!(world.state(id), TaskState::Working, "the agent's answer to the cancel request is waited for");
    assert_eq!(world.canceling, [first]);
    world.feed(Input::CancelAnswered { attempt: first, confirmed: true, reason: None }).unwrap();
    assert_eq!((world.state(id), states(&world, id)), (TaskState::Canceled, vec!["canceled"]));
}

#[test]
fn a_silent_agent_is_stopped_before_the_task_fails_and_replaced_where_that_is_harmless() {
    let mut world = World::new();
    let id = with_fallback(&mut world, false);
    world.say(attempt(id, 1), update(attempt(id, 1), TaskState::Working, None));
    world.fail(attempt(id, 1), Failure::Silent { seconds: 1 });
    assert_eq!((world.state(id).is_terminal(), world.canceling.as_slice()), (false, &[attempt(id, 1)][..]));
    world.feed(Input::CancelAnswered { attempt: attempt(id, 1), confirmed: true, reason: None }).unwrap();
    assert_eq!((world.state(id), states(&world, id)), (TaskState::Failed, vec!["canceled"]));

    let mut world = World::new();
    let id = with_fallback(&mut world, true);
    world.say(attempt(id, 1), update(attempt(id, 1), TaskState::Working, None));
    world.fail(attempt(id, 1), Failure::Silent { seconds: 1 });
    assert_eq!((states(&world, id), world.canceling.len()), (vec!["unknown_outcome", "seeking"], 1));
}

#[test]
fn a_delegate_that_works_further_up_or_had_it_before_is_no_other_delegate() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let new = world.new_task(Some(root), "b", retries(1, false, Fallback::Any));
    let child = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    world.fail(attempt(child, 1), refused());
    for agent in ["a", "b"] {
        let to = Box::new(candidate(agent));
        let refused = world.feed(Input::Reassign { attempt: attempt(child, 2), to });
        assert!(matches!(refused, Err(Refusal::Cycle { .. })), "{agent}: {refused:?}");
    }
}

#[test]
fn what_the_former_delegate_delegated_comes_down_before_another_is_chosen() {
    let mut world = World::new();
    let id = with_fallback(&mut world, true);
    let child = world.delegate(Some(id), "c").unwrap();
    world.say(attempt(child, 1), update(attempt(child, 1), TaskState::Working, None));
    world.fail(attempt(id, 1), Failure::Errored("HTTP 500".to_owned()));
    assert!(world.seeking.is_empty(), "its child is still being cancelled");
    assert_eq!(world.canceling, [attempt(child, 1)]);
    world.feed(Input::CancelAnswered { attempt: attempt(child, 1), confirmed: true, reason: None }).unwrap();
    assert_eq!((world.state(child), world.seeking.len()), (TaskState::Canceled, 1));
}

#[test]
fn another_delegate_gets_what_the_former_one_left_of_the_budget() {
    let mut world = World::new();
    let budget = Ceilings { calls: Some(10), ..Ceilings::default() };
    let root = NewTask { budget, ..world.new_task(None, "a", RetryWish::default()) };
    let root_id = root.id;
    world.feed(Input::Delegate(Box::new(root))).unwrap();
    let own = Ceilings { calls: Some(6), ..Ceilings::default() };
    let new = NewTask { budget: own, ..world.new_task(Some(root_id), "b", retries(1, false, Fallback::Any)) };
    let child = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    world.fail(attempt(child, 1), refused());
    world.feed(Input::Reassign { attempt: attempt(child, 2), to: Box::new(candidate("c")) }).unwrap();
    let left = |world: &World, task| serde_json::to_value(world.tree.summary(task).unwrap().left).unwrap();
    assert_eq!(left(&world, child)["calls"], 6, "a refusal costs nothing");
    assert_eq!(left(&world, root_id)["calls"], 2, "two delegations were paid for, six calls are held");
}

#[test]
fn what_the_operator_says_of_a_skill_goes_before_what_it_says_of_the_agent_and_the_caller_before_both() {
    let wish = |max, idempotent| RetryWish { max_attempts: max, idempotent, fallback: None };
    let mut world = World::new();
    let mut new = world.new_task(None, "a", wish(None, Some(true)));
    new.skill = Some("work".to_owned());
    new.agent.retry = wish(Some(7), Some(false));
    new.agent.skill_retry.insert("work".to_owned(), wish(Some(2), Some(false)));
    new.agent.skills = vec![capability::SkillRequirement { id: "work".to_owned(), requires: Scope::empty() }];
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    for number in 1..=2 {
        world.fail(attempt(id, number), Failure::Errored("HTTP 500".to_owned()));
        let due = world.tree.next_timer(&world.limits);
        if let Some(due) = due.filter(|_| number == 1) {
            world.now = due;
            world.feed(Input::Tick).unwrap();
            world.feed(Input::Admitted { attempt: attempt(id, 2) }).unwrap();
        }
    }
    assert_eq!((world.state(id), states(&world, id).len()), (TaskState::Failed, 2));
}

#[test]
fn an_unknown_outcome_is_held_for_an_operator_and_never_sent_again_unasked() {
    let unknown = || Failure::Unreachable("no answer".to_owned());
    for (resolution, expected) in [
        (Some(Resolution::Retry), "scheduled"),
        (Some(Resolution::Ask), "lost"),
        (Some(Resolution::Fail), "unknown_outcome"),
        (None, "unknown_outcome"),
    ] {
        let mut world = World::new();
        let id = world.delegate(None, "a").unwrap();
        world.fail(attempt(id, 1), Failure::Broken("cut".to_owned()));
        world.fail(attempt(id, 1), unknown());
        assert_eq!((world.state(id).is_terminal(), states(&world, id)), (false, vec!["unknown_outcome"]));
        let until = world.tree.next_timer(&world.limits).unwrap();
        assert_eq!(until.as_millis() - world.now.as_millis(), world.limits.unknown_hold_ms);
        world.crash();
        assert!(world.listening.is_empty(), "nobody is asked while an operator is waited for");
        if let Some(resolution) = resolution {
            world.feed(Input::Resolve { task: id, resolution, by: "op".to_owned() }).unwrap();
            let again = world.feed(Input::Resolve { task: id, resolution, by: "op".to_owned() });
            assert!(again.is_err(), "it is decided once");
        } else {
            world.now = until;
            world.feed(Input::Tick).unwrap();
        }
        assert_eq!(states(&world, id).last(), Some(&expected), "{resolution:?}");
        let fails = matches!(resolution, Some(Resolution::Fail) | None);
        assert_eq!(world.state(id) == TaskState::Failed, fails);
        assert_eq!(world.sent.len(), 1, "{resolution:?}");
    }
}

#[test]
fn an_agent_that_speaks_after_all_settles_an_unknown_outcome() {
    let mut world = World::new();
    let id = world.delegate(None, "a").unwrap();
    world.fail(attempt(id, 1), Failure::Broken("cut".to_owned()));
    world.fail(attempt(id, 1), Failure::Unreachable("no answer".to_owned()));
    world.say(attempt(id, 1), update(attempt(id, 1), TaskState::Completed, Some("done all the same")));
    assert_eq!(world.state(id), TaskState::Completed);
}

#[test]
fn with_no_time_for_operators_an_unknown_outcome_fails_at_once() {
    let mut world = World::new();
    world.limits.unknown_hold_ms = 0;
    let id = world.delegate(None, "a").unwrap();
    world.fail(attempt(id, 1), Failure::Broken("cut".to_owned()));
    world.fail(attempt(id, 1), Failure::Gone("no such task".to_owned()));
    assert_eq!((world.state(id), states(&world, id)), (TaskState::Failed, vec!["unknown_outcome"]));
}

#[test]
fn whoever_looks_for_a_delegate_has_nobody_at_work_who_could_delegate() {
    let mut world = World::new();
    let id = with_fallback(&mut world, true);
    world.fail(attempt(id, 1), refused());
    assert_eq!(states(&world, id), ["refused", "seeking"]);
    let refused = world.delegate(Some(id), "c");
    assert!(matches!(refused, Err(Refusal::NotPossible(_))), "{refused:?}");
    let to = Box::new(candidate("c"));
    world
        .feed(Input::Reassign { attempt: attempt(id, 2), to })
        .expect("the former one stands in nobody's way");
}

#[test]
fn a_message_that_keeps_getting_lost_is_not_sent_for_ever() {
    let mut world = World::new();
    let new = world.new_task(None, "b", retries(1, false, Fallback::None));
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    for _ in 0..50 {
        world.fail(attempt(id, 1), Failure::Broken("reset".to_owned()));
        world.fail(attempt(id, 1), Failure::Absent { conclusive: true });
    }
    assert_eq!(world.sent.len(), world.limits.max_attempts as usize);
    assert_eq!((world.state(id), states(&world, id)), (TaskState::Failed, vec!["never_sent"]));
}

#[test]
fn an_agent_is_asked_further_while_an_operator_may_decide_and_nothing_is_written_about_that() {
    let mut world = World::new();
    let id = world.delegate(None, "b").unwrap();
    let first = attempt(id, 1);
    world.say(first, update(first, TaskState::Working, None));
    world.fail(first, Failure::Broken("reset".to_owned()));
    world.fail(first, Failure::Unreachable("no answer".to_owned()));
    assert_eq!(states(&world, id), ["unknown_outcome"]);
    let (until, records) = (world.tree.next_timer(&world.limits), world.journal.len());
    for _ in 0..3 {
        assert_eq!(world.listening, [first], "it is asked");
        world.fail(first, Failure::Unreachable("still none".to_owned()));
    }
    assert_eq!((world.tree.next_timer(&world.limits), world.journal.len()), (until, records));
    world.crash();
    assert_eq!((world.listening.clone(), world.journal.len()), (vec![first], records));
    world.feed(world.found(first, snapshot(first, TaskState::Completed, Some("done")))).unwrap();
    assert_eq!(world.state(id), TaskState::Completed, "and believed");
}

#[test]
fn a_task_that_is_reported_rejected_goes_to_another_delegate_as_one_that_is_refused_does() {
    let mut world = World::new();
    let id = with_fallback(&mut world, false);
    let first = attempt(id, 1);
    world.say(first, update(first, TaskState::Rejected, Some("not mine")));
    assert_eq!((states(&world, id), world.seeking.len()), (vec!["refused", "seeking"], 1));
    let reason = "e: no".to_owned();
    world.feed(Input::NoDelegate { attempt: attempt(id, 2), reason }).unwrap();
    assert_eq!(world.state(id), TaskState::Rejected);
}

#[test]
fn what_is_harmless_with_one_delegate_is_not_with_the_next_unless_that_is_said_as_well() {
    let harmless = RetryWish { idempotent: Some(true), max_attempts: Some(3), fallback: None };
    for (said_by_caller, after) in
        [(None, vec!["refused", "failed"]), (Some(true), vec!["refused", "failed", "scheduled"])]
    {
        let mut world = World::new();
        let wish =
            RetryWish { idempotent: said_by_caller, max_attempts: Some(3), fallback: Some(Fallback::Any) };
        let mut new = world.new_task(None, "b", wish);
        new.agent.retry = harmless.clone();
        let id = new.id;
        world.feed(Input::Delegate(Box::new(new))).unwrap();
        world.fail(attempt(id, 1), refused());
        world.feed(Input::Reassign { attempt: attempt(id, 2), to: Box::new(candidate("c")) }).unwrap();
        world.crash();
        world.fail(attempt(id, 2), Failure::Errored("500".to_owned()));
        assert_eq!(states(&world, id), after, "as the caller says {said_by_caller:?}");
    }
}
