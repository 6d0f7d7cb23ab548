//! Getting events to receivers: at least once, in order. What is to be sent is never copied: a worker reads the journal
//! from where its receiver is, sends what the records show, and moves the cursor on. It holds nothing while there is
//! nothing to send, and a place among few while there is.

use std::sync::{Arc, Weak};
use std::time::Duration;

use broker_core::delegation::Push;
use broker_core::journal::{Fact, PushConfig, Record};
use broker_core::{Timestamp, Tree};
use bytes::Bytes;
use protocol::{A2aError, Secret};

use super::PushOptions;
use super::lanes::{Claim, Lane, Lanes, Place, Places};
use super::past::Past;
use crate::address::Destination;
use crate::ports::notifier::{Notification, Notifier, Undelivered};
use crate::ports::store::{OutboxChange, OutboxKey, OutboxRow, StoreError, Trouble};
use crate::service::trees::TreeCell;
use crate::service::{Broker, error};

/// Records read from a journal at a time: what a worker holds in memory.
const PAGE_RECORDS: usize = 8;
/// Rows read at start at a time.
const RESUME_PAGE: usize = 256;
/// Doublings after which a wait grows no more.
const MAX_DOUBLINGS: u32 = 20;

/// All pushes that are not over.
pub(in crate::service) struct Outbox {
    pub(super) options: PushOptions,
    notifier: Arc<dyn Notifier>,
    pub(super) lanes: Lanes,
    places: Places,
}

/// What came of looking after a lane.
enum Step {
    /// There may be more to send.
    More,
    /// There is nothing to send now.
    Idle,
    /// The receiver, or the store, has to be left alone for a while.
    Wait { retry_after: Option<Duration> },
    /// There is nothing to send ever, or nobody to send it to.
    Over,
}

impl Outbox {
    pub(in crate::service) fn new(options: PushOptions, notifier: Arc<dyn Notifier>) -> Self {
        let places = Places::new(options.per_host, options.at_once);
        Self { options, notifier, lanes: Lanes::default(), places }
    }

    /// How long to wait after so many failures in a row. `random` spreads those that failed together.
    fn wait(&self, failures: u32, retry_after: Option<Duration>, random: u16) -> Duration {
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        let longest = self.options.backoff.saturating_mul(1 << doublings).min(self.options.max_backoff);
        let half = longest / 2;
        let spread = half.mul_f64(f64::from(random) / f64::from(u16::MAX));
        let asked = retry_after.unwrap_or_default().min(self.options.give_up);
        (half + spread).max(asked)
    }
}

/// What a tree's new records, the first of which has that number in it, make of its pushes.
pub(in crate::service) fn changes(records: &[Record], first: u64) -> Vec<OutboxChange> {
    let key = |record: &Record, id: &str| OutboxKey { task: record.task, config: id.to_owned() };
    let change = |(number, record): (u64, &Record)| match &record.fact {
        Fact::PushSet(config) => {
            Some(OutboxChange::Set { key: key(record, &config.id), set: record.seq, next: number + 1 })
        }
        Fact::PushDeleted { id } => Some(OutboxChange::Delete(key(record, id))),
        _ => None,
    };
    (first..).zip(records).filter_map(change).collect()
}

impl Broker {
    /// Takes up every push that is not over, of the trees that this broker drives.
    pub(in crate::service) async fn resume_pushes(self: &Arc<Self>) -> Result<(), A2aError> {
        let mut after = None;
        loop {
            let page =
                self.store.own_outbox(after, RESUME_PAGE).await.map_err(|failure| error::store(&failure))?;
            let Some(last) = page.last().map(|row| row.key.clone()) else { return Ok(()) };
            for row in page {
                let key = row.key.clone();
                self.outbox.lanes.enter(row);
                self.wake_push(key);
            }
            after = Some(last);
        }
    }

    /// Keeps the lanes true to records that have just become durable, and lets the workers look. Called with the
    /// tree locked, after `apply`.
    pub(in crate::service) fn push_records(self: &Arc<Self>, tree: &Tree, records: &[Record]) {
        for change in changes(records, tree.version() - records.len() as u64) {
            match change {
                OutboxChange::Set { key, set, next } => {
                    self.outbox.lanes.set(key.clone(), tree.root(), set, next);
                    self.wake_push(key);
                }
                OutboxChange::Delete(key) => self.outbox.lanes.remove(&key),
            }
        }
        for record in records {
            for push in tree.pushes(record.task) {
                self.wake_push(OutboxKey { task: record.task, config: push.config.id.clone() });
            }
        }
    }

    /// A push is in the store no longer.
    pub(in crate::service) fn forget_push(&self, key: &OutboxKey) {
        self.outbox.lanes.remove(key);
    }

    pub(super) fn wake_push(self: &Arc<Self>, key: OutboxKey) {
        if let Some(claim) = self.outbox.lanes.begin(&key) {
            tokio::spawn(work(Arc::downgrade(self), key, claim));
        }
    }

    /// Sends what there is to send, a page at most.
    async fn push_on(&self, key: &OutboxKey, claim: &Claim, past: &mut Past) -> Step {
        let Some(lane) = self.outbox.lanes.claimed(key, claim) else { return Step::Over };
        match self.push_page(key, &lane, past).await {
            Ok(step) => step,
            Err(failure) => {
                tracing::error!(task = %key.task, ?failure, "a push has to wait for the broker's own store");
                Step::Wait { retry_after: None }
            }
        }
    }

    async fn push_page(&self, key: &OutboxKey, lane: &Lane, past: &mut Past) -> Result<Step, A2aError> {
        let cell = self.trees.load(lane.row.root).await?.ok_or_else(error::task_not_found)?;
        let (push, over_at) = {
            let tree = cell.tree.lock().await;
            let is_over = tree.state(key.task).is_none_or(protocol::TaskState::is_terminal);
            (tree.push(key.task, &key.config).cloned(), is_over.then(|| tree.version()))
        };
        let Some(push) = push else { return Ok(Step::Over) };
        if push.set != lane.row.set {
            // The driver is about to say so to the lane too.
            tokio::task::yield_now().await;
            return Ok(Step::More);
        }
        let to = match Destination::judge(&push.config.url, &self.push_given_by()) {
            Ok(to) => to,
            Err(refused) => return self.not_taken(lane, "", failure(refused.to_string())).await,
        };
        let host = to.host();
        let mut place = self.outbox.places.take_free(&host);
        if place.is_none() {
            // Who waits for a place holds nothing.
            *past = Past::default();
            place = self.outbox.places.take(&host).await;
        }
        let sent = self.send_page(&cell, lane, &push, (&to, over_at), past).await;
        drop::<Option<Place>>(place);
        self.outbox.places.tidy(&host);
        sent
    }

    async fn send_page(
        &self,
        cell: &TreeCell,
        lane: &Lane,
        push: &Push,
        (to, over_at): (&Destination, Option<u64>),
        past: &mut Past,
    ) -> Result<Step, A2aError> {
        let (key, failed) = (&lane.row.key, |failure: StoreError| error::store(&failure));
        let page = self.store.read_page(lane.row.root, lane.scanned, PAGE_RECORDS).await.map_err(failed)?;
        if page.is_empty() {
            if over_at.is_none_or(|version| version > lane.scanned) {
                return Ok(Step::Idle);
            }
            self.store.end_outbox(key.clone(), push.set).await.map_err(failed)?;
            self.outbox.lanes.remove_set(key, push.set);
            return Ok(Step::Over);
        }
        for (number, bytes) in (lane.scanned + 1..).zip(page) {
            let record = Record::decode(&bytes).map_err(|damage| error::damaged(&damage))?;
            if record.task == key.task
                && let Some(shown) = self.shown(cell, push.config.version, (number, &record), past).await?
            {
                // Another broker may have posted this and more since it was read.
                self.trees.check_current()?;
                let sent = match shown.json() {
                    Ok(body) => {
                        let notification = notification(to.clone(), &push.config, &record, body);
                        self.outbox.notifier.notify(notification).await
                    }
                    Err(problem) => Err(failure(problem)),
                };
                if let Err(undelivered) = sent {
                    return self.not_taken(lane, &to.host(), undelivered).await;
                }
                let row = OutboxRow { next: number, trouble: None, ..lane.row.clone() };
                if !self.store.move_outbox(row.clone()).await.map_err(failed)? {
                    // It was deleted or set anew meanwhile.
                    return Ok(Step::More);
                }
                self.outbox.lanes.change(key, push.set, |lane| lane.row = row);
            }
            self.outbox.lanes.change(key, push.set, |lane| lane.scanned = number);
        }
        Ok(Step::More)
    }

    /// The receiver did not take an event: later again, or never.
    async fn not_taken(&self, lane: &Lane, host: &str, why: Undelivered) -> Result<Step, A2aError> {
        // What the lane says by now: some of the page may have arrived.
        let Some(Lane { row, .. }) = self.outbox.lanes.get(&lane.row.key) else { return Ok(Step::Over) };
        if row.set != lane.row.set {
            return Ok(Step::More);
        }
        let now = self.clock.now();
        let since = row.trouble.as_ref().map_or(now, |trouble| trouble.since);
        let is_too_long = elapsed(since, now) >= self.outbox.options.give_up;
        let (reason, retry_after, is_gone) = match why {
            Undelivered::Failed { reason, retry_after } => (reason, retry_after, false),
            Undelivered::Gone => (Undelivered::Gone.to_string(), None, true),
        };
        let dead = (is_gone || is_too_long).then_some(now);
        let (key, set) = (row.key.clone(), row.set);
        tracing::debug!(task = %key.task, host, reason, "an event was not taken");
        let trouble = Trouble { since, reason, dead };
        if row.trouble.as_ref() != Some(&trouble) {
            let row = OutboxRow { trouble: Some(trouble.clone()), ..row };
            if !self.store.move_outbox(row).await.map_err(|failure| error::store(&failure))? {
                return Ok(Step::More);
            }
        }
        if dead.is_some() {
            tracing::warn!(
                task = %key.task, config = key.config, host, reason = trouble.reason,
                "a receiver of push notifications was given up; see `bailiwick push list`"
            );
            self.outbox.lanes.bury(&key, set, trouble);
            return Ok(Step::Over);
        }
        self.outbox.lanes.change(&key, set, |lane| lane.row.trouble = Some(trouble));
        Ok(Step::Wait { retry_after })
    }
}

/// Looks after one lane for as long as there is something to do; holds the broker only while it does it.
async fn work(broker: Weak<Broker>, key: OutboxKey, claim: Claim) {
    let (mut failures, mut past) = (0_u32, Past::default());
    while let Some(alive) = broker.upgrade() {
        let nudged = claim.nudged();
        match alive.push_on(&key, &claim, &mut past).await {
            Step::More => failures = 0,
            Step::Idle if alive.outbox.lanes.rest(&key, &claim) => return,
            Step::Idle => past = Past::default(),
            Step::Wait { retry_after } => {
                failures = failures.saturating_add(1);
                past = Past::default();
                let wait = alive.outbox.wait(failures, retry_after, alive.clock.jitter());
                drop(alive);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(wait) => {}
                    () = nudged => failures = 0,
                }
            }
            Step::Over => return,
        }
    }
}

fn notification(to: Destination, config: &PushConfig, record: &Record, body: Bytes) -> Notification {
    let authorization = match (&config.scheme, &config.credentials) {
        (Some(scheme), Some(credentials)) => Some(Secret::new(format!("{scheme} {}", credentials.reveal()))),
        _ => None,
    };
    let event_id = format!("{}:{}", record.task, record.seq);
    let (version, token) = (config.version, config.token.clone());
    Notification { to, version, authorization, token, event_id, body }
}

fn failure(reason: String) -> Undelivered {
    Undelivered::Failed { reason, retry_after: None }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    let millis = now.as_millis().saturating_sub(since.as_millis());
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
