//! The examples work as their README says, in any mixture of languages, and so does the demonstration.

use std::process::Command;

use conformance_tests::{Agent, Broker, demonstration, examples_folder, interpreter};

async fn coordinate(coordinator: Agent, left: Agent, right: Agent) {
    let broker = Broker::start("");
    broker.add_agent("left", left.url(), &[]).await;
    broker.add_agent("right", right.url(), &[]).await;
    broker.add_agent("coordinator", coordinator.url(), &["a2a:skill/left/*", "a2a:skill/right/*"]).await;
    let mut client = Command::new(interpreter());
    let url = broker.agent_url("coordinator");
    client.arg(examples_folder().join("client.py")).args([&url, "one two three four five six"]);
    let output = tokio::task::spawn_blocking(move || client.output().unwrap()).await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    assert_eq!(printed.matches("one two three four five").count(), 2, "{printed}");
    assert!(printed.trim_end().ends_with("TASK_STATE_COMPLETED"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_coordinator_has_two_specialists_work_for_it() {
    let [left, right] = [(); 2].map(|()| Agent::python_example("specialist.py"));
    coordinate(Agent::python_example("coordinator.py"), left, right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_coordinator_has_a_rust_and_a_python_specialist_work_for_it() {
    let (left, right) = (Agent::rust_example("specialist"), Agent::python_example("specialist.py"));
    coordinate(Agent::rust_example("coordinator"), left, right).await;
}

#[test]
fn the_demonstration_ends_by_itself_with_a_tree_and_a_refusal() {
    let output = demonstration().output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    for word in ["completed", "refused", "archive", "a2a:skill/publisher/*", "The Sea, a story", "next steps"]
    {
        assert!(printed.contains(word), "{word} is missing: {printed}");
    }
}
