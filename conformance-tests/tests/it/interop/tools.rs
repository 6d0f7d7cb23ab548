//! Tools outside the broker: a Rust and a Python one verify grants offline, and agree on every row of one table.

use conformance_tests::{Agent, Broker, jwt, wire};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::delegation::grants::{exchange, grant_of};

const ISSUER: &str = "https://issuer.example";

async fn get(tool: &str, path: &str, grant: &str) -> wire::Answer {
    let authorization = format!("Bearer {grant}");
    wire::request("GET", &format!("{tool}{path}"), &[("Authorization", &authorization)], Vec::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_admits_what_the_exchanged_grant_says_and_nothing_else() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    let caps = ["a2a:skill/worker/*", "mcp:tool/read{path~/docs/**}", "mcp:tool/search{calls<=3;limit<=5}"];
    broker.add_agent("worker", agent.url(), &caps).await;
    let from = broker.url();
    let tools =
        [Agent::python_tool("tool.py", &["--issuer", &from]), Agent::rust_tool("tool", &["--issuer", &from])];
    let (grant, _, _stream) = grant_of(&broker, &agent, "worker").await;
    for (tool, other) in [(&tools[0], &tools[1]), (&tools[1], &tools[0])] {
        let issued = exchange(&broker, &grant, &[("resource", tool.url())]).await.json();
        let for_tool = issued["access_token"].as_str().expect("a grant").to_owned();
        for (path, status) in [
            ("/search?limit=5", 200),
            ("/search?limit=6", 403),
            ("/read?path=/docs/a", 200),
            ("/read?path=/etc/passwd", 403),
            ("/write", 403),
            ("/search?limit=1", 403),
        ] {
            let answer = get(tool.url(), path, &for_tool).await;
            assert_eq!(answer.status, status, "{}{path}: {}", tool.url(), answer.text);
            if status == 200 {
                assert_eq!(answer.json()["for"], "worker");
            } else {
                let challenge = answer.header("www-authenticate").unwrap();
                assert!(challenge.contains("insufficient_scope"), "{challenge}");
            }
        }
        let (head, signature) = for_tool.rsplit_once('.').unwrap();
        let flipped: String = signature.chars().rev().collect();
        let foreign = exchange(&broker, &grant, &[("resource", other.url())]).await.json();
        for (what, grant) in [
            ("not exchanged", grant.clone()),
            ("for the other tool", foreign["access_token"].as_str().unwrap().to_owned()),
            ("forged", format!("{head}.{flipped}")),
            ("nothing", "x".to_owned()),
        ] {
            let answer = get(tool.url(), "/read?path=/docs/a", &grant).await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text);
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
        }
        let none = wire::request("GET", &format!("{}/search", tool.url()), &[], Vec::new()).await;
        assert_eq!((none.status, none.header("www-authenticate").unwrap().contains("error=")), (401, false));
    }
}

/// The claims of a grant for a tool; each has a task of its own, so that calls are counted apart.
fn claims(audience: &str, task: &str, capabilities: &[&str]) -> Value {
    let now = jwt::now();
    json!({
        "iss": ISSUER, "sub": "alice", "client_id": "worker", "aud": audience, "jti": task, "iat": now, "nbf": now,
        "exp": now + 900, "txn": task, "task": task, "depth": 0, "scope": capabilities.join(" "),
        "authorization_details": [{ "type": "a2a_capability", "capabilities": capabilities }],
    })
}

/// (what, request, capabilities, status)
const ADMISSION: [(&str, &str, &[&str], u16); 34] = [
    ("the tool", "/search", &["mcp:tool/search"], 200),
    ("any tool", "/search", &["mcp:tool/*"], 200),
    ("a prefix", "/search", &["mcp:tool/sea*"], 200),
    ("all below", "/search", &["mcp:tool/**"], 200),
    ("another tool", "/read", &["mcp:tool/search"], 403),
    ("another kind", "/search", &["mcp:resource/search"], 403),
    ("another space", "/search", &["net:tool/search"], 403),
    ("one more segment", "/search", &["mcp:tool/search/*"], 403),
    ("zero more segments", "/search", &["mcp:tool/search/**"], 200),
    ("nothing", "/search", &[], 403),
    ("the second of two", "/search", &["mcp:tool/read", "mcp:tool/search"], 200),
    ("an escape", "/a%20b", &["mcp:tool/a%20b"], 404),
    ("an integer at its bound", "/search?limit=5", &["mcp:tool/search{limit<=5}"], 200),
    ("an integer past it", "/search?limit=6", &["mcp:tool/search{limit<=5}"], 403),
    ("an integer below a range", "/search?limit=1", &["mcp:tool/search{limit>=2;limit<=5}"], 403),
    ("a large integer", "/search?limit=9007199254740993", &["mcp:tool/search{limit<=9007199254740992}"], 403),
    ("no integer", "/search?limit=5.0", &["mcp:tool/search{limit<=5}"], 400),
    ("an integer twice", "/search?limit=1&limit=9", &["mcp:tool/search{limit<=5}"], 400),
    ("a constrained argument left out", "/search", &["mcp:tool/search{limit<=5}"], 403),
    ("a word", "/search?region=eu", &["mcp:tool/search{region=eu|uk}"], 200),
    ("another word", "/search?region=us", &["mcp:tool/search{region=eu|uk}"], 403),
    ("a word in other letters", "/search?region=EU", &["mcp:tool/search{region=eu|uk}"], 403),
    ("a word that is excluded", "/search?region=us", &["mcp:tool/search{region!=us}"], 403),
    ("a path", "/read?path=/docs/a/b", &["mcp:tool/read{path~/docs/**}"], 200),
    ("a path with dots", "/read?path=/docs/../etc", &["mcp:tool/read{path~/docs/**}"], 403),
    ("a path with an empty segment", "/read?path=/docs//etc", &["mcp:tool/read{path~/docs/**}"], 403),
    ("a window that is open", "/search", &["mcp:tool/search{exp<99999999999;nbf>=1}"], 200),
    ("a window that is over", "/search", &["mcp:tool/search{exp<1700000000}"], 403),
    ("a window to come", "/search", &["mcp:tool/search{nbf>=99999999999}"], 403),
    ("its own holder's", "/search", &["mcp:tool/search{hops<=0}"], 200),
    ("a rate nobody counts", "/search", &["mcp:tool/search{rate<=9/60s}"], 403),
    ("calls it may make", "/search", &["mcp:tool/search{calls<=1}"], 200),
    ("no calls", "/search", &["mcp:tool/search{calls<=0}"], 403),
    ("a constraint nobody here knows", "/search", &["mcp:tool/search{planet=mars}"], 403),
];

/// Claims that are not those of a good grant: (what, change).
fn spoiled(audience: &str) -> Vec<(&'static str, Value)> {
    let now = jwt::now();
    vec![
        ("another audience", json!({ "aud": "https://other" })),
        ("several audiences", json!({ "aud": [audience, "https://other"] })),
        ("no audience", json!({ "aud": null })),
        ("another issuer", json!({ "iss": "https://evil.example" })),
        ("expired now", json!({ "exp": now, "iat": now - 900, "nbf": now - 900 })),
        ("expired long ago", json!({ "exp": now - 1, "iat": now - 900, "nbf": now - 900 })),
        ("not valid yet", json!({ "nbf": now + 600 })),
        ("issued in the future", json!({ "iat": now + 600 })),
        ("no nbf", json!({ "nbf": null })),
        ("a life over 15 minutes", json!({ "exp": now + 3_600 })),
        ("a time as text", json!({ "exp": (now + 800).to_string() })),
        ("a time with a fraction", json!({ "exp": f64::from(u32::try_from(now).unwrap()) + 800.5 })),
        ("bound to a key", json!({ "cnf": { "jkt": "x" } })),
        (
            "details of another type",
            json!({ "authorization_details": [{ "type": "x", "capabilities": ["mcp:tool/search"] }] }),
        ),
        (
            "two details",
            json!({ "authorization_details": [{ "type": "a2a_capability", "capabilities": [] }, {}] }),
        ),
        ("a wider scope claim", json!({ "scope": "mcp:tool/*" })),
        ("no task", json!({ "task": null })),
    ]
}

fn with(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().expect("changes") {
        if value.is_null() {
            claims.as_object_mut().expect("claims").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// (what, token, request, status)
fn table(audience: &str) -> Vec<(String, String, String, u16)> {
    let (key, stranger) = (jwt::Key::of(1), jwt::Key::of(2));
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k1" });
    let mut rows = Vec::new();
    let mut row = |what: &str, token: String, path: &str, status: u16| {
        rows.push((what.to_owned(), token, path.to_owned(), status));
    };
    for (what, path, capabilities, status) in ADMISSION {
        row(what, key.sign(&header, &claims(audience, what, capabilities)), path, status);
    }
    for (what, changes) in spoiled(audience) {
        let claims = with(claims(audience, what, &["mcp:tool/search"]), &changes);
        row(what, key.sign(&header, &claims), "/search", 401);
    }
    let good = |task: &str| claims(audience, task, &["mcp:tool/search"]);
    let listed = with(good("listed"), &json!({ "aud": [audience] }));
    row("an audience in a list of one", key.sign(&header, &listed), "/search", 200);
    row("somebody else's signature", stranger.sign(&header, &good("s")), "/search", 401);
    for (what, changes) in [
        ("an unknown key", json!({ "kid": "k9" })),
        ("no key", json!({ "kid": null })),
        ("alg none", json!({ "alg": "none" })),
        ("alg HS256", json!({ "alg": "HS256" })),
        ("alg ES256", json!({ "alg": "ES256" })),
        ("another type", json!({ "typ": "JWT" })),
        ("no type", json!({ "typ": null })),
        ("crit", json!({ "crit": ["exp"] })),
        ("an embedded key", json!({ "jwk": jwt::Key::of(2).jwk() })),
        ("a key from elsewhere", json!({ "jku": "https://evil.example" })),
    ] {
        row(what, key.sign(&with(header.clone(), &changes), &good(what)), "/search", 401);
        let by_stranger = stranger.sign(&with(header.clone(), &changes), &good(what));
        row(what, by_stranger, "/search", 401);
    }
    let twice = good("twice").to_string().replacen('{', "{\"scope\":\"mcp:tool/*\",", 1);
    row("a claim twice", key.sign_text(&header.to_string(), &twice), "/search", 401);
    let twice = header.to_string().replacen('{', "{\"kid\":\"k2\",", 1);
    row("a header member twice", key.sign_text(&twice, &good("h").to_string()), "/search", 401);
    let token = key.sign(&header, &good("encoding"));
    for (what, token) in [
        ("padding", format!("{token}==")),
        ("white space", format!("{token}\u{a0}")),
        ("stray bits", stray_bits(&token)),
        ("four parts", format!("{token}.x")),
        ("two parts", token.rsplit_once('.').unwrap().0.to_owned()),
    ] {
        row(what, token, "/search", 401);
    }
    rows
}

/// The same signature by another spelling: the last character of 64 bytes carries four bits of nothing.
fn stray_bits(token: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = token.split_at(token.len() - 1);
    let at = ALPHABET.find(last).expect("base64url");
    format!("{rest}{}", &ALPHABET[at + 1..at + 2])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_layer_and_the_python_verifier_agree_on_every_row() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys.json");
    let mut key = jwt::Key::of(1).jwk();
    key["kid"] = json!("k1");
    let rsa = json!({ "kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB" });
    std::fs::write(&file, json!({ "keys": [rsa, key] }).to_string()).unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["--issuer", ISSUER, "--jwks", file];
    for tool in [Agent::python_tool("tool.py", &arguments), Agent::rust_tool("tool", &arguments)] {
        for (what, token, path, status) in table(tool.url()) {
            let answer = get(tool.url(), &path, &token).await;
            assert_eq!(answer.status, status, "{what} at {}: {}", tool.url(), answer.text);
        }
    }
}
