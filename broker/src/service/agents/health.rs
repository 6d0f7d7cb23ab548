//! Whether agents do their work: what came of the last messages and questions to each, never what its card says. Live
//! state, and the one place to ask for it: [`Broker::health`].

use std::fmt;

use broker_core::Timestamp;
use broker_core::delegation::input::Failure;
use dashmap::DashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ports::clock::Clock;
use crate::ports::downstream::AskError;
use crate::service::Broker;

/// Whether an agent does its work, as far as is known since the broker started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// Nothing was sent to it yet.
    #[default]
    Unknown,
    /// It answered the last time it was spoken to.
    Healthy {
        /// The first of its answers in a row.
        since: Timestamp,
    },
    /// It could not be spoken to the last time.
    Failing {
        /// The first of the failures in a row.
        since: Timestamp,
        /// How many in a row.
        failures: u32,
        /// What the last one was.
        reason: String,
    },
}

/// What is known of each agent. Sharded, and written only where something changes: an answer of a healthy agent costs
/// one look.
#[derive(Default)]
pub(in crate::service) struct HealthBook(DashMap<String, Health>);

impl HealthBook {
    /// An agent answered; that it refuses is an answer too.
    pub(in crate::service) fn answered(&self, name: &str, clock: &dyn Clock) {
        if self.0.get(name).is_some_and(|known| matches!(*known, Health::Healthy { .. })) {
            return;
        }
        self.0.insert(name.to_owned(), Health::Healthy { since: clock.now() });
    }

    /// An agent could not be spoken to.
    pub(in crate::service) fn failed(&self, name: &str, reason: &str, clock: &dyn Clock) {
        let mut known = self.0.entry(name.to_owned()).or_default();
        let (since, before) = match &*known {
            Health::Failing { since, failures, .. } => (*since, *failures),
            Health::Unknown | Health::Healthy { .. } => (clock.now(), 0),
        };
        let (failures, reason) = (before.saturating_add(1), reason.to_owned());
        *known = Health::Failing { since, failures, reason };
    }

    /// What a failed message says of an agent. That a stream ended early or a task is gone says nothing.
    pub(in crate::service) fn judge(&self, name: &str, failure: &Failure, clock: &dyn Clock) {
        match failure {
            Failure::Refused(_) | Failure::Busy { .. } | Failure::Unaccepted(_) => self.answered(name, clock),
            Failure::NeverSent(reason)
            | Failure::Errored(reason)
            | Failure::Invalid(reason)
            | Failure::Broken(reason)
            | Failure::Unreachable(reason) => self.failed(name, reason, clock),
            // An agent that was not tried is known to be failing.
            Failure::Down { .. }
            | Failure::StreamEnded
            | Failure::Gone(_)
            | Failure::Absent { .. }
            | Failure::Silent { .. } => {}
        }
    }

    /// What a question says of an agent, answered as hoped or not.
    pub(in crate::service) fn hear(&self, name: &str, problem: Option<&AskError>, clock: &dyn Clock) {
        match problem {
            None | Some(AskError::NotFound(_) | AskError::Unsupported(_) | AskError::TooLarge(_)) => {
                self.answered(name, clock);
            }
            Some(AskError::Unreachable(reason) | AskError::Invalid(reason)) => {
                self.failed(name, reason, clock);
            }
        }
    }

    /// The agent of this name is another one, or none.
    pub(super) fn forget(&self, name: &str) {
        self.0.remove(name);
    }
}

impl Broker {
    /// Whether an agent does its work.
    pub fn health(&self, name: &str) -> Health {
        self.health.0.get(name).map(|known| known.clone()).unwrap_or_default()
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Healthy { .. } => f.write_str("healthy"),
            Self::Failing { since, reason, .. } => write!(f, "failing since {since} ({reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_core::TaskId;

    struct Stopped(i64);

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }

        fn new_task_id(&self) -> TaskId {
            TaskId(uuid::Uuid::nil())
        }

        fn new_secret(&self) -> Result<[u8; 32], String> {
            Ok([0; 32])
        }
    }

    fn known(book: &HealthBook) -> Health {
        book.0.get("a").map(|known| known.clone()).unwrap_or_default()
    }

    #[test]
    fn failures_in_a_row_are_counted_from_the_first_and_one_answer_ends_them() {
        let book = HealthBook::default();
        assert_eq!(known(&book), Health::Unknown);
        book.judge("a", &Failure::NeverSent("one".to_owned()), &Stopped(1));
        book.judge("a", &Failure::Broken("two".to_owned()), &Stopped(2));
        let since = Timestamp::from_millis(1);
        assert_eq!(known(&book), Health::Failing { since, failures: 2, reason: "two".to_owned() });
        book.answered("a", &Stopped(3));
        book.answered("a", &Stopped(4));
        assert_eq!(known(&book), Health::Healthy { since: Timestamp::from_millis(3) });
        book.forget("a");
        assert_eq!(known(&book), Health::Unknown);
    }

    #[test]
    fn a_refusal_is_an_answer_and_a_stream_that_ends_early_says_nothing() {
        let book = HealthBook::default();
        for nothing in
            [Failure::StreamEnded, Failure::Gone(String::new()), Failure::Absent { conclusive: true }]
        {
            book.judge("a", &nothing, &Stopped(1));
            assert_eq!(known(&book), Health::Unknown, "{nothing:?}");
        }
        book.judge("a", &Failure::Refused("no".to_owned()), &Stopped(1));
        assert_eq!(known(&book), Health::Healthy { since: Timestamp::from_millis(1) });
        book.hear("a", Some(&AskError::Unreachable("gone".to_owned())), &Stopped(2));
        assert!(matches!(known(&book), Health::Failing { .. }));
        book.hear("a", Some(&AskError::NotFound("what?".to_owned())), &Stopped(3));
        assert!(matches!(known(&book), Health::Healthy { .. }));
    }
}
