//! Rounds: every contender is measured once in each, in an order that moves on by one, so that whatever the machine does
//! beside it hits all alike. A round in which the floor itself was not what it is otherwise is dropped, aloud, and made
//! up for. What counts is the median, and of ratios the median of each round's own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// How far a round's floor may be from the median of all rounds' floors.
const DRIFT: f64 = 0.25;
/// With fewer rounds nobody can say which of them drifted.
const FEWEST: usize = 3;
/// How many rounds are made up for.
const SPARE: usize = 3;

/// How long is measured how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub rounds: usize,
    pub warm_up: Duration,
    pub window: Duration,
}

/// What was measured of one contender in one round, by the names of columns.
pub type Figures = Vec<(&'static str, f64)>;

/// The floor by which a round is judged: whose, and which figure.
#[derive(Clone, Copy)]
pub struct Floor<'a> {
    pub name: &'a str,
    pub figure: &'static str,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Rounds {
    /// Columns, in order.
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
    /// Rounds that count.
    pub kept: usize,
    /// What was dropped, and why.
    pub dropped: Vec<String>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    /// Of each column, what each kept round gave.
    pub values: BTreeMap<String, Vec<f64>>,
}

/// Measures all, in rounds.
pub async fn rounds(
    plan: Plan,
    names: &[String],
    floor: Option<Floor<'_>>,
    mut measure: impl AsyncFnMut(usize) -> Result<Figures>,
) -> Result<Rounds> {
    let mut all: Vec<Vec<Figures>> = Vec::new();
    let mut dropped = Vec::new();
    while all.len() - dropped.len() < plan.rounds && all.len() < plan.rounds + SPARE {
        let round = all.len();
        let mut figures = vec![Figures::new(); names.len()];
        // Each begins once, and every other round goes the other way: nobody always comes after the same.
        let step = if round.is_multiple_of(2) { 1 } else { names.len() - 1 };
        for turn in 0..names.len() {
            let at = (round + turn * step) % names.len();
            figures[at] = measure(at).await.with_context(|| names[at].clone())?;
        }
        eprint!(" {}", round + 1);
        all.push(figures);
        // Only when there are as many as were asked for is it known what the floor is.
        if all.len() >= plan.rounds {
            dropped = drifting(&floors(names, floor, &all));
        }
    }
    eprintln!();
    Ok(keep(names, floor, &all, &dropped))
}

fn floors(names: &[String], floor: Option<Floor<'_>>, all: &[Vec<Figures>]) -> Vec<f64> {
    let Some(floor) = floor else { return Vec::new() };
    let Some(at) = names.iter().position(|name| name == floor.name) else { return Vec::new() };
    let figure = |round: &Vec<Figures>| {
        round[at].iter().find(|(name, _)| *name == floor.figure).map(|(_, value)| *value)
    };
    all.iter().filter_map(figure).collect()
}

/// Which rounds' floors are too far from their median.
fn drifting(floors: &[f64]) -> Vec<usize> {
    if floors.len() < FEWEST {
        return Vec::new();
    }
    let middle = median(floors);
    let is_far = |floor: f64| (floor / middle - 1.0).abs() > DRIFT;
    (0..floors.len()).filter(|&round| is_far(floors[round])).collect()
}

fn keep(names: &[String], floor: Option<Floor<'_>>, all: &[Vec<Figures>], dropped: &[usize]) -> Rounds {
    let measured = floors(names, floor, all);
    let told: Vec<String> = dropped
        .iter()
        .filter_map(|&round| {
            let (floor, off) = (floor?, measured[round] / median(&measured) - 1.0);
            let told = format!(
                "round {}: {} was {:+.0} % off in {}",
                round + 1,
                floor.name,
                off * 100.0,
                floor.figure
            );
            eprintln!("  dropped {told}");
            Some(told)
        })
        .collect();
    let kept: Vec<&Vec<Figures>> =
        (0..all.len()).filter(|round| !dropped.contains(round)).map(|round| &all[round]).collect();
    let mut columns = Vec::new();
    let rows = names.iter().enumerate().map(|(at, name)| {
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (column, value) in kept.iter().flat_map(|round| &round[at]) {
            values.entry((*column).to_owned()).or_default().push(*value);
            if !columns.iter().any(|known| known == column) {
                columns.push((*column).to_owned());
            }
        }
        Row { name: name.clone(), values }
    });
    let rows = rows.collect();
    Rounds { columns, rows, kept: kept.len(), dropped: told }
}

impl Rounds {
    /// The rounds of another question about the same contenders, as further columns.
    pub fn join(&mut self, other: Self) {
        self.kept = if self.rows.is_empty() { other.kept } else { self.kept.min(other.kept) };
        for column in other.columns {
            if !self.columns.contains(&column) {
                self.columns.push(column);
            }
        }
        for row in other.rows {
            match self.rows.iter_mut().find(|known| known.name == row.name) {
                Some(known) => known.values.extend(row.values),
                None => self.rows.push(row),
            }
        }
        self.dropped.extend(other.dropped);
    }

    /// What each round gave.
    pub fn values(&self, row: &str, column: &str) -> Option<&[f64]> {
        let row = self.rows.iter().find(|known| known.name == row)?;
        row.values.get(column).map(Vec::as_slice)
    }

    /// The median of all rounds.
    pub fn median(&self, row: &str, column: &str) -> Option<f64> {
        self.values(row, column).map(median)
    }
}

/// The middle one, or between the middle two; not a number if there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { rounds: 5, warm_up: Duration::ZERO, window: Duration::ZERO };

    fn names() -> Vec<String> {
        ["floor", "it"].map(str::to_owned).to_vec()
    }

    /// Rounds whose floor is what is given, and whose other contender is twice that.
    async fn with_floors(floors: &[f64]) -> (Rounds, Vec<usize>) {
        let (names, mut asked, mut order) = (names(), 0, Vec::new());
        let floor = Some(Floor { name: "floor", figure: "speed" });
        let rounds = rounds(PLAN, &names, floor, async |at| {
            let round = asked / 2;
            asked += 1;
            order.push(at);
            Ok(vec![("speed", floors[round] * if at == 0 { 1.0 } else { 2.0 })])
        });
        let rounds = rounds.await.unwrap();
        (rounds, order)
    }

    #[tokio::test]
    async fn every_contender_is_first_in_turn() {
        let (rounds, order) = with_floors(&[100.0; 5]).await;
        assert_eq!(order, [0, 1, 1, 0, 0, 1, 1, 0, 0, 1]);
        assert_eq!((rounds.kept, rounds.dropped.len()), (5, 0));
    }

    #[tokio::test]
    async fn a_round_whose_floor_drifts_is_dropped_and_made_up_for() {
        let (rounds, _) = with_floors(&[100.0, 70.0, 101.0, 102.0, 99.0, 98.0]).await;
        assert_eq!(rounds.values("floor", "speed").unwrap(), [100.0, 101.0, 102.0, 99.0, 98.0]);
        assert_eq!(rounds.values("it", "speed").unwrap(), [200.0, 202.0, 204.0, 198.0, 196.0]);
        assert_eq!(rounds.dropped.len(), 1);
        assert!(rounds.dropped[0].starts_with("round 2: floor was -30 % off"), "{:?}", rounds.dropped);
    }

    #[tokio::test]
    async fn a_machine_that_never_rests_ends_the_rounds_all_the_same() {
        let (rounds, _) = with_floors(&[10.0, 100.0, 20.0, 300.0, 40.0, 700.0, 50.0, 900.0]).await;
        assert!(rounds.kept < 5 && rounds.kept + rounds.dropped.len() == 8, "{rounds:?}");
    }

    #[test]
    fn a_quarter_is_the_limit_on_both_sides() {
        assert_eq!(drifting(&[100.0, 100.0, 124.0, 76.0]), [] as [usize; 0]);
        assert_eq!(drifting(&[100.0, 100.0, 100.0, 126.0, 74.0]), [3, 4]);
        assert_eq!(drifting(&[1.0, 100.0]), [] as [usize; 0], "two rounds cannot say which of them drifted");
    }

    #[test]
    fn rounds_of_another_question_or_another_row_join_those_there_are() {
        let rounds = |row: &str, column: &str, values: Vec<f64>| Rounds {
            columns: vec![column.to_owned()],
            kept: values.len(),
            rows: vec![Row { name: row.to_owned(), values: [(column.to_owned(), values)].into() }],
            dropped: Vec::new(),
        };
        let mut all = Rounds::default();
        all.join(rounds("a", "x", vec![1.0, 2.0, 3.0]));
        all.join(rounds("a", "y", vec![4.0, 5.0]));
        all.join(rounds("b", "x", vec![6.0, 7.0, 8.0]));
        assert_eq!((all.kept, all.columns.len(), all.rows.len()), (2, 2, 2));
        assert_eq!((all.values("a", "y").unwrap(), all.median("b", "x").unwrap()), (&[4.0, 5.0][..], 7.0));
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
