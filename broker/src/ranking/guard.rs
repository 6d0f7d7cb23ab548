//! What keeps a stage from costing more than it may: how long it is waited for, how much it is asked, and for how long it
//! is left alone after it has failed several times in a row. A stage that is broken slows down a few requests, not all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::ports::stages::{EndpointError, ModelEndpoint};

/// Failures in a row after which a stage is left alone for a while.
const MAX_FAILURES: u32 = 3;
/// Bytes of a token, about, where an endpoint does not say how many it took.
const TOKEN_BYTES: usize = 4;
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// Bounds on a stage.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of one opinion, or one vector of a request, whatever it takes.
    pub timeout: Duration,
    /// Questions a minute; zero: as many as there are.
    pub calls_per_minute: u64,
    /// Tokens in 24 hours, questions and answers; zero: as many as it takes.
    pub tokens_per_day: u64,
    /// For how long a stage that keeps failing is left alone.
    pub pause: Duration,
}

/// Why a stage did not speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Silence {
    /// It may not be asked now.
    #[error("{0}")]
    NotAsked(String),
    /// It does not take the question in this form.
    #[error("{0}")]
    Refused(String),
    /// It was asked, and something went wrong.
    #[error("{0}")]
    Failed(String),
}

/// An endpoint within bounds.
pub(super) struct Guard {
    endpoint: Arc<dyn ModelEndpoint>,
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Window,
    tokens: Window,
    failures: u32,
    paused_until: Option<Instant>,
}

/// What was used since a moment.
#[derive(Default)]
struct Window {
    since: Option<Instant>,
    used: u64,
}

impl Window {
    /// What was used within the current window, which begins anew if the last one is over.
    fn used(&mut self, length: Duration, now: Instant) -> u64 {
        if self.since.is_none_or(|since| now.duration_since(since) >= length) {
            *self = Self { since: Some(now), used: 0 };
        }
        self.used
    }
}

impl Guard {
    pub(super) fn new(endpoint: Arc<dyn ModelEndpoint>, bounds: Bounds) -> Self {
        Self { endpoint, bounds, state: Mutex::default() }
    }

    /// How long somebody who waits waits for it.
    pub(super) fn timeout(&self) -> Duration {
        self.bounds.timeout
    }

    /// Does something with the endpoint, unless it is left alone just now, and within a time.
    pub(super) async fn within<T>(
        &self,
        timeout: Duration,
        work: impl Future<Output = Result<T, Silence>>,
    ) -> Result<T, Silence> {
        self.enter(Instant::now())?;
        let late = || Silence::Failed(format!("no answer within {} ms", timeout.as_millis()));
        let done = tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(late()));
        match &done {
            Ok(_) => self.state().failures = 0,
            Err(Silence::NotAsked(_)) => {}
            Err(Silence::Refused(_) | Silence::Failed(_)) => self.note_failure(Instant::now()),
        }
        if done.is_ok() {
            self.state().paused_until = None;
        }
        done
    }

    /// Asks, if there is anything left to ask with; `used` tells the tokens an answer says it took.
    pub(super) async fn ask(
        &self,
        path: &str,
        body: Vec<u8>,
        used: impl Fn(&[u8]) -> Option<u64>,
    ) -> Result<Bytes, Silence> {
        let estimate = tokens(body.len());
        self.charge(estimate, Instant::now())?;
        let answer = self.endpoint.post(path, body).await.map_err(|error| match error {
            EndpointError::Refused(reason) => Silence::Refused(reason),
            EndpointError::Failed(reason) => Silence::Failed(reason),
        })?;
        let used = used(&answer).unwrap_or_else(|| estimate.saturating_add(tokens(answer.len())));
        let mut state = self.state();
        state.tokens.used = state.tokens.used.saturating_sub(estimate).saturating_add(used);
        Ok(answer)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One at a time tries whether it is back.
    fn enter(&self, now: Instant) -> Result<(), Silence> {
        let mut state = self.state();
        if let Some(until) = state.paused_until {
            if now < until {
                let failures = state.failures;
                return Err(Silence::NotAsked(format!(
                    "not asked for {} s, after {failures} failures in a row",
                    self.bounds.pause.as_secs_f64()
                )));
            }
            state.paused_until = Some(now + self.bounds.pause);
        }
        Ok(())
    }

    fn note_failure(&self, now: Instant) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= MAX_FAILURES {
            state.paused_until = Some(now + self.bounds.pause);
        }
    }

    fn charge(&self, tokens: u64, now: Instant) -> Result<(), Silence> {
        let Bounds { calls_per_minute, tokens_per_day, .. } = self.bounds;
        let mut state = self.state();
        if calls_per_minute > 0 && state.calls.used(MINUTE, now) >= calls_per_minute {
            let reason = format!("not asked, its {calls_per_minute} calls of this minute are used up");
            return Err(Silence::NotAsked(reason));
        }
        let used = state.tokens.used(DAY, now).saturating_add(tokens);
        if tokens_per_day > 0 && used > tokens_per_day {
            let reason = format!("not asked, its {tokens_per_day} tokens of this day are used up");
            return Err(Silence::NotAsked(reason));
        }
        state.tokens.used = used;
        state.calls.used = state.calls.used.saturating_add(1);
        Ok(())
    }
}

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(TOKEN_BYTES)).unwrap_or(u64::MAX)
}
