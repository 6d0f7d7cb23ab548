//! Where several brokers share a store, each of them meters what comes to it and what becomes of its trees, and tells the
//! others once a second: what all of them use counts against a quota, except what the others have used since they last said
//! so. Why not exactly: [decision 31](../../../../docs/decisions/0031-quotas-of-many-brokers.md).

use std::collections::HashMap;
use std::time::Duration;

use broker_core::Timestamp;
use broker_core::quota::Share;
use protocol::A2aError;
use uuid::Uuid;

use super::usage::Document;
use super::{Meters, QuotaTable, Quotas, Subject};
use crate::ports::store::Usage;
use crate::service::{Broker, error};

/// How often brokers tell each other.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Whoever has no quota but the bound on open tasks is told of from this share of it on, in hundredths: so that what is told
/// does not grow with all who ask for little.
const WORTH_TELLING: u64 = 1;

/// What the other brokers have said.
#[derive(Default)]
pub(super) struct Heard {
    /// How many messages of a subject each had counted, by when it last spoke.
    messages: HashMap<Uuid, HashMap<Subject, u64>>,
    /// Whether they were heard at all. What they had counted before is of a time this broker knows nothing of.
    is_begun: bool,
}

impl Broker {
    /// Tells the other brokers what is used here, and hears what they use.
    pub(super) async fn exchange_usage(&self) -> Result<(), A2aError> {
        let now = self.clock.now();
        let own = serde_json::to_vec(&self.quotas.shares(now)).map_err(|damage| error::damaged(&damage))?;
        let others = self.store.exchange_usage(own.into()).await.map_err(|failure| error::store(&failure))?;
        self.quotas.hear(others, now).map_err(|damage| error::damaged(&damage))
    }
}

impl Quotas {
    /// What is used here.
    fn shares(&self, now: Timestamp) -> Document<Share> {
        let table = self.table();
        let (mut document, mut meters) = (Document::default(), self.lock());
        meters.tidy(now);
        for (kind, name, metered) in meters.iter() {
            let share = metered.meter.share();
            if share != Share::default() && is_worth_telling(&table, &Subject::new(kind, name), &share) {
                document.of(kind).insert(name.clone(), share);
            }
        }
        document
    }

    /// What was used elsewhere counts here from now on, instead of what was said before.
    fn hear(&self, others: Vec<Usage>, now: Timestamp) -> Result<(), serde_json::Error> {
        let mut told: HashMap<Subject, (Vec<Share>, u64)> = HashMap::new();
        let mut meters = self.lock();
        let is_first = !std::mem::replace(&mut meters.heard.is_begun, true);
        let mut heard = HashMap::new();
        for Usage { broker, is_there, said } in others {
            let before = meters.heard.messages.get(&broker);
            let mut messages = HashMap::new();
            for (subject, share) in serde_json::from_slice::<Document<Share>>(&said)?.into_all() {
                messages.insert(subject.clone(), share.messages);
                let (shares, news) = told.entry(subject.clone()).or_default();
                shares.push(if is_there { share } else { share.left_behind() });
                let before = before.and_then(|before| before.get(&subject)).copied();
                *news += if is_first { 0 } else { news_of(before.unwrap_or_default(), share.messages) };
            }
            heard.insert(broker, messages);
        }
        let before = std::mem::replace(&mut meters.heard.messages, heard);
        for subject in before.into_values().flat_map(HashMap::into_keys) {
            // Of whom nothing is said any more, nothing is used elsewhere.
            told.entry(subject).or_default();
        }
        meters.count_others(&self.table(), told, now);
        Ok(())
    }
}

/// How many messages are new to who had heard of so many of them. A broker that had nothing to say of somebody for a while
/// counts from the beginning.
fn news_of(before: u64, messages: u64) -> u64 {
    messages.checked_sub(before).unwrap_or(messages)
}

fn is_worth_telling(table: &QuotaTable, subject: &Subject, share: &Share) -> bool {
    let limit = table.of(subject).open_tasks;
    table.has_quota(subject)
        || limit.is_some_and(|limit| share.open.saturating_mul(100) >= limit.saturating_mul(WORTH_TELLING))
}

impl Meters {
    fn count_others(
        &mut self,
        table: &QuotaTable,
        told: HashMap<Subject, (Vec<Share>, u64)>,
        now: Timestamp,
    ) {
        for (subject, (shares, messages)) in told {
            let quota = table.of(&subject);
            self.of(&subject).meter.hear(&quota, Share::together(shares, now), messages, now);
        }
    }
}
