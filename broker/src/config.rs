//! The configuration: one TOML file, every key of which is documented in `config.default.toml`; environment
//! variables and flags override it. What is wrong is named by file, line, key and what was expected.

mod problem;
pub mod secret;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use broker_core::Limits;
use capability::Scope;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use self::problem::without_value;
pub use self::southbound::SouthboundConfig;
pub use self::units::{ByteSize, Span};
use crate::ports::agent_auth::AgentAuth;
use crate::service::{NewAgent, Principal, Role, is_agent_name};
use crate::{northbound, store};

/// The commented defaults.
pub const DEFAULT_TOML: &str = include_str!("../config.default.toml");
/// Environment variables that override a key begin so: `BAILIWICK_SERVER_LISTEN` is `server.listen`.
const ENV_PREFIX: &str = "BAILIWICK_";

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "every key is documented in config.default.toml, which a test holds complete")]
pub struct Config {
    pub server: ServerConfig,
    pub store: StoreConfig,
    pub limits: LimitsConfig,
    pub southbound: SouthboundConfig,
    pub log: LogConfig,
    pub principals: Vec<PrincipalConfig>,
    pub agents: Vec<NewAgent>,
}

macro_rules! section {
    ($name:ident { $($key:ident: $type:ty = $default:expr,)* }) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(missing_docs, reason = "documented in config.default.toml")]
        pub struct $name { $(pub $key: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}

mod southbound;

section! { ServerConfig {
    listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8420)),
    public_url: String = String::new(),
    body_limit: ByteSize = ByteSize(4 << 20),
    max_connections: usize = 10_000,
    header_timeout: Span = Span::seconds(10),
    body_timeout: Span = Span::seconds(30),
    drain: Span = Span::seconds(10),
    allow_open_anywhere: bool = false,
}}

section! { StoreConfig {
    data: PathBuf = PathBuf::from("./bailiwick-data"),
    fsync: bool = true,
    queue: usize = 4_096,
    batch: usize = 256,
    finished_trees: usize = 1_024,
}}

section! { LimitsConfig {
    max_depth: u32 = 8,
    max_fanout: u32 = 64,
    max_live_tasks: u32 = 1_024,
    max_task_size: ByteSize = ByteSize(64 << 20),
    deadline: Span = Span::seconds(24 * 3_600),
    silence: Span = Span::seconds(30 * 60),
    cancel: Span = Span::seconds(10),
    attempts: u32 = 3,
    max_attempts: u32 = 10,
    backoff: Span = Span::millis(500),
    max_backoff: Span = Span::seconds(30),
    budget_share: u32 = 50,
    max_late_facts: u32 = 8,
}}

section! { LogConfig {
    level: String = "info,fjall=warn,lsm_tree=warn".to_owned(),
    format: LogFormat = LogFormat::Text,
}}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// `[[principals]]`: somebody who may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub struct PrincipalConfig {
    pub name: String,
    #[serde(default)]
    pub role: RoleConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
}

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub enum RoleConfig {
    #[default]
    User,
    Operator,
    Agent,
}

/// What flags override.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "named as the flags are")]
pub struct Overrides {
    pub listen: Option<SocketAddr>,
    pub data: Option<PathBuf>,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {error}; name another file with --config, or leave it out to use the defaults")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A key is unknown, or its value does not fit. The text shows the line.
    #[error("{origin}: {problem}")]
    Wrong {
        /// The file, or the variable.
        origin: String,
        /// What was expected.
        problem: String,
    },
}

impl Config {
    /// Reads the file (if one is named), then the environment, then the flags, and checks the result.
    pub fn load(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: Overrides,
    ) -> Result<Self, ConfigError> {
        let (origin, text) = match path {
            None => ("defaults".to_owned(), String::new()),
            Some(path) => {
                let origin = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| ConfigError::Unreadable { path: origin.clone(), error })?;
                (origin, text)
            }
        };
        let mut config = Self::parse(&origin, &text)?;
        for (name, value) in env {
            config = config.with_variable(&name, &value)?;
        }
        config.server.listen = overrides.listen.unwrap_or(config.server.listen);
        config.store.data = overrides.data.unwrap_or(config.store.data);
        config.check(&origin)?;
        Ok(config)
    }

    fn parse(origin: &str, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Wrong {
            origin: origin.to_owned(),
            problem: problem::describe(text, &error),
        })
    }

    /// Applies `BAILIWICK_SECTION_KEY`; other variables are none of its business.
    fn with_variable(self, name: &str, value: &str) -> Result<Self, ConfigError> {
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else { return Ok(self) };
        let lower = rest.to_lowercase();
        let Some((section, key)) = lower.split_once('_') else { return Ok(self) };
        if !["server", "store", "limits", "southbound", "log"].contains(&section) {
            return Ok(self);
        }
        let wrong = |problem: String| ConfigError::Wrong { origin: name.to_owned(), problem };
        let mut table = toml::Table::try_from(&self).map_err(|error| wrong(error.to_string()))?;
        let known =
            table.get_mut(section).and_then(toml::Value::as_table_mut).filter(|keys| keys.contains_key(key));
        let keys = known.ok_or_else(|| wrong(format!("there is no key {section}.{key}")))?;
        let typed = match keys.get(key) {
            Some(toml::Value::Integer(_)) => value.parse().map(toml::Value::Integer).ok(),
            Some(toml::Value::Boolean(_)) => value.parse().map(toml::Value::Boolean).ok(),
            _ => None,
        };
        keys.insert(key.to_owned(), typed.unwrap_or_else(|| toml::Value::String(value.to_owned())));
        table.try_into().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))
    }

    fn check(&self, origin: &str) -> Result<(), ConfigError> {
        let wrong = |problem: String| ConfigError::Wrong { origin: origin.to_owned(), problem };
        let is_open = self.principals.is_empty();
        if is_open && !self.server.listen.ip().is_loopback() && !self.server.allow_open_anywhere {
            return Err(wrong(format!(
                "server.listen is {}, but without [[principals]] anyone who reaches it could do everything; add \
                 principals, listen on 127.0.0.1, or set server.allow_open_anywhere = true",
                self.server.listen
            )));
        }
        for agent in &self.agents {
            if !is_agent_name(&agent.name) {
                let name = &agent.name;
                return Err(wrong(format!(
                    "agents.name {name:?}: expected [a-z0-9][a-z0-9-]{{0,62}}, and none of the broker's own path segments"
                )));
            }
            if let Some(Err(problem)) = agent.auth.as_ref().map(AgentAuth::check) {
                return Err(wrong(format!("agents.auth of {}: {problem}", agent.name)));
            }
            Scope::parse(&agent.caps)
                .map_err(|error| wrong(format!("agents.caps of {}: {error}", agent.name)))?;
        }
        for principal in &self.principals {
            principal
                .resolve()
                .map_err(|problem| wrong(format!("principals.{}: {problem}", principal.name)))?;
        }
        Ok(())
    }

    /// The configuration as TOML, without secrets.
    pub fn to_toml(&self) -> String {
        let mut shown = self.clone();
        for principal in &mut shown.principals {
            principal.key_sha256 = principal.key_sha256.as_ref().map(|_| "…".to_owned());
        }
        toml::to_string(&shown).unwrap_or_default()
    }

    /// The base URL callers and agents reach the broker at.
    pub fn public_url(&self) -> String {
        let url = &self.server.public_url;
        if url.is_empty() {
            format!("http://{}", self.server.listen)
        } else {
            url.trim_end_matches('/').to_owned()
        }
    }

    /// The bounds of the core.
    pub fn limits(&self) -> Limits {
        let limits = &self.limits;
        Limits {
            max_depth: limits.max_depth,
            max_fanout: limits.max_fanout,
            max_live_tasks: limits.max_live_tasks,
            max_task_bytes: limits.max_task_size.0,
            default_deadline_ms: limits.deadline.as_millis(),
            silence_ms: limits.silence.as_millis(),
            cancel_ms: limits.cancel.as_millis(),
            default_max_attempts: limits.attempts,
            max_attempts: limits.max_attempts,
            backoff_ms: limits.backoff.as_millis(),
            max_backoff_ms: limits.max_backoff.as_millis(),
            budget_share: limits.budget_share,
            max_late_facts: limits.max_late_facts,
        }
    }

    /// The bounds on callers.
    pub fn server_options(&self) -> northbound::Options {
        let server = &self.server;
        northbound::Options {
            body_limit: server.body_limit.as_usize(),
            max_connections: server.max_connections,
            header_timeout: server.header_timeout.0,
            body_timeout: server.body_timeout.0,
            drain: server.drain.0,
        }
    }

    /// How the embedded store behaves.
    pub fn store_options(&self) -> store::embedded::Options {
        let store = &self.store;
        store::embedded::Options { fsync: store.fsync, queue: store.queue, batch: store.batch }
    }

    /// Who may call.
    pub fn principals(&self) -> Result<Vec<Principal>, ConfigError> {
        let resolve = |principal: &PrincipalConfig| {
            principal.resolve().map_err(|problem| ConfigError::Wrong {
                origin: format!("principals.{}", principal.name),
                problem,
            })
        };
        self.principals.iter().map(resolve).collect()
    }

    /// The agents of the configuration.
    pub fn agents(&self) -> Vec<NewAgent> {
        self.agents.clone()
    }
}

impl PrincipalConfig {
    fn resolve(&self) -> Result<Principal, String> {
        if !is_agent_name(&self.name) {
            return Err("name: expected [a-z0-9][a-z0-9-]{0,62}".to_owned());
        }
        let role = match (self.role, &self.agent) {
            (RoleConfig::User, None) => Role::User,
            (RoleConfig::Operator, None) => Role::Operator,
            (RoleConfig::Agent, Some(agent)) => Role::Agent(agent.clone()),
            (RoleConfig::Agent, None) => {
                return Err("role agent: expected `agent`, the agent it is".to_owned());
            }
            (_, Some(_)) => return Err("agent: only for role agent".to_owned()),
        };
        let scope = match (&self.scope, &role) {
            (Some(texts), _) => Scope::parse(texts).map_err(|error| format!("scope: {error}"))?,
            // An agent's key opens no root scope unless it is given one.
            (None, Role::Agent(_)) => Scope::empty(),
            (None, _) => Scope::top(),
        };
        Ok(Principal { name: self.name.clone(), role, scope, key_sha256: self.key_digest()? })
    }

    fn key_digest(&self) -> Result<[u8; 32], String> {
        let hash = |key: &str| Sha256::digest(key.trim().as_bytes()).into();
        match (&self.key_sha256, &self.key_env, &self.key_file) {
            (Some(hex), None, None) => {
                read_hex(hex).ok_or_else(|| "key_sha256: expected 64 hexadecimal digits".to_owned())
            }
            (None, Some(variable), None) => std::env::var(variable)
                .map(|key| hash(&key))
                .map_err(|_| format!("key_env: the variable {variable} is not set")),
            (None, None, Some(file)) => std::fs::read_to_string(file)
                .map(|key| hash(&key))
                .map_err(|error| format!("key_file {}: {error}", file.display())),
            _ => Err("expected exactly one of key_sha256, key_env, key_file".to_owned()),
        }
    }
}

fn read_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
