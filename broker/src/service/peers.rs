//! Where several brokers share a store: which of them drives a tree, what those that are gone have left to do, and what the
//! others have changed.

use std::cell::RefCell;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use broker_core::TaskId;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use protocol::A2aError;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};

use super::{Broker, error};
pub(crate) use crate::ports::peers::{NotHandedOn, Piece, Pieces};
use crate::ports::store::{Changed, Drive, Store};

/// Between two looks for what others have left to do.
const PAUSE: Duration = Duration::from_secs(1);
/// Trees that are taken over at a time.
const PAGE: usize = 64;
/// For how long a tree that nobody drives is waited for: another broker is about to take it over.
const PATIENCE: Duration = Duration::from_secs(20);
const NOBODY_PAUSE: Duration = Duration::from_millis(100);

/// Between two looks whether another broker still drives a tree.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A tree that another broker drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    root: TaskId,
    /// Where that broker is reached.
    pub(crate) url: String,
}

tokio::task_local! {
    /// The tree that the request in hand is about, if another broker drives it.
    static FOUND: RefCell<Option<Elsewhere>>;
}

/// Does some work for a request; with what came of it, which tree it is about, if another broker drives that and has to do it
/// instead.
pub(crate) async fn locating<T>(work: impl Future<Output = T>) -> (T, Option<Elsewhere>) {
    let work = async {
        let done = work.await;
        (done, FOUND.with(RefCell::take))
    };
    FOUND.scope(RefCell::new(None), work).await
}

/// Whether this broker may go on with a tree.
pub(super) async fn check_driver(store: &dyn Store, root: TaskId) -> Result<(), A2aError> {
    let began = Instant::now();
    loop {
        match store.driver(root).await.map_err(|failure| error::store(&failure))? {
            Drive::Here => return Ok(()),
            Drive::At(url) => {
                // Work that is for no request is not handed on.
                let _ = FOUND.try_with(|found| found.replace(Some(Elsewhere { root, url })));
                return Err(error::driven_elsewhere());
            }
            Drive::Nobody if began.elapsed() < PATIENCE => sleep(NOBODY_PAUSE).await,
            Drive::Nobody => return Err(error::driven_elsewhere()),
        }
    }
}

/// Whether a tree is driven there. While the store does not answer, nobody takes anything over.
async fn is_at(store: &dyn Store, from: &Elsewhere) -> bool {
    let driver = store.driver(from.root).await;
    driver.map_or(true, |driver| driver == Drive::At(from.url.clone()))
}

impl Broker {
    /// Hands a request on to the broker that drives a tree, and begins with its answer.
    pub(crate) async fn hand_on(
        &self,
        to: &Elsewhere,
        request: Request<Bytes>,
    ) -> Result<Response<Pieces>, NotHandedOn> {
        match &self.peers {
            Some(peers) => peers.hand_on(&to.url, request).await,
            None => Err(NotHandedOn::NotSent("there is no way to other brokers".to_owned())),
        }
    }

    /// Whether a tree is still driven there.
    pub(crate) async fn is_still_at(&self, from: &Elsewhere) -> bool {
        is_at(&*self.store, from).await
    }

    /// Resolves when a tree is not driven where it was any more.
    pub(crate) fn until_moved(&self, from: &Elsewhere) -> impl Future<Output = ()> + Send + 'static {
        let (store, from) = (Arc::clone(&self.store), from.clone());
        async move {
            sleep(LOOK_EVERY).await;
            while is_at(&*store, &from).await {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Takes over what brokers that are gone have left to do: their trees are this broker's from now on.
    pub(super) async fn adopt(&self) -> Result<Vec<TaskId>, A2aError> {
        let mut adopted = Vec::new();
        loop {
            let page = self.store.adopt(PAGE).await.map_err(|failure| error::store(&failure))?;
            if page.is_empty() {
                return Ok(adopted);
            }
            adopted.extend(page);
        }
    }

    /// Takes up what was taken over.
    async fn take_over(self: &Arc<Self>, leaving: &mut Leaving) -> Result<(), A2aError> {
        loop {
            match self.store.adopt(PAGE).await {
                Ok(page) if page.is_empty() => break,
                Ok(page) => leaving.adopted.extend(page),
                Err(failure) => {
                    leaving.is_unclear |= !failure.wrote_nothing();
                    return Err(error::store(&failure));
                }
            }
        }
        if leaving.is_unclear {
            // What is known to have been taken over is among them.
            self.take_up_own().await?;
        } else if leaving.adopted.is_empty() {
            return Ok(());
        } else {
            tracing::info!(trees = leaving.adopted.len(), "took over what another broker has left to do");
            let adopted = leaving.adopted.iter().copied();
            stream::iter(adopted).for_each_concurrent(PAGE, |root| self.take_up_or_later(root)).await;
        }
        self.resume_pushes().await?;
        *leaving = Leaving::default();
        Ok(())
    }
}

/// What was left by others and is not wholly taken up.
#[derive(Default)]
struct Leaving {
    adopted: Vec<TaskId>,
    /// Whether more may have been taken over than is known.
    is_unclear: bool,
}

/// Takes over what others leave, until the broker is gone.
pub(super) async fn run(broker: Weak<Broker>) {
    let mut leaving = Leaving::default();
    loop {
        sleep(PAUSE).await;
        let Some(alive) = broker.upgrade() else { return };
        if let Err(failure) = alive.take_over(&mut leaving).await {
            tracing::warn!(
                reason = failure.message,
                "what other brokers may have left to do was not looked for"
            );
        }
    }
}

/// Follows what other brokers change, until the broker is gone.
pub(super) async fn heed(broker: Weak<Broker>) {
    let Some(mut news) = broker.upgrade().and_then(|alive| alive.store.changes()) else { return };
    let mut has_failed = false;
    loop {
        let changed = if has_failed {
            // What could not be read is read again, with whatever has come since.
            sleep(PAUSE).await;
            Changed::Anything
        } else {
            match news.recv().await {
                Ok(changed) => changed,
                Err(RecvError::Lagged(_)) => Changed::Anything,
                Err(RecvError::Closed) => return,
            }
        };
        let Some(alive) = broker.upgrade() else { return };
        let followed = match &changed {
            Changed::Agent(name) => alive.reload_agent(name).await,
            Changed::Documents => alive.reload_keys().await,
            Changed::Anything => match alive.reload_agents().await {
                Ok(()) => alive.reload_keys().await,
                failed => failed,
            },
        };
        has_failed = followed.is_err();
        if let Err(failure) = followed {
            tracing::warn!(
                ?changed,
                reason = failure.message,
                "what another broker has changed could not be read"
            );
        }
    }
}
