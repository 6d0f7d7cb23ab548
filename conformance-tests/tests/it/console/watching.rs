//! What the console asks the operator API for: lists of trees, what of one has changed, its journal in words, refusals,
//! and the feed that says when to ask again. Each shows a principal its own and an operator all.

use conformance_tests::{Agent, Broker, until, wire};
use serde_json::{Value, json};

use super::{Stage, principals};

async fn get(broker: &Broker, path: &str, key: &str) -> wire::Answer {
    let authorization = format!("Bearer {key}");
    wire::request(
        "GET",
        &format!("{}/api/v1/{path}", broker.url()),
        &[("authorization", &authorization)],
        Vec::new(),
    )
    .await
}

/// The feed of a caller, read as it comes.
struct Feed {
    response: reqwest::Response,
    read: String,
}

impl Feed {
    async fn of(broker: &Broker, query: &str, key: &str) -> Self {
        let url = format!("{}/api/v1/events{query}", broker.url());
        let request = reqwest::Client::new().get(url).bearer_auth(key);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut feed = Self { response, read: String::new() };
        feed.until("event: ready").await;
        feed
    }

    /// Reads until a text has come; all that has come so far.
    async fn until(&mut self, text: &str) -> String {
        while !self.read.contains(text) {
            let chunk = self.response.chunk().await.expect("a connection").expect("the stream goes on");
            self.read.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
        self.read.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_newest_first_and_everybody_sees_their_own() {
    let stage = Stage::start(&principals(), &[("worker", &[]), ("other", &[])], Some("root")).await;
    let mut made = Vec::new();
    for number in 0..5 {
        let (agent, key) = if number == 2 { ("other", "bob") } else { ("worker", "alice") };
        made.push(stage.send(agent, &json!({ "chunks": [number.to_string()] }), Some(key)).await);
    }
    let done = async || get(&stage.broker, "trees?state=open", "root").await.json()["trees"] == json!([]);
    until("all are over", done).await;
    let roots = |page: &Value| -> Vec<String> {
        page["trees"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tree| tree["root"].as_str().unwrap().to_owned())
            .collect()
    };
    let (mut pages, mut before) = (Vec::new(), String::new());
    loop {
        let page = get(&stage.broker, &format!("trees?limit=2&before={before}"), "root").await.json();
        pages.push(roots(&page));
        let Some(next) = page["next"].as_str() else { break };
        before = next.to_owned();
    }
    let newest_first: Vec<String> = made.iter().rev().cloned().collect();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(pages.concat(), newest_first);
    let bobs = get(&stage.broker, "trees", "bob").await.json();
    assert_eq!(roots(&bobs), [made[2].clone()]);
    assert_eq!(bobs["trees"][0]["owner"], "bob");
    assert_eq!(bobs["trees"][0]["tasks"], json!({ "TASK_STATE_COMPLETED": 1 }));
    let others = get(&stage.broker, "trees?agent=other&state=TASK_STATE_COMPLETED", "root").await.json();
    assert_eq!(roots(&others), [made[2].clone()]);
    assert_eq!(
        roots(&get(&stage.broker, "trees?state=TASK_STATE_FAILED", "root").await.json()),
        Vec::<String>::new()
    );
    for wrong in ["trees?state=DONE", "trees?limit=x", "trees?before=x"] {
        assert_eq!(get(&stage.broker, wrong, "root").await.status, 400, "{wrong}");
    }
    let me = get(&stage.broker, "whoami", "bob").await.json();
    assert_eq!((&me["name"], &me["operator"], &me["open"]), (&json!("bob"), &json!(false), &json!(false)));
    for path in ["tree?after=0", "log"] {
        let foreign = get(&stage.broker, &format!("tasks/{}/{path}", made[0]), "bob").await;
        assert_eq!(foreign.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_changes_and_the_feed_tell_of_a_tree_as_it_grows_and_nobody_else_hears_of_it() {
    let fleet: [(&str, &[&str]); 2] = [("boss", &["a2a:skill/**"]), ("worker", &[])];
    let mut stage = Stage::start(&principals(), &fleet, Some("root")).await;
    let (mut mine, mut all) =
        (Feed::of(&stage.broker, "", "alice").await, Feed::of(&stage.broker, "", "root").await);
    let mut bobs = Feed::of(&stage.broker, "", "bob").await;
    let script = json!({ "gate": stage.wait("begin"), "delegate": [
        { "to": "worker", "script": { "gate": stage.wait("end"), "chunks": ["w"] } }], "chunks": ["b"] });
    let root = stage.send("boss", &script, Some("alice")).await;
    mine.until("\"kind\":\"attempt_accepted\"").await;
    let first = get(&stage.broker, &format!("tasks/{root}/tree?after=0"), "alice").await.json();
    assert_eq!(first["tasks"].as_array().map(Vec::len), Some(1), "{first}");
    let nothing_new = |known: &Value| format!("tasks/{root}/tree?after={}", known["version"]);
    stage.open("begin").await;
    let until_working = async || {
        let changes = get(&stage.broker, &nothing_new(&first), "alice").await.json();
        changes["tasks"].as_array().is_some_and(|tasks| {
            tasks.iter().any(|task| task["agent"] == "worker" && task["state"] == "TASK_STATE_WORKING")
        })
    };
    until("the worker works", until_working).await;
    let one = Feed::of(&stage.broker, &format!("?task={root}"), "root").await;
    stage.open("end").await;
    let over = format!("\"task\":\"{root}\",\"seq\":");
    let told = mine.until("\"kind\":\"ended\",\"state\":\"TASK_STATE_COMPLETED\"").await;
    assert!(told.contains(&over), "{told}");
    all.until("\"kind\":\"ended\"").await;
    drop(one);
    let end = async || {
        let now = get(&stage.broker, &format!("tasks/{root}/tree?after=0"), "alice").await.json();
        now["tasks"]
            .as_array()
            .is_some_and(|tasks| tasks.iter().all(|task| task["state"] == "TASK_STATE_COMPLETED"))
    };
    until("the end", end).await;
    // Versions are the journal's: they survive the broker, and the change since then is nothing.
    let known = get(&stage.broker, &format!("tasks/{root}/tree?after=0"), "alice").await.json();
    assert_eq!(known["tasks"].as_array().map(Vec::len), Some(2));
    stage.broker.crash();
    let since = get(&stage.broker, &nothing_new(&known), "alice").await.json();
    assert_eq!((&since["tasks"], &since["version"]), (&json!([]), &known["version"]));

    let log = get(&stage.broker, &format!("tasks/{root}/log?limit=1000"), "alice").await.json();
    let lines = log["lines"].as_array().unwrap();
    assert_eq!(lines.len() as u64, known["version"].as_u64().unwrap(), "a line for each record");
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["n"].as_u64()).collect();
    assert!(numbers.iter().copied().eq(1..=lines.len() as u64), "{numbers:?}");
    assert!(lines[0]["text"].as_str().unwrap().starts_with("alice asks boss"), "{}", lines[0]);
    assert!(!log.to_string().contains("eyJ"), "no grant is told");
    let child = known["tasks"][1]["task"].as_str().unwrap();
    let below = get(&stage.broker, &format!("tasks/{child}/log?limit=1000"), "alice").await.json();
    assert!(
        below["lines"].as_array().unwrap().iter().all(|line| line["task"] == child),
        "only what is below it"
    );
    // Bob's own is the first that he hears of.
    drop(bobs);
    bobs = Feed::of(&stage.broker, "", "bob").await;
    stage.send("worker", &json!({ "chunks": ["x"] }), Some("bob")).await;
    let heard = bobs.until("\"kind\":\"ended\"").await;
    assert!(!heard.contains(&root), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_to_who_owns_the_tree_with_what_was_missing() {
    let fleet: [(&str, &[&str]); 3] = [("boss", &["a2a:skill/**"]), ("middle", &[]), ("expert", &[])];
    let stage = Stage::start(&principals(), &fleet, Some("root")).await;
    let over = json!({ "to": "expert", "skill": "work", "script": {} });
    let script =
        json!({ "delegate": [{ "to": "middle", "script": { "delegate": [over], "chunks": ["m"] } }] });
    let root = stage.send("boss", &script, Some("alice")).await;
    let quiet = stage.send("boss", &json!({ "chunks": ["x"] }), Some("alice")).await;
    until("it was refused", async || !stage.agents["middle"].logged("refused").is_empty()).await;
    for (key, task, expected) in [
        ("alice", "", 1),
        ("root", "", 1),
        ("bob", "", 0),
        ("alice", root.as_str(), 1),
        ("alice", quiet.as_str(), 0),
    ] {
        let page = get(&stage.broker, &format!("refusals?task={task}"), key).await.json();
        let refusals = page["refusals"].as_array().unwrap();
        assert_eq!(refusals.len(), expected, "{key} {task}: {page}");
        for refusal in refusals {
            assert_eq!(refusal["missing"], json!(["a2a:skill/expert/work"]), "{refusal}");
            assert_eq!(
                (&refusal["by"], &refusal["agent"], &refusal["root"]),
                (&json!("middle"), &json!("expert"), &json!(root))
            );
            assert_eq!(refusal["code"], "CAPABILITY_EXCEEDED");
        }
    }
    assert_eq!(get(&stage.broker, &format!("refusals?task={root}"), "bob").await.status, 404);
    let grant = stage.agents["middle"].logged("received")[0]["told"]["grant"].as_str().unwrap().to_owned();
    for path in ["trees", "events", "refusals"] {
        let status = get(&stage.broker, path, &grant).await.status;
        assert!(
            status == 401 || status == 403,
            "{path}: {status}: an agent at work looks through nobody's trees"
        );
    }
    let _: &Agent = &stage.agents["boss"];
}
