//! Group commit over one connection: takes all that is waiting, reads what it is to be judged by, judges, and writes what
//! is left of it in one transaction. Two round trips a batch, however large: statements go out without waiting for each
//! other's answers.
//!
//! Nobody holds what is stored in memory, so several brokers may append to one database. What they must not do twice is
//! for the keys of the tables to refuse: then the batch is judged anew by what is there now.

use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::time::timeout;
use tokio_postgres::Error;

use super::batch::{Batch, Wanted, Work};
use super::failure;
use super::statements::{Statements, Writer};
use crate::ports::store::StoreError;
use crate::store::queue::{Waiting, Waitings};

/// How often a batch is judged anew because another writer was faster.
const MAX_RACES: usize = 16;
/// Longest wait for the answers to a batch; then its outcome is unknown.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most entries of the audit log that nobody waits for and that are kept while the database is away.
const MAX_HELD: usize = 4_096;

/// Writes what is queued, until the queue is closed.
pub(super) struct Committer {
    pool: Pool,
    connection: Option<(Object, Statements)>,
    batch: usize,
    by: Writer,
    /// What nobody waits for, and could not be written so far.
    held: Vec<Waiting<Work, bool>>,
}

/// Why a batch was not written.
enum Trouble {
    /// Another writer was faster: nothing was written.
    Raced,
    /// Nothing was written: there was no way to.
    NotWritten(StoreError),
    /// Nothing was written: the database does not take something of it.
    Refused(StoreError),
    /// It may be there.
    Unknown(StoreError),
}

type Verdict = Result<bool, StoreError>;

impl Committer {
    pub(super) fn new(pool: Pool, batch: usize, by: Writer) -> Self {
        Self { pool, connection: None, batch: batch.max(1), by, held: Vec::new() }
    }

    pub(super) async fn run(mut self, mut waiting: Waitings<Work, bool>) {
        loop {
            let mut group = std::mem::take(&mut self.held);
            if waiting.recv_many(&mut group, self.batch).await == 0 {
                return;
            }
            // Whoever is about to append goes first: one wait for the disk is for them all.
            tokio::task::yield_now().await;
            while group.len() < self.batch
                && let Ok(next) = waiting.try_recv()
            {
                group.push(next);
            }
            self.commit(group).await;
        }
    }

    async fn commit(&mut self, group: Vec<Waiting<Work, bool>>) {
        let Err((group, trouble)) = self.commit_together(group).await else { return };
        // A transaction may be open on it.
        self.drop_connection();
        if group.len() == 1 || !matches!(trouble, Trouble::Refused(_)) {
            return self.refuse(group, &trouble);
        }
        // What one of them holds may be what the database does not take; the others are not to suffer for it.
        let mut left = group.into_iter();
        while let Some(waiting) = left.next() {
            let Err((group, trouble)) = self.commit_together(vec![waiting]).await else { continue };
            self.drop_connection();
            self.refuse(group, &trouble);
            if !matches!(trouble, Trouble::Refused(_)) {
                let away = StoreError::Unavailable("the database went away".to_owned());
                return self.refuse(left.collect(), &Trouble::NotWritten(away));
            }
        }
    }

    /// Commits a group as one, or gives it back.
    async fn commit_together(
        &mut self,
        group: Vec<Waiting<Work, bool>>,
    ) -> Result<(), (Vec<Waiting<Work, bool>>, Trouble)> {
        let mut races = 0;
        let trouble = loop {
            match timeout(PATIENCE, self.attempt(&group)).await {
                Ok(Ok(verdicts)) => {
                    for (Waiting { answer, .. }, verdict) in group.into_iter().zip(verdicts) {
                        answer.tell(verdict);
                    }
                    return Ok(());
                }
                Ok(Err(Trouble::Raced)) if races < MAX_RACES => races += 1,
                Ok(Err(Trouble::Raced)) => {
                    let busy = "other brokers were faster again and again";
                    break Trouble::NotWritten(StoreError::Unavailable(busy.to_owned()));
                }
                Ok(Err(trouble)) => break trouble,
                Err(_) => {
                    let silent = format!("the database did not answer within {} s", PATIENCE.as_secs());
                    break Trouble::Unknown(StoreError::Engine(silent));
                }
            }
        };
        Err((group, trouble))
    }

    /// Tells everybody; what nobody waits for is tried again with what comes next, if nothing of it was written.
    fn refuse(&mut self, group: Vec<Waiting<Work, bool>>, trouble: &Trouble) {
        let (failure, may_hold) = match trouble {
            Trouble::Raced => return,
            Trouble::NotWritten(failure) => (failure, true),
            Trouble::Refused(failure) | Trouble::Unknown(failure) => (failure, false),
        };
        tracing::error!(%failure, works = group.len(), "a batch was not written");
        for waiting in group {
            let is_note = matches!(waiting.work, Work::Note(_));
            if may_hold && is_note && waiting.answer.is_nobody() && self.held.len() < MAX_HELD {
                self.held.push(waiting);
                continue;
            }
            waiting.answer.tell(Err(match trouble {
                Trouble::NotWritten(_) | Trouble::Refused(_) => StoreError::Unavailable(failure.to_string()),
                _ => StoreError::Engine(failure.to_string()),
            }));
        }
    }

    fn drop_connection(&mut self) {
        if let Some((connection, _)) = self.connection.take() {
            // Not back into the pool.
            drop(Object::take(connection));
        }
    }

    async fn attempt(&mut self, group: &[Waiting<Work, bool>]) -> Result<Vec<Verdict>, Trouble> {
        let wanted = Wanted::of(group.iter().map(|waiting| &waiting.work));
        let by = self.by;
        let (client, statements) = self.connected().await.map_err(Trouble::NotWritten)?;
        let known = statements.read(client, &wanted, by.driver).await.map_err(Trouble::NotWritten)?;
        let mut batch = Batch::new(known);
        let verdicts = group.iter().map(|waiting| batch.add(&waiting.work)).collect();
        let log = batch.log();
        // Boxed, as each of its statements holds its parameters.
        let written = Box::pin(statements.write(client, &batch.writes, log, by)).await;
        written.map_err(|error| trouble(&error))?;
        Ok(verdicts)
    }

    async fn connected(&mut self) -> Result<(&Object, &Statements), StoreError> {
        if self.connection.as_ref().is_some_and(|(client, _)| client.is_closed()) {
            self.drop_connection();
        }
        if self.connection.is_none() {
            let client = self.pool.get().await.map_err(|error| failure::no_connection(&error))?;
            let statements = Statements::prepare(&client).await;
            let statements = statements.map_err(|error| failure::unavailable(&error))?;
            self.connection = Some((client, statements));
        }
        let (client, statements) = self.connection.as_ref().ok_or_else(crate::store::queue::stopped)?;
        Ok((client, statements))
    }
}

/// What became of a batch whose statements and COMMIT were sent together. A statement that was refused takes the
/// transaction with it.
fn trouble(error: &Error) -> Trouble {
    if failure::is_race(error) {
        Trouble::Raced
    } else if failure::is_refusal(error) {
        Trouble::Refused(failure::unavailable(error))
    } else {
        Trouble::Unknown(failure::uncertain(error))
    }
}
