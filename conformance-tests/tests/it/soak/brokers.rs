//! What stands between callers and agents: one broker, or three with a database and a load balancer; and what befalls them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use conformance_tests::{Agent, Broker};
use private_postgres::Server;

use super::chance::Chance;
use crate::cluster::{BROKERS, Cluster};

/// How far the clocks of several brokers are from the machine's, milliseconds: two differ by nearly as much as they may.
const CLOCKS: [i64; BROKERS] = [-2_000, 0, 2_000];
/// For how long a broker is stopped, so that it is taken for dead: longer than its lease.
const STOPPED: Duration = Duration::from_secs(4);
/// How long one that was taken for dead may take to find that out.
const FINDS_OUT: Duration = Duration::from_secs(10);

/// One broker or several, which can be killed while others use them.
pub(crate) enum Brokers {
    One(Mutex<Broker>),
    Three(Mutex<(Cluster, Server)>),
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
                let cluster =
                    Cluster::over(&server.database().expect("a new database"), config, CLOCKS).await;
                Some(Self::Three(Mutex::new((cluster, server))))
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
            Self::Three(three) => three.lock().expect("brokers").0.balancer.url(),
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
                three.lock().expect("brokers").0.add_agent_at(agent, path, name, caps).await;
            }
        }
    }

    /// SIGKILL of every broker, one after the other, and the same again.
    pub(crate) async fn crash(self: &Arc<Self>) {
        self.at_once(|brokers| match brokers {
            Self::One(broker) => broker.lock().expect("a broker").crash(),
            Self::Three(three) => three.lock().expect("brokers").0.brokers.iter_mut().for_each(Broker::crash),
        })
        .await;
    }

    /// One thing that may befall them.
    pub(crate) async fn suffer(self: &Arc<Self>, chance: &mut Chance) {
        let (what, whom) = (chance.between(1, 10), chance.between(0, 2));
        self.at_once(move |brokers| match brokers {
            Self::One(broker) => broker.lock().expect("a broker").crash(),
            Self::Three(three) => {
                let (cluster, server) = &mut *three.lock().expect("brokers");
                let broker = &mut cluster.brokers[usize::try_from(whom).expect("one of three")];
                match what {
                    1..=5 => broker.crash(),
                    6..=7 => take_for_dead(broker),
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

/// Stops a broker for so long that the others take over what it had, and lets it go on: it may write nothing more, and ends.
/// Where the database was so slow that nobody could tell who is there, nobody has taken over, and it goes on as before.
fn take_for_dead(broker: &mut Broker) {
    broker.pause();
    std::thread::sleep(STOPPED);
    broker.unpause();
    let since = Instant::now();
    while !broker.is_dead() {
        if since.elapsed() > FINDS_OUT {
            return eprintln!("a broker was stopped and not taken for dead: the others could not tell");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    broker.restart();
}
