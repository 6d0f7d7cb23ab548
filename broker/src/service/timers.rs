//! One alarm for all trees: which tree's time comes next.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use broker_core::delegation::input::Input;
use broker_core::{TaskId, Timestamp};
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

use super::Broker;

/// Longest sleep between two looks, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// Wait after a tree that could not be woken, before the same is tried again.
const RETRY_MILLIS: i64 = 1_000;
/// Trees that are woken at a time, so that their appends share the disk's time.
const AT_ONCE: usize = 64;

#[derive(Default)]
pub(super) struct Timers {
    due: Mutex<Due>,
    changed: Notify,
}

#[derive(Default)]
struct Due {
    by_time: BTreeSet<(Timestamp, TaskId)>,
    by_root: HashMap<TaskId, Timestamp>,
}

impl Timers {
    /// Sets, moves or clears a tree's alarm.
    pub(super) fn set(&self, root: TaskId, at: Option<Timestamp>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match at {
            Some(at) => due.by_root.insert(root, at),
            None => due.by_root.remove(&root),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            due.by_time.remove(&(before, root));
        }
        if let Some(at) = at {
            due.by_time.insert((at, root));
            if due.by_time.first() == Some(&(at, root)) {
                self.changed.notify_one();
            }
        }
    }

    fn take_due(&self, now: Timestamp) -> Vec<TaskId> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut roots = Vec::new();
        while let Some(&(at, root)) = due.by_time.first()
            && at <= now
        {
            due.by_time.pop_first();
            due.by_root.remove(&root);
            roots.push(root);
        }
        roots
    }

    fn sleep(&self, now: Timestamp) -> Duration {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = due.by_time.first().map(|(at, _)| at.as_millis().saturating_sub(now.as_millis()));
        next.map_or(LONGEST_SLEEP, |millis| {
            Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(LONGEST_SLEEP)
        })
    }
}

/// Wakes trees until the broker is gone.
pub(super) async fn run(broker: Weak<Broker>) {
    while let Some(alive) = broker.upgrade() {
        let now = alive.clock.now();
        let due = stream::iter(alive.timers.take_due(now));
        due.for_each_concurrent(AT_ONCE, |root| wake(&alive, root, now)).await;
        let sleep = alive.timers.sleep(now);
        tokio::select! {
            biased;
            () = tokio::time::sleep(sleep) => {}
            () = alive.timers.changed.notified() => {}
        }
    }
}

async fn wake(broker: &Arc<Broker>, root: TaskId, now: Timestamp) {
    if let Err(failure) = broker.drive(root, Input::Tick).await {
        tracing::warn!(%root, ?failure, "a tree could not be woken");
        broker.timers.set(root, Some(now.add_millis(RETRY_MILLIS)));
    }
}
