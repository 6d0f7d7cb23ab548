//! Chance that a seed repeats: who does what, and when. (What the machine makes of it, no seed repeats.)

use std::time::Duration;

/// `SplitMix64`.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True this many times in a hundred.
    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.between(1, 100) <= share
    }

    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    /// One of some, taken out.
    pub(crate) fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        let last = from.len().checked_sub(1)? as u64;
        let index = usize::try_from(self.between(0, last)).expect("an index");
        Some(from.swap_remove(index))
    }
}
