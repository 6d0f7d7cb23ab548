//! Memory for what is on its way: bodies that arrive and answers that leave, all callers together. When it is full, what
//! waits for its caller makes way, longest first: a body that does not become whole, an answer that is not taken. What
//! the broker works on never does; then the newcomer is refused. So that many who send or take slowly cannot use up the
//! machine, nor keep out those who do not ([decision 15](../../../docs/decisions/0015-overload.md)).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// So many bytes, and who holds them.
pub(super) struct Memory {
    most: usize,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    used: usize,
    next: u64,
    /// What waits for its caller, in the order in which it began to.
    waiting: BTreeMap<u64, (usize, Arc<dyn MakeWay>)>,
}

/// It is full, or what was held had to make way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more is on its way than there is memory for (server.max_body_memory)")]
pub(super) struct NoMemory;

/// Something that can be let go of while its owner looks elsewhere.
trait MakeWay: Send + Sync {
    fn make_way(&self);
}

struct Slot<T> {
    value: Mutex<Option<T>>,
    /// Told when the value has made way.
    gone: Notify,
}

impl<T: Send> MakeWay for Slot<T> {
    fn make_way(&self) {
        self.lock().take();
        self.gone.notify_one();
    }
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something held that waits for its caller.
pub(super) struct Waiting<T> {
    memory: Arc<Memory>,
    number: u64,
    slot: Arc<Slot<T>>,
}

/// A whole body, counted until the last of its bytes is let go of.
struct Kept {
    memory: Arc<Memory>,
    bytes: Bytes,
}

impl Memory {
    /// So many bytes, all free.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, book: Mutex::default() })
    }

    /// Holds something of so many bytes while it waits for its caller.
    pub(super) fn hold<T: Send + 'static>(
        self: &Arc<Self>,
        value: T,
        bytes: usize,
    ) -> Result<Waiting<T>, NoMemory> {
        let slot = Arc::new(Slot { value: Mutex::new(Some(value)), gone: Notify::new() });
        let mut book = self.book();
        let number = book.next;
        book.next += 1;
        book.make_room(self.most, bytes, number)?;
        book.used += bytes;
        book.waiting.insert(number, (bytes, Arc::<Slot<T>>::clone(&slot)));
        Ok(Waiting { memory: Arc::clone(self), number, slot })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Has others make way until there is room for so many bytes more.
    fn make_room(&mut self, most: usize, bytes: usize, number: u64) -> Result<(), NoMemory> {
        if self.used.saturating_add(bytes) <= most {
            return Ok(());
        }
        let others = || self.waiting.iter().filter(|(other, _)| **other != number);
        let can_go: usize = others().map(|(_, (held, _))| held).sum();
        if self.used.saturating_add(bytes).saturating_sub(most) > can_go {
            return Err(NoMemory);
        }
        while self.used.saturating_add(bytes) > most {
            let first = self.waiting.keys().copied().find(|other| *other != number);
            let Some((held, slot)) = first.and_then(|first| self.waiting.remove(&first)) else { break };
            self.used -= held;
            slot.make_way();
        }
        Ok(())
    }
}

impl<T: Send + 'static> Waiting<T> {
    /// Grows by so many bytes.
    pub(super) fn grow(&self, by: usize) -> Result<(), NoMemory> {
        let mut book = self.memory.book();
        book.make_room(self.memory.most, by, self.number)?;
        let (held, _) = book.waiting.get_mut(&self.number).ok_or(NoMemory)?;
        *held += by;
        book.used += by;
        Ok(())
    }

    /// Waits until it has made way.
    pub(super) async fn gone(&self) {
        self.slot.gone.notified().await;
    }

    /// Looks at what is held, if it is.
    pub(super) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> Result<R, NoMemory> {
        self.slot.lock().as_mut().map(look).ok_or(NoMemory)
    }

    /// It is whole and will be worked on: as bytes, for which it no longer makes way.
    pub(super) fn keep(self, whole: impl FnOnce(T) -> Bytes) -> Result<Bytes, NoMemory> {
        let mut book = self.memory.book();
        let (held, _) = book.waiting.remove(&self.number).ok_or(NoMemory)?;
        drop(book);
        let bytes = self.slot.lock().take().map(whole).unwrap_or_default();
        let uncounted = held.saturating_sub(bytes.len());
        self.memory.book().used -= uncounted;
        Ok(Bytes::from_owner(Kept { memory: Arc::clone(&self.memory), bytes }))
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        let mut book = self.memory.book();
        if let Some((held, _)) = book.waiting.remove(&self.number) {
            book.used -= held;
        }
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.memory.book().used -= self.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: Vec<u8>) -> Bytes {
        bytes.into()
    }

    #[test]
    fn what_waits_longest_makes_way_and_what_is_whole_never() {
        let memory = Memory::new(100);
        let worked_on = memory.hold(vec![0; 40], 40).unwrap().keep(whole).unwrap();
        let first = memory.hold(vec![1; 30], 30).unwrap();
        let second = memory.hold(vec![2; 30], 30).unwrap();
        let third = memory.hold(vec![3; 20], 20).unwrap();
        assert_eq!(first.with(|bytes| bytes.len()), Err(NoMemory), "it made way");
        assert_eq!(second.with(|bytes| bytes.len()), Ok(30), "it need not");
        assert_eq!(first.grow(1), Err(NoMemory), "it does not come back");
        // All that waits would not be enough, so nobody is sent away for nothing.
        assert!(memory.hold(vec![4; 61], 61).is_err());
        assert_eq!(third.with(|bytes| bytes.len()), Ok(20));
        drop(worked_on);
        assert!(memory.hold(vec![4; 50], 50).is_ok());
    }

    #[test]
    fn nobody_makes_way_for_itself_and_all_is_given_back() {
        let memory = Memory::new(100);
        let body = memory.hold(vec![0; 10], 10).unwrap();
        body.grow(90).unwrap();
        assert_eq!(body.grow(1), Err(NoMemory));
        let kept = body.keep(whole).unwrap();
        assert_eq!((kept.len(), memory.book().used), (10, 10), "what was counted too much is given back");
        let clone = kept.clone();
        drop(kept);
        assert_eq!(memory.book().used, 10, "until the last of it is gone");
        drop(clone);
        drop(memory.hold((), 7).unwrap());
        let gone = memory.hold((), 100).unwrap();
        let after = memory.hold((), 100).unwrap();
        drop((gone, after));
        assert_eq!(memory.book().used, 0);
    }
}
