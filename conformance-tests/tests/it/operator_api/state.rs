//! How the broker does, how it is configured, and what it works on, task by task.

use conformance_tests::{key_digest, until, wire};
use serde_json::json;

use super::{House, OPERATOR, OTHER, USER};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_how_the_broker_does() {
    let mut house = House::build("").await;
    let health = house.get("/health").await.json();
    assert_eq!(health["store"], json!({ "ready": true }));
    assert_eq!(health["version"], house.get("/whoami").await.json()["version"]);
    assert_eq!((&health["work"]["open_tasks"], &health["work"]["principals"]), (&json!(1), &json!(1)));
    assert_eq!((&health["agents"]["registered"], &health["agents"]["healthy"]), (&json!(2), &json!(2)));
    assert_eq!((&health["server"]["requests"], &health["server"]["leaving"]), (&json!(1), &json!(false)));
    let before = health["server"]["streams"].as_u64().unwrap();
    let (url, authorization) =
        (format!("{}/api/v1/events", house.broker.url()), format!("Bearer {OPERATOR}"));
    let open = tokio::spawn(async move {
        wire::request("GET", &url, &[("Authorization", &authorization)], Vec::new()).await
    });
    until("one stream more", async || house.get("/health").await.json()["server"]["streams"] == before + 1)
        .await;
    open.abort();
    until("one stream less", async || house.get("/health").await.json()["server"]["streams"] == before).await;

    house.agents[1].kill();
    until("a failing agent", async || house.get("/health").await.json()["agents"]["failing"] == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_the_configuration_in_effect_and_no_secret_in_it() {
    let more = "[limits]\nmax_depth = 5\n[traces]\nendpoint = \"http://user:s3cret@127.0.0.1:9/v1/traces?key=s3cret\"\n";
    let house = House::build(more).await;
    let answer = house.get("/config").await;
    let config = answer.json();
    assert_eq!(config["limits"]["max_depth"], 5, "from the file");
    assert_eq!(config["server"]["listen"], house.broker.address(), "from the command line");
    assert_eq!(config["server"]["heartbeat"], "15s", "from the defaults");
    assert_eq!(config["principals"][0]["name"], "olga");
    for secret in ["s3cret", OPERATOR, USER, &key_digest(OPERATOR), &key_digest(USER)] {
        assert!(!answer.text.contains(secret), "{secret} is in {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_page_by_page_and_to_whom_they_belong() {
    let house = House::build("").await;
    let (mut seen, mut next) = (Vec::new(), None::<String>);
    loop {
        let after = next.map(|next| format!("&after={next}")).unwrap_or_default();
        let page = house.get(&format!("/tasks?limit=2{after}")).await.json();
        let tasks = page["tasks"].as_array().unwrap().clone();
        assert!(tasks.len() <= 2 && page["total"] == 3, "{page}");
        seen.extend(tasks);
        next = page["next"].as_str().map(ToOwned::to_owned);
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.iter().all(|task| task["owner"] == "alice"));
    assert_eq!(seen.iter().filter(|task| task["agent"] == "worker").count(), 2);
    let own = house.get_as(USER, "/tasks?state=TASK_STATE_WORKING").await.json();
    assert_eq!((&own["total"], &own["tasks"][0]["task"]), (&json!(1), &json!(house.working)));
    let nobodys = house.get_as(OTHER, "/tasks").await.json();
    assert_eq!((&nobodys["total"], &nobodys["tasks"]), (&json!(0), &json!([])), "{nobodys}");
    let wrong = house.get("/tasks?state=busy").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("state: expected a task state"), "{}", wrong.text);
}
