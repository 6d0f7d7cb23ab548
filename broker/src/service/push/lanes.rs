//! The pushes that are not over, in memory: one small lane each, the same as the store's rows, and whether somebody is
//! at work on it. At most one worker per lane is what keeps a receiver's events in order.

use std::sync::Arc;

use broker_core::TaskId;
use dashmap::DashMap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::ports::store::{OutboxKey, OutboxRow, Trouble};

/// A push on its way.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    /// How far it has come.
    pub(super) row: OutboxRow,
    /// Records before this one hold nothing that the receiver does not have.
    pub(super) scanned: u64,
    /// A worker is at it.
    running: bool,
    /// Something happened since the worker looked.
    again: bool,
    /// Ends the wait after a failure.
    nudge: Arc<Notify>,
}

impl Lane {
    fn new(row: OutboxRow) -> Self {
        let (scanned, nudge) = (row.next, Arc::new(Notify::new()));
        Self { row, scanned, running: false, again: false, nudge }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.row.trouble.as_ref().is_some_and(|trouble| trouble.dead.is_some())
    }
}

/// A worker's claim on its lane. A lane that was deleted and set again is another lane, with another worker.
#[derive(Debug, Clone)]
pub(super) struct Claim(Arc<Notify>);

#[derive(Default)]
pub(super) struct Lanes(DashMap<OutboxKey, Lane>);

impl Lanes {
    /// A push from the store, unless it is known.
    pub(super) fn enter(&self, row: OutboxRow) {
        self.0.entry(row.key.clone()).or_insert_with(|| Lane::new(row));
    }

    /// A push was set: a new one begins with record `next`, another of its key goes on where it is. As the store does.
    pub(super) fn set(&self, key: OutboxKey, root: TaskId, set: u64, next: u64) {
        let row = OutboxRow { key: key.clone(), root, set, next, trouble: None };
        let mut lane = self.0.entry(key).or_insert_with(|| Lane::new(row));
        lane.row.set = set;
        lane.row.trouble = None;
        lane.nudge.notify_waiters();
    }

    pub(super) fn get(&self, key: &OutboxKey) -> Option<Lane> {
        self.0.get(key).map(|lane| lane.clone())
    }

    /// It is over, or deleted.
    pub(super) fn remove(&self, key: &OutboxKey) {
        if let Some((_, lane)) = self.0.remove(key) {
            lane.nudge.notify_waiters();
        }
    }

    /// It is over, unless it was set anew.
    pub(super) fn remove_set(&self, key: &OutboxKey, set: u64) {
        self.0.remove_if(key, |_, lane| lane.row.set == set);
    }

    /// Changes a lane, unless it was set anew.
    pub(super) fn change(&self, key: &OutboxKey, set: u64, change: impl FnOnce(&mut Lane)) {
        if let Some(mut lane) = self.0.get_mut(key)
            && lane.row.set == set
        {
            change(&mut lane);
        }
    }

    /// The lane a worker is at, if it is still its lane.
    pub(super) fn claimed(&self, key: &OutboxKey, claim: &Claim) -> Option<Lane> {
        self.get(key).filter(|lane| Arc::ptr_eq(&lane.nudge, &claim.0))
    }

    /// Something happened: a claim for the worker to be started, or the one at work looks again.
    pub(super) fn begin(&self, key: &OutboxKey) -> Option<Claim> {
        let mut lane = self.0.get_mut(key)?;
        if lane.running || lane.is_dead() {
            lane.again = true;
            return None;
        }
        (lane.running, lane.again) = (true, false);
        Some(Claim(Arc::clone(&lane.nudge)))
    }

    /// The worker found nothing more. Whether it may go.
    pub(super) fn rest(&self, key: &OutboxKey, claim: &Claim) -> bool {
        let Some(mut lane) = self.0.get_mut(key) else { return true };
        if !Arc::ptr_eq(&lane.nudge, &claim.0) {
            return true;
        }
        lane.running = std::mem::take(&mut lane.again);
        !lane.running
    }

    /// The worker gives the receiver up.
    pub(super) fn bury(&self, key: &OutboxKey, set: u64, trouble: Trouble) {
        self.change(key, set, |lane| {
            lane.running = false;
            lane.row.trouble = Some(trouble);
        });
    }
}

impl Claim {
    /// Resolves when the lane was set anew or deleted since this was called.
    pub(super) fn nudged(&self) -> impl Future<Output = ()> + '_ {
        self.0.notified()
    }
}

/// Places to post from: few per host, so that one that is slow holds up only itself.
pub(super) struct Places {
    hosts: DashMap<String, Arc<Semaphore>>,
    per_host: usize,
    all: Arc<Semaphore>,
}

/// A place, given back when dropped.
pub(super) struct Place {
    _here: OwnedSemaphorePermit,
    _anywhere: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(per_host: usize, all: usize) -> Self {
        let all = Arc::new(Semaphore::new(all.max(1)));
        Self { hosts: DashMap::new(), per_host: per_host.max(1), all }
    }

    /// A place at a host, if nobody has to wait for one.
    pub(super) fn take_free(&self, host: &str) -> Option<Place> {
        let here = self.at(host).try_acquire_owned().ok()?;
        let anywhere = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Place { _here: here, _anywhere: anywhere })
    }

    /// Waits for a place at a host; those who wait for a busy host hold no other place.
    pub(super) async fn take(&self, host: &str) -> Option<Place> {
        let here = self.at(host).acquire_owned().await.ok()?;
        let anywhere = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place { _here: here, _anywhere: anywhere })
    }

    fn at(&self, host: &str) -> Arc<Semaphore> {
        let new = || Arc::new(Semaphore::new(self.per_host));
        Arc::clone(&self.hosts.entry(host.to_owned()).or_insert_with(new))
    }

    /// Forgets a host nobody posts to.
    pub(super) fn tidy(&self, host: &str) {
        self.hosts.remove_if(host, |_, places| Arc::strong_count(places) == 1);
    }
}
