//! The configuration, read again while the broker serves: when it is told to (SIGHUP), and when a file it is read from has
//! changed. What is wrong is told and changes nothing; what can only be changed by a restart is named. Why files are looked
//! at, and not watched: `docs/decisions/0026-reload.md`.

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{App, AppError};
use crate::config::Config;
use crate::northbound::Tls;
use crate::service::{Broker, Reconfiguration};

/// Keys, or sections of them, that hold from the moment they are read.
const HELD_AT_ONCE: [&str; 9] = [
    "principals",
    "issuers",
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

/// A broker whose configuration can be read again.
pub struct Reloading {
    broker: Arc<Broker>,
    tls: Option<Tls>,
    /// What it was started with, the address it listens on among it.
    config: Config,
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
        Reloading { broker: Arc::clone(&self.broker), tls: self.tls.clone(), config: self.config.clone() }
    }
}

impl Reloading {
    /// Goes on under another configuration, as far as it can. Certificates are read anew even where the configuration is
    /// the same.
    pub async fn apply(&mut self, mut new: Config) -> Result<Changes, AppError> {
        let asked_for = std::mem::replace(&mut new.server.listen, self.config.server.listen);
        if asked_for.port() != 0 && asked_for != self.config.server.listen {
            new.server.listen = asked_for;
        }
        let changes = changes(&self.config, &new);
        let derived = Config { server: self.config.server.clone(), ..new.clone() };
        let (callers, quotas) = (derived.callers()?, derived.quotas()?);
        let (limits, agents) = (derived.limits(), derived.agents());
        let certificates = new.tls()?;
        if let (Some(tls), Some(certificates)) = (&self.tls, certificates) {
            tls.replace(&certificates);
        }
        let to = Reconfiguration { callers, quotas, limits, agents, changed: changes.made.clone() };
        let done = self.broker.reconfigure(to).await;
        done.map_err(|error| AppError::Start(error.message))?;
        self.config = new;
        Ok(changes)
    }

    /// A digest of the files that the configuration is read from, the file itself (if there is one) among them.
    pub fn fingerprint(&self, file: Option<&PathBuf>) -> [u8; 32] {
        let mut hash = Sha256::new();
        for path in file.into_iter().chain(&self.config.files()) {
            // A file that is being replaced may be gone for a moment.
            let content = std::fs::read(path).unwrap_or_default();
            hash.update(Sha256::digest(content));
        }
        hash.finalize().into()
    }
}

/// The keys in which two configurations differ: tables by their keys, all else whole.
fn changes(before: &Config, after: &Config) -> Changes {
    let mut changed = Vec::new();
    let (before, after) = (table(before), table(after));
    compare("", &before, &after, &mut changed);
    let holds = |key: &String| {
        let is = |known: &&str| key == known || key.starts_with(&format!("{known}."));
        HELD_AT_ONCE.iter().any(is) && !EXCEPT.contains(&key.as_str())
    };
    let (made, need_restart) = changed.into_iter().partition(holds);
    Changes { made, need_restart }
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
    fn what_holds_at_once_is_told_from_what_needs_a_restart() {
        let before = config("[limits]\nmax_depth = 3\n[server]\ndrain = '1s'\n");
        let after = config(
            "[limits]\nmax_depth = 4\nmax_waiting = 7\n[server]\ndrain = '2s'\n[server.tls]\ncert = 'c'\nkey = 'k'\n\
             [[quotas]]\nof = 'agent:a'\nopen_tasks = 1\n",
        );
        let changes = changes(&before, &after);
        assert_eq!(changes.made, ["limits.max_depth", "quotas", "server.tls.cert", "server.tls.key"]);
        assert_eq!(changes.need_restart, ["limits.max_waiting", "server.drain"]);
        assert_eq!(super::changes(&after, &after), Changes::default());
    }
}
