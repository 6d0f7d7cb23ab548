//! The configuration, read again while the broker serves: when it is told to (SIGHUP), and when a file it is read from has
//! changed. What is wrong is told and changes nothing; what can only be changed by a restart is named. Why files are looked
//! at, and not watched: `docs/decisions/0026-reload.md`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{App, AppError};
use crate::config::{Config, LimitsConfig, ServerConfig};
use crate::northbound::{Server, Tls};
use crate::service::{Broker, Reconfiguration};

/// Files by path, and the SHA-256 of what is in them.
pub type Fingerprint = BTreeMap<PathBuf, [u8; 32]>;

/// The section of certificates.
const TLS: &str = "server.tls";
/// Keys, or sections of them, that hold from the moment they are read.
const HELD_AT_ONCE: [&str; 10] = [
    "principals",
    "issuers",
    "brokers",
    "accounts",
    "quotas",
    "agents",
    "limits",
    "push.max_configs",
    "server.tls",
    "log.level",
];
/// Among those, what is only read at start.
const EXCEPT: [&str; 1] = ["limits.max_waiting"];

/// Largest file that is looked at, bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A broker whose configuration can be read again.
pub struct Reloading {
    broker: Arc<Broker>,
    server: Arc<Server>,
    tls: Option<Tls>,
    /// What it was started with: what needs a restart holds as it stands there.
    started: Config,
    /// The address that was asked for at start, which may have left the port open.
    asked: SocketAddr,
    /// What was read last.
    last: Config,
}

/// What another configuration changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that hold now.
    pub made: Vec<String>,
    /// Keys that hold from the next start on.
    pub need_restart: Vec<String>,
}

impl App {
    /// For reading the configuration again.
    pub fn reloading(&self) -> Reloading {
        let (broker, server, tls) = (Arc::clone(&self.broker), Arc::clone(&self.server), self.tls.clone());
        let (started, last) = (self.config.clone(), self.config.clone());
        Reloading { broker, server, tls, started, asked: self.asked, last }
    }
}

impl Reloading {
    /// Goes on under another configuration, as far as it can. It is judged with the addresses that the broker serves at, and
    /// whole: one that is wrong changes nothing. Certificates are read anew even where the configuration is the same.
    pub async fn apply(&mut self, origin: &str, mut new: Config) -> Result<Changes, AppError> {
        if new.server.listen == self.asked {
            new.server.listen = self.started.server.listen;
        }
        let serves_tls = self.started.server.tls.is_on();
        let keeps_tls = new.server.tls.is_on() == serves_tls;
        let tls = if keeps_tls { new.server.tls.clone() } else { self.started.server.tls.clone() };
        let server = ServerConfig { tls, ..self.started.server.clone() };
        let holds = Config { server, ..new.clone() };
        holds.check(origin)?;
        if holds.is_open() != self.started.is_open() {
            return Err(AppError::Start(
                "[[principals]] and [[issuers]]: whether anybody may call is decided at start; restart the broker"
                    .to_owned(),
            ));
        }
        let changes = self.changes(&new, keeps_tls);
        let (callers, quotas) = (holds.callers()?, holds.quotas()?);
        if let (Some(tls), Some(certificates)) = (&self.tls, holds.tls()?) {
            tls.replace(&certificates);
        }
        let (limits, agents) = (holds.limits(), holds.agents());
        self.broker.reconfigure(Reconfiguration { callers, quotas, limits, agents }).await;
        self.server.show_configuration(self.in_effect(holds).to_json());
        self.last = new;
        Ok(changes)
    }

    /// What holds of a configuration: of what needs a restart, what the broker was started with.
    fn in_effect(&self, holds: Config) -> Config {
        let Config { principals, issuers, brokers, accounts, quotas, agents, .. } = holds;
        let mut config = self.started.clone();
        config.server.tls = holds.server.tls;
        config.limits = LimitsConfig { max_waiting: config.limits.max_waiting, ..holds.limits };
        config.push.max_configs = holds.push.max_configs;
        config.log.level = holds.log.level;
        Config { principals, issuers, brokers, accounts, quotas, agents, ..config }
    }

    /// What is said otherwise than the last time and holds, and all that does not hold as it stands.
    fn changes(&self, new: &Config, keeps_tls: bool) -> Changes {
        let holds = |key: &String| {
            let is = |known: &&str| key == known || key.starts_with(&format!("{known}."));
            HELD_AT_ONCE.iter().any(is)
                && !EXCEPT.contains(&key.as_str())
                && (keeps_tls || !key.starts_with(TLS))
        };
        let made = differences(&self.last, new).into_iter().filter(holds).collect();
        let need_restart = differences(&self.started, new).into_iter().filter(|key| !holds(key)).collect();
        Changes { made, need_restart }
    }

    /// Records what came of it, if there is anything: keys that say something else, and files that do.
    pub fn record(&self, changed: Vec<String>) {
        if !changed.is_empty() {
            self.broker.note_reconfigured(changed);
        }
    }
}

/// Digests of the files that a configuration is read from, the file itself (if there is one) among them.
pub fn fingerprint<'p>(files: impl IntoIterator<Item = &'p PathBuf>) -> Fingerprint {
    let digest = |path: &PathBuf| {
        // A file that is being replaced may be gone for a moment. What is no file, or huge, is none of ours.
        let is_ours = |about: &std::fs::Metadata| about.is_file() && about.len() <= MAX_FILE_BYTES;
        let is_read = std::fs::metadata(path).is_ok_and(|about| is_ours(&about));
        let content = if is_read { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
        (path.clone(), Sha256::digest(content).into())
    };
    files.into_iter().map(digest).collect()
}

/// The keys in which two configurations differ: tables by their keys, all else whole.
fn differences(before: &Config, after: &Config) -> Vec<String> {
    let mut changed = Vec::new();
    compare("", &table(before), &table(after), &mut changed);
    changed
}

fn table(config: &Config) -> toml::Table {
    toml::Table::try_from(config).unwrap_or_default()
}

fn compare(prefix: &str, before: &toml::Table, after: &toml::Table, changed: &mut Vec<String>) {
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (before.get(key), after.get(key)) {
            (Some(toml::Value::Table(before)), Some(toml::Value::Table(after))) => {
                compare(&name, before, after, changed);
            }
            (before, after) if before != after => changed.push(name),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn keys_that_differ_are_named_by_table_and_key() {
        let before = config("[limits]\nmax_depth = 3\n[server]\ndrain = '1s'\n");
        let after = config(
            "[limits]\nmax_depth = 4\n[server]\ndrain = '2s'\n[server.tls]\ncert = 'c'\nkey = 'k'\n\
             [[quotas]]\nof = 'agent:a'\nopen_tasks = 1\n",
        );
        let differ = ["limits.max_depth", "quotas", "server.drain", "server.tls.cert", "server.tls.key"];
        assert_eq!(differences(&before, &after), differ);
        assert_eq!(differences(&after, &after), Vec::<String>::new());
    }
}
