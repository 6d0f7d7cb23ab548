//! Conversations that wait for long: not a task each, but a line in a table. Such a conversation begins anew when its time
//! comes, or its agent says a word, by what the tree knows of it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use broker_core::delegation::input::AttemptId;
use futures_util::{StreamExt, stream};
use protocol::ErrorKind;

use super::start_following_again;
use crate::service::Broker;

/// Conversations that begin anew at a time.
const AT_ONCE: usize = 64;

impl Broker {
    /// Has an attempt asked after in a while.
    pub(super) fn park(&self, attempt: AttemptId, pause: Duration) {
        let millis = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        self.conversations.park(attempt, self.clock.now().add_millis(millis));
    }

    /// The agent of a parked attempt has said a word.
    pub(in crate::service) fn unpark(self: &Arc<Self>, attempt: AttemptId) {
        if self.conversations.parked.set(attempt, None) {
            let broker = Arc::clone(self);
            tokio::spawn(async move { begin_anew(&broker, attempt).await });
        }
    }
}

/// Wakes conversations until the broker is gone.
pub(in crate::service) async fn run(broker: Weak<Broker>) {
    while let Some(alive) = broker.upgrade() {
        let now = alive.clock.now();
        let due = stream::iter(alive.conversations.parked.take_due(now));
        due.for_each_concurrent(AT_ONCE, |attempt| begin_anew(&alive, attempt)).await;
        alive.conversations.parked.until_next(now).await;
    }
}

async fn begin_anew(broker: &Arc<Broker>, attempt: AttemptId) {
    let cell = match broker.trees.find(attempt.task).await {
        Ok(Some(cell)) => cell,
        Ok(None) => return,
        // The store is away: later.
        Err(failure) if failure.kind == ErrorKind::Unavailable => {
            return broker.park(attempt, broker.recovery.ask_every);
        }
        Err(failure) => {
            tracing::error!(task = %attempt.task, ?failure, "an agent that is at work cannot be asked");
            return;
        }
    };
    let tree = cell.tree.lock().await;
    // Whoever has sent the agent something meanwhile did so with the tree locked, and listens.
    if !broker.conversations.is_at_work(attempt)
        && let Some(recovery) = tree.recovery(attempt)
    {
        start_following_again(broker, tree.root(), recovery);
    }
}
