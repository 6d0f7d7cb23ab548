//! What the broker shows agents: each kind arrives, is renewed when it must be, and is seen nowhere else.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use broker::config::secret::{API_ENV_PREFIX, SecretRef};
use broker::config::{Config, Overrides};
use broker::ports::agent_auth::AgentAuth;
use broker::ports::downstream::{Binding, Endpoint};
use broker::southbound::client::Options;
use broker_core::delegation::input::Failure;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::calls::{self, client, send};
use super::web::{Asked, Web};

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"message":{"messageId":"a","role":"ROLE_AGENT","parts":[{"text":"hi"}]}}}"#;

fn auth(written: Value) -> AgentAuth {
    serde_json::from_value(written).unwrap()
}

fn endpoint(web: &Web, auth: AgentAuth) -> Endpoint {
    Endpoint { auth: Some(Arc::new(auth)), ..calls::endpoint(&web.url(), Binding::JsonRpc, false) }
}

/// An agent that takes whoever shows `accepted` in `header`.
async fn agent(header: &'static str, accepted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Web {
    Web::start(move |asked| {
        if asked.header(header).is_some_and(&accepted) {
            ("200 OK\r\ncontent-type: application/json".to_owned(), ANSWER.to_owned())
        } else {
            ("401 Unauthorized".to_owned(), String::new())
        }
    })
    .await
}

/// A token endpoint that gives `t1`, `t2` and so on.
async fn token_endpoint(expires_in: Value) -> Web {
    let given = AtomicUsize::new(0);
    Web::start(move |_| {
        let number = given.fetch_add(1, Ordering::SeqCst) + 1;
        let token =
            json!({ "access_token": format!("t{number}"), "token_type": "bearer", "expires_in": expires_in });
        ("200 OK\r\ncontent-type: application/json".to_owned(), token.to_string())
    })
    .await
}

fn secret_file(folder: &TempDir, secret: &str) -> PathBuf {
    let path = folder.path().join("secret");
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    path
}

fn oauth2(tokens: &Web, secret: &Path) -> AgentAuth {
    auth(json!({ "oauth2": { "token_url": format!("{}/token", tokens.url()), "client_id": "bailiwick:1",
                             "client_secret": { "file": secret }, "scope": "a2a tasks" } }))
}

#[tokio::test]
async fn bearer_and_api_key_arrive_and_a_rotated_file_is_read_again() {
    let folder = TempDir::new().unwrap();
    let file = secret_file(&folder, "old");
    let bearer = agent("authorization", |value| value == "Bearer new").await;
    let to = endpoint(&bearer, auth(json!({ "bearer": { "file": file } })));
    let client = client(Options::default());
    let refused = send(&client, &to).await.unwrap_err();
    assert!(matches!(&refused, Failure::Refused(why) if why.contains("auth")), "{refused:?}");
    assert_eq!(bearer.asked().len(), 1, "the same secret is not tried twice");
    std::fs::write(&file, "  new\n").unwrap();
    send(&client, &to).await.unwrap();
    // An environment variable that every test process has.
    let version = env!("CARGO_PKG_VERSION");
    let keyed = agent("x-key", move |value| value == version).await;
    let to = endpoint(&keyed, auth(json!({ "api_key": { "header": "X-Key", "env": "CARGO_PKG_VERSION" } })));
    send(&client, &to).await.unwrap();
    assert_eq!(keyed.asked()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_secret_that_is_not_there_sends_nothing_and_says_where_it_should_be() {
    let web = agent("authorization", |_| true).await;
    let folder = TempDir::new().unwrap();
    let empty = secret_file(&folder, "");
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "top\nsecret").unwrap();
    for (written, expected) in [
        (json!({ "env": "BAILIWICK_TEST_UNSET" }), "BAILIWICK_TEST_UNSET is not set"),
        (json!({ "file": "/nowhere/secret" }), "/nowhere/secret"),
        (json!({ "file": empty }), "is empty"),
        (json!({ "file": "/dev/zero" }), "at most 65536 bytes"),
        (json!({ "file": broken }), "cannot stand in a header"),
    ] {
        let failure = send(&client(Options::default()), &endpoint(&web, auth(json!({ "bearer": written }))))
            .await
            .unwrap_err();
        let Failure::NeverSent(why) = &failure else { panic!("{failure:?}") };
        assert!(why.contains(expected) && !why.contains("top"), "{why}");
    }
    assert!(web.asked().is_empty());
}

#[tokio::test]
async fn one_token_is_fetched_for_all_and_kept_until_it_ends() {
    let folder = TempDir::new().unwrap();
    let secret = secret_file(&folder, "s3cr/t");
    let tokens = token_endpoint(json!(3600)).await;
    let web = agent("authorization", |value| value == "Bearer t1").await;
    let (client, to) = (Arc::new(client(Options::default())), endpoint(&web, oauth2(&tokens, &secret)));
    let sends = (0..8).map(|_| {
        let (client, to) = (Arc::clone(&client), to.clone());
        tokio::spawn(async move { send(&client, &to).await })
    });
    for sent in sends.collect::<Vec<_>>() {
        sent.await.unwrap().unwrap();
    }
    let fetched: Vec<Asked> = tokens.asked();
    assert_eq!(fetched.len(), 1, "one fetch for eight calls");
    assert_eq!(fetched[0].body, "grant_type=client_credentials&scope=a2a+tasks");
    // bailiwick%3A1:s3cr%2Ft, form-encoded before it is Basic.
    assert_eq!(fetched[0].header("authorization"), Some("Basic YmFpbGl3aWNrJTNBMTpzM2NyJTJGdA=="));
    // A token that lives for no time is fetched each time.
    for short in [json!(0), json!("0")] {
        let tokens = token_endpoint(short).await;
        let web = agent("authorization", |_| true).await;
        let to = endpoint(&web, oauth2(&tokens, &secret));
        for _ in 0..2 {
            send(&client, &to).await.unwrap();
        }
        let shown: Vec<_> =
            web.asked().iter().map(|asked| asked.header("authorization").unwrap().to_owned()).collect();
        assert_eq!(shown, ["Bearer t1", "Bearer t2"]);
    }
}

#[tokio::test]
async fn a_withdrawn_token_is_fetched_anew_once() {
    let folder = TempDir::new().unwrap();
    let secret = secret_file(&folder, "s");
    let tokens = token_endpoint(json!(3600)).await;
    let web = agent("authorization", |value| value == "Bearer t2").await;
    let (client, to) = (client(Options::default()), endpoint(&web, oauth2(&tokens, &secret)));
    send(&client, &to).await.unwrap();
    send(&client, &to).await.unwrap();
    assert_eq!((web.asked().len(), tokens.asked().len()), (3, 2), "t1 refused, t2 taken, t2 kept");
    let never = agent("authorization", |_| false).await;
    let to = endpoint(&never, oauth2(&tokens, &secret));
    assert!(matches!(send(&client, &to).await, Err(Failure::Refused(_))));
    assert_eq!((never.asked().len(), tokens.asked().len()), (2, 3), "once, not until it works");
}

#[tokio::test]
async fn a_token_endpoint_that_repeats_the_secret_is_not_repeated() {
    let folder = TempDir::new().unwrap();
    let secret = secret_file(&folder, "s3cret");
    let web = agent("authorization", |_| true).await;
    for (status, answer, expected) in [
        (
            "400 Bad Request",
            json!({ "error": "invalid_client", "error_description": "s3cret" }),
            "invalid_client",
        ),
        ("400 Bad Request", json!({ "error": "S3cret s3cret" }), "HTTP 400"),
        ("200 OK", json!({ "token": "s3cret" }), "access_token"),
        ("200 OK", json!({ "access_token": "s3cret", "token_type": "mac" }), "Bearer"),
        ("307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/s3cret", json!({}), "HTTP 307"),
    ] {
        let tokens = Web::start(move |_| (status.to_owned(), answer.to_string())).await;
        let failure =
            send(&client(Options::default()), &endpoint(&web, oauth2(&tokens, &secret))).await.unwrap_err();
        let Failure::NeverSent(why) = &failure else { panic!("{failure:?}") };
        assert!(why.contains(expected) && !why.contains("s3cret"), "{why}");
    }
    assert!(web.asked().is_empty());
    let shown = format!("{:?}", SecretRef::File(secret).read().await.unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
}

fn load(auth: &str) -> Result<Config, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bailiwick.toml");
    std::fs::write(&path, format!("[[agents]]\nname = \"a\"\nurl = \"http://127.0.0.1:1\"\nauth = {auth}\n"))
        .unwrap();
    // A variable of the environment makes the configuration go through text once more.
    let env = [("BAILIWICK_LIMITS_SILENCE".to_owned(), "5s".to_owned())];
    Config::load(Some(&path), env, Overrides::default()).map_err(|error| error.to_string())
}

#[test]
fn the_configuration_takes_references_and_neither_keeps_nor_repeats_a_secret() {
    for written in [
        r#"{ bearer = { env = "X" } }"#,
        r#"{ bearer = { file = "/run/x" }, host = "api.example" }"#,
        r#"{ api_key = { header = "X-Key", env = "X" } }"#,
        r#"{ oauth2 = { token_url = "https://as.example/token", client_id = "b", client_secret = { env = "X" }, scope = "s" } }"#,
    ] {
        let config = load(written).unwrap();
        let again: Config = toml::from_str(&config.to_toml()).unwrap();
        assert_eq!(config.agents, again.agents, "{}", config.to_toml());
    }
    let reference = "expected { env = \"VARIABLE\" } or { file = \"path\" }";
    for (written, expected) in [
        (r#"{ bearer = "s3cret" }"#, reference),
        (r#"{ bearer = { value = "s3cret" } }"#, reference),
        (r#"{ bearer = { env = "X", file = "s3cret" } }"#, reference),
        (r#"{ bearer = ["s3cret"] }"#, reference),
        (r#"{ api_key = { header = "X-Key", key = "s3cret" } }"#, reference),
        (r#"{ api_key = { header = "X Key", env = "X" } }"#, "header's name"),
        (r#"{ api_key = { header = "Host", env = "X" } }"#, "set by the broker itself"),
        (r"{}", "exactly one of"),
        (r#"{ bearer = { env = "X" }, api_key = { header = "X-Key", env = "X" } }"#, "exactly one of"),
        (
            r#"{ oauth2 = { token_url = "ftp://x", client_id = "b", client_secret = { env = "X" } } }"#,
            "token_url",
        ),
        (r#"{ oauth2 = { token_url = "https://x", client_id = "b", client_secret = "s3cret" } }"#, reference),
    ] {
        let problem = load(written).expect_err(written);
        assert!(problem.contains(expected), "{written}: {problem}");
        assert!(problem.contains("auth of a"), "{written}: {problem}");
        assert!(!problem.contains("s3cret"), "{written}: {problem}");
    }
}

#[test]
fn a_secret_where_no_reference_could_be_is_not_repeated_either() {
    for (written, expected) in [
        (r#""s3cret""#, &["line 4", "auth", "expected struct AgentAuth"] as &[&str]),
        (r#"{ token = "s3cret" }"#, &["line 4", "auth", "unknown field `token`", "bearer"]),
        ("{ bearer = s3cret }", &["line 4", "auth"]),
        ("{}\n[agents.auth]\ntoken = \"s3cret\"", &["line"]),
        ("{}\nkey = \"s3cret\"", &["line 5", "key", "unknown field"]),
    ] {
        let problem = load(written).expect_err(written);
        for word in expected {
            assert!(problem.contains(word), "{written}: {problem}");
        }
        assert!(!problem.contains("s3cret"), "{written}: {problem}");
    }
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_secret_is_logged_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let folder = TempDir::new().unwrap();
    let secret = secret_file(&folder, "s3cret");
    let tokens = token_endpoint(json!(3600)).await;
    let web = agent("authorization", |value| value == "Bearer t2").await;
    let client = client(Options::default());
    let logged = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // Which places are heard is kept for all threads at once, and another test may just have changed it.
    for _ in 0..100 {
        drop(tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new()));
        send(&client, &endpoint(&web, oauth2(&tokens, &secret))).await.unwrap();
        if logged().contains("hyper") {
            break;
        }
    }
    for kind in
        [json!({ "bearer": { "file": secret } }), json!({ "api_key": { "header": "X", "file": secret } })]
    {
        let to = endpoint(&web, auth(kind));
        assert!(send(&client, &to).await.is_err());
        tracing::info!(?to, "an endpoint");
    }
    let text = logged();
    assert!(text.contains("hyper") && text.contains("an endpoint"), "everything is logged: {text}");
    for secret in ["s3cret", "Bearer t", "YmFpbGl3aWNrJTNBMTpzM2NyZXQ="] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[test]
fn a_registration_may_not_turn_the_brokers_other_secrets_into_credentials() {
    let dir = Path::new("/etc/bailiwick/agents");
    let confined = |written: Value, dir: Option<&Path>| auth(json!({ "bearer": written })).confined(dir);
    for (written, dir, expected) in [
        (json!({ "env": "AWS_SECRET_ACCESS_KEY" }), Some(dir), API_ENV_PREFIX),
        (json!({ "file": "x" }), None, "southbound.secret_dir is not set"),
        (json!({ "file": "/etc/shadow" }), Some(dir), "below /etc/bailiwick/agents"),
        (json!({ "file": "../grant-key.seed" }), Some(dir), "below /etc/bailiwick/agents"),
        (json!({ "file": "/etc/bailiwick/agents/../../shadow" }), Some(dir), "below /etc/bailiwick/agents"),
        (json!({ "file": "/etc/bailiwick/agents-of-others/x" }), Some(dir), "below /etc/bailiwick/agents"),
        (json!("s3cret"), Some(dir), "does not belong here"),
    ] {
        let problem = confined(written, dir).unwrap_err();
        assert!(problem.contains(expected) && !problem.contains("s3cret"), "{problem}");
    }
    let whole = auth(json!({ "bearer": { "file": "/etc/bailiwick/agents/x" } }));
    assert_eq!(confined(json!({ "file": "x" }), Some(dir)).unwrap(), whole);
    assert_eq!(confined(json!({ "file": "/etc/bailiwick/agents/x" }), Some(dir)).unwrap(), whole);
    assert!(confined(json!({ "env": "BAILIWICK_AGENT_X" }), None).is_ok());
}
