//! When what a table has in memory goes to a file. The engine would see to it: past its own bound every write asks its threads
//! to. But they hand on what follows from it through the mailbox they read from, and that is bounded: while one of them is busy
//! with a long merge such requests fill it, and then whoever should make room waits for room for ever, and nothing goes to
//! files any more (fjall 3.1, <https://github.com/fjall-rs/fjall/pull/323>). So the committer, which alone writes, comes first,
//! and the engine's bound is out of reach.

use fjall::AbstractTree;

use super::super::{MEMTABLE_BYTES, Tables, engine};
use crate::ports::store::StoreError;

/// Has each table that is full in memory begin anew; the engine's threads write what it had to a file.
pub(super) fn rotate_full(tables: &Tables) -> Result<(), StoreError> {
    for table in tables.all() {
        if table.tree.active_memtable().size() >= MEMTABLE_BYTES {
            table.rotate_memtable().map_err(|error| engine(&error))?;
        }
    }
    Ok(())
}
