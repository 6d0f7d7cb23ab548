//! Where events are pushed is a fact of the task: it folds, it is bounded, and it changes nothing of the task's life.

use std::collections::BTreeMap;

use broker_core::delegation::input::{AttemptId, Input, RetryWish};
use broker_core::journal::{Fact, PushConfig, Record};
use broker_core::{Refusal, TaskId};
use proptest::prelude::*;
use protocol::{Secret, TaskState, Version};

use super::model;
use super::world::{World, update};

fn config(id: &str, number: usize) -> PushConfig {
    PushConfig {
        id: id.to_owned(),
        url: format!("https://receiver.example/{number}"),
        token: Some(Secret::new("tok-s3cret")),
        scheme: Some("Bearer".to_owned()),
        credentials: Some(Secret::new("cred-s3cret")),
        version: Version::V1,
    }
}

fn set(world: &mut World, task: TaskId, config: PushConfig) -> Result<(), Refusal> {
    world.feed(Input::SetPush { task, config: Box::new(config) })
}

fn shown(world: &World, task: TaskId) -> Vec<(String, String, u64)> {
    world.tree.pushes(task).map(|push| (push.config.id.clone(), push.config.url.clone(), push.set)).collect()
}

#[test]
fn a_new_task_can_have_one_from_its_first_event_on() {
    let mut world = World::new();
    let mut new = world.new_task(None, "a", RetryWish::default());
    let task = new.id;
    new.push = Some(config("c", 1));
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    assert_eq!(shown(&world, task), [("c".to_owned(), "https://receiver.example/1".to_owned(), 2)]);
    let first_shown = world.journal.iter().find(|record| world.tree.event(record).is_some());
    assert!(first_shown.is_none_or(|record| record.seq > 2));
    assert!(!format!("{:?}", world.tree).contains("s3cret"), "secrets are not printed");
    let stored: Vec<u8> = world.journal.iter().flat_map(|record| record.encode().unwrap()).collect();
    assert!(String::from_utf8(stored).unwrap().contains("cred-s3cret"), "but kept");
}

#[test]
fn one_that_an_earlier_broker_wrote_is_of_1_0_and_the_version_of_another_is_kept() {
    let earlier: PushConfig =
        serde_json::from_str(r#"{"id":"c","url":"https://receiver.example/1","token":"t"}"#).unwrap();
    assert_eq!(earlier.version, Version::V1);
    let old = PushConfig { version: Version::V03, ..config("c", 1) };
    let stored = serde_json::to_string(&old).unwrap();
    assert!(stored.contains(r#""version":"0.3""#), "{stored}");
    assert_eq!(serde_json::from_str::<PushConfig>(&stored).unwrap(), old);
}

#[test]
fn they_are_bounded_and_replacing_one_is_not_adding_one() {
    let mut world = World::new();
    world.limits.max_push_configs = 2;
    let task = world.delegate(None, "a").unwrap();
    for (number, id) in ["x", "y", "x"].into_iter().enumerate() {
        set(&mut world, task, config(id, number)).unwrap();
    }
    let refused = set(&mut world, task, config("z", 9)).unwrap_err();
    assert!(refused.to_string().contains("push.max_configs"), "{refused}");
    world.feed(Input::DeletePush { task, id: "y".to_owned() }).unwrap();
    set(&mut world, task, config("z", 9)).unwrap();
    let ids: Vec<String> = shown(&world, task).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, ["x", "z"]);
    let nowhere = TaskId(uuid::Uuid::from_u128(99));
    assert_eq!(set(&mut world, nowhere, config("x", 0)), Err(Refusal::NotFound));
}

#[derive(Debug, Clone)]
enum Step {
    Set(usize),
    Delete(usize),
    Work,
    End,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..4_usize).prop_map(Step::Set),
        2 => (0..4_usize).prop_map(Step::Delete),
        2 => Just(Step::Work),
        1 => Just(Step::End),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #[test]
    fn they_are_what_a_map_says_through_crashes_and_after_the_end(steps in steps()) {
        let mut world = World::new();
        let task = world.delegate(None, "a").unwrap();
        let attempt = AttemptId { task, number: 1 };
        let mut expected: BTreeMap<String, (String, u64)> = BTreeMap::new();
        for (number, step) in steps.iter().enumerate() {
            let before = (world.tree.state(task), world.tree.is_open());
            match step {
                Step::Set(id) => {
                    set(&mut world, task, config(&id.to_string(), number)).unwrap();
                    let seq = world.tree.seq(task).unwrap();
                    expected.insert(id.to_string(), (format!("https://receiver.example/{number}"), seq));
                }
                Step::Delete(id) => {
                    world.feed(Input::DeletePush { task, id: id.to_string() }).unwrap();
                    expected.remove(&id.to_string());
                }
                Step::Work => world.say(attempt, update(attempt, TaskState::Working, Some("on it"))),
                Step::End => world.say(attempt, update(attempt, TaskState::Completed, None)),
                Step::Crash => world.crash(),
            }
            if matches!(step, Step::Set(_) | Step::Delete(_)) {
                assert_eq!(before, (world.tree.state(task), world.tree.is_open()), "the task lives as it did");
                let is_hidden = |record: &Record| {
                    !matches!(record.fact, Fact::PushSet(_) | Fact::PushDeleted { .. })
                        || world.tree.event(record).is_none()
                };
                assert!(world.journal.iter().all(is_hidden), "subscribers see nothing of it");
            }
            let expected: Vec<_> =
                expected.iter().map(|(id, (url, set))| (id.clone(), url.clone(), *set)).collect();
            assert_eq!(shown(&world, task), expected);
        }
        model::check(&world.journal);
    }
}
