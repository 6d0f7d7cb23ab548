//! What may be used up: escrow, settlement, rates, windows, hops, as a tree of tasks lives them.

use broker_core::delegation::input::{AttemptId, Failure, Input, NewGroup, NewTask, RetryWish};
use broker_core::journal::{Fallback, Group, GroupMode};
use broker_core::{Refusal, TaskId, extension};
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::{StreamResponse, TaskState};
use serde_json::json;

use super::world::{World, candidate, retries, snapshot, update};

fn first(task: TaskId) -> AttemptId {
    AttemptId { task, number: 1 }
}

fn usd(amount: u64) -> Ceilings {
    Ceilings { usd: Some(amount), ..Ceilings::default() }
}

fn delegate(
    world: &mut World,
    parent: Option<TaskId>,
    agent: &str,
    budget: Ceilings,
) -> Result<TaskId, Refusal> {
    let mut new = world.new_task(parent, agent, RetryWish::default());
    new.budget = budget;
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).map(|()| id)
}

fn exhausted<T>(outcome: &Result<T, Refusal>) -> bool {
    matches!(outcome, Err(Refusal::BudgetExhausted { .. }))
}

/// The agent reports a state, and what it cost.
fn report(world: &mut World, task: TaskId, state: TaskState, usd: Option<&str>) {
    report_of(world, first(task), state, usd);
}

fn report_of(world: &mut World, attempt: AttemptId, state: TaskState, usd: Option<&str>) {
    let mut event = update(attempt, state, None);
    if let (StreamResponse::StatusUpdate(update), Some(usd)) = (&mut event, usd) {
        update.metadata.set(extension::URI, &json!({ "cost": { "usd": usd } })).unwrap();
    }
    world.say(attempt, event);
}

fn left(world: &World, task: TaskId) -> serde_json::Value {
    serde_json::to_value(world.tree.summary(task).unwrap().left).unwrap()["usd"].clone()
}

#[test]
fn ten_children_of_a_five_dollar_parent_have_five_dollars_between_them() {
    let mut world = World::new();
    world.limits.max_fanout = 20;
    world.limits.max_live_tasks = 20;
    let root = delegate(&mut world, None, "a", usd(5_000_000)).unwrap();
    let outcomes: Vec<_> = (0..10).map(|_| delegate(&mut world, Some(root), "b", usd(1_000_000))).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    assert!(outcomes[5..].iter().all(exhausted));
    world.crash();
    assert_eq!(left(&world, root), "0.00", "what is reserved stays reserved over a crash");
}

#[test]
fn what_is_not_used_comes_back_and_what_nobody_reports_does_not() {
    let mut world = World::new();
    let root = delegate(&mut world, None, "a", usd(10_000_000)).unwrap();
    let cheap = delegate(&mut world, Some(root), "b", usd(4_000_000)).unwrap();
    assert_eq!(left(&world, root), "6.00");
    report(&mut world, cheap, TaskState::Completed, Some("1.00"));
    assert_eq!(left(&world, root), "9.00");
    let silent = delegate(&mut world, Some(root), "c", usd(4_000_000)).unwrap();
    report(&mut world, silent, TaskState::Completed, None);
    assert_eq!(left(&world, root), "5.00", "unknown is charged in full");
    let unreached = delegate(&mut world, Some(root), "c", usd(4_000_000)).unwrap();
    let failure = Failure::Refused("busy".to_owned());
    world.feed(Input::Failed { attempt: first(unreached), failure, jitter: 0 }).unwrap();
    assert_eq!(left(&world, root), "5.00", "who never worked used nothing");
    world.crash();
    assert_eq!(left(&world, root), "5.00");
}

#[test]
fn a_child_that_spends_what_it_does_not_have_is_stopped() {
    let mut world = World::new();
    let root = delegate(&mut world, None, "a", usd(5_000_000)).unwrap();
    let child = delegate(&mut world, Some(root), "b", usd(1_000_000)).unwrap();
    report(&mut world, child, TaskState::Working, Some("1.50"));
    world.feed(Input::CancelAnswered { attempt: first(child), confirmed: true, reason: None }).unwrap();
    assert_eq!(world.state(child), TaskState::Failed);
    let text = world.tree.task(child, None).unwrap().status.message.unwrap().joined_text();
    assert!(text.contains("budget") && text.contains("usd"), "{text}");
    assert_eq!(left(&world, root), "4.00", "no more than was reserved is charged above");
}

#[test]
fn what_an_agent_says_it_has_used_up_is_not_delegated_as_well() {
    let mut world = World::new();
    let root = delegate(&mut world, None, "a", usd(5_000_000)).unwrap();
    report(&mut world, root, TaskState::Working, Some("4.00"));
    assert!(exhausted(&delegate(&mut world, Some(root), "b", usd(1_000_001))));
    delegate(&mut world, Some(root), "b", usd(1_000_000)).unwrap();
}

#[test]
fn every_attempt_is_paid_for() {
    let mut world = World::new();
    let root = delegate(&mut world, None, "a", usd(9_000_000)).unwrap();
    let tried_again = |world: &mut World, cost: Option<&str>| {
        let retry = retries(3, true, Fallback::None);
        let new = NewTask { budget: usd(3_000_000), ..world.new_task(Some(root), "b", retry) };
        let id = new.id;
        world.feed(Input::Delegate(Box::new(new))).unwrap();
        report(world, id, TaskState::Working, cost);
        let failure = Failure::Errored("500".to_owned());
        world.feed(Input::Failed { attempt: first(id), failure, jitter: 0 }).unwrap();
        world.now = world.now.add_millis(world.limits.max_backoff_ms);
        world.feed(Input::Tick).unwrap();
        AttemptId { task: id, number: 2 }
    };
    let attempt = tried_again(&mut world, Some("1.00"));
    report_of(&mut world, attempt, TaskState::Completed, Some("0.50"));
    assert_eq!(left(&world, root), "7.50", "the failed attempt cost something too");
    let attempt = tried_again(&mut world, None);
    report_of(&mut world, attempt, TaskState::Completed, Some("0.50"));
    assert_eq!(left(&world, root), "4.50", "what the failed attempt cost is unknown");
    let attempt = tried_again(&mut world, Some("2.00"));
    report_of(&mut world, attempt, TaskState::Working, Some("1.50"));
    world.feed(Input::CancelAnswered { attempt, confirmed: true, reason: None }).unwrap();
    assert_eq!(world.state(attempt.task), TaskState::Failed, "together they have used up more than there is");
    assert_eq!(left(&world, root), "1.50");
}

#[test]
fn what_an_agent_reports_while_its_task_is_taken_down_counts() {
    let mut world = World::new();
    let root = delegate(&mut world, None, "a", usd(9_000_000)).unwrap();
    let child = delegate(&mut world, Some(root), "b", usd(3_000_000)).unwrap();
    report(&mut world, child, TaskState::Working, Some("0.25"));
    world.feed(Input::Cancel { task: child, by: "alice".to_owned() }).unwrap();
    report(&mut world, child, TaskState::Canceled, Some("1.00"));
    assert_eq!(world.state(child), TaskState::Canceled);
    assert_eq!(left(&world, root), "8.00");

    let child = delegate(&mut world, Some(root), "b", usd(3_000_000)).unwrap();
    let below = delegate(&mut world, Some(child), "c", usd(1_000_000)).unwrap();
    report(&mut world, child, TaskState::Working, Some("0.25"));
    report(&mut world, child, TaskState::Completed, Some("1.00"));
    assert_eq!(world.state(child), TaskState::Working, "it is held until its own child is done");
    world.feed(Input::Cancel { task: child, by: "alice".to_owned() }).unwrap();
    report(&mut world, below, TaskState::Canceled, Some("0.00"));
    assert_eq!(world.state(child), TaskState::Canceled);
    assert_eq!(left(&world, root), "7.00");
}

#[test]
fn a_total_is_believed_unit_by_unit_wherever_it_stands() {
    let mut world = World::new();
    let budget = Ceilings { usd: Some(3_000_000), tokens: Some(1_000), ..Ceilings::default() };
    let root = delegate(&mut world, None, "a", budget).unwrap();
    let spent = |world: &World| serde_json::to_value(world.tree.summary(root).unwrap().cost).unwrap();
    report(&mut world, root, TaskState::Working, Some("1.00"));
    let mut task = snapshot(first(root), TaskState::Working, None);
    task.metadata.set(extension::URI, &json!({ "cost": { "tokens": 7 } })).unwrap();
    world.say(first(root), StreamResponse::Task(task.clone()));
    assert_eq!(spent(&world), json!({ "usd": "1.00", "tokens": 7 }), "nothing else in it is new");
    task.metadata.set(extension::URI, &json!({ "cost": { "fanout": 9_999, "tokens": 1_001 } })).unwrap();
    world.say(first(root), StreamResponse::Task(task));
    world.feed(Input::CancelAnswered { attempt: first(root), confirmed: true, reason: None }).unwrap();
    assert_eq!(world.state(root), TaskState::Failed);
    assert_eq!(
        spent(&world),
        json!({ "usd": "1.00", "tokens": 1_001 }),
        "delegations the broker counts itself"
    );
}

#[test]
fn splitting_a_capability_does_not_multiply_its_ceiling() {
    let mut world = World::new();
    let root = world.delegate(None, "c").unwrap();
    assert_eq!(world.tree.summary(root).unwrap().scope, ["a2a:skill/*/work", "mcp:tool/*{calls<=4}"]);
    let child = |world: &mut World, asked: Option<Scope>| {
        let mut new = world.new_task(Some(root), "b", RetryWish::default());
        new.skill = Some("work".to_owned());
        new.agent.caps = Scope::parse(["mcp:tool/read{calls<=9}", "mcp:tool/search{calls<=9}"]).unwrap();
        new.asked = asked;
        let id = new.id;
        world.feed(Input::Delegate(Box::new(new))).map(|()| id)
    };
    let held = child(&mut world, None).unwrap();
    let scope = world.tree.summary(held).unwrap().scope;
    assert_eq!(scope, ["mcp:tool/read{calls<=4}", "mcp:tool/search{calls<=4}"]);
    let asked = Scope::parse(["mcp:tool/search{calls<=1}"]).unwrap();
    assert!(exhausted(&child(&mut world, Some(asked))), "all four are held");
    report(&mut world, held, TaskState::Completed, None);
    let next = child(&mut world, None).unwrap();
    let scope = world.tree.summary(next).unwrap().scope;
    assert_eq!(scope, ["mcp:tool/read{calls<=0}", "mcp:tool/search{calls<=0}"], "and were used up");
}

#[test]
fn a_rate_counts_the_sub_tasks_of_one_group_and_every_delegate_a_task_had() {
    let limited = |world: &mut World| {
        let mut new = world.new_task(None, "a", RetryWish::default());
        new.agent.caps = Scope::parse(["a2a:skill/**{rate<=2/60s}"]).unwrap();
        let root = new.id;
        world.feed(Input::Delegate(Box::new(new))).unwrap();
        root
    };
    let mut world = World::new();
    let root = limited(&mut world);
    let task = world.new_task(Some(root), "e", RetryWish::default());
    let id = task.id;
    let subtasks =
        ["b", "c", "d"].map(|agent| world.new_task(Some(id), agent, RetryWish::default())).to_vec();
    let group = Group { mode: GroupMode::Parallel, need: 3 };
    let refused = world.feed(Input::Group(Box::new(NewGroup { task, group, subtasks })));
    assert!(matches!(refused, Err(Refusal::RateExceeded { .. })), "{refused:?}");
    assert_eq!(world.tasks(), [root]);

    let mut world = World::new();
    let root = limited(&mut world);
    let new = world.new_task(Some(root), "b", retries(1, false, Fallback::Any));
    let child = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    let attempt = |number| AttemptId { task: child, number };
    for (number, to) in [(1, "c"), (2, "d")] {
        world.fail(attempt(number), Failure::Refused("no".to_owned()));
        let to = Box::new(candidate(to));
        let reassigned = world.feed(Input::Reassign { attempt: attempt(number + 1), to });
        let is_within = number == 1;
        assert_eq!(reassigned.is_ok(), is_within, "delegate {}: {reassigned:?}", number + 1);
    }
}

#[test]
fn a_rate_counts_every_delegation_below_its_holder_and_says_when_to_come_back() {
    let mut world = World::new();
    let mut new = world.new_task(None, "a", RetryWish::default());
    new.agent.caps = Scope::parse(["a2a:skill/**{rate<=2/60s}"]).unwrap();
    let root = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    world.now = world.now.add_millis(10_000);
    world.delegate(Some(child), "c").unwrap();
    for parent in [root, child] {
        let refused = world.delegate(Some(parent), "e");
        assert!(matches!(refused, Err(Refusal::RateExceeded { retry_after: 50, .. })), "{refused:?}");
    }
    world.crash();
    world.now = world.now.add_millis(50_000);
    world.delegate(Some(child), "e").unwrap();
}

#[test]
fn hops_run_out() {
    let mut world = World::new();
    let mut new = world.new_task(None, "a", RetryWish::default());
    new.held = Scope::parse(["a2a:skill/**{hops<=1}", "mcp:tool/search{calls<=9;hops<=1}"]).unwrap();
    let root = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    let scope = world.tree.summary(child).unwrap().scope;
    assert_eq!(scope, ["a2a:skill/**{hops<=0}", "mcp:tool/search{calls<=9;hops<=0}"]);
    let last = world.delegate(Some(child), "c").unwrap();
    assert!(world.tree.summary(last).unwrap().scope.is_empty(), "usable, not grantable");
    let refused = world.delegate(Some(last), "e");
    assert!(matches!(refused, Err(Refusal::CapabilityExceeded { .. })), "{refused:?}");
}

#[test]
fn a_budget_on_the_right_to_delegate_bounds_all_that_is_delegated_under_it() {
    let mut world = World::new();
    let mut new = world.new_task(None, "a", RetryWish::default());
    new.held = Scope::parse(["a2a:skill/a/*", "a2a:skill/b/*{usd<=2.00}", "a2a:skill/e/*"]).unwrap();
    let root = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    let one = delegate(&mut world, Some(root), "b", usd(1_500_000)).unwrap();
    assert!(exhausted(&delegate(&mut world, Some(root), "b", usd(1_000_000))));
    let other = delegate(&mut world, Some(root), "b", Ceilings::default()).unwrap();
    assert_eq!(left(&world, other), "0.25", "who asks for nothing gets half of what is left");
    delegate(&mut world, Some(root), "e", usd(9_000_000)).unwrap();
    report(&mut world, one, TaskState::Completed, Some("0.25"));
    let again = delegate(&mut world, Some(root), "b", usd(1_500_000));
    assert!(again.is_ok(), "what came back can be spent again: {again:?}");
}

#[test]
fn canceling_what_was_revoked_still_works() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    world.feed(Input::Revoke { task: root, by: "alice".to_owned() }).unwrap();
    world.feed(Input::Cancel { task: root, by: "alice".to_owned() }).unwrap();
    world.now = world.now.add_millis(world.limits.cancel_ms);
    world.feed(Input::Tick).unwrap();
    assert_eq!(world.state(root), TaskState::Canceled);
}

/// Two capabilities that come from one of the delegator's share its ceiling; neither is used up in the other's place.
#[test]
fn capabilities_that_share_a_ceiling_keep_their_own() {
    let mut world = World::new();
    world.limits.budget_share = 100;
    let give = |world: &mut World, parent, agent: &str, texts: &[&str]| {
        let mut new = world.new_task(parent, agent, RetryWish::default());
        new.agent.caps = Scope::parse(texts.iter().copied()).unwrap();
        let id = new.id;
        world.feed(Input::Delegate(Box::new(new))).map(|()| id)
    };
    let root = give(&mut world, None, "a", &["a2a:skill/**", "mcp:tool/*{calls<=9}"]).unwrap();
    let two = ["a2a:skill/**", "mcp:tool/fetch{calls<=3}", "mcp:tool/search{calls<=5}"];
    let middle = give(&mut world, Some(root), "b", &two).unwrap();
    give(&mut world, Some(middle), "c", &two).unwrap();
    let late = give(&mut world, Some(middle), "d", &two).unwrap();
    let held = world.tree.summary(late).unwrap().scope.join(" ");
    assert!(!held.contains("calls<=1") && !held.contains("calls<=3"), "the first has it all: {held}");
    assert!(held.contains("mcp:tool/search{calls<=0}"), "{held}");
}

/// Metadata that went through a Protobuf `Struct`, as with the official SDKs, has floating numbers only.
#[test]
fn whole_numbers_may_be_written_as_floating_ones_and_no_others() {
    let asked = |budget: serde_json::Value| {
        let mut message = protocol::Message::user_text("m", "do it");
        message.metadata.set(extension::URI, &json!({ "budget": budget })).unwrap();
        extension::Asked::of(&message).map(|asked| asked.budget.calls)
    };
    assert_eq!(asked(json!({ "calls": 150.0 })), Ok(Some(150)));
    assert_eq!(asked(json!({ "calls": 150 })), Ok(Some(150)));
    assert_eq!(asked(json!({ "calls": null })), Ok(None));
    for bad in [json!(1.5), json!(-1.0), json!(-1), json!(1e300), json!("3")] {
        let refused = asked(json!({ "calls": bad })).unwrap_err();
        assert!(refused.to_string().contains(".budget: expected {usd"), "{refused}");
    }
    let mut done = protocol::Message::agent_text("m", "done");
    done.metadata.set(extension::URI, &json!({ "cost": { "calls": 2.0 } })).unwrap();
    let cost = extension::cost_in(&StreamResponse::Message(done)).unwrap();
    assert_eq!(cost.calls, Some(2), "and so is what an agent reports");
}
