//! The simulated store: a disk that outlives brokers, behind the port they see, with what disks do: take time, fill up,
//! fail before or after they have written, and stop answering because the machine is gone. Where several brokers share it,
//! it keeps a tree to the one that drives it.

use std::time::Duration;

use async_trait::async_trait;
use broker::ports::store::{
    Append, Claim, Drive, OutboxKey, OutboxRow, Over, Removed, RowPage, RowQuery, Store, StoreError,
    TreePage, TreeQuery,
};
use broker_core::audit::{Entry, Head};
use broker_core::{TaskId, Timestamp};
use bytes::Bytes;

use super::members::Gate;
use super::world::World;

/// The store, as one broker has it.
pub(crate) struct SimStore(pub(crate) Gate);

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    Works,
    /// Too many are waiting: nothing is written.
    Overloaded,
    /// The disk is full: nothing is written.
    Full,
    /// An error, and yet it is there: all of it, since an append is one. A brittle store shows it only once it is opened
    /// again.
    Torn,
    /// A brittle store that has failed takes nothing more until it is opened again.
    Broken,
    /// The broker dies before it is written.
    DiesBefore,
    /// The broker dies after it is written, and nobody is told.
    DiesAfter,
    /// The broker is stopped after it is written, and told once it goes on.
    Stops,
}

impl SimStore {
    async fn write<T>(
        &self,
        what: impl FnOnce(&World) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gate = &self.0;
        gate.pass().await;
        let (writing, before, after) = gate.world.writing();
        tokio::time::sleep(before).await;
        let engine = |what: &str| Err(StoreError::Engine(what.to_owned()));
        let result = match writing {
            Writing::Overloaded => return Err(StoreError::Overloaded { waiting: 1 }),
            Writing::Full => {
                gate.world.breaks(None);
                return engine("no space left on device");
            }
            Writing::Torn if gate.world.lock().weather.brittle => {
                gate.world.breaks(Some(Box::new(move |world| drop(what(world)))));
                return engine("input/output error");
            }
            Writing::Broken => return engine("it failed before, and has to be opened again"),
            Writing::DiesBefore => return gate.die("before a write").await,
            Writing::Works | Writing::Torn | Writing::DiesAfter | Writing::Stops => what(&gate.world),
        };
        if writing == Writing::Stops {
            gate.world.stop(gate.id);
        }
        tokio::time::sleep(after).await;
        gate.pass().await;
        match writing {
            Writing::DiesAfter => gate.die("after a write").await,
            Writing::Torn if result.is_ok() => engine("input/output error"),
            _ => result,
        }
    }

    async fn read<T>(&self, what: impl FnOnce(&World) -> T) -> Result<T, StoreError> {
        let gate = &self.0;
        gate.pass().await;
        let fails = gate.world.reading_fails();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let read = what(&gate.world);
        gate.pass().await;
        if fails { Err(StoreError::Engine("cannot read".to_owned())) } else { Ok(read) }
    }
}

#[async_trait]
impl Store for SimStore {
    async fn append(&self, change: Append) -> Result<(), StoreError> {
        let id = self.0.id;
        self.write(move |world| world.append(id, change)).await
    }

    async fn until_failed(&self) -> String {
        self.0.world.until_broken().await;
        "it failed".to_owned()
    }

    fn is_shared(&self) -> bool {
        self.0.world.lock().weather.brokers > 1
    }

    fn is_current(&self) -> bool {
        !self.is_shared() || self.0.is_current()
    }

    async fn driver(&self, root: TaskId) -> Result<Drive, StoreError> {
        let id = self.0.id;
        self.read(move |world| world.disk().driver(id, root)).await
    }

    async fn adopt(&self, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let (id, is_current) = (self.0.id, self.0.is_current());
        self.write(move |world| Ok(world.adopt(id, is_current, limit))).await
    }

    async fn read(&self, root: TaskId, from: u64) -> Result<Vec<Bytes>, StoreError> {
        self.read_page(root, from, usize::MAX).await
    }

    async fn read_page(&self, root: TaskId, from: u64, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        self.read(|world| world.disk().read_page(root, from, limit)).await
    }

    async fn locate(&self, task: TaskId) -> Result<Option<TaskId>, StoreError> {
        self.read(|world| world.disk().locate(task)).await
    }

    async fn claim(&self, principal: &str, message_id: &str) -> Result<Option<Claim>, StoreError> {
        self.read(|world| world.disk().claim(principal, message_id)).await
    }

    async fn rows(&self, query: RowQuery) -> Result<RowPage, StoreError> {
        self.read(|world| world.disk().rows(&query)).await
    }

    async fn trees(&self, query: TreeQuery) -> Result<TreePage, StoreError> {
        self.read(|world| world.disk().trees(&query)).await
    }

    async fn open_trees(&self, after: Option<TaskId>, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let (id, is_shared) = (self.0.id, self.is_shared());
        let own = |world: &World| {
            let disk = world.disk();
            let open = disk.open_trees(after, usize::MAX).into_iter();
            open.filter(|root| !is_shared || disk.leases.drives(id, *root)).take(limit).collect()
        };
        self.read(own).await
    }

    async fn outbox(&self, after: Option<OutboxKey>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        self.read(|world| world.disk().outbox(after, limit)).await
    }

    async fn own_outbox(&self, after: Option<OutboxKey>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        let (id, is_shared) = (self.0.id, self.is_shared());
        let own = |world: &World| {
            let disk = world.disk();
            let rows = disk.outbox(after, usize::MAX).into_iter();
            rows.filter(|row| !is_shared || disk.leases.drives(id, row.root)).take(limit).collect()
        };
        self.read(own).await
    }

    async fn move_outbox(&self, row: OutboxRow) -> Result<bool, StoreError> {
        self.write(move |world| Ok(world.disk().advance(row.key.clone(), row.set, Some(row)))).await
    }

    async fn end_outbox(&self, key: OutboxKey, set: u64) -> Result<bool, StoreError> {
        self.write(move |world| Ok(world.disk().advance(key, set, None))).await
    }

    async fn over(
        &self,
        before: Timestamp,
        after: Option<Over>,
        limit: usize,
    ) -> Result<Vec<Over>, StoreError> {
        self.read(|world| world.disk().over(before, after, limit)).await
    }

    async fn remove_tree(&self, root: TaskId, before: Timestamp) -> Result<Option<Removed>, StoreError> {
        self.write(move |world| Ok(world.disk().remove_tree(root, before))).await
    }

    async fn forget_claims(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.write(move |world| Ok(world.disk().forget_claims(before, limit))).await
    }

    async fn document(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.read(|world| world.disk().document(name)).await
    }

    async fn put_document(
        &self,
        name: &str,
        document: Bytes,
        audit: Option<Entry>,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |world| {
            world.disk().put_document(&name, document, audit.as_ref());
            Ok(())
        })
        .await
    }

    async fn replace_document(
        &self,
        name: &str,
        before: Option<Bytes>,
        document: Bytes,
        audit: Option<Entry>,
    ) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |world| {
            let mut disk = world.disk();
            let is_as_before = disk.document(&name) == before;
            if is_as_before {
                disk.put_document(&name, document, audit.as_ref());
            }
            Ok(is_as_before)
        })
        .await
    }

    async fn agents(&self) -> Result<Vec<(String, Bytes)>, StoreError> {
        self.read(|world| world.disk().agents()).await
    }

    async fn put_agent(&self, name: &str, document: Bytes, audit: Option<Entry>) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |world| {
            world.disk().put_agent(&name, document, audit.as_ref());
            Ok(())
        })
        .await
    }

    async fn remove_agent(&self, name: &str, audit: Entry) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |world| Ok(world.disk().remove_agent(&name, &audit))).await
    }

    fn note(&self, audit: Vec<Entry>) -> Result<(), StoreError> {
        if self.0.runs() {
            self.0.world.disk().note(&audit);
        }
        Ok(())
    }

    async fn audit_log(&self, after: u64, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        self.read(|world| world.disk().audit_log(after, limit)).await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.read(|world| world.disk().head()).await
    }
}
