//! The way to whoever writes: work waits in a bounded queue, is taken in groups, and is answered once it is durable.

use tokio::sync::{mpsc, oneshot};

use crate::ports::store::StoreError;

/// Hands work to a committer. What is queued when this is dropped is still done.
pub(super) struct Queue<W, D>(Option<mpsc::Sender<Waiting<W, D>>>);

/// What a committer takes from.
pub(super) type Waitings<W, D> = mpsc::Receiver<Waiting<W, D>>;

/// A piece of work and who waits for it.
pub(super) struct Waiting<W, D> {
    pub(super) work: W,
    pub(super) answer: Answer<D>,
}

/// Told once it is durable, or refused.
pub(super) struct Answer<D>(Option<oneshot::Sender<Result<D, StoreError>>>);

impl<D> Answer<D> {
    /// Whether nobody waits.
    pub(super) fn is_nobody(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn tell(self, result: Result<D, StoreError>) {
        if let Some(waiting) = self.0 {
            // Whoever asked may have gone; that changes nothing.
            let _ = waiting.send(result);
        }
    }
}

impl<W, D> Queue<W, D> {
    /// A queue in which so many may wait; more are refused as overload.
    pub(super) fn new(bound: usize) -> (Self, Waitings<W, D>) {
        let (queue, waiting) = mpsc::channel(bound);
        (Self(Some(queue)), waiting)
    }

    /// Makes something durable, and says what came of it.
    pub(super) async fn done(&self, work: W) -> Result<D, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.push(Waiting { work, answer: Answer(Some(answer)) })?;
        answered.await.map_err(|_| stopped())?
    }

    /// Queues something nobody waits for.
    pub(super) fn hand_over(&self, work: W) -> Result<(), StoreError> {
        self.push(Waiting { work, answer: Answer(None) })
    }

    /// Takes nothing more.
    pub(super) fn close(&mut self) {
        self.0.take();
    }

    fn push(&self, waiting: Waiting<W, D>) -> Result<(), StoreError> {
        let queue = self.0.as_ref().ok_or_else(stopped)?;
        queue.try_send(waiting).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded { waiting: queue.max_capacity() },
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })
    }
}

/// Nobody is there to write.
pub(super) fn stopped() -> StoreError {
    StoreError::Engine("the committer has stopped; restart the broker".to_owned())
}
