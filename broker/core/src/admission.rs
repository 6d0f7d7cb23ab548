//! Who may be sent to an agent now: so many attempts at a time, in order and fairly between principals, and none while
//! the agent is known not to answer. Pure: one value per agent, asked and told by whoever performs the actions; what it
//! knows can always be told again from the trees.
//!
//! A task has a place for one of two reasons, which do not touch each other: one was taken for it ahead, until that is
//! released; and its tree says that it keeps the agent busy, until the tree says otherwise.
//!
//! The circuit:
//!
//! ```text
//!            failures in a row ≥ threshold
//!   Closed ────────────────────────────────▶ Open ──── its time is up ───▶ Trying
//!      ▲                                      ▲                              │
//!      │                                      ├───────── it fails ───────────┤ one attempt
//!      │                                      └── it ends without a word ────┤
//!      └─────────────────── it takes the message, or answers ────────────────┘
//! ```

use std::collections::{BTreeMap, VecDeque};

use protocol::Timestamp;

use crate::TaskId;
use crate::delegation::input::AttemptId;

/// Doublings after which an open circuit stays open no longer than before.
const MAX_DOUBLINGS: u32 = 16;

/// Bounds on what one agent is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Most attempts at a time; `None` is any number.
    pub at_once: Option<u32>,
    /// Most attempts of one principal that wait.
    pub waiting: usize,
    /// Failures in a row after which the circuit opens; 0: never.
    pub failures: u32,
    /// How long it stays open at first; doubles each time; milliseconds.
    pub open_ms: i64,
    /// How long it stays open at most; milliseconds.
    pub max_open_ms: i64,
}

/// An attempt that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The tree.
    pub root: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
    /// The principal that owns the tree.
    pub owner: String,
}

/// What becomes of a task that is about to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// There is a place, and it is taken.
    Admitted,
    /// It has to wait, and is counted among those who do until it says that it has arrived.
    Waits,
    /// As many of its principal's wait already as may.
    Full,
}

/// What becomes of the attempt whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// There is a place, and it is taken.
    Admitted(Ticket),
    /// The agent is not to be tried before this.
    Down(Ticket, Timestamp),
}

/// Who is and who waits at one agent.
#[derive(Debug, Clone)]
pub struct Admission {
    limits: AdmissionLimits,
    places: BTreeMap<TaskId, Place>,
    waiting: Fair,
    /// How many of each principal are about to wait.
    arriving: BTreeMap<String, usize>,
    circuit: Circuit,
    /// Failures in a row.
    failed: u32,
}

/// Why a task has a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    /// Its tree says that it keeps the agent busy.
    works: bool,
    /// How often one was taken for it ahead, and not yet released.
    taken: u32,
}

/// Whether the agent is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    Closed,
    Open {
        until: Timestamp,
    },
    Trying {
        with: TaskId,
        /// When it could be tried again.
        since: Timestamp,
    },
}

impl Admission {
    /// Nobody is there.
    pub fn new(limits: AdmissionLimits) -> Self {
        let (places, waiting, arriving) = Default::default();
        Self { limits, places, waiting, arriving, circuit: Circuit::Closed, failed: 0 }
    }

    /// Other bounds from now on.
    pub fn set_limits(&mut self, limits: AdmissionLimits) {
        self.limits = limits;
    }

    /// Takes a place for a task that is about to begin, if nobody came before it. To be released.
    pub fn enter(&mut self, task: TaskId, owner: &str, now: Timestamp) -> Entry {
        if self.waiting.len() == 0 && self.has_place(task, now) {
            self.take(task);
            return Entry::Admitted;
        }
        if self.is_full_for(owner) {
            return Entry::Full;
        }
        *self.arriving.entry(owner.to_owned()).or_default() += 1;
        Entry::Waits
    }

    /// Whether as many of a principal's attempts wait as may.
    pub fn is_full_for(&self, owner: &str) -> bool {
        let arriving = self.arriving.get(owner).copied().unwrap_or_default();
        self.waiting.len_of(owner) + arriving >= self.limits.waiting
    }

    /// Whoever was told to wait is in the queue by now, or never will be.
    pub fn arrived(&mut self, owner: &str) {
        let Some(arriving) = self.arriving.get_mut(owner) else { return };
        *arriving -= 1;
        if *arriving == 0 {
            self.arriving.remove(owner);
        }
    }

    /// Joins the queue; once, however often it is told.
    pub fn wait(&mut self, ticket: Ticket) {
        self.waiting.push(ticket);
    }

    /// The next attempt whose turn it is, if it is anybody's. The place it is given is to be released.
    pub fn next(&mut self, now: Timestamp) -> Option<Turn> {
        if let Some(until) = self.is_down(now) {
            return self.waiting.pop().map(|ticket| Turn::Down(ticket, until));
        }
        let task = self.waiting.peek()?.attempt.task;
        if !self.has_place(task, now) {
            return None;
        }
        let ticket = self.waiting.pop()?;
        self.take(task);
        Some(Turn::Admitted(ticket))
    }

    /// A place that was taken ahead is given back: by now the task works, as its tree has said, or it never will.
    pub fn release(&mut self, task: TaskId) {
        self.change(task, |place| place.taken = place.taken.saturating_sub(1));
    }

    /// A task keeps the agent busy, or does so no longer: it is over, or waits for its children, its caller, or for
    /// somebody to decide. A task that comes back to work is not turned away, even where there are others by then.
    pub fn set_busy(&mut self, task: TaskId, busy: bool) {
        self.change(task, |place| place.works = busy);
    }

    /// A task no longer waits.
    pub fn forget(&mut self, task: TaskId) {
        self.waiting.remove(task);
    }

    /// The agent took a message, and what it makes of it is to be seen: others may try it too.
    pub fn took(&mut self) {
        if let Circuit::Trying { .. } = self.circuit {
            self.circuit = Circuit::Closed;
        }
    }

    /// The agent answered.
    pub fn answered(&mut self) {
        (self.circuit, self.failed) = (Circuit::Closed, 0);
    }

    /// The agent could not be reached, or did not answer. What was under way when the circuit opened says nothing new.
    pub fn failed(&mut self, now: Timestamp) {
        let limits = self.limits;
        if self.is_down(now).is_some() {
            return;
        }
        self.failed = self.failed.saturating_add(1);
        if limits.failures == 0 || self.failed < limits.failures {
            return;
        }
        let doublings = (self.failed - limits.failures).min(MAX_DOUBLINGS);
        let open = limits.open_ms.saturating_mul(1 << doublings).min(limits.max_open_ms);
        self.circuit = Circuit::Open { until: now.add_millis(open) };
    }

    /// Until when the agent is not tried, if it is not.
    pub fn is_down(&self, now: Timestamp) -> Option<Timestamp> {
        match self.circuit {
            Circuit::Open { until } if now < until => Some(until),
            _ => None,
        }
    }

    /// Attempts that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Tasks that have a place.
    pub fn busy(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing would be lost by forgetting it.
    pub fn is_idle(&self) -> bool {
        self.places.is_empty()
            && self.waiting.len() == 0
            && self.arriving.is_empty()
            && self.circuit == Circuit::Closed
            && self.failed == 0
    }

    fn has_place(&self, task: TaskId, now: Timestamp) -> bool {
        let is_tried = match self.circuit {
            Circuit::Closed => true,
            Circuit::Open { until } => until <= now,
            Circuit::Trying { with, .. } => with == task,
        };
        let has_room = self.limits.at_once.is_none_or(|most| self.places.len() < most as usize);
        is_tried && (has_room || self.places.contains_key(&task))
    }

    fn take(&mut self, task: TaskId) {
        if let Circuit::Open { until } = self.circuit {
            self.circuit = Circuit::Trying { with: task, since: until };
        }
        self.change(task, |place| place.taken += 1);
    }

    fn change(&mut self, task: TaskId, change: impl FnOnce(&mut Place)) {
        let place = self.places.entry(task).or_default();
        change(place);
        if *place != Place::default() {
            return;
        }
        self.places.remove(&task);
        match self.circuit {
            // Nothing was learned of the agent by it: it is for the next one to try.
            Circuit::Trying { with, since } if with == task => self.circuit = Circuit::Open { until: since },
            _ => {}
        }
    }
}

/// A queue that serves principals in turn, and each one's tasks in the order in which they came to be, whatever order they
/// come back in after a restart: who asks for much waits for itself.
#[derive(Debug, Clone, Default)]
struct Fair {
    queues: BTreeMap<String, VecDeque<Ticket>>,
    turns: VecDeque<String>,
    /// In whose queue a task is.
    members: BTreeMap<TaskId, String>,
}

impl Fair {
    fn len(&self) -> usize {
        self.members.len()
    }

    fn len_of(&self, owner: &str) -> usize {
        self.queues.get(owner).map_or(0, VecDeque::len)
    }

    fn push(&mut self, ticket: Ticket) {
        let task = ticket.attempt.task;
        if let Some(owner) = self.members.get(&task) {
            let mut queue = self.queues.get_mut(owner).into_iter().flatten();
            if let Some(known) = queue.find(|known| known.attempt.task == task) {
                *known = ticket;
            }
            return;
        }
        self.members.insert(task, ticket.owner.clone());
        let queue = self.queues.entry(ticket.owner.clone()).or_default();
        if queue.is_empty() {
            self.turns.push_back(ticket.owner.clone());
        }
        let place = queue.partition_point(|older| older.attempt.task < task);
        queue.insert(place, ticket);
    }

    fn peek(&self) -> Option<&Ticket> {
        self.queues.get(self.turns.front()?)?.front()
    }

    fn pop(&mut self) -> Option<Ticket> {
        let owner = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&owner)?;
        let ticket = queue.pop_front()?;
        self.members.remove(&ticket.attempt.task);
        if queue.is_empty() {
            self.queues.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
        Some(ticket)
    }

    fn remove(&mut self, task: TaskId) {
        let Some(owner) = self.members.remove(&task) else { return };
        let Some(queue) = self.queues.get_mut(&owner) else { return };
        queue.retain(|ticket| ticket.attempt.task != task);
        if queue.is_empty() {
            self.queues.remove(&owner);
            self.turns.retain(|turn| *turn != owner);
        }
    }
}
