//! Refusals must not become a weapon that fills the disk: of refusals alike within a window the first is recorded, the
//! others are counted, and the count is recorded when the window ends.

use std::collections::HashMap;

use protocol::Timestamp;

use super::event::{Alike, Event, Repeated};

/// Kinds of refusals told apart in one window; further ones are counted together.
const MAX_KINDS: usize = 256;

/// The refusals of the current windows.
#[derive(Debug)]
pub struct Repeats {
    window_ms: i64,
    seen: HashMap<Alike, Seen>,
}

#[derive(Debug)]
struct Seen {
    since: Timestamp,
    until: Timestamp,
    more: u64,
}

impl Repeats {
    /// Counts refusals alike within a window of this many milliseconds; with 0 each is recorded.
    pub fn new(window_ms: i64) -> Self {
        Self { window_ms, seen: HashMap::new() }
    }

    /// Whether this is to be recorded; if not, it has been counted.
    pub fn admit(&mut self, event: &Event, now: Timestamp) -> bool {
        let Some(alike) = event.alike() else { return true };
        if self.window_ms <= 0 {
            return true;
        }
        let is_new = !self.seen.contains_key(&alike) && self.seen.len() < MAX_KINDS;
        if is_new {
            self.seen.insert(alike, Seen { since: now, until: now, more: 0 });
        } else {
            self.count(alike, now);
        }
        is_new
    }

    /// Counts a refusal that was to be recorded and could not be.
    pub fn missed(&mut self, event: &Event, now: Timestamp) {
        if let Some(alike) = event.alike() {
            self.count(alike, now);
        }
    }

    /// The counts of windows that have ended; with `all`, of those that have not too.
    pub fn settle(&mut self, now: Timestamp, all: bool) -> Vec<Event> {
        let window_ms = self.window_ms;
        let mut over: Vec<(Alike, Seen)> =
            self.seen.extract_if(|_, seen| all || seen.since.add_millis(window_ms) <= now).collect();
        over.sort_by(|(a, one), (b, other)| (one.since, a).cmp(&(other.since, b)));
        over.into_iter()
            .filter(|(_, seen)| seen.more > 0)
            .map(|(like, Seen { since, until, more })| Event::Repeated(Repeated { like, more, since, until }))
            .collect()
    }

    fn count(&mut self, alike: Alike, now: Timestamp) {
        let is_told_apart = self.seen.contains_key(&alike) || self.seen.len() < MAX_KINDS;
        let kind = if is_told_apart { alike } else { Alike::Others };
        let seen = self.seen.entry(kind).or_insert(Seen { since: now, until: now, more: 0 });
        seen.more += 1;
        seen.until = now;
    }
}
