//! Who drives what, as a store that several brokers share has it: each is there for as long as it keeps saying so, and once
//! another has written down that it is gone, its trees are anybody's and it appends nothing any more.

use std::collections::BTreeMap;

use broker::ports::store::Drive;
use broker_core::TaskId;

/// For how long a broker is not taken for dead without a word, milliseconds.
pub(crate) const LEASE: i64 = 4_000;

#[derive(Default)]
pub(crate) struct Leases {
    brokers: BTreeMap<u64, Lease>,
    drivers: BTreeMap<TaskId, u64>,
}

struct Lease {
    place: usize,
    expires: i64,
    is_gone: bool,
}

impl Leases {
    /// A broker says that it is there. One that was in its place before is not any more.
    pub(crate) fn join(&mut self, id: u64, place: usize, now: i64) {
        self.brokers.values_mut().filter(|lease| lease.place == place).for_each(|lease| lease.is_gone = true);
        self.brokers.insert(id, Lease { place, expires: now + LEASE, is_gone: false });
    }

    /// It says so again; whether it is.
    pub(crate) fn renew(&mut self, id: u64, now: i64) -> bool {
        let lease = self.brokers.get_mut(&id).filter(|lease| !lease.is_gone);
        lease.map(|lease| lease.expires = now + LEASE).is_some()
    }

    fn is_gone(&self, id: u64) -> bool {
        self.brokers.get(&id).is_none_or(|lease| lease.is_gone)
    }

    /// Whether a broker may append to a tree. It drives those that begin with it.
    pub(crate) fn lets_append(&mut self, id: u64, root: TaskId) -> bool {
        !self.is_gone(id) && *self.drivers.entry(root).or_insert(id) == id
    }

    pub(crate) fn drives(&self, id: u64, root: TaskId) -> bool {
        self.drivers.get(&root) == Some(&id)
    }

    /// The broker that drives a tree, if there is one.
    pub(crate) fn driver(&self, root: TaskId) -> Option<u64> {
        self.drivers.get(&root).copied().filter(|driver| !self.is_gone(*driver))
    }

    /// Who may append to a tree, as a broker is told. One that is over and whose driver is gone becomes that broker's.
    pub(crate) fn drive(&mut self, id: u64, root: TaskId, is_open: bool) -> Drive {
        match self.drivers.get(&root) {
            None => Drive::Here,
            Some(driver) if *driver == id => Drive::Here,
            Some(driver) if !self.is_gone(*driver) => Drive::At(format!("http://broker-{driver}.example")),
            Some(_) if is_open => Drive::Nobody,
            Some(_) => {
                self.drivers.insert(root, id);
                Drive::Here
            }
        }
    }

    /// Those not heard of in time are gone.
    pub(crate) fn bury(&mut self, id: u64, now: i64) {
        let is_late = |(other, lease): &(&u64, &mut Lease)| **other != id && lease.expires < now;
        self.brokers.iter_mut().filter(is_late).for_each(|(_, lease)| lease.is_gone = true);
    }

    /// Takes over at most `limit` of the open trees of those that are gone.
    pub(crate) fn adopt(&mut self, id: u64, open: &[TaskId], limit: usize) -> Vec<TaskId> {
        let is_left = |root: &&TaskId| self.drivers.get(root).is_some_and(|driver| self.is_gone(*driver));
        let left: Vec<TaskId> = open.iter().filter(is_left).take(limit).copied().collect();
        self.drivers.extend(left.iter().map(|root| (*root, id)));
        left
    }
}
