//! Further messages: each reaches the agent once, or the caller hears that it may not have.

use broker_core::delegation::input::{AttemptId, Failure, Input};
use broker_core::journal::{Fact, PushConfig};
use broker_core::{Refusal, TaskId};
use protocol::{Message, TaskState};

use super::world::{World, snapshot, update};

fn first(task: TaskId) -> AttemptId {
    AttemptId { task, number: 1 }
}

fn turn(world: &mut World, task: TaskId, id: &str) -> Result<(), Refusal> {
    world.feed(Input::Turn { task, message: Box::new(Message::user_text(id, id)), push: None })
}

fn states(world: &World, task: TaskId) -> Vec<&'static str> {
    world.tree.summary(task).unwrap().attempts.iter().map(|attempt| attempt.state).collect()
}

/// A task that its agent works on, or asks about.
fn under_way(state: TaskState, said: &str) -> (World, TaskId, AttemptId) {
    let mut world = World::new();
    let id = world.delegate(None, "b").unwrap();
    world.say(first(id), update(first(id), state, Some(said)));
    (world, id, first(id))
}

#[test]
fn an_agent_that_must_be_asked_is_asked_on_after_a_further_message_to_it_failed() {
    let reason = || "because".to_owned();
    for failure in [
        Failure::NeverSent(reason()),
        Failure::Busy { reason: reason(), retry_after_ms: None },
        Failure::Refused(reason()),
        Failure::Errored(reason()),
        Failure::Broken(reason()),
        Failure::StreamEnded,
    ] {
        let (mut world, id, at) = under_way(TaskState::Working, "at it");
        world.fail(at, Failure::Broken(reason()));
        world.fail(at, Failure::Unreachable(reason()));
        assert_eq!(states(&world, id), ["unknown_outcome"]);
        turn(&mut world, id, "t").unwrap();
        // Sending it took the place of asking, and is over.
        world.listening.clear();
        world.fail(at, failure.clone());
        assert_eq!(world.listening, [at], "{failure:?}");
        world.feed(world.found(at, snapshot(at, TaskState::Completed, Some("done")))).unwrap();
        assert_eq!(world.state(id), TaskState::Completed, "{failure:?}");
    }
}

#[test]
fn where_to_push_comes_with_a_further_message_and_not_without_it() {
    let (mut world, id, at) = under_way(TaskState::Working, "at it");
    let push = |id: &str| {
        let url = "https://receiver.example/1".to_owned();
        let (token, scheme, credentials, version) = Default::default();
        Some(Box::new(PushConfig { id: id.to_owned(), url, token, scheme, credentials, version }))
    };
    let say = |world: &mut World, text: &str, push| {
        world.feed(Input::Turn { task: id, message: Box::new(Message::user_text(text, text)), push })
    };
    say(&mut world, "t", push("one")).unwrap();
    assert!(say(&mut world, "u", push("two")).is_err(), "one message at a time");
    world.say(at, update(at, TaskState::Completed, None));
    assert!(say(&mut world, "v", push("three")).is_err(), "it is over");
    let set: Vec<&str> = world.tree.pushes(id).map(|push| push.config.id.as_str()).collect();
    assert_eq!(set, ["one"]);
    let number = |wanted: fn(&Fact) -> bool| world.journal.iter().position(|record| wanted(&record.fact));
    let (set, said) =
        (|fact: &Fact| matches!(fact, Fact::PushSet(_)), |fact: &Fact| matches!(fact, Fact::Turn { .. }));
    assert!(number(set) < number(said), "nothing that comes of the message is missed");
}
