//! `bailiwick grant`: look at a grant, verify one as a tool would, let the next signing key follow, end a task's grants.

use std::fmt::Write;
use std::time::SystemTime;

use broker_core::Timestamp;
use capability::{Claims, Expected, Inspected, KeySet, Possession};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Value, json};

use super::arguments::GrantCommand;
use super::client::of_task;
use super::commands::Session;
use super::http::Http;

/// Largest key set read, bytes.
const MAX_JWKS_BYTES: usize = 256 * 1024;

pub(super) async fn execute(session: &Session, command: GrantCommand) -> Result<(), String> {
    match command {
        GrantCommand::Inspect { token } => inspect(session, &token),
        GrantCommand::Verify { token, jwks, audience, issuer } => {
            let keys = read_keys(session.broker.http(), &jwks).await?;
            let possession = Possession::Inspected;
            let expected = Expected { issuer: &issuer, audience: &audience, now: now(), possession };
            let claims =
                capability::verify(token.trim(), &keys, &expected).map_err(|error| error.to_string())?;
            session.show(&claims.to_json(), || format!("the grant is good\n{}", describe(&claims)))
        }
        GrantCommand::Rotate { compromised } => rotate(session, "/api/v1/keys/rotate", compromised).await,
        GrantCommand::Revoke { task } => {
            let answer = session.broker.api(Method::POST, &of_task(&task, "revoke"), Some(json!({}))).await?;
            session.show(&answer, || format!("the grants of {task} and of everything below it are revoked"))
        }
    }
}

/// Lets the next key of those at a path follow.
pub(super) async fn rotate(session: &Session, path: &str, compromised: bool) -> Result<(), String> {
    let body = json!({ "compromised": compromised });
    let keys = session.broker.api(Method::POST, path, Some(body)).await?;
    session.show(&keys, || print_keys(&keys))
}

fn inspect(session: &Session, token: &str) -> Result<(), String> {
    let Inspected { key_id, algorithm, claims } =
        capability::inspect(token.trim()).map_err(|error| error.to_string())?;
    let mut shown = claims.to_json();
    if let Some(members) = shown.as_object_mut() {
        members.insert("verified".to_owned(), json!(false));
    }
    session.show(&shown, || {
        format!(
            "NOT VERIFIED: this is what the token says of itself; `bailiwick grant verify` says whether it is true\n\
             {}\nsigned      {algorithm} with key {}",
            describe(&claims),
            key_id.as_deref().unwrap_or("of no name")
        )
    })
}

/// From a URL or a file.
async fn read_keys(http: &Http, from: &str) -> Result<KeySet, String> {
    let problem = |problem: String| format!("{from}: {problem}; expected the URL or the file of a JWKS");
    let document = if from.starts_with("http://") || from.starts_with("https://") {
        let request = Request::get(from).body(Full::default()).map_err(|error| problem(error.to_string()))?;
        let answer = http.send(request).await.map_err(|unanswered| problem(unanswered.why))?;
        if !answer.status().is_success() {
            return Err(problem(format!("HTTP {}", answer.status())));
        }
        let body = Limited::new(answer.into_body(), MAX_JWKS_BYTES).collect().await;
        let read =
            body.map_err(|error| problem(format!("{error}; at most {MAX_JWKS_BYTES} bytes are read")))?;
        read.to_bytes().to_vec()
    } else {
        std::fs::read(from).map_err(|error| problem(error.to_string()))?
    };
    KeySet::from_jwks(&document).map_err(|error| problem(error.to_string()))
}

fn describe(claims: &Claims) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<11} {value}");
    };
    line("for", &claims.audience);
    line("from", &claims.issuer);
    line("holder", &claims.holder);
    line("owner", &claims.subject);
    let chain: Vec<&str> = std::iter::successors(claims.actors.as_ref(), |actor| actor.act.as_deref())
        .map(|actor| actor.sub.as_str())
        .collect();
    if !chain.is_empty() {
        line("through", &chain.join(", "));
    }
    line("task", &format!("{} (depth {}, root {})", claims.task, claims.depth, claims.root));
    line("issued", &date(claims.issued_at));
    line("valid from", &date(claims.not_before));
    let now = now();
    let left = claims.expires.checked_sub(now).filter(|left| *left > 0);
    let left =
        left.map_or_else(|| "expired".to_owned(), |left| format!("{} min {} s left", left / 60, left % 60));
    line("until", &format!("{} ({left})", date(claims.expires)));
    line("bound to", claims.confirmation.as_deref().unwrap_or("no key: whoever has it may use it"));
    line("id", &claims.id);
    for capability in claims.scope.iter() {
        line("may", &capability.to_string());
    }
    if claims.scope.is_empty() {
        line("may", "nothing");
    }
    text.trim_end().to_owned()
}

fn print_keys(keys: &Value) -> String {
    let text = |key: &Value, name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = |key: &Value| {
        let signs = key.get("signs").and_then(Value::as_bool).unwrap_or(false);
        let when = if signs { "signs now" } else { "verifies" };
        format!(
            "{}  {:<6} {when:<10} signs from {}",
            text(key, "kid"),
            text(key, "algorithm"),
            text(key, "signs_from")
        )
    };
    let keys = keys.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
    keys.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn date(seconds: u64) -> String {
    let millis = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000);
    Timestamp::from_millis(millis).to_string()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
