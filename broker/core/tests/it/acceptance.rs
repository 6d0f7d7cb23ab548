//! What is accepted before it is shown: nothing earlier, what failed never, what nobody can decide as unverified; across
//! retries, other delegates, judges, cancellations and crashes.

use broker_acceptance::{Check, Criterion, Verdict};
use broker_core::delegation::BROKER_AGENT;
use broker_core::delegation::input::{AttemptId, Failure, Input, NewHandOff, NewTask, RetryWish};
use broker_core::journal::{Fact, Fallback, Record};
use broker_core::{TaskId, Told, extension};
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::{
    Artifact, Fields, Message, Metadata, Part, StreamResponse, TaskArtifactUpdateEvent, TaskState,
};
use serde_json::Value;

use super::world::{World, accepting, agent_task, artifact, candidate, retries, update};

/// What becomes of a check in random histories: passed, failed, unverified, or the judge is asked, or cannot be.
pub(crate) fn checked(world: &mut World, result: usize, what: usize) -> Option<Input> {
    let attempt = world.checking.get(result % world.checking.len().max(1))?.attempt;
    let verdict = Verdict::of(vec![match what {
        1 => Check::failed(Criterion::Size, "too large"),
        2 => Check::unverified(Criterion::Size, "who knows"),
        _ => Check::passed(Criterion::Size),
    }]);
    let judge = match what {
        3 => Some(Ok(Box::new(asking(world, attempt.task)))),
        4 => Some(Err("it is not there".to_owned())),
        _ => None,
    };
    Some(Input::Checked { attempt, verdict, judge })
}

/// An agent answers as a judge does.
pub(crate) fn judge(world: &mut World, index: usize, accepts: bool) {
    let judges = world.listening.iter().filter(|attempt| is_judge(world, attempt.task));
    let judges: Vec<AttemptId> = judges.copied().collect();
    let Some(&attempt) = judges.get(index % judges.len().max(1)) else { return };
    let verdict = if accepts { "pass" } else { "fail" };
    world.say(attempt, said(attempt, &format!(r#"{{"verdict": "{verdict}", "reasons": ["because"]}}"#)));
    world.say(attempt, update(attempt, TaskState::Completed, None));
}

fn is_judge(world: &World, task: TaskId) -> bool {
    let asks = |record: &Record| matches!(record.fact, Fact::Judging { judge, .. } if judge == task);
    world.journal.iter().any(asks)
}

/// The task that asks the judge, as the service prepares it.
fn asking(world: &mut World, task: TaskId) -> NewTask {
    let new = world.new_task(Some(task), "f", RetryWish::default());
    NewTask { caller: BROKER_AGENT.to_owned(), asked: Some(Scope::empty()), ..new }
}

fn said(attempt: AttemptId, text: &str) -> StreamResponse {
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
        task_id: agent_task(attempt),
        ..TaskArtifactUpdateEvent::whole(Artifact {
            artifact_id: "verdict".to_owned(),
            name: None,
            description: None,
            parts: vec![Part::text(text)],
            metadata: Metadata::default(),
            extensions: Vec::new(),
            unknown: Fields::default(),
        })
    })
}

/// A task whose agent has produced something and says it is done.
fn produced(retry: RetryWish, judged: bool) -> (World, AttemptId) {
    produced_within(Ceilings::default(), retry, judged)
}

fn produced_within(budget: Ceilings, retry: RetryWish, judged: bool) -> (World, AttemptId) {
    let mut world = World::new();
    let specification = Some(accepting(judged));
    let new = NewTask { specification, budget, ..world.new_task(None, "a", retry) };
    let task = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    let attempt = AttemptId { task, number: 1 };
    produce(&mut world, attempt);
    (world, attempt)
}

fn produce(world: &mut World, attempt: AttemptId) {
    world.say(attempt, artifact(attempt, "x", false));
    world.say(attempt, artifact(attempt, "x", true));
    world.say(attempt, update(attempt, TaskState::Completed, Some("bye")));
}

fn passed() -> Verdict {
    Verdict::of(vec![Check::passed(Criterion::Size)])
}

fn failed() -> Verdict {
    Verdict::of(vec![Check::failed(Criterion::Size, "it is too large")])
}

fn check(world: &mut World, attempt: AttemptId, verdict: Verdict) {
    world.feed(Input::Checked { attempt, verdict, judge: None }).unwrap();
}

fn shown(world: &World, task: TaskId) -> String {
    serde_json::to_string(&world.tree.task(task, None).unwrap()).unwrap()
}

fn acceptance(world: &World, task: TaskId) -> Value {
    let metadata = world.tree.task(task, None).unwrap().metadata;
    metadata.get_as::<Value>(extension::URI).unwrap()["acceptance"].clone()
}

#[test]
fn what_passes_is_shown_piece_by_piece_then_and_not_before() {
    let (mut world, attempt) = produced(RetryWish::default(), false);
    assert_eq!(world.state(attempt.task), TaskState::Working);
    assert!(!shown(&world, attempt.task).contains(r#""artifactId":"x""#), "nothing is shown yet");
    let result = &world.checking[0].produced;
    assert_eq!(result.artifacts[0].parts.len(), 2, "it is checked as a whole");
    assert_eq!(result.message.as_ref().map(Message::joined_text).as_deref(), Some("bye"));
    let before = world.journal.len();
    check(&mut world, attempt, passed());
    let events: Vec<_> =
        world.journal[before..].iter().filter_map(|record| world.tree.event(record)).collect();
    assert_eq!(events.len(), 3, "two pieces and the end: {events:?}");
    assert_eq!(world.state(attempt.task), TaskState::Completed);
    assert_eq!(acceptance(&world, attempt.task)["verdict"], "passed");
    let StreamResponse::StatusUpdate(end) = &events[2] else { panic!("{events:?}") };
    let told: Value = end.metadata.get_as(extension::URI).unwrap();
    assert_eq!(told["acceptance"]["checks"][0]["check"], "size", "the end says so too");
}

#[test]
fn what_cannot_be_decided_is_accepted_as_unverified() {
    let (mut world, attempt) = produced(RetryWish::default(), false);
    check(&mut world, attempt, Verdict::of(vec![Check::unverified(Criterion::Schema, "no JSON")]));
    assert_eq!(world.state(attempt.task), TaskState::Completed);
    assert_eq!(acceptance(&world, attempt.task)["verdict"], "unverified");
    assert!(shown(&world, attempt.task).contains(r#""artifactId":"x""#));
}

#[test]
fn what_fails_is_never_shown_and_ends_with_the_reason() {
    let (mut world, attempt) = produced(RetryWish::default(), false);
    check(&mut world, attempt, failed());
    assert_eq!(world.state(attempt.task), TaskState::Failed);
    let task = shown(&world, attempt.task);
    assert!(task.contains("it is too large") && !task.contains(r#""artifactId":"x""#), "{task}");
    assert_eq!(world.tree.summary(attempt.task).unwrap().attempts[0].state, "unaccepted");
    // A second word about it comes too late.
    check(&mut world, attempt, passed());
    assert_eq!(world.state(attempt.task), TaskState::Failed);
}

#[test]
fn a_retry_is_told_why_and_begins_anew() {
    let (mut world, attempt) = produced(retries(2, true, Fallback::None), false);
    check(&mut world, attempt, failed());
    assert_eq!(world.state(attempt.task), TaskState::Working);
    world.now = world.now.add_millis(10_000);
    world.feed(Input::Tick).unwrap();
    world.feed(Input::Admitted { attempt: world.queued[0] }).unwrap();
    let second = AttemptId { number: 2, ..attempt };
    let sent = &world.dispatches.last().unwrap().message;
    assert!(sent.joined_text().contains("it is too large"), "{sent:?}");
    assert!(world.dispatches[0].message.parts.len() + 1 == sent.parts.len(), "and nothing else is new");
    assert!(acceptance(&world, attempt.task).is_null(), "this attempt is not judged yet");
    produce(&mut world, second);
    assert_eq!(
        world.checking.last().unwrap().produced.artifacts[0].parts.len(),
        2,
        "without the first one's"
    );
    check(&mut world, second, passed());
    assert_eq!(world.state(attempt.task), TaskState::Completed);
}

#[test]
fn an_agent_that_does_not_say_what_it_costs_does_not_starve_the_judge_of_its_next_try() {
    let budget = Ceilings { tokens: Some(1_000), ..Ceilings::default() };
    let (mut world, attempt) = produced_within(budget, retries(2, true, Fallback::None), true);
    check(&mut world, attempt, failed());
    world.now = world.now.add_millis(10_000);
    world.feed(Input::Tick).unwrap();
    world.feed(Input::Admitted { attempt: world.queued[0] }).unwrap();
    let second = AttemptId { number: 2, ..attempt };
    produce(&mut world, second);
    let new = asking(&mut world, attempt.task);
    let judges = new.id;
    world
        .feed(Input::Checked { attempt: second, verdict: passed(), judge: Some(Ok(Box::new(new))) })
        .unwrap();
    let left = serde_json::to_value(world.tree.summary(judges).unwrap().left).unwrap();
    assert!(left["tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{left}");
}

#[test]
fn without_idempotence_it_goes_to_another_delegate_who_is_not_told_of_the_first() {
    let (mut world, attempt) = produced(retries(3, false, Fallback::Any), false);
    check(&mut world, attempt, failed());
    let second = world.seeking[0].attempt;
    world.feed(Input::Reassign { attempt: second, to: Box::new(candidate("b")) }).unwrap();
    assert!(!world.dispatches.last().unwrap().message.joined_text().contains("too large"));
    produce(&mut world, second);
    check(&mut world, second, passed());
    assert_eq!(world.state(attempt.task), TaskState::Completed);
}

#[test]
fn one_direct_message_is_shown_as_that_or_not_at_all() {
    let answer = |world: &mut World, attempt| {
        world.say(attempt, StreamResponse::Message(Message::agent_text("hi", "the answer")));
    };
    for accepted in [true, false] {
        let mut world = World::new();
        let new = NewTask {
            specification: Some(accepting(false)),
            ..world.new_task(None, "a", RetryWish::default())
        };
        let attempt = AttemptId { task: new.id, number: 1 };
        world.feed(Input::Delegate(Box::new(new))).unwrap();
        answer(&mut world, attempt);
        assert_eq!(world.tree.told(attempt.task), Told::Nothing, "the caller waits on");
        assert!(!shown(&world, attempt.task).contains("the answer"));
        check(&mut world, attempt, if accepted { passed() } else { failed() });
        let direct = world.tree.direct_answer(attempt.task).map(Message::joined_text);
        assert_eq!(direct.as_deref(), accepted.then_some("the answer"));
        assert_eq!(shown(&world, attempt.task).contains("the answer"), accepted);
    }
}

#[test]
fn a_crash_asks_for_the_check_again_and_a_judge_is_asked_once() {
    let (mut world, attempt) = produced(RetryWish::default(), true);
    world.crash();
    assert_eq!(world.checking.len(), 1, "the check is made again");
    let new = asking(&mut world, attempt.task);
    let judge_task = new.id;
    let input = Input::Checked { attempt, verdict: passed(), judge: Some(Ok(Box::new(new))) };
    world.feed(input).unwrap();
    let summary = world.tree.summary(judge_task).unwrap();
    assert_eq!((summary.parent, summary.scope), (Some(attempt.task), Vec::new()), "it may do nothing");
    world.crash();
    assert!(world.checking.is_empty() && world.sent.len() == 2, "{:?}", world.sent);
    assert_eq!(world.state(attempt.task), TaskState::Working);
    judge(&mut world, 0, false);
    assert_eq!(world.state(attempt.task), TaskState::Failed);
    assert!(shown(&world, attempt.task).contains("the judge says fail: because"));
}

#[test]
fn a_judge_passes_fails_or_says_nothing_that_counts() {
    for (answer, verdict, state) in [
        (Some(r#"{"verdict": "pass"}"#), "passed", TaskState::Completed),
        (Some(r#"{"verdict": "fail", "reasons": ["no"]}"#), "failed", TaskState::Failed),
        (Some("looks good to me"), "unverified", TaskState::Completed),
        (None, "unverified", TaskState::Completed),
    ] {
        let (mut world, attempt) = produced(RetryWish::default(), true);
        let new = asking(&mut world, attempt.task);
        let judges = AttemptId { task: new.id, number: 1 };
        world.feed(Input::Checked { attempt, verdict: passed(), judge: Some(Ok(Box::new(new))) }).unwrap();
        match answer {
            Some(answer) => {
                world.say(judges, said(judges, answer));
                world.say(judges, update(judges, TaskState::Completed, None));
            }
            None => world.fail(judges, Failure::Refused("not me".to_owned())),
        }
        assert_eq!(world.state(attempt.task), state, "{answer:?}");
        assert_eq!(acceptance(&world, attempt.task)["verdict"], verdict, "{answer:?}");
    }
}

#[test]
fn who_is_judged_knows_nothing_of_the_judge() {
    let (mut world, attempt) = produced(RetryWish::default(), true);
    let new = asking(&mut world, attempt.task);
    let judges = new.id;
    world.feed(Input::Checked { attempt, verdict: passed(), judge: Some(Ok(Box::new(new))) }).unwrap();
    assert!(!world.tree.is_within(judges, attempt.task) && !world.tree.is_below_agent(judges, "a"));
    assert!(world.tree.is_within(judges, judges) && world.tree.is_below_agent(judges, "f"));
}

#[test]
fn an_agent_does_not_judge_itself_nor_anybody_its_delegator_may_not_ask() {
    let (mut world, attempt) = produced(RetryWish::default(), true);
    let own = NewTask { agent: super::world::facts("a"), ..asking(&mut world, attempt.task) };
    world.feed(Input::Checked { attempt, verdict: passed(), judge: Some(Ok(Box::new(own))) }).unwrap();
    assert_eq!(acceptance(&world, attempt.task)["verdict"], "unverified");

    let mut world = World::new();
    let root = world.delegate(None, "d").unwrap();
    let new = NewTask {
        specification: Some(accepting(true)),
        ..world.new_task(Some(root), "e", RetryWish::default())
    };
    let attempt = AttemptId { task: new.id, number: 1 };
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    produce(&mut world, attempt);
    let forbidden = NewTask { agent: super::world::facts("c"), ..asking(&mut world, attempt.task) };
    world.feed(Input::Checked { attempt, verdict: passed(), judge: Some(Ok(Box::new(forbidden))) }).unwrap();
    assert_eq!(acceptance(&world, attempt.task)["verdict"], "unverified", "d may not ask c");
}

#[test]
fn a_deadline_releases_it_unverified_and_a_cancellation_takes_it_down() {
    let (mut world, attempt) = produced(RetryWish::default(), false);
    world.now = world.tree.next_timer(&world.limits).unwrap();
    world.feed(Input::Tick).unwrap();
    assert_eq!(world.state(attempt.task), TaskState::Completed);
    assert_eq!(acceptance(&world, attempt.task)["verdict"], "unverified");

    let (mut world, attempt) = produced(RetryWish::default(), true);
    let new = asking(&mut world, attempt.task);
    let judges = new.id;
    world.feed(Input::Checked { attempt, verdict: passed(), judge: Some(Ok(Box::new(new))) }).unwrap();
    world.feed(Input::Cancel { task: attempt.task, by: "alice".to_owned() }).unwrap();
    world.now = world.now.add_millis(world.limits.cancel_ms);
    world.feed(Input::Tick).unwrap();
    assert_eq!(world.state(attempt.task), TaskState::Canceled);
    assert_eq!(world.state(judges), TaskState::Canceled);
    assert!(!shown(&world, attempt.task).contains(r#""artifactId":"x""#));
}

#[test]
fn the_judge_answers_to_the_delegator_and_never_does_what_it_judges() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let retry = retries(1, false, Fallback::Any);
    let new = NewTask { specification: Some(accepting(true)), ..world.new_task(Some(root), "b", retry) };
    let attempt = AttemptId { task: new.id, number: 1 };
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    produce(&mut world, attempt);
    let new = asking(&mut world, attempt.task);
    let judges = AttemptId { task: new.id, number: 1 };
    world.feed(Input::Checked { attempt, verdict: passed(), judge: Some(Ok(Box::new(new))) }).unwrap();
    assert!(world.tree.is_within(judges.task, root), "who named it and pays for it can see it");
    assert!(!world.tree.is_within(judges.task, attempt.task));
    assert!(world.tree.work_of(judges.task, world.now).is_none(), "that is no work to learn from");
    world.say(judges, said(judges, r#"{"verdict": "fail", "reasons": ["no"]}"#));
    world.say(judges, update(judges, TaskState::Completed, None));
    assert!(world.seeking[0].not.contains(&"f".to_owned()), "{:?}", world.seeking[0]);
}

#[test]
fn a_task_handed_over_keeps_what_was_made_and_a_new_attempt_does_not() {
    let (mut world, attempt) = {
        let mut world = World::new();
        let new = NewTask {
            specification: Some(accepting(false)),
            ..world.new_task(None, "a", RetryWish::default())
        };
        let task = new.id;
        world.feed(Input::Delegate(Box::new(new))).unwrap();
        (world, AttemptId { task, number: 1 })
    };
    world.say(attempt, artifact(attempt, "x", false));
    let message = Message::user_text("over", "you do the rest");
    world
        .feed(Input::HandOff(Box::new(NewHandOff {
            task: attempt.task,
            to: candidate("b"),
            skill: None,
            message,
            held: Scope::top(),
            asked: None,
        })))
        .unwrap();
    let second = AttemptId { number: 2, ..attempt };
    world.say(second, artifact(second, "y", false));
    world.say(second, update(second, TaskState::Completed, None));
    let ids = |world: &World| -> Vec<String> {
        let artifacts = &world.checking.last().unwrap().produced.artifacts;
        artifacts.iter().map(|artifact| artifact.artifact_id.clone()).collect()
    };
    assert_eq!(ids(&world), ["x", "y"]);
    world.crash();
    assert_eq!(ids(&world), ["x", "y"], "also after a crash");
}

#[test]
fn what_was_not_accepted_takes_up_no_room_in_the_next_attempt() {
    let (mut world, attempt) = produced(retries(3, true, Fallback::None), false);
    world.limits.max_task_bytes = 2_000;
    let large = |world: &mut World, attempt| world.say(attempt, large(attempt, 1_100));
    for number in 1..=2 {
        let attempt = AttemptId { number, ..attempt };
        if number == 2 {
            world.now = world.now.add_millis(60_000);
            world.feed(Input::Tick).unwrap();
            world.feed(Input::Admitted { attempt }).unwrap();
            large(&mut world, attempt);
            world.say(attempt, update(attempt, TaskState::Completed, None));
        }
        check(&mut world, attempt, failed());
    }
    world.now = world.now.add_millis(60_000);
    world.feed(Input::Tick).unwrap();
    let third = AttemptId { number: 3, ..attempt };
    world.feed(Input::Admitted { attempt: third }).unwrap();
    large(&mut world, third);
    world.say(third, update(third, TaskState::Completed, None));
    check(&mut world, third, passed());
    assert_eq!(world.state(attempt.task), TaskState::Completed);
}

/// An artifact of about so many bytes.
fn large(attempt: AttemptId, bytes: usize) -> StreamResponse {
    let mut event = artifact(attempt, "x", false);
    if let StreamResponse::ArtifactUpdate(update) = &mut event {
        update.artifact.parts = vec![Part::text(&"x".repeat(bytes))];
    }
    event
}

/// The reference notices a broker that shows what failed.
#[cfg(feature = "sabotage")]
#[test]
#[should_panic(expected = "completed and not accepted")]
fn showing_what_failed_would_be_noticed() {
    use broker_core::sabotage::{Guard, remove};
    let (mut world, attempt) = produced(RetryWish::default(), false);
    world.feed(Input::Checked { attempt, verdict: Verdict::of(Vec::new()), judge: None }).unwrap();
    super::model::check(&world.journal);
    let (mut world, attempt) = produced(RetryWish::default(), false);
    remove(Some(Guard::Acceptance));
    world.feed(Input::Checked { attempt, verdict: failed(), judge: None }).unwrap();
    remove(None);
    world.journal.retain(|record| !matches!(record.fact, Fact::Artifact(_)));
    for (seq, record) in (1..).zip(&mut world.journal) {
        record.seq = seq;
    }
    super::model::check(&world.journal);
}

#[test]
fn a_judge_is_paid_for_by_what_the_judged_one_has_not_used_up() {
    let mut world = World::new();
    let budget = Ceilings { calls: Some(12), fanout: Some(9), ..Ceilings::default() };
    let new = NewTask {
        specification: Some(accepting(true)),
        budget,
        ..world.new_task(None, "a", RetryWish::default())
    };
    let attempt = AttemptId { task: new.id, number: 1 };
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    produce(&mut world, attempt);
    let new = asking(&mut world, attempt.task);
    let judges = new.id;
    world.feed(Input::Checked { attempt, verdict: passed(), judge: Some(Ok(Box::new(new))) }).unwrap();
    assert!(world.tree.state(judges).is_some(), "{}", shown(&world, attempt.task));
    let given = &world.dispatches.last().unwrap().passport.budget;
    assert_eq!((given.calls, given.fanout), (Some(6), Some(4)));
}
