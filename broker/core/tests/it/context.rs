//! Artifacts given along by reference: a delegate gets what was named, as it is then, and nothing else; nobody gives
//! along what is not his.

use broker_acceptance::{Reference, Specification};
use broker_core::delegation::input::{AttemptId, Failure, Input, NewTask, RetryWish};
use broker_core::{Refusal, TaskId};

use broker_core::journal::Fallback;
use protocol::TaskState;

use super::world::{World, artifact, retries, update};

fn first(task: TaskId) -> AttemptId {
    AttemptId { task, number: 1 }
}

/// A root at A, and a child of it at B that made one artifact of two pieces.
fn made() -> (World, TaskId, TaskId) {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    world.say(first(root), update(first(root), TaskState::Working, None));
    let child = world.delegate(Some(root), "b").unwrap();
    world.say(first(child), artifact(first(child), "x", false));
    world.say(first(child), artifact(first(child), "x", true));
    (world, root, child)
}

fn giving(
    world: &mut World,
    parent: Option<TaskId>,
    retry: RetryWish,
    what: &[(TaskId, &str)],
) -> Result<TaskId, Refusal> {
    let context =
        what.iter().map(|(task, id)| Reference { task: task.to_string(), artifact_id: (*id).to_owned() });
    let said = Specification { context: context.collect(), ..Specification::default() };
    let new = NewTask { specification: Some(Box::new(said)), ..world.new_task(parent, "e", retry) };
    let task = new.id;
    world.feed(Input::Delegate(Box::new(new)))?;
    Ok(task)
}

#[test]
fn a_delegate_gets_what_was_named_behind_the_message_and_is_told_which_parts_that_is() {
    let (mut world, root, child) = made();
    let task = giving(&mut world, Some(root), RetryWish::default(), &[(child, "x")]).unwrap();
    let sent = world.dispatches.last().unwrap();
    let [given] = &sent.passport.given[..] else { panic!("{:?}", sent.passport.given) };
    assert_eq!((given.task, given.artifact_id.as_str()), (child, "x"));
    let own = world.dispatches[0].message.parts.len();
    assert_eq!((given.first_part, given.parts, sent.message.parts.len()), (own, 2, own + 2));
    let made = &world.tree.task(child, None).unwrap().artifacts[0].parts;
    let raw = |parts: &[protocol::Part]| parts.iter().map(|part| part.raw().to_string()).collect::<Vec<_>>();
    assert_eq!(raw(&sent.message.parts[own..]), raw(made));
    let said = &world.tree.task(task, None).unwrap().history[0];
    assert_eq!(said.parts.len(), own, "its delegator said no more than that");
    assert!(world.dispatches[1].passport.given.is_empty(), "nobody else gets anything");
}

#[test]
fn another_attempt_gets_it_as_it_is_by_then_also_after_a_crash() {
    let (mut world, root, child) = made();
    let retry = retries(2, true, Fallback::None);
    let task = giving(&mut world, Some(root), retry, &[(child, "x")]).unwrap();
    world.say(first(child), artifact(first(child), "x", true));
    world.fail(first(task), Failure::Errored("no".to_owned()));
    world.crash();
    world.now = world.now.add_millis(60_000);
    world.feed(Input::Tick).unwrap();
    world.feed(Input::Admitted { attempt: AttemptId { task, number: 2 } }).unwrap();
    let sent = world.dispatches.last().unwrap();
    assert_eq!((sent.attempt.number, sent.passport.given[0].parts), (2, 3));
}

#[test]
fn nobody_gives_along_what_is_not_there_or_not_his() {
    let (mut world, root, child) = made();
    let none = RetryWish::default;
    let refused = |refused: Result<TaskId, Refusal>, why: &str| match refused {
        Err(refusal @ Refusal::NotToGive { .. }) => {
            assert!(refusal.to_string().contains(why), "{refusal}");
        }
        other => panic!("{why}: {other:?}"),
    };
    let before = world.journal.len();
    let root_of_none = giving(&mut world, None, none(), &[(child, "x")]);
    refused(root_of_none, "a task at the root");
    refused(giving(&mut world, Some(root), none(), &[(child, "y")]), "no artifact of that id");
    refused(
        giving(&mut world, Some(root), none(), &[(TaskId(uuid::Uuid::max()), "x")]),
        "or a task below it",
    );
    // What is above or beside a delegator is none of its business.
    world.say(first(root), artifact(first(root), "r", false));
    refused(giving(&mut world, Some(child), none(), &[(root, "r")]), "or a task below it");
    let beside = world.delegate(Some(root), "d").unwrap();
    refused(giving(&mut world, Some(beside), none(), &[(child, "x")]), "or a task below it");
    world.limits.max_task_bytes = 1;
    refused(giving(&mut world, Some(root), none(), &[(child, "x")]), "limits.max_task_size");
    let submitted = |record: &&broker_core::journal::Record| {
        matches!(record.fact, broker_core::journal::Fact::Submitted(_))
    };
    assert_eq!(world.journal[before..].iter().filter(submitted).count(), 1, "nothing came of any");
}

#[test]
fn what_is_withheld_from_its_delegator_is_not_there() {
    let (mut world, root, _) = made();
    let new = NewTask {
        specification: Some(super::world::accepting(false)),
        ..world.new_task(Some(root), "d", RetryWish::default())
    };
    let checked = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    world.say(first(checked), artifact(first(checked), "x", false));
    let refused = giving(&mut world, Some(root), RetryWish::default(), &[(checked, "x")]);
    assert!(matches!(refused, Err(Refusal::NotToGive { .. })), "{refused:?}");
}
