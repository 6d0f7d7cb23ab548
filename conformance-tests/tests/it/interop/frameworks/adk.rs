//! A coordinator of Google's Agent Development Kit: what its model calls as tools are agents behind the broker.

use conformance_tests::{Agent, Broker, Framework, Gates, until, wire};
use serde_json::{Value, json};

use super::{begin, task_at, text, until_state};

/// Tasks at a time, so many that it would show if they shared anything.
const AT_ONCE: usize = 6;

struct Desk {
    broker: Broker,
    specialists: Vec<Agent>,
    _coordinator: Agent,
    gates: Gates,
}

/// A coordinator with these tools, of which it may use `left` and `right`.
async fn desk(tools: &[&str]) -> Desk {
    let broker = Broker::start("[southbound]\nask_every = \"100ms\"\n");
    let mut specialists = Vec::new();
    for name in tools {
        let agent = Agent::scripted(name);
        broker.add_agent(name, agent.url(), &[]).await;
        specialists.push(agent);
    }
    let url = broker.url();
    let arguments = [tools, &["--broker", &url]].concat();
    let coordinator = Agent::framework_example(Framework::Adk, "adk_coordinator.py", &arguments);
    let caps = ["a2a:skill/left/*", "a2a:skill/right/*"];
    broker.add_agent("coordinator", coordinator.url(), &caps).await;
    Desk { broker, specialists, _coordinator: coordinator, gates: Gates::start().await }
}

impl Desk {
    /// A message that has specialists wait at a gate, and then say a word.
    fn message(&self, word: &str) -> Value {
        let gate = self.gates.wait(word);
        wire::message(word, &json!({ "gate": gate, "chunks": ["by {agent}, ", word] }).to_string())
    }

    async fn open(&self, word: &str) {
        self.gates.open(word).await;
    }

    async fn until_received(&self, times: usize) {
        let two = self.specialists.iter().take(2);
        for agent in two {
            until("the specialists have it", async || agent.logged("received").len() >= times).await;
        }
    }
}

/// A task that is at work, and the agents of the tasks right below it.
async fn children(broker: &Broker, task: &str) -> Vec<String> {
    let tree = broker.tree(task).await;
    let below = tree.iter().filter(|node| node["parent"] == task);
    let mut agents: Vec<String> = below.map(|node| node["agent"].as_str().unwrap().to_owned()).collect();
    agents.sort();
    agents
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_of_an_adk_agent_are_children_of_its_task_and_a_refusal_is_text_for_its_model() {
    let desk = desk(&["left", "right", "archive"]).await;
    let broker = &desk.broker;
    let task = begin(broker, "coordinator", desk.message("word")).await;
    desk.until_received(1).await;
    until("both are below it", async || children(broker, &task).await == ["left", "right"]).await;
    assert_eq!(task_at(broker, "coordinator", &task).await["status"]["state"], "TASK_STATE_WORKING");
    let drawn = String::from_utf8(broker.command(&["task", "tree", &task]).stdout).unwrap();
    assert!(drawn.starts_with("coordinator") && drawn.contains("left") && drawn.contains("right"), "{drawn}");

    desk.open("word").await;
    let done = until_state(broker, "coordinator", &task, "COMPLETED").await;
    let made = text(&done);
    for result in ["left: by left, word", "right: by right, word"] {
        assert!(made.replace('\n', "").contains(result), "{result} is missing: {made}");
    }
    let refused = made.split_once("archive: ").expect("what the model heard of the archive").1;
    assert!(refused.contains("a2a:skill/archive/*"), "it is told what is missing: {refused}");
    assert!(desk.specialists[2].logged("received").is_empty());
    // Tokens begin so. What an agent is told about its rights is for nobody else, in no event.
    let events =
        wire::stream(&broker.url(), "SubscribeToTask", json!({ "id": task }), Some(0)).await.rest().await;
    assert!(!events.is_empty());
    for event in &events {
        assert!(!event.json.to_string().contains("eyJ"), "a grant is shown: {}", event.json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_an_adk_agent_has_at_the_same_time_delegate_each_in_its_own_name() {
    let desk = desk(&["left", "right"]).await;
    let broker = &desk.broker;
    // One gate for all, so that none is over before all have begun.
    let mut tasks = Vec::new();
    for number in 0..AT_ONCE {
        let mut message = desk.message("word");
        message["message"]["messageId"] = json!(number.to_string());
        tasks.push(begin(broker, "coordinator", message).await);
    }
    desk.until_received(AT_ONCE).await;
    desk.open("word").await;
    for task in &tasks {
        until_state(broker, "coordinator", task, "COMPLETED").await;
        assert_eq!(children(broker, task).await, ["left", "right"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adk_agent_goes_on_after_its_broker_was_killed_and_nothing_is_done_twice() {
    let mut desk = desk(&["left", "right"]).await;
    let task = begin(&desk.broker, "coordinator", desk.message("word")).await;
    desk.until_received(1).await;
    desk.broker.crash();
    desk.open("word").await;
    let done = until_state(&desk.broker, "coordinator", &task, "COMPLETED").await;
    assert_eq!(text(&done).matches("word").count(), 2, "{done}");
    assert_eq!(children(&desk.broker, &task).await, ["left", "right"]);
    for agent in &desk.specialists {
        assert_eq!(
            agent.logged("received").len(),
            1,
            "sent again under the same message id, it is the same task"
        );
    }
}
