//! What an older broker left behind is read by this one: its finished tasks are told as it told them, what was open goes on,
//! and its audit log holds. See `fixtures/README.md`.

use std::path::Path;
use std::process::Command;

use conformance_tests::{Broker, is_embedded, until, wire};
use serde_json::{Value, json};

const OLDER: [&str; 1] = ["before-choosing"];

fn fixture(name: &str, file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join(file)
}

/// A task as it is told, without what a newer broker may add.
fn told(task: &Value) -> Value {
    json!({ "id": task["id"], "context": task["contextId"], "status": task["status"],
            "artifacts": task["artifacts"], "history": task["history"] })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_broker_wrote_is_read_and_goes_on() {
    if !is_embedded("data directories of older brokers") {
        return;
    }
    for name in OLDER {
        let broker = Broker::start_on(
            "[store]\nkeep_finished = \"0s\"\n[southbound]\ngive_up = \"1s\"\nask_every = \"50ms\"\n[limits]\nunknown_hold = \"0s\"\ncancel = \"1s\"\n",
            |data| {
                let unpacked = Command::new("tar")
                    .arg("xzf")
                    .arg(fixture(name, "data.tgz"))
                    .args(["--strip-components=1", "-C"])
                    .arg(data)
                    .status();
                assert!(unpacked.expect("tar runs").success());
            },
        );
        let tasks = std::fs::read(fixture(name, "tasks.json")).expect("a fixture");
        let tasks: serde_json::Map<String, Value> = serde_json::from_slice(&tasks).expect("JSON");
        for (what, then) in &tasks {
            let id = json!({ "id": then["id"] });
            let now = broker.rpc("/", "GetTask", id.clone()).await;
            if what != "working" {
                assert_eq!(told(&now["result"]), told(then), "{name}: {what}: {now}");
            }
            let page = wire::get(&format!(
                "{}/api/v1/tasks/{}/log",
                broker.url(),
                then["id"].as_str().unwrap_or_default()
            ))
            .await;
            assert!(page.json()["lines"].as_array().is_some_and(|lines| !lines.is_empty()), "{}", page.text);
        }
        let listed = wire::get(&format!("{}/api/v1/trees?limit=100", broker.url())).await.json();
        let trees = listed["trees"].as_array().map(Vec::len).unwrap_or_default();
        assert!(trees >= tasks.len(), "{name}: {trees} trees");

        // Its agents are gone: what was at work is asked for until it is given up, and the question can be withdrawn.
        let working = json!({ "id": tasks["working"]["id"] });
        until("an end of what was at work", async || {
            let shown = broker.rpc("/", "GetTask", working.clone()).await;
            shown["result"]["status"]["state"] == "TASK_STATE_FAILED"
        })
        .await;
        let asks = broker.rpc("/", "CancelTask", json!({ "id": tasks["asks"]["id"] })).await;
        assert_eq!(asks["result"]["status"]["state"], "TASK_STATE_CANCELED", "{asks}");
        // Byte for byte as it was sent then: what a message says is known by its digest.
        let again = r#"{"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {"messageId": "failed",
            "role": "ROLE_USER", "parts": [{"text": "{\"end\": \"failed\"}"}]}}}"#;
        let headers = [("content-type", "application/json"), ("a2a-version", "1.0")];
        let same = wire::request("POST", &broker.agent_url("left"), &headers, again.into()).await.json();
        assert_eq!(
            same["result"]["task"]["id"], tasks["failed"]["id"],
            "the same message is the same task: {same}"
        );

        let exported = broker.command(&["audit", "export"]);
        assert!(exported.status.success());
        let folder = tempfile::TempDir::new().unwrap();
        let log = folder.path().join("audit.jsonl");
        std::fs::write(&log, exported.stdout).unwrap();
        let judged = conformance_tests::command(&["audit", "verify"]).arg(&log).output().unwrap();
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
    }
}
