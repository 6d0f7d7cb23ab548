//! Everything of a simulated history that is not the broker: time, the disk, agents, callers, and the list of what is
//! going to go wrong. It outlives every broker. One thread, one seed: all of it happens the same way each time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use broker::ports::clock::Clock;
use broker::ports::store::{Append, StoreError};
use broker_core::{TaskId, Timestamp};
use protocol::Message;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::agents::Agents;
use super::chance::Chance;
use super::disk::Disk;
use super::leases::Leases;
use super::members::Members;
use super::mirror::Mirror;
use super::sessions::Session;
use super::store::Writing;

/// When a history begins: 2026-01-01.
pub(crate) const BEGINNING: i64 = 1_767_225_600_000;
/// Farthest that a broker's clock is from the world's, milliseconds: two of them may differ by twice that, which has to be
/// less than `capability::CLOCK_SKEW_SECONDS`.
const MAX_SKEW: i64 = 2_000;
/// Lines of a trace after which a history has got out of hand.
const MAX_TRACE: usize = 200_000;

/// How bad things are in a history, drawn from its seed; of a thousand.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// How many brokers share the store.
    pub(crate) brokers: usize,
    /// How far their clocks are from the world's at most, milliseconds.
    pub(crate) skew: i64,
    /// When things stop going wrong, milliseconds from the beginning.
    pub(crate) calm_from: i64,
    /// A connection that is refused.
    pub(crate) refused: u64,
    /// A request that never arrives, an answer that never comes back.
    pub(crate) lost: u64,
    /// An event before which its stream breaks or ends.
    pub(crate) cut: u64,
    /// A request delivered twice.
    pub(crate) doubled: u64,
    /// A request or stream that hangs.
    pub(crate) hangs: u64,
    /// Longest delay of a message, milliseconds.
    pub(crate) delay: i64,
    /// A write that goes wrong.
    pub(crate) bad_writes: u64,
    /// A write at which a broker dies, or all of them.
    pub(crate) deaths: u64,
    /// A write at which one of several brokers is stopped for a while.
    pub(crate) stops: u64,
    /// A store that fails once takes nothing more until it is opened again, as the embedded one; or else it mends itself.
    pub(crate) brittle: bool,
    /// A caller that hangs up.
    pub(crate) hang_ups: u64,
    /// Full disks: from, to.
    pub(crate) full: Vec<(i64, i64)>,
    /// Times at which a broker dies, or all of them; one of several may be stopped instead.
    pub(crate) crashes: Vec<i64>,
}

impl Weather {
    fn of(chance: &mut Chance) -> Self {
        let calm_from = chance.between(5_000, 60_000);
        let up_to = |chance: &mut Chance, most: u64| if chance.happens(500) { chance.below(most) } else { 0 };
        let times = |chance: &mut Chance, most: u64| -> Vec<i64> {
            let mut times: Vec<i64> = (0..chance.below(most)).map(|_| chance.between(1, calm_from)).collect();
            times.sort_unstable();
            times
        };
        let brokers = if chance.happens(600) { 1 } else { 2 + usize::from(chance.happens(500)) };
        Self {
            brokers,
            skew: if brokers > 1 && chance.happens(500) { MAX_SKEW } else { 0 },
            calm_from,
            refused: up_to(chance, 200),
            lost: up_to(chance, 200),
            cut: up_to(chance, 250),
            doubled: up_to(chance, 200),
            hangs: up_to(chance, 60),
            delay: if chance.happens(500) { 3 } else { chance.between(1, 2_000) },
            bad_writes: up_to(chance, 200),
            deaths: up_to(chance, 15),
            stops: if brokers > 1 { up_to(chance, 60) } else { 0 },
            hang_ups: up_to(chance, 600),
            full: times(chance, 3)
                .into_iter()
                .map(|from| (from, from + chance.between(100, 5_000)))
                .collect(),
            crashes: times(chance, if brokers > 1 { 12 } else { 6 }),
            brittle: brokers == 1 && chance.happens(500),
        }
    }

    fn is_full(&self, at: i64) -> bool {
        self.full.iter().any(|(from, to)| (*from..*to).contains(&at))
    }
}

pub(crate) struct State {
    pub(crate) chance: Chance,
    pub(crate) weather: Weather,
    /// Milliseconds from the beginning at which this broker was started.
    born: i64,
    started: Option<Instant>,
    pub(crate) members: Members,
    next_id: u64,
    disk: Disk,
    pub(crate) mirror: Mirror,
    pub(crate) agents: Agents,
    pub(crate) sessions: Vec<Session>,
    pub(crate) trace: Vec<String>,
    pub(crate) broken: Vec<String>,
    /// Messages that reached an agent's execution, by southbound id: how often, not counting what the network doubled.
    pub(crate) executed: BTreeMap<String, u32>,
    /// Messages handed to the network.
    pub(crate) sent: BTreeSet<String>,
    pub(crate) lives: u32,
    /// How often a broker was stopped, and how many trees others took over.
    pub(crate) stopped: u64,
    pub(crate) taken_over: u64,
    /// Moments at which brokers died, or were stopped.
    pub(crate) deaths: Vec<i64>,
    /// Messages whose sender has let go of them, about to arrive.
    pub(crate) drifting: BTreeMap<String, (&'static str, Message)>,
    /// Moments at which the store failed over something that is durable.
    pub(crate) torn: Vec<i64>,
    /// A brittle store has failed.
    is_broken: bool,
    /// What it has written all the same, and shows once it is opened again.
    hidden: Vec<Hidden>,
    /// Tasks somebody asked to cancel.
    pub(crate) canceled: BTreeSet<TaskId>,
    /// Messages an agent answered with an error, by southbound id.
    pub(crate) failed: BTreeSet<String>,
    /// How often the network has delivered an artifact, by the message that began it and its id.
    pub(crate) delivered: BTreeMap<(String, String), usize>,
}

pub(crate) struct World {
    state: Mutex<State>,
    /// The machine is to die now.
    pub(crate) dying: Notify,
    /// The store has failed for this life.
    failing: Notify,
}

/// Something a store has written and does not show yet.
type Hidden = Box<dyn FnOnce(&World) + Send>;

/// The disk of a locked world.
pub(crate) struct DiskGuard<'w>(MutexGuard<'w, State>);

impl std::ops::Deref for DiskGuard<'_> {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        &self.0.disk
    }
}

impl std::ops::DerefMut for DiskGuard<'_> {
    fn deref_mut(&mut self) -> &mut Disk {
        &mut self.0.disk
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let mut chance = Chance::new(seed);
        let weather = Weather::of(&mut chance);
        let (agents, sessions) = (Agents::of(&mut chance), Session::first(&mut chance));
        let trace = vec![format!("seed {seed}: {weather:?}")];
        let state = State {
            chance,
            weather,
            born: 0,
            started: None,
            members: Members::default(),
            next_id: 0,
            disk: Disk::default(),
            mirror: Mirror::default(),
            agents,
            sessions,
            trace,
            broken: Vec::new(),
            executed: BTreeMap::new(),
            sent: BTreeSet::new(),
            lives: 0,
            stopped: 0,
            taken_over: 0,
            deaths: Vec::new(),
            drifting: BTreeMap::new(),
            torn: Vec::new(),
            is_broken: false,
            hidden: Vec::new(),
            canceled: BTreeSet::new(),
            failed: BTreeSet::new(),
            delivered: BTreeMap::new(),
        };
        Arc::new(Self { state: Mutex::new(state), dying: Notify::new(), failing: Notify::new() })
    }

    /// The world, for a moment in which nothing else happens. Never held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn disk(&self) -> DiskGuard<'_> {
        DiskGuard(self.lock())
    }

    /// Milliseconds from the beginning.
    pub(crate) fn now(&self) -> i64 {
        self.lock().now()
    }

    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        let text = text();
        self.lock().note(&text);
    }

    /// An invariant does not hold.
    pub(crate) fn broken(&self, invariant: &str, what: &str) {
        self.lock().broken(invariant, what);
    }

    /// A brittle store fails, and with it whatever is written until it is opened again.
    pub(crate) fn breaks(&self, written: Option<Hidden>) {
        let mut state = self.lock();
        if state.weather.brittle {
            state.is_broken = true;
            state.hidden.extend(written);
            state.note("the store has failed");
            drop(state);
            self.failing.notify_waiters();
        }
    }

    /// Resolves when the store has failed for this life.
    pub(crate) async fn until_broken(&self) {
        loop {
            let failing = self.failing.notified();
            if self.lock().is_broken {
                return;
            }
            failing.await;
        }
    }

    /// The machines come to life, on a runtime of their own.
    pub(crate) fn begin_life(&self) {
        let hidden = {
            let mut state = self.lock();
            state.is_broken = false;
            std::mem::take(&mut state.hidden)
        };
        for show in hidden {
            show(self);
        }
        let mut state = self.lock();
        state.started = Some(Instant::now());
        state.lives += 1;
    }

    /// They die: time stands still until they live again.
    pub(crate) fn end_life(&self) {
        let mut state = self.lock();
        let now = state.now();
        (state.born, state.started) = (now, None);
        state.deaths.push(now);
        state.note("all is dead");
        state.members.all_die();
    }

    /// For a while there is none.
    pub(crate) fn pause(&self) {
        let mut state = self.lock();
        state.arrive_late();
        state.born += state.chance.between(1, 3_000);
        state.agents.begin_again();
        super::sessions::begin_again(&mut state.sessions);
    }

    pub(crate) async fn sleep_until(&self, at: i64) {
        let wait = u64::try_from(at - self.now()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }

    /// All machines stop here: whoever waits for this waits for ever.
    pub(crate) async fn die<T>(&self, when: &str) -> T {
        self.note(|| format!("all die {when}"));
        self.dying.notify_one();
        std::future::pending().await
    }

    /// What becomes of a write, and how long it takes before and after the moment it is there.
    pub(crate) fn writing(&self) -> (Writing, Duration, Duration) {
        let mut state = self.lock();
        let now = state.now();
        let (is_calm, is_full, is_broken) = (state.is_calm(), state.weather.is_full(now), state.is_broken);
        let (bad, deaths) = (state.weather.bad_writes, state.weather.deaths);
        let stops = state.weather.stops;
        let chance = &mut state.chance;
        let mut wait = || Duration::from_millis(chance.below(4));
        let (before, after) = (wait(), wait());
        let writing = if is_broken {
            Writing::Broken
        } else if is_calm {
            Writing::Works
        } else if is_full {
            Writing::Full
        } else if chance.happens(deaths) {
            *chance.pick(&[Writing::DiesBefore, Writing::DiesAfter])
        } else if chance.happens(stops) {
            Writing::Stops
        } else if chance.happens(bad) {
            *chance.pick(&[Writing::Overloaded, Writing::Full, Writing::Torn, Writing::Torn])
        } else {
            Writing::Works
        };
        if writing == Writing::Torn {
            state.torn.push(now);
        }
        (writing, before, after)
    }

    pub(crate) fn reading_fails(&self) -> bool {
        let mut state = self.lock();
        let bad = state.weather.bad_writes / 8;
        !state.is_calm() && state.chance.happens(bad)
    }

    /// An append of a broker's becomes durable.
    pub(crate) fn append(&self, by: u64, change: Append) -> Result<(), StoreError> {
        let mut state = self.lock();
        let (root, records) = (change.root, change.records.clone());
        let is_allowed = state.weather.brokers == 1 || state.leases().lets_append(by, root);
        let appended = if is_allowed {
            state.disk.append(change)
        } else {
            Err(StoreError::Engine("another broker has taken over".to_owned()))
        };
        if let Err(refused) = appended {
            state.note(&format!("  refused by the store: {refused}"));
            return Err(refused);
        }
        for record in &records {
            state.note(&format!("  durable {}", String::from_utf8_lossy(record)));
        }
        state.mirror.append(root, &records);
        state.places_suffice();
        Ok(())
    }

    /// Takes over some of what brokers that are gone have left to do. Who cannot tell whether it is there itself finds nobody
    /// gone.
    pub(crate) fn adopt(&self, by: u64, is_current: bool, limit: usize) -> Vec<TaskId> {
        let mut state = self.lock();
        let now = state.now();
        if is_current {
            state.leases().bury(by, now);
        }
        let adopted = state.disk.adopt(by, limit);
        state.taken_over += adopted.len() as u64;
        if !adopted.is_empty() {
            state.note(&format!("broker {by} takes over {adopted:?}"));
        }
        adopted
    }

    pub(crate) fn history(&self) -> String {
        let state = self.lock();
        let mut text = String::new();
        for line in &state.trace {
            writeln!(text, "{line}").unwrap();
        }
        text
    }
}

impl State {
    pub(crate) fn now(&self) -> i64 {
        let lived = self.started.map_or(0, |started| started.elapsed().as_millis());
        self.born + i64::try_from(lived).unwrap()
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.now() >= self.weather.calm_from
    }

    pub(crate) fn note(&mut self, text: &str) {
        let now = self.now();
        self.trace.push(format!("{:>6}.{:03} {text}", now / 1_000, now % 1_000));
        assert!(
            self.trace.len() < MAX_TRACE,
            "the history gets out of hand:\n{}",
            self.trace[..500].join("\n")
        );
    }

    pub(crate) fn broken(&mut self, invariant: &str, what: &str) {
        let text = format!("invariant {invariant}: {what}");
        self.note(&format!("BROKEN {text}"));
        self.broken.push(text);
    }

    pub(crate) fn leases(&mut self) -> &mut Leases {
        &mut self.disk.leases
    }

    /// No agent works on more tasks at a time than it may. Each broker counts for itself.
    fn places_suffice(&mut self) {
        if self.weather.brokers > 1 {
            return;
        }
        let at_work = |(name, agent): (&&'static str, &super::agents::Agent)| {
            let (count, most) = (self.mirror.at_work(name), agent.at_once?);
            (count > most as usize)
                .then(|| format!("{name} works on {count} tasks, and takes {most} at a time"))
        };
        let wrong: Vec<String> = self.agents.all.iter().filter_map(at_work).collect();
        for what in wrong {
            self.broken("places", &what);
        }
    }

    /// Whether something that goes wrong so often goes wrong now.
    pub(crate) fn goes_wrong(&mut self, how_often: impl Fn(&Weather) -> u64) -> bool {
        let of_thousand = how_often(&self.weather);
        !self.is_calm() && self.chance.happens(of_thousand)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_calm()
            && self.open_trees().is_empty()
            && self.sessions.iter().all(Session::is_over)
            && self.agents.are_over()
    }

    pub(crate) fn open_trees(&self) -> Vec<TaskId> {
        self.disk.open_trees(None, usize::MAX)
    }

    pub(crate) fn root_of(&self, task: TaskId) -> Option<TaskId> {
        self.disk.locate(task)
    }

    pub(crate) fn claim(&self, principal: &str, message_id: &str) -> Option<TaskId> {
        self.disk.claim(principal, message_id).map(|claim| claim.task)
    }
}

/// A broker's clock: the world's time or nearly, and ids that follow from the seed.
pub(crate) struct SimClock {
    pub(crate) world: Arc<World>,
    pub(crate) skew: i64,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING + self.world.now() + self.skew)
    }

    fn new_task_id(&self) -> TaskId {
        let mut state = self.world.lock();
        state.next_id += 1;
        let (millis, number) = (u64::try_from(BEGINNING + state.now()).unwrap(), state.next_id);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&number.to_be_bytes());
        TaskId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    fn new_secret(&self) -> Result<[u8; 32], String> {
        let mut state = self.world.lock();
        let mut secret = [0; 32];
        secret.chunks_mut(8).for_each(|part| part.copy_from_slice(&state.chance.next().to_be_bytes()));
        Ok(secret)
    }
}
