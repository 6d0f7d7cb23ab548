//! Signed cards and extended ones, with the unmodified SDK as signer and as verifier.

use conformance_tests::wire::{self, Answer};
use conformance_tests::{Agent, Broker, key_digest, verified_card};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET_ENV: &str = "BAILIWICK_AGENT_SIGNED";
const AUTH: &str = "{ bearer = { env = \"BAILIWICK_AGENT_SIGNED\" } }";
const SECRET: &str = "the-agents-secret";

async fn serve(agent: &Agent, what: Value) {
    assert_eq!(wire::post(&format!("{}/serve", agent.url()), &what, None).await.status, 200);
}

async fn register(broker: &Broker, agent: &Agent, more: Value) -> Answer {
    let mut new = json!({ "name": "signed", "url": agent.url(), "caps": ["a2a:skill/**"] });
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    wire::post(&format!("{}/api/v1/agents", broker.url()), &new, None).await
}

async fn card(url: &str) -> Answer {
    wire::get(&format!("{url}/.well-known/agent-card.json")).await
}

async fn kids(broker: &Broker) -> Vec<String> {
    let set = wire::get(&format!("{}/.well-known/card-jwks.json", broker.url())).await.json();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_verifies_every_card_of_the_broker_also_after_its_key_changed() {
    let (broker, agent) = (Broker::start(""), Agent::signed());
    serve(&agent, json!({ "signed": false })).await;
    assert_eq!(register(&broker, &agent, json!({})).await.status, 201);
    let jku = format!("{}/.well-known/card-jwks.json", broker.url());
    let rotate = async |compromised: bool| {
        let url = format!("{}/api/v1/card-keys/rotate", broker.url());
        wire::post(&url, &json!({ "compromised": compromised }), None).await.json()
    };
    let first = kids(&broker).await;
    for url in [broker.url(), broker.agent_url("signed")] {
        let seen = verified_card(&url, &[]);
        assert_eq!(seen["used"], json!([first[0], jku]), "{seen}");
    }
    let served = card(&broker.agent_url("signed")).await;
    assert_eq!(served.json()["name"], "Größe 🙂");
    assert_eq!(served.json()["skills"][0]["tags"], json!([]), "what is empty is signed too");
    assert_eq!(card(&broker.agent_url("signed")).await.header("etag"), served.header("etag"));

    rotate(false).await;
    assert_eq!(kids(&broker).await.len(), 2, "the next key is published before it signs");
    assert_eq!(verified_card(&broker.url(), &[])["used"][0], json!(first[0]));
    rotate(true).await;
    let last = kids(&broker).await;
    assert!(last.len() == 1 && !first.contains(&last[0]), "{first:?} {last:?}");
    let changed = card(&broker.agent_url("signed")).await;
    assert_ne!(changed.header("etag"), served.header("etag"), "another key is another document");
    for url in [broker.url(), broker.agent_url("signed")] {
        assert_eq!(verified_card(&url, &[])["used"][0], json!(last[0]));
    }
    let upstream =
        wire::get(&format!("{}/.well-known/upstream-agent-card.json", broker.agent_url("signed"))).await;
    assert_eq!(upstream.text, card(agent.url()).await.text, "the agent's own card is left as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_counts_by_a_pinned_key_alone() {
    let (broker, agent) = (Broker::start(""), Agent::signed());
    let key = wire::get(&format!("{}/key.json", agent.url())).await.json();
    let unpinned = register(&broker, &agent, json!({})).await;
    assert_eq!(
        unpinned.json()["signature"],
        "present, not verified: no card_keys pinned",
        "{}",
        unpinned.text
    );
    let pinned = json!({ "card_keys": [key] });
    let answer = register(&broker, &agent, pinned.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.json()["signature"], "verified by kid agent-key-1");

    let mut other = key.clone();
    other["kid"] = json!("another");
    for (serving, keys, why) in [
        (json!({ "tampered": { "version": "2" } }), &pinned, "changed after it was signed"),
        (json!({ "tampered": {}, "signed": false }), &pinned, "carries no signature"),
        (json!({ "signed": true }), &json!({ "card_keys": [other] }), "is not pinned"),
        (
            json!({ "public": { "supportedInterfaces": [
                { "url": "https://elsewhere.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }] } }),
            &pinned,
            "another agent's card",
        ),
    ] {
        serve(&agent, serving).await;
        let refused = register(&broker, &agent, keys.clone()).await;
        assert!(refused.status >= 400 && refused.text.contains(why), "{why}: {}", refused.text);
    }

    serve(&agent, json!({ "public": {} })).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("key.json");
    std::fs::write(&file, json!({ "keys": [key] }).to_string()).unwrap();
    let file = file.to_str().unwrap();
    let added = broker.command(&["--json", "agent", "add", "signed", agent.url(), "--card-key", file]);
    let shown: Value = serde_json::from_slice(&added.stdout).expect("JSON");
    assert_eq!(shown["signature"], "verified by kid agent-key-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extended_card_shows_each_caller_what_it_may_ask() {
    let agent = Agent::signed();
    let key = wire::get(&format!("{}/key.json", agent.url())).await.json();
    let skill = |id: &str| json!({ "id": id, "name": id, "description": "d", "tags": ["t"] });
    serve(&agent, json!({ "extended": { "skills": [skill("open"), skill("inner")] } })).await;
    let principal = |name: &str, scope: &str| {
        let digest = key_digest(&format!("key-of-{name}-0123456789"));
        format!(
            "[[principals]]\nname = \"{name}\"\nrole = \"user\"\nscope = [{scope}]\nkey_sha256 = \"{digest}\"\n"
        )
    };
    let pinned = format!(
        "{{ kty = \"EC\", crv = \"P-256\", kid = {}, x = {}, y = {} }}",
        key["kid"], key["x"], key["y"]
    );
    let config = format!(
        "{}{}{}[[agents]]\nname = \"signed\"\nurl = \"{}\"\ncaps = [\"a2a:skill/**\"]\nauth = {AUTH}\ncard_keys = [{pinned}]\n",
        principal("all", "\"a2a:skill/**\""),
        principal("one", "\"a2a:skill/signed/inner\""),
        principal("none", ""),
        agent.url(),
    );
    let broker = Broker::start_with(&config, &[(SECRET_ENV, SECRET)]);
    let public = card(&broker.agent_url("signed")).await.json();
    assert_eq!(
        public["skills"].as_array().unwrap().len(),
        1,
        "what only the broker was told is not for everybody"
    );
    assert_eq!(public["capabilities"]["extendedAgentCard"], true);

    for (name, expected) in [("all", vec!["open", "inner"]), ("one", vec!["inner"]), ("none", vec![])] {
        let credential = format!("key-of-{name}-0123456789");
        for binding in ["JSONRPC", "HTTP+JSON"] {
            let seen =
                verified_card(&broker.agent_url("signed"), &["--key", &credential, "--binding", binding]);
            assert_eq!(seen["public"]["skills"], json!(["open"]), "{seen}");
            assert_eq!(seen["extended"]["skills"], json!(expected), "{name} over {binding}: {seen}");
        }
        let seen = verified_card(&broker.url(), &["--key", &credential]);
        let fleet: Vec<String> = expected.iter().map(|skill| format!("signed/{skill}")).collect();
        assert_eq!(seen["extended"]["skills"], json!([vec!["route".to_owned()], fleet].concat()), "{name}");

        let bearer = format!("Bearer {credential}");
        let headers = [("Authorization", bearer.as_str()), ("A2A-Version", "1.0")];
        let url = format!("{}/extendedAgentCard", broker.agent_url("signed"));
        let answer = wire::request("GET", &url, &headers, Vec::new()).await;
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        let extensions = answer.json()["capabilities"]["extensions"].as_array().unwrap().clone();
        let own = extensions.iter().find(|one| one["uri"] == "urn:bailiwick:ext:delegation:v1").unwrap();
        assert_eq!(own["params"]["may"]["skills"], json!(expected), "{name}");
        let url = format!("{}/v1/card", broker.agent_url("signed"));
        let old = wire::request("GET", &url, &headers[..1], Vec::new()).await.json();
        let old: Vec<&str> =
            old["skills"].as_array().unwrap().iter().map(|skill| skill["id"].as_str().unwrap()).collect();
        assert_eq!(old, expected, "0.3 has it at /v1/card");
    }
    let url = format!("{}/extendedAgentCard", broker.url());
    let nobody = wire::request("GET", &url, &[("A2A-Version", "1.0")], Vec::new()).await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_extended_card_an_agent_works_by_its_public_one_and_the_operator_is_told() {
    let agent = Agent::signed();
    serve(&agent, json!({ "extended": {} })).await;
    let broker = Broker::start_with("", &[(SECRET_ENV, "not the secret")]);
    let auth = json!({ "auth": { "bearer": { "env": SECRET_ENV } } });
    let answer = register(&broker, &agent, auth).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let warnings = answer.json()["warnings"].to_string();
    assert!(warnings.contains("extended card is not used"), "{warnings}");
    assert_eq!(answer.json()["skills"][0]["id"], "open");
}
