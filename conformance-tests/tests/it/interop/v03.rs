//! A2A 0.3 at the edge: official SDKs of both versions talk to each other through the broker, and notice nothing.

use conformance_tests::{Agent, Broker, Gates, Player, Round, Seen, wire};
use serde_json::{Value, json};

use crate::security::api_keys::made_key;

const ROUNDS: &str = "send,stream,poll,subscribe,cancel,ask,direct,unknown";

/// The scripts of the rounds, each begun as `base` says, and where the gates of the slow ones are.
fn arguments(rounds: &str, base: &Value, gates: &Gates) -> Vec<(&'static str, String)> {
    let with = |more: Value| {
        let mut script = base.clone();
        script.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        script.to_string()
    };
    vec![
        ("rounds", rounds.to_owned()),
        ("script", with(json!({}))),
        ("slow", with(json!({ "gate": gates.wait("$ID") }))),
        ("endless", with(json!({ "delay_ms": 60_000 }))),
        ("asking", with(json!({ "ask": "colour? " }))),
        ("gate", gates.url().to_owned()),
    ]
}

async fn play(player: Player, url: String, rest: bool, arguments: Vec<(&'static str, String)>) -> Vec<Round> {
    let binding = if rest { "HTTP+JSON" } else { "JSONRPC" };
    tokio::task::spawn_blocking(move || player.play(&[url], binding, &arguments)).await.unwrap()
}

/// What every client sees of every agent.
fn judge(rounds: &[Round], text: &str, who: &str) {
    for Round { round, seen, .. } in rounds {
        let Seen { states, text: seen, .. } =
            seen.as_ref().unwrap_or_else(|error| panic!("{who}: {round}: {error}"));
        let last = states.last().map(String::as_str);
        let is_fine = match round.as_str() {
            "send" => states.len() == 1 && last == Some("completed") && seen == text,
            "stream" => states.len() > 1 && last == Some("completed") && seen == text,
            "poll" | "subscribe" => {
                states.len() > 1
                    && !["completed", "failed"].contains(&states[0].as_str())
                    && last == Some("completed")
                    && seen == text
            }
            "cancel" => last == Some("canceled"),
            "ask" => *states == ["input-required", "completed"] && seen == "colour? answer: blue",
            "direct" => last == Some("message") && seen == "hello",
            "unknown" => matches!(last, Some("-32001" | "404")) && seen.contains("not found"),
            _ => false,
        };
        assert!(is_fine, "{who}: {round}: {states:?} {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_agents_of_both_versions_meet_on_both_bindings() {
    let (broker, gates) = (Broker::start(""), Gates::start().await);
    let agents = [
        ("new", Agent::scripted("new")),
        ("old", Agent::scripted_v03("old", &[])),
        ("old-rest", Agent::scripted_v03("old-rest", &["--rest"])),
        ("old-polled", Agent::scripted_v03("old-polled", &["--no-streaming"])),
    ];
    for (name, agent) in &agents {
        broker.add_agent(name, agent.url(), &[]).await;
    }
    for (player, rest) in [(Player::V03, false), (Player::V03, true), (Player::V1, false), (Player::V1, true)]
    {
        for (name, _) in &agents {
            let base = json!({ "chunks": ["a", "b"] });
            let rounds = play(player, broker.agent_url(name), rest, arguments(ROUNDS, &base, &gates)).await;
            assert_eq!(rounds.len(), ROUNDS.split(',').count());
            judge(&rounds, "ab", &format!("{player:?}, rest {rest}, at {name}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_may_mix_versions() {
    let (broker, gates) = (Broker::start(""), Gates::start().await);
    let agents = [
        ("coordinator", Agent::scripted("coordinator"), vec!["a2a:skill/specialist/*", "a2a:skill/leaf/*"]),
        ("specialist", Agent::scripted_v03("specialist", &[]), vec!["a2a:skill/leaf/*"]),
        ("leaf", Agent::scripted("leaf"), vec![]),
    ];
    for (name, agent, caps) in &agents {
        broker.add_agent(name, agent.url(), caps).await;
    }
    let leaf = json!({ "to": "leaf", "script": { "chunks": ["c"] } });
    let specialist = json!({ "to": "specialist", "script": { "chunks": ["b"], "delegate": [leaf] } });
    let base = json!({ "chunks": ["a"], "delegate": [specialist] });
    let rounds = "send,stream,poll,subscribe,cancel,ask";
    for (player, rest) in [(Player::V1, false), (Player::V03, false), (Player::V03, true)] {
        let arguments = arguments(rounds, &base, &gates);
        let seen = play(player, broker.agent_url("coordinator"), rest, arguments).await;
        judge(&seen, "abc", &format!("{player:?}, rest {rest}"));
    }
    let told = &agents[1].1.logged("received")[0]["told"];
    assert!(told["grant"].is_string() && told["parent"].is_string(), "0.3's metadata carries it: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_an_agent_of_0_3_in_the_middle_of_a_tree() {
    let broker = Broker::start("");
    let (coordinator, old) = (Agent::scripted("coordinator"), Agent::scripted_v03("old", &["--rest"]));
    broker.add_agent("coordinator", coordinator.url(), &["a2a:skill/old/*"]).await;
    broker.add_agent("old", old.url(), &[]).await;
    let script = json!({ "delegate": [{ "to": "old", "script": { "delay_ms": 60_000 } }] });
    let url = broker.agent_url("coordinator");
    let mut stream =
        wire::stream(&url, "SendStreamingMessage", wire::message("m", &script.to_string()), None).await;
    let task = stream.next().await.unwrap().json["task"]["id"].clone();
    while old.logged("received").is_empty() || !child_works(&stream.next().await.expect("a child").json) {}
    let canceled = broker.rpc("", "CancelTask", json!({ "id": task })).await;
    assert_eq!(canceled["result"]["status"]["state"], "TASK_STATE_CANCELED", "{canceled}");
    assert_eq!(old.logged("cancel").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_crashed_finds_the_tasks_of_0_3_again_and_sends_nothing_twice() {
    let (mut broker, gates) = (Broker::start(""), Gates::start().await);
    let agents = [
        ("streaming", Agent::scripted_v03("streaming", &[])),
        ("polled", Agent::scripted_v03("polled", &["--rest", "--no-streaming"])),
    ];
    // They still work when the broker is back, however early the gate is open.
    let gate = gates.wait("both");
    let script = json!({ "gate": gate, "chunks": ["a", "b"], "pace_ms": 1_500 }).to_string();
    let mut tasks = Vec::new();
    for (name, agent) in &agents {
        broker.add_agent(name, agent.url(), &[]).await;
        let mut params = wire::message(name, &script);
        params["configuration"] = json!({ "returnImmediately": true });
        let sent = broker.rpc(&format!("/agents/{name}"), "SendMessage", params).await;
        let task = sent["result"]["task"]["id"].clone();
        until(&broker, &task, "TASK_STATE_WORKING").await;
        tasks.push(task);
    }
    broker.crash();
    gates.open("both").await;
    for ((name, agent), task) in agents.iter().zip(&tasks) {
        let done = until(&broker, task, "TASK_STATE_COMPLETED").await;
        assert_eq!(done["artifacts"][0]["parts"].as_array().map(Vec::len), Some(2), "{name}: {done}");
        assert_eq!(agent.logged("received").len(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_of_0_3_says_while_its_stream_is_broken_is_not_lost() {
    let broker = Broker::start("[southbound]\nask_every = \"50ms\"\n");
    let agent = Agent::misbehaving("speak-between");
    broker.add_agent("between", agent.url(), &[]).await;
    let answer = broker.rpc("/agents/between", "SendMessage", wire::message("m", "go")).await;
    let task = &answer["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
    let parts: Vec<_> =
        task["artifacts"][0]["parts"].as_array().unwrap().iter().map(|part| &part["text"]).collect();
    assert_eq!(parts, ["one ", "two ", "three"], "{answer}");
}

/// Asks until a task is in a state.
async fn until(broker: &Broker, task: &Value, state: &str) -> Value {
    loop {
        let answer = broker.rpc("", "GetTask", json!({ "id": task })).await;
        let task = &answer["result"];
        let now = task["status"]["state"].as_str().unwrap_or_else(|| panic!("{answer}"));
        if now == state {
            return task.clone();
        }
        assert!(!now.ends_with("FAILED") && !now.ends_with("REJECTED"), "{answer}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn child_works(event: &Value) -> bool {
    event.pointer("/statusUpdate/metadata/urn:bailiwick:ext:delegation:v1/child/state")
        == Some(&json!("TASK_STATE_WORKING"))
}

async fn post(url: &str, version: Option<&str>, body: &str) -> wire::Answer {
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(version.map(|version| ("A2A-Version", version)));
    wire::request("POST", url, &headers, body.as_bytes().to_vec()).await
}

fn call(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_in_the_shape_of_0_3_is_answered_in_it() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let url = broker.agent_url("worker");
    let part = json!({ "kind": "text", "text": "x" });
    let message = |change: Value| {
        let mut message = json!({ "kind": "message", "messageId": "m", "role": "user", "parts": [part] });
        message.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({ "message": message })
    };
    for (what, params, expected) in [
        ("a role", message(json!({ "role": "bot" })), "message.role"),
        ("a kind", message(json!({ "kind": "task" })), "message.kind"),
        ("a part", message(json!({ "parts": [{ "kind": "video" }] })), "message.parts[0].kind"),
        ("a file", message(json!({ "parts": [{ "kind": "file", "file": {} }] })), "message.parts[0].file"),
        ("no parts", message(json!({ "parts": [] })), "message.parts"),
        ("no message", json!({}), "message"),
        (
            "blocking",
            json!({ "message": message(json!({}))["message"], "configuration": { "blocking": 3 } }),
            "configuration.blocking",
        ),
    ] {
        let answer = post(&url, None, &call("message/send", &params)).await.json();
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(-32602), &json!(7)),
            "{what}: {answer}"
        );
        assert!(answer["error"]["message"].as_str().unwrap().contains(expected), "{what}: {answer}");
        let by_path = post(&format!("{url}/v1/message:send"), None, &params.to_string()).await;
        assert_eq!(by_path.status, 400, "{what}: {}", by_path.text);
        assert_eq!(by_path.json()["code"], -32602, "{what}: {}", by_path.text);
        assert!(by_path.json()["message"].as_str().unwrap().contains(expected), "{what}: {}", by_path.text);
    }
    for (params, code) in [(json!({ "id": "nobody" }), -32001), (json!({}), -32602)] {
        for method in ["tasks/get", "tasks/cancel", "tasks/resubscribe"] {
            let answer = post(&url, Some("0.3"), &call(method, &params)).await.json();
            assert_eq!(answer["error"]["code"], code, "{method}: {answer}");
        }
    }
    let missing = wire::request("GET", &format!("{url}/v1/tasks/nobody"), &[], Vec::new()).await;
    assert_eq!((missing.status, &missing.json()["code"]), (404, &json!(-32001)), "{}", missing.text);
    let method = wire::request("DELETE", &format!("{url}/v1/tasks/nobody"), &[], Vec::new()).await;
    assert_eq!((method.status, method.header("allow")), (405, Some("GET")), "{}", method.text);
    assert_eq!(method.json()["code"], -32601, "{}", method.text);
    let nothing = wire::request("GET", &format!("{url}/v1/nothing"), &[], Vec::new()).await;
    assert_eq!((nothing.status, &nothing.json()["code"]), (404, &json!(-32601)), "{}", nothing.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_asked_for_decides_which_names_count() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let url = broker.agent_url("worker");
    let get = json!({ "id": "nobody" });
    for (version, method, code) in [
        (None, "tasks/get", -32001),
        (Some(""), "tasks/get", -32001),
        (Some("0.3"), "tasks/get", -32001),
        (Some("0.3.0"), "tasks/get", -32001),
        (Some("1.0"), "tasks/get", -32601),
        (Some("2.0"), "tasks/get", -32009),
        (None, "GetTask", -32009),
        (Some("0.3"), "GetTask", -32009),
        (Some("1.0"), "GetTask", -32001),
        (None, "tasks/nothing", -32601),
    ] {
        let answer = post(&url, version, &call(method, &get)).await.json();
        assert_eq!(answer["error"]["code"], code, "{version:?} {method}: {answer}");
    }
    let by_path = |version: &'static str, path: &str| {
        let url = format!("{url}{path}");
        async move { wire::request("GET", &url, &[("A2A-Version", version)], Vec::new()).await }
    };
    assert_eq!(by_path("0.3", "/v1/tasks/nobody").await.json()["code"], -32001);
    assert_eq!(by_path("1.0", "/v1/tasks/nobody").await.json()["code"], -32601);
    let sent = broker.rpc("/agents/worker", "SendMessage", wire::message("m", "x")).await;
    let listed = by_path("", "/v1/tasks").await.json();
    assert_eq!(
        listed["tasks"][0]["id"], sent["result"]["task"]["id"],
        "0.3 lists tasks over HTTP+JSON: {listed}"
    );
    assert_eq!(listed["tasks"][0]["history"][0]["content"][0]["text"], "x", "{listed}");
    let old = by_path("", "/tasks/nobody").await.json();
    assert_eq!(old["error"]["details"][0]["reason"], "VERSION_NOT_SUPPORTED", "{old}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_neither_version_knows_passes_between_them() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let message = json!({ "kind": "message", "messageId": "m", "role": "user", "future": { "deep": [1, 2.50] },
        "metadata": { "https://example.com/x": { "keep": 1 } },
        "parts": [
            { "kind": "text", "text": "one", "futurePart": true },
            { "kind": "file", "file": { "bytes": "AAEC", "mimeType": "a/b", "name": "n", "futureFile": 1 } },
            { "kind": "data", "data": { "k": null } },
        ] });
    let sent = post(&broker.agent_url("worker"), None, &call("message/send", &json!({ "message": message })))
        .await
        .json();
    let task = &sent["result"];
    assert_eq!((&task["kind"], &task["status"]["state"]), (&json!("task"), &json!("completed")), "{sent}");
    for member in ["kind", "messageId", "role", "future", "metadata", "parts"] {
        assert_eq!(task["history"][0][member], message[member], "{member}");
    }
    let as_new = broker.rpc("/agents/worker", "GetTask", json!({ "id": task["id"] })).await;
    let file = &as_new["result"]["history"][0]["parts"][1];
    assert_eq!(
        (&file["raw"], &file["mediaType"], &file["filename"]),
        (&json!("AAEC"), &json!("a/b"), &json!("n"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_card_serves_both_versions_and_a_card_of_0_3_is_shown_as_both() {
    let broker = Broker::start("");
    let agent = Agent::scripted_v03("old", &[]);
    broker.add_agent("old", agent.url(), &[]).await;
    let url = broker.agent_url("old");
    let card = wire::get(&format!("{url}/.well-known/agent-card.json")).await.json();
    assert_eq!(card["protocolVersion"], "0.3.0");
    assert_eq!((&card["url"], &card["preferredTransport"]), (&json!(url), &json!("JSONRPC")));
    assert_eq!(card["additionalInterfaces"][1], json!({ "url": url, "transport": "HTTP+JSON" }));
    assert_eq!(card["supportedInterfaces"][0]["protocolVersion"], "1.0");
    assert_eq!(card, wire::get(&format!("{url}/.well-known/agent.json")).await.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn sdks_of_both_versions_read_what_the_card_demands() {
    let (_, hash) = made_key();
    let broker = Broker::start(&format!(
        "[[principals]]\nname = \"alice\"\nrole = \"operator\"\nkey_sha256 = [\"{hash}\"]\n"
    ));
    let url = broker.url();
    let card = format!("{url}/.well-known/agent-card.json");
    let read = |player: Player| {
        let card = card.clone();
        tokio::task::spawn_blocking(move || player.read_card(&card))
    };
    let (new, old) = (read(Player::V1).await.unwrap(), read(Player::V03).await.unwrap());
    assert_eq!(new["reachable"][0], json!(["JSONRPC", url, "1.0"]));
    assert_eq!(old["reachable"][0], json!(["JSONRPC", url, "0.3.0"]));
    let members = json!({ "apiKey": "api_key_security_scheme", "bearer": "http_auth_security_scheme" });
    assert_eq!(new["schemes"], members);
    assert_eq!(old["schemes"], json!({ "apiKey": "apiKey", "bearer": "http" }));
    assert_eq!(new["required"], old["required"]);
    assert_eq!(old["required"].as_array().map(Vec::len), Some(2), "one or the other: {old}");
}
