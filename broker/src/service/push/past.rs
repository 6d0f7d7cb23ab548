//! What a receiver is posted of a record, in the version it reads. 1.0 has the event posted, and 0.3 the whole task
//! (0.3 §9.5): as it stood after that record, though the live tree may have gone on since. For that a second tree is
//! folded up to there, which lives no longer than its worker has something to send.

use broker_core::journal::Record;
use broker_core::{TaskId, Tree};
use bytes::Bytes;
use protocol::v03::{self, Dialect};
use protocol::{A2aError, Operation, StreamResponse, Task, Version};
use serde_json::value::to_raw_value;

use crate::ports::store::Store;
use crate::service::trees::TreeCell;
use crate::service::{Broker, error};

/// Records folded at a time.
const PAGE_RECORDS: usize = 64;

/// What is posted.
pub(super) enum Shown {
    Event(Box<StreamResponse>),
    Task(Box<Task>),
}

/// A tree that follows the live one, record by record; none until one is needed.
#[derive(Default)]
pub(super) struct Past(Option<Tree>);

impl Broker {
    /// What a receiver of a version is posted of record `number` of a tree; `None` for records that show nothing.
    pub(super) async fn shown(
        &self,
        cell: &TreeCell,
        version: Version,
        (number, record): (u64, &Record),
        past: &mut Past,
    ) -> Result<Option<Shown>, A2aError> {
        let (root, live) = {
            let tree = cell.tree.lock().await;
            let Some(event) = tree.event(record) else { return Ok(None) };
            if version == Version::V1 {
                return Ok(Some(Shown::Event(Box::new(event))));
            }
            // Who keeps up needs no second tree.
            let live = (tree.version() == number).then(|| tree.task(record.task, None));
            (tree.root(), live.flatten())
        };
        let task = match live {
            Some(task) => Some(task),
            None => past.reach(&*self.store, root, number).await?.task(record.task, None),
        };
        task.map(|task| Some(Shown::Task(Box::new(task)))).ok_or_else(error::internal)
    }
}

impl Past {
    /// The tree after so many of its records.
    async fn reach(&mut self, store: &dyn Store, root: TaskId, version: u64) -> Result<&Tree, A2aError> {
        let known = self.0.take().filter(|tree| tree.root() == root && tree.version() <= version);
        let mut tree = known.unwrap_or_else(|| Tree::new(root));
        while tree.version() < version {
            let missing = usize::try_from(version - tree.version()).unwrap_or(PAGE_RECORDS);
            let page = store.read_page(root, tree.version(), missing.min(PAGE_RECORDS)).await;
            let page = page.map_err(|failure| error::store(&failure))?;
            if page.is_empty() {
                return Err(error::internal());
            }
            for bytes in page {
                let record = Record::decode(&bytes).map_err(|damage| error::damaged(&damage))?;
                tree.apply(&record).map_err(|damage| error::damaged(&damage))?;
            }
        }
        Ok(self.0.insert(tree))
    }
}

impl Shown {
    /// As it is posted; otherwise why it cannot be.
    pub(super) fn json(&self) -> Result<Bytes, String> {
        match self {
            Self::Event(event) => {
                serde_json::to_vec(event).map(Bytes::from).map_err(|failure| failure.to_string())
            }
            Self::Task(task) => {
                let task = to_raw_value(task).map_err(|failure| failure.to_string())?;
                // Whatever binding it was registered over: the SDKs post what JSON-RPC shows.
                let said = v03::write_answer(Operation::GetTask, &task, Dialect::JsonRpc);
                said.map(|said| Bytes::from(String::from(Box::<str>::from(said))))
                    .map_err(|invalid| format!("the task cannot be said in A2A 0.3: {invalid}"))
            }
        }
    }
}
