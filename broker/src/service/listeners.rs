//! Who listens to the tasks of one tree in memory: those who want every event, as streams do, and those who only wait until
//! something has happened, as a call does that waits for its answer. A channel for events is made when the first wants
//! them, and is gone with the task's end, or the first event that nobody wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker_core::journal::Record;
use broker_core::{TaskId, Tree};
use bytes::Bytes;
use protocol::TaskState;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, broadcast};

/// Events a subscriber may fall behind by before it has to read the journal again.
const SUBSCRIBER_LAG_EVENTS: usize = 64;

/// What happened to a subscribed task.
#[derive(Debug, Clone)]
pub(super) struct TaskEvent {
    /// Number of the record among the task's own.
    pub(super) seq: u64,
    /// The event as a `StreamResponse` in JSON, if the record shows anything.
    pub(super) json: Option<Bytes>,
    /// The task's state after it.
    pub(super) state: TaskState,
}

/// All of a tree's listeners, by task; in order, so that they are sent away in order. `None` once they were.
pub(super) struct Listeners(Mutex<Option<BTreeMap<TaskId, Audience>>>);

impl Default for Listeners {
    fn default() -> Self {
        Self(Mutex::new(Some(BTreeMap::new())))
    }
}

/// A task's listeners.
#[derive(Default)]
struct Audience {
    news: Arc<Notify>,
    events: Option<Sender<TaskEvent>>,
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<TaskId, Audience>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every event of a task from now on; closed if nothing is told here any more. Called with the tree locked, so that no
    /// event falls in between.
    pub(super) fn subscribe(&self, task: TaskId) -> Receiver<TaskEvent> {
        let new = || broadcast::Sender::new(SUBSCRIBER_LAG_EVENTS);
        match self.lock().as_mut() {
            Some(audiences) => audiences.entry(task).or_default().events.get_or_insert_with(new).subscribe(),
            // Its sender is gone at once, so the receiver is closed.
            None => new().subscribe(),
        }
    }

    /// Resolves with the next event of a task, or when everybody is sent away. Called with the tree locked.
    pub(super) fn news(&self, task: TaskId) -> OwnedNotified {
        if let Some(audiences) = self.lock().as_mut() {
            return Arc::clone(&audiences.entry(task).or_default().news).notified_owned();
        }
        let over = Arc::new(Notify::new());
        let news = Arc::clone(&over).notified_owned();
        over.notify_waiters();
        news
    }

    /// Tells whoever listens to the record's task. Called with the tree locked, after `apply`.
    pub(super) fn tell(&self, tree: &Tree, record: &Record) {
        let mut listeners = self.lock();
        let Some(audiences) = listeners.as_mut() else { return };
        let Some(audience) = audiences.get_mut(&record.task) else { return };
        audience.news.notify_waiters();
        audience.events.take_if(|events| events.receiver_count() == 0);
        let state = tree.state(record.task).unwrap_or(TaskState::Submitted);
        let is_empty = audience.events.is_none() && Arc::strong_count(&audience.news) == 1;
        if let Some(events) = &audience.events {
            // A send fails only when the last receiver has just gone.
            let _ = events.send(TaskEvent { seq: record.seq, json: event_json(tree, record), state });
        }
        // What was sent is heard all the same, and after the end there is nothing to wait for.
        if is_empty || state.is_terminal() {
            audiences.remove(&record.task);
        }
    }

    /// Whether nothing is told here any more.
    pub(super) fn are_sent_away(&self) -> bool {
        self.lock().is_none()
    }

    /// Sends everybody away.
    pub(super) fn send_away(&self) {
        for audience in self.lock().take().into_iter().flat_map(BTreeMap::into_values) {
            audience.news.notify_waiters();
        }
    }
}

/// The event a record shows, as JSON.
pub(super) fn event_json(tree: &Tree, record: &Record) -> Option<Bytes> {
    let event = tree.event(record)?;
    serde_json::to_vec(&event).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::broadcast::error::TryRecvError;

    #[tokio::test]
    async fn whoever_listens_is_sent_away_and_whoever_comes_after_is_too() {
        let task = TaskId(uuid::Uuid::from_u128(1));
        let listeners = Listeners::default();
        let (mut before, news) = (listeners.subscribe(task), listeners.news(task));
        assert!(matches!(before.try_recv(), Err(TryRecvError::Empty)));
        listeners.send_away();
        news.await;
        assert!(matches!(before.try_recv(), Err(TryRecvError::Closed)));
        assert!(matches!(listeners.subscribe(task).try_recv(), Err(TryRecvError::Closed)));
        listeners.news(task).await;
    }
}
