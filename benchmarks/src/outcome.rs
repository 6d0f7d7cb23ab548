//! What an experiment found, as it is kept: one JSON file each, from which the page and the pictures are made, so that
//! one experiment can be repeated without the others.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::rounds::{Rounds, median};

#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Outcome {
    pub experiment: String,
    /// When, in UTC.
    pub measured: String,
    pub machine: Vec<String>,
    /// What was measured, and its version.
    pub versions: Vec<(String, String)>,
    pub plan: String,
    pub rounds: Rounds,
    pub verdicts: Vec<Verdict>,
    /// Aloud: who was not there.
    pub skipped: Vec<String>,
    pub notes: Vec<String>,
    pub picture: Option<Picture>,
}

/// A ratio, and whether it is what was aimed at.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Verdict {
    pub what: String,
    /// The median of the rounds' own ratios.
    pub ratio: f64,
    pub lowest: f64,
    pub highest: f64,
    /// None: told, not judged.
    pub goal: Option<Goal>,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// What is drawn.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub enum Picture {
    /// A bar for each row, as long as its figure in this column; the rows named are the broker's own.
    Bars { column: String, logarithmic: bool },
    /// A line for each of these columns over the rows, whose names are numbers.
    Lines { columns: Vec<String>, across: String },
}

impl Goal {
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
        }
    }
}

impl Outcome {
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub fn picture(mut self, picture: Picture) -> Self {
        self.picture = Some(picture);
        self
    }

    /// Judges the ratio of two rows in one column.
    pub fn judge(self, column: &str, row: &str, to: &str, goal: Option<Goal>) -> Self {
        let what = format!("{column}: {row} / {to}");
        self.judge_by(what, goal, |of| Some(of(row, column)? / of(to, column)?))
    }

    /// Judges what is reckoned from each round's figures. Where somebody was not there, there is no verdict.
    pub fn judge_by(
        mut self,
        what: impl Into<String>,
        goal: Option<Goal>,
        reckon: impl Fn(&dyn Fn(&str, &str) -> Option<f64>) -> Option<f64>,
    ) -> Self {
        let rounds = &self.rounds;
        let ratios: Vec<f64> = (0..rounds.kept)
            .filter_map(|round| {
                reckon(&|row: &str, column: &str| rounds.values(row, column)?.get(round).copied())
            })
            .filter(|ratio| ratio.is_finite())
            .collect();
        if !ratios.is_empty() {
            let (lowest, highest) = (
                ratios.iter().copied().fold(f64::INFINITY, f64::min),
                ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            );
            self.verdicts.push(Verdict { what: what.into(), ratio: median(&ratios), lowest, highest, goal });
        }
        self
    }

    pub fn save(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.json", self.experiment));
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("{}: cannot be written", path.display()))
    }

    /// What was found when the experiment was last made, if it ever was.
    pub fn load(folder: &Path, experiment: &str) -> Result<Option<Self>> {
        let path = folder.join(format!("{experiment}.json"));
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        let outcome = serde_json::from_str(&text).with_context(|| {
            format!("{} is not what this program writes; make the experiment again", path.display())
        })?;
        Ok(Some(outcome))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rounds::Row;

    /// Three rounds of a floor and of the broker, which is 2, 2 and 4 times as much.
    pub(crate) fn outcome() -> Outcome {
        let row = |name: &str, values: [f64; 3]| Row {
            name: name.to_owned(),
            values: [("CPU µs".to_owned(), values.to_vec())].into(),
        };
        let rows = vec![row("floor", [10.0, 20.0, 10.0]), row("broker", [20.0, 40.0, 40.0])];
        let rounds = Rounds { columns: vec!["CPU µs".to_owned()], rows, kept: 3, dropped: Vec::new() };
        Outcome {
            experiment: "hop".to_owned(),
            measured: "2026-01-01".to_owned(),
            machine: vec!["a machine".to_owned()],
            versions: vec![("nginx".to_owned(), "1".to_owned())],
            plan: "3 rounds of 2 s".to_owned(),
            rounds,
            verdicts: Vec::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
            picture: None,
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_each_rounds_own() {
        let judged = outcome().judge("CPU µs", "broker", "floor", Some(Goal::AtMost(2.0)));
        let Verdict { what, ratio, lowest, highest, goal } = &judged.verdicts[0];
        assert_eq!((*ratio, *lowest, *highest), (2.0, 2.0, 4.0));
        assert_eq!(what, "CPU µs: broker / floor");
        assert!(goal.unwrap().is_met(*ratio));
        assert!(!Goal::AtLeast(2.1).is_met(*ratio));
    }

    #[test]
    fn nobody_is_judged_by_one_who_was_not_there() {
        assert!(outcome().judge("CPU µs", "broker", "nginx", Some(Goal::AtMost(2.0))).verdicts.is_empty());
    }

    #[test]
    fn what_is_saved_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let saved = outcome().judge("CPU µs", "broker", "floor", None).note("a note");
        saved.save(folder.path()).unwrap();
        let read = Outcome::load(folder.path(), "hop").unwrap().unwrap();
        assert_eq!((read.rounds, read.verdicts, read.notes), (saved.rounds, saved.verdicts, saved.notes));
        assert!(Outcome::load(folder.path(), "other").unwrap().is_none());
    }
}
