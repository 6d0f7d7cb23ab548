//! What is counted by the day outlives a restart: it is written down in passing. What was used in the last seconds before a
//! crash is forgotten, in the favour of who used it; what open trees hold is told anew from them.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use broker_core::quota::Today;
use protocol::A2aError;
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::service::{Broker, error};

/// The document of what was used.
const DOCUMENT: &str = "quotas";
/// How often it is written, if there is anything new.
const PAUSE: Duration = Duration::from_secs(5);

/// What was used, as it is stored.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Document {
    principals: BTreeMap<String, Today>,
    accounts: BTreeMap<String, Today>,
    agents: BTreeMap<String, Today>,
}

impl Document {
    fn of(&mut self, kind: Kind) -> &mut BTreeMap<String, Today> {
        match kind {
            Kind::Principal => &mut self.principals,
            Kind::Account => &mut self.accounts,
            Kind::Agent => &mut self.agents,
        }
    }
}

impl Broker {
    /// Brings back what was used today. Call once, before anything is.
    pub async fn load_usage(&self) -> Result<(), A2aError> {
        let stored = self.store.document(DOCUMENT).await.map_err(|failure| error::store(&failure))?;
        let Some(stored) = stored else { return Ok(()) };
        let mut document: Document =
            serde_json::from_slice(&stored).map_err(|damage| error::damaged(&damage))?;
        let mut meters = self.quotas.lock();
        for kind in Kind::ALL {
            for (name, today) in std::mem::take(document.of(kind)) {
                meters.named(kind, &name).meter.restore(today);
            }
        }
        Ok(())
    }

    /// Writes down what was used today, if that has changed.
    pub(in crate::service) async fn keep_usage(&self) {
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
        let mut document = Document::default();
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
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(broker) = broker.upgrade() else { return };
        broker.keep_usage().await;
    }
}
