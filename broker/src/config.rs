//! The configuration: one TOML file, every key of which is documented in `config.default.toml`; environment
//! variables and flags override it. What is wrong is named by file, line, key and what was expected.

mod accounts;
mod brokers;
mod check;
mod issuers;
mod principals;
mod problem;
mod quotas;
pub mod secret;
mod shown;
mod tls;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use broker_core::Limits;
use capability::Algorithm;
use serde::{Deserialize, Serialize};

pub use self::accounts::AccountConfig;
pub use self::brokers::BrokerConfig;
pub use self::cluster::ClusterConfig;
pub use self::issuers::IssuerConfig;
pub use self::limits::LimitsConfig;
pub use self::principals::{OneOrMany, PrincipalConfig, RoleConfig, SubjectConfig};
pub(crate) use self::problem::without_value;
pub use self::push::PushConfig;
pub use self::quotas::QuotaConfig;
pub use self::selection::{SelectionConfig, Tier};
pub use self::southbound::SouthboundConfig;
pub use self::stages::{EmbeddingsConfig, RerankerConfig};
pub use self::store::{StoreConfig, StoreKind};
pub use self::tls::TlsConfig;
pub use self::traces::TracesConfig;
pub use self::units::{ByteSize, Span};
use crate::northbound;
use crate::service::{
    AcceptanceOptions, CallerSettings, ForeignBrokerSettings, IssuerSettings, KeyOptions, NewAgent,
    Principals, PushOptions, Retention,
};

/// The commented defaults.
pub const DEFAULT_TOML: &str = include_str!("../config.default.toml");
/// Environment variables that override a key begin so: `BAILIWICK_SERVER_LISTEN` is `server.listen`.
const ENV_PREFIX: &str = "BAILIWICK_";
/// Sections whose keys they override.
const SECTIONS: [&str; 15] = [
    "server",
    "store",
    "cluster",
    "limits",
    "southbound",
    "grants",
    "cards",
    "audit",
    "acceptance",
    "push",
    "selection",
    "console",
    "mcp",
    "traces",
    "log",
];

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "every key is documented in config.default.toml, which a test holds complete")]
pub struct Config {
    pub server: ServerConfig,
    pub store: StoreConfig,
    pub cluster: ClusterConfig,
    pub limits: LimitsConfig,
    pub southbound: SouthboundConfig,
    pub grants: GrantsConfig,
    pub cards: CardsConfig,
    pub audit: AuditConfig,
    pub acceptance: AcceptanceConfig,
    pub push: PushConfig,
    pub selection: SelectionConfig,
    pub traces: TracesConfig,
    pub console: ConsoleConfig,
    pub mcp: mcp::McpConfig,
    pub log: LogConfig,
    pub principals: Vec<PrincipalConfig>,
    pub issuers: Vec<IssuerConfig>,
    pub brokers: Vec<BrokerConfig>,
    pub accounts: Vec<AccountConfig>,
    pub quotas: Vec<QuotaConfig>,
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

mod cluster;
mod limits;
mod mcp;
mod push;
mod selection;
mod southbound;
mod stages;
mod store;
mod traces;

section! { ServerConfig {
    listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8420)),
    public_url: String = String::new(),
    body_limit: ByteSize = ByteSize(4 << 20),
    max_body_memory: ByteSize = ByteSize(256 << 20),
    max_connections: usize = 10_000,
    max_requests: usize = 20_000,
    header_timeout: Span = Span::seconds(10),
    body_timeout: Span = Span::seconds(30),
    write_timeout: Span = Span::seconds(60),
    max_streams: usize = 10_000,
    heartbeat: Span = Span::seconds(15),
    notice: Span = Span::seconds(0),
    drain: Span = Span::seconds(10),
    watch: Span = Span::seconds(5),
    allow_open_anywhere: bool = false,
    tls: TlsConfig = TlsConfig::default(),
}}

section! { GrantsConfig {
    algorithm: Algorithm = Algorithm::EdDsa,
    rotate_every: Span = Span::seconds(30 * 24 * 3_600),
}}

section! { CardsConfig {
    algorithm: Algorithm = Algorithm::Es256,
    rotate_every: Span = Span::seconds(30 * 24 * 3_600),
}}

section! { AuditConfig {
    refusal_window: Span = Span::seconds(10),
}}

section! { AcceptanceConfig {
    timeout: Span = Span::seconds(2),
}}

section! { ConsoleConfig {
    enabled: bool = true,
}}

impl AcceptanceConfig {
    /// How results are checked.
    pub fn options(&self) -> AcceptanceOptions {
        AcceptanceOptions { timeout: self.timeout.0 }
    }
}

section! { LogConfig {
    level: String = "info,fjall=warn,lsm_tree=warn,rmcp=error,tokio_postgres=warn".to_owned(),
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
    /// Callers could not be told apart or served.
    #[error("{0}")]
    Callers(String),
}

impl Config {
    /// Reads the file (if one is named), then the environment, then the flags, and checks the result.
    pub fn load(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: Overrides,
    ) -> Result<Self, ConfigError> {
        let (origin, config) = Self::read(path, env, overrides)?;
        config.check(&origin)?;
        Ok(config)
    }

    /// The same without looking whether it can be served; with where it comes from.
    pub fn read(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: Overrides,
    ) -> Result<(String, Self), ConfigError> {
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
        Ok((origin, config))
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
        if !SECTIONS.contains(&section) {
            return Ok(self);
        }
        let wrong = |problem: String| ConfigError::Wrong { origin: name.to_owned(), problem };
        let mut table = toml::Table::try_from(&self).map_err(|error| wrong(error.to_string()))?;
        let (keys, key) = table
            .get_mut(section)
            .and_then(toml::Value::as_table_mut)
            .and_then(|keys| find_key(keys, key))
            .ok_or_else(|| wrong(format!("there is no key {section}.{key}")))?;
        let typed = match keys.get(key) {
            Some(toml::Value::Integer(_)) => value.parse().map(toml::Value::Integer).ok(),
            Some(toml::Value::Float(_)) => value.parse().map(toml::Value::Float).ok(),
            Some(toml::Value::Boolean(_)) => value.parse().map(toml::Value::Boolean).ok(),
            _ => None,
        };
        keys.insert(key.to_owned(), typed.unwrap_or_else(|| toml::Value::String(value.to_owned())));
        table.try_into().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))
    }

    /// Whether anybody may call.
    pub fn is_open(&self) -> bool {
        self.principals.is_empty() && self.issuers.is_empty()
    }

    /// The configuration as TOML, without secrets.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.without_secrets()).unwrap_or_default()
    }

    /// The base URL callers and agents reach the broker at.
    pub fn public_url(&self) -> String {
        let url = &self.server.public_url;
        if url.is_empty() {
            let scheme = if self.server.tls.is_on() { "https" } else { "http" };
            format!("{scheme}://{}", self.server.listen)
        } else {
            url.trim_end_matches('/').to_owned()
        }
    }

    /// The bounds of the core.
    pub fn limits(&self) -> Limits {
        self.limits.limits(self.push.max_configs)
    }

    /// How events are pushed. In open mode on loopback everybody who can call is on this machine.
    pub fn push_options(&self) -> PushOptions {
        self.push.options(self.is_open() && self.server.listen.ip().is_loopback())
    }

    /// How grants are signed.
    pub fn grant_options(&self) -> KeyOptions {
        KeyOptions { algorithm: self.grants.algorithm, rotate_every: self.grants.rotate_every.0 }
    }

    /// How cards are signed.
    pub fn card_options(&self) -> KeyOptions {
        KeyOptions { algorithm: self.cards.algorithm, rotate_every: self.cards.rotate_every.0 }
    }

    /// The bounds on callers.
    pub fn server_options(&self) -> northbound::Options {
        let server = &self.server;
        northbound::Options {
            body_limit: server.body_limit.as_usize(),
            max_body_memory: server.max_body_memory.as_usize(),
            max_connections: server.max_connections,
            max_requests: server.max_requests,
            header_timeout: server.header_timeout.0,
            body_timeout: server.body_timeout.0,
            write_timeout: server.write_timeout.0,
            max_streams: server.max_streams,
            heartbeat: server.heartbeat.0,
            notice: server.notice.0,
            drain: server.drain.0,
            console: self.console.enabled,
            mcp: self.mcp.options(&self.public_url()),
        }
    }

    /// For how long what is over is kept.
    pub fn retention(&self) -> Retention {
        let store = &self.store;
        Retention {
            keep_finished: store.keep_finished.0,
            keep_message_ids: store.keep_message_ids.0,
            sweep_every: store.sweep_every.0,
        }
    }

    /// Who may call, and who vouches for them.
    pub fn callers(&self) -> Result<CallerSettings, ConfigError> {
        let (principals, issuers, brokers) = (self.principals()?, self.issuers()?, self.brokers()?);
        Ok(CallerSettings { principals, issuers, brokers, accounts: self.accounts()? })
    }

    fn principals(&self) -> Result<Principals, ConfigError> {
        let named = |name: &str, problem: String| format!("principals.{name}: {problem}");
        let known = |issuer: &str| self.issuers.iter().any(|known| known.name == issuer);
        let resolve = |principal: &PrincipalConfig| {
            if let Some(jwt) = principal.jwt.as_ref().filter(|jwt| !known(&jwt.issuer)) {
                let problem =
                    format!("jwt.issuer {:?}: expected the name of one of the [[issuers]]", jwt.issuer);
                return Err(named(&principal.name, problem));
            }
            let unknown = |name: &&String| self.brokers.iter().all(|known| known.name != **name);
            if let Some(broker) = principal.broker.as_ref().filter(unknown) {
                let problem = format!("broker {broker:?}: expected the name of one of the [[brokers]]");
                return Err(named(&principal.name, problem));
            }
            principal.resolve().map_err(|problem| named(&principal.name, problem))
        };
        let all: Result<Vec<_>, String> = self.principals.iter().map(resolve).collect();
        all.and_then(Principals::new).map_err(ConfigError::Callers)
    }

    fn issuers(&self) -> Result<Vec<IssuerSettings>, ConfigError> {
        let public_url = self.public_url();
        let resolve = |(index, issuer): (usize, &IssuerConfig)| {
            let twice = |other: &IssuerConfig| other.name == issuer.name || other.issuer == issuer.issuer;
            if self.issuers.iter().take(index).any(twice) {
                return Err("its name or its issuer stands twice".to_owned());
            }
            issuer.resolve(&public_url)
        };
        let named = |(index, issuer): (usize, &IssuerConfig)| {
            let problem = |problem| ConfigError::Callers(format!("issuers.{}: {problem}", issuer.name));
            resolve((index, issuer)).map_err(problem)
        };
        self.issuers.iter().enumerate().map(named).collect()
    }

    fn brokers(&self) -> Result<Vec<ForeignBrokerSettings>, ConfigError> {
        let public_url = self.public_url();
        let resolve = |(index, broker): (usize, &BrokerConfig)| {
            let resolved = broker.resolve(&public_url)?;
            let is_same = |url: &str| url.trim_end_matches('/') == resolved.url;
            let twice = |other: &BrokerConfig| other.name == resolved.name || is_same(&other.url);
            let is_twice = self.brokers.iter().take(index).any(twice);
            if is_twice { Err("its name or its url stands twice".to_owned()) } else { Ok(resolved) }
        };
        let named = |(index, broker): (usize, &BrokerConfig)| {
            let problem = |problem| ConfigError::Callers(format!("brokers.{}: {problem}", broker.name));
            resolve((index, broker)).map_err(problem)
        };
        self.brokers.iter().enumerate().map(named).collect()
    }

    /// TLS towards callers, if it is configured.
    pub fn tls(&self) -> Result<Option<northbound::Tls>, ConfigError> {
        self.server.tls.load().map_err(ConfigError::Callers)
    }

    /// Files that are read with the configuration, and hold again when it is read again.
    pub fn files(&self) -> Vec<PathBuf> {
        let keys = self.principals.iter().flat_map(PrincipalConfig::key_files);
        self.server.tls.paths().into_iter().chain(keys).collect()
    }

    /// The agents of the configuration.
    pub fn agents(&self) -> Vec<NewAgent> {
        self.agents.clone()
    }
}

/// Finds a key by its name in a variable: `body_limit` here, or `tls_cert` as `cert` in the table `tls`.
fn find_key<'t>(keys: &'t mut toml::Table, name: &'t str) -> Option<(&'t mut toml::Table, &'t str)> {
    if keys.get(name).is_some_and(|value| !value.is_table()) {
        return Some((keys, name));
    }
    let (table, rest) = name.split_once('_')?;
    find_key(keys.get_mut(table)?.as_table_mut()?, rest)
}
