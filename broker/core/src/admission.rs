//! Who may be sent to an agent now: so many attempts at a time, in order and fairly between principals, and none while
//! the agent is known not to answer. Pure: one value per agent, asked and told by whoever performs the actions; what it
//! knows can always be told again from the trees.
//!
//! The circuit:
//!
//! ```text
//!            failures in a row ≥ threshold
//!   Closed ────────────────────────────────▶ Open ──── its time is up ───▶ Trying
//!      ▲                                      ▲                              │
//!      │                                      └───────── it fails ───────────┤ one attempt
//!      └──────────────────────────── it answers ─────────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// Most attempts that wait.
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
    /// It has to wait.
    Waits,
    /// Too many wait already.
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
    busy: BTreeSet<TaskId>,
    waiting: Fair,
    circuit: Circuit,
    /// Failures in a row.
    failed: u32,
}

/// Whether the agent is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    Closed,
    Open { until: Timestamp },
    Trying { with: TaskId },
}

impl Admission {
    /// Nobody is there.
    pub fn new(limits: AdmissionLimits) -> Self {
        Self { limits, busy: BTreeSet::new(), waiting: Fair::default(), circuit: Circuit::Closed, failed: 0 }
    }

    /// Other bounds from now on.
    pub fn set_limits(&mut self, limits: AdmissionLimits) {
        self.limits = limits;
    }

    /// Takes a place for a new task, if nobody came before it.
    pub fn enter(&mut self, task: TaskId, now: Timestamp) -> Entry {
        if self.waiting.len() > 0 || !self.has_place(task, now) {
            let is_full = self.waiting.len() >= self.limits.waiting;
            return if is_full { Entry::Full } else { Entry::Waits };
        }
        self.take(task);
        Entry::Admitted
    }

    /// Joins the queue; once, however often it is told.
    pub fn wait(&mut self, ticket: Ticket) {
        self.waiting.push(ticket);
    }

    /// The next attempt whose turn it is, if it is anybody's.
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

    /// A task keeps the agent busy, or does so no longer: it is over, or waits for its children, its caller, or for
    /// somebody to decide. A task that comes back to work is not turned away, even where there are others by then.
    pub fn set_busy(&mut self, task: TaskId, busy: bool) {
        if busy {
            self.busy.insert(task);
        } else {
            self.busy.remove(&task);
            if self.circuit == (Circuit::Trying { with: task }) {
                self.circuit = Circuit::Closed;
            }
        }
    }

    /// A task no longer waits.
    pub fn forget(&mut self, task: TaskId) {
        self.waiting.remove(task);
    }

    /// The agent answered.
    pub fn answered(&mut self) {
        (self.circuit, self.failed) = (Circuit::Closed, 0);
    }

    /// The agent could not be reached, or did not answer.
    pub fn failed(&mut self, now: Timestamp) {
        let limits = self.limits;
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

    /// Tasks that keep the agent busy.
    pub fn busy(&self) -> usize {
        self.busy.len()
    }

    /// Whether nothing would be lost by forgetting it.
    pub fn is_idle(&self) -> bool {
        self.busy.is_empty() && self.waiting.len() == 0 && self.circuit == Circuit::Closed && self.failed == 0
    }

    fn has_place(&self, task: TaskId, now: Timestamp) -> bool {
        let is_tried = match self.circuit {
            Circuit::Closed => true,
            Circuit::Open { until } => until <= now,
            Circuit::Trying { with } => with == task,
        };
        let has_room = self.limits.at_once.is_none_or(|most| self.busy.len() < most as usize);
        is_tried && (has_room || self.busy.contains(&task))
    }

    fn take(&mut self, task: TaskId) {
        if let Circuit::Open { .. } = self.circuit {
            self.circuit = Circuit::Trying { with: task };
        }
        self.busy.insert(task);
    }
}

/// A queue that serves principals in turn, and each one's attempts in order: who asks for much waits for itself.
#[derive(Debug, Clone, Default)]
struct Fair {
    queues: BTreeMap<String, VecDeque<Ticket>>,
    turns: VecDeque<String>,
    members: BTreeSet<(TaskId, u32)>,
}

impl Fair {
    fn len(&self) -> usize {
        self.members.len()
    }

    fn push(&mut self, ticket: Ticket) {
        if !self.members.insert((ticket.attempt.task, ticket.attempt.number)) {
            return;
        }
        let queue = self.queues.entry(ticket.owner.clone()).or_default();
        if queue.is_empty() {
            self.turns.push_back(ticket.owner.clone());
        }
        queue.push_back(ticket);
    }

    fn peek(&self) -> Option<&Ticket> {
        self.queues.get(self.turns.front()?)?.front()
    }

    fn pop(&mut self) -> Option<Ticket> {
        let owner = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&owner)?;
        let ticket = queue.pop_front()?;
        self.members.remove(&(ticket.attempt.task, ticket.attempt.number));
        if queue.is_empty() {
            self.queues.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
        Some(ticket)
    }

    fn remove(&mut self, task: TaskId) {
        let tickets = self.members.len();
        self.members.retain(|(member, _)| *member != task);
        if self.members.len() == tickets {
            return;
        }
        for queue in self.queues.values_mut() {
            queue.retain(|ticket| ticket.attempt.task != task);
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        self.turns.retain(|owner| self.queues.contains_key(owner));
    }
}
