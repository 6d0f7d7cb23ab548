//! Letting go of what is over: finished trees after a time, and later the message ids they had taken. A look at what is due
//! takes it away tree by tree, each as a whole, some at a time, so that appends find their place in between; what has come
//! to stand in the way since (a new change, a push) keeps a tree until the next look. Why it is built so:
//! `docs/decisions/0016-retention.md`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use broker_core::Timestamp;
use futures_util::future::join_all;

use super::Broker;
use crate::ports::store::{OutboxRow, Over, StoreError};

/// Trees found at a time, and message ids forgotten in one step.
const PAGE: usize = 256;
/// Removals under way at a time: they share a write.
const AT_ONCE: usize = 16;

/// For how long what is over is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// A finished tree, after its last change; zero is for ever.
    pub keep_finished: Duration,
    /// Its message ids, after the same change; never shorter than the tree.
    pub keep_message_ids: Duration,
    /// Between two looks for what is due.
    pub sweep_every: Duration,
}

/// Everything is kept for ever.
impl Default for Retention {
    fn default() -> Self {
        let (keep_finished, keep_message_ids) = Default::default();
        Self { keep_finished, keep_message_ids, sweep_every: Duration::from_mins(10) }
    }
}

/// What a look took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Trees.
    pub trees: usize,
    /// Their tasks.
    pub tasks: usize,
    /// Message ids of trees that went now or earlier.
    pub message_ids: usize,
    /// Pushes that had been given up.
    pub dead_letters: usize,
}

/// Looks for what is due, until the broker is gone.
pub(super) async fn run(broker: Weak<Broker>) {
    while let Some(alive) = broker.upgrade() {
        let Retention { keep_finished, sweep_every, .. } = alive.retention;
        if keep_finished.is_zero() {
            return;
        }
        if let Err(failure) = alive.sweep().await {
            tracing::warn!(%failure, "what is over could not be removed; tried again later");
        }
        drop(alive);
        tokio::time::sleep(sweep_every).await;
    }
}

impl Broker {
    /// Removes finished trees, and forgets message ids, whose time has come.
    pub async fn sweep(self: &Arc<Self>) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let Retention { keep_finished, keep_message_ids, .. } = self.retention;
        if keep_finished.is_zero() {
            return Ok(swept);
        }
        let now = self.clock.now();
        let removed = self.remove_trees(earlier(now, keep_finished), &mut swept).await;
        let forgotten =
            self.forget_claims(earlier(now, keep_message_ids.max(keep_finished)), &mut swept).await;
        if swept != Swept::default() {
            let Swept { trees, tasks, message_ids, dead_letters } = swept;
            tracing::info!(trees, tasks, message_ids, dead_letters, "what was over for long was removed");
        }
        removed.and(forgotten).map(|()| swept)
    }

    async fn remove_trees(&self, before: Timestamp, swept: &mut Swept) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let due = self.store.over(before, after, PAGE).await?;
            let Some(last) = due.last().copied() else { return Ok(()) };
            for some in due.chunks(AT_ONCE) {
                let removals = some.iter().map(|over| self.remove_tree(*over, before));
                for removed in join_all(removals).await {
                    let Some((tasks, letters)) = removed? else { continue };
                    swept.trees += 1;
                    swept.tasks += tasks;
                    swept.dead_letters += letters;
                }
            }
            after = Some(last);
        }
    }

    /// How many tasks and dead letters went, if the tree did.
    async fn remove_tree(
        &self,
        Over { root, .. }: Over,
        before: Timestamp,
    ) -> Result<Option<(usize, usize)>, StoreError> {
        // Who is reading it reads it to the end.
        if self.trees.is_watched(root) {
            return Ok(None);
        }
        let removed = self.store.remove_tree(root, before).await;
        // Also where the store failed over it: what is there then is for the store to say, not for the memory.
        if !matches!(removed, Ok(None)) {
            self.trees.removed(root);
        }
        let Some(removed) = removed? else { return Ok(None) };
        for OutboxRow { key, trouble, .. } in &removed.dead_letters {
            let reason = trouble.as_ref().map(|trouble| trouble.reason.as_str());
            tracing::warn!(
                task = %key.task, config = key.config, reason,
                "a dead letter was removed with its tree; the receiver never had what it was about"
            );
            self.forget_push(key);
        }
        Ok(Some((removed.tasks, removed.dead_letters.len())))
    }

    async fn forget_claims(&self, before: Timestamp, swept: &mut Swept) -> Result<(), StoreError> {
        loop {
            let forgotten = self.store.forget_claims(before, PAGE).await?;
            swept.message_ids += forgotten;
            if forgotten < PAGE {
                return Ok(());
            }
        }
    }
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    now.add_millis(i64::try_from(by.as_millis()).map_or(i64::MIN, |millis| -millis))
}
