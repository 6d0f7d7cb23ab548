//! Agents as tools, seen by the official MCP client: by the protocol without sessions (2026-07-28) and by the one before it.

use std::process::Command;

use conformance_tests::{
    Agent, Broker, Gates, McpHost, examples_folder, interpreter_mcp, key_digest, until, wire,
};
use serde_json::{Value, json};

/// How the client connects: as it does by itself, and as older ones do.
const MODES: [&str; 2] = ["auto", "legacy"];

const DELEGATION: &str = "bailiwick/delegation";

/// A broker for alice, who may ask the writer alone, and olga, who may do everything.
async fn with_two_principals(writer: &Agent, reader: &Agent) -> Broker {
    let principal = |name: &str, role: &str, scope: &str| {
        let digest = key_digest(name);
        format!(
            "[[principals]]\nname = \"{name}\"\nrole = \"{role}\"\nscope = [\"{scope}\"]\nkey_sha256 = \"{digest}\"\n"
        )
    };
    let principals =
        [principal("alice", "user", "a2a:skill/writer/*"), principal("olga", "operator", "a2a:skill/**")];
    let broker = Broker::start(&principals.concat());
    for (name, agent) in [("writer", writer), ("reader", reader)] {
        let body = json!({ "name": name, "url": agent.url(), "caps": ["a2a:skill/**"] });
        let added = wire::post(&format!("{}/api/v1/agents", broker.url()), &body, Some("olga")).await;
        assert_eq!(added.status, 201, "{}", added.text);
    }
    broker
}

async fn with_worker() -> (Broker, Agent) {
    let (broker, worker) = (Broker::start(""), Agent::scripted("worker"));
    broker.add_agent("worker", worker.url(), &[]).await;
    (broker, worker)
}

/// Calls a tool to its end: the messages of its progress, and the result.
async fn call(broker: &Broker, tool: &str, arguments: &Value, more: &[&str]) -> (Vec<String>, Value) {
    let arguments = arguments.to_string();
    let host = McpHost::start(broker, &[&[tool, &arguments], more].concat());
    let mut seen = host.sees_to_the_end().await;
    let last = seen.pop().expect("a result");
    (seen.iter().map(|seen| seen["message"].as_str().unwrap_or_default().to_owned()).collect(), last)
}

fn text(result: &Value) -> String {
    let content = result["result"]["content"].as_array().unwrap_or_else(|| panic!("a result: {result}"));
    let texts: Vec<&str> = content.iter().filter_map(|block| block["text"].as_str()).collect();
    texts.join("\n")
}

fn script(script: &Value) -> Value {
    json!({ "message": script.to_string() })
}

async fn task(broker: &Broker, id: &str) -> Value {
    broker.rpc("/", "GetTask", json!({ "id": id })).await["result"].clone()
}

async fn until_state(broker: &Broker, id: &str, state: &str) {
    until(state, async || task(broker, id).await["status"]["state"] == format!("TASK_STATE_{state}")).await;
}

/// The task an agent has been sent, once it has been.
async fn task_at(agent: &Agent, nth: usize) -> String {
    until("a task at the agent", async || agent.logged("received").len() > nth).await;
    agent.logged("received")[nth]["told"]["task"].as_str().expect("a task").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_are_what_the_callers_scope_admits_and_no_call_reaches_further() {
    let (writer, reader) = (Agent::scripted("writer"), Agent::scripted("reader"));
    let broker = with_two_principals(&writer, &reader).await;
    let own = ["bailiwick_advise", "bailiwick_delegate", "bailiwick_task"];
    for mode in MODES {
        for (key, agents) in [("alice", &["writer__work"][..]), ("olga", &["reader__work", "writer__work"])] {
            let seen = McpHost::start(&broker, &["--key", key, "--mode", mode]).sees_to_the_end().await;
            let tools: Vec<&Value> =
                seen.iter().map(|line| &line["tool"]).filter(|tool| !tool.is_null()).collect();
            let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
            assert_eq!(names, [&own[..], agents].concat(), "{key}, {mode}");
            let work = tools.last().unwrap();
            assert_eq!(
                (&work["title"], &work["inputSchema"]["required"]),
                (&json!("Work"), &json!(["message"]))
            );
            assert!(work["description"].as_str().unwrap().starts_with("Does what it is told"), "{work}");
        }
        let (_, refused) =
            call(&broker, "reader__work", &json!({ "message": "x" }), &["--key", "alice", "--mode", mode])
                .await;
        assert_eq!(refused["result"]["isError"], true, "{refused}");
        let told = &refused["result"]["_meta"][DELEGATION];
        assert_eq!(*told, json!({ "reason": "CAPABILITY_EXCEEDED", "missing": ["a2a:skill/reader/work"] }));
        assert!(text(&refused).contains("a2a:skill/reader/work"), "in words, too: {refused}");

        let (_, unknown) =
            call(&broker, "nobody__work", &json!({}), &["--key", "alice", "--mode", mode]).await;
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
        let (_, misfit) =
            call(&broker, "writer__work", &json!({ "massage": "x" }), &["--key", "alice", "--mode", mode])
                .await;
        assert_eq!(misfit["result"]["isError"], true, "{misfit}");
        assert!(text(&misfit).contains("massage"), "{misfit}");
    }
    assert!(reader.logged("received").is_empty() && writer.logged("received").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_calls_without_a_credential_or_from_a_foreign_page_is_refused() {
    let (writer, reader) = (Agent::scripted("writer"), Agent::scripted("reader"));
    let closed = with_two_principals(&writer, &reader).await;
    let open = Broker::start("[mcp]\norigins = [\"https://host.example\"]\n");
    let off = Broker::start("[mcp]\nenabled = false\n");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    let post = async |broker: &Broker, method: &str, origin: Option<&str>| {
        let url = format!("{}/mcp", broker.url());
        let mut headers =
            vec![("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        wire::request(method, &url, &headers, body.clone().into_bytes()).await
    };
    let unknown = post(&closed, "POST", None).await;
    assert_eq!(unknown.status, 401);
    assert!(unknown.header("www-authenticate").is_some());
    for (origin, status) in [
        (None, 200),
        (Some(open.url()), 200),
        (Some("https://host.example".to_owned()), 200),
        (Some("https://evil.example".to_owned()), 403),
        (Some("null".to_owned()), 403),
    ] {
        let answer = post(&open, "POST", origin.as_deref()).await;
        assert_eq!(answer.status, status, "{origin:?}: {}", answer.text);
    }
    assert_eq!(post(&open, "GET", None).await.status, 405);
    assert_eq!(post(&off, "POST", None).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_delegation_and_its_events_are_progress() {
    let (broker, _worker) = with_worker().await;
    for mode in MODES {
        let arguments = script(&json!({ "chunks": ["one ", "two ", "three"], "pace_ms": 20 }));
        let (progress, done) = call(&broker, "worker__work", &arguments, &["--mode", mode]).await;
        assert_eq!(text(&done), "one \ntwo \nthree", "{done}");
        let at = |text: &str| progress.iter().position(|said| said == text);
        assert!(at("submitted") < at("working") && at("working") < at("one "), "{progress:?}");
        assert!(at("one ").is_some() && at("one ") < at("two ") && at("two ") < at("three"), "{progress:?}");
        let told = &done["result"]["_meta"][DELEGATION];
        assert_eq!(told["state"], "TASK_STATE_COMPLETED");
        let found = task(&broker, told["task"].as_str().unwrap()).await;
        assert_eq!(found["status"]["state"], "TASK_STATE_COMPLETED");
        assert_eq!(found["contextId"], told["context_id"]);

        let (none, quiet) = call(&broker, "worker__work", &arguments, &["--mode", mode, "--quiet"]).await;
        assert_eq!(
            (none.len(), text(&quiet)),
            (0, text(&done)),
            "whoever does not ask for it hears no progress"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_id_is_the_same_task_and_none_is_another() {
    let (broker, worker) = with_worker().await;
    let meta = json!({ DELEGATION: { "message_id": "once" } }).to_string();
    let mut tasks = Vec::new();
    for more in [&["--meta", meta.as_str()][..], &["--meta", meta.as_str()], &[], &[]] {
        let (_, done) = call(&broker, "worker__work", &json!({ "message": "hello" }), more).await;
        tasks.push(done["result"]["_meta"][DELEGATION]["task"].clone());
    }
    assert_eq!(tasks[0], tasks[1]);
    assert_ne!(tasks[2], tasks[3]);
    assert_eq!(worker.logged("received").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_why_and_what_asks_is_answered_by_another_call() {
    let (broker, _worker) = with_worker().await;
    for (end, reason) in [("failed", "told to fail"), ("rejected", "told to reject")] {
        let (_, done) = call(&broker, "worker__work", &script(&json!({ "end": end })), &[]).await;
        assert_eq!(done["result"]["isError"], true, "{done}");
        assert!(text(&done).contains(reason), "{done}");
    }
    for mode in MODES {
        let (_, asks) =
            call(&broker, "worker__work", &script(&json!({ "ask": "which one?" })), &["--mode", mode]).await;
        assert_eq!(asks["result"]["isError"], false, "{asks}");
        let told = &asks["result"]["_meta"][DELEGATION];
        let id = told["task"].as_str().unwrap();
        assert_eq!(told["state"], "TASK_STATE_INPUT_REQUIRED");
        assert!(text(&asks).contains("which one?") && text(&asks).contains(id), "{asks}");
        let answer = json!({ "message": "the left one", "task_id": id });
        let (_, done) = call(&broker, "worker__work", &answer, &["--mode", mode]).await;
        assert_eq!(done["result"]["_meta"][DELEGATION]["task"], id);
        assert!(text(&done).contains("the left one"), "{done}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_names_nobody_is_routed_and_advice_is_given() {
    let (writer, reader) = (Agent::scripted("writer"), Agent::scripted("reader"));
    let broker = with_two_principals(&writer, &reader).await;
    let (_, done) =
        call(&broker, "bailiwick_delegate", &json!({ "message": "do it" }), &["--key", "alice"]).await;
    assert_eq!(text(&done), "do it", "{done}");
    assert_eq!(
        (writer.logged("received").len(), reader.logged("received").len()),
        (1, 0),
        "alice may ask one"
    );
    let samples = json!([{ "text": "write the page" }, { "text": "write the page" }]);
    let wanted = json!({ "goal": "a page", "samples": samples });
    let (_, advice) = call(&broker, "bailiwick_advise", &wanted, &["--key", "alice"]).await;
    assert_eq!(advice["result"]["structuredContent"]["verdict"], "execute", "{advice}");
    let (_, wrong) =
        call(&broker, "bailiwick_advise", &json!({ "goal": "x", "samples": [] }), &["--key", "alice"]).await;
    assert_eq!(wrong["result"]["isError"], true);
    assert!(text(&wrong).contains("samples"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_cancels_its_task() {
    let (broker, worker) = with_worker().await;
    let gates = Gates::start().await;
    for (nth, mode) in MODES.into_iter().enumerate() {
        let arguments = script(&json!({ "gate": gates.wait("never") })).to_string();
        let mut host = McpHost::start(&broker, &["worker__work", &arguments, "--mode", mode, "--give-up"]);
        let id = task_at(&worker, nth).await;
        while host.sees().await.expect("progress")["message"] != "working" {}
        host.give_up();
        until_state(&broker, &id, "CANCELED").await;
        assert_eq!(host.sees().await, Some(json!({ "given_up": true })), "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_cancels_where_the_protocol_says_so_and_can_be_switched_off() {
    let (worker, gates) = (Agent::scripted("worker"), Gates::start().await);
    let cases =
        [("", "auto", true), ("", "legacy", false), ("[mcp]\ncancel_on_hangup = false\n", "auto", false)];
    for (nth, (config, mode, cancels)) in cases.into_iter().enumerate() {
        let broker = Broker::start(config);
        broker.add_agent("worker", worker.url(), &[]).await;
        let arguments = script(&json!({ "gate": gates.wait(nth), "chunks": ["done"] })).to_string();
        let mut host = McpHost::start(&broker, &["worker__work", &arguments, "--mode", mode]);
        let id = task_at(&worker, nth).await;
        while host.sees().await.expect("progress")["message"] != "working" {}
        host.kill();
        if cancels {
            until_state(&broker, &id, "CANCELED").await;
            continue;
        }
        gates.open(nth).await;
        until_state(&broker, &id, "COMPLETED").await;
        let (_, found) = call(&broker, "bailiwick_task", &json!({ "task_id": id }), &["--mode", mode]).await;
        assert_eq!(text(&found), "done", "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_outlives_the_broker_with_which_its_call_broke_off() {
    let (mut broker, worker) = with_worker().await;
    let gates = Gates::start().await;
    for (nth, mode) in MODES.into_iter().enumerate() {
        let arguments = script(&json!({ "gate": gates.wait(nth), "chunks": ["done"] })).to_string();
        let mut host = McpHost::start(&broker, &["worker__work", &arguments, "--mode", mode]);
        let id = task_at(&worker, nth).await;
        while host.sees().await.expect("progress")["message"] != "working" {}
        broker.crash();
        let last = host.sees_to_the_end().await.pop().expect("the client hears of it");
        assert!(last.get("error").is_some(), "{mode}: {last}");

        let mut waits = McpHost::start(
            &broker,
            &["bailiwick_task", &json!({ "task_id": id }).to_string(), "--mode", mode],
        );
        assert_eq!(waits.sees().await.expect("progress")["message"], "working", "it goes on");
        gates.open(nth).await;
        let found = waits.sees_to_the_end().await.pop().expect("a result");
        assert_eq!(text(&found), "done", "{found}");
        assert_eq!(task(&broker, &id).await["status"]["state"], "TASK_STATE_COMPLETED");
    }
    assert_eq!(worker.logged("received").len(), MODES.len(), "nothing was sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_leaves_says_where_the_task_is_found_again() {
    let (mut broker, worker) = with_worker().await;
    let gates = Gates::start().await;
    let arguments = script(&json!({ "gate": gates.wait("g"), "chunks": ["done"] })).to_string();
    let mut host = McpHost::start(&broker, &["worker__work", &arguments]);
    let id = task_at(&worker, 0).await;
    while host.sees().await.expect("progress")["message"] != "working" {}
    broker.terminate();
    let last = host.sees_to_the_end().await.pop().expect("a result");
    assert_eq!(last["result"]["_meta"][DELEGATION], json!({ "task": id }), "{last}");
    assert!(text(&last).contains("bailiwick_task"), "{last}");
    broker.ended().await;
    broker.restart();
    gates.open("g").await;
    let (_, found) = call(&broker, "bailiwick_task", &json!({ "task_id": id }), &[]).await;
    assert_eq!(text(&found), "done", "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_says_nothing_for_long_shows_that_the_broker_is_there() {
    let worker = Agent::scripted("worker");
    let broker = Broker::start("[server]\nheartbeat = \"50ms\"\n");
    broker.add_agent("worker", worker.url(), &[]).await;
    let gates = Gates::start().await;
    for (nth, mode) in MODES.into_iter().enumerate() {
        let arguments = script(&json!({ "gate": gates.wait(nth), "chunks": ["done"] })).to_string();
        let host = McpHost::start(&broker, &["worker__work", &arguments, "--mode", mode, "--quiet"]);
        task_at(&worker, nth).await;
        gates.open(nth).await;
        let last = host.sees_to_the_end().await.pop().expect("a result");
        assert_eq!(text(&last), "done", "{mode}: {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_host_lists_and_calls() {
    let (broker, _worker) = with_worker().await;
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(interpreter_mcp());
        command
            .arg(examples_folder().join("mcp_host.py"))
            .arg(format!("{}/mcp", broker.url()))
            .args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&[]).await.contains("worker__work: Work"));
    let printed = run(&["worker__work", "hello there"]).await;
    assert!(printed.contains("… working") && printed.trim_end().ends_with("hello there"), "{printed}");
}
