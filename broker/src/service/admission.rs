//! Places at agents: how many tasks each works on at a time, who waits, and whether it is tried at all. The rules are the
//! core's ([`broker_core::admission`]); what is here is live state, told anew from the trees after a restart.
//!
//! A task has a place because its tree says that it keeps the agent busy. Before the tree can say so, a [`Place`] is taken
//! for it; that one goes along with the step that begins the task, and is given back when the step is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use broker_core::admission::{Admission, AdmissionLimits, Entry, Ticket, Turn};
use broker_core::delegation::input::{AttemptId, Failure, Input};
use broker_core::journal::Record;
use broker_core::{TaskId, Timestamp, Tree};
use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use protocol::A2aError;

use super::quotas::Reservation;
use super::taken_up::RESUME_PAGE;
use super::{Broker, error};

/// How often a tree is tried to be read before agents are sent more without knowing whom it keeps busy.
const COUNT_ATTEMPTS: u32 = 5;

/// Bounds on what agents are sent.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionOptions {
    /// Most tasks of one principal that wait for one agent.
    pub waiting: usize,
    /// Failures in a row after which an agent is not tried for a while; 0: never.
    pub failures: u32,
    /// For how long at first; doubles each time.
    pub open: Duration,
    /// For how long at most.
    pub max_open: Duration,
}

impl Default for AdmissionOptions {
    fn default() -> Self {
        let (open, max_open) = (Duration::from_secs(5), Duration::from_mins(2));
        Self { waiting: 1_000, failures: 5, open, max_open }
    }
}

impl AdmissionOptions {
    fn limits(&self, at_once: Option<u32>) -> AdmissionLimits {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        AdmissionLimits {
            at_once,
            waiting: self.waiting,
            failures: self.failures,
            open_ms: millis(self.open),
            max_open_ms: millis(self.max_open),
        }
    }
}

/// Who is and who waits at each agent. An agent without limits and without trouble has no entry.
pub(super) struct Places {
    options: AdmissionOptions,
    agents: DashMap<String, Admission>,
    /// Which agent a task keeps busy, of those that have an entry.
    busy: DashMap<TaskId, String>,
}

impl Places {
    pub(super) fn new(options: AdmissionOptions) -> Self {
        Self { options, agents: DashMap::new(), busy: DashMap::new() }
    }
}

/// How many tasks wait for an agent, and until when it is not tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) busy: usize,
    pub(super) waiting: usize,
    pub(super) down_until: Option<Timestamp>,
}

/// What a task that is about to begin has at its agent. A place that was taken is given back when this is dropped; by then
/// the task's tree has said whether the task works there, or the task did not come to be.
#[must_use = "a place is given back when it is dropped"]
pub(super) struct Place {
    broker: Arc<Broker>,
    agent: String,
    task: TaskId,
    kind: Kind,
    /// Of what the agent may be given, where it is not counted yet.
    quotas: Option<Reservation>,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// The agent takes any number.
    Free,
    Taken,
    /// There is none yet; the task has to wait, and counts among its owner's.
    Waits {
        owner: String,
    },
}

impl Place {
    /// Whether the task may be sent to the agent at once.
    pub(super) fn admits(&self) -> bool {
        !matches!(self.kind, Kind::Waits { .. })
    }

    /// The task came to be, or came to the agent.
    pub(super) fn keep(&mut self) {
        if let Some(quotas) = &mut self.quotas {
            quotas.keep();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match &self.kind {
            Kind::Free => return,
            Kind::Taken => {
                self.broker.change_places(&self.agent, |admission| admission.release(self.task));
            }
            Kind::Waits { owner } => {
                self.broker.change_places(&self.agent, |admission| admission.arrived(owner));
            }
        }
        Broker::pump_soon(&self.broker, &self.agent);
    }
}

impl Broker {
    /// Takes a place for a task that is about to begin, if there is one. Refused where too many wait, or the agent has had
    /// as much as it may.
    pub(super) fn enter(self: &Arc<Self>, agent: &str, task: TaskId, owner: &str) -> Result<Place, A2aError> {
        let entry = self.admission_if_kept(agent).map(|mut kept| kept.enter(task, owner, self.clock.now()));
        let kind = match entry {
            None => Kind::Free,
            Some(Entry::Admitted) => Kind::Taken,
            Some(Entry::Waits) => Kind::Waits { owner: owner.to_owned() },
            Some(Entry::Full) => return Err(error::agent_busy(agent)),
        };
        let mut place = Place { broker: Arc::clone(self), agent: agent.to_owned(), task, kind, quotas: None };
        place.quotas = Some(self.use_agent(agent)?);
        Ok(place)
    }

    /// An attempt waits until the agent has a place for it. Called with its tree locked, so that it waits no longer than
    /// the tree says.
    pub(super) fn wait_for_place(
        self: &Arc<Self>,
        root: TaskId,
        attempt: AttemptId,
        agent: &str,
        owner: String,
    ) {
        self.admission(agent).wait(Ticket { root, attempt, owner });
        self.pump(agent);
    }

    /// Keeps places true to records that have just become true: a task that ends, or waits for its children or its
    /// caller, makes way for another. Called with the tree locked.
    pub(super) fn keep_places(self: &Arc<Self>, tree: &Tree, records: &[Record]) {
        let changed: BTreeSet<TaskId> = records.iter().map(|record| record.task).collect();
        let parents: BTreeSet<TaskId> = changed.iter().filter_map(|&task| tree.parent(task)).collect();
        self.count_tasks(tree, changed.union(&parents).copied());
    }

    fn count_tasks(self: &Arc<Self>, tree: &Tree, tasks: impl Iterator<Item = TaskId>) {
        let left: BTreeSet<String> = tasks.filter_map(|task| self.count_task(tree, task)).collect();
        for agent in &left {
            self.pump(agent);
        }
    }

    /// Counts a task where its tree says it stands. The agent it has left, if it has.
    fn count_task(&self, tree: &Tree, task: TaskId) -> Option<String> {
        if !tree.is_queued(task)
            && let Some(agent) = tree.agent(task)
        {
            self.change_places(agent, |admission| admission.forget(task));
        }
        let (now, before) = (tree.busy_agent(task), self.places.busy.get(&task).map(|agent| agent.clone()));
        if before.as_deref() == now {
            return None;
        }
        let now = now.filter(|agent| {
            self.admission_if_kept(agent).map(|mut kept| kept.set_busy(task, true)).is_some()
        });
        match now {
            Some(agent) => drop(self.places.busy.insert(task, agent.to_owned())),
            None if before.is_some() => drop(self.places.busy.remove(&task)),
            None => {}
        }
        let before = before?;
        self.change_places(&before, |admission| admission.set_busy(task, false));
        Some(before)
    }

    /// After a restart, before anybody is let in, or when an agent is given a limit: the tasks that are at work take their
    /// places, even where those are fewer.
    pub(super) async fn take_up_places(self: &Arc<Self>) -> Result<(), A2aError> {
        if self.registry.all().iter().all(|agent| agent.max_concurrent.is_none()) {
            return Ok(());
        }
        let mut after = None;
        loop {
            let page = self.store.open_trees(after, RESUME_PAGE).await;
            let page = page.map_err(|failure| error::store(&failure))?;
            let Some(last) = page.last().copied() else { return Ok(()) };
            for root in page {
                self.count_when_readable(root).await;
            }
            after = Some(last);
        }
    }

    /// One tree that cannot be read does not keep the broker from starting.
    async fn count_when_readable(self: &Arc<Self>, root: TaskId) {
        for _ in 0..COUNT_ATTEMPTS {
            let Err(failure) = self.count_tree(root).await else { return };
            tracing::error!(%root, ?failure, "what an open tree keeps busy could not be read");
            if failure.kind != protocol::ErrorKind::Unavailable {
                return;
            }
            tokio::time::sleep(self.recovery.ask_every).await;
        }
    }

    /// Counts all tasks of a tree that is taken up.
    pub(super) async fn count_tree(self: &Arc<Self>, root: TaskId) -> Result<(), A2aError> {
        let Some(cell) = self.trees.load(root).await? else { return Ok(()) };
        let tree = cell.tree.lock().await;
        self.count_tasks(&tree, tree.tasks());
        Ok(())
    }

    /// What a message that failed says about trying the agent at all.
    pub(super) fn judge_reach(&self, agent: &str, failure: &Failure) {
        match failure {
            Failure::NeverSent(_) | Failure::Broken(_) | Failure::Unreachable(_) => {
                self.admission(agent).failed(self.clock.now());
            }
            _ => {}
        }
    }

    /// The agent took a message: whoever waits may try it.
    pub(super) fn note_taken(self: &Arc<Self>, agent: &str) {
        self.change_places(agent, Admission::took);
        self.pump(agent);
    }

    /// The agent answered.
    pub(super) fn note_reached(self: &Arc<Self>, agent: &str) {
        self.change_places(agent, Admission::answered);
        self.pump(agent);
    }

    /// Whether as many of an owner's tasks wait for an agent as may.
    pub(super) fn is_full(&self, agent: &str, owner: &str) -> bool {
        self.places.agents.get(agent).is_some_and(|kept| kept.is_full_for(owner))
    }

    pub(super) fn load_of(&self, agent: &str) -> Load {
        let admission = self.places.agents.get(agent);
        admission.map_or_else(Load::default, |admission| Load {
            busy: admission.busy(),
            waiting: admission.waiting(),
            down_until: admission.is_down(self.clock.now()),
        })
    }

    /// What is kept of an agent, from now on if not before.
    fn admission(&self, agent: &str) -> RefMut<'_, String, Admission> {
        let limits = self.places.options.limits(self.limit_of(agent));
        let mut kept = self.places.agents.entry(agent.to_owned()).or_insert_with(|| Admission::new(limits));
        kept.set_limits(limits);
        kept
    }

    /// The same of an agent with a limit, or in trouble; of others nothing is kept.
    fn admission_if_kept(&self, agent: &str) -> Option<RefMut<'_, String, Admission>> {
        let is_kept = self.places.agents.contains_key(agent) || self.limit_of(agent).is_some();
        is_kept.then(|| self.admission(agent))
    }

    fn limit_of(&self, agent: &str) -> Option<u32> {
        self.registry.get(agent)?.max_concurrent
    }

    /// Changes what is kept of an agent, which is nothing once there is nothing to say.
    fn change_places(&self, agent: &str, change: impl FnOnce(&mut Admission)) {
        let Some(mut kept) = self.places.agents.get_mut(agent) else { return };
        change(&mut kept);
        drop(kept);
        self.places.agents.remove_if(agent, |_, kept| kept.is_idle());
    }

    /// Lets in whoever's turn it is, in a moment: whoever drops a place may be in the middle of letting another in.
    fn pump_soon(self: &Arc<Self>, agent: &str) {
        // Without a runtime the broker is coming down, and lets nobody in.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.places.agents.get(agent).is_some_and(|kept| kept.waiting() > 0) {
            let (broker, agent) = (Arc::clone(self), agent.to_owned());
            runtime.spawn(async move { broker.pump(&agent) });
        }
    }

    /// Lets in whoever's turn it is.
    fn pump(self: &Arc<Self>, agent: &str) {
        loop {
            let turn =
                self.places.agents.get_mut(agent).and_then(|mut admission| admission.next(self.clock.now()));
            let Some(turn) = turn else { return };
            let broker = Arc::clone(self);
            match turn {
                Turn::Admitted(ticket) => {
                    let place = Place {
                        broker: Arc::clone(self),
                        agent: agent.to_owned(),
                        task: ticket.attempt.task,
                        kind: Kind::Taken,
                        quotas: None,
                    };
                    tokio::spawn(async move { broker.admit(ticket, place).await });
                }
                Turn::Down(ticket, until) => {
                    let wait = until.as_millis().saturating_sub(self.clock.now().as_millis());
                    let reason = format!("it has not answered lately and is not tried before {until}");
                    let failure = Failure::Down { reason, retry_after_ms: wait };
                    let jitter = self.clock.jitter();
                    let input = Input::Failed { attempt: ticket.attempt, failure, jitter };
                    tokio::spawn(async move { broker.drive_until_taken(ticket.root, input).await });
                }
            }
        }
    }

    /// Whether it came in time to be of use, the tree has said before the place is given back.
    async fn admit(self: Arc<Self>, ticket: Ticket, place: Place) {
        let Ticket { root, attempt, .. } = ticket;
        self.drive_until_taken(root, Input::Admitted { attempt }).await;
        drop(place);
    }
}
