//! What a run counts, and over which time: a run warms up, then a window is open in which answers count and CPU time is
//! taken.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::histogram::Histogram;
use crate::os;

/// Numbers set aside for one run, more than any run makes calls.
const RUN: u64 = 1 << 32;

/// Shared by the connections of a run; all are on one thread.
#[derive(Default)]
pub struct Shared {
    pub histogram: RefCell<Histogram>,
    pub is_open: Cell<bool>,
    pub is_over: Cell<bool>,
    next: Cell<u64>,
    /// All answers of the run, those outside of the window too.
    pub answered: Cell<u64>,
}

/// A message id that no other call of this process has.
pub fn unique() -> String {
    format!("{:016x}", Shared::new().number())
}

impl Shared {
    pub fn new() -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(RUN);
        Self { next: Cell::new(RUNS.fetch_add(RUN, Ordering::Relaxed)), ..Self::default() }
    }

    /// A number that no other call of this process has: a message id that a broker has seen before is the same task.
    pub fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    pub fn answered(&self, taken: Duration) {
        self.answered.set(self.answered.get() + 1);
        if self.is_open.get() {
            self.histogram.borrow_mut().record(taken);
        }
    }
}

/// What was counted.
pub struct Tally {
    pub histogram: Histogram,
    /// How long the window was open.
    pub elapsed: Duration,
    /// CPU time of the server in the window.
    pub server: Duration,
    /// CPU time of everything on the other core: this process and the agent.
    pub others: Duration,
    /// All answers of the run, those outside of the window too.
    pub answered: u64,
}

impl Tally {
    pub fn per_second(&self) -> f64 {
        self.histogram.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// CPU time of the server for one answer, in microseconds.
    pub fn cpu_micros(&self) -> f64 {
        self.server.as_secs_f64() * 1e6 / self.histogram.len().max(1) as f64
    }

    /// How much of its core the server used, in percent.
    pub fn server_share(&self) -> f64 {
        100.0 * self.server.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// How much of its core everything else used, in percent.
    pub fn others_share(&self) -> f64 {
        100.0 * self.others.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// A time in which things are counted, and whose CPU time belongs to it.
#[derive(Clone, Copy)]
pub struct Window<'a> {
    pub warm_up: Duration,
    pub time: Duration,
    /// The CPU time of the server, and of the agent, so far.
    pub server: &'a dyn Fn() -> Result<Duration>,
    pub agent: &'a dyn Fn() -> Result<Duration>,
}

impl Window<'_> {
    /// Waits until it has passed, while others make calls.
    pub async fn pass(&self, shared: &Shared) -> Result<Tally> {
        tokio::time::sleep(self.warm_up).await;
        let (began, server, others) = (Instant::now(), (self.server)()?, self.others()?);
        shared.is_open.set(true);
        tokio::time::sleep(self.time).await;
        shared.is_open.set(false);
        let (elapsed, server, others) = (began.elapsed(), (self.server)()? - server, self.others()? - others);
        shared.is_over.set(true);
        let histogram = std::mem::take(&mut *shared.histogram.borrow_mut());
        Ok(Tally { histogram, elapsed, server, others, answered: 0 })
    }

    fn others(&self) -> Result<Duration> {
        Ok((self.agent)()? + os::own_cpu_time()?)
    }
}
