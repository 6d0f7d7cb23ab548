//! One table: what each operation costs, in plain token verifies of the same run. Rounds are interleaved, so that what
//! slows the machine down slows all of them; medians are shown.

use std::time::{Duration, Instant};

use capability_compared::measured::{Operation, PLAIN_VERIFY, operations};

const ROUNDS: usize = 41;
/// How long one operation runs in one round.
const TURN: Duration = Duration::from_millis(10);

fn main() {
    let operations = operations();
    let turns: Vec<u32> = operations.iter().map(calls_per_turn).collect();
    let mut measured = vec![Vec::with_capacity(ROUNDS); operations.len()];
    for _ in 0..ROUNDS {
        for ((operation, turn), times) in operations.iter().zip(&turns).zip(&mut measured) {
            times.push(time(operation, *turn) / f64::from(*turn));
        }
    }
    let medians: Vec<f64> = measured.into_iter().map(median).collect();
    let plain = operations.iter().zip(&medians).find(|(operation, _)| operation.name == PLAIN_VERIFY);
    let (_, plain) = plain.expect("it is among them");
    println!("{:40} {:>12} {:>10} {:>8}", "operation", "median", "verifies", "goal");
    for (operation, nanoseconds) in operations.iter().zip(&medians) {
        let ratio = nanoseconds / plain;
        let goal = operation
            .goal
            .map_or(String::new(), |goal| format!("≤ {goal}{}", if ratio <= goal { "" } else { "  MISSED" }));
        println!("{:40} {:>9.2} µs {ratio:>10.4} {goal:>8}", operation.name, nanoseconds / 1e3);
    }
}

fn calls_per_turn(operation: &Operation) -> u32 {
    let mut calls = 1;
    while calls < 1 << 20 && time(operation, calls) < TURN.as_nanos() as f64 {
        calls *= 2;
    }
    calls
}

fn time(operation: &Operation, calls: u32) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| (operation.run)());
    start.elapsed().as_nanos() as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
