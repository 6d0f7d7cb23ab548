//! Eight agents on every official SDK and the broker between them, or several, and who kills them: a broker every few
//! seconds, an agent at random, each to be started again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conformance_tests::{Agent, missing_node};
use serde_json::json;

use super::brokers::Brokers;
use super::caller::CallerLog;
use super::chance::Chance;
use super::plan::{Node, Plan};

/// Agents that delegate on and are patient with a broker that dies.
const DELEGATORS: [&str; 4] = ["python", "python-rest", "python-polled", "python-push"];
/// Agents on A2A 0.3, which has no way to ask which tasks they have.
const FORGETFUL: [&str; 2] = ["old", "old-rest"];

/// Short waits, so that what takes long here is the dying. Nobody decides about unknown outcomes: they fail at once.
const CONFIG: &str = r#"
[limits]
attempts = 8
backoff = "200ms"
max_backoff = "1s"
unknown_hold = "0s"
cancel = "3s"
[southbound]
ask_every = "100ms"
give_up = "10s"
push_backstop = "500ms"
circuit_open = "300ms"
circuit_max_open = "1s"
"#;

/// The broker and its agents, which can be killed while others use them.
pub(crate) struct Fleet {
    pub(crate) brokers: Arc<Brokers>,
    pub(crate) agents: BTreeMap<&'static str, Arc<Mutex<Agent>>>,
    pub(crate) url: String,
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        Self::with(Brokers::one(CONFIG).await).await
    }

    /// The same with three brokers, where the machine has a database for them.
    pub(crate) async fn start_many() -> Option<Self> {
        Some(Self::with(Brokers::three(CONFIG).await?).await)
    }

    async fn with(brokers: Brokers) -> Self {
        let agents = tokio::task::spawn_blocking(agents).await.expect("agents");
        for (name, agent, path) in &agents {
            let caps: &[&str] = if DELEGATORS.contains(name) { &["a2a:skill/**"] } else { &[] };
            brokers.add_agent(agent, path, name, caps).await;
        }
        let url = brokers.url();
        let share = |(name, agent, _)| (name, Arc::new(Mutex::new(agent)));
        Self { brokers: Arc::new(brokers), agents: agents.into_iter().map(share).collect(), url }
    }

    /// A tree of some of the agents, two or three levels deep.
    pub(crate) fn plan(&self, tree: &str, chance: &mut Chance) -> Plan {
        let mut free: Vec<&str> = self.agents.keys().copied().collect();
        let mut delegators = DELEGATORS.to_vec();
        let root = chance.take(&mut delegators).expect("a delegator");
        free.retain(|agent| *agent != root);
        let mut plan = Plan(vec![node(tree, root, None, chance)]);
        for _ in 0..chance.between(1, 3) {
            let Some(child) = chance.take(&mut free) else { break };
            plan.0.push(node(tree, child, Some(0), chance));
        }
        for index in 1..plan.0.len() {
            if !DELEGATORS.contains(&plan.0[index].agent.as_str()) {
                continue;
            }
            for _ in 0..chance.between(0, 2) {
                let Some(child) = chance.take(&mut free) else { break };
                plan.0.push(node(tree, child, Some(index), chance));
            }
        }
        plan
    }

    /// One tree that every agent has a part in.
    pub(crate) fn everybody(&self, tree: &str, chance: &mut Chance) -> Plan {
        let mut plan = Plan(vec![node(tree, DELEGATORS[0], None, chance)]);
        for agent in self.agents.keys().filter(|agent| **agent != DELEGATORS[0]) {
            plan.0.push(node(tree, agent, Some(0), chance));
        }
        plan
    }

    /// Kills the broker and agents, until told to stop; each is back by then.
    pub(crate) async fn haunt(&self, pace: &Pace, kills: &CallerLog, seed: u64, stop: &AtomicBool) {
        tokio::join!(self.haunt_broker(pace, kills, seed, stop), self.haunt_agents(pace, seed + 1, stop));
    }

    async fn haunt_broker(&self, pace: &Pace, kills: &CallerLog, seed: u64, stop: &AtomicBool) {
        let mut chance = Chance::new(seed);
        while wait(chance.millis(pace.broker.0, pace.broker.1), stop).await {
            kills.write("killed", json!({}));
            self.brokers.suffer(&mut chance).await;
        }
    }

    async fn haunt_agents(&self, pace: &Pace, seed: u64, stop: &AtomicBool) {
        let mut chance = Chance::new(seed);
        while wait(chance.millis(pace.agents.0, pace.agents.1), stop).await {
            let mut agents: Vec<_> = self.agents.values().collect();
            let agent = Arc::clone(chance.take(&mut agents).expect("an agent"));
            let absence = chance.millis(pace.absence.0, pace.absence.1);
            let kill = move || {
                let mut agent = agent.lock().expect("an agent");
                agent.kill_and_note();
                std::thread::sleep(absence);
                agent.start_again();
            };
            tokio::task::spawn_blocking(kill).await.expect("it comes back");
        }
    }

    pub(crate) fn log_files(&self) -> BTreeMap<&'static str, std::path::PathBuf> {
        let file = |agent: &Mutex<Agent>| Path::to_path_buf(agent.lock().expect("an agent").log_file());
        self.agents.iter().map(|(name, agent)| (*name, file(agent))).collect()
    }
}

/// Names those whose memory of tasks nobody can ask for.
pub(crate) fn name_forgetful(kills: &CallerLog) {
    for agent in FORGETFUL {
        kills.write("forgetful", json!({ "agent": agent }));
    }
}

/// From how long to how long, in milliseconds.
type Span = (u64, u64);

/// How often who is killed.
pub(crate) struct Pace {
    pub(crate) broker: Span,
    pub(crate) agents: Span,
    /// How long an agent stays dead.
    pub(crate) absence: Span,
}

/// Waits; `false` if it is time to stop.
async fn wait(pause: Duration, stop: &AtomicBool) -> bool {
    let end = tokio::time::Instant::now() + pause;
    while tokio::time::Instant::now() < end {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}

/// Says nothing of callers it cannot reach: the broker is dead now and then.
fn python(name: &str, manner: &str) -> Agent {
    Agent::scripted_with(name, &["--quiet", manner])
}

fn agents() -> Vec<(&'static str, Agent, &'static str)> {
    let mut agents = vec![
        ("python", Agent::scripted_with("python", &["--quiet"]), ""),
        ("python-rest", python("python-rest", "--rest"), ""),
        ("python-polled", python("python-polled", "--no-streaming"), ""),
        ("python-push", python("python-push", "--push"), ""),
        ("old", Agent::scripted_v03("old", &[]), ""),
        ("old-rest", Agent::scripted_v03("old-rest", &["--rest"]), ""),
        ("rust", Agent::scripted_rust("rust"), "/jsonrpc"),
    ];
    match missing_node() {
        Some(reason) => eprintln!("without an agent in JavaScript: {reason}"),
        None => agents.push(("js", Agent::scripted_js("js", &["--quiet"]), "/rest")),
    }
    agents
}

fn node(tree: &str, agent: &str, parent: Option<usize>, chance: &mut Chance) -> Node {
    let pieces = (0..chance.between(1, 3)).map(|number| format!("[{tree}.{agent}/{number}]")).collect();
    let (delay_ms, pace_ms) = (chance.between(0, 300), chance.between(0, 60));
    Node { agent: agent.to_owned(), parent, pieces, delay_ms, pace_ms }
}
