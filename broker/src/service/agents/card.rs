//! What becomes of a card that was fetched again: it replaces the one in use, or waits for an operator. Pure; what it
//! decides is stored and recorded by `agents.rs`.

use std::fmt;
use std::time::Duration;

use broker_core::Timestamp;
use broker_core::audit::{By, CardChanged, CardOutcome, Event, Hash};
use protocol::v03::read_card;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Agent;
use super::drift::{Change, Seen, Severity, Signature, compare};
use crate::address;
use crate::ports::downstream::{FetchedCard, Refetched};
use crate::ports::fetch::Caching;
use crate::service::card_trust::Standing;
use crate::service::resolution::Resolved;

/// Changes of a card remembered, newest first.
const MAX_HISTORY: usize = 16;
/// Sentences kept of one change; a card can have thousands of skills.
const MAX_SENTENCES: usize = 32;

/// How cards are kept fresh.
#[derive(Debug, Clone, Copy)]
pub struct CardOptions {
    /// How long a card is fresh whose agent does not say.
    pub max_age: Duration,
    /// Between two fetches at least, whatever an agent says.
    pub min_refresh: Duration,
    /// Between two fetches at most, whatever an agent says.
    pub max_refresh: Duration,
    /// What becomes of a card that claims more.
    pub drift: CardDrift,
}

/// What becomes of a card that claims more than the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardDrift {
    /// It is used at once.
    Accept,
    /// It waits until an operator accepts it; the one in use stays.
    Review,
}

impl Default for CardOptions {
    fn default() -> Self {
        Self {
            max_age: Duration::from_mins(5),
            min_refresh: Duration::from_secs(30),
            max_refresh: Duration::from_hours(24),
            drift: CardDrift::Review,
        }
    }
}

/// How an agent's card has changed since it was registered, and the card that waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Drift {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<Pending>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<Noted>,
}

/// A card that waits for an operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    card: String,
    url: String,
    changes: Vec<String>,
}

/// A change of a card that was noticed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noted {
    at: Timestamp,
    outcome: CardOutcome,
    #[serde(default)]
    changes: Vec<String>,
}

/// An agent as a fetched card leaves it, and what the audit log says of it.
pub(super) type Taken = (Agent, Option<Event>);

impl Drift {
    /// For people, newest first.
    pub(super) fn sentences(&self) -> Vec<String> {
        let sentence = |noted: &Noted, change: &str| format!("{} {noted}: {change}", noted.at);
        let of = |noted: &'_ Noted| -> Vec<String> {
            noted.changes.iter().map(|change| sentence(noted, change)).collect()
        };
        self.history.iter().flat_map(of).collect()
    }

    /// SHA-256 of the card that waits, so that what was looked at can be named when it is accepted.
    pub(super) fn pending_digest(&self) -> Option<Hash> {
        self.pending.as_ref().map(|pending| digest(pending.card.as_bytes()))
    }

    fn note(&mut self, at: Timestamp, outcome: CardOutcome, changes: Vec<String>) {
        self.history.insert(0, Noted { at, outcome, changes });
        self.history.truncate(MAX_HISTORY);
    }
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.outcome {
            CardOutcome::Held => "held for review",
            CardOutcome::Applied => "applied",
            CardOutcome::Accepted => "accepted",
            CardOutcome::Withdrawn => "withdrawn by the agent",
        })
    }
}

impl Agent {
    /// Whether a card of it that claims more waits for an operator.
    pub(in crate::service) fn waits_for_operator(&self) -> bool {
        self.drift.pending.is_some()
    }

    /// Takes over what was known of the same agent before its registration was read again.
    pub(super) fn follow(&mut self, before: &Self) {
        self.answers_with_tasks = before.answers_with_tasks;
        self.validators = before.validators.clone();
        self.drift = before.drift.clone();
        let Some(known) = &before.resolved else { return };
        let (card, original, url) = (known.card.clone(), known.original.clone(), self.url.clone());
        let card = FetchedCard { card, original, url, caching: Caching::default() };
        if let Ok(resolved) = self.resolve(card, known.fetched) {
            self.use_card(resolved);
        }
        self.keep_extended(known.extended.as_ref().map(|extended| extended.original.clone()));
    }

    /// What an answer to "has your card changed" makes of an agent; `None` if nothing. Fails with a sentence where the
    /// card cannot be used, and then the one in use stays.
    pub(super) fn take_in(
        &self,
        found: Refetched,
        policy: CardDrift,
        now: Timestamp,
    ) -> Result<Option<Taken>, String> {
        let card = match found {
            Refetched::Unchanged(caching) => return self.confirmed(&caching, policy, now),
            Refetched::Changed(card) if self.fetched_last() == Some(&card.original[..]) => {
                return self.confirmed(&card.caching, policy, now);
            }
            Refetched::Changed(card) => *card,
        };
        let mut agent = Self { validators: card.caching.validators.clone(), ..self.clone() };
        let original = card.original.clone();
        let pending = (String::from_utf8_lossy(&original).into_owned(), card.url.clone());
        let resolved = self.resolve(card, now)?;
        // What everybody is told is compared with what everybody was told.
        let Some(used) = self.clone().without_extended().resolved else {
            agent.drift.pending = None;
            agent.use_card(resolved);
            return Ok(Some((agent, None)));
        };
        let changes = compare(&seen(&used), &seen(&resolved), &self.host());
        let grows = changes.iter().any(|change| change.severity() == Severity::Growth);
        let sentences = sentences(&changes);
        let event = |outcome, changes: &[String]| self.card_changed(outcome, None, &original, changes);
        if grows && policy == CardDrift::Review {
            let said = event(CardOutcome::Held, &sentences);
            let (card, url) = pending;
            agent.drift.pending = Some(Pending { card, url, changes: sentences.clone() });
            agent.drift.note(now, CardOutcome::Held, sentences);
            return Ok(Some((agent, Some(said))));
        }
        let withdrawn = agent.drift.pending.take();
        let said = match (&withdrawn, grows) {
            (_, true) => Some(event(CardOutcome::Applied, &sentences)),
            (Some(withdrawn), false) => Some(event(CardOutcome::Withdrawn, &withdrawn.changes)),
            (None, false) => None,
        };
        if let Some(withdrawn) = withdrawn {
            agent.drift.note(now, CardOutcome::Withdrawn, withdrawn.changes);
        }
        if !sentences.is_empty() {
            agent.drift.note(now, CardOutcome::Applied, sentences);
        }
        agent.replace_card(resolved);
        Ok(Some((agent, said)))
    }

    /// The same agent with the card that waits. Fails with a sentence.
    pub(super) fn accept(&self, named: Option<Hash>, by: By, now: Timestamp) -> Result<Taken, String> {
        let Some(pending) = &self.drift.pending else {
            return Err(format!("no card of {} waits; the one it serves is in use", self.name));
        };
        let waiting = digest(pending.card.as_bytes());
        if named.is_some_and(|named| named != waiting) {
            return Err(format!(
                "the card of {} that waits is {waiting} now; look at it again before accepting it",
                self.name
            ));
        }
        self.adopt(pending, CardOutcome::Accepted, Some(by), now)
    }

    fn adopt(
        &self,
        pending: &Pending,
        outcome: CardOutcome,
        by: Option<By>,
        now: Timestamp,
    ) -> Result<Taken, String> {
        let original = pending.card.clone().into_bytes();
        let card = read_card(&original).map_err(|problem| problem.to_string())?;
        let (url, caching) = (pending.url.clone(), Caching::default());
        let card = FetchedCard { card, original: original.clone().into(), url, caching };
        let resolved = self.resolve(card, now)?;
        let event = self.card_changed(outcome, by, &original, &pending.changes);
        let mut agent = self.clone();
        agent.drift.pending = None;
        agent.drift.note(now, outcome, pending.changes.clone());
        agent.replace_card(resolved);
        Ok((agent, Some(event)))
    }

    /// Whether there is a card that an agent could say of that it is unchanged.
    pub(super) fn has_card(&self) -> bool {
        self.fetched_last().is_some()
    }

    /// The card fetched last, in use or not.
    fn fetched_last(&self) -> Option<&[u8]> {
        let pending = self.drift.pending.as_ref().map(|pending| pending.card.as_bytes());
        pending.or_else(|| self.resolved.as_ref().map(|resolved| &resolved.original[..]))
    }

    /// The card is the one that is known; what to ask with may be new. One that waits does so no longer if the
    /// configuration has come to accept all.
    fn confirmed(
        &self,
        caching: &Caching,
        policy: CardDrift,
        now: Timestamp,
    ) -> Result<Option<Taken>, String> {
        let known = Caching { validators: self.validators.clone(), max_age: None };
        let validators = known.confirmed(caching).validators;
        let is_news = validators != self.validators;
        let agent = Self { validators, ..self.clone() };
        match &self.drift.pending {
            Some(pending) if policy == CardDrift::Accept => {
                agent.adopt(pending, CardOutcome::Applied, None, now).map(Some)
            }
            _ => Ok(is_news.then_some((agent, None))),
        }
    }

    fn card_changed(&self, outcome: CardOutcome, by: Option<By>, card: &[u8], changes: &[String]) -> Event {
        let (agent, card_sha256, changes) = (self.name.clone(), digest(card), changes.to_vec());
        Event::CardChanged(CardChanged { agent, outcome, by, card_sha256, changes })
    }

    fn host(&self) -> String {
        url::Url::parse(&self.url).ok().as_ref().and_then(address::host).unwrap_or_default()
    }
}

fn seen(resolved: &Resolved) -> Seen<'_> {
    let signature = match &resolved.standing {
        Standing::Verified { kid } => Signature::By(Some(kid.clone())),
        Standing::Unjudged => Signature::By(None),
        Standing::Unsigned => Signature::None,
    };
    Seen { resolved, signature }
}

fn sentences(changes: &[Change]) -> Vec<String> {
    let by_weight = |severity| changes.iter().filter(move |change| change.severity() == severity);
    let all = by_weight(Severity::Growth).chain(by_weight(Severity::Harmless)).map(ToString::to_string);
    let mut kept: Vec<String> = all.take(MAX_SENTENCES).collect();
    let more = changes.len() - kept.len();
    if more > 0 {
        kept.push(format!("and {more} changes more"));
    }
    kept
}

fn digest(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use broker_core::extension;
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn card(skills: &[&str], params: &Value) -> Value {
        let skill = |id: &&str| json!({ "id": id, "name": id, "description": "", "tags": [] });
        json!({
            "name": "a", "description": "", "version": "1",
            "supportedInterfaces": [{ "url": "http://h:1", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
            "capabilities": { "extensions": [{ "uri": extension::URI, "params": params }] },
            "skills": skills.iter().map(skill).collect::<Vec<_>>(),
        })
    }

    /// An agent whose credential opens its extended card to the broker.
    fn agent(public: &str, extended: &str) -> Agent {
        let document = json!({
            "url": "http://h:1", "caps": ["a2a:skill/**", "mcp:tool/**"], "source": "api", "fetched": Timestamp::default(),
            "auth": { "bearer": { "env": "TOKEN" } }, "card": public, "extended": extended,
        });
        Agent::restored("a".to_owned(), serde_json::from_value(document).unwrap()).unwrap()
    }

    #[test]
    fn a_harmless_change_of_the_public_card_forgets_nothing_of_the_extended_one_and_is_compared_without_it() {
        let public = |version: &str| {
            let mut card = card(&["old"], &json!({ "caps": ["mcp:tool/**"] }));
            (card["version"], card["capabilities"]["extendedAgentCard"]) = (version.into(), true.into());
            card.to_string()
        };
        let more =
            json!({ "caps": ["mcp:tool/x"], "requires": { "old": ["mcp:tool/y"], "new": ["mcp:tool/x"] } });
        let agent = agent(&public("1"), &card(&["old", "new"], &more).to_string());
        let facts = |agent: &Agent| {
            let resolved = agent.resolved.as_ref().expect("a card is in use");
            let skills = resolved.facts.skills.iter().map(|skill| (skill.id.clone(), skill.requires.texts()));
            (resolved.facts.caps.texts(), skills.collect::<Vec<_>>())
        };
        let before = facts(&agent);
        assert_eq!(before.1.len(), 2, "the extended card counts: {before:?}");
        let original = Bytes::from(public("2"));
        let card = FetchedCard {
            card: read_card(&original).unwrap(),
            original,
            url: "http://h:1".to_owned(),
            caching: Caching::default(),
        };
        let found = Refetched::Changed(Box::new(card));
        let (after, event) = agent.take_in(found, CardDrift::Review, Timestamp::default()).unwrap().unwrap();
        assert!(event.is_none(), "nothing waits for an operator: {event:?}");
        assert_eq!(after.resolved.as_ref().unwrap().card.version, "2");
        assert_eq!(facts(&after), before, "what the extended card said goes on counting");
    }
}
