//! What readers of a tree were told of a task last. Whoever polls is told the same again until something has happened in
//! the tree, and saying it anew each time is most of what a poll costs.

use std::sync::{Mutex, PoisonError};

use broker_core::{TaskId, Tree};
use bytes::Bytes;
use protocol::A2aError;

use super::error;

/// A longer text is said anew each time, in bytes: a tree may not take twice the memory because somebody looks at it.
const KEPT_BYTES: usize = 4 << 10;

/// The last text about one tree's tasks.
#[derive(Default)]
pub(super) struct LastTold(Mutex<Option<Box<Kept>>>);

struct Kept {
    asked: Asked,
    json: Bytes,
}

/// What a text is about; while it is the same, so is the text.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Asked {
    task: TaskId,
    history_length: Option<usize>,
    /// The tree's.
    version: u64,
}

impl LastTold {
    /// A task of this tree as JSON, with at most so many of its latest messages (all if `None`; spec §3.2.4).
    pub(super) fn task(
        &self,
        tree: &Tree,
        task: TaskId,
        history_length: Option<usize>,
    ) -> Result<Bytes, A2aError> {
        let asked = Asked { task, history_length, version: tree.version() };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.asked == asked) {
            return Ok(kept.json.clone());
        }
        let shown = tree.task(task, history_length).ok_or_else(error::task_not_found)?;
        let json = Bytes::from(protocol::to_json(&shown).map_err(|_| error::internal())?);
        *kept = (json.len() <= KEPT_BYTES).then(|| Box::new(Kept { asked, json: json.clone() }));
        Ok(json)
    }
}
