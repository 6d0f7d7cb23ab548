//! Missing capabilities that somebody further up holds.

use broker_core::delegation::input::{AttemptId, Input, NewGrant, NewTask, RetryWish};
use broker_core::{Refusal, TaskId};
use capability::Scope;
use protocol::TaskState;

use super::world::{World, artifact, candidate, update};

fn first(task: TaskId) -> AttemptId {
    AttemptId { task, number: 1 }
}

/// `a` has passed on to `b` no more than delegating to `c`; `b` asks to delegate to `d`, which `a` could.
pub(crate) fn escalated(world: &mut World) -> (TaskId, TaskId, TaskId) {
    let root = world.delegate(None, "a").unwrap();
    let asked = Some(Scope::parse(["a2a:skill/c/*"]).unwrap());
    let new = NewTask { asked, ..world.new_task(Some(root), "b", RetryWish::default()) };
    let middle = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    let new = NewTask { escalate: true, ..world.new_task(Some(middle), "d", RetryWish::default()) };
    let child = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    (root, middle, child)
}

fn decide(world: &mut World, task: TaskId, approve: bool) -> Result<Option<TaskId>, Refusal> {
    let grant = approve.then(|| Box::new(NewGrant { id: world.fresh(), to: candidate("d") }));
    let id = grant.as_ref().map(|grant| grant.id);
    world.feed(Input::Decide { task, grant, by: "alice".to_owned() }).map(|()| id)
}

#[test]
fn what_a_task_further_up_holds_is_asked_for_and_nothing_is_sent_before_it_is_granted() {
    let mut world = World::new();
    let (_, _, child) = escalated(&mut world);
    let sent = world.sent.len();
    world.crash();
    assert_eq!((world.state(child), world.sent.len()), (TaskState::AuthRequired, sent));
    assert_eq!(world.tree.summary(child).unwrap().missing, ["a2a:skill/d/*"]);
    assert!(world.tree.summary(child).unwrap().scope.is_empty(), "it holds nothing");
}

#[test]
fn what_is_granted_is_granted_to_another_task_below_the_one_that_holds_it() {
    let mut world = World::new();
    let (root, middle, child) = escalated(&mut world);
    let done_by = decide(&mut world, child, true).unwrap().unwrap();
    assert_eq!(world.tree.summary(done_by).unwrap().parent, Some(root));
    assert_eq!(world.state(child), TaskState::Working);
    assert!(decide(&mut world, child, true).is_err(), "it is decided once");
    world.crash();
    world.say(first(done_by), artifact(first(done_by), "x", false));
    world.say(first(done_by), update(first(done_by), TaskState::Completed, Some("done")));
    let task = world.tree.task(child, None).unwrap();
    assert_eq!((task.status.state, task.artifacts.len()), (TaskState::Completed, 1));
    assert_eq!(task.status.message.unwrap().joined_text(), "done");
    assert_eq!(world.state(middle), TaskState::Working);
}

#[test]
fn what_is_denied_is_rejected_and_what_is_no_longer_wanted_is_cancelled() {
    let mut world = World::new();
    let (_, _, child) = escalated(&mut world);
    decide(&mut world, child, false).unwrap();
    assert_eq!(world.state(child), TaskState::Rejected);

    let mut world = World::new();
    let (_, middle, child) = escalated(&mut world);
    let done_by = decide(&mut world, child, true).unwrap().unwrap();
    world.say(first(done_by), update(first(done_by), TaskState::Working, None));
    world.feed(Input::Cancel { task: middle, by: "alice".to_owned() }).unwrap();
    assert_eq!(world.state(child), TaskState::Canceled);
    assert!(world.canceling.contains(&first(done_by)), "{:?}", world.canceling);
}

#[test]
fn a_question_of_the_task_that_does_it_is_asked_by_the_one_it_is_done_for() {
    let mut world = World::new();
    let (_, _, child) = escalated(&mut world);
    let done_by = decide(&mut world, child, true).unwrap().unwrap();
    world.say(first(done_by), update(first(done_by), TaskState::InputRequired, Some("colour?")));
    assert_eq!(world.state(child), TaskState::InputRequired);
    let message = Box::new(protocol::Message::user_text("t", "blue"));
    world.feed(Input::Turn { task: child, message, push: None }).unwrap();
    assert_eq!(world.sent.last().unwrap(), &format!("t.{done_by}.1"));
}

#[test]
fn what_nobody_further_up_holds_is_refused_for_good() {
    let mut world = World::new();
    let root = world.delegate(None, "d").unwrap();
    let new = NewTask { escalate: true, ..world.new_task(Some(root), "c", RetryWish::default()) };
    let refused = world.feed(Input::Delegate(Box::new(new)));
    assert!(matches!(refused, Err(Refusal::CapabilityExceeded { .. })), "{refused:?}");
    assert_eq!(world.tasks(), [root]);
}

#[test]
fn what_is_approved_is_what_was_missing_beside_what_could_be_passed_on_and_nothing_else_the_holder_has() {
    let mut world = World::new();
    let (root, middle, child) = escalated(&mut world);
    let done_by = decide(&mut world, child, true).unwrap().unwrap();
    let scope = |task| Scope::parse(world.tree.summary(task).unwrap().scope).unwrap();
    assert!(Scope::parse(["a2a:skill/e/*"]).unwrap().le(&scope(root)), "the holder and the agent have more");
    assert!(!Scope::parse(["a2a:skill/e/*"]).unwrap().le(&scope(middle)));
    let shown = world.tree.summary(child).unwrap().missing;
    let limit = Scope::parse([world.tree.summary(middle).unwrap().scope, shown].concat()).unwrap();
    assert!(scope(done_by).le(&limit), "{:?} of {:?}", scope(done_by), limit);
}
