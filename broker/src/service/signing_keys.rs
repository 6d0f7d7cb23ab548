//! The life of the keys of one purpose: loaded at start, followed by the next in time, changed at once when one is known
//! to others. A ring is durable before it is used.

mod key_ring;

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use broker_core::Timestamp;
use broker_core::audit::{By, Event, KeyFollows, Signs};
use bytes::Bytes;
use capability::{Algorithm, GrantKey};
use protocol::A2aError;
use schemars::JsonSchema;
use serde::Serialize;

pub(super) use self::key_ring::KeyRing;
use self::key_ring::PUBLICATION_LEAD_SECONDS;
use super::{Broker, audit, error};
use crate::ports::clock::Clock;
use crate::ports::store::Store;

/// Between two looks at whether a key's time has come.
const TEND_EVERY: Duration = Duration::from_mins(1);
const MILLIS_PER_SECOND: i64 = 1_000;
/// Secrets tried before giving up: one in 2³² is no key of P-256.
const TRIES: usize = 3;

/// What keys are for. No key is for two things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    /// The store's name for the ring.
    pub(super) document: &'static str,
    /// From a key's last signature to its withdrawal, in seconds.
    pub(super) overlap_seconds: u64,
    /// What the audit log says they sign.
    pub(super) signs: Signs,
}

/// How a purpose's keys are made.
#[derive(Debug, Clone, Copy)]
pub struct KeyOptions {
    /// What new keys are for.
    pub algorithm: Algorithm,
    /// Age of a signing key at which the next one follows; zero is never.
    pub rotate_every: Duration,
}

/// A key, as operators see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KeyView {
    /// Names it in tokens and in the key set.
    pub kid: String,
    /// What it signs with.
    #[schemars(with = "String")]
    pub algorithm: Algorithm,
    /// When it signs for the first time.
    pub signs_from: Timestamp,
    /// Whether it is the one that signs now.
    pub signs: bool,
}

pub(super) struct SigningKeys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    purpose: Purpose,
    options: KeyOptions,
    ring: RwLock<Arc<KeyRing>>,
    /// Held while the ring changes: as it is stored.
    changing: tokio::sync::Mutex<Option<Bytes>>,
}

impl SigningKeys {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        purpose: Purpose,
        options: KeyOptions,
    ) -> Self {
        let (ring, changing) = (RwLock::default(), tokio::sync::Mutex::default());
        Self { store, clock, purpose, options, ring, changing }
    }

    pub(super) async fn load(&self) -> Result<(), A2aError> {
        self.reload().await?;
        self.tend().await
    }

    /// Reads the ring as it is stored.
    pub(super) async fn reload(&self) -> Result<(), A2aError> {
        self.reread(&mut *self.changing.lock().await).await
    }

    async fn reread(&self, known: &mut Option<Bytes>) -> Result<(), A2aError> {
        let stored = self.store.document(self.purpose.document).await;
        *known = stored.map_err(|failure| error::store(&failure))?;
        if let Some(document) = known {
            self.use_ring(KeyRing::read(document).map_err(|damage| error::damaged(&damage))?);
        }
        Ok(())
    }

    /// Lets the next key follow if it is time, and old ones go.
    async fn tend(&self) -> Result<(), A2aError> {
        let mut known = self.changing.lock().await;
        loop {
            let (ring, now) = (self.ring(), self.now());
            let kept = if ring.is_due(self.options.algorithm, self.options.rotate_every.as_secs(), now) {
                // The first key has nobody to wait for.
                let lead = if ring.len() == 0 { 0 } else { PUBLICATION_LEAD_SECONDS };
                self.follow(&mut known, &ring, now.saturating_add(lead), None).await?
            } else {
                let kept = ring.without_retired(self.purpose.overlap_seconds, now);
                kept.len() == ring.len() || self.keep(&mut known, kept, None).await?
            };
            if kept {
                return Ok(());
            }
        }
    }

    /// Publishes the next key now, to sign after the lead. One that waits already is the next.
    async fn rotate(&self, by: By) -> Result<(), A2aError> {
        let mut known = self.changing.lock().await;
        loop {
            let (ring, now) = (self.ring(), self.now());
            let signs_from = now.saturating_add(PUBLICATION_LEAD_SECONDS);
            if ring.is_changing(now) || self.follow(&mut known, &ring, signs_from, Some(by.clone())).await? {
                return Ok(());
            }
        }
    }

    /// A new key at once, and none but it: nothing signed before counts any more.
    async fn replace(&self, by: By) -> Result<(), A2aError> {
        let mut known = self.changing.lock().await;
        loop {
            let ring = self.longer(&self.ring(), self.now())?.only_last();
            let said = self.follows(&ring, Some(by.clone()), true);
            if self.keep(&mut known, ring, said).await? {
                return Ok(());
            }
        }
    }

    /// Lets the next key follow; at once where others know the one that signs.
    pub(super) async fn change(&self, compromised: bool, by: By) -> Result<Vec<KeyView>, A2aError> {
        let changed = if compromised { self.replace(by).await } else { self.rotate(by).await };
        changed.map(|()| self.views())
    }

    async fn follow(
        &self,
        known: &mut Option<Bytes>,
        ring: &KeyRing,
        signs_from: u64,
        by: Option<By>,
    ) -> Result<bool, A2aError> {
        let ring = self.longer(ring, signs_from)?;
        let said = self.follows(&ring, by, false);
        self.keep(known, ring, said).await
    }

    /// What the audit log says of the last key of a ring.
    fn follows(&self, ring: &KeyRing, by: Option<By>, compromised: bool) -> Option<Event> {
        let (kid, _, from) = ring.iter().last()?;
        let (kid, signs) = (kid.to_owned(), self.purpose.signs);
        Some(Event::KeyFollows(KeyFollows { signs, by, kid, from, compromised }))
    }

    fn longer(&self, ring: &KeyRing, signs_from: u64) -> Result<KeyRing, A2aError> {
        for _ in 0..TRIES {
            let secret = self.clock.new_secret().map_err(|problem| error::damaged(&problem))?;
            if let Ok(ring) = ring.with(self.options.algorithm, secret, signs_from) {
                return Ok(ring);
            }
        }
        Err(error::internal())
    }

    /// Keeps another ring; `false` if another broker was faster, whose ring is the one that holds.
    async fn keep(
        &self,
        known: &mut Option<Bytes>,
        ring: KeyRing,
        said: Option<Event>,
    ) -> Result<bool, A2aError> {
        let document = Bytes::from(ring.write().map_err(|damage| error::damaged(&damage))?);
        let said = said.map(|event| audit::entry(self.clock.now(), &event)).transpose()?;
        let (name, before) = (self.purpose.document, known.clone());
        let replaced = self.store.replace_document(name, before, document.clone(), said).await;
        if !replaced.map_err(|failure| error::store(&failure))? {
            self.reread(known).await?;
            return Ok(false);
        }
        *known = Some(document);
        self.use_ring(ring);
        Ok(true)
    }

    fn use_ring(&self, ring: KeyRing) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    pub(super) fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The public halves (RFC 7517).
    pub(super) fn jwks(&self) -> serde_json::Value {
        self.ring().published().to_jwks()
    }

    /// Seconds since the epoch.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.clock.now().as_millis() / MILLIS_PER_SECOND).unwrap_or(0)
    }

    /// The keys, in the order in which they sign.
    pub(super) fn views(&self) -> Vec<KeyView> {
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

/// Looks after the keys for as long as the broker is there.
pub(super) async fn tend(broker: Weak<Broker>) {
    loop {
        tokio::time::sleep(TEND_EVERY).await;
        let Some(broker) = broker.upgrade() else { return };
        for keys in [broker.grants.keys(), broker.card_keys.keys()] {
            if let Err(error) = keys.tend().await {
                let keys = keys.purpose.document;
                tracing::warn!(keys, %error, "the keys could not be looked after; tried again in a minute");
            }
        }
    }
}
