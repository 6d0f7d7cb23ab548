//! The registry: which agents there are, what the operator lets them do, and what their cards say.

mod accept;
mod card;
mod configured;
mod drift;
mod health;
mod name;
mod others;
mod probe;
mod refresh;
mod registration;
mod retry;
mod view;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use broker_core::Timestamp;
use broker_core::audit::{By, Event, Removed};
use capability::{Scope, VerifyKey};
use dashmap::DashMap;
use protocol::v03::read_card;
use protocol::{A2aError, ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

use self::card::Drift;
pub use self::card::{CardDrift, CardOptions};
pub use self::health::Health;
pub(super) use self::health::HealthBook;
pub use self::name::is_agent_name;
pub(super) use self::probe::tend as probe_all;
pub use self::probe::{MAX_PROBE_CHARS, ProbeOptions, Probed};
pub(super) use self::refresh::{Refreshing, tend as refresh_cards};
pub(super) use self::retry::RetryPolicy;
pub use self::retry::{RetryConfig, SkillRetry};
pub use self::view::{AgentView, SkillView};
use super::resolution::{Resolved, Terms, resolve};
use super::{Broker, Caller, audit, card_trust, error};
use crate::ports::agent_auth::AgentAuth;
use crate::ports::clock::Clock;
use crate::ports::downstream::{Discovery, Downstream, Endpoint, FetchedCard, Refetched};
use crate::ports::fetch::{Caching, Validators};
use crate::ports::store::Store;

/// What only an operator may do here.
const CHANGE_REGISTRY: &str = "change the registry";
/// A registration, as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// `[a-z0-9][a-z0-9-]{0,62}`.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]{0,62}$"))]
    pub name: String,
    /// The agent's base URL, or its card's.
    #[schemars(regex(pattern = "^https?://"), extend("format" = "uri"))]
    pub url: String,
    /// `Caps(B)` as canonical texts.
    #[serde(default)]
    pub caps: Vec<String>,
    /// How the broker proves itself to the agent; refers to secrets, holds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AgentAuth>,
    /// Its public key (RFC 7517): its grants are bound to it. Wins over the one in its card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub jwk: Option<serde_json::Value>,
    /// Public keys (RFC 7517) of which one has to have signed its card; with none, nothing has to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub card_keys: Vec<serde_json::Value>,
    /// Most tasks it works on at a time; further ones wait in order. None: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
    /// What is known about trying its tasks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// The broker of [[brokers]] that it is an agent of; its URL is then `{that broker's URL}/agents/NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
}

/// Where a registration comes from. Configuration wins over the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The configuration file.
    Config,
    /// `agent add` or `POST /api/v1/agents`.
    Api,
}

/// A registered agent.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) url: String,
    source: Source,
    caps: Scope,
    pub(super) auth: Option<Arc<AgentAuth>>,
    jwk: Option<serde_json::Value>,
    pub(super) card_keys: Vec<VerifyKey>,
    pub(super) max_concurrent: Option<u32>,
    pub(super) broker: Option<String>,
    retry: Option<RetryConfig>,
    policy: RetryPolicy,
    answers_with_tasks: Option<bool>,
    pub(super) resolved: Option<Resolved>,
    /// What its card is asked for with: names the version that was fetched last.
    validators: Validators,
    drift: Drift,
}

/// A registration as stored.
#[derive(Serialize, Deserialize)]
struct Document {
    url: String,
    source: Source,
    caps: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth: Option<AgentAuth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwk: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    card_keys: Vec<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_concurrent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<RetryConfig>,
    card: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extended: Option<String>,
    fetched: Timestamp,
    answers_with_tasks: Option<bool>,
    #[serde(default)]
    validators: Validators,
    #[serde(default)]
    drift: Drift,
}

pub(super) struct Registry {
    store: Arc<dyn Store>,
    discovery: Arc<dyn Discovery>,
    pub(super) downstream: Arc<dyn Downstream>,
    clock: Arc<dyn Clock>,
    pub(super) cards: CardOptions,
    agents: RwLock<BTreeMap<String, Arc<Agent>>>,
    /// Where agents were reached that are forgotten: tasks they work on go on.
    former: DashMap<String, Endpoint>,
    /// Grows with every change of them.
    changes: AtomicU64,
    /// Held from reading an agent to storing what became of it, so that no change is lost to another.
    pub(super) changing: Mutex<()>,
}

/// The right to change the registry.
pub(super) type Turn<'a> = MutexGuard<'a, ()>;

impl Registry {
    pub(super) fn new(
        store: Arc<dyn Store>,
        discovery: Arc<dyn Discovery>,
        downstream: Arc<dyn Downstream>,
        clock: Arc<dyn Clock>,
        cards: CardOptions,
    ) -> Self {
        let (agents, former, changes, changing) = Default::default();
        Self { store, discovery, downstream, clock, cards, agents, former, changes, changing }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Agent>> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// A number that is another one after every change.
    pub(super) fn version(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn insert(&self, agent: Arc<Agent>) {
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        self.former.remove(&agent.name);
        agents.insert(agent.name.clone(), agent);
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn remove(&self, name: &str) -> bool {
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::Release);
        let removed = agents.remove(name);
        if let Some(known) = removed.as_ref().and_then(|agent| agent.resolved.as_ref()) {
            self.former.insert(name.to_owned(), known.endpoint.clone());
        }
        removed.is_some()
    }

    pub(super) fn all(&self) -> Vec<Arc<Agent>> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The agent with its card, fetched now if it could not be before.
    pub(super) async fn resolved(&self, name: &str) -> Result<Arc<Agent>, A2aError> {
        let agent = self.get(name).ok_or_else(|| error::agent_not_found(name))?;
        if agent.resolved.is_some() {
            return Ok(agent);
        }
        // Boxed, so that whoever asks does not carry along what it takes to fetch a card.
        Box::pin(self.resolve(&agent)).await
    }

    async fn resolve(&self, agent: &Agent) -> Result<Arc<Agent>, A2aError> {
        let card = self.discovery.fetch_card(&agent.url).await;
        let card = card.map_err(|reason| A2aError::new(ErrorKind::Unavailable, reason))?;
        let agent = self.take_in(agent, Refetched::Changed(Box::new(card))).await?;
        Ok(self.with_fresh_extended_card(agent).await)
    }

    /// Where to reach an agent, or a sentence why not.
    pub(super) async fn endpoint(&self, name: &str) -> Result<Endpoint, String> {
        let agent = self.resolved(name).await.map_err(|error| error.message)?;
        let endpoint = agent.resolved.as_ref().map(|resolved| resolved.endpoint.clone());
        endpoint.ok_or_else(|| format!("agent {name} has no card"))
    }

    /// Where an agent is reached, or was when it was forgotten: for what it works on.
    pub(super) async fn endpoint_at_last(&self, name: &str) -> Result<Endpoint, String> {
        let endpoint = self.endpoint(name).await;
        endpoint.or_else(|reason| self.former.get(name).map(|former| former.clone()).ok_or(reason))
    }

    /// Whether every answer of the agent so far was a task, so that no task means no answer.
    pub(super) fn answers_with_tasks(&self, name: &str) -> bool {
        self.get(name).and_then(|agent| agent.answers_with_tasks).unwrap_or(false)
    }

    /// Learns how an agent answers. One direct message is enough to never again conclude from absence.
    pub(super) async fn learn(&self, name: &str, with_task: bool) {
        let is_news = |agent: &Arc<Agent>| {
            let known = agent.answers_with_tasks;
            known != Some(with_task) && known != Some(false)
        };
        if self.get(name).is_none_or(|agent| !is_news(&agent)) {
            return;
        }
        let turn = self.changing.lock().await;
        let Some(agent) = self.get(name).filter(is_news) else { return };
        let learned = Agent { answers_with_tasks: Some(with_task), ..Agent::clone(&agent) };
        if let Err(error) = Box::pin(self.put(learned, None, &turn)).await {
            tracing::warn!(agent = agent.name, %error, "what was learned of an agent is not stored");
        }
    }

    /// Stores an agent, with what the audit log says of it.
    pub(super) async fn put(
        &self,
        agent: Agent,
        event: Option<Event>,
        _turn: &Turn<'_>,
    ) -> Result<Arc<Agent>, A2aError> {
        let document = Document {
            url: agent.url.clone(),
            source: agent.source,
            caps: agent.caps.clone(),
            auth: agent.auth.as_deref().cloned(),
            jwk: agent.jwk.clone(),
            card_keys: agent.card_keys.iter().map(VerifyKey::jwk).collect(),
            extended: agent
                .resolved
                .as_ref()
                .and_then(|resolved| resolved.extended.as_ref())
                .map(|extended| String::from_utf8_lossy(&extended.original).into_owned()),
            card: agent
                .resolved
                .as_ref()
                .map(|resolved| String::from_utf8_lossy(&resolved.original).into_owned()),
            fetched: agent.resolved.as_ref().map_or_else(|| self.clock.now(), |resolved| resolved.fetched),
            answers_with_tasks: agent.answers_with_tasks,
            max_concurrent: agent.max_concurrent,
            broker: agent.broker.clone(),
            retry: agent.retry.clone(),
            validators: agent.validators.clone(),
            drift: agent.drift.clone(),
        };
        let encoded = serde_json::to_vec(&document).map_err(|_| error::internal())?;
        let said = event.map(|event| audit::entry(self.clock.now(), &event)).transpose()?;
        let stored = self.store.put_agent(&agent.name, encoded.into(), said).await;
        stored.map_err(|failure| error::store(&failure))?;
        let agent = Arc::new(agent);
        self.insert(Arc::clone(&agent));
        Ok(agent)
    }
}

impl Broker {
    /// Registers an agent, or replaces its registration. Its card must be there.
    pub async fn register_agent(
        self: &Arc<Self>,
        caller: &Caller,
        mut new: NewAgent,
    ) -> Result<AgentView, A2aError> {
        self.require_operator(caller, CHANGE_REGISTRY)?;
        let caps = check(&new)?;
        let known = self.callers();
        known.check_broker_of(&new).map_err(|problem| error::invalid("broker", &problem))?;
        let confined = new.auth.map(|auth| auth.confined(self.secret_dir.as_deref())).transpose();
        new.auth = confined.map_err(|problem| error::invalid("auth", &problem))?;
        if self.registry.get(&new.name).is_some_and(|agent| agent.source == Source::Config) {
            let message = format!("agent {} comes from the configuration; change it there", new.name);
            return Err(A2aError::new(ErrorKind::UnsupportedOperation, message));
        }
        if !is_web_url(&new.url) {
            return Err(error::invalid(
                "url",
                "expected an http or https URL, such as http://127.0.0.1:9000",
            ));
        }
        let card = self.registry.discovery.fetch_card(&new.url).await;
        let card = card.map_err(|reason| A2aError::new(ErrorKind::BadGateway, reason))?;
        let caching = card.caching.clone();
        let agent = Agent::registered(new, caps, Source::Api).with_card(card, self.clock.now())?;
        let agent = self.registry.with_extended_card(agent).await;
        let event = agent.registration(audit::by(caller));
        let turn = self.registry.changing.lock().await;
        let agent = self.registry.put(agent, Some(event), &turn).await?;
        // It may have a limit since now, and be at work for long.
        if agent.max_concurrent.is_some()
            && let Err(failure) = self.take_up_places().await
        {
            tracing::warn!(agent = agent.name, %failure, "whom it is busy with is not counted");
        }
        self.health.forget(&agent.name);
        self.hooks.forget(&agent.name);
        self.refreshing.fetched(&agent.name, caching.max_age, &*self.clock);
        Ok(self.view(&agent))
    }

    /// All agents, by name.
    pub fn list_agents(&self, _caller: &Caller) -> Vec<AgentView> {
        self.registry.all().iter().map(|agent| self.view(agent)).collect()
    }

    /// One agent.
    pub fn show_agent(&self, _caller: &Caller, name: &str) -> Result<AgentView, A2aError> {
        self.registry.get(name).map(|agent| self.view(&agent)).ok_or_else(|| error::agent_not_found(name))
    }

    /// Forgets an agent. Tasks it works on go on.
    pub async fn remove_agent(&self, caller: &Caller, name: &str) -> Result<(), A2aError> {
        self.require_operator(caller, CHANGE_REGISTRY)?;
        if self.forget(name, audit::by(caller)).await? { Ok(()) } else { Err(error::agent_not_found(name)) }
    }

    /// Whether it was there.
    async fn forget(&self, name: &str, by: By) -> Result<bool, A2aError> {
        let removed = Event::AgentRemoved(Removed { by, agent: name.to_owned() });
        let entry = audit::entry(self.clock.now(), &removed)?;
        let _turn = self.registry.changing.lock().await;
        let known = self.store.remove_agent(name, entry).await.map_err(|failure| error::store(&failure))?;
        Ok(self.forget_here(name) || known)
    }

    /// Whether it was known here.
    fn forget_here(&self, name: &str) -> bool {
        self.health.forget(name);
        self.hooks.forget(name);
        self.forget_metrics(name);
        self.registry.remove(name)
    }
}

fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn check(new: &NewAgent) -> Result<Scope, A2aError> {
    if !is_agent_name(&new.name) {
        let problem = "expected [a-z0-9][a-z0-9-]{0,62}, and none of the broker's own path segments";
        return Err(error::invalid("name", problem));
    }
    if let Some(Err(problem)) = new.auth.as_ref().map(AgentAuth::check) {
        return Err(error::invalid("auth", &problem));
    }
    if let Some(Err(problem)) = new.jwk.as_ref().map(VerifyKey::from_jwk) {
        return Err(error::invalid("jwk", &problem.to_string()));
    }
    card_trust::read_keys(&new.card_keys).map_err(|problem| error::invalid("card_keys", &problem))?;
    Scope::parse(&new.caps).map_err(|problem| error::invalid("caps", &problem.to_string()))
}

impl Agent {
    /// An agent whose card is not known yet.
    fn registered(new: NewAgent, caps: Scope, source: Source) -> Self {
        let NewAgent { name, url, auth, jwk, card_keys, max_concurrent, retry, broker, .. } = new;
        let policy = retry.as_ref().map(RetryPolicy::of).unwrap_or_default();
        let auth = auth.map(Arc::new);
        // `check` has read them.
        let card_keys = card_trust::read_keys(&card_keys).unwrap_or_default();
        Self {
            name,
            url,
            source,
            caps,
            auth,
            jwk,
            card_keys,
            max_concurrent,
            broker,
            retry,
            policy,
            answers_with_tasks: None,
            resolved: None,
            validators: Validators::default(),
            drift: Drift::default(),
        }
    }

    /// The same with what follows from its card.
    fn with_card(mut self, card: FetchedCard, fetched: Timestamp) -> Result<Self, A2aError> {
        self.validators = card.caching.validators.clone();
        self.drift.pending = None;
        let resolved = self.resolve(card, fetched);
        self.use_card(resolved.map_err(|problem| A2aError::new(ErrorKind::InvalidAgentResponse, problem))?);
        Ok(self)
    }

    /// What follows from a card, or a sentence that says what is wrong with it.
    pub(super) fn resolve(&self, card: FetchedCard, fetched: Timestamp) -> Result<Resolved, String> {
        let Self { name, url, caps, auth, card_keys, policy, .. } = self;
        let terms = Terms { name, url, caps, auth: auth.as_ref(), card_keys, retry: policy };
        let mut resolved = resolve(terms, card, fetched).map_err(|error| error.message)?;
        let home =
            self.url.trim_end_matches('/').rsplit_once("/agents/").map(|(broker, _)| broker.to_owned());
        resolved.endpoint.broker = home.filter(|_| self.broker.is_some());
        Ok(resolved)
    }

    pub(super) fn use_card(&mut self, resolved: Resolved) {
        for warning in &resolved.warnings {
            tracing::warn!(agent = self.name, "{warning}");
        }
        self.resolved = Some(resolved);
    }

    /// Thumbprint of the key its grants are bound to: the operator's word, or else its card's.
    pub(super) fn confirmation(&self) -> Option<String> {
        let registered = self.jwk.as_ref().and_then(|jwk| VerifyKey::from_jwk(jwk).ok());
        let declared = || self.resolved.as_ref().and_then(|resolved| resolved.key.clone());
        registered.or_else(declared).map(|key| key.thumbprint())
    }

    /// An agent as it was stored.
    fn restored(name: String, document: Document) -> Result<Self, A2aError> {
        let Document { url, source, caps, auth, jwk, card, extended, fetched, .. } = document;
        // Keys that cannot be read are not none: without them any card would do.
        let card_keys =
            card_trust::read_keys(&document.card_keys).map_err(|damage| error::damaged(&damage))?;
        let mut agent = Self {
            name,
            url,
            source,
            caps,
            auth: auth.map(Arc::new),
            jwk,
            card_keys,
            max_concurrent: document.max_concurrent,
            broker: document.broker,
            policy: document.retry.as_ref().map(RetryPolicy::of).unwrap_or_default(),
            retry: document.retry,
            answers_with_tasks: document.answers_with_tasks,
            resolved: None,
            validators: document.validators,
            drift: document.drift,
        };
        let card = card.and_then(|original| {
            let card = read_card(original.as_bytes()).ok()?;
            let (url, caching) = (agent.url.clone(), Caching::default());
            Some(FetchedCard { card, original: original.into(), url, caching })
        });
        if let Some(resolved) = card.and_then(|card| agent.resolve(card, fetched).ok()) {
            agent.use_card(resolved);
        }
        agent.keep_extended(extended.map(Into::into));
        Ok(agent)
    }
}
