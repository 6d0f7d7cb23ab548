//! A backup taken while the broker works, and what a broker does with it that has lost everything else.

use conformance_tests::{Agent, Broker, Gates, command, is_embedded, until, wire};
use serde_json::{Value, json};

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_broker_goes_on_with_what_was_under_way_and_damaged_backups_restore_nothing() {
    if !is_embedded("backups, which are the database's own there") {
        return;
    }
    let (mut broker, agent, gates) = (Broker::start(""), Agent::scripted("worker"), Gates::start().await);
    broker.add_agent("worker", agent.url(), &[]).await;
    let send = async |broker: &Broker, id: &str, script: Value, wait: bool| {
        let mut params = wire::message(id, &script.to_string());
        params["configuration"] = json!({ "returnImmediately": !wait });
        broker.rpc("/agents/worker", "SendMessage", params).await["result"]["task"].clone()
    };
    let done = send(&broker, "done", json!({ "chunks": ["kept"] }), true).await;
    let gate = json!({ "gate": gates.wait("go"), "chunks": ["late"] });
    let open = send(&broker, "open", gate, false).await;
    until("the agent has it", async || agent.logged("received").len() == 2).await;

    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("all.backup");
    let name = file.to_str().unwrap();
    let taken = broker.command(&["backup", name]);
    assert!(taken.status.success(), "{}", said(&taken));
    let again = broker.command(&["backup", name]);
    assert!(!again.status.success() && said(&again).contains("is there already"), "{}", said(&again));
    let after = send(&broker, "after", json!({}), true).await;

    let data = broker.end();
    let data_name = data.to_str().unwrap().to_owned();
    let in_the_way = command(&["restore", name, "--data", &data_name]).output().unwrap();
    assert!(!in_the_way.status.success() && said(&in_the_way).contains("is there already"));
    std::fs::rename(&data, folder.path().join("lost")).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let cut = folder.path().join("cut.backup");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let refused = command(&["restore", cut.to_str().unwrap(), "--data", &data_name]).output().unwrap();
    assert!(!refused.status.success() && said(&refused).contains("ends in the middle"), "{}", said(&refused));
    let restored = command(&["restore", name, "--data", &data_name]).output().unwrap();
    assert!(restored.status.success(), "{}", said(&restored));

    broker.restart();
    let shown =
        async |broker: &Broker, task: &Value| broker.rpc("", "GetTask", json!({ "id": task["id"] })).await;
    let kept = shown(&broker, &done).await;
    assert_eq!(kept["result"]["artifacts"], done["artifacts"], "{kept}");
    assert!(shown(&broker, &after).await["error"].is_object(), "what came later is not in it");
    gates.open("go").await;
    until("the open task to end", async || {
        shown(&broker, &open).await["result"]["status"]["state"] == "TASK_STATE_COMPLETED"
    })
    .await;
    let heard = agent.logged("received").iter().filter(|heard| heard["task"] == open["id"]).count();
    assert_eq!(heard, 1, "it was asked how it stands, and not told again");
}
