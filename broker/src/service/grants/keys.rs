//! The life of the signing keys: loaded at start, followed by the next in time, changed at once when one is known to
//! others. A ring is durable before it is used.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use broker_core::Timestamp;
use capability::{Algorithm, GrantKey};
use protocol::A2aError;
use serde::Serialize;

use super::key_ring::{KeyRing, PUBLICATION_LEAD_SECONDS};
use super::{Broker, Grants, MILLIS_PER_SECOND, told};
use crate::service::Caller;

/// The store's name for the ring.
const DOCUMENT: &str = "grant-keys";
/// Between two looks at whether a key's time has come.
const TEND_EVERY: Duration = Duration::from_mins(1);
/// What only an operator may do here.
const SEE_KEYS: &str = "see the grant keys";
const CHANGE_KEYS: &str = "change the grant keys";
/// Secrets tried before giving up: one in 2³² is no key of P-256.
const TRIES: usize = 3;

/// A key, as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct KeyView {
    /// Names it in tokens and in the key set.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// When it signs its first grant.
    pub signs_from: Timestamp,
    /// Whether it is the one that signs now.
    pub signs: bool,
}

impl Grants {
    async fn load(&self) -> Result<(), A2aError> {
        let stored = self.store.document(DOCUMENT).await.map_err(|failure| told::store(&failure))?;
        if let Some(document) = stored {
            self.use_ring(KeyRing::read(&document).map_err(|damage| told::damaged(&damage))?);
        }
        self.tend().await
    }

    /// Lets the next key follow if it is time, and old ones go.
    async fn tend(&self) -> Result<(), A2aError> {
        let _turn = self.changing.lock().await;
        let (ring, now) = (self.ring(), self.now());
        if ring.is_due(self.options.algorithm, self.options.rotate_every.as_secs(), now) {
            // The first key has nobody to wait for.
            let lead = if ring.len() == 0 { 0 } else { PUBLICATION_LEAD_SECONDS };
            return self.follow(&ring, now.saturating_add(lead)).await;
        }
        let kept = ring.without_retired(now);
        if kept.len() < ring.len() { self.keep(kept).await } else { Ok(()) }
    }

    /// Publishes the next key now, to sign after the lead. One that waits already is the next.
    async fn rotate(&self) -> Result<(), A2aError> {
        let _turn = self.changing.lock().await;
        let (ring, now) = (self.ring(), self.now());
        if ring.is_changing(now) {
            return Ok(());
        }
        self.follow(&ring, now.saturating_add(PUBLICATION_LEAD_SECONDS)).await
    }

    /// A new key at once, and none but it: every grant signed before is dead.
    async fn replace(&self) -> Result<(), A2aError> {
        let _turn = self.changing.lock().await;
        let ring = self.longer(&self.ring(), self.now())?;
        self.keep(ring.only_last()).await
    }

    async fn follow(&self, ring: &KeyRing, signs_from: u64) -> Result<(), A2aError> {
        self.keep(self.longer(ring, signs_from)?).await
    }

    fn longer(&self, ring: &KeyRing, signs_from: u64) -> Result<KeyRing, A2aError> {
        for _ in 0..TRIES {
            let secret = self.clock.new_secret().map_err(|problem| told::damaged(&problem))?;
            if let Ok(ring) = ring.with(self.options.algorithm, secret, signs_from) {
                return Ok(ring);
            }
        }
        Err(told::internal())
    }

    async fn keep(&self, ring: KeyRing) -> Result<(), A2aError> {
        let document = ring.write().map_err(|damage| told::damaged(&damage))?;
        self.store.put_document(DOCUMENT, document.into()).await.map_err(|failure| told::store(&failure))?;
        self.use_ring(ring);
        Ok(())
    }

    fn use_ring(&self, ring: KeyRing) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    fn views(&self) -> Vec<KeyView> {
        let (ring, now) = (self.ring(), self.now());
        let signing = ring.signing(now).map(GrantKey::id);
        let view = |(kid, algorithm, signs_from): (&str, Algorithm, u64)| KeyView {
            kid: kid.to_owned(),
            algorithm,
            signs_from: Timestamp::from_millis(i64::try_from(signs_from).unwrap_or(0) * MILLIS_PER_SECOND),
            signs: signing == Some(kid),
        };
        ring.iter().map(view).collect()
    }
}

impl Broker {
    /// Takes up the keys grants are signed with, or makes the first. Call once, before anything is sent.
    pub async fn load_keys(&self) -> Result<(), A2aError> {
        self.grants.load().await
    }

    /// The keys, in the order in which they sign.
    pub fn keys(&self, caller: &Caller) -> Result<Vec<KeyView>, A2aError> {
        self.require_operator(caller, SEE_KEYS)?;
        Ok(self.grants.views())
    }

    /// Lets the next key follow; with `compromised`, at once, and with it every grant signed before is dead.
    pub async fn rotate_keys(&self, caller: &Caller, compromised: bool) -> Result<Vec<KeyView>, A2aError> {
        self.require_operator(caller, CHANGE_KEYS)?;
        let changed = if compromised { self.grants.replace().await } else { self.grants.rotate().await };
        changed?;
        Ok(self.grants.views())
    }
}

/// Looks after the keys for as long as the broker is there.
pub(in crate::service) async fn tend(broker: Weak<Broker>) {
    loop {
        tokio::time::sleep(TEND_EVERY).await;
        let Some(broker) = broker.upgrade() else { return };
        if let Err(error) = broker.grants.tend().await {
            tracing::warn!(%error, "the grant keys could not be looked after; tried again in a minute");
        }
    }
}
