//! `[server.tls]`: TLS towards callers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::northbound::{Tls, TlsFiles};

/// PEM files; empty paths are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub struct TlsConfig {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub client_ca: PathBuf,
}

impl TlsConfig {
    /// Whether callers reach the broker by https.
    pub fn is_on(&self) -> bool {
        self.files().is_ok_and(|files| files.is_some())
    }

    /// Whether callers' certificates are looked at.
    pub fn asks_for_certificates(&self) -> bool {
        !is_empty(&self.client_ca)
    }

    /// Where its files are.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        [&self.cert, &self.key, &self.client_ca].into_iter().filter(|path| !is_empty(path)).cloned().collect()
    }

    /// Reads the files; none without TLS.
    pub fn load(&self) -> Result<Option<Tls>, String> {
        self.files()?.as_ref().map(Tls::load).transpose()
    }

    fn files(&self) -> Result<Option<TlsFiles>, String> {
        let Self { cert, key, client_ca } = self;
        match (is_empty(cert), is_empty(key)) {
            (true, true) if is_empty(client_ca) => Ok(None),
            (true, true) => {
                Err("server.tls.client_ca: expected server.tls.cert and server.tls.key too".to_owned())
            }
            (false, true) => Err("server.tls.cert: expected server.tls.key too".to_owned()),
            (true, false) => Err("server.tls.key: expected server.tls.cert too".to_owned()),
            (false, false) => {
                let client_ca = (!is_empty(client_ca)).then(|| client_ca.clone());
                Ok(Some(TlsFiles { cert: cert.clone(), key: key.clone(), client_ca }))
            }
        }
    }
}

fn is_empty(path: &std::path::Path) -> bool {
    path.as_os_str().is_empty()
}
