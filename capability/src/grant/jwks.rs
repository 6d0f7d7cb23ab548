//! A set of keys, as a broker publishes it (JWKS, RFC 7517): what is not understood is skipped, what is dangerous is
//! refused whole.

use serde::Deserialize;
use serde_json::{Value, json};

use super::json;
use super::key::{Jwk, KeyError, VerifyKey};

/// Largest document read, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Most keys read.
const MAX_KEYS: usize = 32;

/// Keys that verify grants, each under a name of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<VerifyKey>);

/// Why a document is no set of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not the form, or too large.
    #[error("not a JWKS: {0}")]
    Malformed(String),
    /// Which of two keys a token means would be the reader's choice.
    #[error("two keys of the set have the id {0:?}")]
    DuplicateId(String),
    /// One of them cannot be used.
    #[error("key {id}: {error}")]
    Key {
        /// Its `kid`, or its position.
        id: String,
        /// What is wrong with it.
        error: KeyError,
    },
}

#[derive(Deserialize)]
struct Wire {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a JWKS. Keys of unknown types, for encryption, or without `kid` are skipped.
    pub fn from_jwks(document: &[u8]) -> Result<Self, KeySetError> {
        if document.len() > MAX_BYTES {
            return Err(KeySetError::Malformed(format!("expected at most {MAX_BYTES} bytes")));
        }
        let Wire { keys } = json::read(document).map_err(KeySetError::Malformed)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::Malformed(format!("expected at most {MAX_KEYS} keys")));
        }
        let mut set = Self::default();
        for (position, value) in keys.into_iter().enumerate() {
            // A key type of the future may shape its members differently.
            let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
            let id = jwk.id().map(ToOwned::to_owned);
            match (VerifyKey::read(jwk), id) {
                (Err(KeyError::Unsupported), _) | (Ok(_), None) => {}
                (Err(error), id) => {
                    let id = id.unwrap_or_else(|| format!("at position {position}"));
                    return Err(KeySetError::Key { id, error });
                }
                (Ok(_), Some(id)) if set.find(&id).is_some() => return Err(KeySetError::DuplicateId(id)),
                (Ok(key), Some(_)) => set.0.push(key),
            }
        }
        Ok(set)
    }

    /// The set as a JWKS.
    pub fn to_jwks(&self) -> Value {
        json!({ "keys": self.0.iter().map(VerifyKey::jwk).collect::<Vec<_>>() })
    }

    /// The key of an id.
    pub fn find(&self, id: &str) -> Option<&VerifyKey> {
        self.0.iter().find(|key| key.id() == id)
    }

    /// Whether nothing can be verified with it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of several keys of one id the first counts.
impl FromIterator<VerifyKey> for KeySet {
    fn from_iter<I: IntoIterator<Item = VerifyKey>>(keys: I) -> Self {
        keys.into_iter().fold(Self::default(), |mut set, key| {
            if set.find(key.id()).is_none() {
                set.0.push(key);
            }
            set
        })
    }
}

impl From<VerifyKey> for KeySet {
    fn from(key: VerifyKey) -> Self {
        Self(vec![key])
    }
}
