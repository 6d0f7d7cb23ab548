//! One broker, an agent of every SDK registered once for each of its bindings, gates, and a receiver of pushes; and the
//! clients that play on it, each in a process of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use conformance_tests::{Agent, Broker, Gates, Receiver, Round};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::subjects::{Feature, Sdk, Way};

/// Clients at once: each has an agent's every binding in play at the same time already.
const CLIENTS_AT_ONCE: usize = 3;

/// What a client saw with an agent, by the round's name.
pub(super) type Played = BTreeMap<(Way, Way), BTreeMap<String, Round>>;

pub(super) struct Stage {
    pub(super) broker: Broker,
    pub(super) agents: BTreeMap<Sdk, Agent>,
    pub(super) receiver: Receiver,
    gates: Gates,
}

impl Stage {
    pub(super) async fn set(ways: &[Way]) -> Self {
        let sdks = Sdk::ALL.into_iter().filter(|sdk| ways.iter().any(|way| way.sdk == *sdk));
        // Installing and building comes before the broker, once.
        let agents: BTreeMap<Sdk, Agent> = sdks.map(|sdk| (sdk, sdk.agent())).collect();
        let broker = Broker::start("");
        for way in ways {
            let url = format!("{}/{}", agents[&way.sdk].url(), way.binding.path());
            broker.add_agent(&way.slug(), &url, &[]).await;
        }
        Self { broker, agents, receiver: Receiver::start().await, gates: Gates::start().await }
    }

    /// Every client plays every round with every agent.
    pub(super) async fn play(&self, ways: &[Way]) -> Played {
        let agents: BTreeMap<String, Way> =
            ways.iter().map(|way| (self.broker.agent_url(&way.slug()), *way)).collect();
        let urls: Vec<String> = agents.keys().cloned().collect();
        let turns = Arc::new(Semaphore::new(CLIENTS_AT_ONCE));
        let mut clients = JoinSet::new();
        for client in ways.iter().copied() {
            let (urls, arguments, turns) = (urls.clone(), self.arguments(client), Arc::clone(&turns));
            clients.spawn(async move {
                let _turn = turns.acquire_owned().await.unwrap();
                let play = move || client.sdk.player().play(&urls, client.binding.name(), &arguments);
                (client, tokio::task::spawn_blocking(play).await.unwrap())
            });
        }
        let mut played = Played::new();
        while let Some(ended) = clients.join_next().await {
            let (client, rounds) = ended.unwrap();
            for round in rounds {
                let agent = agents[&round.url];
                played.entry((client, agent)).or_default().insert(round.round.clone(), round);
            }
        }
        played
    }

    /// Where a client has its pushes sent to.
    pub(super) fn webhook(client: Way) -> String {
        format!("/{}", client.slug())
    }

    fn arguments(&self, client: Way) -> Vec<(&'static str, String)> {
        let gate = self.gates.wait("$ID");
        let rounds: Vec<&str> = Feature::ALL.iter().map(|feature| feature.round()).collect();
        vec![
            ("rounds", rounds.join(",")),
            ("script", json!({ "chunks": ["a", "b"] }).to_string()),
            ("slow", json!({ "gate": gate, "chunks": ["a", "b"] }).to_string()),
            ("endless", json!({ "delay_ms": 60_000 }).to_string()),
            ("asking", json!({ "ask": "colour? " }).to_string()),
            ("gate", self.gates.url().to_owned()),
            ("webhook", self.receiver.url(&Self::webhook(client))),
        ]
    }
}
