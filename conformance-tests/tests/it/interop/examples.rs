//! The examples work as their README says.

use std::process::Command;

use conformance_tests::{Agent, Broker, examples_folder, interpreter};

#[tokio::test(flavor = "multi_thread")]
async fn the_python_coordinator_has_two_specialists_work_for_it() {
    let broker = Broker::start("");
    let left = Agent::example("specialist.py");
    let right = Agent::example("specialist.py");
    let coordinator = Agent::example("coordinator.py");
    broker.add_agent("left", left.url(), &[]).await;
    broker.add_agent("right", right.url(), &[]).await;
    broker.add_agent("coordinator", coordinator.url(), &["a2a:skill/left/*", "a2a:skill/right/*"]).await;
    let mut client = Command::new(interpreter());
    client
        .arg(examples_folder().join("client.py"))
        .args([&broker.agent_url("coordinator"), "one two three four five six"]);
    let output = tokio::task::spawn_blocking(move || client.output().unwrap()).await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    assert_eq!(printed.matches("one two three four five").count(), 2, "{printed}");
    assert!(printed.trim_end().ends_with("TASK_STATE_COMPLETED"), "{printed}");
}
