//! What stands between callers and agents: one broker, or three with a database and a load balancer; and what befalls them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use conformance_tests::{Agent, Broker};
use private_postgres::Server;

use super::chance::Chance;
use crate::cluster::{BROKERS, Cluster, SHORT_LEASE};

/// How far the clocks of several brokers are from the machine's, milliseconds: two differ by nearly as much as they may.
const CLOCKS: [i64; BROKERS] = [-2_000, 0, 2_000];
/// How long the others may take to take one that is stopped for dead.
const TAKES_OVER: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);
/// How long one that was taken for dead may take to find that out.
const FINDS_OUT: Duration = Duration::from_secs(90);

/// One broker or several, which can be killed while others use them.
pub(crate) enum Brokers {
    One(Mutex<Broker>),
    Three(Mutex<Three>),
}

/// Three of them, and their database.
pub(crate) struct Three {
    cluster: Cluster,
    server: Server,
    database: String,
}

impl Brokers {
    pub(crate) async fn one(config: &'static str) -> Self {
        let started = tokio::task::spawn_blocking(|| Broker::start(config)).await;
        Self::One(Mutex::new(started.expect("a broker")))
    }

    /// `None`, and said aloud, where the machine has no PostgreSQL.
    pub(crate) async fn three(config: &str) -> Option<Self> {
        let server = tokio::task::spawn_blocking(Server::start).await.expect("it does not panic");
        match server {
            Ok(server) => {
                let database = server.database().expect("a new database");
                let cluster = Cluster::over(&database, config, SHORT_LEASE, CLOCKS).await;
                Some(Self::Three(Mutex::new(Three { cluster, server, database })))
            }
            Err(missing) => {
                eprintln!("skipped: PostgreSQL: {missing}");
                None
            }
        }
    }

    /// Where callers reach them.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::One(broker) => broker.lock().expect("a broker").url(),
            Self::Three(three) => three.lock().expect("brokers").cluster.balancer.url(),
        }
    }

    #[allow(clippy::await_holding_lock, reason = "nothing befalls them yet")]
    pub(crate) async fn add_agent(&self, agent: &Agent, path: &str, name: &str, caps: &[&str]) {
        match self {
            Self::One(broker) => {
                let url = format!("{}{path}", agent.url());
                broker.lock().expect("a broker").add_agent(name, &url, caps).await;
            }
            Self::Three(three) => {
                three.lock().expect("brokers").cluster.add_agent_at(agent, path, name, caps).await;
            }
        }
    }

    /// SIGKILL of every broker, one after the other, and the same again.
    pub(crate) async fn crash(self: &Arc<Self>) {
        self.at_once(|brokers| match brokers {
            Self::One(broker) => broker.lock().expect("a broker").crash(),
            Self::Three(three) => {
                three.lock().expect("brokers").cluster.brokers.iter_mut().for_each(Broker::crash);
            }
        })
        .await;
    }

    /// One thing that may befall them.
    pub(crate) async fn suffer(self: &Arc<Self>, chance: &mut Chance) {
        let (what, whom) = (chance.between(1, 10), chance.between(0, 2));
        self.at_once(move |brokers| match brokers {
            Self::One(broker) => broker.lock().expect("a broker").crash(),
            Self::Three(three) => {
                let Three { cluster, server, database } = &mut *three.lock().expect("brokers");
                let broker = &mut cluster.brokers[usize::try_from(whom).expect("one of three")];
                match what {
                    1..=5 => broker.crash(),
                    6..=7 => take_for_dead(broker, server, database),
                    8..=9 => cluster.balancer.sever(),
                    _ => server.crash_and_restart().expect("it comes back"),
                }
            }
        })
        .await;
    }

    async fn at_once(self: &Arc<Self>, what: impl FnOnce(&Self) + Send + 'static) {
        let brokers = Arc::clone(self);
        tokio::task::spawn_blocking(move || what(&brokers)).await.expect("they come back");
    }
}

/// Stops a broker until the others have written down that it is gone, and lets it go on: it may write nothing more, and ends.
fn take_for_dead(broker: &mut Broker, server: &Server, database: &str) {
    broker.pause();
    let is_gone = format!("SELECT bool_and(gone) FROM brokers WHERE url = '{}'", broker.url());
    let since = Instant::now();
    while server.run(database, &is_gone).expect("the database answers").trim() != "t" {
        assert!(since.elapsed() < TAKES_OVER, "a broker that is stopped is not taken for dead");
        std::thread::sleep(PAUSE);
    }
    broker.unpause();
    let since = Instant::now();
    while !broker.is_dead() {
        assert!(since.elapsed() < FINDS_OUT, "a broker that was taken for dead has not ended");
        std::thread::sleep(PAUSE);
    }
    broker.restart();
}
