//! The broker's operations: each asks the core what should happen and makes it happen through the ports.
//! Northbound adapters call it; it knows nothing of HTTP, and of storage and agents only their ports.

mod acceptance;
mod accounts;
mod admission;
mod agents;
mod alarms;
mod audit;
mod backup;
mod begun;
mod caller;
mod card_trust;
mod cards;
mod condition;
mod conversation;
mod driver;
mod error;
mod escalation;
mod extended_cards;
mod fallback;
mod federation;
mod feed;
mod grants;
mod last_told;
mod listeners;
mod metrics;
mod modes;
mod overview;
mod peers;
mod push;
mod quotas;
mod reconfigure;
mod refusals;
mod resolution;
mod retention;
#[cfg(test)]
mod sample;
mod selection;
mod send;
mod signing_keys;
mod stream;
mod taken_up;
mod task_pages;
mod tasks;
mod timers;
mod traces;
mod trees;

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use broker_core::delegation::input::AttemptId;
use broker_core::{Limits, Timestamp};
use broker_selection::{Embedder, Weights};
use dashmap::DashSet;
use futures_util::FutureExt;

pub use self::acceptance::AcceptanceOptions;
use self::acceptance::Checks;
pub use self::accounts::Accounts;
pub use self::admission::AdmissionOptions;
use self::admission::Places;
pub use self::agents::{
    AgentView, CardDrift, CardOptions, Health, MAX_PROBE_CHARS, NewAgent, ProbeOptions, Probed, RetryConfig,
    SkillRetry, SkillView, Source, is_agent_name,
};
use self::agents::{HealthBook, Refreshing, Registry};
use self::audit::Audit;
pub use self::audit::AuditPage;
use self::caller::Callers;
pub(crate) use self::caller::check_broker_of;
pub use self::caller::{
    Algorithm, Caller, CallerSettings, CertificateName, ClientCertificate, Credential, ForeignBrokerSettings,
    IssuerSettings, Principal, Principals, Proof, Role,
};
pub(crate) use self::card_trust::read_keys as read_card_keys;
pub use self::cards::CARD_JWKS_PATH;
use self::cards::CardKeys;
pub use self::cards::{CardDocument, OfferedSkill};
pub use self::condition::Condition;
use self::conversation::Conversations;
pub use self::error::{CREDENTIAL_INVALID, DOMAIN};
pub use self::escalation::Approval;
use self::feed::Feed;
pub use self::feed::{Happening, News, NewsStream};
use self::grants::Grants;
pub use self::grants::{Issued, OAuthCode, OAuthError, SentProof, TokenRequest};
pub use self::metrics::METRICS_MEDIA_TYPE;
use self::metrics::Metrics;
pub use self::overview::{Introduction, LogPage, OPEN_TREES, TreesPage, TreesWanted};
pub(crate) use self::peers::{Elsewhere, NotHandedOn, Piece, Pieces, locating};
use self::push::Outbox;
use self::push::hooks::Hooks;
pub use self::push::{DeadLetter, PushOptions};
use self::quotas::Quotas;
pub use self::quotas::{Kind as QuotaKind, QuotaTable, QuotaView};
pub use self::reconfigure::Reconfiguration;
pub use self::refusals::{Refusal, RefusalsPage};
pub use self::retention::{Retention, Swept};
use self::selection::Selection;
pub use self::selection::{AdviceWanted, RerankOptions, Selected, SelectionOptions, Stages};
pub use self::send::ServiceParameters;
pub use self::signing_keys::{KeyOptions, KeyView};
pub use self::stream::{StreamItem, TaskStream};
use self::taken_up::TakenUp;
pub use self::task_pages::{TaskLine, TasksPage, TasksWanted};
use tokio::sync::Semaphore;

use self::timers::Timers;
pub use self::trees::Keep;
use self::trees::Trees;
use crate::ports::clock::Clock;
use crate::ports::downstream::{Discovery, Downstream};
use crate::ports::fetch::Fetch;
use crate::ports::notifier::Notifier;
use crate::ports::peers::Peers;
use crate::ports::store::Store;
use crate::ports::traces::Traces;

/// Longest wait for the store at the end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Whom a request is addressed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The broker's own agent: choose one.
    Any,
    /// This agent.
    Agent(String),
}

/// What the broker is made of.
pub struct Parts {
    /// Durable memory.
    pub store: Arc<dyn Store>,
    /// The client side of A2A.
    pub downstream: Arc<dyn Downstream>,
    /// Finds agents' cards.
    pub discovery: Arc<dyn Discovery>,
    /// Fetches the keys of issuers.
    pub fetch: Arc<dyn Fetch>,
    /// Posts events to receivers.
    pub notifier: Arc<dyn Notifier>,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// Turns texts into vectors, for choosing delegates.
    pub embedder: Arc<dyn Embedder>,
    /// The ranker's weights, for these vectors.
    pub weights: Weights,
    /// Where spans go, if anywhere.
    pub traces: Option<Arc<dyn Traces>>,
    /// Models behind endpoints that help to choose.
    pub stages: Stages,
    /// The way to the other brokers of the same store, if there can be any.
    pub peers: Option<Arc<dyn Peers>>,
}

/// How the broker behaves.
pub struct Settings {
    /// Base URL callers and agents reach the broker at; also the issuer of its grants.
    pub public_url: String,
    /// Bounds on trees and time.
    pub limits: Limits,
    /// Bounds on recovering conversations.
    pub recovery: Recovery,
    /// Bounds on what agents are sent.
    pub admission: AdmissionOptions,
    /// Who may use how much.
    pub quotas: QuotaTable,
    /// Finished trees kept in memory.
    pub keep: Keep,
    /// For how long what is over is kept.
    pub retention: Retention,
    /// Who may call.
    pub callers: CallerSettings,
    /// Where files must be that a registration names as secrets; none, and it may name no file.
    pub secret_dir: Option<PathBuf>,
    /// How grants are signed.
    pub grants: KeyOptions,
    /// How cards are signed.
    pub card_keys: KeyOptions,
    /// Refusals alike within this long of the first are counted in the audit log; zero: each is recorded.
    pub refusal_window: Duration,
    /// How events are pushed.
    pub push: PushOptions,
    /// How agents' cards are kept fresh.
    pub card_life: CardOptions,
    /// How agents are probed.
    pub probing: ProbeOptions,
    /// How delegates are chosen.
    pub selection: SelectionOptions,
    /// How results are checked.
    pub acceptance: AcceptanceOptions,
}

/// How agents that went quiet are asked.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// Between two questions, and between two polls of an agent that does not stream.
    pub ask_every: Duration,
    /// Without any answer for this long, the outcome is unknown.
    pub give_up: Duration,
    /// An agent that keeps saying it does not have a task is believed after this long.
    pub absent_after: Duration,
    /// Agents that offer to push instead of streaming are asked to.
    pub push: bool,
    /// Between two polls of an agent that pushes.
    pub backstop: Duration,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            ask_every: Duration::from_millis(500),
            give_up: Duration::from_mins(1),
            absent_after: Duration::from_secs(3),
            push: true,
            backstop: Duration::from_secs(30),
        }
    }
}

/// The delegation broker.
pub struct Broker {
    store: Arc<dyn Store>,
    downstream: Arc<dyn Downstream>,
    clock: Arc<dyn Clock>,
    started: Timestamp,
    limits: RwLock<Limits>,
    recovery: Recovery,
    public_url: String,
    callers: RwLock<Arc<Callers>>,
    fetch: Arc<dyn Fetch>,
    secret_dir: Option<PathBuf>,
    grants: Grants,
    card_keys: CardKeys,
    audit: Audit,
    registry: Registry,
    refreshing: Refreshing,
    health: HealthBook,
    probing: ProbeOptions,
    trees: Trees,
    feed: Feed,
    retention: Retention,
    timers: Timers,
    conversations: Conversations,
    /// Attempts whose broker is being told that their grants are dead.
    telling: DashSet<AttemptId>,
    places: Places,
    quotas: Arc<Quotas>,
    taken_up: TakenUp,
    outbox: Outbox,
    hooks: Hooks,
    selection: Selection,
    checks: Checks,
    metrics: Metrics,
    /// One backup at a time: each keeps what it reads from being tidied away.
    backups: Arc<Semaphore>,
    traces: Option<Arc<dyn Traces>>,
    peers: Option<Arc<dyn Peers>>,
}

impl Broker {
    /// A broker over its parts; [`Self::start`] and [`Self::take_up_all`] take up what was under way.
    pub fn new(parts: Parts, settings: Settings) -> Arc<Self> {
        let Parts { store, downstream, discovery, fetch, notifier, clock, .. } = parts;
        let Parts { embedder, weights, stages, traces, peers, .. } = parts;
        let callers = Callers::new(settings.callers, None, &fetch, &clock);
        Arc::new(Self {
            trees: Trees::new(Arc::clone(&store), settings.keep),
            registry: Registry::new(
                Arc::clone(&store),
                discovery,
                Arc::clone(&downstream),
                Arc::clone(&clock),
                settings.card_life,
            ),
            card_keys: CardKeys::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                &settings.public_url,
                settings.card_keys,
            ),
            refreshing: Refreshing::new(settings.card_life),
            health: HealthBook::default(),
            probing: settings.probing,
            grants: Grants::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                settings.public_url.clone(),
                settings.grants,
            ),
            retention: settings.retention,
            audit: Audit::new(Arc::clone(&store), settings.refusal_window),
            feed: Feed::default(),
            timers: Timers::default(),
            conversations: Conversations::default(),
            telling: DashSet::new(),
            places: Places::new(settings.admission),
            quotas: Arc::new(Quotas::new(settings.quotas)),
            taken_up: TakenUp::default(),
            outbox: Outbox::new(settings.push, notifier),
            hooks: Hooks::default(),
            selection: Selection::new(settings.selection, (embedder, weights), stages),
            checks: Checks::new(settings.acceptance),
            metrics: Metrics::new(),
            backups: Arc::new(Semaphore::new(1)),
            traces,
            peers,
            limits: RwLock::new(settings.limits),
            recovery: settings.recovery,
            public_url: settings.public_url,
            callers: RwLock::new(Arc::new(callers)),
            fetch,
            secret_dir: settings.secret_dir,
            started: clock.now(),
            store,
            downstream,
            clock,
        })
    }

    /// Begins with what goes on by itself. Call once, after the agents of the configuration are registered;
    /// [`Self::take_up_all`] comes next.
    pub async fn start(self: &Arc<Self>) -> Result<(), protocol::A2aError> {
        self.taken_up.begin();
        tokio::spawn(timers::run(Arc::downgrade(self)));
        tokio::spawn(conversation::wake_parked(Arc::downgrade(self)));
        tokio::spawn(trees::keep_few(Arc::downgrade(self)));
        tokio::spawn(audit::run(Arc::downgrade(self)));
        tokio::spawn(signing_keys::tend(Arc::downgrade(self)));
        tokio::spawn(retention::run(Arc::downgrade(self)));
        tokio::spawn(agents::refresh_cards(Arc::downgrade(self)));
        tokio::spawn(agents::probe_all(Arc::downgrade(self)));
        tokio::spawn(selection::keep_what_is_learned(Arc::downgrade(self)));
        tokio::spawn(selection::keep_vectors(Arc::downgrade(self)));
        tokio::spawn(quotas::keep_usage(Arc::downgrade(self)));
        if self.store.is_shared() {
            tokio::spawn(peers::run(Arc::downgrade(self)));
            tokio::spawn(peers::heed(Arc::downgrade(self)));
            self.adopt().await?;
            // Only now, when it is known whose trees are whose: its former start's are counted as its own.
            self.exchange_usage().await?;
        }
        self.resume_pushes().await?;
        self.take_up_places().await
    }

    /// Writes down what was only counted so far, and waits until all that the store was given is durable. Call at the
    /// end.
    pub async fn close(&self) {
        // What agents say from here on is for nobody to record; who goes on with their tasks asks them.
        self.conversations.stop_all();
        self.settle_audit();
        self.keep_usage().await;
        // Who reads the log waits for what is ahead in the queue.
        let written = tokio::time::timeout(CLOSE_PATIENCE, self.store.audit_log(u64::MAX, 0)).await;
        if !matches!(written, Ok(Ok(_))) {
            tracing::error!(
                "the store did not answer at the end; what nobody was told of may be missing in it"
            );
        }
        self.store.leave().await;
        if let Some(traces) = self.traces.clone() {
            // The SDK waits for the collector.
            let _ = tokio::task::spawn_blocking(move || traces.close()).await;
        }
    }

    /// The base URL callers and agents reach the broker at.
    pub fn base_url(&self) -> &str {
        &self.public_url
    }

    /// Whether other brokers may drive trees of the same store.
    pub(crate) fn is_one_of_many(&self) -> bool {
        self.store.is_shared()
    }

    /// Whether the store answers, and can still be written to.
    pub async fn ready(&self) -> Result<(), String> {
        if let Some(failure) = self.store.until_failed().now_or_never() {
            return Err(failure);
        }
        self.store.open_trees(None, 1).await.map(drop).map_err(|failure| failure.to_string())
    }

    /// Resolves when the store can be written to no more until it is opened again, with the reason.
    pub async fn until_store_failed(&self) -> String {
        self.store.until_failed().await
    }
}
