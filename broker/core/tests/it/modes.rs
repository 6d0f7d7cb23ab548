//! Ways to delegate: handing over, several sub-tasks as one, and questions that have to find somebody to answer them.

use broker_core::delegation::input::{AttemptId, Failure, Input, NewGroup, NewHandOff, NewTask, RetryWish};
use broker_core::journal::{Fallback, Group, GroupMode};
use broker_core::{Refusal, TaskId, extension};
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::{Message, StreamResponse, TaskState};
use serde_json::json;

use super::world::{World, artifact, candidate, retries, update};

fn first(task: TaskId) -> AttemptId {
    AttemptId { task, number: 1 }
}

fn plain(world: &mut World, parent: Option<TaskId>, agent: &str) -> NewTask {
    world.new_task(parent, agent, RetryWish::default())
}

fn group(
    world: &mut World,
    parent: Option<TaskId>,
    mode: GroupMode,
    need: u32,
    agents: &[&str],
) -> (TaskId, Vec<TaskId>) {
    let task = plain(world, parent, "e");
    let id = task.id;
    let subtasks: Vec<NewTask> = agents.iter().map(|agent| plain(world, Some(id), agent)).collect();
    let ids = subtasks.iter().map(|subtask| subtask.id).collect();
    world.feed(Input::Group(Box::new(NewGroup { task, group: Group { mode, need }, subtasks }))).unwrap();
    (id, ids)
}

fn end(world: &mut World, task: TaskId, state: TaskState, text: &str) {
    world.say(first(task), update(first(task), state, Some(text)));
}

fn text(world: &World, task: TaskId) -> String {
    world
        .tree
        .task(task, None)
        .unwrap()
        .status
        .message
        .map(|message| message.joined_text())
        .unwrap_or_default()
}

fn artifacts(world: &World, task: TaskId) -> Vec<String> {
    world.tree.task(task, None).unwrap().artifacts.into_iter().map(|artifact| artifact.artifact_id).collect()
}

#[test]
fn a_parallel_group_waits_for_all_and_keeps_what_some_achieved() {
    let mut world = World::new();
    let (root, [a, b, c]) = {
        let (root, ids) = group(&mut world, None, GroupMode::Parallel, 3, &["a", "b", "c"]);
        (root, <[TaskId; 3]>::try_from(ids).unwrap())
    };
    assert_eq!(world.state(root), TaskState::Working);
    assert_eq!(world.sent.len(), 3, "all at once");
    world.say(first(a), artifact(first(a), "x", false));
    end(&mut world, a, TaskState::Completed, "");
    end(&mut world, b, TaskState::Failed, "no paper");
    assert_eq!(world.state(root), TaskState::Working, "the third may still achieve something");
    world.crash();
    world.say(first(c), StreamResponse::Message(Message::agent_text("answer", "hello")));
    assert_eq!(world.state(root), TaskState::Failed);
    assert_eq!(artifacts(&world, root), ["1.x", "3.answer"]);
    let text = text(&world, root);
    assert!(
        text.contains("1. a: TASK_STATE_COMPLETED") && text.contains("2. b: TASK_STATE_FAILED (no paper)"),
        "{text}"
    );
}

#[test]
fn the_one_message_of_a_sub_task_that_had_to_wait_is_kept_as_any_other() {
    let mut world = World::new();
    let task = plain(&mut world, None, "e");
    let root = task.id;
    let new = |world: &mut World, agent| NewTask { admitted: false, ..plain(world, Some(root), agent) };
    let subtasks = vec![new(&mut world, "a"), new(&mut world, "b")];
    let [a, b] = [subtasks[0].id, subtasks[1].id];
    let group = Group { mode: GroupMode::Parallel, need: 2 };
    world.feed(Input::Group(Box::new(NewGroup { task, group, subtasks }))).unwrap();
    for (task, text) in [(a, "one"), (b, "two")] {
        world.feed(Input::Admitted { attempt: first(task) }).unwrap();
        world.say(first(task), StreamResponse::Message(Message::agent_text(text, text)));
    }
    assert_eq!(artifacts(&world, root), ["1.one", "2.two"]);
}

#[test]
fn the_first_to_complete_wins_a_race_and_the_others_are_cancelled() {
    let mut world = World::new();
    let (root, ids) = group(&mut world, None, GroupMode::Race, 1, &["a", "b", "c"]);
    end(&mut world, ids[0], TaskState::Failed, "lost");
    for task in &ids[1..] {
        world.say(first(*task), update(first(*task), TaskState::Working, None));
    }
    world.say(first(ids[2]), artifact(first(ids[2]), "x", false));
    end(&mut world, ids[2], TaskState::Completed, "won");
    assert_eq!(world.canceling, [first(ids[1])]);
    assert_eq!(world.state(root), TaskState::Working, "not over while a loser is being stopped");
    world.feed(Input::CancelAnswered { attempt: first(ids[1]), confirmed: true, reason: None }).unwrap();
    assert_eq!((world.state(root), world.state(ids[1])), (TaskState::Completed, TaskState::Canceled));
    assert_eq!(artifacts(&world, root), ["3.x"]);
}

#[test]
fn a_quorum_ends_when_it_is_reached_or_cannot_be_any_more() {
    for (ends, expected) in [
        ([TaskState::Completed, TaskState::Completed], TaskState::Completed),
        ([TaskState::Failed, TaskState::Failed], TaskState::Failed),
    ] {
        let mut world = World::new();
        let (root, ids) = group(&mut world, None, GroupMode::Quorum, 2, &["a", "b", "c"]);
        end(&mut world, ids[0], ends[0], "");
        assert_eq!(world.state(root), TaskState::Working);
        end(&mut world, ids[1], ends[1], "");
        world.now = world.now.add_millis(world.limits.cancel_ms);
        world.feed(Input::Tick).unwrap();
        assert_eq!(world.state(root), expected);
    }
}

#[test]
fn a_group_that_may_not_have_one_of_its_sub_tasks_does_not_exist() {
    let mut world = World::new();
    let root = world.delegate(None, "d").unwrap();
    let task = plain(&mut world, Some(root), "e");
    let id = task.id;
    let subtasks = ["e", "c"].map(|agent| plain(&mut world, Some(id), agent)).to_vec();
    let group = Group { mode: GroupMode::Race, need: 1 };
    let refused = world.feed(Input::Group(Box::new(NewGroup { task, group, subtasks })));
    assert!(matches!(refused, Err(Refusal::CapabilityExceeded { .. })), "{refused:?}");
    assert_eq!(world.tasks(), [root]);
}

#[test]
fn a_group_adds_no_authority_and_its_sub_tasks_share_one_budget() {
    let mut world = World::new();
    let budget = Ceilings { calls: Some(20), ..Ceilings::default() };
    let root = NewTask { budget, ..plain(&mut world, None, "a") };
    let root_id = root.id;
    world.feed(Input::Delegate(Box::new(root))).unwrap();
    let (id, ids) = group(&mut world, Some(root_id), GroupMode::Parallel, 2, &["b", "c"]);
    for task in &ids {
        let scope = Scope::parse(world.tree.summary(*task).unwrap().scope).unwrap();
        let of_root = Scope::parse(world.tree.summary(root_id).unwrap().scope).unwrap();
        assert!(scope.le(&of_root), "{scope:?}");
    }
    let calls = |task| {
        serde_json::to_value(world.tree.summary(task).unwrap().budget).unwrap()["calls"].as_u64().unwrap()
    };
    assert!(calls(ids[0]) + calls(ids[1]) <= calls(id) && calls(id) < 20);
}

#[test]
fn what_a_sub_task_asks_is_asked_by_the_group_and_the_answer_goes_to_exactly_that_sub_task() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let (id, ids) = group(&mut world, Some(root), GroupMode::Parallel, 2, &["b", "c"]);
    end(&mut world, ids[0], TaskState::InputRequired, "colour?");
    end(&mut world, ids[1], TaskState::AuthRequired, "log in");
    assert_eq!(
        (world.state(id), text(&world, id)),
        (TaskState::InputRequired, "colour?".to_owned()),
        "one at a time"
    );
    assert_eq!(world.state(root), TaskState::Working, "the root's agent hears it from its delegation");
    world.crash();
    let sent = world.sent.len();
    world
        .feed(Input::Turn { task: id, message: Box::new(Message::user_text("t1", "blue")), push: None })
        .unwrap();
    assert_eq!(world.sent[sent..], [format!("t1.{}.1", ids[0])]);
    assert_eq!(
        (world.state(ids[0]), world.state(id)),
        (TaskState::Working, TaskState::AuthRequired),
        "the next question"
    );
    world
        .feed(Input::Turn { task: id, message: Box::new(Message::user_text("t2", "yes")), push: None })
        .unwrap();
    assert_eq!(world.sent[sent + 1..], [format!("t2.{}.1", ids[1])]);
    assert_eq!(world.state(id), TaskState::Working);
}

#[test]
fn a_question_that_is_shown_stays_until_it_is_answered_whoever_else_asks_meanwhile() {
    let mut world = World::new();
    let (id, ids) = group(&mut world, None, GroupMode::Parallel, 2, &["b", "c"]);
    end(&mut world, ids[1], TaskState::InputRequired, "password?");
    end(&mut world, ids[0], TaskState::InputRequired, "colour?");
    assert_eq!(text(&world, id), "password?", "somebody may be answering it");
    let sent = world.sent.len();
    world
        .feed(Input::Turn { task: id, message: Box::new(Message::user_text("t1", "secret")), push: None })
        .unwrap();
    assert_eq!(world.sent[sent..], [format!("t1.{}.1", ids[1])], "to whoever asked for it");
    assert_eq!(text(&world, id), "colour?");
    // Another question in place of that one is another question.
    end(&mut world, ids[0], TaskState::InputRequired, "shade?");
    assert_eq!(text(&world, id), "shade?");
}

#[test]
fn a_question_below_a_delegator_that_is_done_reaches_the_roots_caller_and_its_answer_exactly_that_task() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let middle = world.delegate(Some(root), "b").unwrap();
    let child = world.delegate(Some(middle), "c").unwrap();
    end(&mut world, child, TaskState::InputRequired, "colour?");
    assert_eq!(world.state(root), TaskState::Working, "its delegator can hear it");
    end(&mut world, middle, TaskState::Completed, "done");
    assert_eq!((world.state(root), text(&world, root)), (TaskState::InputRequired, "colour?".to_owned()));
    end(&mut world, root, TaskState::Completed, "all done");
    assert_eq!(world.state(root), TaskState::InputRequired, "held, and asked");
    world.crash();
    let sent = world.sent.len();
    world
        .feed(Input::Turn { task: root, message: Box::new(Message::user_text("t", "blue")), push: None })
        .unwrap();
    assert_eq!(world.sent[sent..], [format!("t.{child}.1")]);
    assert_eq!((world.state(child), world.state(root)), (TaskState::Working, TaskState::Working));
    end(&mut world, child, TaskState::Completed, "painted");
    assert_eq!([child, middle, root].map(|task| world.state(task)), [TaskState::Completed; 3]);
}

#[test]
fn a_question_nobody_answers_is_cancelled_also_where_the_broker_delegated_it() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let (id, ids) = group(&mut world, Some(root), GroupMode::Parallel, 1, &["b"]);
    end(&mut world, ids[0], TaskState::InputRequired, "colour?");
    end(&mut world, root, TaskState::Completed, "done");
    assert_eq!(world.state(root), TaskState::InputRequired);
    world.now = world.now.add_millis(world.limits.silence_ms);
    assert!(world.tree.next_timer(&world.limits).unwrap() <= world.now);
    world.feed(Input::Tick).unwrap();
    world.feed(Input::CancelAnswered { attempt: first(ids[0]), confirmed: true, reason: None }).unwrap();
    assert_eq!(
        [ids[0], id, root].map(|task| world.state(task)),
        [TaskState::Canceled, TaskState::Failed, TaskState::Completed]
    );
}

#[test]
fn a_question_nobody_answers_is_cancelled_at_the_silence_limit() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    end(&mut world, child, TaskState::InputRequired, "colour?");
    end(&mut world, root, TaskState::Completed, "done");
    assert_eq!(world.state(root), TaskState::InputRequired);
    for _ in 0..2 {
        world.now = world.tree.next_timer(&world.limits).unwrap_or(world.now);
        world.feed(Input::Tick).unwrap();
    }
    assert_eq!((world.state(child), world.state(root)), (TaskState::Canceled, TaskState::Completed));
}

fn hand_off(world: &mut World, task: TaskId, to: &str) -> Result<(), Refusal> {
    world.feed(Input::HandOff(Box::new(NewHandOff {
        task,
        held: Scope::top(),
        to: candidate(to),
        skill: None,
        asked: None,
        message: Message::user_text("please", "you do it"),
    })))
}

#[test]
fn a_task_that_is_handed_over_keeps_its_id_and_answers_to_another_agent() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    world.say(first(child), update(first(child), TaskState::Working, None));
    hand_off(&mut world, child, "c").unwrap();
    let second = AttemptId { task: child, number: 2 };
    assert_eq!(world.sent.last().unwrap(), &format!("please.{child}.2"), "what the first agent said");
    let summary = world.tree.summary(child).unwrap();
    assert_eq!((summary.agent.as_str(), summary.attempts[0].state), ("c", "handed_off"));
    assert_eq!(
        summary.scope,
        ["a2a:skill/*/work", "mcp:tool/search{calls<=4}"],
        "no more than a delegation would give"
    );
    end(&mut world, child, TaskState::Completed, "the first agent is done");
    assert_eq!(world.state(child), TaskState::Working, "its word counts no longer");
    world.crash();
    world.say(second, update(second, TaskState::InputRequired, Some("which?")));
    world
        .feed(Input::Turn { task: child, message: Box::new(Message::user_text("t", "that")), push: None })
        .unwrap();
    assert_eq!(world.sent.last().unwrap(), &format!("t.{child}.2"), "later turns go to the new agent");
    world.say(second, update(second, TaskState::Completed, Some("done")));
    assert_eq!((world.state(child), text(&world, child)), (TaskState::Completed, "done".to_owned()));
}

#[test]
fn nobody_hands_over_what_it_does_not_hold_or_to_whom_it_may_not() {
    let mut world = World::new();
    let root = world.delegate(None, "d").unwrap();
    assert!(matches!(hand_off(&mut world, root, "c"), Err(Refusal::CapabilityExceeded { .. })));
    assert!(matches!(
        hand_off(&mut world, root, "d"),
        Err(Refusal::CapabilityExceeded { .. } | Refusal::Cycle { .. })
    ));
    let child = world.delegate(Some(root), "e").unwrap();
    assert!(matches!(hand_off(&mut world, root, "f"), Err(Refusal::NotPossible(_))), "a delegation is open");
    end(&mut world, child, TaskState::Completed, "");
    hand_off(&mut world, root, "f").unwrap();
    world.feed(Input::Cancel { task: root, by: "alice".to_owned() }).unwrap();
    assert_eq!(hand_off(&mut world, root, "e"), Err(Refusal::NotFound), "a dead grant opens nothing");
}

/// A root with a budget whose agent was lost once, without a word on what it used up, and is at work again.
fn lost_once(world: &mut World, calls: u64) -> AttemptId {
    let budget = Ceilings { calls: Some(calls), ..Ceilings::default() };
    let new = NewTask { budget, ..world.new_task(None, "a", retries(3, true, Fallback::None)) };
    let root = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    world.fail(first(root), Failure::Errored("500".to_owned()));
    world.now = world.now.add_millis(world.limits.max_backoff_ms);
    world.feed(Input::Tick).unwrap();
    AttemptId { task: root, number: 2 }
}

#[test]
fn what_a_lost_attempt_used_up_unsaid_is_not_handed_over() {
    let mut world = World::new();
    let at = lost_once(&mut world, 12);
    world.say(at, update(at, TaskState::Working, None));
    let handed = hand_off(&mut world, at.task, "c");
    assert!(matches!(handed, Err(Refusal::BudgetExhausted { .. })), "{handed:?}");
}

fn tools_left(world: &World, task: TaskId) -> String {
    let scope = world.tree.scope_left(task).unwrap();
    scope.iter().map(ToString::to_string).filter(|capability| capability.starts_with("mcp:")).collect()
}

#[test]
fn what_was_used_up_of_a_capability_is_not_handed_over_with_it() {
    let mut world = World::new();
    let mut new = world.new_task(None, "a", RetryWish::default());
    new.agent.caps = Scope::parse(["a2a:skill/**", "mcp:tool/search{calls<=10}"]).unwrap();
    let root = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    let child = plain(&mut world, Some(root), "b");
    let id = child.id;
    world.feed(Input::Delegate(Box::new(child))).unwrap();
    let left = tools_left(&world, id);
    assert_eq!(left, "mcp:tool/search{calls<=9}");
    let mut event = update(first(id), TaskState::Working, None);
    if let StreamResponse::StatusUpdate(update) = &mut event {
        update.metadata.set(extension::URI, &json!({ "cost": { "calls": 8 } })).unwrap();
    }
    world.say(first(id), event);
    hand_off(&mut world, id, "c").unwrap();
    let left = tools_left(&world, id);
    assert_eq!(left, "mcp:tool/search{calls<=1}", "eight of nine calls were made");
}

#[test]
fn a_handed_over_task_draws_on_the_purses_of_its_delegator_as_before() {
    let mut world = World::new();
    let budget = Ceilings { calls: Some(10), ..Ceilings::default() };
    let root = NewTask { budget, ..plain(&mut world, None, "a") };
    let root_id = root.id;
    world.feed(Input::Delegate(Box::new(root))).unwrap();
    let own = Ceilings { calls: Some(6), ..Ceilings::default() };
    let new = NewTask { budget: own, ..plain(&mut world, Some(root_id), "b") };
    let child = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    hand_off(&mut world, child, "c").unwrap();
    let left = |task| serde_json::to_value(world.tree.summary(task).unwrap().left).unwrap()["calls"].clone();
    assert_eq!((left(child), left(root_id)), (json!(5), json!(3)), "handing over is a call of its own");
}

#[test]
fn a_delegation_ends_a_little_before_its_delegator_must() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    let deadline = |task| world.tree.summary(task).unwrap().deadline.as_millis();
    assert_eq!(deadline(root) - deadline(child), world.limits.hop_reserve_ms);
}

fn asked(wish: &serde_json::Value) -> Result<extension::Asked, String> {
    let mut message = Message::user_text("m", "x");
    message.metadata.set(extension::URI, wish).unwrap();
    extension::Asked::of(&message).map_err(|error| error.to_string())
}

#[test]
fn what_goes_together_in_a_wish_is_checked_and_named() {
    let part = json!([{ "text": "x" }]);
    let one = json!([{ "agent": "a", "parts": part }]);
    for (wish, member) in [
        (json!({ "mode": "parallel" }), ".subtasks"),
        (json!({ "mode": "parallel", "subtasks": [] }), ".subtasks"),
        (json!({ "mode": "race", "subtasks": [{ "agent": "a", "parts": [] }] }), ".subtasks[0].parts"),
        (
            json!({ "mode": "race", "subtasks": [{ "agent": "a", "parts": part, "scope": ["?"] }] }),
            ".subtasks[0].scope",
        ),
        (json!({ "mode": "quorum", "subtasks": one }), ".quorum"),
        (json!({ "mode": "quorum", "quorum": 2, "subtasks": one }), ".quorum"),
        (json!({ "mode": "race", "quorum": 1, "subtasks": one }), ".quorum"),
        (json!({ "subtasks": one }), ".subtasks"),
        (json!({ "mode": "handoff", "subtasks": one }), ".subtasks"),
        (json!({ "mode": "sideways" }), "sideways"),
        (json!({ "retry": { "fallback": 7 } }), "expected true, false, or a list"),
    ] {
        let problem = asked(&wish).err().unwrap_or_default();
        assert!(problem.contains(member), "{wish}: {problem}");
    }
    let good =
        asked(&json!({ "mode": "quorum", "quorum": 1.0, "subtasks": one, "retry": { "fallback": ["b"] } }))
            .unwrap();
    assert_eq!(good.retry.fallback, Some(Fallback::Agents(vec!["b".to_owned()])));
    let extension::Mode::Group(group, subtasks) = good.mode else { panic!("{:?}", good.mode) };
    assert_eq!((group.need, subtasks.len()), (1, 1));
}

#[test]
fn a_task_is_handed_over_only_so_often() {
    let mut world = World::new();
    world.limits.max_handoffs = 3;
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    for to in ["c", "b", "c"] {
        hand_off(&mut world, child, to).unwrap();
    }
    let refused = hand_off(&mut world, child, "b");
    assert!(
        matches!(&refused, Err(Refusal::NotPossible(why)) if why.contains("max_handoffs")),
        "{refused:?}"
    );
    assert!(world.tree.is_live(AttemptId { task: child, number: 4 }), "it goes on where it is");
}
