//! Lists of trees: the table of how trees stand is in the order in which they began.

use super::{Tables, engine, keys, rows};
use crate::ports::store::{StoreError, TreePage, TreeQuery};

/// A page of trees, the newest first.
pub(super) fn page(tables: &Tables, query: &TreeQuery) -> Result<TreePage, StoreError> {
    let mut page = TreePage::default();
    let range = match query.before {
        Some(before) => tables.heads.range(..keys::task(before)),
        None => tables.heads.range::<[u8; 16], _>(..),
    };
    let mut last = None;
    for (looked_at, guard) in range.rev().enumerate() {
        if page.roots.len() >= query.limit || looked_at >= query.look_at {
            page.next = last;
            break;
        }
        let root = keys::read_task(&guard.key().map_err(|error| engine(&error))?)?;
        last = Some(root);
        let stored = tables.rows.get(keys::task(root)).map_err(|error| engine(&error))?;
        let row = stored.map(|bytes| rows::read(&bytes)).transpose()?;
        page.roots.extend(row.filter(|row| query.admits(row)));
    }
    Ok(page)
}
