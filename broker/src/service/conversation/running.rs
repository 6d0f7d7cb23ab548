//! Which attempts somebody listens to now: one conversation each, so that a new one ends the one before, and whoever gives an
//! attempt up ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker_core::Timestamp;
use broker_core::delegation::input::AttemptId;
use dashmap::DashMap;
use tokio::task::AbortHandle;

use crate::service::Broker;
use crate::service::alarms::Alarms;

/// Who listens to which attempt. A new conversation about an attempt replaces the old one.
#[derive(Default)]
pub(in crate::service) struct Conversations {
    running: DashMap<AttemptId, (u64, AbortHandle)>,
    next: AtomicU64,
    /// Those that wait for long.
    pub(super) parked: Alarms<AttemptId>,
}

impl Conversations {
    pub(in crate::service) fn stop(&self, attempt: AttemptId) {
        if let Some((_, (_, running))) = self.running.remove(&attempt) {
            running.abort();
        }
        self.parked.set(attempt, None);
    }

    /// For the end: nobody listens any more.
    pub(in crate::service) fn stop_all(&self) {
        self.running.retain(|_, (_, running)| {
            running.abort();
            false
        });
    }

    /// Whoever is at an attempt, and does this, is so no longer; it is begun anew at a time.
    pub(super) fn park(&self, attempt: AttemptId, at: Timestamp) {
        let own = tokio::task::try_id();
        // First, so that whoever is to begin anew, from now on, finds nobody at it.
        self.running.remove_if(&attempt, |_, (_, running)| Some(running.id()) == own);
        self.parked.set(attempt, Some(at));
    }

    /// Whether somebody is at it now.
    pub(super) fn is_at_work(&self, attempt: AttemptId) -> bool {
        self.running.contains_key(&attempt)
    }

    /// Whether somebody listens to an attempt.
    pub(in crate::service) fn is_running(&self, attempt: AttemptId) -> bool {
        self.running.contains_key(&attempt) || self.parked.is_set(attempt)
    }

    pub(super) fn start(
        broker: &Arc<Broker>,
        attempt: AttemptId,
        conversation: impl Future<Output = ()> + Send + 'static,
    ) {
        // Boxed, because a future moved into another is held twice; there may be very many that wait.
        let conversation = Box::pin(conversation);
        broker.conversations.parked.set(attempt, None);
        let number = broker.conversations.next.fetch_add(1, Ordering::Relaxed);
        let owner = Arc::clone(broker);
        let running = tokio::spawn(async move {
            conversation.await;
            owner.conversations.running.remove_if(&attempt, |_, (running, _)| *running == number);
        });
        let before = broker.conversations.running.insert(attempt, (number, running.abort_handle()));
        if let Some((_, before)) = before {
            before.abort();
        }
        // It may have ended before it was entered.
        if running.is_finished() {
            broker.conversations.running.remove_if(&attempt, |_, (running, _)| *running == number);
        }
    }
}
