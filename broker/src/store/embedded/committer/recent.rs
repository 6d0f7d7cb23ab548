//! How trees and tasks stand that were written last and are not over: whoever changes one will change it again soon, and need
//! not read it back and take it apart first. Only the committer writes, so this is what is stored.

use std::collections::HashMap;

use broker_core::TaskId;

use super::super::TreeHead;
use crate::ports::store::TaskRow;

/// Of trees and of tasks each, at most. When there are more all are forgotten, and those that are needed read again.
const KEPT: usize = 4_096;

/// What was written last.
#[derive(Default)]
pub(super) struct Recent {
    heads: HashMap<TaskId, TreeHead>,
    rows: HashMap<TaskId, TaskRow>,
}

impl Recent {
    pub(super) fn head(&self, root: TaskId) -> Option<TreeHead> {
        self.heads.get(&root).copied()
    }

    pub(super) fn row(&self, task: TaskId) -> Option<&TaskRow> {
        self.rows.get(&task)
    }

    /// What a batch has changed that is stored now; a row that was removed is `None`.
    pub(super) fn note(&mut self, heads: HashMap<TaskId, TreeHead>, rows: HashMap<TaskId, Option<TaskRow>>) {
        let heads = heads.into_iter().map(|(root, head)| (root, Some(head).filter(|head| head.is_open())));
        note(&mut self.heads, heads);
        let is_open = |row: &TaskRow| !row.state.is_terminal();
        note(&mut self.rows, rows.into_iter().map(|(task, row)| (task, row.filter(is_open))));
    }
}

fn note<T>(kept: &mut HashMap<TaskId, T>, changed: impl Iterator<Item = (TaskId, Option<T>)>) {
    for (id, changed) in changed {
        match changed {
            Some(changed) => drop(kept.insert(id, changed)),
            None => drop(kept.remove(&id)),
        }
    }
    if kept.len() > KEPT {
        kept.clear();
    }
}
