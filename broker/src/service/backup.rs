//! A backup while the broker works.

use std::sync::Arc;

use protocol::A2aError;
use tokio::sync::mpsc;

use super::{Broker, Caller, error};
use crate::ports::store::Piece;

/// Pieces of a backup that wait for whoever takes it.
const WAITING: usize = 4;

impl Broker {
    /// All that is kept, in pieces. For operators: the keys that sign grants are among it.
    pub fn backup(self: &Arc<Self>, caller: &Caller) -> Result<mpsc::Receiver<Piece>, A2aError> {
        self.require_operator(caller, "back the broker up")?;
        if self.store.is_shared() {
            return Err(error::backed_up_elsewhere());
        }
        let alone = Arc::clone(&self.backups).try_acquire_owned().map_err(|_| error::backup_under_way())?;
        self.note_backup(caller);
        let (to, pieces) = mpsc::channel(WAITING);
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            match store.backup(to.clone()).await {
                Ok(true) => tracing::info!("a backup was read"),
                Ok(false) => tracing::warn!("a backup was not read to its end"),
                Err(failure) => {
                    tracing::error!(%failure, "a backup was broken off");
                    // Whoever takes it must not take it for whole.
                    let _ = to.send(Err(failure)).await;
                }
            }
            drop(alone);
        });
        Ok(pieces)
    }
}
