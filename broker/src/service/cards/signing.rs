//! The broker's signature under every card it serves: with keys for cards alone, published where the signature says, made
//! once per content and key (`docs/decisions/0011`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use broker_core::Timestamp;
use broker_core::audit::Signs;
use bytes::Bytes;
use capability::GrantKey;
use protocol::{A2aError, AgentCard, CardSignature, Fields, SignedForm, with_signatures, write_protected};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

use crate::ports::clock::Clock;
use crate::ports::store::Store;
use crate::service::signing_keys::{KeyOptions, KeyView, Purpose, SigningKeys};
use crate::service::{Broker, Caller, audit, error};

/// Where the keys are that verify cards, below the broker's URL.
pub const CARD_JWKS_PATH: &str = "/.well-known/card-jwks.json";
/// A card that is kept can be verified for a day after its key's last signature.
const PURPOSE: Purpose = Purpose { document: "card-keys", overlap_seconds: 24 * 3_600, signs: Signs::Cards };
/// Signed cards remembered: the public ones, and as many of callers' own as are asked for again.
const REMEMBERED_CARDS: usize = 1_024;
/// Their bytes at most.
const REMEMBERED_BYTES: usize = 16 << 20;
const MILLIS_PER_SECOND: i64 = 1_000;
/// What only an operator may do here.
const SEE_KEYS: &str = "see the card keys";
const CHANGE_KEYS: &str = "change the card keys";

/// What cards are signed with.
pub(in crate::service) struct CardKeys {
    keys: SigningKeys,
    jku: String,
    signed: Mutex<Remembered>,
}

/// Signed cards by digest of content and key.
#[derive(Default)]
struct Remembered {
    cards: HashMap<[u8; 32], Bytes>,
    bytes: usize,
}

/// A card with the broker's signatures.
pub(super) struct Signed {
    pub(super) json: Bytes,
    /// Of the content and the key: the same for the same, whatever a signature's randomness.
    pub(super) digest: [u8; 32],
    /// Since when its key signs.
    pub(super) since: Timestamp,
}

impl CardKeys {
    pub(in crate::service) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        public_url: &str,
        options: KeyOptions,
    ) -> Self {
        let keys = SigningKeys::new(store, clock, PURPOSE, options);
        Self { keys, jku: format!("{public_url}{CARD_JWKS_PATH}"), signed: Mutex::default() }
    }

    pub(in crate::service) fn keys(&self) -> &SigningKeys {
        &self.keys
    }

    pub(super) fn sign(&self, card: &AgentCard) -> Result<Signed, A2aError> {
        let unsigned = to_raw_value(card).map_err(|_| error::internal())?;
        let (ring, now) = (self.keys.ring(), self.keys.now());
        let key = ring.signing(now).ok_or_else(error::internal)?;
        let since = ring.iter().find(|(kid, ..)| *kid == key.id()).map_or(0, |(.., since)| since);
        let since = Timestamp::from_millis(i64::try_from(since).unwrap_or(0) * MILLIS_PER_SECOND);
        let digest = Sha256::new().chain_update(key.id()).chain_update([0]).chain_update(unsigned.get());
        let digest = digest.finalize().into();
        if let Some(json) = self.remembered(&digest) {
            return Ok(Signed { json, digest, since });
        }
        let json = self.write(key, &unsigned).map_err(|problem| {
            tracing::error!(problem, "a card cannot be signed");
            error::internal()
        })?;
        self.remember(digest, json.clone());
        Ok(Signed { json, digest, since })
    }

    /// One signature for each form that its readers tell apart.
    fn write(&self, key: &GrantKey, unsigned: &RawValue) -> Result<Bytes, String> {
        let protected = write_protected(key.algorithm().name(), key.id(), &self.jku);
        let protected = protected.map_err(|error| error.to_string())?;
        let mut contents: Vec<String> = Vec::new();
        for form in SignedForm::WRITTEN {
            let content = form.content(unsigned).map_err(|invalid| invalid.to_string())?;
            contents.extend(content.filter(|content| !contents.contains(content)));
        }
        let sign = |content: &String| {
            let signature = key.sign(CardSignature::signing_input(&protected, content).as_bytes());
            let signature = signature.map_err(|error| error.to_string())?;
            Ok(CardSignature { protected: protected.clone(), signature, unknown: Fields::default() })
        };
        let signatures: Result<Vec<_>, String> = contents.iter().map(sign).collect();
        let signed = with_signatures(unsigned, &signatures?).map_err(|invalid| invalid.to_string())?;
        Ok(Bytes::from(String::from(Box::<str>::from(signed))))
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<Bytes> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).cards.get(digest).cloned()
    }

    /// What is asked for often is soon there again, so a full memory is simply emptied.
    fn remember(&self, digest: [u8; 32], json: Bytes) {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if signed.cards.len() >= REMEMBERED_CARDS || signed.bytes + json.len() > REMEMBERED_BYTES {
            *signed = Remembered::default();
        }
        signed.bytes += json.len();
        signed.cards.insert(digest, json);
    }
}

impl Broker {
    /// The keys that verify the cards the broker serves.
    pub fn card_jwks(&self) -> serde_json::Value {
        self.card_keys.keys().jwks()
    }

    /// The keys cards are signed with, in the order in which they sign.
    pub fn list_card_keys(&self, caller: &Caller) -> Result<Vec<KeyView>, A2aError> {
        self.require_operator(caller, SEE_KEYS)?;
        Ok(self.card_keys.keys().views())
    }

    /// Lets the next key follow; with `compromised`, at once, and cards signed before verify no more.
    pub async fn rotate_card_keys(
        &self,
        caller: &Caller,
        compromised: bool,
    ) -> Result<Vec<KeyView>, A2aError> {
        self.require_operator(caller, CHANGE_KEYS)?;
        self.card_keys.keys().change(compromised, audit::by(caller)).await
    }
}
