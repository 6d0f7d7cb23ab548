//! A backup while the broker works.

use std::sync::Arc;

use bytes::Bytes;
use protocol::A2aError;
use tokio::sync::mpsc;

use super::{Broker, Caller};

/// Pieces of a backup that wait for whoever takes it.
const WAITING: usize = 4;

impl Broker {
    /// All that is kept, in pieces. For operators: the keys that sign grants are among it.
    pub fn backup(self: &Arc<Self>, caller: &Caller) -> Result<mpsc::Receiver<Bytes>, A2aError> {
        self.require_operator(caller, "back the broker up")?;
        let (to, pieces) = mpsc::channel(WAITING);
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            match store.backup(to).await {
                Ok(()) => tracing::info!("a backup was read"),
                Err(failure) => tracing::error!(%failure, "a backup was broken off"),
            }
        });
        Ok(pieces)
    }
}
