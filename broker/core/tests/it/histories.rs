//! Random histories: agents that work, ask, fail, lie and vanish; callers that delegate, answer and cancel; time
//! that passes; a broker that dies at any record. After each step the reference reads the whole journal.

use std::cell::RefCell;
use std::collections::BTreeSet;

use broker_core::TaskId;
use broker_core::delegation::BROKER_AGENT;
use broker_core::delegation::input::{
    AttemptId, Candidate, Failure, Input, NewGrant, NewGroup, NewHandOff, NewTask, RetryWish,
};
use broker_core::extension;
use broker_core::journal::{ChoiceVerdict, Fact, Fallback, Group, GroupMode, Record, Resolution};
use capability::Scope;
use capability::ledger::{Ceilings, DELEGATION_FEE, Unit};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use protocol::{Message, StreamResponse, Task, TaskState};
use serde_json::json;

use super::steps::{Step, step};
use super::world::{AGENTS, World, accepting, artifact, candidate, choice, retries, snapshot, update};
use super::{acceptance, model};

const STATES: [TaskState; 8] = [
    TaskState::Submitted,
    TaskState::Working,
    TaskState::InputRequired,
    TaskState::AuthRequired,
    TaskState::Completed,
    TaskState::Failed,
    TaskState::Canceled,
    TaskState::Rejected,
];

fn pick<T: Copy>(from: &[T], index: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[index % from.len()])
}

fn with_cost(mut event: StreamResponse, calls: Option<u64>) -> StreamResponse {
    if let (StreamResponse::StatusUpdate(update), Some(calls)) = (&mut event, calls) {
        update.metadata.set(extension::URI, &json!({ "cost": { "calls": calls } })).unwrap();
    }
    event
}

fn failure(how: usize) -> Failure {
    let reason = "because".to_owned();
    match how {
        0 => Failure::NeverSent(reason),
        1 => Failure::Refused(reason),
        2 => Failure::Errored(reason),
        3 => Failure::Invalid(reason),
        4 => Failure::Broken(reason),
        5 => Failure::StreamEnded,
        6 => Failure::Gone(reason),
        7 => Failure::Unreachable(reason),
        8 => Failure::Absent { conclusive: true },
        9 => Failure::Busy { reason, retry_after_ms: Some(700) },
        10 => Failure::Silent { seconds: 5 },
        11 => Failure::Down { reason, retry_after_ms: 700 },
        _ => Failure::Absent { conclusive: false },
    }
}

/// Attempts an event may come from: those listened to, and one that is long over.
fn attempt(world: &World, index: usize) -> Option<AttemptId> {
    let mut known = world.listening.clone();
    known.extend(world.tasks().first().map(|task| AttemptId { task: *task, number: 1 }));
    pick(&known, index)
}

fn sought(world: &World, index: usize) -> Option<AttemptId> {
    let sought: Vec<AttemptId> = world.seeking.iter().map(|search| search.attempt).collect();
    pick(&sought, index)
}

/// Tasks whose outcome nobody knows.
fn unknown(world: &World, tasks: &[TaskId]) -> Vec<TaskId> {
    let is_unknown = |task: &TaskId| {
        let attempts = world.tree.summary(*task).unwrap().attempts;
        attempts.last().is_some_and(|last| last.state == "unknown_outcome")
    };
    tasks.iter().copied().filter(is_unknown).collect()
}

fn input(world: &mut World, step: &Step) -> Option<Input> {
    let tasks = world.tasks();
    Some(match step {
        Step::Delegate { parent, agent, how, budget } => {
            let parent = pick(&tasks, *parent);
            let [escalate, idempotent, elsewhere] = how.wishes;
            let fallback = if elsewhere { Fallback::Any } else { Fallback::None };
            let new = world.new_task(parent, AGENTS[*agent], retries(2, idempotent, fallback));
            let specification = how.accepts.map(accepting);
            let new = NewTask { budget: *budget, admitted: how.admitted, escalate, specification, ..new };
            Input::Delegate(Box::new(new))
        }
        Step::Group { parent, agents, race } => {
            let task = world.new_task(pick(&tasks, *parent), BROKER_AGENT, RetryWish::default());
            let id = task.id;
            let mut subtask = |agent: &usize| world.new_task(Some(id), AGENTS[*agent], RetryWish::default());
            let subtasks = agents.iter().map(&mut subtask).collect();
            let (mode, need) = if *race { (GroupMode::Race, 1) } else { (GroupMode::Parallel, 2) };
            Input::Group(Box::new(NewGroup { task, group: Group { mode, need }, subtasks }))
        }
        Step::Ask { parent, verdict } => {
            let new = world.new_task(pick(&tasks, *parent), BROKER_AGENT, RetryWish::default());
            Input::Ask(Box::new(NewTask { choice: Some(Box::new(choice(*verdict))), ..new }))
        }
        Step::Answer { task, agent, verdict } => return answer(world, *task, *agent, *verdict),
        Step::HandOff { task, agent, admitted } => Input::HandOff(Box::new(NewHandOff {
            task: pick(&tasks, *task)?,
            held: Scope::top(),
            to: Candidate { admitted: *admitted, ..candidate(AGENTS[*agent]) },
            skill: None,
            asked: None,
            message: Message::user_text(format!("over{}", world.journal.len()), "you do it"),
        })),
        Step::Check { result, what } => acceptance::checked(world, *result, *what)?,
        Step::Admit { attempt } => Input::Admitted { attempt: pick(&world.queued, *attempt)? },
        Step::Reassign { attempt, agent, admitted } => {
            let attempt = sought(world, *attempt)?;
            let to = Candidate { admitted: *admitted, ..candidate(AGENTS[*agent]) };
            Input::Reassign { attempt, to: Box::new(to) }
        }
        Step::NoDelegate { attempt } => {
            Input::NoDelegate { attempt: sought(world, *attempt)?, reason: "nobody can".to_owned() }
        }
        Step::Decide { task, approve } => {
            let waits = |task: &TaskId| !world.tree.summary(*task).unwrap().missing.is_empty();
            let task = pick(&tasks.iter().copied().filter(waits).collect::<Vec<_>>(), *task)?;
            let to = candidate(&world.tree.summary(task).unwrap().agent);
            let grant = approve.then(|| Box::new(NewGrant { id: world.fresh(), to }));
            Input::Decide { task, grant, by: "operator".to_owned() }
        }
        Step::Resolve { task, how } => {
            let resolution = [Resolution::Ask, Resolution::Retry, Resolution::Fail][*how];
            Input::Resolve {
                task: pick(&unknown(world, &tasks), *task)?,
                resolution,
                by: "operator".to_owned(),
            }
        }
        Step::Say { attempt: index, what, cost } => {
            let attempt = attempt(world, *index)?;
            let text = format!("q{}", world.journal.len());
            let event = match what {
                0..8 => with_cost(update(attempt, STATES[*what], Some(&text)), *cost),
                8 => artifact(attempt, "x", world.journal.len().is_multiple_of(2)),
                _ => StreamResponse::Message(Message::agent_text(text.as_str(), "hello")),
            };
            Input::Agent { attempt, event: Box::new(event) }
        }
        Step::Fail { attempt: index, how } => {
            Input::Failed { attempt: attempt(world, *index)?, failure: failure(*how), jitter: 9 }
        }
        Step::Found { attempt: index, what, lacks } => {
            let attempt = attempt(world, *index)?;
            let history = lacks.then(|| Message::user_text("first", "do it")).into_iter().collect();
            world.found(attempt, Task { history, ..snapshot(attempt, STATES[*what], Some("found")) })
        }
        Step::Turn { task } => return turn(world, *task),
        Step::Revoke { task } => Input::Revoke { task: pick(&tasks, *task)?, by: "alice".to_owned() },
        Step::Cancel { task } => Input::Cancel { task: pick(&tasks, *task)?, by: "alice".to_owned() },
        Step::CancelAnswered { attempt, confirmed } => {
            let attempt = pick(&world.canceling, *attempt)?;
            Input::CancelAnswered { attempt, confirmed: *confirmed, reason: None }
        }
        Step::Pass { millis } => {
            world.now = world.now.add_millis(*millis);
            Input::Tick
        }
        Step::SayMore { .. }
        | Step::AskBelow { .. }
        | Step::Judge { .. }
        | Step::EscalateBelow { .. }
        | Step::Crash
        | Step::CrashDuring { .. } => {
            return None;
        }
    })
}

/// What a caller says to whom it is asked whom a task is for; or to one that asks nothing of the kind.
fn answer(world: &mut World, task: usize, agent: Option<usize>, verdict: ChoiceVerdict) -> Option<Input> {
    let (id, tasks) = (world.fresh(), world.tasks());
    let message = Box::new(Message::user_text(format!("turn{id}"), "that one"));
    let asking = |task: &TaskId| world.tree.asks_for_agent(*task).is_some();
    let asking: Vec<TaskId> = tasks.iter().copied().filter(asking).collect();
    let task = pick(if asking.is_empty() { &tasks } else { &asking }, task)?;
    let choice = Box::new(choice(verdict));
    Some(match agent {
        None => Input::AskAgain { task, message, push: None, choice },
        Some(agent) => {
            let to = Box::new(Candidate { choice: Some(choice), ..candidate(AGENTS[agent]) });
            Input::Choose { task, message, push: None, to }
        }
    })
}

fn turn(world: &mut World, task: usize) -> Option<Input> {
    let tasks = world.tasks();
    let id = world.fresh();
    let message = Box::new(Message::user_text(format!("turn{id}"), "blue"));
    // Mostly what is asked is answered, and now and then what is not.
    let asks = |task: &TaskId| world.state(*task).is_interrupted();
    let asking: Vec<TaskId> = tasks.iter().copied().filter(asks).collect();
    let among = if asking.is_empty() || task.is_multiple_of(8) { &tasks } else { &asking };
    Some(Input::Turn { task: pick(among, task)?, message, push: None })
}

/// What many random steps would hardly ever come to.
fn ask_below(world: &mut World, parent: usize, agent: usize, answers: bool) {
    let Some(parent) = pick(&world.tasks(), parent) else { return };
    let Ok(child) = world.delegate(Some(parent), AGENTS[agent]) else { return };
    let number =
        |world: &World, task| world.listening.iter().rev().find(|attempt| attempt.task == task).copied();
    for (task, state) in [(child, TaskState::InputRequired), (parent, TaskState::Completed)] {
        if let Some(attempt) = number(world, task) {
            world.say(attempt, update(attempt, state, Some("below")));
        }
    }
    if answers {
        let (id, root) = (world.fresh(), world.tree.root());
        let message = Box::new(Message::user_text(format!("turn{id}"), "blue"));
        let _ = world.feed(Input::Turn { task: root, message, push: None });
    }
}

fn escalate_below(world: &mut World, parent: usize) {
    let Some(parent) = pick(&world.tasks(), parent) else { return };
    let Ok(middle) = world.delegate(Some(parent), "d") else { return };
    let new = world.new_task(Some(middle), "c", RetryWish::default());
    let _ = world.feed(Input::Delegate(Box::new(NewTask { escalate: true, ..new })));
}

fn say_more(world: &mut World, index: usize, taken: bool) {
    let Some(at) = pick(&world.listening, index).or_else(|| attempt(world, index)) else { return };
    world.say(at, update(at, TaskState::Working, None));
    let id = world.fresh();
    let message = Box::new(Message::user_text(format!("turn{id}"), "hurry"));
    if world.feed(Input::Turn { task: at.task, message, push: None }).is_ok() && taken {
        let _ = world.feed(world.taken(at));
    }
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::EscalateBelow { parent } => escalate_below(world, *parent),
        Step::AskBelow { parent, agent, answers } => ask_below(world, *parent, *agent, *answers),
        Step::SayMore { attempt, taken } => say_more(world, *attempt, *taken),
        Step::Judge { attempt, accepts } => acceptance::judge(world, *attempt, *accepts),
        Step::Crash => world.crash(),
        Step::CrashDuring { step, durable } => {
            if let Some(input) = input(world, step) {
                world.feed_and_crash(input, *durable);
            }
        }
        step => {
            if let Some(input) = input(world, step) {
                // A refusal changes nothing; that it does not is checked by `World::feed`.
                let _ = world.feed(input);
            }
        }
    }
}

/// Left alone, with agents that never speak again, every tree ends: nothing waits for ever.
fn left_alone_it_ends(world: &mut World) {
    for _ in 0..200 {
        let Some(next) = world.tree.next_timer(&world.limits) else { break };
        let known = world.journal.len();
        if next > world.now {
            world.now = next.add_millis(-1);
            world.feed(Input::Tick).expect("time always passes");
            assert_eq!(world.journal.len(), known, "something was due before its alarm: {:#?}", world.tree);
        }
        world.now = world.now.max(next);
        world.feed(Input::Tick).expect("time always passes");
        assert!(world.journal.len() > known, "an alarm rang for nothing: {:#?}", world.tree);
    }
    assert!(!world.tree.is_open(), "something is open and nothing will ever end it: {:#?}", world.tree);
}

/// Every kind of fact, so that what the histories never reach is noticed.
const FACTS: [&str; 37] = [
    "approved",
    "artifact",
    "attempt_accepted",
    "attempt_ended",
    "attempt_lost",
    "attempt_queued",
    "attempt_scheduled",
    "attempt_started",
    "bubbled",
    "cancel_requested",
    "checked",
    "checking",
    "closing",
    "cost",
    "delegate_sought",
    "ended",
    "held",
    "judging",
    "late",
    "metadata",
    "outcome_unknown",
    "passed_on",
    "push_deleted",
    "push_set",
    "reassigned",
    "resolved",
    "resumed",
    "revoked",
    "said",
    "status",
    "submitted",
    "turn",
    "turn_refused",
    "turn_resent",
    "turn_taken",
    "weighed",
    "withheld",
];
/// Those that other tests are about.
const ELSEWHERE: [&str; 4] = ["metadata", "push_deleted", "push_set", "said"];

fn kind(fact: &Fact) -> String {
    match serde_json::to_value(fact).unwrap() {
        serde_json::Value::Object(members) => members.into_iter().next().unwrap().0,
        name => name.as_str().unwrap().to_owned(),
    }
}

/// What a tree came to cost, and may come to cost, is within its root's budget; the fee of giving the root to an agent, each
/// time, is beside it.
fn root_keeps_within(world: &World, budget: &Ceilings) {
    let root = world.tree.root();
    let is_given = |record: &&Record| {
        record.task == root && matches!(record.fact, Fact::Submitted(_) | Fact::Reassigned(_))
    };
    let given = world.journal.iter().filter(is_given).count() as u64;
    let all = world.tree.spent().plus(&world.tree.held());
    for unit in [Unit::Calls, Unit::Fanout] {
        let most = budget.get(unit).unwrap() + given * DELEGATION_FEE.get(unit);
        assert!(all.get(unit) <= most, "{unit:?}: {} of {most}", all.get(unit));
    }
}

/// Rounds of histories after which every kind of fact has to have been seen. One round misses the rarest now and then.
const ROUNDS: usize = 6;

#[test]
fn every_history_keeps_the_invariants() {
    let reached = RefCell::new(BTreeSet::new());
    let mut missed = Vec::new();
    for _ in 0..ROUNDS {
        play_histories(&reached);
        let reached = reached.borrow();
        missed = FACTS.iter().filter(|fact| !ELSEWHERE.contains(fact) && !reached.contains(**fact)).collect();
        if missed.is_empty() {
            break;
        }
    }
    assert!(missed.is_empty(), "no history reached {missed:?}");
}

fn play_histories(reached: &RefCell<BTreeSet<String>>) {
    let mut runner = TestRunner::new(ProptestConfig { cases: 1_000, ..ProptestConfig::default() });
    // Without a share of its own what is checked is rarely come to.
    let accepts = prop::option::weighted(0.4, any::<bool>());
    let history = (accepts, prop::collection::vec(step(), 1..90));
    let played = runner.run(&history, |(accepts, steps)| {
        let mut world = World::new();
        let budget = Ceilings { calls: Some(12), fanout: Some(9), ..Ceilings::default() };
        let specification = accepts.map(accepting);
        let retry = retries(2, accepts.is_some(), Fallback::Any);
        let root = NewTask { budget, specification, ..world.new_task(None, "a", retry) };
        let _ = world.feed(Input::Delegate(Box::new(root)));
        for step in &steps {
            take(&mut world, step);
            model::check(&world.journal);
            root_keeps_within(&world, &budget);
        }
        model::nothing_is_sent_twice(&world);
        let live = format!("{:?}", world.tree);
        let folded = broker_core::Tree::fold(world.tree.root(), &world.journal).unwrap();
        prop_assert_eq!(live, format!("{:?}", folded), "replay is the tree that was");
        left_alone_it_ends(&mut world);
        model::check(&world.journal);
        root_keeps_within(&world, &budget);
        prop_assert!(world.tree.held().is_nothing(), "what is over holds nothing");
        reached.borrow_mut().extend(world.journal.iter().map(|record| kind(&record.fact)));
        Ok(())
    });
    played.unwrap_or_else(|failed| panic!("{failed}"));
}
