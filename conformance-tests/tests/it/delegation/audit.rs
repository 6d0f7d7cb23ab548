//! The audit log from outside: what a running broker recorded, exported, judged, tampered with, and after kill -9.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use conformance_tests::{Agent, Broker, interpreter, is_embedded, key_digest, until, wire};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tree::{Fleet, script};

/// `user-key` and `operator-key`.
const PRINCIPALS: &str = "
[[principals]]
name = \"user\"
key_sha256 = \"USER\"
[[principals]]
name = \"operator\"
role = \"operator\"
key_sha256 = \"OPERATOR\"
";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn export(broker: &Broker, folder: &TempDir) -> PathBuf {
    let file = folder.path().join("audit.jsonl");
    let output = broker.command(&["audit", "export", "--out", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    file
}

fn verify(broker: &Broker, file: &Path, extra: &[&str]) -> Output {
    broker.command(&[&["audit", "verify", file.to_str().unwrap()], extra].concat())
}

/// The entries of an export, without the head line.
fn entries(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (head, entries) = lines.split_last().unwrap();
    assert_eq!(head["head"], entries.len() as u64);
    entries.to_vec()
}

fn events(file: &Path, kind: &str) -> Vec<Value> {
    entries(file).iter().filter_map(|entry| entry["event"].get(kind).cloned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_allowed_refused_and_unproven_is_recorded_and_no_byte_of_it_can_change_unnoticed() {
    // However long this takes, of what fails again and again one is written.
    let fleet = Fleet::start("[audit]\nrefusal_window = \"1h\"\n").await;
    let (broker, folder) = (&fleet.broker, TempDir::new().unwrap());
    // `right` holds nothing, so `deep` is refused to it.
    let script = json!({ "delegate": [ { "to": "right", "script":
        { "chunks": ["alone"], "delegate": [ { "to": "deep", "skill": "work", "script": {} } ] } } ] });
    let answer =
        broker.rpc("/agents/coordinator", "SendMessage", wire::message("m", &script.to_string())).await;
    let root = answer["result"]["task"]["id"].as_str().expect("a task").to_owned();
    for _ in 0..5 {
        let wrong = broker.rpc_as(Some("wrong-secret"), "", "ListTasks", json!({})).await;
        assert_eq!(wrong["error"]["code"], -31401);
    }

    let file = export(broker, &folder);
    let good = verify(broker, &file, &["--json"]);
    let report: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!((&report["allowed"], &report["denied"], &report["unread"]), (&json!(2), &json!(1), &json!(0)));

    let registered: Vec<Value> =
        events(&file, "agent_registered").iter().map(|event| event["agent"].clone()).collect();
    assert_eq!(registered, ["coordinator", "left", "right", "deep"]);
    let delegations = events(&file, "delegation");
    let [first, child, refused] = delegations.as_slice() else { panic!("{delegations:#?}") };
    assert_eq!((&first["by"], &first["task"]), (&json!({ "principal": "anonymous" }), &json!(root)));
    assert_eq!(first["judged"]["hold"], "top");
    let asker = json!({ "task": { "id": root, "agent": "coordinator" } });
    assert_eq!((&child["by"], &child["parent"], &child["agent"]), (&asker, &json!(root), &json!("right")));
    assert!(child["judged"]["verdict"]["allowed"]["effective"].is_array() && child.get("refused").is_none());
    assert_eq!((&refused["parent"], &refused["skill"]), (&child["task"], &json!("work")));
    assert_eq!(refused["judged"]["verdict"]["denied"]["missing"], json!(["a2a:skill/deep/work"]));
    assert_eq!(refused["refused"]["code"], "CAPABILITY_EXCEEDED");
    let failed = events(&file, "authentication_failed");
    assert_eq!(failed.len(), 1, "the others are counted: {failed:#?}");
    assert_eq!(failed[0]["presented"], "key");

    let log = std::fs::read_to_string(&file).unwrap();
    let grant = fleet.agents["right"].logged("received")[0]["told"]["grant"].as_str().unwrap().to_owned();
    for secret in ["wrong-secret", "alone", &grant, grant.split('.').next_back().unwrap()] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    recipe_of_the_documentation_agrees(&file);

    let line = 1 + log.lines().position(|line| line.contains("\"denied\"")).unwrap();
    let at = log.find("CAPABILITY_EXCEEDED").unwrap();
    let mut flipped = log.clone().into_bytes();
    flipped[at] ^= 0x20;
    std::fs::write(&file, flipped).unwrap();
    let bad = verify(broker, &file, &[]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stdout).contains(&format!("entry {line} (line {line})")), "{}", text(&bad.stdout));
}

/// The program in `docs/audit.md`, which shares nothing with the broker, comes to the same head.
fn recipe_of_the_documentation_agrees(file: &Path) {
    let manual = include_str!("../../../../docs/audit.md");
    let (_, rest) = manual.split_once("```python\n").unwrap();
    let (program, _) = rest.split_once("```").unwrap();
    let output = Command::new(interpreter()).args(["-c", program]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let log = std::fs::read_to_string(file).unwrap();
    let head: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert!(text(&output.stdout).contains(head["hash"].as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_reads_the_log_and_repeated_refusals_are_counted() {
    let digests = ["user-key", "operator-key"].map(key_digest);
    let principals = PRINCIPALS.replace("USER", &digests[0]).replace("OPERATOR", &digests[1]);
    let broker = Broker::start(&format!("[audit]\nrefusal_window = \"300ms\"\n{principals}"));
    let url = format!("{}/api/v1/audit", broker.url());
    assert_eq!(wire::get(&url).await.status, 401);
    for _ in 0..20 {
        let answer = wire::request("GET", &url, &[("X-API-Key", "user-key")], Vec::new()).await;
        assert_eq!(answer.status, 403);
    }
    let operator = [("X-API-Key", "operator-key")];
    let wrong = wire::request("GET", &format!("{url}?after=x"), &operator, Vec::new()).await;
    assert!(wrong.status == 400 && wrong.text.contains("after"), "{}", wrong.text);
    let all = |events: &[Value], pointer: &str| -> Vec<Value> {
        events.iter().filter_map(|line| line.pointer(pointer).cloned()).collect()
    };
    // Every refusal is in the log: written, or counted once its window is over.
    for _ in 0..100 {
        let page = wire::request("GET", &url, &operator, Vec::new()).await;
        let lines: Vec<Value> = page.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let forbidden = all(&lines, "/event/forbidden");
        let counted: u64 = lines
            .iter()
            .filter(|line| line.pointer("/event/repeated/like/forbidden").is_some())
            .filter_map(|line| line.pointer("/event/repeated/more")?.as_u64())
            .sum();
        if forbidden.len() as u64 + counted == 20 {
            assert_eq!(forbidden[0], json!({ "by": { "principal": "user" }, "act": "read the audit log" }));
            assert_eq!(all(&lines, "/event/authentication_failed/presented"), ["nothing"]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("twenty refusals are not accounted for");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_minus_nine_in_the_middle_the_chain_is_whole_and_every_task_has_its_entry() {
    let mut fleet = Fleet::start("").await;
    let folder = TempDir::new().unwrap();
    for (round, moment) in [40, 90, 150, 260].into_iter().enumerate() {
        for number in 0..12 {
            let mut params = wire::message(&format!("{round}-{number}"), &script(5).to_string());
            params["configuration"] = json!({ "returnImmediately": true });
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params });
            let request = reqwest::Client::new().post(fleet.broker.agent_url("coordinator"));
            // Whether it is answered before the broker dies is of no interest.
            tokio::spawn(request.header("A2A-Version", "1.0").json(&body).send());
        }
        tokio::time::sleep(Duration::from_millis(moment)).await;
        // However slow it is, the last one lives until it has decided something.
        if round == 3 {
            until("the broker decides", async || tasks(&fleet.broker).await.len() > 12).await;
        }
        fleet.broker.crash();
    }
    // The trees go on while this looks: what was there before the export has its entry in it, and what has an entry
    // is there afterwards.
    let before = tasks(&fleet.broker).await;
    let file = export(&fleet.broker, &folder);
    let after = tasks(&fleet.broker).await;
    let good = verify(&fleet.broker, &file, &[]);
    assert!(good.status.success(), "{}", text(&good.stdout));
    let recorded: BTreeSet<String> = events(&file, "delegation")
        .iter()
        .filter(|event| event.get("refused").is_none())
        .map(|event| event["task"].as_str().unwrap().to_owned())
        .collect();
    assert!(before.len() > 12, "what was shown before the crash is there: {}", before.len());
    assert!(before.is_subset(&recorded), "{:?}", before.difference(&recorded));
    assert!(recorded.is_subset(&after), "{:?}", recorded.difference(&after));

    if !is_embedded("reading the audit log of a data directory") {
        return;
    }
    // The log is there to read without a broker, and holds what was exported before.
    let head = entries(&file).len();
    let hash = entries(&file)[head - 1]["hash"].as_str().unwrap().to_owned();
    let data = fleet.broker.end();
    let whole = folder.path().join("whole.jsonl");
    let arguments = ["audit", "export", "--data", data.to_str().unwrap(), "--out", whole.to_str().unwrap()];
    let exported = fleet.broker.command(&arguments);
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    let again = verify(&fleet.broker, &whole, &["--head", &format!("{head}:{hash}")]);
    assert!(again.status.success(), "{}", text(&again.stdout));
}

/// All tasks, of all pages.
async fn tasks(broker: &Broker) -> BTreeSet<String> {
    let (mut found, mut token) = (BTreeSet::new(), String::new());
    loop {
        let params = json!({ "pageSize": 100, "historyLength": 0, "pageToken": token });
        let page = broker.rpc("", "ListTasks", params).await;
        let tasks = page["result"]["tasks"].as_array().unwrap_or_else(|| panic!("{page}"));
        found.extend(tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        page["result"]["nextPageToken"].as_str().unwrap_or_default().clone_into(&mut token);
        if token.is_empty() {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_the_configuration_are_recorded_once_and_without_secrets() {
    let agent = Agent::scripted("worker");
    let secret = agent.url().replace("http://", "http://name:pass-word@");
    let configured = |name: &str, url: &str| format!("[[agents]]\nname = \"{name}\"\nurl = \"{url}\"\n");
    let agents = [("worker", format!("{secret}?token=query-secret")), ("plain", agent.url().to_owned())];
    let config: String = agents.iter().map(|(name, url)| configured(name, url)).collect();
    let mut broker = Broker::start(&config);
    broker.crash();
    let folder = TempDir::new().unwrap();
    let file = export(&broker, &folder);
    let registered = events(&file, "agent_registered");
    assert_eq!(registered.len(), 2, "the second start brought no news: {registered:#?}");
    let of = |name: &str| registered.iter().find(|event| event["agent"] == name).expect(name);
    assert_eq!(of("worker")["by"], "configuration");
    assert_eq!(of("plain")["card"], "unsigned", "{registered:#?}");
    let log = std::fs::read_to_string(&file).unwrap();
    assert!(!log.contains("pass-word") && !log.contains("query-secret"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_follow_others_are_recorded_with_who_asked_for_them() {
    let broker = Broker::start("");
    let rotate = async |keys: &str, body: Value| {
        let url = format!("{}/api/v1/{keys}/rotate", broker.url());
        assert_eq!(wire::post(&url, &body, None).await.status, 200);
    };
    rotate("keys", json!({ "compromised": true })).await;
    rotate("card-keys", json!({ "compromised": false })).await;
    let folder = TempDir::new().unwrap();
    let file = export(&broker, &folder);
    assert!(verify(&broker, &file, &[]).status.success());
    let follows = events(&file, "key_follows");
    let of = |event: &Value| (event["signs"].clone(), event["by"].clone(), event["compromised"].clone());
    let (nobody, somebody) = (Value::Null, json!({ "principal": "anonymous" }));
    let expected = [
        (json!("grants"), nobody.clone(), Value::Null),
        (json!("cards"), nobody, Value::Null),
        (json!("grants"), somebody.clone(), json!(true)),
        (json!("cards"), somebody, Value::Null),
    ];
    assert_eq!(follows.iter().map(of).collect::<Vec<_>>(), expected, "{follows:#?}");
    let published = wire::get(&format!("{}/.well-known/jwks.json", broker.url())).await.text;
    assert!(published.contains(follows[2]["kid"].as_str().unwrap()), "{published}");
}
