//! The soak: trees of real agents on every official SDK, the broker killed every few seconds and agents at random, callers
//! that drop their streams and take them up again. What callers and agents wrote down is then checked by somebody who
//! knows nothing else ([`checker`]).
//!
//! The same with three brokers over one database, and more that befalls them ([`brokers`]).
//!
//! An ordinary run has 60 trees and 30, `BAILIWICK_LONG=1` 2,000; `BAILIWICK_SOAK_TREES` asks for another number.

mod brokers;
pub(crate) mod caller;
pub(crate) mod chance;
pub(crate) mod checker;
mod doctored;
mod fleet;
pub(crate) mod logs;
pub(crate) mod plan;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use self::caller::{Caller, CallerLog, Order, Reading};
use self::chance::Chance;
use self::checker::Figures;
use self::fleet::{Fleet, Pace};
use self::logs::{Life, Logs, life, read};

const TREES: usize = 60;
/// With many brokers.
const TREES_MANY: usize = 30;
const TREES_LONG: usize = 2_000;
/// Callers at a time.
const CALLERS: usize = 6;
const CALLERS_LONG: usize = 10;
const SEED: u64 = 5;
/// How often who is killed while the soak lasts; milliseconds.
const PACE: Pace = Pace { broker: (2_000, 5_000), agents: (1_000, 4_000), absence: (100, 1_000) };
/// How long agents may still be at work when every caller has its answer.
const SETTLE: Duration = Duration::from_secs(30);
/// Findings that are shown.
const SHOWN: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_reordered_or_left_open_while_broker_and_agents_are_killed() {
    judge(&Fleet::start().await, TREES).await;
}

/// Three brokers and one database behind a load balancer: brokers are killed, or stopped until they are taken for dead and
/// then go on; connections are severed, the database is restarted; agents are killed as ever.
#[tokio::test(flavor = "multi_thread")]
async fn nor_with_many_brokers_that_are_killed_stopped_or_cut_off_and_a_database_that_restarts() {
    if let Some(fleet) = Fleet::start_many().await {
        judge(&fleet, TREES_MANY).await;
    }
}

/// Has so many trees made, or as many as are asked for, and lets the checker see what was written down.
async fn judge(fleet: &Fleet, trees: usize) {
    let long = std::env::var_os("BAILIWICK_LONG").is_some();
    let asked = std::env::var("BAILIWICK_SOAK_TREES").ok().map(|trees| trees.parse().expect("a number"));
    let trees = asked.unwrap_or(if long { TREES_LONG } else { trees });
    let folder = tempfile::TempDir::new().expect("a folder for the logs");
    let begun = Instant::now();
    let logs = soak(fleet, folder.path(), trees, if long { CALLERS_LONG } else { CALLERS }).await;
    let (findings, figures) = checker::check(&logs);
    report(&figures, begun.elapsed());
    if !findings.is_empty() {
        for (name, file) in fleet.log_files() {
            let _ = std::fs::copy(file, folder.path().join(format!("agent-{name}.jsonl")));
        }
        let shown: Vec<_> = findings.iter().take(SHOWN).collect();
        panic!("{} findings; the logs are in {}: {shown:#?}", findings.len(), folder.keep().display());
    }
    assert_eq!(figures.trees, trees + 1);
    assert!(figures.whole * 2 > trees, "most trees are whole: {figures:?}");
    assert!(figures.broker_kills > 0 && figures.agent_kills > 0 && figures.recovered > 0, "{figures:?}");
}

/// Has the trees made, and reads what was written down meanwhile.
async fn soak(fleet: &Fleet, folder: &Path, trees: usize, callers: usize) -> Logs {
    let mut chance = Chance::new(SEED);
    let kills = CallerLog::create(&folder.join("kills.jsonl"));
    fleet::name_forgetful(&kills);
    let caller = |number: usize| {
        Caller::new(fleet.url.clone(), &folder.join(format!("caller-{number}.jsonl")), number)
    };
    let crowd: Vec<Arc<Caller>> = (0..callers).map(|number| Arc::new(caller(number))).collect();
    // One tree in peace: that an agent answers with tasks has to be known before anything can be concluded from silence.
    let plan = fleet.everybody("peace", &mut chance);
    let peace =
        Order { reading: Reading::Wait, watch: None, again: None, cancel: None, plan, tree: "peace".into() };
    let peace_task = crowd[0].run(&peace).await.expect("a task");
    let orders: Arc<Vec<Order>> =
        Arc::new((0..trees).map(|number| order(fleet, number, &mut chance)).collect());

    let (stop, next) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
    let work = async {
        let mut asking = JoinSet::new();
        for caller in &crowd {
            asking.spawn(ask_for_trees(Arc::clone(caller), Arc::clone(&orders), Arc::clone(&next)));
        }
        let asked = asking.join_all().await;
        stop.store(true, Ordering::Relaxed);
        asked.into_iter().flatten().collect::<Vec<_>>()
    };
    let (asked, ()) = tokio::join!(work, fleet.haunt(&PACE, &kills, SEED + 1, &stop));

    settled(fleet).await;
    // What was told is there after one more death, the same as before.
    fleet.brokers.crash().await;
    crowd[0].look_back(&peace, &peace_task).await;
    for (number, task) in asked {
        crowd[0].look_back(&orders[number], &task).await;
    }
    settled(fleet).await;
    let callers = (0..callers).flat_map(|number| read(&folder.join(format!("caller-{number}.jsonl"))));
    // A caller may look back at what another asked for: what was sent stands before what was seen of it.
    let (sent, seen): (Vec<_>, Vec<_>) = callers.partition(|line| line["what"] == "sent");
    let agents = fleet.log_files().into_iter().map(|(name, file)| (name.to_owned(), read(&file))).collect();
    Logs { callers: [sent, seen].concat(), agents, kills: read(&folder.join("kills.jsonl")) }
}

/// One caller, asking for the next tree as long as there is one. The task of each.
async fn ask_for_trees(
    caller: Arc<Caller>,
    orders: Arc<Vec<Order>>,
    next: Arc<AtomicUsize>,
) -> Vec<(usize, String)> {
    let mut asked = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(order) = orders.get(number) else { return asked };
        if let Some(task) = caller.run(order).await {
            caller.look_back(order, &task).await;
            asked.push((number, task));
        }
    }
}

/// What somebody asks for, and how it goes about it.
fn order(fleet: &Fleet, number: usize, chance: &mut Chance) -> Order {
    let tree = format!("t{number}");
    let plan = fleet.plan(&tree, chance);
    let reading = match chance.between(1, 10) {
        1..=6 => Reading::Stream { drops: drops(chance) },
        7..=8 => Reading::Wait,
        _ => Reading::Poll,
    };
    let watch = chance.percent(40).then(|| drops(chance));
    let again = chance.percent(30).then(|| chance.millis(0, 1_500));
    let cancel = chance.percent(6).then(|| chance.millis(0, 800));
    Order { tree, plan, reading, watch, again, cancel }
}

/// After how many events a stream is dropped, each time.
fn drops(chance: &mut Chance) -> Vec<u64> {
    (0..chance.between(0, 3)).map(|_| chance.between(1, 4)).collect()
}

/// Waits until no agent is at work, for a while; the checker says what still is.
async fn settled(fleet: &Fleet) {
    let since = Instant::now();
    while since.elapsed() < SETTLE && fleet.log_files().iter().any(|(name, file)| is_at_work(name, file)) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn is_at_work(name: &str, file: &Path) -> bool {
    let log = read(file);
    let Life { hearings, dead } = life(name, &log);
    hearings.iter().any(|heard| !heard.ended && !heard.canceled && heard.life == dead.len())
}

fn report(figures: &Figures, took: Duration) {
    let Figures { trees, whole, partial, failed, canceled, unknown, .. } = figures;
    let Figures { broker_kills, agent_kills, recovered, streams, resumed, messages, again, .. } = figures;
    eprintln!("soak: {trees} trees in {:.0} s, {messages} messages to agents", took.as_secs_f64());
    eprintln!("  killed: the broker {broker_kills} times, agents {agent_kills} times");
    eprintln!("  trees that were open when the broker died: {recovered}");
    eprintln!(
        "  whole {whole}, partial {partial}, failed {failed}, canceled {canceled}; unknown outcomes {unknown}"
    );
    eprintln!(
        "  streams {streams}, taken up again {resumed}; heard again by an agent that had forgotten: {again}"
    );
}
