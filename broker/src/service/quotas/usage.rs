//! What is counted by the day outlives a restart: it is written down in passing. What was used in the last seconds before a
//! crash is forgotten, in the favour of who used it; what open trees hold is told anew from them. Where brokers share a store,
//! what each of them last told the others is what outlives it ([`shared`](super::shared)).

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use broker_core::quota::Today;
use protocol::A2aError;
use serde::{Deserialize, Serialize};

use super::{Kind, Subject, shared};
use crate::service::{Broker, error};

/// The document of what was used.
const DOCUMENT: &str = "quotas";
/// How often it is written, if there is anything new.
const PAUSE: Duration = Duration::from_secs(5);

/// What is said of subjects, as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Document<T> {
    #[serde(default = "BTreeMap::new")]
    principals: BTreeMap<String, T>,
    #[serde(default = "BTreeMap::new")]
    accounts: BTreeMap<String, T>,
    #[serde(default = "BTreeMap::new")]
    agents: BTreeMap<String, T>,
}

impl<T> Default for Document<T> {
    fn default() -> Self {
        Self { principals: BTreeMap::new(), accounts: BTreeMap::new(), agents: BTreeMap::new() }
    }
}

impl<T> Document<T> {
    pub(super) fn of(&mut self, kind: Kind) -> &mut BTreeMap<String, T> {
        match kind {
            Kind::Principal => &mut self.principals,
            Kind::Account => &mut self.accounts,
            Kind::Agent => &mut self.agents,
        }
    }

    /// All there is, and of whom.
    pub(super) fn into_all(mut self) -> impl Iterator<Item = (Subject, T)> {
        let all = Kind::ALL.map(|kind| std::mem::take(self.of(kind)).into_iter().map(move |one| (kind, one)));
        all.into_iter().flatten().map(|(kind, (name, said))| (Subject { kind, name }, said))
    }
}

impl Broker {
    /// Brings back what was used today. Call once, before anything is. Brokers that share a store hear it from each other.
    pub async fn load_usage(&self) -> Result<(), A2aError> {
        if self.store.is_shared() {
            return Ok(());
        }
        let stored = self.store.document(DOCUMENT).await.map_err(|failure| error::store(&failure))?;
        let Some(stored) = stored else { return Ok(()) };
        let document: Document<Today> =
            serde_json::from_slice(&stored).map_err(|damage| error::damaged(&damage))?;
        let mut meters = self.quotas.lock();
        for (subject, today) in document.into_all() {
            meters.of(&subject).meter.restore(today);
        }
        Ok(())
    }

    /// Writes down what was used today, if that has changed.
    pub(in crate::service) async fn keep_usage(&self) {
        if self.store.is_shared() {
            if let Err(failure) = self.exchange_usage().await {
                tracing::warn!(
                    reason = failure.message,
                    "brokers could not tell each other what is used of quotas; each counts what it knew"
                );
            }
            return;
        }
        let Some(document) = self.usage() else { return };
        if let Err(failure) = self.store.put_document(DOCUMENT, document.into(), None).await {
            self.quotas.lock().is_news = true;
            tracing::warn!(%failure, "what was used of quotas is not stored");
        }
    }

    fn usage(&self) -> Option<Vec<u8>> {
        let now = self.clock.now();
        let mut meters = self.quotas.lock();
        meters.tidy(now);
        if !std::mem::take(&mut meters.is_news) {
            return None;
        }
        let mut document: Document<Today> = Document::default();
        let used = meters.iter().map(|(kind, name, metered)| (kind, name, metered.meter.today()));
        for (kind, name, today) in used.filter(|(_, _, today)| today.is_anything()) {
            document.of(kind).insert(name.clone(), today);
        }
        drop(meters);
        serde_json::to_vec(&document).ok()
    }
}

/// Writes it down now and then, until the broker is gone.
pub(in crate::service) async fn tend(broker: Weak<Broker>) {
    let Some(is_shared) = broker.upgrade().map(|broker| broker.store.is_shared()) else { return };
    let pause = if is_shared { shared::PAUSE } else { PAUSE };
    loop {
        tokio::time::sleep(pause).await;
        let Some(broker) = broker.upgrade() else { return };
        broker.keep_usage().await;
    }
}
