//! The tables, made and changed step by step. Several brokers may start at once: the first makes them, the others wait
//! for it, and find them made.

use tokio_postgres::Client;

use super::failure::at_start;
use crate::ports::store::StoreError;

/// Each step in order; what was once released is never changed.
const STEPS: [&str; 3] = [
    include_str!("migrations/0001_tables.sql"),
    include_str!("migrations/0002_usage.sql"),
    include_str!("migrations/0003_days.sql"),
];
/// What brokers that start at once wait for: "bailiwik" in bytes.
const LOCK: i64 = 0x6261_696c_6977_696b;

/// Brings the tables to what this version needs.
pub(super) async fn run(client: &Client) -> Result<(), StoreError> {
    let begin = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); CREATE TABLE IF NOT EXISTS migrations (step integer PRIMARY KEY, \
         at timestamptz NOT NULL DEFAULT now())"
    );
    client.batch_execute(&begin).await.map_err(|error| at_start(&error))?;
    let done = take_steps(client).await;
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await.map_err(|error| at_start(&error))?;
    done
}

async fn take_steps(client: &Client) -> Result<(), StoreError> {
    let last = client.query_one("SELECT coalesce(max(step), 0) FROM migrations", &[]).await;
    let last: i32 = last.map_err(|error| at_start(&error))?.get(0);
    let known = i32::try_from(STEPS.len()).unwrap_or(i32::MAX);
    if last > known {
        return Err(StoreError::Engine(format!(
            "the database is at step {last} of its tables, and this version knows {known}; start the version that made \
             them, or a later one"
        )));
    }
    for (step, statements) in (1..).zip(STEPS).filter(|(step, _)| *step > last) {
        tracing::info!(step, "the tables are brought up to date");
        client.batch_execute(statements).await.map_err(|error| at_start(&error))?;
        let noted = client.execute("INSERT INTO migrations (step) VALUES ($1)", &[&step]).await;
        noted.map_err(|error| at_start(&error))?;
    }
    Ok(())
}
