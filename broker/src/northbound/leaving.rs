//! The ways a server leaves: it says so first, then takes nobody in and sends its streams away to resume elsewhere, and
//! at last tells those who still wait when to ask again.

use tokio::sync::watch;

/// How far the server is in leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It is not.
    Serving,
    /// It says that it is not ready, and serves.
    Leaving,
    /// It takes in no connection, and its streams end; other requests are finished.
    Draining,
    /// What is not finished is refused.
    Late,
}

/// Waits until a phase has begun.
pub(super) async fn begun(phase: Phase, now: &mut watch::Receiver<Phase>) {
    // A server that is gone is in its last phase too.
    let _ = now.wait_for(|now| *now >= phase).await;
}

/// Whether a phase has begun. Asked for every event of every stream, so what all of them share is only read, and not locked,
/// where nothing has changed.
pub(super) fn has_begun(phase: Phase, now: &watch::Receiver<Phase>) -> bool {
    now.has_changed().unwrap_or(true) && *now.borrow() >= phase
}
