//! Death at an append: a broker that is killed (SIGKILL, by itself) exactly before, within or after the n-th thing it
//! makes durable. A small library, preloaded, does it to the broker's binary as it is
//! (`preload/die_at_append.c`; decision 14).

use std::path::PathBuf;

use tempfile::TempDir;

use crate::preload::{LD_PRELOAD, library};

/// Which side of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Nothing of it is written.
    Before,
    /// Half of it is written.
    Torn,
    /// It is durable, and nobody has been told.
    After,
}

impl Side {
    /// Every side.
    pub const ALL: [Self; 3] = [Self::Before, Self::Torn, Self::After];

    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Torn => "torn",
            Self::After => "after",
        }
    }
}

/// A death that waits for its append.
pub struct AppendFault {
    folder: TempDir,
    at: u64,
    side: Side,
}

impl AppendFault {
    /// At the n-th append, counted from 1 once [`Self::count`] is called; 0 counts and never kills.
    pub fn at(at: u64, side: Side) -> Self {
        Self { folder: TempDir::new().expect("a temporary folder"), at, side }
    }

    /// What the broker's environment must hold.
    pub fn env(&self) -> Vec<(String, String)> {
        [
            (LD_PRELOAD, library("die_at_append")),
            ("APPEND_FAULT_NOTES", self.notes().to_str().expect("a path").to_owned()),
            ("APPEND_FAULT_AT", self.at.to_string()),
            ("APPEND_FAULT_SIDE", self.side.name().to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// From now on appends count.
    pub fn count(&self) {
        std::fs::write(self.notes(), "").expect("a file for the notes");
    }

    /// Appends since: how many were begun, and how many are durable.
    pub fn appends(&self) -> (u64, u64) {
        let notes = std::fs::read_to_string(self.notes()).unwrap_or_default();
        let count = |step| notes.matches(step).count() as u64;
        (count('w'), count('d'))
    }

    /// Whether the append it waits for has been begun: the broker dies of it, if it is not dead yet.
    pub fn is_due(&self) -> bool {
        self.appends().0 >= self.at
    }

    fn notes(&self) -> PathBuf {
        self.folder.path().join("notes")
    }
}
