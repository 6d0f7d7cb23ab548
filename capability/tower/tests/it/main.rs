//! The layer: what a grant admits passes with its claims, everything else is refused and told why.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use capability::{CLOCK_SKEW_SECONDS, Claims, GrantKey, KeySet, Scope, mint};
use capability_tower::{GrantLayer, Keys, Refusal, Requested};
use http::request::Parts;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

const NOW: u64 = 1_000_000;
const BROKER: &str = "https://broker";
const TOOL: &str = "https://tool";

/// Says whose grant let the request through.
#[derive(Clone)]
struct Tool;

impl Service<Request<()>> for Tool {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let claims = request.extensions().get::<Arc<Claims>>().expect("verified claims");
        ready(Ok(Response::new(claims.holder.clone())))
    }
}

fn required(head: &Parts) -> Result<Requested, Refusal> {
    let requested = Requested::new("mcp", "tool", [head.uri.path().trim_start_matches('/')]);
    let Some((name, value)) = head.uri.query().and_then(|query| query.split_once('=')) else {
        return Ok(requested);
    };
    match name {
        "limit" => {
            let wrong = |_| Refusal::BadRequest("limit: expected an integer".to_owned());
            Ok(requested.int("limit", value.parse().map_err(wrong)?))
        }
        "path" => Ok(requested.path("path", value)),
        "host" => Ok(requested.host("host", value)),
        _ => Ok(requested.text(name, value)),
    }
}

fn claims(scope: &[&str]) -> Claims {
    Claims {
        issuer: BROKER.to_owned(),
        subject: "alice".to_owned(),
        actors: None,
        holder: "researcher".to_owned(),
        audience: TOOL.to_owned(),
        id: "g".to_owned(),
        issued_at: NOW,
        not_before: NOW,
        expires: NOW + 900,
        root: "t".to_owned(),
        task: "t".to_owned(),
        parent: None,
        depth: 0,
        scope: Scope::parse(scope).unwrap(),
        confirmation: None,
    }
}

fn key() -> GrantKey {
    GrantKey::from_seed([3; 32])
}

async fn call(keys: Keys, now: u64, uri: &str, authorization: &[&str]) -> Response<String> {
    let layer = GrantLayer::new(keys, BROKER, TOOL, required).with_clock(move || now);
    let mut request = Request::builder().uri(uri);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    let mut service = layer.layer(Tool);
    std::future::poll_fn(|context| Service::<Request<()>>::poll_ready(&mut service, context)).await.unwrap();
    service.call(request.body(()).unwrap()).await.unwrap()
}

fn challenge(response: &Response<String>) -> &str {
    response.headers()["www-authenticate"].to_str().unwrap()
}

#[tokio::test]
async fn what_the_grant_admits_passes_and_the_rest_is_told_what_is_missing() {
    let scope =
        ["mcp:tool/fetch{host~**.example.com}", "mcp:tool/read{path~/docs/**}", "mcp:tool/search{limit<=5}"];
    let token = mint(&key(), &claims(&scope)).unwrap();
    for (uri, status) in [
        ("/search?limit=5", 200),
        ("/search?limit=6", 403),
        ("/search?limit=x", 400),
        ("/search", 403),
        ("/search?other=5", 403),
        ("/read?path=/docs/a/b", 200),
        ("/read?path=docs/a", 200),
        ("/read?path=/etc/passwd", 403),
        ("/read?path=/docs/../etc/passwd", 403),
        ("/read?path=/docs//a", 403),
        ("/fetch?host=www.Example.com", 200),
        ("/fetch?host=example.com.evil.net", 403),
        ("/", 403),
        ("/se%22arch", 403),
    ] {
        let keys = Keys::new(key().verify_key().into());
        let response = call(keys, NOW, uri, &[&format!("Bearer {token}")]).await;
        assert_eq!(response.status(), status, "{uri}: {}", response.body());
        match status {
            200 => assert_eq!(response.body(), "researcher"),
            403 => assert!(
                challenge(&response).contains("error=\"insufficient_scope\"")
                    && challenge(&response).contains("scope=\"mcp:tool/"),
                "{}",
                challenge(&response)
            ),
            _ => assert!(challenge(&response).contains("error=\"invalid_request\"")),
        }
    }
}

#[tokio::test]
async fn without_a_good_grant_nothing_passes() {
    let good = mint(&key(), &claims(&["mcp:tool/search"])).unwrap();
    let of = |change: &dyn Fn(&mut Claims)| {
        let mut claims = claims(&["mcp:tool/search"]);
        change(&mut claims);
        format!("Bearer {}", mint(&key(), &claims).unwrap())
    };
    let keys = || Keys::new(key().verify_key().into());
    let bearer = format!("Bearer {good}");
    assert_eq!(call(keys(), NOW, "/search", &[&bearer]).await.status(), 200);
    assert_eq!(
        call(keys(), NOW, "/search", &[&format!("bearer {good}")]).await.status(),
        200,
        "RFC 9110 §11.1"
    );
    let fast = of(&|claims| claims.not_before = NOW + CLOCK_SKEW_SECONDS);
    assert_eq!(call(keys(), NOW, "/search", &[&fast]).await.status(), 200, "of a broker whose clock is fast");
    for (what, authorization, word) in [
        ("for the broker", of(&|claims| claims.audience = BROKER.to_owned()), "another audience"),
        ("from elsewhere", of(&|claims| claims.issuer = "https://evil".to_owned()), "another issuer"),
        ("expired", of(&|claims| claims.expires = NOW), "expired"),
        ("to come", of(&|claims| claims.not_before = NOW + CLOCK_SKEW_SECONDS + 1), "not valid yet"),
        ("bound", of(&|claims| claims.confirmation = Some("k".to_owned())), "bound to a key"),
        ("with a proof nobody takes", format!("DPoP {good}"), "DPoP is not taken here"),
        ("with a space too many", format!("Bearer  {good}"), "not a grant"),
        ("changed", format!("{}A", &bearer[..bearer.len() - 1]), "grant"),
        ("no grant", "Bearer x".to_owned(), "not a grant"),
    ] {
        let response = call(keys(), NOW, "/search", &[&authorization]).await;
        assert_eq!(response.status(), 401, "{what}");
        assert!(
            challenge(&response).contains(word) && challenge(&response).contains("invalid_token"),
            "{what}: {}",
            challenge(&response)
        );
        assert!(response.body().contains("/token"), "the next step: {}", response.body());
    }
    for nothing in [vec![], vec!["Basic eDp5"], vec!["Bearer"]] {
        let response = call(keys(), NOW, "/search", &nothing).await;
        assert_eq!(
            (response.status().as_u16(), challenge(&response)),
            (401, "Bearer realm=\"https://tool\"")
        );
    }
    assert_eq!(call(keys(), NOW, "/search", &[&bearer, &bearer]).await.status(), 400);
    assert_eq!(call(Keys::default(), NOW, "/search", &[&bearer]).await.status(), 401, "no keys, no entry");
}

#[tokio::test]
async fn keys_are_exchanged_while_it_runs() {
    let old = key();
    let new = GrantKey::es256([4; 32]).unwrap();
    let keys = Keys::new(old.verify_key().into());
    let layer = GrantLayer::new(keys.clone(), BROKER, TOOL, required).with_clock(|| NOW);
    let mut service = layer.layer(Tool);
    let mut at = async |key: &GrantKey| {
        let token = mint(key, &claims(&["mcp:tool/search"])).unwrap();
        let request = Request::builder().uri("/search").header("authorization", format!("Bearer {token}"));
        service.call(request.body(()).unwrap()).await.unwrap().status().as_u16()
    };
    assert_eq!((at(&old).await, at(&new).await), (200, 401));
    keys.replace([old.verify_key(), new.verify_key()].into_iter().collect());
    assert_eq!((at(&old).await, at(&new).await), (200, 200));
    keys.replace(KeySet::from(new.verify_key()));
    assert_eq!(
        (at(&old).await, at(&new).await),
        (401, 200),
        "a withdrawn key's grants are not remembered as good"
    );
}
