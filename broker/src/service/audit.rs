//! The audit log at work: what the service hands to it, and how an operator reads it.
//!
//! What a decision made true is recorded with it, in one transaction (`driver.rs`, `agents.rs`); that a refusal is
//! recorded is not waited for, see `docs/decisions/0006-the-audit-log.md`.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use broker_core::audit::{
    AuthenticationFailed, BackedUp, By, Entry, Event, Forbidden, Grant, GrantAct, Head, Presented,
    Reconfigured, Repeats,
};
use broker_core::{Refused, Timestamp};
use bytes::Bytes;
use protocol::{A2aError, ErrorKind};

use super::caller::{Caller, Credential, Identity};
use super::{Broker, error};
use crate::ports::store::Store;

/// Most entries on one page.
const MAX_PAGE: usize = 1_000;

/// The way into the log.
pub(super) struct Audit {
    store: Arc<dyn Store>,
    repeats: Mutex<Repeats>,
    window: Duration,
}

/// A page of the log.
pub struct AuditPage {
    /// Sealed lines in order, without line ends.
    pub lines: Vec<Bytes>,
    /// Where the log ends, on its last page.
    pub head: Option<Head>,
}

impl Audit {
    pub(super) fn new(store: Arc<dyn Store>, window: Duration) -> Self {
        let millis = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        Self { store, repeats: Mutex::new(Repeats::new(millis)), window }
    }

    /// Records something nobody waits for. A refusal like one shortly before is only counted.
    pub(super) fn note(&self, event: &Event, now: Timestamp) {
        if self.repeats().admit(event, now)
            && let Err(missed) = self.write(std::slice::from_ref(event), now)
        {
            tracing::warn!(%missed, "an entry of the audit log was not written; it is counted instead");
            self.repeats().missed(event, now);
        }
    }

    /// Records how often what was recorded once was repeated, for windows that are over, or for all.
    pub(super) fn settle(&self, now: Timestamp, all: bool) {
        let counted = self.repeats().settle(now, all);
        if !counted.is_empty()
            && let Err(missed) = self.write(&counted, now)
        {
            tracing::error!(%missed, ?counted, "counts of refusals were not written to the audit log");
        }
    }

    fn write(&self, events: &[Event], now: Timestamp) -> Result<(), String> {
        let entries: Result<Vec<Entry>, _> = events.iter().map(|event| Entry::new(now, event)).collect();
        let entries = entries.map_err(|error| error.to_string())?;
        self.store.note(entries).map_err(|failure| failure.to_string())
    }

    fn repeats(&self) -> std::sync::MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry to be written with the change it is about.
pub(super) fn entry(now: Timestamp, event: &Event) -> Result<Entry, A2aError> {
    Entry::new(now, event).map_err(|failure| error::damaged(&failure))
}

/// Writes down counted refusals as their windows end, until the broker is gone.
pub(super) async fn run(broker: Weak<Broker>) {
    while let Some(alive) = broker.upgrade() {
        let window = alive.audit.window;
        if window.is_zero() {
            return;
        }
        alive.audit.settle(alive.clock.now(), false);
        drop(alive);
        tokio::time::sleep(window).await;
    }
}

impl Broker {
    /// Judges a credential, and records it if it is no good.
    pub async fn authenticate(&self, credential: Option<&Credential>) -> Result<Caller, A2aError> {
        let judged = self.judge_credential(credential).await;
        if let Err(failure) = &judged
            && failure.kind == ErrorKind::Unauthenticated
        {
            let failed = AuthenticationFailed::new(presented(credential), &failure.message);
            self.audit.note(&Event::AuthenticationFailed(failed), self.clock.now());
        }
        judged
    }

    /// Insists on an operator; anybody else is refused, and that is recorded.
    pub fn require_operator(&self, caller: &Caller, act: &str) -> Result<(), A2aError> {
        if caller.is_operator() {
            return Ok(());
        }
        let forbidden = Forbidden { by: by(caller), act: act.to_owned() };
        self.audit.note(&Event::Forbidden(forbidden), self.clock.now());
        Err(error::forbidden(&format!("only an operator may {act}")))
    }

    /// Records that a backup is taken.
    pub(super) fn note_backup(&self, caller: &Caller) {
        self.audit.note(&Event::BackedUp(BackedUp { by: by(caller) }), self.clock.now());
    }

    /// Records that the configuration was read again.
    pub fn note_reconfigured(&self, changed: Vec<String>) {
        self.audit.note(&Event::Reconfigured(Reconfigured { changed }), self.clock.now());
    }

    /// Records a grant that was handed out in answer to a request of its own.
    pub(super) fn note_grant(&self, act: GrantAct, claims: &capability::Claims) {
        self.audit.note(&Event::Grant(Grant::new(act, claims)), self.clock.now());
    }

    /// Records a refusal of the core, if authority was at issue.
    pub(super) fn note_refused(&self, refused: &Refused, now: Timestamp) {
        if let Some(event) = &refused.audit {
            self.audit.note(event, now);
        }
    }

    /// The log after entry number `after`, at most `limit` entries of it. For operators.
    pub async fn audit_page(&self, caller: &Caller, after: u64, limit: usize) -> Result<AuditPage, A2aError> {
        self.require_operator(caller, "read the audit log")?;
        let limit = limit.clamp(1, MAX_PAGE);
        let failed = |failure| error::store(&failure);
        let lines = self.store.audit_log(after, limit).await.map_err(failed)?;
        if lines.len() == limit {
            return Ok(AuditPage { lines, head: None });
        }
        let head = match (after.checked_add(lines.len() as u64), lines.last()) {
            (Some(n), Some(last)) => Head::at(n, last),
            // What was written in between is on the next page, and the end with it.
            _ => Some(self.store.audit_head().await.map_err(failed)?).filter(|head| head.n <= after),
        };
        Ok(AuditPage { lines, head })
    }

    /// Writes down what was only counted so far. Call at the end.
    pub fn settle_audit(&self) {
        self.audit.settle(self.clock.now(), true);
    }
}

/// Who a caller is, in the log's words.
pub(super) fn by(caller: &Caller) -> By {
    match &caller.0 {
        Identity::Principal { name, .. } => By::Principal(name.clone()),
        Identity::Delegate { task, .. } => By::Task { id: *task, agent: None },
    }
}

fn presented(credential: Option<&Credential>) -> Presented {
    match credential {
        None => Presented::Nothing,
        Some(Credential::Dpop { .. }) => Presented::Token,
        Some(Credential::Bearer(secret)) if secret.contains('.') => Presented::Token,
        Some(Credential::Bearer(_) | Credential::ApiKey(_)) => Presented::Key,
        Some(Credential::Certificate(_)) => Presented::Certificate,
        Some(Credential::Unreadable(_)) => Presented::Unreadable,
    }
}
