//! The registry: which agents there are, what the operator lets them do, and what their cards say.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use broker_core::Timestamp;
use broker_core::audit::{By, Event, Registered, Removed};
use capability::{Scope, VerifyKey};
use protocol::v03::read_card;
use protocol::{A2aError, AgentCard, ErrorKind};
use serde::{Deserialize, Serialize};

use super::resolution::{Resolved, Terms, resolve};
use super::{Broker, Caller, audit, card_trust, error};
use crate::ports::agent_auth::AgentAuth;
use crate::ports::clock::Clock;
use crate::ports::downstream::{Discovery, Downstream, Endpoint, FetchedCard};
use crate::ports::store::Store;

/// Longest name of an agent.
const MAX_NAME_CHARS: usize = 63;
/// What only an operator may do here.
const CHANGE_REGISTRY: &str = "change the registry";
/// First path segments the broker serves itself, which therefore name no agent.
const RESERVED_NAMES: [&str; 15] = [
    "agents",
    "api",
    "console",
    "extendedagentcard",
    "healthz",
    "introspect",
    "mcp",
    "message",
    "metrics",
    "push",
    "readyz",
    "revoke",
    "tasks",
    "token",
    "v1",
];

/// A registration, as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// `[a-z0-9][a-z0-9-]{0,62}`.
    pub name: String,
    /// The agent's base URL, or its card's.
    pub url: String,
    /// `Caps(B)` as canonical texts.
    #[serde(default)]
    pub caps: Vec<String>,
    /// How the broker proves itself to the agent; refers to secrets, holds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AgentAuth>,
    /// Its public key (RFC 7517): its grants are bound to it. Wins over the one in its card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwk: Option<serde_json::Value>,
    /// Public keys (RFC 7517) of which one has to have signed its card; with none, nothing has to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub card_keys: Vec<serde_json::Value>,
}

/// An agent, as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentView {
    /// Registered name.
    pub name: String,
    /// Registered URL.
    pub url: String,
    /// `Caps(B)` as canonical texts, lowered by the card.
    pub caps: Vec<String>,
    /// Where the registration comes from.
    pub source: Source,
    /// What the card says; absent while it could not be fetched.
    pub description: Option<String>,
    /// The agent's own version.
    pub version: Option<String>,
    /// Its skills.
    pub skills: Vec<SkillView>,
    /// Whether it streams.
    pub streaming: bool,
    /// Of which kind the broker's credential for it is, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// What will probably not work, or not be safe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Thumbprint of the key its grants are bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether its card is signed, and by whom; absent while there is no card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A skill, as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SkillView {
    /// The skill's id.
    pub id: String,
    /// For people.
    pub name: String,
}

/// Where a registration comes from. Configuration wins over the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    answers_with_tasks: Option<bool>,
    pub(super) resolved: Option<Resolved>,
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
    card: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extended: Option<String>,
    fetched: Timestamp,
    answers_with_tasks: Option<bool>,
}

pub(super) struct Registry {
    store: Arc<dyn Store>,
    discovery: Arc<dyn Discovery>,
    pub(super) downstream: Arc<dyn Downstream>,
    clock: Arc<dyn Clock>,
    agents: RwLock<BTreeMap<String, Arc<Agent>>>,
}

/// Whether a name can be an agent's.
pub fn is_agent_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME_CHARS).contains(&name.len())
        && name.bytes().all(fits)
        && !name.starts_with('-')
        && !RESERVED_NAMES.contains(&name)
}

impl Registry {
    pub(super) fn new(
        store: Arc<dyn Store>,
        discovery: Arc<dyn Discovery>,
        downstream: Arc<dyn Downstream>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, discovery, downstream, clock, agents: RwLock::default() }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Agent>> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
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
        let card = self.discovery.fetch_card(&agent.url).await;
        let card = card.map_err(|reason| A2aError::new(ErrorKind::Unavailable, reason))?;
        let agent = Agent::clone(&agent).with_card(card, self.clock.now())?;
        self.put(self.with_extended_card(agent).await, None).await
    }

    /// Where to reach an agent, or a sentence why not.
    pub(super) async fn endpoint(&self, name: &str) -> Result<Endpoint, String> {
        let agent = self.resolved(name).await.map_err(|error| error.message)?;
        let endpoint = agent.resolved.as_ref().map(|resolved| resolved.endpoint.clone());
        endpoint.ok_or_else(|| format!("agent {name} has no card"))
    }

    /// Whether every answer of the agent so far was a task, so that no task means no answer.
    pub(super) fn answers_with_tasks(&self, name: &str) -> bool {
        self.get(name).and_then(|agent| agent.answers_with_tasks).unwrap_or(false)
    }

    /// Learns how an agent answers. One direct message is enough to never again conclude from absence.
    pub(super) async fn learn(&self, name: &str, with_task: bool) {
        let Some(agent) = self.get(name) else { return };
        let known = agent.answers_with_tasks;
        if known == Some(with_task) || known == Some(false) {
            return;
        }
        let learned = Agent { answers_with_tasks: Some(with_task), ..Agent::clone(&agent) };
        if let Err(error) = self.put(learned, None).await {
            tracing::warn!(agent = agent.name, %error, "what was learned of an agent is not stored");
        }
    }

    /// Stores an agent; with who registered it, where that is news for the audit log.
    async fn put(&self, agent: Agent, registered_by: Option<By>) -> Result<Arc<Agent>, A2aError> {
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
        };
        let encoded = serde_json::to_vec(&document).map_err(|_| error::internal())?;
        let registered = registered_by.map(|by| audit::entry(self.clock.now(), &agent.registration(by)));
        let stored = self.store.put_agent(&agent.name, encoded.into(), registered.transpose()?).await;
        stored.map_err(|failure| error::store(&failure))?;
        let agent = Arc::new(agent);
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        agents.insert(agent.name.clone(), Arc::clone(&agent));
        Ok(agent)
    }
}

impl Broker {
    /// Brings back stored registrations, then those of the configuration, which win. Call once, before
    /// [`Self::resume`]. An agent that does not answer yet is asked for its card when it is needed.
    pub async fn load_agents(&self, configured: Vec<NewAgent>) -> Result<(), A2aError> {
        let stored = self.store.agents().await.map_err(|failure| error::store(&failure))?;
        for (name, bytes) in stored {
            let document: Document =
                serde_json::from_slice(&bytes).map_err(|damage| error::damaged(&damage))?;
            let still_configured = configured.iter().any(|agent| agent.name == name);
            if document.source == Source::Config && !still_configured {
                self.forget(&name, By::Configuration).await?;
                continue;
            }
            let agent = Agent::restored(name, document)?;
            let mut agents = self.registry.agents.write().unwrap_or_else(PoisonError::into_inner);
            agents.insert(agent.name.clone(), Arc::new(agent));
        }
        for new in configured {
            self.configure_agent(new).await?;
        }
        Ok(())
    }

    async fn configure_agent(&self, new: NewAgent) -> Result<(), A2aError> {
        let caps = check(&new)?;
        let before = self.registry.get(&new.name).filter(|agent| agent.url == new.url);
        let is_news =
            before.as_ref().is_none_or(|agent| agent.caps != caps || agent.source != Source::Config);
        let answers_with_tasks = before.and_then(|agent| agent.answers_with_tasks);
        let mut agent = Agent { answers_with_tasks, ..Agent::registered(new, caps, Source::Config) };
        match self.registry.discovery.fetch_card(&agent.url).await {
            Ok(card) => {
                let known = agent.with_card(card, self.clock.now())?;
                agent = self.registry.with_extended_card(known).await;
            }
            Err(reason) => {
                tracing::warn!(
                    agent = agent.name,
                    reason,
                    "the agent's card will be fetched when it is needed"
                );
            }
        }
        self.registry.put(agent, is_news.then_some(By::Configuration)).await.map(drop)
    }

    /// Registers an agent, or replaces its registration. Its card must be there.
    pub async fn register_agent(&self, caller: &Caller, mut new: NewAgent) -> Result<AgentView, A2aError> {
        self.require_operator(caller, CHANGE_REGISTRY)?;
        let caps = check(&new)?;
        let confined = new.auth.map(|auth| auth.confined(self.secret_dir.as_deref())).transpose();
        new.auth = confined.map_err(|problem| error::invalid("auth", &problem))?;
        if self.registry.get(&new.name).is_some_and(|agent| agent.source == Source::Config) {
            let message = format!("agent {} comes from the configuration; change it there", new.name);
            return Err(A2aError::new(ErrorKind::UnsupportedOperation, message));
        }
        let card = self.registry.discovery.fetch_card(&new.url).await;
        let card = card.map_err(|reason| A2aError::new(ErrorKind::BadGateway, reason))?;
        let agent = Agent::registered(new, caps, Source::Api).with_card(card, self.clock.now())?;
        let agent = self.registry.with_extended_card(agent).await;
        Ok(view(&*self.registry.put(agent, Some(audit::by(caller))).await?))
    }

    /// All agents, by name.
    pub fn list_agents(&self, _caller: &Caller) -> Vec<AgentView> {
        self.registry.all().iter().map(|agent| view(agent)).collect()
    }

    /// One agent.
    pub fn show_agent(&self, _caller: &Caller, name: &str) -> Result<AgentView, A2aError> {
        self.registry.get(name).map(|agent| view(&agent)).ok_or_else(|| error::agent_not_found(name))
    }

    /// Forgets an agent. Tasks it works on go on.
    pub async fn remove_agent(&self, caller: &Caller, name: &str) -> Result<(), A2aError> {
        self.require_operator(caller, CHANGE_REGISTRY)?;
        let known = self.forget(name, audit::by(caller)).await?;
        let mut agents = self.registry.agents.write().unwrap_or_else(PoisonError::into_inner);
        let held = agents.remove(name).is_some();
        if known || held { Ok(()) } else { Err(error::agent_not_found(name)) }
    }

    async fn forget(&self, name: &str, by: By) -> Result<bool, A2aError> {
        let removed = Event::AgentRemoved(Removed { by, agent: name.to_owned() });
        let entry = audit::entry(self.clock.now(), &removed)?;
        self.store.remove_agent(name, entry).await.map_err(|failure| error::store(&failure))
    }
}

/// Scheme, host, port and path: userinfo and query may be credentials.
fn without_secrets(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else { return String::new() };
    url.set_query(None);
    url.set_fragment(None);
    // Only URLs without a host refuse, and those have no userinfo.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
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
        let NewAgent { name, url, auth, jwk, card_keys, .. } = new;
        let auth = auth.map(Arc::new);
        // `check` has read them.
        let card_keys = card_trust::read_keys(&card_keys).unwrap_or_default();
        Self { name, url, source, caps, auth, jwk, card_keys, answers_with_tasks: None, resolved: None }
    }

    /// What the audit log says of its registration.
    fn registration(&self, by: By) -> Event {
        let (agent, caps) = (self.name.clone(), self.caps.clone());
        Event::AgentRegistered(Registered { by, agent, url: without_secrets(&self.url), caps })
    }

    /// The same with what follows from its card.
    fn with_card(mut self, card: FetchedCard, fetched: Timestamp) -> Result<Self, A2aError> {
        let Self { name, url, caps, auth, card_keys, .. } = &self;
        let resolved = resolve(Terms { name, url, caps, auth: auth.as_ref(), card_keys }, card, fetched)?;
        for warning in &resolved.warnings {
            tracing::warn!(agent = name, "{warning}");
        }
        self.resolved = Some(resolved);
        Ok(self)
    }

    /// Thumbprint of the key its grants are bound to: the operator's word, or else its card's.
    pub(super) fn confirmation(&self) -> Option<String> {
        let registered = self.jwk.as_ref().and_then(|jwk| VerifyKey::from_jwk(jwk).ok());
        let declared = || self.resolved.as_ref().and_then(|resolved| resolved.key.clone());
        registered.or_else(declared).map(|key| key.thumbprint())
    }

    /// An agent as it was stored.
    fn restored(name: String, document: Document) -> Result<Self, A2aError> {
        let Document { url, source, caps, auth, jwk, card_keys, card, extended, fetched, answers_with_tasks } =
            document;
        let auth = auth.map(Arc::new);
        // Keys that cannot be read are not none: without them any card would do.
        let card_keys = card_trust::read_keys(&card_keys).map_err(|damage| error::damaged(&damage))?;
        let agent =
            Self { name, url, source, caps, auth, jwk, card_keys, answers_with_tasks, resolved: None };
        let card = card.and_then(|original| {
            let card = read_card(original.as_bytes()).ok()?;
            Some(FetchedCard { card, original: original.into(), url: agent.url.clone() })
        });
        let agent = card.and_then(|card| agent.clone().with_card(card, fetched).ok()).unwrap_or(agent);
        Ok(extended.and_then(|original| agent.clone().extended(original.into()).ok()).unwrap_or(agent))
    }
}

fn view(agent: &Agent) -> AgentView {
    let card = agent.resolved.as_ref().map(|resolved| &resolved.card);
    let skill = |skill: &protocol::AgentSkill| SkillView { id: skill.id.clone(), name: skill.name.clone() };
    AgentView {
        name: agent.name.clone(),
        url: agent.url.clone(),
        caps: agent.resolved.as_ref().map_or(&agent.caps, |resolved| &resolved.facts.caps).texts(),
        source: agent.source,
        description: card.map(|card| card.description.clone()),
        version: card.map(|card| card.version.clone()),
        skills: card.map(|card| card.skills.iter().map(skill).collect()).unwrap_or_default(),
        streaming: card.is_some_and(AgentCard::streams),
        auth: agent.auth.as_ref().map(|auth| auth.kind_name().to_owned()),
        warnings: agent.resolved.as_ref().map(|resolved| resolved.warnings.clone()).unwrap_or_default(),
        key: agent.confirmation(),
        signature: agent.resolved.as_ref().map(|resolved| resolved.standing.to_string()),
    }
}
