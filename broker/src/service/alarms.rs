//! Alarms by key: what is to be looked at next, and when. A line in a table each, however many wait.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker_core::Timestamp;
use tokio::sync::Notify;

/// Longest sleep between two looks, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// One alarm at most for each key.
pub(super) struct Alarms<K> {
    due: Mutex<Due<K>>,
    changed: Notify,
}

struct Due<K> {
    by_time: BTreeSet<(Timestamp, K)>,
    by_key: HashMap<K, Timestamp>,
}

impl<K> Default for Alarms<K> {
    fn default() -> Self {
        let due = Due { by_time: BTreeSet::new(), by_key: HashMap::new() };
        Self { due: Mutex::new(due), changed: Notify::new() }
    }
}

impl<K: Copy + Ord + Hash> Alarms<K> {
    fn lock(&self) -> MutexGuard<'_, Due<K>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets, moves or clears an alarm; whether there was one.
    pub(super) fn set(&self, key: K, at: Option<Timestamp>) -> bool {
        let mut due = self.lock();
        let before = match at {
            Some(at) => due.by_key.insert(key, at),
            None => due.by_key.remove(&key),
        };
        if before == at {
            return before.is_some();
        }
        if let Some(before) = before {
            due.by_time.remove(&(before, key));
        }
        if let Some(at) = at {
            due.by_time.insert((at, key));
            if due.by_time.first() == Some(&(at, key)) {
                self.changed.notify_one();
            }
        }
        before.is_some()
    }

    /// Whether there is one.
    pub(super) fn is_set(&self, key: K) -> bool {
        self.lock().by_key.contains_key(&key)
    }

    /// Those whose time has come. An alarm rings once.
    pub(super) fn take_due(&self, now: Timestamp) -> Vec<K> {
        let mut due = self.lock();
        let mut keys = Vec::new();
        while let Some(&(at, key)) = due.by_time.first()
            && at <= now
        {
            due.by_time.pop_first();
            due.by_key.remove(&key);
            keys.push(key);
        }
        keys
    }

    /// Resolves when it is time to look, or the first alarm is another one.
    pub(super) async fn until_next(&self, now: Timestamp) {
        let next = self.lock().by_time.first().map(|(at, _)| at.as_millis().saturating_sub(now.as_millis()));
        let sleep = next.map_or(LONGEST_SLEEP, |millis| {
            Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(LONGEST_SLEEP)
        });
        tokio::select! {
            biased;
            () = tokio::time::sleep(sleep) => {}
            () = self.changed.notified() => {}
        }
    }
}
