//! One table: what each operation costs, in plain token verifies. Every turn of an operation stands next to a turn of the
//! plain verify and is set against it, so that a machine that slows down slows both; medians over all rounds are shown.

use std::time::{Duration, Instant};

use capability_compared::measured::{Operation, PLAIN_VERIFY, operations};

const ROUNDS: usize = 101;
/// How long one turn lasts; long enough that reading the clock costs nothing, short enough for one speed.
const TURN: Duration = Duration::from_millis(2);

fn main() {
    let operations = operations();
    let plain = operations.iter().find(|operation| operation.name == PLAIN_VERIFY).expect("it is among them");
    let turns: Vec<u32> = operations.iter().map(calls_per_turn).collect();
    let plain_turn = calls_per_turn(plain);
    let mut measured = vec![(Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS)); operations.len()];
    for round in 0..ROUNDS {
        for ((operation, turn), (times, ratios)) in operations.iter().zip(&turns).zip(&mut measured) {
            // Neither is always the one that comes after something else.
            let (verify, own) = if round % 2 == 0 {
                let verify = warm(plain, plain_turn);
                (verify, time(operation, *turn))
            } else {
                let own = warm(operation, *turn);
                (time(plain, plain_turn), own)
            };
            times.push(own);
            ratios.push(own / verify);
        }
    }
    println!("{:36} {:>13} {:>10}  goal", "operation", "median", "verifies");
    for (operation, (times, ratios)) in operations.iter().zip(measured) {
        let (time, ratio) = (median(times) / 1e3, median(ratios));
        let goal = operation
            .goal
            .map_or(String::new(), |goal| format!("≤ {goal}{}", if ratio <= goal { "" } else { "  missed" }));
        println!("{:36} {time:>10.2} µs {ratio:>10.4}  {goal}", operation.name);
    }
}

fn calls_per_turn(operation: &Operation) -> u32 {
    let mut calls = 1;
    while time(operation, calls) * f64::from(calls) < TURN.as_nanos() as f64 {
        calls *= 2;
    }
    calls
}

/// As [`time`], after a part of a turn that is not counted.
fn warm(operation: &Operation, calls: u32) -> f64 {
    time(operation, calls.div_ceil(4));
    time(operation, calls)
}

/// Nanoseconds of one call, over so many.
fn time(operation: &Operation, calls: u32) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| (operation.run)());
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
