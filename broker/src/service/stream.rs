//! What a caller hears of a task: the first word, then every event in order, without hole or repeat.
//!
//! A subscriber listens to the live channel and knows the number of the last event it saw; when it falls behind it
//! reads the journal, which holds the same events in the same order. It reads a page at a time and only as fast as its
//! events are taken, so that a reader that stalls holds a page and not a history.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_stream::{stream, try_stream};
use broker_core::journal::Record;
use broker_core::sabotage::{Guard, removed};
use broker_core::{TaskId, Told, Tree};
use bytes::Bytes;
use futures_util::Stream;
use protocol::{A2aError, SendMessageResponse, StreamResponse, Task};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::listeners::{TaskEvent, event_json};
use super::trees::TreeCell;
use super::{Broker, error, send};

/// Records read from the journal at a time.
const PAGE_RECORDS: usize = 32;

/// One event on its way to a caller.
#[derive(Debug, Clone)]
pub struct StreamItem {
    /// The event's number within its task; absent for a direct message, which is no event of a task.
    pub id: Option<u64>,
    /// A `StreamResponse` as JSON.
    pub json: Bytes,
}

/// Events of a task, in order. An error is the last of them: there is more, and it cannot be read now; whoever resumes later
/// hears it.
pub struct TaskStream {
    events: Pin<Box<dyn Stream<Item = Result<StreamItem, A2aError>> + Send>>,
    held: Vec<Box<dyn Send>>,
}

impl TaskStream {
    /// A stream of these events.
    pub fn new(events: impl Stream<Item = Result<StreamItem, A2aError>> + Send + 'static) -> Self {
        Self { events: Box::pin(events), held: Vec::new() }
    }

    /// Holds something that is taken up until the stream ends or is gone.
    #[must_use]
    pub fn holding(mut self, taken_up: impl Send + 'static) -> Self {
        self.held.push(Box::new(taken_up));
        self
    }
}

impl Stream for TaskStream {
    type Item = Result<StreamItem, A2aError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.events.as_mut().poll_next(context);
        if matches!(next, Poll::Ready(None)) {
            self.held.clear();
        }
        next
    }
}

/// When a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// When the task is over, or asks the caller (spec §11.7): whoever sent the message must answer.
    Answer,
    /// When the task is over.
    End,
}

impl Until {
    fn is_reached(self, tree: &Tree, task: TaskId) -> bool {
        tree.state(task)
            .is_none_or(|state| state.is_terminal() || (self == Self::Answer && state.is_interrupted()))
    }
}

/// A listener and how far it has come.
struct Listener {
    events: Receiver<TaskEvent>,
    /// The number of the last record of the task it has seen.
    seen: u64,
    /// How many records of the tree it has read in the journal.
    read: u64,
}

impl Broker {
    /// Waits until the task is over or asks the caller; then the task, or the direct answer.
    pub(super) async fn wait_for_answer(
        &self,
        mut cell: Arc<TreeCell>,
        task: TaskId,
        history: Option<usize>,
    ) -> Result<SendMessageResponse, A2aError> {
        loop {
            let news = {
                let tree = cell.tree.lock().await;
                if Until::Answer.is_reached(&tree, task) {
                    return answer(&tree, task, history);
                }
                cell.listeners.news(task)
            };
            self.trees.await_news(news, &mut cell).await?;
        }
    }

    /// A stream that begins with the first word about the task. Resolves when there is one.
    pub(super) async fn stream_answer(
        self: &Arc<Self>,
        mut cell: Arc<TreeCell>,
        task: TaskId,
        history: Option<usize>,
    ) -> Result<TaskStream, A2aError> {
        loop {
            let news = {
                let tree = cell.tree.lock().await;
                match tree.told(task) {
                    Told::Nothing => cell.listeners.news(task),
                    Told::Message => return direct(&tree, task),
                    Told::Task => {
                        let first = snapshot(&tree, task, history)?;
                        let listener = listen(&cell, &tree, task);
                        let over = Until::Answer.is_reached(&tree, task);
                        drop(tree);
                        return Ok(self.events(cell, task, Some(first), listener, over, Until::Answer));
                    }
                }
            };
            self.trees.await_news(news, &mut cell).await?;
        }
    }

    /// A stream of how the task stands, and nothing after it.
    pub(super) async fn stream_once(&self, cell: &TreeCell, task: TaskId) -> Result<TaskStream, A2aError> {
        let tree = cell.tree.lock().await;
        let first = shown_as(&tree, task, send::standing(&tree, task))?;
        drop(tree);
        Ok(TaskStream::new(stream! { yield Ok(first); }))
    }

    /// A stream for a subscriber: the task as it stands, or what followed the event it saw last. What is over can only be
    /// resumed (spec §3.1.6).
    pub(super) async fn stream_from(
        self: &Arc<Self>,
        cell: Arc<TreeCell>,
        task: TaskId,
        after: Option<u64>,
    ) -> Result<TaskStream, A2aError> {
        let tree = cell.tree.lock().await;
        if after.is_none() && Until::End.is_reached(&tree, task) {
            return Err(error::is_over(task));
        }
        let mut listener = listen(&cell, &tree, task);
        let first = match after {
            Some(after) if after > listener.seen => return Err(error::event_gap(after, listener.seen)),
            Some(after) => {
                listener.seen = after;
                None
            }
            None => Some(snapshot(&tree, task, None)?),
        };
        drop(tree);
        Ok(self.events(cell, task, first, listener, false, Until::End))
    }

    fn events(
        self: &Arc<Self>,
        mut cell: Arc<TreeCell>,
        task: TaskId,
        first: Option<StreamItem>,
        mut listener: Listener,
        over: bool,
        until: Until,
    ) -> TaskStream {
        let broker = Arc::clone(self);
        TaskStream::new(try_stream! {
            let resumes = first.is_none();
            if let Some(first) = first {
                yield first;
            }
            if over {
                return;
            }
            let mut behind = resumes && !removed(Guard::MissedEvents);
            loop {
                while behind {
                    {
                        let tree = cell.tree.lock().await;
                        behind = tree.seq(task).is_some_and(|newest| newest > listener.seen);
                        if !behind && until.is_reached(&tree, task) {
                            return;
                        }
                    }
                    if behind {
                        for item in broker.missed(&cell, task, &mut listener).await? {
                            yield item;
                        }
                    }
                }
                match listener.events.recv().await {
                    Ok(event) if event.seq <= listener.seen => {}
                    Ok(TaskEvent { seq, json, state }) => {
                        listener.seen = seq;
                        if let Some(json) = json {
                            yield StreamItem { id: Some(seq), json };
                        }
                        if state.is_terminal() || (until == Until::Answer && state.is_interrupted()) {
                            return;
                        }
                    }
                    Err(RecvError::Lagged(_)) => behind = true,
                    // This copy was given up; the one that counts has all that was shown, and goes on.
                    Err(RecvError::Closed) => {
                        let current = broker.trees.current(&cell).await?;
                        listener.events = current.listeners.subscribe(task);
                        (cell, behind) = (current, true);
                    }
                }
            }
        })
    }

    /// What the next page of the journal shows that was not seen, which may be nothing.
    async fn missed(
        &self,
        cell: &TreeCell,
        task: TaskId,
        listener: &mut Listener,
    ) -> Result<Vec<StreamItem>, A2aError> {
        let root = cell.tree.lock().await.root();
        let page = self.store.read_page(root, listener.read, PAGE_RECORDS).await;
        let page = page.map_err(|failure| error::store(&failure))?;
        if page.is_empty() {
            return Err(error::damaged(&"a journal ends before what is known of its tree"));
        }
        let mut items = Vec::new();
        for bytes in page {
            let record = Record::decode(&bytes).map_err(|damage| error::damaged(&damage))?;
            listener.read += 1;
            if record.task == task && record.seq > listener.seen {
                listener.seen = record.seq;
                let json = event_json(&*cell.tree.lock().await, &record);
                items.extend(json.map(|json| StreamItem { id: Some(record.seq), json }));
            }
        }
        Ok(items)
    }
}

fn listen(cell: &TreeCell, tree: &Tree, task: TaskId) -> Listener {
    Listener { events: cell.listeners.subscribe(task), seen: tree.seq(task).unwrap_or(0), read: 0 }
}

fn answer(tree: &Tree, task: TaskId, history: Option<usize>) -> Result<SendMessageResponse, A2aError> {
    if let Some(message) = tree.direct_answer(task) {
        return Ok(SendMessageResponse::Message(message.clone()));
    }
    tree.task(task, history).map(SendMessageResponse::Task).ok_or_else(error::task_not_found)
}

fn snapshot(tree: &Tree, task: TaskId, history: Option<usize>) -> Result<StreamItem, A2aError> {
    shown_as(tree, task, tree.task(task, history))
}

fn shown_as(tree: &Tree, task: TaskId, shown: Option<Task>) -> Result<StreamItem, A2aError> {
    let shown = shown.ok_or_else(error::task_not_found)?;
    let json = serde_json::to_vec(&StreamResponse::Task(shown)).map_err(|_| error::internal())?;
    Ok(StreamItem { id: tree.seq(task), json: json.into() })
}

fn direct(tree: &Tree, task: TaskId) -> Result<TaskStream, A2aError> {
    let message = tree.direct_answer(task).cloned().ok_or_else(error::task_not_found)?;
    let json = serde_json::to_vec(&StreamResponse::Message(message)).map_err(|_| error::internal())?;
    Ok(TaskStream::new(stream! { yield Ok(StreamItem { id: None, json: json.into() }); }))
}
