//! Places for connections: how many there may be, and which one makes way for another when all are taken. What waits for
//! its caller makes way, longest first, and never what the broker works on: so that connections that ask for nothing
//! cannot keep out those that do, however many they are ([decision 15](../../../docs/decisions/0015-overload.md)).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Connections beyond the bound that are kept to be told so; the oldest of them makes way for the next.
pub(super) const REFUSED_CONNECTIONS: usize = 64;

/// Connections that may be taken in before those before them were listened to, and the share of all places that is.
const NEWCOMERS: usize = 32;
const NEWCOMERS_SHARE: usize = 8;

/// A caller that takes nothing of its answer for less than this is only slow.
const STALL_GRACE: Duration = Duration::from_secs(1);

/// All places.
pub(super) struct Places {
    most: usize,
    /// For each whom nobody has listened to yet: nobody is taken in, and takes another's place, before those who have
    /// spoken could be heard. After a pause, all who came meanwhile are there at once.
    newcomers: Arc<Semaphore>,
    room: Mutex<Room>,
}

#[derive(Default)]
struct Room {
    next: u64,
    taken: HashMap<u64, Standing>,
    /// Those who may be asked to make way, in this order.
    waiting: BTreeSet<Rank>,
    refused: VecDeque<(u64, Arc<Orders>)>,
}

/// What a connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// To end once what it has asked is answered.
    Finish,
    /// To end at once.
    Go,
}

/// A connection's orders: one thing to listen to for all of them, since it is listened to whenever anything happens on it.
#[derive(Default)]
struct Orders {
    given: Notify,
    go: AtomicBool,
}

impl Orders {
    fn give(&self, order: Order) {
        if order == Order::Go {
            self.go.store(true, Ordering::Relaxed);
        }
        self.given.notify_one();
    }

    async fn next(&self) -> Order {
        self.given.notified().await;
        if self.go.load(Ordering::Relaxed) { Order::Go } else { Order::Finish }
    }
}

/// How a connection stands.
struct Standing {
    orders: Arc<Orders>,
    /// Whole requests being worked on or answered; and one until it has been listened to, for it waits for the broker.
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
    orders: Arc<Orders>,
    is_refused: bool,
    /// Until it has been listened to.
    newcomer: Mutex<Option<Newcomer>>,
}

/// Leave to take a place.
pub(super) struct Newcomer {
    _counted: Option<OwnedSemaphorePermit>,
}

/// A whole request on its way to the end of its answer.
pub(super) struct InHand(Arc<Place>);

impl Places {
    /// So many places, all free.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let newcomers = Arc::new(Semaphore::new((most / NEWCOMERS_SHARE).clamp(1, NEWCOMERS)));
        Arc::new(Self { most, newcomers, room: Mutex::default() })
    }

    /// Waits until another may be taken in.
    pub(super) async fn newcomer(&self) -> Newcomer {
        // It is never closed.
        Newcomer { _counted: Arc::clone(&self.newcomers).acquire_owned().await.ok() }
    }

    /// Takes a place for a connection, one that waits making way if need be. Where all work, the place is for being
    /// refused.
    pub(super) fn take(self: &Arc<Self>, newcomer: Newcomer) -> Arc<Place> {
        let mut room = self.room();
        let number = room.next;
        room.next += 1;
        let orders = Arc::<Orders>::default();
        let is_refused = room.taken.len() >= self.most && !room.make_way();
        if is_refused {
            if room.refused.len() >= REFUSED_CONNECTIONS
                && let Some((_, oldest)) = room.refused.pop_front()
            {
                oldest.give(Order::Go);
            }
            room.refused.push_back((number, Arc::clone(&orders)));
        } else {
            room.enter(number, Arc::clone(&orders));
        }
        drop(room);
        Arc::new(Place {
            places: Arc::clone(self),
            number,
            orders,
            is_refused,
            newcomer: Mutex::new(Some(newcomer)),
        })
    }

    /// Has one connection make way, if one can: something else than places has run out.
    pub(super) fn make_way(&self) -> bool {
        self.room().make_way()
    }

    /// Has all connections end once what they have asked is answered.
    pub(super) fn finish(&self) {
        let room = self.room();
        let taken = room.taken.values().map(|standing| &standing.orders);
        let refused = room.refused.iter().map(|(_, orders)| orders);
        for orders in taken.chain(refused) {
            orders.give(Order::Finish);
        }
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
    fn enter(&mut self, number: u64, orders: Arc<Orders>) {
        let idle_since = Instant::now();
        let standing = Standing { orders, requests: 1, has_asked: false, idle_since, stalled_since: None };
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
            standing.orders.give(Order::Go);
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

    /// Waits for the next order. The first time, whoever reads from the caller has its turn before: what was said before the
    /// connection was taken in is heard, and only then may it be asked to make way.
    pub(super) async fn order(&self) -> Order {
        if self.is_new() {
            tokio::task::yield_now().await;
            self.heard();
        }
        self.orders.next().await
    }

    fn is_new(&self) -> bool {
        self.newcomer.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn heard(&self) {
        let newcomer = self.newcomer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if newcomer.is_some() {
            self.done();
        }
    }

    /// One thing less is in hand.
    fn done(&self) {
        self.change(|standing| {
            standing.requests -= 1;
            standing.idle_since = Instant::now();
        });
    }

    /// Lets the connection end once what it asked is answered, if it is only there to be refused.
    pub(super) fn dismiss(&self) {
        if self.is_refused {
            self.orders.give(Order::Finish);
        }
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
        self.0.done();
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
        tokio::time::timeout(Duration::from_millis(1), place.order())
            .await
            .is_ok_and(|order| order == Order::Go)
    }

    /// Somebody who comes, whether others were listened to or not.
    fn come(places: &Arc<Places>) -> Arc<Place> {
        places.take(Newcomer { _counted: None })
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_makes_way_longest_first_and_who_is_served_never() {
        let places = Places::new(4);
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(come(&places));
            all.last().unwrap().heard();
            pass(Duration::from_millis(10)).await;
        }
        // 0 is being answered, 1 was and waits again, 2 and 3 never asked.
        let _served = all[0].begin();
        drop(all[1].begin());
        let mut newer = Vec::new();
        for expected in [2, 3, 1] {
            let new = come(&places);
            assert!(!new.is_refused());
            newer.push((new.begin(), new));
            assert!(has_to_go(&all[expected]).await, "{expected}");
        }
        assert!(come(&places).is_refused(), "all are being answered");
        assert!(!has_to_go(&all[0]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_not_heard_yet_keeps_its_place() {
        let places = Places::new(1);
        let place = come(&places);
        pass(Duration::from_hours(1)).await;
        assert!(come(&places).is_refused());
        place.heard();
        assert!(!come(&places).is_refused());
        assert!(has_to_go(&place).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_its_answer_makes_way_after_a_while() {
        let places = Places::new(1);
        let place = come(&places);
        place.heard();
        let _served = place.begin();
        place.set_stalled(true);
        assert!(come(&places).is_refused(), "it may only be slow");
        pass(STALL_GRACE).await;
        place.set_stalled(false);
        assert!(come(&places).is_refused(), "it was only slow");
        place.set_stalled(true);
        pass(STALL_GRACE).await;
        assert!(!come(&places).is_refused());
        assert!(has_to_go(&place).await);
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_free_again_and_the_refused_are_few() {
        let places = Places::new(1);
        let place = come(&places);
        let served = place.begin();
        let refused: Vec<_> = (0..=REFUSED_CONNECTIONS).map(|_| come(&places)).collect();
        assert!(refused.iter().all(|place| place.is_refused()));
        assert!(has_to_go(&refused[0]).await && !has_to_go(&refused[1]).await);
        drop((served, place));
        assert!(!come(&places).is_refused());
        drop(refused);
        let room = places.room();
        assert!(room.taken.is_empty() && room.waiting.is_empty() && room.refused.is_empty());
    }
}
