//! Newton's method for the two models: both have one best fit, found in a few steps, the same every time.

use broker_selection::algebra::Cholesky;
use broker_selection::{FEATURES, SIGNALS};

use crate::lessons::Lesson;

const STEPS: usize = 25;
/// How strongly weights are pulled towards nothing, in units of one set's weight.
const PULL: f64 = 2e-4;

/// Weights with which the right row of each lesson gets the largest share. None is below nothing, those of features
/// aside that may speak against an agent: a better match must never count against it.
pub(crate) fn choice(lessons: &[(&Lesson, f64)], features: usize) -> Vec<f32> {
    let mut kept = vec![true; features];
    loop {
        let weights = fitted(lessons, features, &kept);
        let below = weights.iter().zip(FREE).map(|(w, free)| *w < 0.0 && !free).collect::<Vec<_>>();
        if below.iter().all(|below| !below) {
            return weights;
        }
        for (kept, below) in kept.iter_mut().zip(below) {
            *kept &= !below;
        }
    }
}

/// Features whose weight may be below nothing.
const FREE: [bool; FEATURES] = {
    let mut free = [false; FEATURES];
    free[FEATURES - 1] = true;
    free[FEATURES - 2] = true;
    free
};

fn fitted(lessons: &[(&Lesson, f64)], features: usize, kept: &[bool]) -> Vec<f32> {
    let mut weights = vec![0.0_f64; features];
    let mut last = f64::INFINITY;
    for _ in 0..STEPS {
        let mut loss = 0.0;
        let mut gradient: Vec<f64> = weights.iter().map(|w| PULL * w).collect();
        let mut hessian = vec![vec![0.0; features]; features];
        for (i, row) in hessian.iter_mut().enumerate() {
            row[i] = PULL;
        }
        for (lesson, count) in lessons {
            let rows: Vec<Vec<f64>> =
                lesson.rows.iter().map(|r| r[..features].iter().map(|&x| f64::from(x)).collect()).collect();
            let scores: Vec<f64> =
                rows.iter().map(|r| r.iter().zip(&weights).map(|(x, w)| x * w).sum()).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - most).exp()).sum();
            let mut mean = vec![0.0; features];
            for (score, row) in scores.iter().zip(&rows) {
                let share = (score - most).exp() / sum;
                if share < 1e-7 {
                    continue;
                }
                for (i, x) in row.iter().enumerate() {
                    mean[i] += share * x;
                    for j in 0..=i {
                        hessian[i][j] += count * share * x * row[j];
                    }
                }
            }
            loss -= count * (scores[lesson.right] - most - sum.ln());
            for i in 0..features {
                gradient[i] += count * (mean[i] - rows[lesson.right][i]);
                for j in 0..=i {
                    hessian[i][j] -= count * mean[i] * mean[j];
                }
            }
        }
        for i in 0..features {
            if !kept[i] {
                gradient[i] = 0.0;
                for j in 0..features {
                    hessian[i.max(j)][i.min(j)] = f64::from(u8::from(i == j));
                }
            }
        }
        step(&mut weights, &gradient, &hessian);
        if (last - loss).abs() < 1e-9 {
            break;
        }
        last = loss;
    }
    weights.into_iter().map(|w| w as f32).collect()
}

/// Weights with which the logistic sum of the signals kept is the probability.
pub(crate) fn logistic(seen: &[([f32; SIGNALS], bool, f64)], kept: &[bool; SIGNALS]) -> [f32; SIGNALS] {
    let kept_only = |signals: &[f32; SIGNALS]| -> Vec<f64> {
        signals.iter().zip(kept).map(|(x, kept)| if *kept { f64::from(*x) } else { 0.0 }).collect()
    };
    let seen: Vec<_> = seen.iter().map(|(s, y, w)| (kept_only(s), f64::from(u8::from(*y)), *w)).collect();
    let mut weights = vec![0.0_f64; SIGNALS];
    for _ in 0..STEPS {
        let mut gradient: Vec<f64> = weights.iter().map(|w| PULL * w).collect();
        let mut hessian = vec![vec![0.0; SIGNALS]; SIGNALS];
        for (i, row) in hessian.iter_mut().enumerate() {
            row[i] = PULL;
        }
        for (signals, y, count) in &seen {
            let sum: f64 = signals.iter().zip(&weights).map(|(x, w)| x * w).sum();
            let p = 1.0 / (1.0 + (-sum).exp());
            for (i, x) in signals.iter().enumerate() {
                gradient[i] += count * (p - y) * x;
                for j in 0..=i {
                    hessian[i][j] += count * p * (1.0 - p) * x * signals[j];
                }
            }
        }
        step(&mut weights, &gradient, &hessian);
    }
    let mut found = [0.0; SIGNALS];
    for (place, weight) in found.iter_mut().zip(weights) {
        *place = weight as f32;
    }
    found
}

fn step(weights: &mut [f64], gradient: &[f64], hessian: &[Vec<f64>]) {
    let step = Cholesky::new(hessian).expect("the pull makes it positive").solve(gradient);
    // A long step may overshoot far from the best fit.
    let length = step.iter().map(|x| x * x).sum::<f64>().sqrt();
    let share = (20.0 / length.max(1e-12)).min(1.0);
    for (weight, step) in weights.iter_mut().zip(step) {
        *weight -= share * step;
    }
}
