//! What agents are shown: their own credential, and nothing their callers presented.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use conformance_tests::{Agent, Broker, wire};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CALLERS_KEY: &str = "callers-key-5f1c";
const SECRETS: [&str; 4] = ["bearer-secret-1", "api-secret-2", "client-secret-3", "access-token-4"];

/// A token endpoint; what it was asked comes back.
async fn token_endpoint() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (mut text, mut chunk) = (String::new(), [0; 4096]);
            while !text.contains("client_credentials") {
                let length = socket.read(&mut chunk).await.unwrap();
                text.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
            }
            seen.lock().unwrap().push(text);
            let body =
                json!({ "access_token": SECRETS[3], "token_type": "Bearer", "expires_in": 3600 }).to_string();
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, asked)
}

/// Four agents, each with a credential of another kind, or none; `first` may delegate to all others.
struct Fleet {
    broker: Broker,
    agents: BTreeMap<&'static str, Agent>,
    tokens: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

impl Fleet {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("api-key");
        std::fs::write(&file, SECRETS[1]).unwrap();
        let (token_url, tokens) = token_endpoint().await;
        let auth = [
            ("first", String::from("auth = { bearer = { env = \"FIRST_TOKEN\" } }")),
            (
                "keyed",
                format!("auth = {{ api_key = {{ header = \"X-Key\", file = '{}' }} }}", file.display()),
            ),
            (
                "granted",
                format!(
                    "auth = {{ oauth2 = {{ token_url = {token_url:?}, client_id = \"bailiwick\", client_secret = {{ env \
                     = \"CLIENT_SECRET\" }} }} }}"
                ),
            ),
            ("plain", String::new()),
        ];
        let mut agents = BTreeMap::new();
        let mut config = format!(
            "[[principals]]\nname = \"caller\"\nrole = \"operator\"\nkey_env = \"CALLERS_KEY\"\n\
             [southbound]\nsecret_dir = '{}'\n",
            folder.path().display()
        );
        for (name, auth) in auth {
            let agent = Agent::scripted(name);
            let caps = if name == "first" { "caps = [\"a2a:skill/**\"]" } else { "" };
            let url = agent.url();
            config.extend([format!("[[agents]]\nname = {name:?}\nurl = {url:?}\n{auth}\n{caps}\n")]);
            agents.insert(name, agent);
        }
        let env = [("FIRST_TOKEN", SECRETS[0]), ("CLIENT_SECRET", SECRETS[2]), ("CALLERS_KEY", CALLERS_KEY)];
        Self { broker: Broker::start_with(&config, &env), agents, tokens, _folder: folder }
    }

    /// The headers of each call an agent got.
    fn calls(&self, agent: &str) -> Vec<Value> {
        self.agents[agent].logged("call").into_iter().map(|call| call["headers"].clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_callers_present_reaches_no_agent_and_each_agents_own_credential_does() {
    let fleet = Fleet::start().await;
    let orders = ["keyed", "granted", "plain"].map(|to| json!({ "to": to, "script": {} }));
    let script = json!({ "delegate": orders });
    let params = wire::message("m", &script.to_string());
    let answer = fleet.broker.rpc_as(Some(CALLERS_KEY), "/agents/first", "SendMessage", params).await;
    assert_eq!(answer["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");

    let expected = [
        ("first", "authorization", Some(format!("Bearer {}", SECRETS[0]))),
        ("keyed", "x-key", Some(SECRETS[1].to_owned())),
        ("granted", "authorization", Some(format!("Bearer {}", SECRETS[3]))),
        ("plain", "authorization", None),
        ("keyed", "authorization", None),
    ];
    for (agent, header, value) in expected {
        let calls = fleet.calls(agent);
        assert!(!calls.is_empty(), "{agent} was called");
        for headers in calls {
            assert_eq!(headers[header].as_str(), value.as_deref(), "{agent}: {headers}");
        }
    }
    // `first` presented this grant at the broker; the caller presented a key.
    let grant = fleet.agents["first"].logged("received")[0]["told"]["grant"].as_str().unwrap().to_owned();
    for agent in fleet.agents.keys() {
        let headers = Value::from(fleet.calls(agent)).to_string();
        assert!(!headers.contains(CALLERS_KEY) && !headers.contains(&grant), "{agent}: {headers}");
        if *agent != "first" {
            let log = Value::from(fleet.agents[agent].log()).to_string();
            assert!(!log.contains(CALLERS_KEY) && !log.contains(&grant), "{agent}: {log}");
        }
    }
    let tokens = fleet.tokens.lock().unwrap().clone();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert!(tokens[0].contains("Basic ") && !tokens[0].contains(CALLERS_KEY), "{tokens:?}");

    let shown = api(&fleet.broker, "GET", "/api/v1/agents", None).await;
    let stored = String::from_utf8_lossy(&fleet.broker.stored()).into_owned();
    assert!(stored.contains("FIRST_TOKEN"), "the reference is stored: this looks in the right place");
    for secret in SECRETS.iter().chain(&[CALLERS_KEY]) {
        assert!(!shown.text.contains(secret) && !stored.contains(secret), "{secret} is shown or stored");
    }
    let kinds: Vec<_> =
        shown.json()["agents"].as_array().unwrap().iter().map(|agent| agent["auth"].clone()).collect();
    assert_eq!(Value::from(kinds), json!(["bearer", "oauth2", "api_key", null]), "by name");
}

async fn api(broker: &Broker, method: &str, path: &str, body: Option<Value>) -> wire::Answer {
    let credential = format!("Bearer {CALLERS_KEY}");
    let headers = [("Authorization", credential.as_str()), ("Content-Type", "application/json")];
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    wire::request(method, &format!("{}{path}", broker.url()), &headers, body).await
}

/// A server of one card, whose interface is where the test says.
async fn card_server(mut card: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    if card["supportedInterfaces"].is_null() {
        card["supportedInterfaces"] =
            json!([ { "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" } ]);
    }
    let body = card.to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    url
}

fn card() -> Value {
    json!({ "name": "a", "description": "", "version": "1", "skills": [], "defaultInputModes": [],
            "defaultOutputModes": [], "capabilities": {} })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_names_its_credential_and_is_warned_and_refused_where_it_must_be() {
    let fleet = Fleet::start().await;
    let add = |url: &str, auth: Value| {
        let body = json!({ "name": "new", "url": url, "caps": [], "auth": auth });
        let broker = &fleet.broker;
        async move { api(broker, "POST", "/api/v1/agents", Some(body)).await }
    };
    let mut demanding = card();
    demanding["securitySchemes"] =
        json!({ "key": { "apiKeySecurityScheme": { "name": "X-Key", "location": "header" } } });
    demanding["securityRequirements"] = json!([ { "schemes": { "key": { "list": [] } } } ]);
    let url = card_server(demanding.clone()).await;
    let without = add(&url, Value::Null).await;
    assert_eq!(without.status, 201, "{}", without.text);
    assert!(without.json()["warnings"][0].as_str().unwrap().contains("--auth"), "{}", without.text);
    let key = json!({ "api_key": { "header": "X-Key", "env": "BAILIWICK_AGENT_NEW" } });
    let with = add(&url, key.clone()).await;
    assert_eq!((with.status, with.json().get("warnings")), (201, None), "{}", with.text);
    demanding["securityRequirements"] = json!([ {}, { "schemes": { "key": { "list": [] } } } ]);
    let optional = add(&card_server(demanding).await, Value::Null).await;
    assert_eq!((optional.status, optional.json().get("warnings")), (201, None), "{}", optional.text);

    for (auth, expected) in [
        (json!({ "bearer": { "env": "FIRST_TOKEN" } }), "BAILIWICK_AGENT_"),
        (json!({ "bearer": { "file": "/etc/hostname" } }), "secret_dir"),
        (json!({ "bearer": "in-the-open" }), "does not belong here"),
        (json!({}), "exactly one of"),
    ] {
        let refused = add(&url, auth).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(refused.text.contains(expected) && !refused.text.contains("in-the-open"), "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_goes_to_its_own_host_only() {
    let fleet = Fleet::start().await;
    let mut elsewhere = card();
    elsewhere["supportedInterfaces"] = json!([ { "url": "http://other.example/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" } ]);
    let url = card_server(elsewhere).await;
    let bearer = |host: Option<&str>| {
        let mut auth = json!({ "bearer": { "env": "BAILIWICK_AGENT_NEW" } });
        if let Some(host) = host {
            auth["host"] = host.into();
        }
        json!({ "name": "new", "url": url, "caps": [], "auth": auth })
    };
    let refused = api(&fleet.broker, "POST", "/api/v1/agents", Some(bearer(None))).await;
    assert!(refused.status >= 400 && refused.text.contains("auth.host"), "{}", refused.text);
    let named = api(&fleet.broker, "POST", "/api/v1/agents", Some(bearer(Some("other.example")))).await;
    assert_eq!(named.status, 201, "{}", named.text);
    assert!(named.json()["warnings"][0].as_str().unwrap().contains("clear text"), "{}", named.text);
}
