//! When what a table has in memory goes to a file. The engine would see to it: past its own bound every write asks its threads
//! to. But they hand on what follows from it through the mailbox they read from, and that is bounded: while one of them is busy
//! with a long merge such requests fill it, and then whoever should make room waits for room for ever, and nothing goes to
//! files any more (fjall 3.1, <https://github.com/fjall-rs/fjall/pull/323>). So whoever writes sees to it, and the engine, whose
//! bound is higher, asks at most once for each time that is due. What this rests on is not in the engine's documentation; it
//! can go when the engine is mended.

use fjall::{AbstractTree, Keyspace};

use super::MEMTABLE_BYTES;

/// Has each table that is full in memory begin anew; the engine's threads write what it had to a file. To be called after
/// each batch, once whoever waits for it was told: it may take a while.
pub(super) fn rotate_full<'t>(tables: impl IntoIterator<Item = &'t Keyspace>) {
    for table in tables {
        if table.tree.active_memtable().size() >= MEMTABLE_BYTES
            && let Err(failure) = table.rotate_memtable()
        {
            tracing::error!(%failure, "a table could not be put into a file; tried again with the next batch");
        }
    }
}
