//! kill -9 at every append: a broker that dies at the first thing it makes durable for a tree of three levels, at the
//! second, and so on to the last, each time on every side of it. Every tree is finished after the restart as if nothing had
//! happened: judged by the soak's checker, which here excuses nothing.
//!
//! One append is one write to the disk here (`store.batch = 1`), so that the points at which the broker dies are all there
//! are. How it is made to die exactly there: `docs/decisions/0014-dying-at-an-append.md`.

use std::any::Any;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use conformance_tests::{Agent, AppendFault, Broker, Side, is_embedded};
use tempfile::TempDir;

use crate::soak::caller::{Caller, Order, Reading};
use crate::soak::checker;
use crate::soak::logs::{Logs, read};
use crate::soak::plan::{Node, Plan};

/// Each delegates to the next.
const AGENTS: [&str; 3] = ["root", "child", "grandchild"];
const CONFIG: &str = r#"
[store]
batch = 1
[southbound]
ask_every = "100ms"
"#;
/// Brokers at a time, each with its own data; most of the time they wait.
const BROKERS: usize = 4;
/// A tree of three levels takes at least as many appends.
const LEAST: u64 = 15;
/// A tree that is finished before its point is reached may have been shorter than others: two words of an agent in one
/// append. So it is tried again. How many words are one, and so how long the longest trees are, depends on the machine: what
/// only some of them reach need not be hit.
const TRIES: u32 = 3;
/// How long a tree may take, its broker's death and all.
const LIMIT: Duration = Duration::from_mins(2);

#[test]
fn a_broker_killed_at_any_append_on_any_side_of_it_finishes_the_tree() {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        eprintln!("skipped: a_broker_killed_at_any_append…: nothing can be preloaded here");
        return;
    }
    if !is_embedded("dying at an append, which is a write to a file of its own store") {
        return;
    }
    let agents = AGENTS.map(Agent::scripted);
    let folder = TempDir::new().expect("a folder for the logs");
    let next = AtomicU64::new(0);
    let begun = Instant::now();
    let lead = |number| runtime().block_on(Life::lead(number, &agents, folder.path(), &next));
    let lives: Vec<Lived> = std::thread::scope(|scope| {
        let lives: Vec<_> = (0..BROKERS).map(|number| scope.spawn(move || lead(number))).collect();
        let over = lives.into_iter().map(ScopedJoinHandle::join).collect::<Vec<_>>();
        over.into_iter().map(|life| life.unwrap_or_else(|panic| panic!("{}", said(&*panic)))).collect()
    });
    let least = lives.iter().map(|life| life.reached).min().unwrap_or_default().max(LEAST);
    let deaths: Vec<Death> = lives.into_iter().flat_map(|life| life.deaths).collect();

    for side in Side::ALL {
        let died: BTreeSet<u64> =
            deaths.iter().filter(|death| death.side == side).map(|death| death.at).collect();
        let beyond: Vec<u64> = died.iter().copied().filter(|at| *at > least).collect();
        eprintln!("killed {side:?} each of {least} appends, and {beyond:?}; the tree was finished each time");
        let missed: Vec<u64> = (1..=least).filter(|at| !died.contains(at)).collect();
        assert!(missed.is_empty(), "{side:?}: every append of {least}, and not {missed:?}");
    }
    eprintln!("{} deaths in {:.0} s", deaths.len(), begun.elapsed().as_secs_f64());

    let callers = (0..BROKERS).flat_map(|number| read(&caller_log(folder.path(), number))).collect();
    let logs = AGENTS.iter().zip(&agents).map(|(name, agent)| ((*name).to_owned(), read(agent.log_file())));
    let (findings, figures) = checker::check(&Logs { callers, agents: logs.collect(), kills: Vec::new() });
    assert!(findings.is_empty(), "{findings:#?}");
    assert_eq!((figures.whole, figures.again), (figures.trees, 0), "every tree is whole");
    assert!(figures.trees >= deaths.len() + BROKERS, "{figures:?}");
}

/// Each broker has a thread to itself, which its starts may block.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What a thread panicked with, to be said at the end, too.
fn said(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map_or("a tree was not finished", String::as_str)
}

/// What became of one broker.
struct Lived {
    deaths: Vec<Death>,
    /// Appends of the longest of its last trees, none of which came to the point at which it was to die next.
    reached: u64,
}

/// Where a broker died.
struct Death {
    at: u64,
    side: Side,
}

fn caller_log(folder: &Path, number: usize) -> std::path::PathBuf {
    folder.join(format!("caller-{number}.jsonl"))
}

/// One broker, dying again and again over the same data.
struct Life {
    number: usize,
    broker: Broker,
    caller: Caller,
    trees: u64,
}

impl Life {
    /// Dies at the next point that nobody has died at, until trees are finished before their point is reached.
    async fn lead(number: usize, agents: &[Agent], folder: &Path, next: &AtomicU64) -> Lived {
        let broker = Broker::start(CONFIG);
        for (name, agent) in AGENTS.iter().zip(agents) {
            broker.add_agent(name, agent.url(), &["a2a:skill/**"]).await;
        }
        let caller = Caller::new(broker.url(), &caller_log(folder, number), number);
        let mut life = Self { number, broker, caller, trees: 0 };
        // That an agent answers with tasks has to be known before anything can be concluded from its silence.
        life.tree(None, Vec::new).await;
        let (mut lived, mut spared) = (Lived { deaths: Vec::new(), reached: 0 }, 0);
        let mut point = Point::following(next);
        life.broker.start_again_with(&point.fault.env());
        while spared < TRIES {
            let mut following = None;
            let env = || following.insert(Point::following(next)).fault.env();
            life.tree(Some(&point.fault), env).await;
            let Point { at, side, fault } = point;
            let (begun, durable) = fault.appends();
            if let Some(following) = following {
                let last = if side == Side::After { at } else { at - 1 };
                assert_eq!((begun, durable), (at, last), "it died where it was to, {side:?} {at}");
                lived.deaths.push(Death { at, side });
                (point, spared, lived.reached) = (following, 0, 0);
            } else {
                assert!(
                    begun < at,
                    "it was to die {side:?} {at} and did not: {begun} begun, {durable} durable"
                );
                spared += 1;
                lived.reached = lived.reached.max(begun);
                point = Point::new(at, side);
                life.broker.start_again_with(&point.fault.env());
            }
        }
        lived
    }

    /// One tree, and whatever the broker dies of meanwhile; it comes back with another environment.
    async fn tree(&mut self, fault: Option<&AppendFault>, env: impl FnOnce() -> Vec<(String, String)>) {
        let tree = format!("b{}-{}", self.number, self.trees);
        self.trees += 1;
        let order = Order {
            plan: three_levels(&tree),
            reading: Reading::Stream { drops: Vec::new() },
            watch: None,
            again: None,
            cancel: None,
            tree,
        };
        if let Some(fault) = fault {
            fault.count();
        }
        let (broker, caller) = (&mut self.broker, &self.caller);
        let asking = async {
            let task = caller.run(&order).await.expect("a task");
            caller.look_back(&order, &task).await;
        };
        let dying = async {
            while !broker.is_dead() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            broker.start_again_with(&env());
        };
        let both = async {
            tokio::pin!(asking, dying);
            tokio::select! {
                () = &mut asking => {
                    // It may die of an append that nobody waited for.
                    if fault.is_some_and(AppendFault::is_due) {
                        dying.await;
                    }
                }
                () = &mut dying => asking.await,
            }
        };
        tokio::time::timeout(LIMIT, both).await.unwrap_or_else(|_| panic!("{} did not end", order.tree));
    }
}

/// Where a broker is to die.
struct Point {
    at: u64,
    side: Side,
    fault: AppendFault,
}

impl Point {
    fn new(at: u64, side: Side) -> Self {
        Self { at, side, fault: AppendFault::at(at, side) }
    }

    /// The next one: append by append, and side by side within each.
    fn following(next: &AtomicU64) -> Self {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let sides = Side::ALL.len() as u64;
        let side = usize::try_from(number % sides).expect("one of three");
        Self::new(number / sides + 1, Side::ALL[side])
    }
}

fn three_levels(tree: &str) -> Plan {
    let node = |(depth, agent): (usize, &&str)| Node {
        agent: (*agent).to_owned(),
        parent: depth.checked_sub(1),
        pieces: (0..2).map(|piece| format!("[{tree}.{agent}/{piece}]")).collect(),
        delay_ms: 10,
        pace_ms: 5,
    };
    Plan(AGENTS.iter().enumerate().map(node).collect())
}
