//! The journal by days, so that what retention has emptied goes back to the system as whole files: a tree's id says when it
//! was made (UUID version 7), so a day's trees are a range of keys. Days are made ahead by whichever broker comes first, and
//! dropped once they are past and nothing of them is left. A tree whose day was not made in time is in the default partition.

use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::time::sleep;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::failure::{in_words, no_connection, unavailable};
use crate::ports::store::StoreError;

/// Days that are made ahead: for so long no broker need be there.
const DAYS_AHEAD: i64 = 3;
/// Between two looks, and after one that found something it could not do: what is written meanwhile to where all the rest is
/// makes it harder.
const PAUSE: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_mins(1);
/// Making or dropping a day keeps everybody from the journal for a moment. It waits no longer for its turn, and takes no longer;
/// a broker that is stopped in the middle of it holds up nobody either. It is tried again.
const NO_LONGER: &str = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '2s'; \
                         SET LOCAL idle_in_transaction_session_timeout = '2s'";
const PREFIX: &str = "journal_day_";
const DAY_MILLIS: i64 = 86_400_000;

/// A day in UTC, counted since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Day(i64);

impl Day {
    /// Its partition.
    fn table(self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    fn of_table(name: &str) -> Option<Self> {
        name.strip_prefix(PREFIX)?.parse().ok().map(Self)
    }

    /// Where its trees begin among all ids.
    fn first_id(self) -> Uuid {
        let millis = u128::from(self.0.saturating_mul(DAY_MILLIS).unsigned_abs());
        Uuid::from_u128(millis << 80)
    }

    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Makes days and drops them, for as long as the store is open.
pub(super) async fn tend(pool: Pool, mut is_done: bool) {
    loop {
        sleep(if is_done { PAUSE } else { SOON }).await;
        is_done = tend_now(&pool).await;
    }
}

/// The same once; whether all was done that there was to do.
pub(super) async fn tend_now(pool: &Pool) -> bool {
    let tended = async {
        let mut client = pool.get().await.map_err(|error| no_connection(&error))?;
        let today = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint / $1";
        let today = client.query_one(today, &[&DAY_MILLIS]).await.map_err(|error| unavailable(&error))?;
        tend_on(&mut client, today.get(0)).await
    };
    tended.await.unwrap_or_else(|failure: StoreError| {
        tracing::warn!(%failure, "the journal's days were not looked after; tried again");
        false
    })
}

/// The same on a day that is said, in days since 1970. A day that cannot be made or dropped keeps no other from it.
pub(super) async fn tend_on(client: &mut Object, today: i64) -> Result<bool, StoreError> {
    let there = "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
                 WHERE inhparent = 'journal'::regclass";
    let there = client.query(there, &[]).await.map_err(|error| unavailable(&error))?;
    let there: Vec<Day> = there.iter().filter_map(|row| Day::of_table(row.get(0))).collect();
    let mut is_done = true;
    for day in (today..today + DAYS_AHEAD).map(Day).filter(|day| !there.contains(day)) {
        if let Err(error) = make(client, day).await {
            is_done = false;
            tracing::warn!(
                day = day.0,
                reason = in_words(&error),
                "a day of the journal could not be made; its trees are kept with the rest, in journal_rest"
            );
        }
    }
    // Trees that began just before midnight are still being made.
    for day in there.into_iter().filter(|day| day.0 < today - 1) {
        match drop_if_empty(client, day).await {
            Ok(true) => {
                tracing::info!(day = day.0, "a day of the journal was dropped: nothing was left of it");
            }
            Ok(false) => {}
            Err(error) => {
                is_done = false;
                tracing::info!(
                    day = day.0,
                    reason = in_words(&error),
                    "a day of the journal could not be dropped; tried again"
                );
            }
        }
    }
    Ok(is_done)
}

async fn make(client: &mut Object, day: Day) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    let make = format!(
        "{NO_LONGER}; CREATE TABLE IF NOT EXISTS {} PARTITION OF journal FOR VALUES FROM ('{}') TO ('{}')",
        day.table(),
        day.first_id(),
        day.next().first_id()
    );
    match transaction.batch_execute(&make).await {
        Err(error) if is_done_already(&error) => transaction.rollback().await,
        done => {
            done?;
            transaction.commit().await
        }
    }
}

/// Whether it was dropped: nothing was left of it. There are no records without their tree.
async fn drop_if_empty(client: &mut Object, day: Day) -> Result<bool, Error> {
    let has_trees = "SELECT EXISTS (SELECT FROM trees WHERE root >= $1 AND root < $2)";
    let (from, to) = (day.first_id(), day.next().first_id());
    if client.query_one(has_trees, &[&from, &to]).await?.get(0) {
        return Ok(false);
    }
    let transaction = client.transaction().await?;
    // In the order in which an append locks them. A tree of that day that is just being made is in the default partition then.
    transaction.batch_execute(&format!("{NO_LONGER}; LOCK TABLE journal IN ACCESS EXCLUSIVE MODE")).await?;
    if transaction.query_one(has_trees, &[&from, &to]).await?.get(0) {
        return Ok(false);
    }
    match transaction.batch_execute(&format!("DROP TABLE {}", day.table())).await {
        Err(error) if is_done_already(&error) => return Ok(false),
        dropped => dropped?,
    }
    transaction.commit().await?;
    Ok(true)
}

/// Another broker was faster, or the day is part of what was there before there were days.
fn is_done_already(error: &Error) -> bool {
    let done = [
        SqlState::DUPLICATE_TABLE,
        SqlState::UNIQUE_VIOLATION,
        SqlState::UNDEFINED_TABLE,
        SqlState::INVALID_OBJECT_DEFINITION,
    ];
    error.code().is_some_and(|code| done.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_days_ids_are_those_that_are_made_on_it() {
        let day = Day(20_784);
        assert_eq!(Day::of_table(&day.table()), Some(day));
        assert_eq!(Day::of_table("journal_before"), None);
        let at = |millis: i64| {
            let (seconds, rest) = (millis / 1_000, u32::try_from(millis % 1_000).unwrap() * 1_000_000);
            let stamp = uuid::Timestamp::from_unix(uuid::NoContext, u64::try_from(seconds).unwrap(), rest);
            Uuid::new_v7(stamp)
        };
        let first = day.0 * DAY_MILLIS;
        let is_of_day = |id: Uuid| day.first_id() <= id && id < day.next().first_id();
        assert!(is_of_day(at(first)) && is_of_day(at(first + DAY_MILLIS - 1)));
        assert!(!is_of_day(at(first - 1)) && !is_of_day(at(first + DAY_MILLIS)));
    }
}
