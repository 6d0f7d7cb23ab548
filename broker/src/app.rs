//! The composition root: the only file that names concrete adapters.

mod reload;

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use broker_core::{TaskId, Timestamp};
use tokio::net::TcpListener;

pub use self::reload::{Changes, Fingerprint, Reloading, fingerprint};
use crate::config::secret::SecretRef;
use crate::config::{Config, ConfigError, StoreKind};
use crate::northbound::{Server, Tls, listen};
use crate::open_files;
use crate::ports::clock::Clock;
use crate::ports::fetch::Fetch;
use crate::ports::stages::{ModelEndpoint, Reranker};
use crate::ports::store::{Store, StoreError};
use crate::ports::traces::Traces;
use crate::ranking::{self, LanguageModel, VectorModel};
use crate::service::{Broker, Keep, Parts, Settings, Stages};
use crate::southbound::client::A2aClient;
use crate::southbound::connector::{Resolve, SystemResolver};
use crate::southbound::dialer::Dialer;
use crate::southbound::discovery::CardFetcher;
use crate::southbound::models::Models;
use crate::southbound::otlp::Otlp;
use crate::southbound::peers::HttpPeers;
use crate::southbound::tls;
use crate::southbound::webhook::Webhooks;
use crate::store::archive;
use crate::store::embedded::{EmbeddedStore, Options};
use crate::store::postgres::PostgresStore;

/// Between two attempts to take up what was under way.
const TAKE_UP_PAUSE: Duration = Duration::from_secs(1);
/// Folder of the store, in the data directory.
const STORE_FOLDER: &str = "store";

/// Why the broker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration does not fit.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error("the data directory {directory}: {problem}")]
    Data {
        /// The directory.
        directory: String,
        /// What is wrong.
        problem: String,
    },
    /// The database cannot be used.
    #[error("the database of store.url: {problem}")]
    Database {
        /// What is wrong.
        problem: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another with --listen or server.listen")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// The store takes nothing more until it is opened again.
    #[error(
        "{failure}; the broker stops, since only a store that is opened again can be written to: see to what it says and \
         start it again, what was told is there"
    )]
    StoreFailed {
        /// What happened.
        failure: String,
    },
    /// Something else went wrong at start.
    #[error("{0}")]
    Start(String),
}

/// A broker that is ready to serve.
pub struct App {
    /// The broker.
    pub broker: Arc<Broker>,
    server: Arc<Server>,
    listener: TcpListener,
    tls: Option<Tls>,
    /// What it was started with, and listens on.
    config: Config,
    /// The address that was asked for, which may have left the port open.
    asked: SocketAddr,
    /// Base URL it is reached at.
    pub url: String,
}

impl App {
    /// Opens the store, takes up what was under way, and binds the address.
    pub async fn start(mut config: Config) -> Result<Self, AppError> {
        let address = config.server.listen;
        let listener =
            listen(address).map_err(|error| AppError::Listen { address: address.to_string(), error })?;
        // Port 0 asks for a free one; what is told to others names the one that was given.
        config.server.listen = listener.local_addr().unwrap_or(address);
        let url = config.public_url();

        let store = open_for_good(&config).await?;
        let ca_file = config.southbound.ca_file();
        let tls = tls::client_config("southbound.ca_file", ca_file).map_err(AppError::Start)?;
        let resolver: Arc<dyn Resolve> = Arc::new(SystemResolver);
        let dialer = Arc::new(Dialer::new(config.southbound.dialer_options(), &tls, &resolver));
        let web: Arc<dyn Fetch> = Arc::<Dialer>::clone(&dialer);

        let server_tls = config.tls()?;
        let ranker = ranking::of(&config.selection).map_err(AppError::Start)?;

        let collector = config.traces.collector();
        let traces = collector.map(|to| Otlp::start(Arc::clone(&dialer), &to)).transpose();
        let traces = traces.map_err(AppError::Start)?.map(|otlp| Arc::new(otlp) as Arc<dyn Traces>);

        let parts = Parts {
            store,
            notifier: Arc::new(Webhooks::new(Arc::clone(&dialer), config.push.timeout.0)),
            stages: stages(&config, &dialer).map_err(AppError::Start)?,
            peers: Some(Arc::new(HttpPeers::new(Arc::clone(&dialer)))),
            downstream: Arc::new(A2aClient::new(Arc::clone(&dialer), config.southbound.client_options())),
            discovery: Arc::new(CardFetcher::new(Arc::clone(&web))),
            fetch: web,
            clock: Arc::new(SystemClock),
            weights: ranker.1,
            traces,
            embedder: ranker.0,
        };
        let settings = Settings {
            public_url: url.clone(),
            limits: config.limits(),
            recovery: config.southbound.recovery(),
            admission: config.southbound.admission(config.limits.max_waiting),
            quotas: config.quotas()?,
            keep: Keep {
                idle: config.store.idle_trees,
                finished: config.store.finished_trees,
                finished_bytes: config.store.finished_size.0,
            },
            retention: config.retention(),
            callers: config.callers()?,
            secret_dir: config.southbound.secret_dir().map(Path::to_owned),
            grants: config.grant_options(),
            card_keys: config.card_options(),
            acceptance: config.acceptance.options(),
            refusal_window: config.audit.refusal_window.0,
            push: config.push_options(),
            card_life: config.southbound.cards(),
            probing: config.southbound.probing(),
            selection: config.selection.options(),
        };
        let broker = Broker::new(parts, settings);
        let start = |error: protocol::A2aError| AppError::Start(error.message);
        broker.load_keys().await.map_err(start)?;
        broker.load_push_key().await.map_err(start)?;
        broker.load_usage().await.map_err(start)?;
        broker.load_agents(config.agents()).await.map_err(start)?;
        broker.load_learned().await.map_err(start)?;
        broker.start().await.map_err(start)?;
        if broker.count_beforehand().await.map_err(start)? {
            tokio::spawn(take_up_meanwhile(Arc::clone(&broker)));
        } else {
            take_up(&broker).await.map_err(start)?;
        }
        let mut options = config.server_options();
        options.max_connections = open_files::connections(options.max_connections);
        let server = Server::new(Arc::clone(&broker), options, server_tls.clone());
        server.show_configuration(config.to_json());
        Ok(Self { broker, server, listener, tls: server_tls, config, asked: address, url })
    }

    /// Serves until `shutdown`, or until the store fails for good.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        tokio::select! {
            () = self.server.run(self.listener, shutdown) => {}
            failure = self.broker.until_store_failed() => return Err(AppError::StoreFailed { failure }),
        }
        self.broker.close().await;
        Ok(())
    }
}

/// The models behind endpoints that the configuration names.
fn stages(config: &Config, dialer: &Arc<Dialer>) -> Result<Stages, String> {
    let endpoint = |url: &str, key: Option<SecretRef>| -> Arc<dyn ModelEndpoint> {
        Arc::new(Models::new(Arc::clone(dialer), url, key))
    };
    let asked = &config.selection.reranker;
    let reranker = asked.is_on().then(|| {
        let endpoint = endpoint(&asked.url, asked.key());
        Arc::new(LanguageModel::new(endpoint, asked.model.clone(), asked.bounds())) as Arc<dyn Reranker>
    });
    let asked = &config.selection.embeddings;
    if !asked.is_on() {
        return Ok(Stages { reranker, embeddings: None });
    }
    let length = (asked.dimensions, asked.shorten);
    let endpoint = endpoint(&asked.url, asked.key());
    let vectors = VectorModel::new(endpoint, asked.model.clone(), length, asked.bounds());
    let weights = ranking::weights_of_models().map_err(|damage| damage.to_string())?;
    Ok(Stages { reranker, embeddings: Some((Arc::new(vectors), weights)) })
}

/// Takes up what was under way.
async fn take_up(broker: &Arc<Broker>) -> Result<(), protocol::A2aError> {
    let resumed = broker.take_up_all().await?;
    if resumed > 0 {
        tracing::info!(resumed, "open trees were taken up again");
    }
    Ok(())
}

/// The same while callers are served, again as long as the store does not let it.
async fn take_up_meanwhile(broker: Arc<Broker>) {
    while let Err(failure) = take_up(&broker).await {
        tracing::error!(reason = failure.message, "open trees could not be taken up; tried again");
        tokio::time::sleep(TAKE_UP_PAUSE).await;
    }
}

/// Opens the store a broker works with.
async fn open_for_good(config: &Config) -> Result<Arc<dyn Store>, AppError> {
    match config.store.kind() {
        StoreKind::Embedded(data, options) => {
            let directory = data.display().to_string();
            let bad_data = |problem: String| AppError::Data { directory, problem };
            let folder = data.join(STORE_FOLDER);
            let opened = make_private(&folder).map_err(|error| error.to_string());
            let opened = opened
                .and_then(|()| EmbeddedStore::open(&folder, options).map_err(|failure| failure.to_string()));
            opened.map(|store| Arc::new(store) as _).map_err(bad_data)
        }
        StoreKind::Postgres(url, options) => {
            let tls = tls::client_config("store.ca_file", config.store.ca_file()).map_err(AppError::Start)?;
            let peer =
                config.cluster.peer(uuid::Uuid::now_v7(), config.server.listen, config.server.tls.is_on());
            let opened = PostgresStore::open(url, tls, options, peer).await;
            let failed = |failure: StoreError| AppError::Database { problem: failure.to_string() };
            opened.map(|store| Arc::new(store) as _).map_err(failed)
        }
    }
}

/// Opens the store of a data directory that no broker has open.
pub(crate) fn open_store(data: &Path) -> Result<Arc<dyn Store>, String> {
    let directory = data.join(STORE_FOLDER);
    if !directory.is_dir() {
        return Err(format!("{} is no data directory of a broker (see store.data)", data.display()));
    }
    let store = EmbeddedStore::open(&directory, Options::default()).map_err(|failure| failure.to_string())?;
    Ok(Arc::new(store))
}

/// Makes the store of a data directory from a backup; how many entries it has.
pub(crate) fn restore_store(from: impl Read, data: &Path) -> Result<u64, String> {
    let folder = data.join(STORE_FOLDER);
    if !folder.exists() {
        make_private(data).map_err(|error| format!("{}: {error}", data.display()))?;
    }
    EmbeddedStore::restore(from, &folder).map_err(|error| error.to_string())
}

/// Whether a file is a whole backup.
pub(crate) fn check_backup(file: impl Read) -> Result<u64, String> {
    archive::check(std::io::BufReader::new(file)).map_err(|error| error.to_string())
}

/// Makes a folder for its owner only: the store holds the keys grants are signed with.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// The machine's clock.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn new_task_id(&self) -> TaskId {
        TaskId(uuid::Uuid::now_v7())
    }

    fn new_secret(&self) -> Result<[u8; 32], String> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| format!("no random numbers: {error}"))?;
        Ok(secret)
    }
}
