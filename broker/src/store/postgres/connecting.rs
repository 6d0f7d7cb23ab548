//! Connections: where they go, under TLS where the database has it, and how many there are at most.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::unavailable;
use crate::ports::store::StoreError;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// Longest wait for a new connection, where the URL names no `connect_timeout`.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for a connection that somebody else uses.
const WAIT: Duration = Duration::from_secs(10);
/// After so long without an answer to what was sent, a connection is given up, where the URL names no `tcp_user_timeout`.
const SILENCE: Duration = Duration::from_secs(10);
/// Between two signs of life on an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// What a URL of a database says.
pub fn parse(url: &str) -> Result<Config, String> {
    // Nothing of it is repeated where it is something else: what looks like an option may be a password.
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err("expected a URL like postgres://user@host/database".to_owned());
    }
    let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        let reason = super::failure::in_words(&error);
        format!("expected a URL like postgres://user@host/database: {reason}")
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
    }
    if config.get_application_name().is_none() {
        config.application_name("bailiwick");
    }
    config.keepalives_idle(KEEPALIVE);
    Ok(config)
}

/// Connections that are made when they are needed.
pub(super) fn pool(config: Config, tls: MakeRustlsConnect, connections: usize) -> Result<Pool, StoreError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, tls, recycling);
    // One more: the committer keeps its own.
    let timeouts = Timeouts { wait: Some(WAIT), create: Some(CONNECT * 2), recycle: Some(CONNECT) };
    let pool = Pool::builder(manager).max_size(connections + 1).timeouts(timeouts).runtime(Runtime::Tokio1);
    pool.build().map_err(|error| StoreError::Engine(error.to_string()))
}

/// A number of this broker's own among those that are there: its connection's number in the server.
pub(super) async fn slot(client: &Client) -> Result<i32, StoreError> {
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await.map_err(|error| unavailable(&error))?;
    Ok(row.get::<_, i32>(0) % SLOTS)
}

/// Rows of one total at most, one for each committer; two that share one wait for each other.
const SLOTS: i32 = 32;
