//! Keeping cards fresh: each agent is asked whether its card has changed when the time comes that it named itself,
//! within bounds. An agent that does not answer keeps its last good card, and is asked again, less and less often.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use broker_core::Timestamp;
use broker_core::audit::Event;
use protocol::{A2aError, ErrorKind};
use tokio::sync::Semaphore;

use super::{Agent, CardOptions, Registry};
use crate::ports::clock::Clock;
use crate::ports::downstream::Refetched;
use crate::ports::fetch::Validators;
use crate::service::{Broker, error};

/// Between two looks at whose time has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Agents asked at a time.
const AT_ONCE: usize = 16;
/// Waits are not doubled more often than this.
const MAX_DOUBLINGS: u32 = 16;

/// When each agent is asked for its card next. Live state: after a restart all are asked at once.
pub(in crate::service) struct Refreshing {
    options: CardOptions,
    next: Mutex<BTreeMap<String, Next>>,
    places: Arc<Semaphore>,
}

/// When an agent is asked next, and what is wrong if it did not answer.
#[derive(Default)]
struct Next {
    /// None while it is being asked.
    at: Option<Timestamp>,
    failures: u32,
    trouble: Option<String>,
}

impl CardOptions {
    /// How long to wait after an answer that may be used for `asked`. `random` spreads agents registered together.
    fn after_success(&self, asked: Option<Duration>, random: u16) -> Duration {
        let wait = asked.unwrap_or(self.max_age).min(self.max_refresh).max(self.min_refresh);
        wait + share(wait / 10, random)
    }

    /// How long to wait after so many failures in a row: from the shortest time up to that of a card nobody dated.
    fn after_failures(&self, failures: u32, random: u16) -> Duration {
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        let longest = self.max_age.max(self.min_refresh);
        let wait = self.min_refresh.saturating_mul(1 << doublings).min(longest);
        wait / 2 + share(wait / 2, random)
    }
}

fn share(of: Duration, random: u16) -> Duration {
    of.mul_f64(f64::from(random) / f64::from(u16::MAX))
}

impl Refreshing {
    pub(in crate::service) fn new(options: CardOptions) -> Self {
        Self { options, next: Mutex::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// What is wrong with an agent's card, for people; it may have had a good one before.
    pub(super) fn trouble(&self, name: &str, had_one: bool) -> Option<String> {
        let trouble = self.next().get(name).and_then(|next| next.trouble.clone())?;
        Some(if had_one {
            format!("its card could not be refreshed, the last good one is in use: {trouble}")
        } else {
            format!("it has no good card, and nothing is sent to it until it has: {trouble}")
        })
    }

    /// An agent's card came just now, and may be used for so long.
    pub(super) fn fetched(&self, name: &str, max_age: Option<Duration>, clock: &dyn Clock) {
        let at = later(clock.now(), self.options.after_success(max_age, clock.jitter()));
        self.next().insert(name.to_owned(), Next { at: Some(at), ..Next::default() });
    }

    /// An agent could not say whether its card has changed.
    fn failed(&self, name: &str, trouble: String, clock: &dyn Clock) {
        let mut all = self.next();
        let next = all.entry(name.to_owned()).or_default();
        next.failures = next.failures.saturating_add(1);
        next.at = Some(later(clock.now(), self.options.after_failures(next.failures, clock.jitter())));
        next.trouble = Some(trouble);
    }

    /// Who is to be asked now, each until it is reported on. An agent nobody has reported on is.
    fn take_due(&self, agents: &[Arc<Agent>], now: Timestamp) -> Vec<String> {
        let mut all = self.next();
        all.retain(|name, _| agents.iter().any(|agent| agent.name == *name));
        let mut due = Vec::new();
        for agent in agents {
            let next = all.entry(agent.name.clone()).or_insert(Next { at: Some(now), ..Next::default() });
            if next.at.is_some_and(|at| at <= now) {
                next.at = None;
                due.push(agent.name.clone());
            }
        }
        due
    }

    fn next(&self) -> MutexGuard<'_, BTreeMap<String, Next>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.add_millis(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

impl Registry {
    /// Asks an agent whether its card has changed, and takes in the answer; how long that may be used.
    async fn refresh(&self, agent: &Agent) -> Result<Option<Duration>, String> {
        // Without a card there is nothing an "unchanged" could be about.
        let known = if agent.has_card() { agent.validators.clone() } else { Validators::default() };
        let found = self.discovery.refetch_card(&agent.url, &known).await?;
        let max_age = match &found {
            Refetched::Unchanged(caching) => caching.max_age,
            Refetched::Changed(card) => card.caching.max_age,
        };
        let agent = self.take_in(agent, found).await.map_err(|error| error.message)?;
        self.with_fresh_extended_card(agent).await;
        Ok(max_age)
    }

    /// Takes in what an agent said of its card. Nothing becomes of it if the agent was removed, or registered at
    /// another URL, since it was asked.
    pub(super) async fn take_in(&self, asked: &Agent, found: Refetched) -> Result<Arc<Agent>, A2aError> {
        let turn = self.changing.lock().await;
        let current = self.get(&asked.name).filter(|agent| agent.url == asked.url);
        let current = current.ok_or_else(|| error::agent_not_found(&asked.name))?;
        let taken = current.take_in(found, self.cards.drift, self.clock.now());
        let taken = taken.map_err(|problem| A2aError::new(ErrorKind::InvalidAgentResponse, problem))?;
        match taken {
            None => Ok(current),
            Some((agent, event)) => {
                if let Some(Event::CardChanged(card)) = &event {
                    let (name, outcome) = (&card.agent, card.outcome);
                    tracing::warn!(agent = name, ?outcome, changes = ?card.changes, "an agent's card claims more; see `agent show`");
                }
                self.put(agent, event, &turn).await
            }
        }
    }
}

impl Broker {
    async fn refresh_card(&self, name: &str) {
        let Some(agent) = self.registry.get(name) else { return };
        match self.registry.refresh(&agent).await {
            Ok(max_age) => self.refreshing.fetched(name, max_age, &*self.clock),
            Err(trouble) => {
                tracing::warn!(
                    agent = name,
                    trouble,
                    "an agent's card could not be refreshed; the last good one, if there is one, stays"
                );
                self.refreshing.failed(name, trouble, &*self.clock);
            }
        }
    }
}

/// Keeps cards fresh for as long as the broker is there.
pub(in crate::service) async fn tend(broker: Weak<Broker>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(broker) = broker.upgrade() else { return };
        for name in broker.refreshing.take_due(&broker.registry.all(), broker.clock.now()) {
            let Ok(place) = Arc::clone(&broker.refreshing.places).acquire_owned().await else { return };
            let broker = Arc::clone(&broker);
            tokio::spawn(async move {
                broker.refresh_card(&name).await;
                drop(place);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: CardOptions = CardOptions {
        max_age: Duration::from_mins(5),
        min_refresh: Duration::from_secs(30),
        max_refresh: Duration::from_hours(1),
        drift: super::super::CardDrift::Review,
    };

    fn seconds(wait: Duration) -> u64 {
        wait.as_secs()
    }

    #[test]
    fn an_agent_is_asked_when_it_says_within_bounds() {
        let after = |asked: Option<u64>| seconds(OPTIONS.after_success(asked.map(Duration::from_secs), 0));
        assert_eq!(after(None), 300, "it does not say");
        assert_eq!(after(Some(60)), 60);
        assert_eq!(after(Some(0)), 30, "no-store and no-cache: as often as is decent");
        assert_eq!(after(Some(1_000_000)), 3_600);
        let spread = OPTIONS.after_success(Some(Duration::from_secs(100)), u16::MAX);
        assert_eq!(seconds(spread), 110, "never earlier than it says");
    }

    #[test]
    fn an_agent_that_does_not_answer_is_asked_less_and_less_often_and_never_forgotten() {
        let waits: Vec<u64> =
            (1..8).map(|failures| seconds(OPTIONS.after_failures(failures, u16::MAX))).collect();
        assert_eq!(waits, [30, 60, 120, 240, 300, 300, 300]);
        assert_eq!(seconds(OPTIONS.after_failures(u32::MAX, 0)), 150, "spread over the second half");
    }
}
