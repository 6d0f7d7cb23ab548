//! Further messages: each reaches the agent once, or the caller hears that it may not have.

use broker_core::delegation::input::{AttemptId, Failure, Input, NewHandOff};
use broker_core::journal::{Fact, Fallback, PushConfig};
use broker_core::{Refusal, TaskId};
use capability::Scope;
use protocol::{Message, Part, StreamResponse, Task, TaskState};

use super::world::{World, candidate, retries, snapshot, update};

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

fn shown(world: &World, task: TaskId) -> String {
    world.tree.task(task, None).unwrap().status.message.unwrap().joined_text()
}

/// How often a further message was sent in an attempt.
fn times(world: &World, id: &str, attempt: AttemptId) -> usize {
    let id = format!("{id}.{}.{}", attempt.task, attempt.number);
    world.sent.iter().filter(|sent| **sent == id).count()
}

/// The agent's task, showing what it was sent at first and nothing else.
fn lacking(attempt: AttemptId, state: TaskState, text: Option<&str>) -> Task {
    let mut found = snapshot(attempt, state, text);
    let AttemptId { task, number } = attempt;
    found.history.push(Message::user_text(format!("m{task}.{task}.{number}"), "do it"));
    found
}

fn texts(message: &Message) -> Vec<String> {
    message.parts.iter().filter_map(Part::as_text).collect()
}

#[test]
fn a_word_that_was_on_its_way_before_a_further_message_does_not_say_that_this_arrived() {
    for (queued, text) in [(TaskState::Working, "still at it"), (TaskState::InputRequired, "colour?")] {
        let (mut world, id, at) = under_way(TaskState::Working, "at it");
        turn(&mut world, id, "t").unwrap();
        world.say(at, update(at, queued, Some(text)));
        assert_eq!(world.state(id), queued);
        assert!(
            !world.tree.waits_for_caller(at),
            "whoever listens has to find out what became of the message"
        );
        world.crash();
        assert_eq!(world.listening, [at], "the agent is asked, whatever it asks itself");
        world.fail(at, Failure::StreamEnded);
        world.feed(world.found(at, lacking(at, queued, Some(text)))).unwrap();
        assert_eq!(times(&world, "t", at), 2, "{queued:?}: the agent lacks it");
        assert!(turn(&mut world, id, "u").is_err(), "one at a time");
        world.feed(world.taken(at)).unwrap();
        turn(&mut world, id, "u").unwrap();
    }
}

#[test]
fn an_agent_that_went_on_before_the_answer_came_has_it_only_if_it_says_so() {
    for (is_taken, expected) in [(false, 2), (true, 1)] {
        let (mut world, id, at) = under_way(TaskState::AuthRequired, "sign in");
        turn(&mut world, id, "t").unwrap();
        if is_taken {
            world.feed(world.taken(at)).unwrap();
        }
        world.say(at, update(at, TaskState::Working, Some("signed in elsewhere")));
        assert_eq!(turn(&mut world, id, "u").is_ok(), is_taken, "once it is known to have the answer");
        world.fail(at, Failure::Broken("reset".to_owned()));
        let found = lacking(at, TaskState::Working, Some("signed in elsewhere"));
        world.feed(world.found(at, found)).unwrap();
        assert_eq!(times(&world, "t", at), expected);
    }
}

#[test]
fn an_answer_that_is_taken_makes_room_for_the_next_message_once_the_agent_goes_on_without_a_word() {
    let (mut world, id, at) = under_way(TaskState::InputRequired, "colour?");
    turn(&mut world, id, "blue").unwrap();
    world.feed(world.taken(at)).unwrap();
    world.say(at, StreamResponse::Task(snapshot(at, TaskState::InputRequired, Some("colour?"))));
    assert_eq!(world.state(id), TaskState::Working, "the question as it was");
    world.say(at, update(at, TaskState::Working, None));
    turn(&mut world, id, "hurry").unwrap();
}

#[test]
fn where_an_agent_does_not_show_what_it_was_told_nothing_is_resent_and_the_caller_hears_of_it() {
    let (mut world, id, at) = under_way(TaskState::Working, "at it");
    turn(&mut world, id, "t").unwrap();
    world.crash();
    world.feed(world.found(at, snapshot(at, TaskState::Working, Some("at it")))).unwrap();
    assert_eq!(times(&world, "t", at), 1);
    let note = shown(&world, id);
    assert!(note.contains("b does not show whether it got the last message"), "{note}");
    turn(&mut world, id, "u").expect("what cannot be known stands in nobody's way");
}

#[test]
fn another_attempt_begins_with_all_that_the_caller_has_said() {
    let mut world = World::new();
    let new = world.new_task(None, "b", retries(2, true, Fallback::Any));
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    let at = first(id);
    world.say(at, update(at, TaskState::Working, None));
    turn(&mut world, id, "in red").unwrap();
    world.feed(world.taken(at)).unwrap();
    turn(&mut world, id, "hurry").unwrap();
    world.fail(at, Failure::Gone("no such task".to_owned()));
    world.now = world.tree.next_timer(&world.limits).unwrap();
    world.feed(Input::Tick).unwrap();
    world.crash();
    let second = AttemptId { task: id, number: 2 };
    world.feed(Input::Admitted { attempt: second }).unwrap();
    let sent = &world.dispatches.last().unwrap().message;
    assert_eq!(texts(sent), ["do it", "in red", "hurry"]);
    assert_eq!(sent.message_id, format!("m{id}.{id}.2"));
    world.say(second, update(second, TaskState::Working, None));
    turn(&mut world, id, "with a border").expect("nothing of the attempt before is waited for");
    assert_eq!(texts(&world.dispatches.last().unwrap().message), ["with a border"]);

    world.fail(second, Failure::Gone("no such task".to_owned()));
    let third = AttemptId { task: id, number: 3 };
    world.feed(Input::Reassign { attempt: third, to: Box::new(candidate("c")) }).unwrap();
    let sent = &world.dispatches.last().unwrap().message;
    assert_eq!(texts(sent), ["do it", "in red", "hurry", "with a border"], "another delegate as well");
}

#[test]
fn whoever_is_handed_a_task_is_told_by_the_agent_that_gives_it_away_and_by_the_caller_from_then_on() {
    let (mut world, id, at) = under_way(TaskState::Working, "at it");
    turn(&mut world, id, "in red").unwrap();
    world.feed(world.taken(at)).unwrap();
    let message = Message::user_text("over", "paint it red");
    let handoff =
        NewHandOff { task: id, held: Scope::top(), to: candidate("c"), skill: None, asked: None, message };
    world.feed(Input::HandOff(Box::new(handoff))).unwrap();
    assert_eq!(texts(&world.dispatches.last().unwrap().message), ["paint it red"]);
}

#[test]
fn an_answer_that_was_taken_is_sent_again_only_where_the_history_proves_that_it_is_gone() {
    let (mut world, id, at) = under_way(TaskState::InputRequired, "colour?");
    turn(&mut world, id, "t").unwrap();
    world.feed(world.taken(at)).unwrap();
    world.crash();
    for _ in 0..5 {
        world.feed(world.found(at, snapshot(at, TaskState::InputRequired, Some("colour?")))).unwrap();
        world.feed(world.taken(at)).unwrap();
    }
    assert_eq!(times(&world, "t", at), 1, "it may take its time");
    world.feed(world.found(at, lacking(at, TaskState::InputRequired, Some("colour?")))).unwrap();
    assert_eq!(times(&world, "t", at), 2, "it was answered, and forgotten");
    assert_eq!(world.state(id), TaskState::Working);
}

#[test]
fn a_further_message_that_keeps_getting_lost_is_given_up_and_its_question_stands_again() {
    let (mut world, id, at) = under_way(TaskState::InputRequired, "colour?");
    turn(&mut world, id, "t").unwrap();
    for _ in 0..50 {
        world.crash();
        if world.listening.is_empty() {
            break;
        }
        world.feed(world.found(at, snapshot(at, TaskState::InputRequired, Some("colour?")))).unwrap();
    }
    assert_eq!(times(&world, "t", at), world.limits.max_attempts as usize);
    assert_eq!((world.state(id), shown(&world, id)), (TaskState::InputRequired, "colour?".to_owned()));
    let said = world.journal.iter().map(|record| serde_json::to_string(record).unwrap());
    let said: Vec<String> = said.filter(|record| record.contains("lost the message 10 times")).collect();
    assert!(!said.is_empty(), "the caller hears why");
    turn(&mut world, id, "u").unwrap();
}

#[test]
fn a_task_that_is_being_cancelled_is_sent_nothing_more() {
    let (mut world, id, at) = under_way(TaskState::InputRequired, "colour?");
    turn(&mut world, id, "t").unwrap();
    world.feed(Input::Cancel { task: id, by: "alice".to_owned() }).unwrap();
    world.feed(world.found(at, lacking(at, TaskState::InputRequired, Some("colour?")))).unwrap();
    assert_eq!(times(&world, "t", at), 1);
}

#[test]
fn a_further_message_begins_no_task_at_an_agent_whose_attempt_is_over() {
    let spoil: [fn(&mut Task); 2] = [
        |found| "another".clone_into(&mut found.id),
        |found| found.history.push(Message::agent_text("long", &"x".repeat(30_000))),
    ];
    for spoil in spoil {
        let (mut world, id, at) = under_way(TaskState::InputRequired, "colour?");
        world.limits.max_task_bytes = 20_000;
        turn(&mut world, id, "t").unwrap();
        world.crash();
        let mut found = lacking(at, TaskState::InputRequired, Some("colour?"));
        spoil(&mut found);
        world.feed(world.found(at, found)).unwrap();
        assert_eq!((states(&world, id), times(&world, "t", at)), (vec!["failed"], 1));
    }
}
