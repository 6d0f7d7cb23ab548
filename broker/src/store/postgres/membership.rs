//! Who may append to a tree, where several brokers share a database. A broker is there for as long as it keeps saying so, by
//! the database's clock; once another has written down that it is gone, its trees are taken over, and nothing it appends is
//! taken any more: the tree's row names who may. A broker that finds itself gone writes nothing again; it has to be started
//! anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker_core::TaskId;
use bytes::Bytes;
use deadpool_postgres::{ClientWrapper, Object, Pool};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::failure::{in_words, no_connection, unavailable};
use super::rows;
use crate::ports::store::{Drive, StoreError, Usage};

/// How often within its lease a broker says that it is there.
const RENEWALS: u32 = 4;
/// A broker that is gone is forgotten after a day, unless it has left something to do: that is found by who is gone.
const FORGET: &str = "DELETE FROM brokers WHERE gone AND expires < now() - interval '1 day' \
    AND NOT EXISTS (SELECT FROM trees WHERE driver = brokers.id AND over IS NULL) \
    AND NOT EXISTS (SELECT FROM outbox JOIN trees USING (root) WHERE driver = brokers.id)";
/// Whoever left something to do and is not known, as in tables that were restored, is gone.
const STRANGERS: &str = "INSERT INTO brokers (id, url, expires, gone) \
    SELECT driver, '', now(), true FROM (SELECT driver FROM trees WHERE over IS NULL \
    UNION SELECT driver FROM outbox JOIN trees USING (root)) AS drivers \
    WHERE NOT EXISTS (SELECT FROM brokers WHERE id = driver) ON CONFLICT DO NOTHING";
/// For how long it is remembered what it used: to the end of its last day, wherever that ends.
const SAID: &str = "2 days";

/// Takes over some of what is left to do, unless the broker ($1) is gone itself: of each that is gone, found by it and never by
/// looking at all trees that are kept. A tree somebody else was faster to take is judged by its driver of now.
const ADOPT: &str = "WITH open AS MATERIALIZED (SELECT left_open.root FROM brokers CROSS JOIN LATERAL (SELECT root FROM trees \
    WHERE driver = brokers.id AND over IS NULL ORDER BY root LIMIT $2 FOR UPDATE SKIP LOCKED) AS left_open WHERE gone LIMIT $2), \
    pushing AS MATERIALIZED (SELECT root FROM trees WHERE over IS NOT NULL AND root IN (SELECT root FROM outbox) \
    AND driver = ANY (ARRAY(SELECT id FROM brokers WHERE gone)) LIMIT $2 FOR UPDATE SKIP LOCKED) \
    UPDATE trees SET driver = $1 WHERE root IN (SELECT root FROM open UNION ALL SELECT root FROM pushing) \
    AND EXISTS (SELECT FROM brokers WHERE id = $1 AND NOT gone) RETURNING root";

/// How a broker is known to the others.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Of this start of it alone.
    pub id: Uuid,
    /// Where the others reach it.
    pub url: String,
    /// For how long it is not taken for dead without a word.
    pub lease: Duration,
}

/// One broker among those of a database.
pub(super) struct Membership {
    pool: Pool,
    /// Where the connection comes from that is for renewing alone, so that it need not wait for those that read.
    renewing: Pool,
    connection: Mutex<Option<ClientWrapper>>,
    peer: Peer,
    renewed: Mutex<Renewed>,
    lost: watch::Sender<bool>,
}

/// When the broker was last known to be there, by [`now`].
#[derive(Clone, Copy)]
struct Renewed {
    /// The first time since the database was last not reached.
    since: Duration,
    /// When the last was asked for, and when it was answered.
    last: Duration,
    answered: Duration,
    has_failed: bool,
}

/// Since the machine was started, what it slept included: one that was suspended for longer than the lease must not take
/// itself for current when it goes on.
fn now() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let now = clock_gettime(CLOCK);
    let part = |of: i64| u64::try_from(of).unwrap_or_default();
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

impl Membership {
    /// Says that the broker is there. One that was at the same address before is not any more.
    pub(super) async fn join(pool: Pool, renewing: Pool, peer: Peer) -> Result<Arc<Self>, StoreError> {
        let client = pool.get().await.map_err(|error| no_connection(&error))?;
        let before = "WITH before AS (SELECT id FROM brokers WHERE url = $1 AND NOT gone FOR UPDATE) \
                      UPDATE brokers SET gone = true FROM before WHERE brokers.id = before.id";
        let own = "INSERT INTO brokers (id, url, expires) \
                   VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second')";
        let failed = |error: Error| unavailable(&error);
        let now = now();
        client.execute(before, &[&peer.url]).await.map_err(failed)?;
        client.execute(own, &[&peer.id, &peer.url, &peer.lease.as_secs_f64()]).await.map_err(failed)?;
        client.batch_execute(&format!("{STRANGERS}; {FORGET}")).await.map_err(failed)?;
        let renewed = Mutex::new(Renewed { since: now, last: now, answered: now, has_failed: false });
        let (connection, lost) = (Mutex::new(None), watch::Sender::new(false));
        Ok(Arc::new(Self { pool, renewing, connection, peer, renewed, lost }))
    }

    fn renewed(&self) -> MutexGuard<'_, Renewed> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn id(&self) -> Uuid {
        self.peer.id
    }

    /// Keeps saying so, until others say otherwise.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            sleep(self.peer.lease / RENEWALS).await;
            let renewed = timeout(self.peer.lease / RENEWALS, self.renew()).await;
            match renewed.unwrap_or_else(|_| Err(StoreError::Unavailable("it does not answer".to_owned()))) {
                Ok(true) => {}
                Ok(false) => {
                    self.lost.send_replace(true);
                    return;
                }
                Err(failure) => {
                    self.renewed().has_failed = true;
                    tracing::warn!(%failure, "the database was not told that this broker is there");
                }
            }
        }
    }

    async fn renew(&self) -> Result<bool, StoreError> {
        let now = now();
        // Put back once it has answered: one that has not in time is not asked again.
        let kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let client = match kept.filter(|kept| !kept.is_closed()) {
            Some(kept) => kept,
            None => Object::take(self.renewing.get().await.map_err(|error| no_connection(&error))?),
        };
        let still = "UPDATE brokers SET expires = clock_timestamp() + $2 * interval '1 second' WHERE id = $1 AND NOT gone";
        let renewed = client.execute(still, &[&self.peer.id, &self.peer.lease.as_secs_f64()]).await;
        let is_there = renewed.map_err(|error| unavailable(&error))? == 1;
        if is_there {
            let mut renewed = self.renewed();
            let answered = self::now();
            if renewed.has_failed || answered.saturating_sub(renewed.answered) > self.peer.lease {
                renewed.since = answered;
            }
            (renewed.last, renewed.answered, renewed.has_failed) = (now, answered, false);
        }
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        Ok(is_there)
    }

    /// Whether nobody can have taken this broker's trees: only then is what it holds in memory known to be true.
    pub(super) fn is_current(&self) -> bool {
        let renewed = *self.renewed();
        !*self.lost.borrow() && now().saturating_sub(renewed.last) < self.peer.lease
    }

    /// Resolves when others have found this broker gone.
    pub(super) async fn until_lost(&self) -> String {
        let mut lost = self.lost.subscribe();
        // Its sender is this very membership's.
        let _ = lost.wait_for(|lost| *lost).await;
        "other brokers of the database did not hear of this one in time and have taken over its tasks"
            .to_owned()
    }

    /// Says what this broker uses of quotas, and hears what the others have last said.
    pub(super) async fn exchange_usage(&self, said: &[u8]) -> Result<Vec<Usage>, StoreError> {
        let client = self.pool.get().await.map_err(|error| no_connection(&error))?;
        let text = format!(
            "WITH own AS (INSERT INTO usage (broker, said, at) VALUES ($1, $2, clock_timestamp()) \
             ON CONFLICT (broker) DO UPDATE SET said = excluded.said, at = excluded.at), \
             old AS (DELETE FROM usage WHERE broker <> $1 AND at < clock_timestamp() - interval '{SAID}') \
             SELECT broker, said, coalesce(NOT gone, false), \
             EXISTS (SELECT FROM trees WHERE driver = broker AND over IS NULL) \
             FROM usage LEFT JOIN brokers ON brokers.id = broker WHERE broker <> $1"
        );
        let found = rows::query(&client, &text, &[&self.peer.id, &said]).await?;
        let usage = |row: &Row| Usage {
            broker: row.get(0),
            is_there: row.get(2),
            has_trees: row.get(3),
            said: Bytes::copy_from_slice(row.get(1)),
        };
        Ok(found.iter().map(usage).collect())
    }

    /// Leaves to the others what is under way. From now on they may take it.
    pub(super) async fn leave(&self) {
        self.lost.send_replace(true);
        let left = async {
            let client = self.pool.get().await.map_err(|error| no_connection(&error))?;
            let gone = client.execute("UPDATE brokers SET gone = true WHERE id = $1", &[&self.peer.id]).await;
            gone.map(drop).map_err(|error| unavailable(&error))
        };
        let left = timeout(self.peer.lease, left).await;
        let left = left.unwrap_or_else(|_| Err(StoreError::Unavailable("it does not answer".to_owned())));
        if let Err(failure) = left {
            tracing::warn!(%failure, "the other brokers will find out by themselves that this one is gone");
        }
    }

    /// Who may append to a tree. One that is over and whose driver is gone becomes this broker's.
    pub(super) async fn driver(&self, root: TaskId) -> Result<Drive, StoreError> {
        let client = self.pool.get().await.map_err(|error| no_connection(&error))?;
        let text = "SELECT driver = $2, over IS NULL, url, coalesce(gone, true) FROM trees \
                    LEFT JOIN brokers ON brokers.id = trees.driver WHERE root = $1";
        let found = rows::query(&client, text, &[&root.0, &self.peer.id]).await?;
        let Some(row) = found.first() else { return Ok(Drive::Here) };
        let (is_here, is_open, is_gone) =
            (row.get::<_, bool>(0), row.get::<_, bool>(1), row.get::<_, bool>(3));
        match row.get::<_, Option<String>>(2) {
            _ if is_here => Ok(Drive::Here),
            Some(url) if !is_gone => Ok(Drive::At(url)),
            _ if is_open => Ok(Drive::Nobody),
            _ => {
                let take = "UPDATE trees SET driver = $2 WHERE root = $1 AND over IS NOT NULL \
                            AND NOT EXISTS (SELECT FROM outbox WHERE outbox.root = trees.root) \
                            AND driver <> ALL (ARRAY(SELECT id FROM brokers WHERE NOT gone))";
                let taken = client.execute(take, &[&root.0, &self.peer.id]).await;
                let taken = taken.map_err(|error| unavailable(&error))?;
                Ok(if taken == 1 { Drive::Here } else { Drive::Nobody })
            }
        }
    }

    /// Takes over some of what brokers that are gone have left to do.
    pub(super) async fn adopt(&self, limit: i64) -> Result<Vec<TaskId>, StoreError> {
        let client = self.pool.get().await.map_err(|error| no_connection(&error))?;
        // Who has just come back from not reaching the database cannot tell who else has not.
        let renewed = *self.renewed();
        if self.is_current() && renewed.last.saturating_sub(renewed.since) >= self.peer.lease {
            // Locked as no batch of the late one's has it locked: what it is just writing is written before.
            let text = "WITH late AS (SELECT id FROM brokers WHERE NOT gone AND expires < clock_timestamp() AND id <> $1 \
                        AND EXISTS (SELECT FROM brokers WHERE id = $1 AND NOT gone AND expires > clock_timestamp()) \
                        FOR UPDATE) \
                        UPDATE brokers SET gone = true FROM late WHERE brokers.id = late.id RETURNING url";
            for row in rows::query(&client, text, &[&self.peer.id]).await? {
                let url: &str = row.get(0);
                tracing::warn!(url, "a broker was not heard of in time; the others take over its tasks");
            }
        }
        let taken = client.query(ADOPT, &[&self.peer.id, &limit]).await;
        let taken = taken.map_err(|error| StoreError::Engine(in_words(&error)))?;
        Ok(taken.iter().map(|row| TaskId(row.get(0))).collect())
    }
}
