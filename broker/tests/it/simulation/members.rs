//! The brokers of a history, one or several over one store, each in a place of its own and now and then started anew. One
//! that has died alone does nothing any more, and one that is stopped nothing until it is woken up, knowing of nothing:
//! what a broker reads, writes and sends, and whatever is heard of it, passes its gate.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::service::Broker;
use broker_core::TaskId;
use tokio::sync::Notify;

use super::leases::LEASE;
use super::world::{State, World};

/// How often within its lease a broker says that it is there.
const RENEWALS: i64 = 4;

#[derive(Default)]
pub(crate) struct Members {
    all: BTreeMap<u64, Member>,
    next: u64,
    /// Places whose broker is dead, and until when they are empty.
    empty: BTreeMap<usize, i64>,
}

struct Member {
    place: usize,
    broker: Option<Arc<Broker>>,
    is_stopped: bool,
    is_dead: bool,
    changed: Arc<Notify>,
    /// When it last asked to be taken for alive and was; no longer, once it was told otherwise.
    renewed: Option<i64>,
}

impl Members {
    /// Every place is empty: all have died at once.
    pub(crate) fn all_die(&mut self) {
        self.all.clear();
        self.empty.clear();
    }

    fn runs(&self, id: u64) -> bool {
        self.all.get(&id).is_some_and(|member| !member.is_dead && !member.is_stopped)
    }

    fn running(&self) -> Vec<u64> {
        self.all.keys().copied().filter(|id| self.runs(*id)).collect()
    }

    fn is_taken(&self, place: usize) -> bool {
        self.all.values().any(|member| member.place == place && !member.is_dead)
    }
}

impl State {
    /// Places that wait for a broker.
    pub(crate) fn vacancies(&self) -> Vec<usize> {
        let now = self.now();
        let is_empty = |place: &usize| self.members.empty.get(place).is_none_or(|until| *until <= now);
        (0..self.weather.brokers).filter(|place| !self.members.is_taken(*place)).filter(is_empty).collect()
    }

    /// Those that run now.
    pub(crate) fn brokers(&self) -> Vec<Arc<Broker>> {
        let running = self.members.running();
        running.iter().filter_map(|id| self.members.all[id].broker.clone()).collect()
    }

    fn kill(&mut self, id: u64, how: &str) {
        let back_at = self.now() + self.chance.between(1, 6_000);
        let Some(member) = self.members.all.get_mut(&id).filter(|member| !member.is_dead) else { return };
        (member.is_dead, member.broker) = (true, None);
        let (place, changed) = (member.place, Arc::clone(&member.changed));
        self.members.empty.insert(place, back_at);
        self.deaths.push(self.now());
        self.note(&format!("broker {id} dies {how}"));
        changed.notify_waiters();
    }
}

impl World {
    /// A broker in an empty place.
    pub(crate) fn enter(self: &Arc<Self>, place: usize) -> Gate {
        let mut state = self.lock();
        state.members.next += 1;
        let (id, now) = (state.members.next, state.now());
        let (is_stopped, is_dead, broker) = (false, false, None);
        let member =
            Member { place, broker, is_stopped, is_dead, changed: Arc::default(), renewed: Some(now) };
        state.members.all.insert(id, member);
        state.leases().join(id, place, now);
        state.note(&format!("broker {id} starts"));
        Gate { world: Arc::clone(self), id }
    }

    /// A broker that runs, and how it is heard: if there is one, the one that drives a tree, as any other would have handed a
    /// request on to it, or else any.
    pub(crate) fn reach(self: &Arc<Self>, root: Option<TaskId>) -> Option<(Gate, Arc<Broker>)> {
        let mut state = self.lock();
        let mut ready = state.members.running();
        ready.retain(|id| state.members.all[id].broker.is_some());
        let driver =
            root.and_then(|root| state.leases().driver(root)).filter(|driver| ready.contains(driver));
        let id = match driver {
            Some(driver) if state.chance.happens(900) => driver,
            _ if ready.is_empty() => return None,
            _ => *state.chance.pick(&ready),
        };
        let broker = state.members.all[&id].broker.clone()?;
        Some((Gate { world: Arc::clone(self), id }, broker))
    }

    /// One of several brokers dies, or is stopped for a while; alone it dies.
    pub(crate) async fn befall(self: &Arc<Self>) {
        let fate = {
            let mut state = self.lock();
            let running = state.members.running();
            let is_alone = state.weather.brokers == 1 || running.is_empty() || state.chance.happens(150);
            (!is_alone).then(|| *state.chance.pick(&running))
        };
        let Some(id) = fate else { return self.die("by the clock").await };
        let stops = self.lock().chance.happens(500);
        if stops {
            self.stop(id);
        } else {
            self.lock().kill(id, "by the clock");
        }
    }

    pub(crate) fn stop(self: &Arc<Self>, id: u64) {
        let pause = {
            let mut state = self.lock();
            let pause = state.chance.between(50, 3 * LEASE);
            state.note(&format!("broker {id} is stopped for {pause} ms"));
            state.stopped += 1;
            let now = state.now();
            state.deaths.push(now);
            if let Some(member) = state.members.all.get_mut(&id) {
                member.is_stopped = true;
            }
            now + pause
        };
        let world = Arc::clone(self);
        tokio::spawn(async move {
            world.sleep_until(pause).await;
            let mut state = world.lock();
            state.note(&format!("broker {id} goes on"));
            if let Some(member) = state.members.all.get_mut(&id) {
                member.is_stopped = false;
                member.changed.notify_waiters();
            }
        });
    }
}

/// Between one broker and everything else.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) world: Arc<World>,
    pub(crate) id: u64,
}

impl Gate {
    pub(crate) fn runs(&self) -> bool {
        self.world.lock().members.runs(self.id)
    }

    /// Resolves while the broker runs: at once, once it goes on, or never.
    pub(crate) async fn pass(&self) {
        self.until(|member| !member.is_dead && !member.is_stopped).await;
    }

    async fn until_dead(&self) {
        self.until(|member| member.is_dead).await;
    }

    /// Never, once all are dead.
    async fn until(&self, is_so: impl Fn(&Member) -> bool) {
        loop {
            let change = match self.world.lock().members.all.get(&self.id) {
                Some(member) if is_so(member) => return,
                member => member.map(|member| Arc::clone(&member.changed).notified_owned()),
            };
            match change {
                Some(change) => change.await,
                None => std::future::pending().await,
            }
        }
    }

    /// What is heard of the broker, as soon as it runs; `None` if it dies before.
    pub(crate) async fn hear<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let heard = async {
            let answer = answer.await;
            self.pass().await;
            answer
        };
        tokio::select! {
            biased;
            () = self.until_dead() => None,
            heard = heard => Some(heard),
        }
    }

    /// The broker is ready.
    pub(crate) fn opens(&self, broker: Arc<Broker>) {
        let mut state = self.world.lock();
        if let Some(member) = state.members.all.get_mut(&self.id).filter(|member| !member.is_dead) {
            member.broker = Some(broker);
        }
    }

    /// The broker cannot start, and ends.
    pub(crate) fn gives_up(&self) {
        self.world.lock().kill(self.id, "because it cannot start");
    }

    /// The broker dies here, alone or with the whole machine: whoever waits for this waits for ever.
    pub(crate) async fn die<T>(&self, when: &str) -> T {
        let is_alone = {
            let mut state = self.world.lock();
            let is_alone = state.weather.brokers > 1 && state.chance.happens(800);
            if is_alone {
                state.kill(self.id, when);
            }
            is_alone
        };
        if !is_alone {
            self.world.die::<()>(when).await;
        }
        std::future::pending().await
    }

    /// Whether nobody can have taken over what this broker drives.
    pub(crate) fn is_current(&self) -> bool {
        let state = self.world.lock();
        let now = state.now();
        let renewed = state.members.all.get(&self.id).and_then(|member| member.renewed);
        renewed.is_some_and(|renewed| now - renewed < LEASE)
    }

    /// Keeps saying that the broker is there, until it is told otherwise: then it stops, a moment later, in which it may do
    /// what it should not.
    pub(crate) async fn keep_lease(self) {
        loop {
            let wait = u64::try_from(LEASE / RENEWALS).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
            self.pass().await;
            let asked = self.world.now();
            if self.world.lock().goes_wrong(|weather| weather.lost) {
                continue;
            }
            let is_there = {
                let mut state = self.world.lock();
                let now = state.now();
                state.leases().renew(self.id, now)
            };
            self.pass().await;
            let mut state = self.world.lock();
            if let Some(member) = state.members.all.get_mut(&self.id) {
                member.renewed = is_there.then_some(asked);
            }
            if !is_there {
                state.note(&format!("broker {} learns that it was taken for dead", self.id));
                break;
            }
        }
        let moment = self.world.lock().chance.below(100);
        tokio::time::sleep(std::time::Duration::from_millis(moment)).await;
        self.world.lock().kill(self.id, "because others took over");
    }
}
