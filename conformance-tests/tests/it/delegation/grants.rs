//! The life of a grant: narrowed, renewed, made for a tool, looked at, given up, bound to a key, and outliving the
//! key it is signed with.

use conformance_tests::{Agent, Broker, grpc, jwt, wire};
use serde_json::{Value, json};

use super::tree::Fleet;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Has an agent begin a long task; the grant it was told, and the task. The stream keeps it under way.
pub(crate) async fn grant_of(broker: &Broker, agent: &Agent, name: &str) -> (String, String, wire::Stream) {
    let url = broker.agent_url(name);
    let script = json!({ "delay_ms": 600_000 }).to_string();
    let message = wire::message(&format!("begin-{name}"), &script);
    let mut stream = wire::stream(&url, "SendStreamingMessage", message, None).await;
    while agent.logged("received").is_empty() {
        stream.next().await.expect("the task begins");
    }
    let told = agent.logged("received")[0]["told"].clone();
    let text = |name: &str| told[name].as_str().expect("told").to_owned();
    (text("grant"), text("task"), stream)
}

/// `POST /token` with a grant and more parameters.
pub(crate) async fn exchange(broker: &Broker, grant: &str, more: &[(&str, &str)]) -> wire::Answer {
    let common = [("grant_type", EXCHANGE), ("subject_token", grant), ("subject_token_type", ACCESS_TOKEN)];
    let all: Vec<(&str, &str)> = common.iter().chain(more).copied().collect();
    wire::form(&format!("{}/token", broker.url()), &all, &[]).await
}

fn token(answer: &wire::Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["access_token"].as_str().expect("a token").to_owned()
}

fn refused(answer: &wire::Answer, error: &str, word: &str) {
    let body = answer.json();
    assert_eq!((answer.status, body["error"].as_str()), (400, Some(error)), "{body}");
    assert!(body["error_description"].as_str().unwrap().contains(word), "{word}: {body}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchanged_grant_says_what_was_asked_and_never_more() {
    let fleet = Fleet::start("").await;
    let broker = &fleet.broker;
    let (grant, _, _stream) = grant_of(broker, &fleet.agents["coordinator"], "coordinator").await;
    let own = jwt::part(&grant, 1);

    let renewed = exchange(broker, &grant, &[]).await;
    assert_eq!(renewed.header("cache-control"), Some("no-store"));
    assert_eq!(renewed.json()["token_type"], "Bearer");
    assert_eq!(renewed.json()["issued_token_type"], ACCESS_TOKEN);
    let renewed = jwt::part(&token(&renewed), 1);
    assert_ne!(renewed["jti"], own["jti"], "every grant has an id of its own");
    for same in ["scope", "task", "txn", "aud", "client_id", "sub", "authorization_details"] {
        assert_eq!(renewed[same], own[same], "{same}");
    }
    assert!(renewed["exp"].as_u64().unwrap() <= jwt::now() + 900);

    let narrow = token(&exchange(broker, &grant, &[("scope", "a2a:skill/left/work")]).await);
    assert_eq!(jwt::part(&narrow, 1)["scope"], "a2a:skill/left/work");
    let details = json!([{ "type": "a2a_capability", "capabilities": ["mcp:tool/search{calls<=3}"] }]);
    let by_details = exchange(broker, &grant, &[("authorization_details", &details.to_string())]).await;
    assert_eq!(jwt::part(&token(&by_details), 1)["scope"], "mcp:tool/search{calls<=3}");
    for more in ["mcp:tool/search{calls<=21}", "mcp:tool/*", "fs:path/**", "a2a:skill/**"] {
        refused(&exchange(broker, &grant, &[("scope", more)]).await, "invalid_scope", more);
        let again = exchange(broker, &narrow, &[("scope", "a2a:skill/right/work")]).await;
        refused(&again, "invalid_scope", "a2a:skill/right/work");
    }

    // The narrowed grant bounds what its holder passes on, though the task holds more.
    let ask = |id: &str| {
        let mut params = wire::message(id, "{}");
        params["message"]["metadata"] = json!({ "urn:bailiwick:ext:delegation:v1": { "skill": "work" } });
        params
    };
    let right = broker.rpc_as(Some(&narrow), "/agents/right", "SendMessage", ask("r")).await;
    assert_eq!(right["error"]["data"][0]["metadata"]["missing"], "a2a:skill/right/work", "{right}");
    let left = broker.rpc_as(Some(&narrow), "/agents/left", "SendMessage", ask("l")).await;
    assert_eq!(left["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{left}");
    let told = fleet.agents["left"].logged("received")[0]["told"].clone();
    assert_eq!(told["scope"], json!([]), "nothing of the narrowed scope is left's to hold: {told}");
}

/// A tool cannot ask what is left, so its grant says so. The broker counts at every use: its own says what is held, and
/// what comes back can be used again.
#[tokio::test(flavor = "multi_thread")]
async fn a_tools_grant_says_what_is_left() {
    let broker = Broker::start("");
    let (coordinator, worker) = (Agent::scripted("coordinator"), Agent::scripted("worker"));
    let caps = ["a2a:skill/worker/*", "mcp:tool/search{calls<=20}"];
    broker.add_agent("coordinator", coordinator.url(), &caps).await;
    broker.add_agent("worker", worker.url(), &["mcp:tool/search{calls<=12}"]).await;
    let (grant, _, _stream) = grant_of(&broker, &coordinator, "coordinator").await;
    let grant = grant.as_str();
    let for_tool = async |calls: u32| {
        let scope = format!("mcp:tool/search{{calls<={calls}}}");
        exchange(&broker, grant, &[("resource", "http://127.0.0.1:9100"), ("scope", &scope)]).await
    };
    token(&for_tool(20).await);
    // The worker says nothing of what it used up, so all it held is gone.
    let done = broker.rpc_as(Some(grant), "/agents/worker", "SendMessage", wire::message("w", "{}")).await;
    assert_eq!(done["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{done}");
    refused(&for_tool(9).await, "invalid_scope", "mcp:tool/search{calls<=8}");
    token(&for_tool(8).await);
    let all = token(&exchange(&broker, grant, &[("resource", "http://127.0.0.1:9100")]).await);
    assert_eq!(jwt::part(&all, 1)["scope"], "mcp:tool/search{calls<=8}");
    let renewed = token(&exchange(&broker, grant, &[]).await);
    assert_eq!(jwt::part(&renewed, 1)["scope"], caps.join(" "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tools_grant_holds_what_a_tool_admits_and_opens_nothing_at_the_broker() {
    let fleet = Fleet::start("").await;
    let broker = &fleet.broker;
    let (grant, _, _stream) = grant_of(broker, &fleet.agents["coordinator"], "coordinator").await;
    let tool = "http://127.0.0.1:9100/search";
    let for_tool = token(&exchange(broker, &grant, &[("resource", tool)]).await);
    let claims = jwt::part(&for_tool, 1);
    assert_eq!(
        (claims["aud"].as_str(), claims["scope"].as_str()),
        (Some(tool), Some("mcp:tool/search{calls<=20}"))
    );
    let refusal =
        broker.rpc_as(Some(&for_tool), "/agents/left", "SendMessage", wire::message("t", "{}")).await;
    assert_eq!(refusal["error"]["code"], -31401, "{refusal}");
    refused(&exchange(broker, &for_tool, &[]).await, "invalid_grant", "another audience");
    let invoke = exchange(broker, &grant, &[("resource", tool), ("scope", "a2a:skill/left/*")]).await;
    refused(&invoke, "invalid_scope", "a2a:skill/left/*");
    for bad in ["search", "http://tool/#x", "/search"] {
        refused(&exchange(broker, &grant, &[("resource", bad)]).await, "invalid_target", "absolute URL");
    }
    let two = exchange(broker, &grant, &[("resource", tool), ("resource", "http://other")]).await;
    refused(&two, "invalid_target", "twice");
    let (empty, _, _stream) = grant_of(broker, &fleet.agents["right"], "right").await;
    refused(&exchange(broker, &empty, &[("resource", tool)]).await, "invalid_scope", "caps");

    let url = format!("{}/token", broker.url());
    let base =
        [("grant_type", EXCHANGE), ("subject_token", grant.as_str()), ("subject_token_type", ACCESS_TOKEN)];
    for (changed, value, error, word) in [
        ("grant_type", "client_credentials", "unsupported_grant_type", EXCHANGE),
        ("grant_type", "", "invalid_request", "grant_type is missing"),
        ("subject_token", "", "invalid_request", "subject_token is missing"),
        ("subject_token", "a.b.c", "invalid_grant", "subject_token has to be"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2", "invalid_request", ACCESS_TOKEN),
        ("actor_token", "x", "invalid_request", "leave it out"),
        ("audience", "x", "invalid_request", "resource"),
        ("scope", "mcp:tool/x  mcp:tool/y", "invalid_scope", "expected"),
        ("authorization_details", "{}", "invalid_request", "authorization_details"),
    ] {
        let kept = base.iter().filter(|(name, _)| *name != changed).copied();
        let form: Vec<(&str, &str)> = kept.chain([(changed, value)]).collect();
        refused(&wire::form(&url, &form, &[]).await, error, word);
    }
    let twice: Vec<(&str, &str)> = base.iter().chain(&base[1..2]).copied().collect();
    refused(&wire::form(&url, &twice, &[]).await, "invalid_request", "twice");
    refused(&wire::post(&url, &json!({}), None).await, "invalid_request", "x-www-form-urlencoded");
    let client = wire::form(&url, &base, &[("Authorization", "Bearer wrong")]).await;
    assert_eq!((client.status, client.json()["error"].as_str()), (401, Some("invalid_client")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_at_a_dead_grant_learns_only_that_it_is_dead() {
    let fleet = Fleet::start("").await;
    let broker = &fleet.broker;
    let (grant, task, _stream) = grant_of(broker, &fleet.agents["coordinator"], "coordinator").await;
    let introspect = async |token: &str| {
        wire::form(&format!("{}/introspect", broker.url()), &[("token", token)], &[]).await
    };
    let good = introspect(&grant).await.json();
    assert_eq!(
        (good["active"].as_bool(), good["task"].as_str(), good["token_type"].as_str()),
        (Some(true), Some(task.as_str()), Some("Bearer"))
    );
    let for_tool = token(&exchange(broker, &grant, &[("resource", "http://tool")]).await);
    assert_eq!(introspect(&for_tool).await.json()["aud"], "http://tool", "tools ask about their own");

    // A child's grant dies with its parent's.
    let script = json!({ "delay_ms": 60_000 }).to_string();
    let mut child = wire::message("child", &script);
    child["configuration"] = json!({ "returnImmediately": true });
    broker.rpc_as(Some(&grant), "/agents/left", "SendMessage", child).await;
    while fleet.agents["left"].logged("received").is_empty() {
        tokio::task::yield_now().await;
    }
    let below = fleet.agents["left"].logged("received")[0]["told"]["grant"].as_str().unwrap().to_owned();
    assert_eq!(introspect(&below).await.json()["active"], true);

    let revoke = format!("{}/revoke", broker.url());
    let of_tool = wire::form(&revoke, &[("token", &for_tool)], &[]).await;
    refused(&of_tool, "unsupported_token_type", "agent's own grant");
    let revoked = wire::form(&revoke, &[("token", &grant)], &[]).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    let again = wire::form(&revoke, &[("token", &grant)], &[]).await;
    assert_eq!(again.status, 200, "what is dead needs no revoking");
    let mut tampered = grant.clone();
    tampered.pop();
    for dead in [grant.as_str(), &below, &for_tool, &tampered, "x", "a.b.c"] {
        let answer = introspect(dead).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"active":false}"#), "{dead}");
    }
    for dead in [&grant, &below] {
        let refusal = broker.rpc_as(Some(dead), "", "ListTasks", json!({})).await;
        assert_eq!(refusal["error"]["code"], -31401, "{refusal}");
    }
    refused(&exchange(broker, &grant, &[]).await, "invalid_grant", "revoked");
    assert_eq!(wire::form(&revoke, &[("token", "nonsense")], &[]).await.status, 200, "RFC 7009 §2.2");

    // An operator revokes by task.
    let (other, task, _stream) = grant_of(broker, &fleet.agents["deep"], "deep").await;
    let path = format!("{}/api/v1/tasks/{task}/revoke", broker.url());
    let by_delegate = wire::post(&path, &json!({}), Some(&other)).await;
    assert_eq!(by_delegate.status, 404, "{}", by_delegate.text);
    assert_eq!(wire::post(&path, &json!({}), None).await.status, 200);
    assert_eq!(introspect(&other).await.json()["active"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_follow_each_other_and_a_compromised_one_takes_its_grants_with_it() {
    let mut fleet = Fleet::start("").await;
    let (grant, ..) = grant_of(&fleet.broker, &fleet.agents["coordinator"], "coordinator").await;
    let jwks = format!("{}/.well-known/jwks.json", fleet.broker.url());
    let ids = async || -> Vec<Value> {
        let answer = wire::get(&jwks).await;
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        let keys = answer.json()["keys"].as_array().cloned().unwrap();
        assert!(!answer.text.contains("\"d\""), "nothing private is published");
        keys.iter().map(|key| key["kid"].clone()).collect()
    };
    let rotate = format!("{}/api/v1/keys/rotate", fleet.broker.url());
    let first = ids().await;
    assert_eq!(wire::post(&rotate, &json!({}), None).await.status, 200);
    let both = ids().await;
    assert_eq!((both.len(), &both[0]), (2, &first[0]), "the next key is known before it signs");
    assert_eq!(wire::post(&rotate, &json!({}), None).await.json()["keys"].as_array().unwrap().len(), 2);
    fleet.broker.crash();
    assert_eq!(ids().await, both, "keys outlive the process");
    let renewed = token(&exchange(&fleet.broker, &grant, &[]).await);
    assert_eq!(jwt::part(&renewed, 0)["kid"], first[0], "the old key signs until the new one is known");

    let compromised = wire::post(&rotate, &json!({ "compromised": true }), None).await.json();
    let last = ids().await;
    assert_eq!((last.len(), &compromised["keys"][0]["kid"]), (1, &last[0]));
    assert!(!both.contains(&last[0]));
    for dead in [&grant, &renewed] {
        refused(&exchange(&fleet.broker, dead, &[]).await, "invalid_grant", "not known here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_bound_to_a_key_is_worth_nothing_without_it() {
    for algorithm in ["EdDSA", "ES256"] {
        let broker = Broker::start(&format!("[grants]\nalgorithm = \"{algorithm}\"\n"));
        let (agent, key) = (Agent::scripted("bound"), jwt::Key::of(5));
        let registration =
            json!({ "name": "bound", "url": agent.url(), "caps": ["mcp:tool/search"], "jwk": key.jwk() });
        let registered = wire::post(&format!("{}/api/v1/agents", broker.url()), &registration, None).await;
        assert_eq!(registered.status, 201, "{}", registered.text);
        let (grant, _, _stream) = grant_of(&broker, &agent, "bound").await;
        assert_eq!(jwt::part(&grant, 0)["alg"], algorithm);
        assert_eq!(jwt::part(&grant, 1)["cnf"]["jkt"], registered.json()["key"]);

        let url = format!("{}/agents/bound", broker.url());
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {} });
        let call = async |scheme: &str, proofs: &[String]| {
            let authorization = format!("{scheme} {grant}");
            let mut headers = vec![
                ("Authorization", authorization.as_str()),
                ("A2A-Version", "1.0"),
                ("Content-Type", "application/json"),
            ];
            headers.extend(proofs.iter().map(|proof| ("DPoP", proof.as_str())));
            wire::request("POST", &url, &headers, list.to_string().into_bytes()).await
        };
        let good = |id: &str| key.proof(&url, Some(&grant), id);
        for (what, scheme, proofs) in [
            ("as a bearer token", "Bearer", vec![]),
            ("as a bearer token with a proof", "Bearer", vec![good("a")]),
            ("without a proof", "DPoP", vec![]),
            ("with two proofs", "DPoP", vec![good("b"), good("c")]),
            ("with another's proof", "DPoP", vec![jwt::Key::of(6).proof(&url, Some(&grant), "d")]),
            ("with a proof for another address", "DPoP", vec![key.proof(&broker.url(), Some(&grant), "e")]),
            ("with a proof for another token", "DPoP", vec![key.proof(&url, Some("x"), "f")]),
            ("with a proof for no token", "DPoP", vec![key.proof(&url, None, "g")]),
        ] {
            let answer = call(scheme, &proofs).await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text);
            let challenges: Vec<_> =
                answer.headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
            assert!(challenges.iter().any(|(_, value)| value.starts_with("DPoP ")), "{challenges:?}");
        }
        assert_eq!(call("DPoP", &[good("once")]).await.status, 200);
        assert_eq!(call("DPoP", &[good("once")]).await.status, 401, "a proof is good once");

        let path = format!("{}/ListTasks", grpc::SERVICE);
        let mut connection = grpc::Connection::open(broker.address()).await;
        for (address, code) in [(format!("{}{path}", broker.url()), 0), (url.clone(), 16)] {
            let (authorization, proof) =
                (format!("DPoP {grant}"), key.proof(&address, Some(&grant), &address));
            let headers = [("authorization", authorization.as_str()), ("dpop", proof.as_str())];
            let answer = connection.call(&path, &headers, grpc::frame(&[])).await;
            assert_eq!(answer.code(), Some(code), "over gRPC with a proof for {address}: {answer:?}");
        }

        let at = format!("{}/token", broker.url());
        let form = [
            ("grant_type", EXCHANGE),
            ("subject_token", grant.as_str()),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        refused(&wire::form(&at, &form, &[]).await, "invalid_dpop_proof", "bound to a key");
        let other = jwt::Key::of(6).proof(&at, None, "h");
        refused(&wire::form(&at, &form, &[("DPoP", &other)]).await, "invalid_dpop_proof", "another key");
        let proof = key.proof(&at, None, "i");
        let renewed = wire::form(&at, &form, &[("DPoP", &proof)]).await;
        assert_eq!(renewed.json()["token_type"], "DPoP", "{}", renewed.text);
        let renewed = jwt::part(&token(&renewed), 1);
        assert_eq!(renewed["cnf"]["jkt"], registered.json()["key"], "the binding is passed on");
        let revoke = wire::form(&format!("{}/revoke", broker.url()), &[("token", &grant)], &[]).await;
        refused(&revoke, "invalid_dpop_proof", "bound to a key");
    }
    let broker = Broker::start("");
    let private = json!({ "name": "x", "url": "http://127.0.0.1:1", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": "", "d": "" } });
    let refused = wire::post(&format!("{}/api/v1/agents", broker.url()), &private, None).await;
    assert!(refused.status == 400 && refused.text.contains("private"), "{}", refused.text);
}
