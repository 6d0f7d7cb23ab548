//! Backups: all tables as of one moment while the store goes on, and a store made from one.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use fjall::{PersistMode, Readable};
use tokio::sync::mpsc;

use super::rotation::Rotation;
use super::{EmbeddedStore, Tables, engine};
use crate::ports::store::{Piece, StoreError};
use crate::store::archive::{BadArchive, Reader, Writer};

/// Bytes that are handed on at a time.
const CHUNK: usize = 256 * 1024;
/// Bytes that are restored together.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// What a store is called until all of it is there.
const UNFINISHED: &str = "restoring";

impl EmbeddedStore {
    /// Writes all that is in the store now; ends early if nobody takes it.
    pub(super) async fn write_backup(&self, to: mpsc::Sender<Piece>) -> Result<bool, StoreError> {
        let tables = Arc::clone(&self.tables);
        let written = tokio::task::spawn_blocking(move || write(&tables, &to)).await;
        written.map_err(|broken| StoreError::Engine(broken.to_string()))?
    }

    /// Makes a store from a backup, in a directory that is not there yet. How many entries it has.
    pub fn restore(from: impl Read, directory: &Path) -> Result<u64, RestoreError> {
        if directory.exists() {
            return Err(RestoreError::InTheWay(directory.display().to_string()));
        }
        let unfinished = directory.with_extension(UNFINISHED);
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)?;
        }
        std::fs::create_dir_all(&unfinished)?;
        let restored = read(from, &unfinished);
        if restored.is_ok() {
            std::fs::rename(&unfinished, directory)?;
            if let Some(parent) = directory.parent() {
                std::fs::File::open(parent)?.sync_all()?;
            }
        } else {
            std::fs::remove_dir_all(&unfinished)?;
        }
        restored
    }
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A store is there already.
    #[error("{0} is there already; name another data directory, or move this one away")]
    InTheWay(String),
    /// The file is not what is needed.
    #[error(transparent)]
    Archive(#[from] BadArchive),
    /// The new store cannot be written.
    #[error("the store cannot be written: {0}")]
    Engine(#[from] fjall::Error),
    /// The same, by the file system.
    #[error("the store cannot be written: {0}")]
    Io(#[from] std::io::Error),
}

/// Whether all of it was taken.
fn write(tables: &Tables, to: &mpsc::Sender<Piece>) -> Result<bool, StoreError> {
    // One moment for all of them.
    let now = tables.db.snapshot();
    let mut archive = Writer::new();
    for table in tables.all() {
        for entry in now.iter(table) {
            let (key, value) = entry.into_inner().map_err(|error| engine(&error))?;
            archive.entry(table.name(), &key, &value);
            if archive.waiting() >= CHUNK && to.blocking_send(Ok(archive.take().into())).is_err() {
                return Ok(false);
            }
        }
    }
    Ok(to.blocking_send(Ok(archive.end().into())).is_ok())
}

fn read(from: impl Read, directory: &Path) -> Result<u64, RestoreError> {
    let mut archive = Reader::new(from)?;
    let (db, mut tables, mut rotation) = (Tables::database(directory)?, Vec::new(), Rotation::default());
    let (mut entries, mut batch, mut waiting) = (0, db.batch(), 0);
    while let Some((name, key, value)) = archive.next()? {
        // One table's entries follow each other.
        if tables.last().is_none_or(|(last, _)| *last != name) {
            let table = db.keyspace(&name, Tables::options)?;
            tables.push((name, table));
        }
        (entries, waiting) = (entries + 1, waiting + key.len() + value.len());
        if let Some((_, table)) = tables.last() {
            batch.insert(table, key, value);
        }
        if waiting >= BATCH_BYTES {
            std::mem::replace(&mut batch, db.batch()).commit()?;
            rotation.rotate_due(tables.iter().map(|(_, table)| table));
            waiting = 0;
        }
    }
    batch.commit()?;
    db.persist(PersistMode::SyncAll)?;
    Ok(entries)
}
