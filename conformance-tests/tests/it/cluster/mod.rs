//! Several brokers that share a database, behind a load balancer that knows nothing of tasks.

mod any_broker;
mod load_balancers;
mod shared_quotas;
mod taking_over;

use conformance_tests::{Agent, Balancer, Broker, clock_off_by, until, wire};
use private_postgres::Server;
use serde_json::{Value, json};

/// How many there are.
pub(crate) const BROKERS: usize = 3;
/// For how long one is not taken for dead where nobody dies: a busy machine may keep it from saying a word for seconds.
const LEASE: &str = "10s";
/// The same where one dies, and the others are waited for that find out.
pub(crate) const SHORT_LEASE: &str = "4s";

/// Brokers with a database and a load balancer of their own.
pub(crate) struct Cluster {
    pub(crate) balancer: Balancer,
    pub(crate) brokers: Vec<Broker>,
    database: String,
    /// What all of them were started with.
    config: String,
}

impl Cluster {
    /// Starts them, and none of them is to die; `None`, and said aloud, where the machine has no PostgreSQL.
    async fn start(config: &str) -> Option<Self> {
        Self::start_with(config, LEASE).await
    }

    /// The same with another lease.
    async fn start_with(config: &str, lease: &str) -> Option<Self> {
        let server = tokio::task::spawn_blocking(Server::shared).await.expect("it does not panic");
        match server {
            Ok(server) => {
                let database = server.database().expect("a new database");
                Some(Self::over(&database, config, lease, [0; BROKERS]).await)
            }
            Err(missing) => {
                eprintln!("skipped: PostgreSQL: {missing}");
                None
            }
        }
    }

    /// The same over a database that is there, and with clocks that are off by so many milliseconds.
    pub(crate) async fn over(database: &str, config: &str, lease: &str, clocks: [i64; BROKERS]) -> Self {
        let (balancer, listener) = Balancer::bind().await;
        let config = format!(
            "[server]\npublic_url = \"{}\"\n[store]\nurl = \"{database}\"\n[cluster]\nlease = \"{lease}\"\n{config}",
            balancer.url()
        );
        // All at once, as they are where somebody rolls them out.
        let start = |clock| {
            let config = config.clone();
            tokio::task::spawn_blocking(move || {
                let env = clock_off_by(clock);
                let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                Broker::start_with(&config, &env)
            })
        };
        let starting = clocks.map(start);
        let mut brokers = Vec::new();
        for broker in starting {
            brokers.push(broker.await.expect("it starts"));
        }
        balancer.balance(listener, brokers.iter().map(|broker| broker.address().to_owned()).collect());
        Self { balancer, brokers, database: database.to_owned(), config }
    }

    /// Registers an agent at one of them, and waits until all know it.
    async fn add_agent(&self, agent: &Agent, name: &str, caps: &[&str]) {
        self.add_agent_at(agent, "", name, caps).await;
    }

    /// The same for the card below a path of the agent's.
    pub(crate) async fn add_agent_at(&self, agent: &Agent, path: &str, name: &str, caps: &[&str]) {
        self.brokers[0].add_agent(name, &format!("{}{path}", agent.url()), caps).await;
        for broker in &self.brokers {
            let url = format!("{}/api/v1/agents/{name}", broker.url());
            until("each broker knows the agent", async || wire::get(&url).await.status == 200).await;
        }
    }

    /// Waits until the others have found so many of the brokers gone.
    async fn until_gone(&self, brokers: usize) {
        let count = || {
            let server = Server::shared().expect("it is there");
            server.run(&self.database, "SELECT count(*) FROM brokers WHERE gone").expect("a number")
        };
        until("the others find it gone", async || count().trim() == brokers.to_string()).await;
    }

    /// The index of the broker that drives a task, by its own word: it is the one that has it without asking another.
    async fn driver(&self, task: &str) -> usize {
        for (number, broker) in self.brokers.iter().enumerate() {
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": { "id": task } });
            let headers = [
                ("content-type", "application/json"),
                ("a2a-version", "1.0"),
                // Whoever was handed a request hands it on no further.
                ("bailiwick-handed-on", "1"),
            ];
            let answer = wire::request("POST", &broker.url(), &headers, body.to_string().into_bytes()).await;
            if answer.json()["result"]["id"] == task {
                return number;
            }
        }
        panic!("nobody drives {task}");
    }
}

/// Begins a task and does not wait for it; its id.
async fn begin(url: &str, message_id: &str, script: &Value) -> String {
    let mut params = wire::message(message_id, &script.to_string());
    params["configuration"] = json!({ "returnImmediately": true });
    let answer = rpc(url, "SendMessage", params).await;
    answer["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("a task: {answer}")).to_owned()
}

async fn rpc(url: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    wire::post(url, &body, None).await.json()
}

/// Waits until a task is over, asking at one place; how it ended.
async fn ended(url: &str, task: &str) -> Value {
    let mut end = Value::Null;
    until("the task ends", async || {
        let Ok(found) = wire::try_rpc(url, "GetTask", &json!({ "id": task })).await else { return false };
        end = found;
        let state = end["status"]["state"].as_str().unwrap_or_default();
        ["COMPLETED", "FAILED", "CANCELED", "REJECTED"].iter().any(|over| state.ends_with(over))
    })
    .await;
    end
}
