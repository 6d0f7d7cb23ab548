//! Places at agents: how many tasks each works on at a time, who waits, and whether it is tried at all. The rules are the
//! core's ([`broker_core::admission`]); what is here is live state, told anew from the trees after a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use broker_core::admission::{Admission, AdmissionLimits, Entry, Ticket, Turn};
use broker_core::delegation::input::{AttemptId, Failure, Input};
use broker_core::journal::Record;
use broker_core::{TaskId, Timestamp, Tree};
use dashmap::DashMap;
use protocol::A2aError;

use super::{Broker, error};

/// Bounds on what agents are sent.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionOptions {
    /// Most tasks that wait for one agent.
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
    /// Which agent a task keeps busy, of those that have a limit.
    busy: DashMap<TaskId, String>,
}

impl Places {
    pub(super) fn new(options: AdmissionOptions) -> Self {
        Self { options, agents: DashMap::new(), busy: DashMap::new() }
    }

    fn take(&self, task: TaskId, agent: &str) {
        self.busy.insert(task, agent.to_owned());
    }
}

/// How many tasks wait for an agent, and until when it is not tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) busy: usize,
    pub(super) waiting: usize,
    pub(super) down_until: Option<Timestamp>,
}

impl Broker {
    /// Takes a place for a task that is about to begin: `false` if it has to wait for one. Refused where too many wait.
    pub(super) fn enter(&self, agent: &str, task: TaskId) -> Result<bool, A2aError> {
        let at_once = self.registry.get(agent).and_then(|agent| agent.max_concurrent);
        if at_once.is_none() && !self.places.agents.contains_key(agent) {
            return Ok(true);
        }
        let mut admission = self.admission(agent, at_once);
        match admission.enter(task, self.clock.now()) {
            Entry::Admitted => {
                self.places.take(task, agent);
                Ok(true)
            }
            Entry::Waits => Ok(false),
            Entry::Full => Err(error::agent_busy(agent)),
        }
    }

    /// Gives a place back that was taken for a task that did not come to be.
    pub(super) fn leave(self: &Arc<Self>, task: TaskId) {
        self.set_busy(task, None);
    }

    /// An attempt waits until the agent has a place for it.
    pub(super) fn wait_for_place(
        self: &Arc<Self>,
        root: TaskId,
        attempt: AttemptId,
        agent: &str,
        owner: String,
    ) {
        let at_once = self.registry.get(agent).and_then(|agent| agent.max_concurrent);
        self.admission(agent, at_once).wait(Ticket { root, attempt, owner });
        self.pump(agent);
    }

    /// Keeps places true to records that have just become true: a task that ends, or waits for its children or its
    /// caller, makes way for another.
    pub(super) fn keep_places(self: &Arc<Self>, tree: &Tree, records: &[Record]) {
        if self.places.agents.is_empty() {
            return;
        }
        let changed: BTreeSet<TaskId> = records.iter().map(|record| record.task).collect();
        let parents: BTreeSet<TaskId> = changed.iter().filter_map(|&task| tree.parent(task)).collect();
        for task in changed.union(&parents) {
            self.set_busy(*task, tree.busy_agent(*task));
        }
    }

    /// After a restart: the tasks that are at work take their places again, even where those are fewer by now.
    pub(super) fn take_up_places(&self, tree: &Tree) {
        for summary in tree.subtree(tree.root()) {
            let Some(agent) = tree.busy_agent(summary.task) else { continue };
            let at_once = self.registry.get(agent).and_then(|agent| agent.max_concurrent);
            if at_once.is_some() {
                self.admission(agent, at_once).set_busy(summary.task, true);
                self.places.take(summary.task, agent);
            }
        }
    }

    /// What a message that failed says about trying the agent at all.
    pub(super) fn judge_reach(&self, agent: &str, failure: &Failure) {
        match failure {
            Failure::NeverSent(_) | Failure::Broken(_) | Failure::Unreachable(_) => {
                let at_once = self.registry.get(agent).and_then(|agent| agent.max_concurrent);
                self.admission(agent, at_once).failed(self.clock.now());
            }
            _ => {}
        }
    }

    /// The agent answered: whoever waits may try it.
    pub(super) fn note_reached(self: &Arc<Self>, agent: &str) {
        let Some(mut admission) = self.places.agents.get_mut(agent) else { return };
        admission.answered();
        drop(admission);
        self.pump(agent);
        self.places.agents.remove_if(agent, |_, admission| admission.is_idle());
    }

    pub(super) fn load_of(&self, agent: &str) -> Load {
        let admission = self.places.agents.get(agent);
        admission.map_or_else(Load::default, |admission| Load {
            busy: admission.busy(),
            waiting: admission.waiting(),
            down_until: admission.is_down(self.clock.now()),
        })
    }

    fn admission(
        &self,
        agent: &str,
        at_once: Option<u32>,
    ) -> dashmap::mapref::one::RefMut<'_, String, Admission> {
        let limits = self.places.options.limits(at_once);
        let mut admission =
            self.places.agents.entry(agent.to_owned()).or_insert_with(|| Admission::new(limits));
        admission.set_limits(limits);
        admission
    }

    fn set_busy(self: &Arc<Self>, task: TaskId, agent: Option<&str>) {
        let before = self.places.busy.get(&task).map(|agent| agent.clone());
        if before.as_deref() == agent {
            return;
        }
        if let Some(before) = before {
            self.places.busy.remove(&task);
            if let Some(mut admission) = self.places.agents.get_mut(&before) {
                admission.set_busy(task, false);
            }
            self.pump(&before);
        }
        if let Some(agent) = agent
            && let Some(mut admission) = self.places.agents.get_mut(agent)
        {
            admission.set_busy(task, true);
            self.places.take(task, agent);
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
                    self.places.take(ticket.attempt.task, agent);
                    tokio::spawn(async move { broker.admit(ticket).await });
                }
                Turn::Down(ticket, until) => {
                    let wait = until.as_millis().saturating_sub(self.clock.now().as_millis());
                    let reason = format!("it has not answered lately and is not tried before {until}");
                    let failure = Failure::Busy { reason, retry_after_ms: Some(wait) };
                    let jitter = self.clock.jitter();
                    let input = Input::Failed { attempt: ticket.attempt, failure, jitter };
                    tokio::spawn(async move { broker.drive_until_taken(ticket.root, input).await });
                }
            }
        }
    }

    async fn admit(self: Arc<Self>, ticket: Ticket) {
        let Ticket { root, attempt, .. } = ticket;
        self.drive_until_taken(root, Input::Admitted { attempt }).await;
        // Whether it came in time to be of use, the tree knows.
        let Ok(Some(cell)) = self.trees.load(root).await else { return self.leave(attempt.task) };
        let busy = cell.tree.lock().await.busy_agent(attempt.task).map(ToOwned::to_owned);
        self.set_busy(attempt.task, busy.as_deref());
    }
}
