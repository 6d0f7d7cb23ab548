//! A fresh API key: the key for its holder, the digest for the configuration.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Randomness of a key, bytes.
const KEY_BYTES: usize = 32;
/// Begins every key, so that people and scanners of leaked secrets know one when they see it.
const PREFIX: &str = "bailiwick_";

/// A key nobody has seen yet.
#[derive(Serialize)]
pub(super) struct NewKey {
    key: String,
    key_sha256: String,
}

impl NewKey {
    pub(super) fn make() -> Result<Self, String> {
        let mut secret = [0; KEY_BYTES];
        getrandom::fill(&mut secret).map_err(|error| format!("there is no randomness to be had: {error}"))?;
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
        let key_sha256 = format!("{:x}", Sha256::digest(key.as_bytes()));
        Ok(Self { key, key_sha256 })
    }
}

impl fmt::Display for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.key)?;
        writeln!(f, "# shown once; give it to its holder, and put this into [[principals]]:")?;
        write!(f, "key_sha256 = \"{}\"", self.key_sha256)
    }
}
