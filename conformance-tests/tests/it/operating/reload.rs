//! The configuration read again while the broker serves: what was begun goes on, and what is new holds.

use conformance_tests::tls::{Authority, Request};
use conformance_tests::{Agent, Broker, Gates, key_digest, until, wire};
use serde_json::json;

use super::{api, quota_of};

const ADMIN: &str = "an-operators-own-key";
const FIRST: &str = "the-key-of-the-first-one";
const SECOND: &str = "the-key-of-the-second-one";
/// So that nothing is read again unless it is asked for.
const UNWATCHED: &str = "[server]\nwatch = \"0s\"\n";

fn people(user: &str) -> String {
    format!(
        "[[principals]]\nname = \"admin\"\nrole = \"operator\"\nkey_sha256 = \"{}\"\n\
         [[principals]]\nname = \"user\"\nkey_sha256 = \"{}\"\n",
        key_digest(ADMIN),
        key_digest(user)
    )
}

fn agents(agents: &[(&str, &str)]) -> String {
    let entry = |(name, url): &(&str, &str)| format!("[[agents]]\nname = \"{name}\"\nurl = \"{url}\"\n");
    agents.iter().map(entry).collect::<Vec<_>>().concat()
}

async fn is_let_in(broker: &Broker, key: &str) -> bool {
    api(broker, Some(key), "whoami").await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sighup_others_may_call_and_open_streams_go_on() {
    let (worker, other, gates) = (Agent::scripted("worker"), Agent::scripted("other"), Gates::start().await);
    let first = format!("{UNWATCHED}{}{}", people(FIRST), agents(&[("worker", worker.url())]));
    let mut broker =
        Broker::start_with(&first, &[("BAILIWICK_LOG_LEVEL", "error,bailiwick=info,broker=info")]);
    let waiting = json!({ "gate": gates.wait("all"), "chunks": ["done"] });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage",
                       "params": wire::message("m", &waiting.to_string()) });
    let (url, key) = (broker.agent_url("worker"), FIRST);
    let stream = tokio::spawn(async move { wire::post(&url, &body, Some(key)).await.text });
    until("the agent is at work", async || !worker.logged("received").is_empty()).await;

    let quotas = "[[quotas]]\nof = \"principal:user\"\nopen_tasks = 1\n[limits]\nmax_depth = 3\n";
    let next = agents(&[("worker", worker.url()), ("other", other.url())]);
    broker.configure(&format!("{UNWATCHED}drain = \"3s\"\n{}{next}{quotas}", people(SECOND)));
    assert!(
        is_let_in(&broker, FIRST).await && !is_let_in(&broker, SECOND).await,
        "nobody has asked for it yet"
    );
    broker.hang_up();
    until("the second key is known", async || is_let_in(&broker, SECOND).await).await;
    assert!(!is_let_in(&broker, FIRST).await, "the first one is not any more");
    until("the new agent is there", async || api(&broker, Some(ADMIN), "agents/other").await.status == 200)
        .await;
    until("its own log says so", async || broker.log().contains("the configuration was read again")).await;
    let log = broker.log();
    assert!(log.contains("limits.max_depth principals quotas"), "what holds: {log}");
    assert!(log.contains("server.drain"), "what does not before a restart: {log}");

    let shown = api(&broker, Some(ADMIN), "config").await.json();
    assert_eq!(
        (&shown["limits"]["max_depth"], &shown["server"]["drain"]),
        (&json!(3), &json!("10s")),
        "{shown}"
    );

    // It has one task open, which began before there was a quota.
    let refused = broker.rpc_as(Some(SECOND), "/agents/other", "SendMessage", wire::message("n", "{}")).await;
    assert_eq!(refused["error"]["data"][0]["reason"], "TOO_MANY_TASKS", "{refused}");
    gates.open("all").await;
    let events = stream.await.unwrap();
    assert!(events.contains("done") && events.contains("TASK_STATE_COMPLETED"), "{events}");

    let audit = api(&broker, Some(ADMIN), "audit").await.text;
    assert!(audit.contains("{\"reconfigured\":{\"changed\":[\"agents\",\"limits.max_depth\""), "{audit}");
    let before = audit.matches("reconfigured").count();
    broker.hang_up();
    until("it was read again", async || broker.log().matches("was read again").count() > 1).await;
    let audit = api(&broker, Some(ADMIN), "audit").await.text;
    assert_eq!(audit.matches("reconfigured").count(), before, "nothing has changed");

    broker.configure(&format!("{UNWATCHED}{}{}", people(SECOND), agents(&[("other", other.url())])));
    broker.hang_up();
    until("the first agent is gone", async || api(&broker, Some(ADMIN), "agents/worker").await.status == 404)
        .await;
    broker.crash();
    assert!(is_let_in(&broker, SECOND).await, "and the same after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_changes_nothing_and_says_where() {
    let broker = Broker::start_with(
        &format!("{UNWATCHED}{}", people(FIRST)),
        &[("BAILIWICK_LOG_LEVEL", "error,bailiwick=info,broker=info")],
    );
    broker.configure(UNWATCHED);
    broker.hang_up();
    until("it is refused", async || broker.log().contains("is decided at start")).await;
    let stranger = api(&broker, None, "whoami").await;
    assert_eq!(stranger.status, 401, "an empty file lets nobody in: {}", stranger.text);
    for (wrong, says) in [
        (
            "[[agents]]\nname = \"a\"\nurl = \"http://127.0.0.1:1\"\njwk = { kty = \"no\" }\n",
            "agents.jwk of a",
        ),
        ("[limits]\nmax_dept = 3\n", "max_dept"),
        ("[[principals]]\nname = \"nobody\"\n", "expected at least one of key_sha256"),
        ("[[quotas]]\nof = \"account:nobody\"\n", "no [[accounts]] entry"),
    ] {
        broker.configure(&format!("{UNWATCHED}{}{wrong}", people(SECOND)));
        broker.hang_up();
        until(says, async || broker.log().contains(says)).await;
        assert!(is_let_in(&broker, FIRST).await && !is_let_in(&broker, SECOND).await, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_read_again_by_itself() {
    let broker = Broker::start(&format!("[server]\nwatch = \"50ms\"\n{}", people(FIRST)));
    assert!(is_let_in(&broker, FIRST).await);
    let quota = "[[quotas]]\nof = \"agent:worker\"\nopen_tasks = 7\n";
    broker.configure(&format!("[server]\nwatch = \"50ms\"\n{}{quota}", people(SECOND)));
    until("the second key is known", async || is_let_in(&broker, SECOND).await).await;
    let seen = quota_of(&broker, Some(ADMIN), "agent", "worker").await;
    assert_eq!(seen["bounds"]["open_tasks"]["limit"], 7, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_to_the_next_connection() {
    let (first, second) = (Authority::new(), Authority::new());
    let own = first.sign("server", &["127.0.0.1"]);
    let next = second.sign("server", &["127.0.0.1"]);
    let files = format!("cert = \"{}\"\nkey = \"{}\"\n", own.cert_file.display(), own.key_file.display());
    let broker = Broker::start(&format!("[server]\nwatch = \"50ms\"\n[server.tls]\n{files}"));
    let card = || Request { protocol: "h2", path: "/healthz", headers: &[], body: None };
    assert!(first.request(broker.address(), None, card()).await.is_ok());
    assert!(second.request(broker.address(), None, card()).await.is_err(), "nobody trusts that one yet");
    // The certificate first: for a moment they do not go together, which changes nothing.
    std::fs::copy(&next.cert_file, &own.cert_file).unwrap();
    std::fs::copy(&next.key_file, &own.key_file).unwrap();
    until("the next certificate is shown", async || {
        second.request(broker.address(), None, card()).await.is_ok()
    })
    .await;
    assert!(first.request(broker.address(), None, card()).await.is_err());
    let audit = second.request(broker.address(), None, Request { path: "/api/v1/audit", ..card() }).await;
    let (audit, cert) = (audit.unwrap().text, own.cert_file.display().to_string());
    assert!(audit.contains("reconfigured") && audit.contains(&cert), "{audit}");
}
