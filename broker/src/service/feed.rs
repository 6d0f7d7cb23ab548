//! What happens in all trees, as it happens: one line for each record once it is durable and true, so that who looks at a
//! tree knows when to look again. It carries no content and has no past: whoever falls behind is told so, and reads anew.

use std::pin::Pin;
use std::sync::Arc;

use async_stream::stream;
use broker_core::journal::Record;
use broker_core::{TaskId, Timestamp, Tree};
use futures_util::Stream;
use protocol::{A2aError, TaskState};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use super::caller::Caller;
use super::{Broker, Target};

/// Records somebody who listens may fall behind by before it is told to read anew.
const FEED_LAG_RECORDS: usize = 1_024;

/// Something happened to a task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Happening {
    /// The tree.
    pub root: TaskId,
    /// The task.
    pub task: TaskId,
    /// Number of the record among the task's own.
    pub seq: u64,
    /// Of which kind it is, as the journal names it.
    pub kind: &'static str,
    /// The task's state after it.
    pub state: TaskState,
    /// When it was decided.
    pub at: Timestamp,
    /// How many records the tree holds with it.
    pub version: u64,
    #[serde(skip)]
    owner: Arc<str>,
}

/// What whoever listens is told.
#[derive(Debug, Clone)]
pub enum News {
    /// Something happened.
    Happened(Happening),
    /// More happened than was kept: what is known may be out of date.
    Missed,
}

/// What happens, for one caller.
pub type NewsStream = Pin<Box<dyn Stream<Item = News> + Send>>;

/// The way to whoever listens.
pub(super) struct Feed(Sender<Happening>);

impl Default for Feed {
    fn default() -> Self {
        Self(Sender::new(FEED_LAG_RECORDS))
    }
}

impl Feed {
    /// Tells of records that have just been applied. Called with the tree locked, so that each tree's are in order.
    pub(super) fn tell(&self, tree: &Tree, records: &[Record]) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let owner: Arc<str> = tree.owner().unwrap_or_default().into();
        let before = tree.version().saturating_sub(records.len() as u64);
        for (version, record) in (before + 1..).zip(records) {
            let state = tree.state(record.task).unwrap_or(TaskState::Submitted);
            let happening = Happening {
                root: tree.root(),
                task: record.task,
                seq: record.seq,
                kind: record.fact.kind(),
                state,
                at: record.at,
                version,
                owner: Arc::clone(&owner),
            };
            // It fails only when the last listener has just gone.
            let _ = self.0.send(happening);
        }
    }

    fn listen(&self) -> Receiver<Happening> {
        self.0.subscribe()
    }
}

impl Broker {
    /// What happens from now on in the trees that a principal may see, or in one of them.
    pub async fn happenings(&self, caller: &Caller, tree: Option<&str>) -> Result<NewsStream, A2aError> {
        let owner = caller.sees_trees_of()?.map(ToOwned::to_owned);
        let root = match tree {
            None => None,
            Some(task) => {
                let (cell, _) = self.find_readable(caller, &Target::Any, task).await?;
                Some(cell.tree.lock().await.root())
            }
        };
        let mut happenings = self.feed.listen();
        Ok(Box::pin(stream! {
            loop {
                match happenings.recv().await {
                    Ok(happening) => {
                        let is_visible = owner.as_ref().is_none_or(|owner| **owner == *happening.owner);
                        if is_visible && root.is_none_or(|root| root == happening.root) {
                            yield News::Happened(happening);
                        }
                    }
                    Err(RecvError::Lagged(_)) => yield News::Missed,
                    Err(RecvError::Closed) => return,
                }
            }
        }))
    }
}
