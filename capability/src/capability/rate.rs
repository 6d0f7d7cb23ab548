//! Rates: at most so many uses within a time, several at once. A rate is tighter than another if it allows no more
//! uses in a window that is no shorter: then every history of uses it admits, the other admits too, and only then.

use std::fmt;

/// Longest window of a rate, in seconds (31 days).
pub(super) const MAX_WINDOW_SECONDS: u64 = 31 * 24 * 3_600;

/// At most `uses` (at least 1) within any `window` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Rate {
    pub(crate) window: u64,
    pub(crate) uses: u64,
}

/// Rates that all hold: none implied by another, shortest window first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Rates(Vec<Rate>);

impl Rate {
    fn is_tighter(self, other: Self) -> bool {
        self.uses <= other.uses && self.window >= other.window
    }

    fn admits(self, now: u64, recent: &[u64]) -> bool {
        // A use at `t` counts through `t + window - 1`; one that claims to lie ahead counts too.
        let counted = recent.iter().filter(|&&used| used.saturating_add(self.window) > now).count();
        (counted as u64) < self.uses
    }

    /// Seconds until one more use is admitted, if it is not now.
    fn wait(self, now: u64, recent: &[u64]) -> Option<u64> {
        let mut frees: Vec<u64> =
            recent.iter().map(|used| used.saturating_add(self.window)).filter(|&frees| frees > now).collect();
        frees.sort_unstable();
        // All but `uses - 1` of the counted ones must have left the window.
        let over = frees.len().checked_sub(usize::try_from(self.uses).ok()?)?;
        frees.get(over).map(|frees| frees - now)
    }
}

impl Rates {
    /// The longest window, in seconds.
    pub(crate) fn longest_window(&self) -> u64 {
        self.0.iter().map(|rate| rate.window).max().unwrap_or(0)
    }

    /// The rates that none of the others implies.
    pub(crate) fn of(rates: impl IntoIterator<Item = Rate>) -> Self {
        let mut rates: Vec<Rate> = rates.into_iter().collect();
        rates.sort_unstable();
        rates.dedup();
        let all = rates.clone();
        rates.retain(|rate| !all.iter().any(|other| other != rate && other.is_tighter(*rate)));
        Self(rates)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Rate> {
        self.0.iter().copied()
    }

    pub(super) fn le(&self, other: &Self) -> bool {
        other.iter().all(|theirs| self.iter().any(|ours| ours.is_tighter(theirs)))
    }

    pub(super) fn meet(&self, other: &Self) -> Self {
        Self::of(self.iter().chain(other.iter()))
    }

    pub(super) fn admits(&self, now: u64, recent: &[u64]) -> bool {
        self.iter().all(|rate| rate.admits(now, recent))
    }

    /// Seconds until one more use is admitted by all; `None` if it is now.
    pub(crate) fn wait(&self, now: u64, recent: &[u64]) -> Option<u64> {
        self.iter().filter_map(|rate| rate.wait(now, recent)).max()
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rate) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            write!(f, "{separator}rate<={}/{}s", rate.uses, rate.window)?;
        }
        Ok(())
    }
}
