//! Giving disk space back. The engine drops what was removed only when it merges the files that hold it, and files that
//! nothing is written to any more it may never merge. So it is told to, once there is enough to win: half as much as is
//! kept, so that what has to be rewritten is in proportion to what goes. In a thread of its own; nobody waits for it, and a
//! crash leaves the files as they were.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{Tables, counted, engine, give_way, keys};
use crate::ports::store::StoreError;

/// Fewer removed records are not worth the trouble.
const MIN_RECORDS: u64 = 10_000;

/// Records of journals, and whether those that are gone are being cleared away.
pub(super) struct Compaction {
    /// How many there are of trees that are there.
    kept: u64,
    is_running: Arc<AtomicBool>,
}

impl Compaction {
    pub(super) fn read(tables: &Tables) -> Result<Self, StoreError> {
        let is_running = Arc::default();
        if let Some(kept) = counted::records(tables)? {
            return Ok(Self { kept, is_running });
        }
        let mut kept = 0;
        for guard in tables.heads.iter() {
            kept += keys::read_head(&guard.value().map_err(|error| engine(&error))?)?.records;
        }
        Ok(Self { kept, is_running })
    }

    /// How many records there are, once so many are written, so many removed.
    pub(super) fn after(&self, written: u64, removed: u64) -> u64 {
        self.kept.saturating_add(written).saturating_sub(removed)
    }

    /// So many were written, so many removed; and if that makes enough, the disk gets its space back.
    pub(super) fn count(&mut self, tables: &Arc<Tables>, written: u64, removed: u64) {
        self.kept = self.after(written, removed);
        if removed == 0 {
            return;
        }
        // Each that is gone counts twice there: itself, and the mark that it is gone.
        let counted = u64::try_from(tables.journal.approximate_len()).unwrap_or(u64::MAX);
        let gone = counted.saturating_sub(self.kept) / 2;
        if gone >= MIN_RECORDS && gone >= self.kept / 2 && !self.is_running.swap(true, Ordering::SeqCst) {
            self.begin(Arc::clone(tables), gone);
        }
    }

    fn begin(&self, tables: Arc<Tables>, gone: u64) {
        let is_running = Arc::clone(&self.is_running);
        let compact = move || {
            give_way();
            tracing::info!(records = gone, "giving back the disk space of what was removed");
            for table in tables.of_trees() {
                if let Err(failure) = table.rotate_memtable_and_wait().and_then(|()| table.major_compact()) {
                    tracing::warn!(%failure, "disk space could not be given back; tried again later");
                }
            }
            is_running.store(false, Ordering::SeqCst);
        };
        if let Err(failure) = std::thread::Builder::new().name("compaction".to_owned()).spawn(compact) {
            tracing::warn!(%failure, "disk space could not be given back; tried again later");
            self.is_running.store(false, Ordering::SeqCst);
        }
    }
}
