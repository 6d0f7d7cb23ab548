//! Places where a store can be opened, closed and opened again: one of each engine, so that a test of what every store
//! promises is put to all of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker::ports::store::Store;
use broker::store::embedded::{EmbeddedStore, Options};
use broker::store::postgres::{self, Peer, PostgresStore};
use private_postgres::Server;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// Connections of a store in a test.
const CONNECTIONS: usize = 4;
/// Trees taken over at a time.
const ADOPTED: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// A place of one engine.
pub(crate) enum Place {
    /// For the embedded store; what is left of it goes with its keeper.
    Folder(PathBuf, #[allow(dead_code, reason = "it goes with the place")] Option<TempDir>),
    /// For PostgreSQL: the URL of a schema of its own.
    Schema(String),
}

impl Place {
    pub(crate) fn folder() -> Self {
        let folder = TempDir::new().unwrap();
        Self::Folder(folder.path().to_owned(), Some(folder))
    }

    /// A schema of the shared server; said aloud if the machine has none.
    pub(crate) async fn schema() -> Option<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
        let server = match server {
            Ok(server) => server,
            Err(missing) => {
                println!("skipped: PostgreSQL: {missing}");
                return None;
            }
        };
        let name = format!("s{}", MADE.fetch_add(1, Ordering::Relaxed));
        let url = server.url("postgres");
        statement(&url, &format!("CREATE SCHEMA {name}")).await;
        Some(Self::Schema(format!("{url}?application_name={name}&options=-c%20search_path%3D{name}")))
    }

    /// The place another process has named.
    pub(crate) fn named(name: &str) -> Self {
        if name.starts_with("postgres://") {
            Self::Schema(name.to_owned())
        } else {
            Self::Folder(PathBuf::from(name), None)
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Folder(folder, _) => folder.to_str().unwrap(),
            Self::Schema(url) => url,
        }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        self.open_with(Options::default()).await
    }

    pub(crate) async fn open_with(&self, options: Options) -> Arc<dyn Store> {
        match self {
            Self::Folder(folder, _) => Arc::new(EmbeddedStore::open(folder, options).unwrap()),
            Self::Schema(url) => {
                let Options { queue, batch, .. } = options;
                let options = postgres::Options { queue, batch, connections: CONNECTIONS };
                let store = PostgresStore::open(url, no_roots(), options, peer()).await.unwrap();
                // As a broker that starts does.
                while !store.adopt(ADOPTED).await.unwrap().is_empty() {}
                Arc::new(store)
            }
        }
    }

    /// Waits until nobody is at work there any more, whose process was killed.
    pub(crate) async fn settle(&self) {
        let Self::Schema(url) = self else { return };
        let (server, rest) = url.split_once("?application_name=").unwrap();
        let name = rest.split('&').next().unwrap();
        let others = format!("SELECT pid FROM pg_stat_activity WHERE application_name = '{name}'");
        while statement(server, &others).await > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Runs a statement; how many rows there were.
async fn statement(url: &str, text: &str) -> usize {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let rows = client.query(text, &[]).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    rows.len()
}

/// Each time another broker, at the same address: the one before is gone.
fn peer() -> Peer {
    Peer { id: uuid::Uuid::now_v7(), url: "http://broker.test".to_owned(), lease: Duration::from_mins(1) }
}

/// A place of every engine.
pub(crate) async fn places() -> Vec<Place> {
    let schema = Place::schema().await;
    std::iter::once(Place::folder()).chain(schema).collect()
}

/// Nobody to be believed: the server of the tests speaks in clear text.
pub(crate) fn no_roots() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    versions.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}
