//! Places for connections: how many there may be, and which one makes way for another when all are taken. What waits for
//! its caller makes way, longest first, and never what the broker works on: so that connections that ask for nothing
//! cannot keep out those that do, however many they are ([decision 15](../../../docs/decisions/0015-overload.md)).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Connections beyond the bound that are kept to be told so; the oldest of them makes way for the next.
pub(super) const REFUSED_CONNECTIONS: usize = 64;

/// A caller that takes nothing of its answer for less than this is only slow.
const STALL_GRACE: Duration = Duration::from_secs(1);

/// All places.
pub(super) struct Places {
    most: usize,
    room: Mutex<Room>,
}

#[derive(Default)]
struct Room {
    next: u64,
    taken: HashMap<u64, Standing>,
    /// Those who may be asked to make way, in this order.
    waiting: BTreeSet<Rank>,
    refused: VecDeque<(u64, Arc<Notify>)>,
}

/// How a connection stands.
struct Standing {
    /// Told when it has to go.
    go: Arc<Notify>,
    /// Nobody has listened to it yet: what it waits for is the broker.
    is_new: bool,
    /// Whole requests being worked on or answered.
    requests: usize,
    /// It had a whole request before.
    has_asked: bool,
    /// Since when it has had none.
    idle_since: Instant,
    /// Since when it has taken nothing of its answer.
    stalled_since: Option<Instant>,
}

/// Who goes before whom.
type Rank = (Waits, Instant, u64);

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    /// Its first whole request.
    First,
    /// Another whole request.
    Another,
    /// To be rid of its answer.
    Stalled,
}

/// A connection's place, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    go: Arc<Notify>,
    is_refused: bool,
    /// Told when it has had its answer, and there is none to come.
    dismissed: Notify,
}

/// A whole request on its way to the end of its answer.
pub(super) struct InHand(Arc<Place>);

impl Places {
    /// So many places, all free.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, room: Mutex::default() })
    }

    /// Takes a place for a connection, one that waits making way if need be. Where all work, the place is for being
    /// refused.
    pub(super) fn take(self: &Arc<Self>) -> Arc<Place> {
        let mut room = self.room();
        let number = room.next;
        room.next += 1;
        let go = Arc::new(Notify::new());
        let is_refused = room.taken.len() >= self.most && !room.make_way();
        if is_refused {
            if room.refused.len() >= REFUSED_CONNECTIONS
                && let Some((_, oldest)) = room.refused.pop_front()
            {
                oldest.notify_one();
            }
            room.refused.push_back((number, Arc::clone(&go)));
        } else {
            room.enter(number, Arc::clone(&go));
        }
        drop(room);
        Arc::new(Place { places: Arc::clone(self), number, go, is_refused, dismissed: Notify::new() })
    }

    /// Has one connection make way, if one can: something else than places has run out.
    pub(super) fn make_way(&self) -> bool {
        self.room().make_way()
    }

    /// How many connections have one.
    pub(super) fn taken(&self) -> usize {
        self.room().taken.len()
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn enter(&mut self, number: u64, go: Arc<Notify>) {
        let idle_since = Instant::now();
        let standing =
            Standing { go, is_new: true, requests: 0, has_asked: false, idle_since, stalled_since: None };
        self.taken.insert(number, standing);
    }

    fn make_way(&mut self) -> bool {
        let Some(&first) = self.waiting.first() else { return false };
        let (waits, since, number) = first;
        if waits == Waits::Stalled && since.elapsed() < STALL_GRACE {
            return false;
        }
        self.waiting.remove(&first);
        if let Some(standing) = self.taken.remove(&number) {
            standing.go.notify_one();
        }
        true
    }

    /// Changes how a connection stands, unless it is gone.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Standing)) {
        let Some(standing) = self.taken.get_mut(&number) else { return };
        let before = standing.rank(number);
        change(standing);
        let after = standing.rank(number);
        if before != after {
            if let Some(before) = before {
                self.waiting.remove(&before);
            }
            self.waiting.extend(after);
        }
    }
}

impl Standing {
    fn rank(&self, number: u64) -> Option<Rank> {
        match (self.requests, self.stalled_since) {
            _ if self.is_new => None,
            (0, _) if self.has_asked => Some((Waits::Another, self.idle_since, number)),
            (0, _) => Some((Waits::First, self.idle_since, number)),
            (_, since) => since.map(|since| (Waits::Stalled, since, number)),
        }
    }
}

impl Place {
    /// Whether it is only for being told that there is no place.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// What the caller had said before it was taken in has been heard; from now on it may be asked to make way.
    pub(super) fn heard(&self) {
        self.change(|standing| {
            standing.is_new = false;
            standing.idle_since = Instant::now();
        });
    }

    /// Waits until the connection has to go.
    pub(super) async fn gone(&self) {
        self.go.notified().await;
    }

    /// Lets the connection end once what it asked is answered, if it is only there to be refused.
    pub(super) fn dismiss(&self) {
        if self.is_refused {
            self.dismissed.notify_one();
        }
    }

    /// Waits until the connection may end.
    pub(super) async fn dismissed(&self) {
        self.dismissed.notified().await;
    }

    /// A whole request has come.
    pub(super) fn begin(self: &Arc<Self>) -> InHand {
        self.change(|standing| {
            standing.requests += 1;
            standing.has_asked = true;
        });
        InHand(Arc::clone(self))
    }

    /// The caller takes nothing of its answer, or does again.
    pub(super) fn set_stalled(&self, stalled: bool) {
        self.change(|standing| standing.stalled_since = stalled.then(Instant::now));
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        self.places.room().change(self.number, change);
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.change(|standing| {
            standing.requests -= 1;
            standing.idle_since = Instant::now();
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut room = self.places.room();
        if self.is_refused {
            room.refused.retain(|(number, _)| *number != self.number);
        } else if let Some(standing) = room.taken.remove(&self.number)
            && let Some(rank) = standing.rank(self.number)
        {
            room.waiting.remove(&rank);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn has_to_go(place: &Place) -> bool {
        tokio::time::timeout(Duration::from_millis(1), place.gone()).await.is_ok()
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_makes_way_longest_first_and_who_is_served_never() {
        let places = Places::new(4);
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(places.take());
            all.last().unwrap().heard();
            pass(Duration::from_millis(10)).await;
        }
        // 0 is being answered, 1 was and waits again, 2 and 3 never asked.
        let _served = all[0].begin();
        drop(all[1].begin());
        let mut newer = Vec::new();
        for expected in [2, 3, 1] {
            let new = places.take();
            assert!(!new.is_refused());
            newer.push((new.begin(), new));
            assert!(has_to_go(&all[expected]).await, "{expected}");
        }
        assert!(places.take().is_refused(), "all are being answered");
        assert!(!has_to_go(&all[0]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_not_heard_yet_keeps_its_place() {
        let places = Places::new(1);
        let place = places.take();
        pass(Duration::from_hours(1)).await;
        assert!(places.take().is_refused());
        place.heard();
        assert!(!places.take().is_refused());
        assert!(has_to_go(&place).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_its_answer_makes_way_after_a_while() {
        let places = Places::new(1);
        let place = places.take();
        place.heard();
        let _served = place.begin();
        place.set_stalled(true);
        assert!(places.take().is_refused(), "it may only be slow");
        pass(STALL_GRACE).await;
        place.set_stalled(false);
        assert!(places.take().is_refused(), "it was only slow");
        place.set_stalled(true);
        pass(STALL_GRACE).await;
        assert!(!places.take().is_refused());
        assert!(has_to_go(&place).await);
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_free_again_and_the_refused_are_few() {
        let places = Places::new(1);
        let place = places.take();
        let served = place.begin();
        let refused: Vec<_> = (0..=REFUSED_CONNECTIONS).map(|_| places.take()).collect();
        assert!(refused.iter().all(|place| place.is_refused()));
        assert!(has_to_go(&refused[0]).await && !has_to_go(&refused[1]).await);
        drop((served, place));
        assert!(!places.take().is_refused());
        drop(refused);
        let room = places.room();
        assert!(room.taken.is_empty() && room.waiting.is_empty() && room.refused.is_empty());
    }
}
