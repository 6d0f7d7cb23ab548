//! Deterministic simulation: the whole broker over simulated ports, a seed for each history, and every invariant of the
//! design judged on every one. A seed that fails is printed, and `BAILIWICK_SIM_SEED=… ` lives through it again and
//! prints what happened. Why it is built so: `docs/decisions/0013-simulation.md`.

#[path = "simulation/agents.rs"]
mod agents;
#[path = "simulation/callers.rs"]
mod callers;
#[path = "simulation/chance.rs"]
mod chance;
#[path = "simulation/contract.rs"]
mod contract;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/judge.rs"]
mod judge;
#[path = "simulation/leases.rs"]
mod leases;
#[path = "simulation/life.rs"]
mod life;
#[path = "simulation/members.rs"]
mod members;
#[path = "simulation/mirror.rs"]
mod mirror;
#[path = "simulation/network.rs"]
mod network;
#[path = "simulation/probes.rs"]
mod probes;
#[path = "simulation/sessions.rs"]
mod sessions;
#[path = "simulation/store.rs"]
mod store;
#[path = "simulation/world.rs"]
mod world;

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use self::judge::Totals;

/// Histories in every run of the tests.
const SEEDS: u64 = 300;
/// Histories in a long run (`BAILIWICK_LONG=1`).
const LONG_SEEDS: u64 = 2_000;

/// What is wrong with a history, and the history.
fn live(seed: u64, totals: &Mutex<Totals>) -> (Vec<String>, String) {
    let lived = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let world = life::live_through(seed);
        judge::judge(&world);
        totals.lock().unwrap().count(&world);
        let broken = world.lock().broken.clone();
        (broken, world.history())
    }));
    lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
        (vec![text.lines().next().unwrap_or_default().to_owned()], String::new())
    })
}

/// Takes the guards of the invariants out, one at a time, and counts the histories until one of them shows it.
#[cfg(feature = "sabotage")]
#[test]
fn whichever_guard_is_taken_out_a_history_shows_it() {
    use broker_core::sabotage::{Guard, remove};
    let (next, most) = (AtomicU64::new(0), number("BAILIWICK_SIM_SEEDS").unwrap_or(SEEDS));
    let rows: Mutex<Vec<(u64, String)>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(guard) = Guard::ALL.get(usize::try_from(number).unwrap()) else { return };
                    remove(Some(*guard));
                    let found = (0..most).find_map(|seed| {
                        let broken = live(seed, &Mutex::default()).0;
                        broken.first().map(|first| (seed, first.clone()))
                    });
                    remove(None);
                    let row = match found {
                        Some((seed, what)) => format!("| {guard:?} | {} | {what} |", seed + 1),
                        None => format!("| {guard:?} | not seen | |"),
                    };
                    eprintln!("{row}");
                    rows.lock().unwrap().push((number, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort();
    println!("| guard taken out | histories until it shows | how it shows |\n|---|---|---|");
    rows.iter().for_each(|(_, row)| println!("{row}"));
    assert!(rows.iter().all(|(_, row)| !row.contains("not seen")), "a guard can be taken out unnoticed");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> std::ops::Range<u64> {
    let is_long = std::env::var_os("BAILIWICK_LONG").is_some();
    let many = number("BAILIWICK_SIM_SEEDS").unwrap_or(if is_long { LONG_SEEDS } else { SEEDS });
    number("BAILIWICK_SIM_SEED").map_or(0..many, |seed| seed..seed + 1)
}

#[test]
fn every_history_keeps_every_invariant() {
    let seeds = seeds();
    let is_one = seeds.end - seeds.start == 1;
    let next = AtomicU64::new(seeds.start);
    let failed: Mutex<Vec<(u64, Vec<String>)>> = Mutex::default();
    let totals: Mutex<Totals> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let (broken, history) = live(seed, &totals);
                    if is_one {
                        println!("{history}");
                    }
                    if !broken.is_empty() {
                        failed.lock().unwrap().push((seed, broken));
                    }
                }
            });
        }
    });
    println!("{} histories: {:?}", seeds.end - seeds.start, totals.into_inner().unwrap());
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, broken) in &failed {
        println!("seed {seed}: {}", broken.join("\n         "));
        println!(
            "  again: BAILIWICK_SIM_SEED={seed} cargo test -p broker --test it -- --nocapture \
             simulation::every_history"
        );
    }
    assert!(
        failed.is_empty(),
        "{} of {} histories break an invariant",
        failed.len(),
        seeds.end - seeds.start
    );
}

#[test]
fn a_seed_is_a_history() {
    for seed in 0..8 {
        let again = || live(seed, &Mutex::default()).1;
        assert!(again() == again(), "seed {seed} was lived through twice, and differs");
    }
}
