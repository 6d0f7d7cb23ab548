//! How the broker does, at a glance: what an operator looks at first when something is wrong. What it counts over time are
//! the metrics.

use broker_core::Timestamp;
use protocol::A2aError;
use schemars::JsonSchema;
use serde::Serialize;

use super::Broker;
use super::agents::Health;
use super::caller::Caller;

/// How the broker does.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Condition {
    /// Its version.
    pub version: &'static str,
    /// When it started.
    pub started: Timestamp,
    /// For how long it has run, in seconds.
    pub uptime_seconds: u64,
    /// Whether its store can be written to.
    pub store: StoreCondition,
    /// The agents, counted.
    pub agents: AgentCounts,
    /// What it works on, counted.
    pub work: WorkCounts,
}

/// Whether the store can be written to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StoreCondition {
    /// It can.
    pub ready: bool,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Agents, counted.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct AgentCounts {
    /// All that are registered.
    pub registered: u64,
    /// Those that answered the last time they were spoken to.
    pub healthy: u64,
    /// Those that could not be spoken to the last time.
    pub failing: u64,
    /// Those that were not spoken to since the broker started.
    pub unknown: u64,
    /// Those that are not tried for a while, because they did not answer lately.
    pub circuits_open: u64,
    /// Those whose card could not be fetched.
    pub without_card: u64,
    /// Those of which a card that claims more waits for an operator.
    pub pending_cards: u64,
}

/// Work, counted.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct WorkCounts {
    /// Tasks that are not over.
    pub open_tasks: u64,
    /// Principals that have such tasks.
    pub principals: u64,
    /// Tasks that keep an agent busy, where their number is limited.
    pub busy: u64,
    /// Tasks that wait for an agent.
    pub waiting: u64,
}

impl Broker {
    /// Looks how the broker does. For operators.
    pub async fn condition(&self, caller: &Caller) -> Result<Condition, A2aError> {
        self.require_operator(caller, "see how the broker does")?;
        let problem = self.ready().await.err();
        let up = self.clock.now().as_millis().saturating_sub(self.started.as_millis());
        let (agents, mut work) = self.count_agents();
        (work.principals, work.open_tasks) = self.quotas.open_tasks();
        Ok(Condition {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            uptime_seconds: u64::try_from(up / MILLIS_PER_SECOND).unwrap_or_default(),
            store: StoreCondition { ready: problem.is_none(), problem },
            agents,
            work,
        })
    }

    fn count_agents(&self) -> (AgentCounts, WorkCounts) {
        let (mut agents, mut work) = (AgentCounts::default(), WorkCounts::default());
        for agent in self.registry.all() {
            let load = self.load_of(&agent.name);
            work.busy += load.busy as u64;
            work.waiting += load.waiting as u64;
            agents.registered += 1;
            *match self.health(&agent.name) {
                Health::Healthy { .. } => &mut agents.healthy,
                Health::Failing { .. } => &mut agents.failing,
                Health::Unknown => &mut agents.unknown,
            } += 1;
            agents.circuits_open += u64::from(load.down_until.is_some());
            agents.without_card += u64::from(agent.resolved.is_none());
            agents.pending_cards += u64::from(agent.waits_for_operator());
        }
        (agents, work)
    }
}

const MILLIS_PER_SECOND: i64 = 1_000;
