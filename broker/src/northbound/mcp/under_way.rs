//! Calls under way, by what a later request can name them with: versions before 2026-07-28 cancel a call by another request,
//! which names the session and the call's id. Later ones close the call's stream instead.

use std::sync::Arc;

use dashmap::DashMap;
use rmcp::model::RequestId;
use tokio::sync::Notify;

use crate::service::Caller;

/// The calls that can be named.
#[derive(Default)]
pub(in crate::northbound) struct UnderWay(DashMap<Key, Arc<Notify>>);

/// Whose it is, its session, its id there. A session's name is no secret that opens anything: its caller has to be the same.
type Key = (String, String, RequestId);

/// A call that can be cancelled, until this is dropped.
pub(super) struct Named {
    under_way: Arc<UnderWay>,
    key: Key,
    cancelled: Arc<Notify>,
}

impl UnderWay {
    /// Makes a call known.
    pub(super) fn name(self: &Arc<Self>, caller: &Caller, session: &str, request: &RequestId) -> Named {
        let key = (caller.claim_name(), session.to_owned(), request.clone());
        let cancelled = Arc::new(Notify::new());
        self.0.insert(key.clone(), Arc::clone(&cancelled));
        Named { under_way: Arc::clone(self), key, cancelled }
    }

    /// Cancels a call; one that is not known is over, or never was.
    pub(super) fn cancel(&self, caller: &Caller, session: &str, request: &RequestId) {
        let key = (caller.claim_name(), session.to_owned(), request.clone());
        if let Some(known) = self.0.get(&key) {
            known.notify_one();
        }
    }
}

impl Named {
    /// Resolves when the call is cancelled.
    pub(super) async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // A later call of the same id has taken the place of this one.
        self.under_way.0.remove_if(&self.key, |_, known| Arc::ptr_eq(known, &self.cancelled));
    }
}
