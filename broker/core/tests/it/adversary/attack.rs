//! What the adversary does: random wishes, aimed where they may hurt.

use broker_core::TaskId;
use broker_core::delegation::input::{AgentFacts, AttemptId, Failure, Input, NewTask, RetryWish};
use broker_core::extension;
use capability::Scope;
use capability::ledger::Ceilings;
use proptest::prelude::*;
use protocol::{Message, StreamResponse, TaskState};
use serde_json::json;
use uuid::Uuid;

use super::Game;
use crate::world::update;

/// Enough agents for a chain of nine without a cycle.
const AGENTS: usize = 12;

/// What an operator may have given an agent; the first are wide, so that trees grow deep.
const CAPS: [&[&str]; 8] = [
    &["a2a:skill/**", "fs:path/docs/**", "mcp:tool/*{calls<=9}"],
    &["a2a:skill/**{hops<=8}", "mcp:tool/*{calls<=20;usd<=5.00}", "mcp:tool/search"],
    &["a2a:skill/**", "mcp:tool/fetch{calls<=3}", "mcp:tool/s*{calls<=5}"],
    &["a2a:skill/**{exp<9000}", "mcp:tool/*"],
    &["a2a:skill/**{calls<=6}", "mcp:tool/*{calls<=4;hops<=3}"],
    &["a2a:skill/*/work{hops<=5}", "mcp:tool/search{calls<=2}"],
    &["a2a:skill/**{rate<=2/60s}", "mcp:tool/*{usd<=1.00}"],
    &[],
];

/// What is asked for or presented, some of it more than anybody holds.
const REACHES: [&[&str]; 14] = [
    &["a2a:skill/**"],
    &["a2a:skill/**{hops<=8}", "mcp:tool/**"],
    &["a2a:skill/**{hops<=7}"],
    &["a2a:skill/**{hops<=1}", "mcp:tool/search{calls<=2;hops<=0}"],
    &["a2a:skill/**{exp<999999}"],
    &["a2a:skill/**{exp<9001}"],
    &["a2a:skill/**{nbf>=2000}", "mcp:tool/*{calls<=3}"],
    &["a2a:skill/**", "mcp:tool/fetch{calls<=3}", "mcp:tool/search{calls<=3}"],
    &["a2a:skill/*/work", "mcp:tool/search{calls<=1}"],
    &["a2a:skill/**{calls<=7}"],
    &["a2a:skill/**{rate<=99/60s}"],
    &["fs:path/**"],
    &["mcp:tool/*{calls<=999}"],
    &["mcp:tool/*{calls<=4}", "mcp:tool/s*{calls<=5}"],
];

fn parse(texts: &[&str]) -> Scope {
    Scope::parse(texts.iter().copied()).unwrap()
}

/// How a history begins.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// What each agent was given.
    pub(super) caps: Vec<Scope>,
    held: Option<usize>,
    budget: Ceilings,
    /// The agents of a first, modest branch, so that there are deep trees to attack.
    pub(super) branch: Vec<usize>,
}

/// Where a delegation claims to come from.
#[derive(Debug, Clone, Copy)]
enum Under {
    /// The deepest task that is open.
    Deepest,
    /// Any task of the tree, dead or alive.
    Any(usize),
    /// A task of another tree.
    Foreign,
}

/// A scope the adversary has come by.
#[derive(Debug, Clone, Copy)]
enum Loot {
    Top,
    Made(usize),
    /// What another task holds.
    OfTask(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Wish {
    under: Under,
    agent: usize,
    held: Option<Loot>,
    asked: Option<Loot>,
    budget: Ceilings,
    skill: Option<&'static str>,
    late: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Attack {
    Delegate(Wish),
    /// A delegation below a task that is being taken away, before or after it.
    Race {
        task: usize,
        revoke: bool,
        first: bool,
        wish: Wish,
    },
    /// The agent reports a state and any cost, for its own attempt or as another's.
    Report {
        attempt: usize,
        as_other: Option<usize>,
        state: usize,
        cost: Option<(u64, u64)>,
    },
    Fail {
        attempt: usize,
        how: usize,
    },
    CancelAnswered {
        attempt: usize,
        confirmed: bool,
    },
    Replay(usize),
    Pass(i64),
    Crash,
}

const STATES: [TaskState; 6] = [
    TaskState::Working,
    TaskState::InputRequired,
    TaskState::Completed,
    TaskState::Completed,
    TaskState::Failed,
    TaskState::Canceled,
];

fn some() -> std::ops::Range<usize> {
    0..1_024
}

fn amount() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![16 => Just(None), 6 => (0_u64..40).prop_map(Some), 1 => Just(Some(u64::MAX))]
}

fn budget() -> impl Strategy<Value = Ceilings> {
    (amount(), amount(), amount()).prop_map(|(calls, fanout, usd)| Ceilings {
        usd: usd.map(|usd| usd.saturating_mul(100_000)),
        calls,
        tokens: None,
        fanout,
    })
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let caps = prop_oneof![16 => 0..4_usize, 3 => 4..CAPS.len()].prop_map(|index| parse(CAPS[index]));
    let limited = Ceilings { usd: Some(9_000_000), calls: Some(150), tokens: None, fanout: Some(120) };
    let budget = prop_oneof![1 => Just(Ceilings::default()), 2 => Just(limited)];
    let held = prop::option::weighted(0.5, 0..3_usize);
    (prop::collection::vec(caps, AGENTS), held, budget, prop::collection::vec(some(), 0..=9))
        .prop_map(|(caps, held, budget, branch)| History { caps, held, budget, branch })
}

fn loot() -> impl Strategy<Value = Loot> {
    prop_oneof![
        1 => Just(Loot::Top),
        3 => (0..REACHES.len()).prop_map(Loot::Made),
        2 => some().prop_map(Loot::OfTask),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let under =
        prop_oneof![6 => Just(Under::Deepest), 5 => some().prop_map(Under::Any), 1 => Just(Under::Foreign)];
    let skill = prop_oneof![Just(None), Just(Some("work")), Just(Some("play"))];
    let (held, asked) = (prop::option::weighted(0.2, loot()), prop::option::weighted(0.3, loot()));
    let late = prop::bool::weighted(0.1);
    (under, some(), held, asked, budget(), skill, late).prop_map(
        |(under, agent, held, asked, budget, skill, late)| Wish {
            under,
            agent,
            held,
            asked,
            budget,
            skill,
            late,
        },
    )
}

pub(super) fn attack() -> impl Strategy<Value = Attack> {
    let cost = prop::option::of((0_u64..20, prop_oneof![4 => 0_u64..9, 1 => Just(u64::MAX)]));
    prop_oneof![
        24 => wish().prop_map(Attack::Delegate),
        2 => (some(), any::<bool>(), any::<bool>(), wish())
            .prop_map(|(task, revoke, first, wish)| Attack::Race { task, revoke, first, wish }),
        5 => (some(), prop::option::weighted(0.1, some()), 0..STATES.len(), cost)
            .prop_map(|(attempt, as_other, state, cost)| Attack::Report { attempt, as_other, state, cost }),
        1 => (some(), 0_usize..4).prop_map(|(attempt, how)| Attack::Fail { attempt, how }),
        2 => (some(), any::<bool>())
            .prop_map(|(attempt, confirmed)| Attack::CancelAnswered { attempt, confirmed }),
        3 => some().prop_map(Attack::Replay),
        2 => prop_oneof![Just(600), Just(11_000), Just(61_000), Just(20 * 60_000)].prop_map(Attack::Pass),
        1 => Just(Attack::Crash),
    ]
}

/// The task everything hangs from, asked for by a principal.
pub(super) fn root(game: &mut Game, history: &History) -> Input {
    let wide = (0..AGENTS).find(|&agent| game.judge.caps(agent).covers_delegation()).unwrap_or(0);
    let facts = facts(game, wide);
    let new = game.world.new_task(None, "a", RetryWish::default());
    let held = history.held.map_or_else(Scope::top, |index| parse(CAPS[index]));
    Input::Delegate(Box::new(NewTask { agent: facts, held, budget: history.budget, ..new }))
}

/// A delegation as an honest agent asks for it.
pub(super) fn modest(agent: usize) -> Attack {
    let (budget, skill) = (Ceilings::default(), Some("work"));
    Attack::Delegate(Wish {
        under: Under::Deepest,
        agent,
        held: None,
        asked: None,
        budget,
        skill,
        late: false,
    })
}

trait Wide {
    fn covers_delegation(&self) -> bool;
}

impl Wide for Scope {
    fn covers_delegation(&self) -> bool {
        self.iter().any(|capability| capability.space() == "a2a")
    }
}

fn facts(game: &Game, agent: usize) -> AgentFacts {
    AgentFacts {
        name: format!("a{agent}"),
        identity: format!("http://a{agent}"),
        caps: game.judge.caps(agent).clone(),
        skills: Vec::new(),
        retry: RetryWish::default(),
        skill_retry: std::collections::BTreeMap::new(),
    }
}

fn pick<T: Clone>(from: &[T], index: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[index % from.len()].clone())
}

/// One of these, and seldom one on the way to the deepest task: else no tree would live to grow deep.
fn spared<T: Copy>(game: &Game, from: &[T], index: usize, task: impl Fn(&T) -> TaskId) -> Option<T> {
    let deepest = game.judge.deepest();
    let aside: Vec<T> = from.iter().filter(|one| !game.judge.is_above(task(one), deepest)).copied().collect();
    if index.is_multiple_of(16) { pick(from, index / 16) } else { pick(&aside, index) }
}

fn listening(game: &Game, index: usize) -> Option<AttemptId> {
    spared(game, &game.world.listening, index, |attempt| attempt.task)
}

/// What is fed for an attack, in order.
pub(super) fn inputs(game: &mut Game, attack: &Attack) -> Vec<Input> {
    let tasks = game.world.tasks();
    match attack {
        Attack::Delegate(wish) => vec![delegation(game, wish)],
        Attack::Race { task, revoke, first, wish } => {
            let Some(task) = spared(game, &tasks, *task, |task| *task) else { return Vec::new() };
            let by = "alice".to_owned();
            let away = if *revoke { Input::Revoke { task, by } } else { Input::Cancel { task, by } };
            let below = Wish {
                under: Under::Any(tasks.iter().position(|one| *one == task).unwrap()),
                ..wish.clone()
            };
            let delegation = delegation(game, &below);
            if *first { vec![away, delegation] } else { vec![delegation, away] }
        }
        Attack::Report { attempt, as_other, state, cost } => {
            let Some(attempt) = listening(game, *attempt) else { return Vec::new() };
            let other = as_other.and_then(|other| pick(&game.world.listening, other));
            let text = format!("r{}", game.world.journal.len());
            let event = update(other.unwrap_or(attempt), STATES[*state], Some(&text));
            vec![Input::Agent { attempt, event: Box::new(with_cost(event, *cost)) }]
        }
        Attack::Fail { attempt, how } => {
            let Some(attempt) = listening(game, *attempt) else { return Vec::new() };
            vec![Input::Failed { attempt, failure: failure(*how), jitter: 0 }]
        }
        Attack::CancelAnswered { attempt, confirmed } => {
            // Of a cancellation under way, or made up.
            let made_up = AttemptId { task: tasks[attempt % tasks.len()], number: 1 };
            let attempt = pick(&game.world.canceling, *attempt).unwrap_or(made_up);
            vec![Input::CancelAnswered { attempt, confirmed: *confirmed, reason: None }]
        }
        Attack::Replay(index) => {
            let again = pick(&game.said, *index).map(|input| match input {
                // The broker gives every task an id of its own, whatever is said again.
                Input::Delegate(new) => Input::Delegate(Box::new(NewTask { id: game.world.fresh(), ..*new })),
                input => input,
            });
            again.into_iter().collect()
        }
        Attack::Pass(millis) => {
            game.world.now = game.world.now.add_millis(*millis);
            vec![Input::Tick]
        }
        Attack::Crash => Vec::new(),
    }
}

fn delegation(game: &mut Game, wish: &Wish) -> Input {
    let tasks = game.world.tasks();
    let deepest = game.judge.deepest();
    let (parent, agent) = match wish.under {
        // To get down it takes somebody new each time.
        Under::Deepest => (deepest, game.judge.stranger_below(deepest, wish.agent)),
        Under::Any(index) => (tasks[index % tasks.len()], wish.agent % AGENTS),
        Under::Foreign => (TaskId(Uuid::from_u128(u128::MAX)), wish.agent % AGENTS),
    };
    let scope = |loot: Loot| match loot {
        Loot::Top => Scope::top(),
        Loot::Made(index) => parse(REACHES[index]),
        Loot::OfTask(index) => game.judge.scope_of(tasks[index % tasks.len()]),
    };
    // Nobody can say "everything" on the wire, so nobody asks for it.
    let asked = wish.asked.map(scope).filter(|asked| !asked.is_top());
    let held = wish.held.map_or_else(Scope::top, scope);
    let facts = facts(game, agent);
    let new = game.world.new_task(Some(parent), "a", RetryWish::default());
    Input::Delegate(Box::new(NewTask {
        caller: "mallory".to_owned(),
        agent: facts,
        held,
        asked,
        budget: wish.budget,
        skill: wish.skill.map(str::to_owned),
        deadline: wish.late.then(|| game.world.now.add_millis(i64::from(u32::MAX))),
        message: Message::user_text("the same each time", "do it"),
        ..new
    }))
}

fn with_cost(mut event: StreamResponse, cost: Option<(u64, u64)>) -> StreamResponse {
    if let (StreamResponse::StatusUpdate(update), Some((calls, cents))) = (&mut event, cost) {
        let usd = capability::money(cents.saturating_mul(10_000));
        update.metadata.set(extension::URI, &json!({ "cost": { "calls": calls, "usd": usd } })).unwrap();
    }
    event
}

fn failure(how: usize) -> Failure {
    let reason = "because".to_owned();
    match how {
        0 => Failure::NeverSent(reason),
        1 => Failure::Refused(reason),
        2 => Failure::Errored(reason),
        _ => Failure::Gone(reason),
    }
}
