//! Nobody said who is to do a task: the caller is asked, and the answer gives it to a delegate.

use broker_core::delegation::BROKER_AGENT;
use broker_core::delegation::input::{AttemptId, Candidate, Failure, Input, NewTask, RetryWish};
use broker_core::journal::{Choice, ChoiceVerdict, Considered, Fallback};
use broker_core::{Refusal, TaskId};
use capability::Scope;
use protocol::{Message, TaskState};

use super::world::{World, candidate, choice, facts, retries, update};

fn weighed(verdict: ChoiceVerdict) -> Choice {
    let considered = |agent: &str| Considered {
        agent: agent.to_owned(),
        description: format!("{agent} works"),
        probability: 0.3,
        why: vec!["its name is in the request".to_owned()],
    };
    let candidates = ["a", "b", "c", "d"].map(considered).to_vec();
    Choice { candidates, ..choice(verdict) }
}

fn ask(world: &mut World, parent: Option<TaskId>, verdict: ChoiceVerdict) -> TaskId {
    let new = world.new_task(parent, BROKER_AGENT, RetryWish::default());
    let id = new.id;
    world.feed(Input::Ask(Box::new(NewTask { choice: Some(Box::new(weighed(verdict))), ..new }))).unwrap();
    id
}

fn say(text: &str) -> Box<Message> {
    Box::new(Message::user_text(text, text))
}

fn choose(
    world: &mut World,
    task: TaskId,
    text: &str,
    agent: &str,
    verdict: ChoiceVerdict,
) -> Result<(), Refusal> {
    let to = Box::new(Candidate { choice: Some(Box::new(choice(verdict))), ..candidate(agent) });
    world.feed(Input::Choose { task, message: say(text), push: None, to })
}

fn parts_sent(world: &World, task: TaskId) -> Vec<String> {
    let dispatch = world.dispatches.iter().rev().find(|dispatch| dispatch.attempt.task == task).unwrap();
    dispatch.message.parts.iter().filter_map(protocol::Part::as_text).collect()
}

#[test]
fn the_caller_is_asked_with_three_candidates_as_data_and_the_pick_gets_the_task() {
    let mut world = World::new();
    let root = ask(&mut world, None, ChoiceVerdict::Unsure);
    let shown = world.tree.task(root, None).unwrap();
    assert_eq!(shown.status.state, TaskState::InputRequired);
    let question = serde_json::to_value(&shown.status.message).unwrap();
    let data = &question["parts"][1]["data"];
    let names: Vec<_> =
        data["candidates"].as_array().unwrap().iter().map(|candidate| &candidate["agent"]).collect();
    assert_eq!(names, ["a", "b", "c"], "{question}");
    assert!(world.sent.is_empty(), "nobody is sent anything yet");

    world.crash();
    assert!(world.seeking.is_empty(), "the caller is asked, not the registry");
    choose(&mut world, root, "b", "b", ChoiceVerdict::Picked).unwrap();
    assert_eq!(parts_sent(&world, root), ["do it"], "a pick adds nothing to what is to be done");
    let summary = world.tree.summary(root).unwrap();
    assert_eq!((summary.agent.as_str(), summary.state), ("b", TaskState::Working));
    assert_eq!(summary.choice.unwrap().verdict, ChoiceVerdict::Picked);
    assert!(choose(&mut world, root, "c", "c", ChoiceVerdict::Picked).is_err(), "it is given away once");

    let attempt = AttemptId { task: root, number: 1 };
    world.say(attempt, update(attempt, TaskState::Completed, Some("done")));
    assert_eq!(world.state(root), TaskState::Completed);
}

#[test]
fn what_is_said_meanwhile_about_the_work_goes_along() {
    let mut world = World::new();
    let root = ask(&mut world, None, ChoiceVerdict::Unsure);
    world
        .feed(Input::AskAgain {
            task: root,
            message: say("in French"),
            push: None,
            choice: Box::new(weighed(ChoiceVerdict::Unsure)),
        })
        .unwrap();
    assert_eq!(world.state(root), TaskState::InputRequired);
    choose(&mut world, root, "for children", "a", ChoiceVerdict::Confident).unwrap();
    assert_eq!(parts_sent(&world, root), ["do it", "in French", "for children"]);
}

#[test]
fn what_is_for_nobody_is_refused_with_the_reason_and_sent_to_nobody() {
    let mut world = World::new();
    let root = ask(&mut world, None, ChoiceVerdict::OutOfScope);
    assert_eq!(world.state(root), TaskState::Rejected);
    assert!(!world.tree.is_open() && world.sent.is_empty());
    assert_eq!(world.tree.summary(root).unwrap().choice.unwrap().verdict, ChoiceVerdict::OutOfScope);

    let mut world = World::new();
    let root = ask(&mut world, None, ChoiceVerdict::Unsure);
    let choice = Box::new(weighed(ChoiceVerdict::OutOfScope));
    world.feed(Input::AskAgain { task: root, message: say("never mind"), push: None, choice }).unwrap();
    assert_eq!(world.state(root), TaskState::Rejected);
}

#[test]
fn the_delegate_gets_no_more_than_was_asked_and_a_refusal_leaves_the_question() {
    let mut world = World::new();
    let new = world.new_task(None, BROKER_AGENT, RetryWish::default());
    let root = new.id;
    let asked = Some(Scope::parse(["a2a:skill/f/*"]).unwrap());
    let new = NewTask { choice: Some(Box::new(weighed(ChoiceVerdict::Unsure))), asked, ..new };
    world.feed(Input::Ask(Box::new(new))).unwrap();
    let held = |world: &World| world.tree.summary(root).unwrap().scope;
    assert!(held(&world).is_empty(), "nobody holds anything before it is chosen");
    choose(&mut world, root, "d", "d", ChoiceVerdict::Picked).unwrap();
    assert_eq!(held(&world), ["a2a:skill/f/*"]);

    let child = {
        let attempt = AttemptId { task: root, number: 1 };
        world.say(attempt, update(attempt, TaskState::Working, None));
        ask(&mut world, Some(root), ChoiceVerdict::Unsure)
    };
    let records = world.journal.len();
    let refused = choose(&mut world, child, "d", "d", ChoiceVerdict::Picked);
    assert!(matches!(refused, Err(Refusal::Cycle { .. })), "{refused:?}");
    assert_eq!((world.state(child), world.journal.len()), (TaskState::InputRequired, records));
}

#[test]
fn a_question_below_is_shown_above_where_its_delegator_is_done_and_its_answer_finds_it() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let attempt = AttemptId { task: root, number: 1 };
    world.say(attempt, update(attempt, TaskState::Working, None));
    let child = ask(&mut world, Some(root), ChoiceVerdict::Unsure);
    assert_eq!(world.tree.asks_for_agent(child), Some(child));
    assert_eq!(world.tree.asks_for_agent(root), None, "its delegator can hear it");
    world.say(attempt, update(attempt, TaskState::Completed, Some("done")));
    assert_eq!(world.state(root), TaskState::InputRequired);
    assert_eq!(world.tree.asks_for_agent(root), Some(child));
    choose(&mut world, root, "b", "b", ChoiceVerdict::Picked).unwrap();
    assert_eq!((world.state(root), world.state(child)), (TaskState::Working, TaskState::Working));
    assert_eq!(world.tree.agent(child), Some("b"));
}

#[test]
fn what_was_said_meanwhile_is_for_the_next_delegate_too() {
    let mut world = World::new();
    let new = world.new_task(None, BROKER_AGENT, retries(1, true, Fallback::Any));
    let root = new.id;
    world
        .feed(Input::Ask(Box::new(NewTask { choice: Some(Box::new(weighed(ChoiceVerdict::Unsure))), ..new })))
        .unwrap();
    choose(&mut world, root, "in French", "a", ChoiceVerdict::Confident).unwrap();
    let attempt = AttemptId { task: root, number: 1 };
    world.fail(attempt, Failure::Refused("not today".to_owned()));
    let search = world.seeking.pop().expect("another delegate is looked for");
    let now = world.now;
    let may_have = |agent: &str| world.tree.would_give(root, facts(agent), None, now, &world.limits);
    assert_eq!((may_have("b").is_ok(), may_have("a").is_ok()), (true, false), "{:?}", may_have("b"));
    world.feed(Input::Reassign { attempt: search.attempt, to: Box::new(candidate("b")) }).unwrap();
    assert_eq!(parts_sent(&world, root), ["do it", "in French"]);
}
