//! Push notification configurations (spec §3.1.7–3.1.10, §4.3.1): on both bindings, for whom, and what may stand in them.

use conformance_tests::{Agent, Broker, Receiver, wire};
use serde_json::{Value, json};

use crate::security::api_keys::made_key;

pub(super) const VERSION: (&str, &str) = ("A2A-Version", "1.0");

/// Begins a task that waits for an answer; its id.
async fn asking(broker: &Broker, key: Option<&str>) -> String {
    let params = wire::message(&format!("ask-{}", rand_id()), &json!({ "ask": "colour?" }).to_string());
    let sent = broker.rpc_as(key, "/agents/worker", "SendMessage", params).await;
    sent["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned()
}

fn rand_id() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

async fn create(broker: &Broker, config: Value) -> Value {
    broker.rpc("", "CreateTaskPushNotificationConfig", config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_are_created_read_listed_and_deleted_on_both_bindings() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let receiver = Receiver::start().await;
    let task = asking(&broker, None).await;

    let made = create(
        &broker,
        json!({
            "taskId": task,
            "url": receiver.url("/hook"),
            "token": "tok-s3cret",
            "authentication": { "scheme": "Bearer", "credentials": "cred-s3cret" },
        }),
    )
    .await["result"]
        .clone();
    let id = made["id"].as_str().expect("an id made by the server").to_owned();
    assert_eq!(
        made,
        json!({ "id": id, "taskId": task, "url": receiver.url("/hook"), "authentication": { "scheme": "Bearer" } }),
        "what is shown holds no secret"
    );

    let base = format!("{}/tasks/{task}/pushNotificationConfigs", broker.agent_url("worker"));
    let body = json!({ "id": "a/b ü", "url": receiver.url("/other"), "taskId": "the path decides" });
    let second = wire::request(
        "POST",
        &base,
        &[VERSION, ("Content-Type", "application/a2a+json")],
        body.to_string().into_bytes(),
    )
    .await;
    assert_eq!((second.status, second.header("content-type")), (200, Some("application/a2a+json")));
    assert_eq!(second.json(), json!({ "id": "a/b ü", "taskId": task, "url": receiver.url("/other") }));

    let by_path = wire::get(&format!("{base}/a%2Fb%20%C3%BC")).await;
    let by_rpc =
        broker.rpc("", "GetTaskPushNotificationConfig", json!({ "taskId": task, "id": "a/b ü" })).await;
    assert_eq!(by_path.json(), by_rpc["result"]);
    assert_eq!(by_path.json(), second.json());
    let by_tenant =
        wire::get(&format!("{}/worker/tasks/{task}/pushNotificationConfigs/{id}", broker.url())).await;
    assert_eq!(by_tenant.json(), made);

    let all = wire::get(&base).await.json();
    let listed = broker.rpc("", "ListTaskPushNotificationConfigs", json!({ "taskId": task })).await;
    assert_eq!(all, listed["result"]);
    assert_eq!(all["configs"].as_array().unwrap().len(), 2);
    let page = wire::get(&format!("{base}?pageSize=1")).await.json();
    let token = page["nextPageToken"].as_str().expect("there is more");
    let rest = wire::get(&format!("{base}?pageSize=1&pageToken={token}")).await.json();
    assert_eq!(json!([page["configs"][0], rest["configs"][0]]), all["configs"]);
    assert!(rest.get("nextPageToken").is_none_or(|token| token == ""));

    for _ in 0..2 {
        let gone = wire::request("DELETE", &format!("{base}/a%2Fb%20%C3%BC"), &[VERSION], Vec::new()).await;
        assert_eq!((gone.status, gone.json()), (200, json!({})), "deleting twice is as good as once");
    }
    let params = json!({ "taskId": task, "id": id });
    for _ in 0..2 {
        let gone = broker.rpc("", "DeleteTaskPushNotificationConfig", params.clone()).await;
        assert_eq!(gone["result"], json!({}), "{gone}");
    }
    let absent = broker.rpc("", "GetTaskPushNotificationConfig", params).await;
    assert_eq!(absent["error"]["code"], -32001, "{absent}");
    assert_eq!(wire::get(&format!("{base}/{id}")).await.status, 404);
    assert_eq!(wire::get(&base).await.json()["configs"], json!([]));

    let card = wire::get(&format!("{}/.well-known/agent-card.json", broker.agent_url("worker"))).await.json();
    assert_eq!(card["capabilities"]["pushNotifications"], true);
    let own = wire::get(&format!("{}/.well-known/agent-card.json", broker.url())).await.json();
    assert_eq!(own["capabilities"]["pushNotifications"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_configuration_is_refused_by_name() {
    let broker = Broker::start("[push]\nmax_configs = 2\n");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let task = asking(&broker, None).await;
    let url = "http://127.0.0.1:9/";
    let with = |member: &str, value: Value| {
        let mut config = json!({ "taskId": task, "url": url });
        config[member] = value;
        config
    };
    for (config, named) in [
        (json!({ "url": url }), "taskId"),
        (json!({ "taskId": task }), "url"),
        (with("url", json!("ftp://example.com")), "url"),
        (with("url", json!("/relative")), "url"),
        (with("url", json!("https://user:pass@example.com")), "url"),
        (with("url", json!(format!("https://example.com/{}", "x".repeat(3_000)))), "url"),
        (with("url", json!("http://10.0.0.1/")), "url"),
        (with("url", json!("http://192.168.7.7/")), "url"),
        (with("url", json!("http://169.254.169.254/latest/meta-data")), "url"),
        (with("url", json!("http://[fd00::1]/")), "url"),
        (with("url", json!("http://0xA000001/")), "url"),
        (with("id", json!("x".repeat(200))), "id"),
        (with("id", json!("a\nb")), "id"),
        (with("token", json!("a\r\nX-Injected: 1")), "token"),
        (with("authentication", json!({ "scheme": "Bea rer" })), "authentication.scheme"),
        (with("authentication", json!({})), "authentication.scheme"),
        (
            with("authentication", json!({ "scheme": "Bearer", "credentials": "s3cret\u{7f}" })),
            "authentication.credentials",
        ),
        (
            with("authentication", json!({ "scheme": "Bearer", "credentials": { "not": "s3cret" } })),
            "authentication.credentials",
        ),
    ] {
        let refused = create(&broker, config.clone()).await;
        assert_eq!(refused["error"]["code"], -32602, "{config}: {refused}");
        let text = refused.to_string();
        assert!(text.contains(named) && !text.contains("s3cret") && !text.contains("user:pass"), "{text}");
    }
    for id in ["one", "two", "two"] {
        assert_eq!(create(&broker, with("id", json!(id))).await["result"]["id"], id);
    }
    let more = create(&broker, with("id", json!("three"))).await;
    assert_eq!(more["error"]["code"], -32004, "{more}");
    assert!(more.to_string().contains("push.max_configs"), "{more}");
    let elsewhere = json!({ "taskPushNotificationConfig": { "taskId": task, "url": url } });
    let mut params = wire::message("other", "x");
    params["configuration"] = elsewhere;
    let refused = broker.rpc("/agents/worker", "SendMessage", params).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_principals_task_has_no_configurations_in_the_same_bytes_as_no_task() {
    let [(alice, alice_hash), (bob, bob_hash), (worker, worker_hash)] = [made_key(), made_key(), made_key()];
    let principals = format!(
        "[[principals]]\nname = \"alice\"\nrole = \"operator\"\nkey_sha256 = \"{alice_hash}\"\n\
         [[principals]]\nname = \"bob\"\nkey_sha256 = \"{bob_hash}\"\n\
         [[principals]]\nname = \"worker-key\"\nrole = \"agent\"\nagent = \"worker\"\nkey_sha256 = \"{worker_hash}\"\n"
    );
    let broker = Broker::start(&principals);
    let agent = Agent::scripted("worker");
    let body = json!({ "name": "worker", "url": agent.url(), "caps": [] });
    wire::post(&format!("{}/api/v1/agents", broker.url()), &body, Some(&alice)).await;
    let task = asking(&broker, Some(&alice)).await;

    let as_alice = |method: &'static str, params: Value| broker.rpc_as(Some(&alice), "", method, params);
    let loopback =
        as_alice("CreateTaskPushNotificationConfig", json!({ "taskId": task, "url": "http://127.0.0.1:9/" }))
            .await;
    assert_eq!(loopback["error"]["code"], -32602, "loopback is for open mode: {loopback}");
    let public = json!({ "taskId": task, "id": "c", "url": "https://receiver.example/hook?key=capability" });
    let made = as_alice("CreateTaskPushNotificationConfig", public.clone()).await;
    assert_eq!(made["result"]["id"], "c", "{made}");

    let absent = "01900000-0000-7000-8000-000000000000";
    for (method, params) in [
        ("CreateTaskPushNotificationConfig", json!({ "url": "https://evil.example/" })),
        ("GetTaskPushNotificationConfig", json!({ "id": "c" })),
        ("ListTaskPushNotificationConfigs", json!({})),
        ("DeleteTaskPushNotificationConfig", json!({ "id": "c" })),
    ] {
        let of = |task: &str| {
            let mut params = params.clone();
            params["taskId"] = json!(task);
            params
        };
        for (who, key) in [("bob", &bob), ("the agent that works on it", &worker)] {
            let foreign = broker.rpc_as(Some(key), "", method, of(&task)).await;
            let nothing = broker.rpc_as(Some(key), "", method, of(absent)).await;
            assert_eq!(foreign.to_string(), nothing.to_string(), "{who}: {method}");
            assert_eq!(foreign["error"]["code"], -32001, "{who}: {method}: {foreign}");
        }
    }
    let still = as_alice("GetTaskPushNotificationConfig", json!({ "taskId": task, "id": "c" })).await;
    assert_eq!(still["result"]["url"], public["url"]);
}
