//! The only loop that changes anything: decide → append → apply → publish → perform.
//!
//! A change is durable before it is applied, applied before anyone sees it, and seen before its effects happen.
//! The loop runs in a task of its own, so that a caller who hangs up in the middle stops nothing.

use std::sync::Arc;

use broker_core::delegation::action::Action;
use broker_core::delegation::input::Input;
use broker_core::journal::Record;
use broker_core::sabotage::{Guard, removed};
use broker_core::{Decision, Refusal, TaskId, Timestamp, Tree};
use bytes::Bytes;
use protocol::A2aError;

use super::admission::Place;
use super::error;
use super::quotas::{Bill, Reservation, Standing};
use super::trees::TreeCell;
use super::{Broker, audit, conversation, push};
use crate::ports::store::{Append, Claim, StoreError, TaskRow};

/// When a tree is looked at again whose alarm rang with nothing to do, at the earliest; milliseconds.
const EARLY_ALARM_MS: i64 = 1_000;

/// Why an input had no effect.
#[derive(Debug)]
pub(super) enum DriveError {
    /// The core refused it.
    Refused(Refusal),
    /// The message id belongs to an earlier message.
    Claimed(Box<Claim>),
    /// The store, or the broker itself, failed; nothing was written.
    Failed(A2aError),
    /// The store failed over it: whether it is durable is for the journal to say. The tree is taken up again.
    Uncertain(A2aError),
}

impl DriveError {
    /// Whether the same may succeed in a moment.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Failed(failure) => failure.kind == protocol::ErrorKind::Unavailable,
            Self::Uncertain(_) => true,
            Self::Refused(_) | Self::Claimed(_) => false,
        }
    }
}

/// What is reserved with an input, and let go with it if the tree will not have it.
#[derive(Default)]
pub(super) struct Reserved {
    /// A message id.
    pub(super) claim: Option<Claim>,
    /// Places at agents.
    pub(super) places: Vec<Place>,
    /// Of what its owner and its agents may use.
    pub(super) quotas: Vec<Reservation>,
}

impl Reserved {
    /// What it was reserved for came to be.
    fn keep(&mut self) {
        self.places.iter_mut().for_each(Place::keep);
        self.quotas.iter_mut().for_each(Reservation::keep);
    }
}

impl From<DriveError> for A2aError {
    fn from(failure: DriveError) -> Self {
        match failure {
            DriveError::Refused(refusal) => error::refusal(&refusal),
            DriveError::Claimed(claim) => error::message_id_reused(&claim.message_id),
            DriveError::Failed(failure) | DriveError::Uncertain(failure) => failure,
        }
    }
}

impl Broker {
    /// Feeds an input to a tree in memory or in the store. A tree that does not exist swallows it.
    pub(super) async fn drive(self: &Arc<Self>, root: TaskId, input: Input) -> Result<(), DriveError> {
        match self.trees.load(root).await.map_err(DriveError::Failed)? {
            Some(cell) => self.drive_cell(cell, input, Reserved::default()).await,
            None => Ok(()),
        }
    }

    /// Feeds an input to a tree. While the store cannot take it, it has to wait.
    pub(super) async fn drive_patiently(
        self: &Arc<Self>,
        root: TaskId,
        input: Input,
    ) -> Result<(), DriveError> {
        loop {
            match self.drive(root, input.clone()).await {
                Err(failure) if failure.is_passing() => tokio::time::sleep(self.recovery.ask_every).await,
                done => return done,
            }
        }
    }

    /// The same, for whoever has nobody to tell.
    pub(super) async fn drive_until_taken(self: &Arc<Self>, root: TaskId, input: Input) {
        if let Err(failure) = self.drive_patiently(root, input).await {
            tracing::warn!(%root, ?failure, "an input was not taken");
        }
    }

    /// Feeds an input to a tree, with what is reserved for it.
    pub(super) async fn drive_cell(
        self: &Arc<Self>,
        cell: Arc<TreeCell>,
        input: Input,
        reserved: Reserved,
    ) -> Result<(), DriveError> {
        // Boxed, because a future that is spawned is moved several times.
        let step = Box::pin(Arc::clone(self).step_on_current(cell, input, reserved));
        if removed(Guard::HangUps) {
            return step.await;
        }
        tokio::spawn(step).await.unwrap_or_else(|stopped| {
            tracing::error!(%stopped, "a step of the driver did not finish");
            Err(DriveError::Failed(error::internal()))
        })
    }

    /// Who waited for a copy of the tree that was given up meanwhile goes on with the one that counts.
    async fn step_on_current(
        self: Arc<Self>,
        mut cell: Arc<TreeCell>,
        input: Input,
        reserved: Reserved,
    ) -> Result<(), DriveError> {
        loop {
            let mut tree = cell.tree.lock().await;
            if !cell.is_abandoned() {
                let done = self.step(&cell, &mut tree, input, reserved).await;
                if done.is_err() && tree.version() == 0 && !cell.is_abandoned() {
                    // It did not come to be, whether or not somebody is left to hear of it.
                    self.trees.forget(tree.root());
                }
                return done;
            }
            drop(tree);
            cell = self.trees.current(&cell).await.map_err(DriveError::Failed)?;
        }
    }

    async fn step(
        self: &Arc<Self>,
        cell: &Arc<TreeCell>,
        tree: &mut Tree,
        input: Input,
        mut reserved: Reserved,
    ) -> Result<(), DriveError> {
        let (now, takes_up) = (self.clock.now(), matches!(input, Input::Resume));
        let is_alarm = matches!(input, Input::Tick);
        let root = tree.root();
        let decision = tree.decide(input, now, &self.limits()).map_err(|refused| {
            self.note_refused(&refused, now);
            self.count_refusal(refused.refusal.code());
            self.trace_refused(tree, &refused, now);
            DriveError::Refused(refused.refusal)
        })?;
        if !decision.records.is_empty() {
            let append = prepare(root, tree.version(), &decision, reserved.claim.take(), now)?;
            if let Err(failure) = self.store.append(append).await
                && !removed(Guard::DurableFirst)
            {
                if failure.wrote_nothing() {
                    return Err(not_appended(failure));
                }
                // What is durable now is for the journal to say, not for this copy; and if it is, then nothing that
                // was to follow has. Whoever takes up a tree goes on trying by itself. Until then the places stay taken.
                self.trees.forget(root);
                self.uncount(tree, cell);
                if !takes_up && !removed(Guard::UncertainAppends) {
                    self.take_up_again(root, reserved);
                }
                return Err(DriveError::Uncertain(error::uncertain(&failure)));
            }
            reserved.keep();
            let mut bill = Bill::default();
            for record in &decision.records {
                let before = Standing::of(tree, record.task);
                if let Err(damage) = tree.apply(record) {
                    self.trees.forget(root);
                    self.uncount(tree, cell);
                    return Err(DriveError::Failed(error::damaged(&damage)));
                }
                bill.note(tree, record.task, before);
                cell.listeners.tell(tree, record);
            }
            self.feed.tell(tree, &decision.records);
            self.push_records(tree, &decision.records);
            self.selection.note_records(tree, &decision.records);
            self.count_records(tree, &decision.records);
            self.trace_records(tree, &decision.records);
            self.keep_places(tree, &decision.records);
            self.settle(tree, cell, bill, &decision.records);
            self.timers.set(root, tree.next_timer(&self.limits()));
            if !tree.is_open() {
                self.trees.retire(root, tree.bytes());
            }
        }
        if is_alarm && decision.records.is_empty() {
            // It came too early, by a clock that was set back. An alarm rings once.
            let next = tree.next_timer(&self.limits());
            self.timers.set(root, next.map(|next| next.max(now.add_millis(EARLY_ALARM_MS))));
        }
        // With the tree still locked, so that effects begin in the order in which they were decided.
        for action in decision.actions {
            match action {
                // Who listens already is not to be interrupted by a tree that is taken up in the middle of its life.
                Action::Recover(lost) if takes_up && self.conversations.is_running(lost.attempt) => {}
                action => self.perform(root, action),
            }
        }
        Ok(())
    }

    /// Starts an effect. Nothing here waits: whatever comes of it returns as another input.
    fn perform(self: &Arc<Self>, root: TaskId, action: Action) {
        match action {
            Action::Admit { attempt, agent, owner } => self.wait_for_place(root, attempt, &agent, owner),
            Action::Seek(search) => self.seek(root, *search),
            Action::Check(check) => self.check(root, *check),
            Action::Send(dispatch) => conversation::start_send(self, root, *dispatch),
            Action::Recover(lost) => conversation::start_recovery(self, root, *lost),
            Action::Cancel { attempt, agent, agent_task } => {
                conversation::start_cancel(self, root, attempt, agent, agent_task);
            }
            Action::Abandon(_) if removed(Guard::LostAttempts) => {}
            Action::Abandon(attempt) => self.conversations.stop(attempt),
        }
    }
}

fn prepare(
    root: TaskId,
    expected: u64,
    decision: &Decision,
    claim: Option<Claim>,
    now: Timestamp,
) -> Result<Append, DriveError> {
    let records: Result<Vec<Bytes>, _> =
        decision.records.iter().map(|record: &Record| record.encode().map(Bytes::from)).collect();
    let records = records.map_err(|damage| DriveError::Failed(error::damaged(&damage)))?;
    let rows = decision
        .changed
        .iter()
        .map(|changed| TaskRow {
            task: changed.task,
            root,
            owner: changed.owner.clone(),
            agent: changed.agent.clone(),
            context_id: changed.context_id.clone(),
            state: changed.state,
            updated: changed.updated,
        })
        .collect();
    let audit: Result<Vec<_>, _> = decision.audit.iter().map(|event| audit::entry(now, event)).collect();
    let audit = audit.map_err(DriveError::Failed)?;
    let outbox = push::changes(&decision.records, expected);
    Ok(Append { root, expected, at: now, records, claim, rows, open: decision.open, audit, outbox })
}

fn not_appended(failure: StoreError) -> DriveError {
    match failure {
        StoreError::Claimed(claim) => DriveError::Claimed(claim),
        failure => DriveError::Failed(error::store(&failure)),
    }
}
