//! Where several brokers share a store, each of them meters what comes to it and what becomes of its trees, and tells the
//! others once a second: what all of them use counts against a quota, except what the others have used since they were last
//! heard. Why not exactly: [decision 31](../../../../docs/decisions/0031-quotas-of-many-brokers.md).

use std::collections::HashMap;
use std::time::Duration;

use broker_core::Timestamp;
use broker_core::quota::Share;
use protocol::A2aError;
use uuid::Uuid;

use super::usage::Document;
use super::{QuotaTable, Quotas, Subject};
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
    pub(in crate::service) async fn exchange_usage(&self) -> Result<(), A2aError> {
        let own = self.quotas.shares(self.clock.now());
        let own = serde_json::to_vec(&own).map_err(|damage| error::damaged(&damage))?;
        let others = self.store.exchange_usage(own.into()).await.map_err(|failure| error::store(&failure))?;
        self.quotas.hear(others, self.clock.now());
        Ok(())
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
    fn hear(&self, others: Vec<Usage>, now: Timestamp) {
        // Nobody waits while it is read.
        let others: Vec<_> = others.into_iter().filter_map(Word::read).collect();
        let table = self.table();
        let mut meters = self.lock();
        let told = meters.heard.weigh(others);
        for (subject, (shares, messages)) in told {
            let quota = table.of(&subject);
            meters.of(&subject).meter.hear(&quota, Share::together(shares, now), messages, now);
        }
    }
}

/// What another broker said.
struct Word {
    broker: Uuid,
    shares: Vec<(Subject, Share)>,
}

impl Word {
    /// What cannot be read keeps nobody from hearing the others.
    fn read(usage: Usage) -> Option<Self> {
        let Usage { broker, is_there, has_trees, said } = usage;
        let said = serde_json::from_slice::<Document<Share>>(&said);
        let said = said.inspect_err(|error| {
            tracing::warn!(%broker, %error, "what another broker says it uses of quotas cannot be read");
        });
        let still = |share: Share| match (is_there, has_trees) {
            (true, _) => share,
            (false, true) => share.of_its_trees(),
            (false, false) => share.left_behind(),
        };
        Some(Self {
            broker,
            shares: said.ok()?.into_all().map(|(subject, share)| (subject, still(share))).collect(),
        })
    }
}

/// What others use of something, and how many of their messages are new.
type Told = HashMap<Subject, (Vec<Share>, u64)>;

impl Heard {
    /// What there is to count, of all of whom anything was said now or the last time.
    fn weigh(&mut self, words: Vec<Word>) -> Told {
        let (mut told, mut messages) = (Told::new(), HashMap::new());
        for Word { broker, shares } in words {
            let before = self.messages.get(&broker);
            let mut own = HashMap::new();
            for (subject, share) in shares {
                // One that is gone says nothing new.
                let counted = share.messages;
                let known = before.and_then(|before| before.get(&subject)).copied().unwrap_or_default();
                let (shares, news) = told.entry(subject.clone()).or_default();
                *news += if self.is_begun { news_of(known, counted) } else { 0 };
                shares.push(share);
                own.insert(subject, counted);
            }
            messages.insert(broker, own);
        }
        let before = std::mem::replace(&mut self.messages, messages);
        self.is_begun = true;
        for subject in before.into_values().flat_map(HashMap::into_keys) {
            // Of whom nothing is said any more, nothing is used elsewhere.
            told.entry(subject).or_default();
        }
        told
    }
}

/// How many messages are new to who had heard of so many of them. A broker that had forgotten somebody counts from the
/// beginning.
fn news_of(before: u64, messages: u64) -> u64 {
    messages.checked_sub(before).unwrap_or(messages)
}

fn is_worth_telling(table: &QuotaTable, subject: &Subject, share: &Share) -> bool {
    let limit = table.of(subject).open_tasks;
    // Whose rate was lifted is told of on: else all its messages were news once it has one again.
    table.has_quota(subject)
        || share.messages > 0
        || limit.is_some_and(|limit| share.open.saturating_mul(100) >= limit.saturating_mul(WORTH_TELLING))
}

#[cfg(test)]
mod tests {
    use broker_core::quota::Quota;

    use super::super::Kind;
    use super::*;

    fn noon() -> Timestamp {
        Timestamp::from_millis(43_200_000)
    }

    fn alice() -> Subject {
        Subject::new(Kind::Principal, "alice")
    }

    fn quotas(messages_per_minute: u64) -> Quotas {
        let mut table = QuotaTable::new(Some(100));
        let quota = Quota { messages_per_minute: Some(messages_per_minute), ..Quota::default() };
        assert!(table.add(Kind::Principal, Some("alice"), quota));
        Quotas::new(table)
    }

    fn said(broker: u128, is_there: bool, share: Share) -> Usage {
        let mut document = Document::default();
        document.of(Kind::Principal).insert("alice".to_owned(), share);
        let said = serde_json::to_vec(&document).unwrap().into();
        Usage { broker: Uuid::from_u128(broker), is_there, has_trees: false, said }
    }

    fn messages(messages: u64) -> Share {
        Share { messages, ..Share::default() }
    }

    fn counted(quotas: &Quotas) -> u64 {
        let quota = quotas.table().of(&alice());
        quotas.lock().of(&alice()).meter.read(&quota, noon()).messages
    }

    #[test]
    fn of_messages_only_what_is_new_is_counted_and_nothing_from_before_anybody_was_heard() {
        let quotas = quotas(60);
        quotas.hear(vec![said(1, true, messages(40))], noon());
        assert_eq!(counted(&quotas), 0, "they were sent nobody knows when");
        quotas.hear(vec![said(1, true, messages(43)), said(2, true, messages(2))], noon());
        assert_eq!(counted(&quotas), 5, "the second broker is new itself");
        quotas.hear(vec![said(1, true, messages(43)), said(2, true, messages(2))], noon());
        assert_eq!(counted(&quotas), 5, "once");
        quotas.hear(vec![said(1, false, messages(44))], noon());
        quotas.hear(vec![said(1, true, messages(1))], noon());
        assert_eq!(counted(&quotas), 6, "it had forgotten her, and counts anew");
    }

    #[test]
    fn what_cannot_be_read_keeps_nobody_from_hearing_the_others() {
        let quotas = quotas(60);
        let broken = Usage { said: "no JSON".into(), ..said(9, true, messages(1)) };
        let open = Share { open: 7, ..Share::default() };
        quotas.hear(vec![broken, said(1, true, open)], noon());
        let quota = quotas.table().of(&alice());
        let read = |quotas: &Quotas| quotas.lock().of(&alice()).meter.read(&quota, noon()).open_tasks;
        assert_eq!(read(&quotas), 7);
        let gone = Usage { is_there: false, has_trees: true, ..said(1, true, Share { calls: 1, ..open }) };
        quotas.hear(vec![gone], noon());
        assert_eq!(read(&quotas), 7, "nobody has its trees yet");
        assert_eq!(
            quotas.lock().of(&alice()).meter.read(&quota, noon()).calls,
            0,
            "nobody waits at it any more"
        );
        quotas.hear(vec![said(1, false, open)], noon());
        assert_eq!(read(&quotas), 0, "others count them");
    }

    #[test]
    fn whose_rate_was_lifted_is_told_of_on() {
        let quotas = quotas(60);
        quotas.take_message(&[alice()], noon()).ok().unwrap();
        quotas.keep_message(&[alice()]);
        quotas.replace(QuotaTable::new(Some(100)));
        let told: Vec<_> = quotas.shares(noon()).into_all().collect();
        assert_eq!(told, [(alice(), messages(1))]);
    }

    #[test]
    fn what_was_refused_takes_nothing_of_the_rate_anywhere() {
        let quotas = std::sync::Arc::new(quotas(60));
        quotas.take_message(&[alice()], noon()).ok().unwrap();
        let mut refused = super::super::Reservation::new(&quotas, vec![alice()]);
        refused.is_message = true;
        drop(refused);
        assert_eq!(counted(&quotas), 0);
        assert!(quotas.shares(noon()).into_all().next().is_none());
    }
}
