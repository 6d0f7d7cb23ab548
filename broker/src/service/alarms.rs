//! Alarms by key: what is to be looked at next, and when. A line in a table each, however many wait.

use std::cmp::Reverse;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker_core::Timestamp;
use keyed_priority_queue::KeyedPriorityQueue;
use tokio::sync::Notify;

/// Longest sleep between two looks, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// One alarm at most for each key.
pub(super) struct Alarms<K: Hash + Eq> {
    /// The earliest first.
    due: Mutex<KeyedPriorityQueue<K, Reverse<Timestamp>>>,
    changed: Notify,
}

impl<K: Hash + Eq> Default for Alarms<K> {
    fn default() -> Self {
        Self { due: Mutex::new(KeyedPriorityQueue::new()), changed: Notify::new() }
    }
}

impl<K: Copy + Hash + Eq> Alarms<K> {
    fn lock(&self) -> MutexGuard<'_, KeyedPriorityQueue<K, Reverse<Timestamp>>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets, moves or clears an alarm; whether there was one.
    pub(super) fn set(&self, key: K, at: Option<Timestamp>) -> bool {
        let mut due = self.lock();
        let Some(at) = at else { return due.remove(&key).is_some() };
        let before = due.push(key, Reverse(at));
        if before != Some(Reverse(at)) && due.peek().is_some_and(|(first, _)| *first == key) {
            self.changed.notify_one();
        }
        before.is_some()
    }

    /// Whether there is one.
    pub(super) fn is_set(&self, key: K) -> bool {
        self.lock().get_priority(&key).is_some()
    }

    /// Those whose time has come. An alarm rings once.
    pub(super) fn take_due(&self, now: Timestamp) -> Vec<K> {
        let mut due = self.lock();
        let mut keys = Vec::new();
        while due.peek().is_some_and(|(_, Reverse(at))| *at <= now) {
            keys.extend(due.pop().map(|(key, _)| key));
        }
        keys
    }

    /// Resolves when it is time to look, or the first alarm is another one.
    pub(super) async fn until_next(&self, now: Timestamp) {
        let next = self.lock().peek().map(|(_, Reverse(at))| at.as_millis().saturating_sub(now.as_millis()));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A step: an alarm is set or cleared, or the clock comes to a time.
    #[derive(Debug, Clone)]
    enum Step {
        Set(u8, Option<i64>),
        Ring(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..8_u8, prop::option::of(0..20_i64)).prop_map(|(key, at)| Step::Set(key, at)),
            1 => (0..20_i64).prop_map(Step::Ring),
        ]
    }

    fn sorted(mut keys: Vec<u8>) -> Vec<u8> {
        keys.sort_unstable();
        keys
    }

    proptest! {
        #[test]
        fn each_alarm_rings_once_when_it_was_last_set_for(steps in prop::collection::vec(step(), 0..60)) {
            let alarms = Alarms::default();
            let mut expected = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set(key, at) => {
                        let before = match at {
                            Some(at) => expected.insert(key, at),
                            None => expected.remove(&key),
                        };
                        let was_set = alarms.set(key, at.map(Timestamp::from_millis));
                        prop_assert_eq!(was_set, before.is_some());
                        prop_assert_eq!(alarms.is_set(key), at.is_some());
                    }
                    Step::Ring(now) => {
                        let mut due: Vec<(i64, u8)> = Vec::new();
                        expected.retain(|key, at| {
                            let is_due = *at <= now;
                            due.extend(is_due.then_some((*at, *key)));
                            !is_due
                        });
                        let rang = alarms.take_due(Timestamp::from_millis(now));
                        let times: BTreeMap<u8, i64> = due.iter().map(|(at, key)| (*key, *at)).collect();
                        let at: Vec<i64> = rang.iter().filter_map(|key| times.get(key).copied()).collect();
                        prop_assert!(at.is_sorted(), "{:?} of {:?}", rang, due);
                        prop_assert_eq!(sorted(rang), times.into_keys().collect::<Vec<_>>());
                    }
                }
            }
        }
    }
}
