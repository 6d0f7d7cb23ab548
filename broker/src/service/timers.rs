//! Wakes trees whose time has come.

use std::sync::{Arc, Weak};

use broker_core::delegation::input::Input;
use broker_core::{TaskId, Timestamp};
use futures_util::{StreamExt, stream};

use super::Broker;
use super::alarms::Alarms;

/// Wait after a tree that could not be woken, before the same is tried again.
const RETRY_MILLIS: i64 = 1_000;
/// Trees that are woken at a time, so that their appends share the disk's time.
const AT_ONCE: usize = 64;

/// When each tree's time comes next.
pub(super) type Timers = Alarms<TaskId>;

/// Wakes trees until the broker is gone.
pub(super) async fn run(broker: Weak<Broker>) {
    while let Some(alive) = broker.upgrade() {
        let now = alive.clock.now();
        let due = stream::iter(alive.timers.take_due(now));
        due.for_each_concurrent(AT_ONCE, |root| wake(&alive, root, now)).await;
        alive.timers.until_next(now).await;
    }
}

async fn wake(broker: &Arc<Broker>, root: TaskId, now: Timestamp) {
    if let Err(failure) = broker.drive(root, Input::Tick).await {
        tracing::warn!(%root, ?failure, "a tree could not be woken");
        broker.timers.set(root, Some(now.add_millis(RETRY_MILLIS)));
    }
}
