//! Who is let in: a broker with a clock and an issuer the tests move, judged by what `authenticate` says.

mod world;

use std::sync::Arc;

use broker::service::{
    CertificateName, ClientCertificate, Credential, IssuerSettings, Principal, Proof, Role, Target,
};
use capability::Scope;
use proptest::prelude::*;
use protocol::ErrorKind;
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::world::{AUDIENCE, DISCOVERY, ISSUER, JWKS, NOW, SigningKey, World, claims, settings};

fn principal(name: &str, proofs: Vec<Proof>) -> Principal {
    Principal { name: name.to_owned(), role: Role::User, scope: Scope::empty(), proofs }
}

#[tokio::test]
async fn subjects_call_under_names_of_their_own() {
    let subject = |subject: &str| Proof::Subject { issuer: "corp".to_owned(), subject: subject.to_owned() };
    let principals = vec![principal("known", vec![subject("alice"), Proof::of_key("k")])];
    let world = World::new(principals.clone(), vec![settings()]);
    let (ed, ec) = (SigningKey::ed25519("ed"), SigningKey::p256("ec"));
    world.web.publish_keys(&[&ed, &ec]);
    for (changes, expected) in [
        (json!({}), "known"),
        (json!({ "sub": "bob" }), "corp:bob"),
        (json!({ "sub": "known" }), "corp:known"),
        (json!({ "sub": "bob", "roles": ["user", "operator"] }), "corp:bob (operator)"),
        (json!({ "sub": "bob", "roles": "operator" }), "corp:bob (operator)"),
        (json!({ "sub": "bob", "roles": ["operators", "user operator"], "role": "operator" }), "corp:bob"),
        (json!({ "sub": "bob", "aud": ["x", AUDIENCE] }), "corp:bob"),
        // A principal of the configuration is what the configuration says, whatever the token claims.
        (json!({ "roles": "operator" }), "known"),
    ] {
        for key in [&ed, &ec] {
            assert_eq!(world.judge(&key.sign(&claims(&changes))).await.unwrap(), expected, "{changes}");
        }
    }
    // Without a scope of its own an issuer vouches for those alone whom a principal names, and for operators.
    let world = World::new(principals, vec![IssuerSettings { scope: None, ..settings() }]);
    world.web.publish_keys(&[&ed]);
    assert_eq!(world.judge(&ed.sign(&claims(&json!({})))).await.unwrap(), "known");
    assert_eq!(
        world.judge(&ed.sign(&claims(&json!({ "sub": "bob", "roles": "operator" })))).await.unwrap(),
        "corp:bob (operator)"
    );
    let stranger = world.refuse(&ed.sign(&claims(&json!({ "sub": "bob" })))).await;
    assert_eq!(stranger.kind, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn times_are_judged_to_the_second_with_the_leeway() {
    let (world, key) = World::with_issuer();
    for (changes, good) in [
        (json!({ "exp": NOW - 29 }), true),
        (json!({ "exp": NOW - 30 }), false),
        (json!({ "exp": 1_789_999_970.9 }), false),
        (json!({ "exp": null }), false),
        (json!({ "exp": "soon" }), false),
        (json!({ "exp": -1 }), false),
        (json!({ "nbf": NOW + 30 }), true),
        (json!({ "nbf": NOW + 31 }), false),
        (json!({ "iat": NOW + 30 }), true),
        (json!({ "iat": NOW + 31 }), false),
        (json!({ "iat": NOW - 86_400 - 30 }), true),
        (json!({ "iat": NOW - 86_400 - 31 }), false),
        (json!({ "iat": null }), false),
    ] {
        let judged = world.judge(&key.sign(&claims(&changes))).await;
        assert_eq!(judged.is_ok(), good, "{changes}: {judged:?}");
    }
}

#[tokio::test]
async fn made_up_key_ids_cause_one_fetch() {
    let (world, key) = World::with_issuer();
    let good = key.sign(&claims(&json!({})));
    for number in 0..50 {
        let stranger = SigningKey::ed25519(&format!("made-up-{number}"));
        assert_eq!(world.refuse(&stranger.sign(&claims(&json!({})))).await.kind, ErrorKind::Unauthenticated);
        assert!(world.judge(&good).await.is_ok());
    }
    assert_eq!(world.web.fetches(), 1);
    // A key that is new: known once the pause is over, without a restart.
    let new = SigningKey::ed25519("k2");
    world.web.publish_keys(&[&key, &new]);
    assert!(world.judge(&new.sign(&claims(&json!({})))).await.is_err());
    world.pass(30);
    assert!(world.judge(&new.sign(&claims(&json!({})))).await.is_ok());
    assert_eq!(world.web.fetches(), 2);
}

#[tokio::test]
async fn callers_that_come_together_or_leave_early_cause_one_fetch() {
    let (world, key) = World::with_issuer();
    let (gate, token) = (Arc::new(Notify::new()), key.sign(&claims(&json!({}))));
    *world.web.slow.lock().unwrap() = Some(Arc::clone(&gate));
    for _ in 0..10 {
        // The first asks the issuer and hangs up; those after it are told to try again.
        let waiting = Credential::Bearer(token.clone());
        tokio::select! {
            judged = world.broker.authenticate(Some(&waiting)) => assert!(judged.is_err()),
            () = world.web.reached.notified() => {}
        }
    }
    *world.web.slow.lock().unwrap() = None;
    gate.notify_waiters();
    while world.web.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    let together = futures_util::future::join_all((0..20).map(|_| world.judge(&token))).await;
    assert!(together.iter().all(Result::is_ok), "{together:?}");
    assert_eq!(world.web.fetches(), 1);
}

#[tokio::test]
async fn a_withdrawn_key_is_believed_no_longer_than_the_refresh() {
    let (world, key) = World::with_issuer();
    let token = |at: i64| key.sign(&claims(&json!({ "iat": at, "exp": at + 600 })));
    assert!(world.judge(&token(NOW)).await.is_ok());
    world.web.publish_keys(&[]);
    world.pass(3_599);
    assert!(world.judge(&token(NOW + 3_599)).await.is_ok());
    world.pass(1);
    assert_eq!(world.refuse(&token(NOW + 3_600)).await.kind, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_believed_by_what_it_last_said_up_to_a_bound() {
    let (world, key) = World::with_issuer();
    let token = |at: i64| key.sign(&claims(&json!({ "iat": at, "exp": at + 600 })));
    assert!(world.judge(&token(NOW)).await.is_ok());
    world.web.go_down();
    let bound = 24 * 3_600;
    world.pass(bound - 1);
    assert!(world.judge(&token(NOW + bound - 1)).await.is_ok());
    // A key nobody knows may be a new one: neither good nor bad.
    let stranger = SigningKey::ed25519("new").sign(&claims(&json!({})));
    assert_eq!(world.refuse(&stranger).await.kind, ErrorKind::Unavailable);
    world.pass(1);
    assert_eq!(world.refuse(&token(NOW + bound)).await.kind, ErrorKind::Unavailable);

    let (cold, key) = World::with_issuer();
    cold.web.go_down();
    let refused = cold.refuse(&key.sign(&claims(&json!({})))).await;
    assert_eq!(refused.kind, ErrorKind::Unavailable);
    assert_eq!(refused.to_http()["error"]["details"][0]["retryDelay"], "30s");
    // A token that is bad by its header alone needs no issuer to be refused.
    let header = json!({ "alg": "none", "kid": "k1" }).to_string();
    let unsigned = key.sign_parts(&header, &claims(&json!({})).to_string());
    assert_eq!(cold.refuse(&unsigned).await.kind, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_discovery_document_may_not_lead_elsewhere() {
    for (document, good) in [
        (json!({ "issuer": ISSUER, "jwks_uri": JWKS }), true),
        (json!({ "issuer": "https://other.example", "jwks_uri": JWKS }), false),
        (json!({ "issuer": format!("{ISSUER}/"), "jwks_uri": JWKS }), false),
        (json!({ "jwks_uri": JWKS }), false),
        (json!({ "issuer": ISSUER, "jwks_uri": "http://keys.example/jwks.json" }), false),
        (json!({ "issuer": ISSUER, "jwks_uri": "http://127.0.0.1/jwks.json" }), false),
        (json!({ "issuer": ISSUER, "jwks_uri": "https://169.254.169.254/jwks.json" }), false),
        (json!({ "issuer": ISSUER, "jwks_uri": "https://localhost/jwks.json" }), false),
        (json!({ "issuer": ISSUER, "jwks_uri": "file:///etc/passwd" }), false),
    ] {
        let (world, key) = World::with_issuer();
        let keys = json!({ "keys": [key.jwk()] });
        world.web.publish(DISCOVERY, &document);
        world.web.publish(document["jwks_uri"].as_str().unwrap(), &keys);
        let judged = world.judge(&key.sign(&claims(&json!({})))).await;
        assert_eq!(judged.is_ok(), good, "{document}: {judged:?}");
    }
}

#[tokio::test]
async fn only_keys_for_signatures_of_one_algorithm_are_used() {
    let key = SigningKey::ed25519("k1");
    let with = |changes: Value| {
        let mut jwk = key.jwk();
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    };
    for (set, good) in [
        (vec![with(json!({ "use": "sig", "alg": "EdDSA", "key_ops": ["verify"] }))], true),
        (vec![json!({ "kty": "oct", "k": "AAAA" }), json!(7), json!({}), with(json!({}))], true),
        (vec![with(json!({ "use": "enc" }))], false),
        (vec![with(json!({ "key_ops": ["sign"] }))], false),
        (vec![with(json!({ "alg": "RS256" }))], false),
        (vec![with(json!({ "crv": "Ed448" }))], false),
        (vec![with(json!({ "x": "AAAA" }))], false),
        (vec![with(json!({ "kid": null }))], false),
        // An id that stands for two keys stands for none.
        (vec![with(json!({})), SigningKey::ed25519("k1").jwk()], false),
        ((0..65).map(|_| with(json!({}))).collect(), false),
    ] {
        let world = World::new(Vec::new(), vec![settings()]);
        world.web.publish(JWKS, &json!({ "keys": set }));
        let judged = world.judge(&key.sign(&claims(&json!({})))).await;
        assert_eq!(judged.is_ok(), good, "{set:?}: {judged:?}");
    }
}

#[tokio::test]
async fn certificate_names_are_of_a_kind() {
    let uri = |name: &str| CertificateName::Uri(name.to_owned());
    let dns = |name: &str| CertificateName::Dns(name.to_owned());
    let world = World::new(
        vec![
            principal("exact", vec![Proof::Certificate([1; 32])]),
            principal("worker", vec![Proof::Name(uri("spiffe://d/worker")), Proof::Name(dns("worker.d"))]),
            principal("other", vec![Proof::Name(dns("other.d"))]),
        ],
        Vec::new(),
    );
    for (sha256, names, expected) in [
        (1, vec![], Some("exact")),
        (1, vec![dns("other.d")], Some("exact")),
        (2, vec![uri("spiffe://d/worker")], Some("worker")),
        (2, vec![dns("x"), uri("spiffe://d/worker"), dns("worker.d")], Some("worker")),
        (2, vec![], None),
        (2, vec![uri("worker.d")], None),
        (2, vec![dns("spiffe://d/worker")], None),
        (2, vec![uri("spiffe://d/worker/x")], None),
        (2, vec![dns("a.worker.d"), dns("*.d")], None),
        (2, vec![dns("worker.d"), dns("other.d")], None),
    ] {
        let shown = Arc::new(ClientCertificate { sha256: [sha256; 32], names });
        let judged = world.broker.authenticate(Some(&Credential::Certificate(Arc::clone(&shown)))).await;
        let name = judged.as_ref().ok().map(broker::service::Caller::display_name);
        assert_eq!(name.as_deref(), expected, "{shown:?}");
    }
}

#[tokio::test]
async fn cards_declare_what_is_accepted_and_nothing_in_open_mode() {
    let card = async |world: World| -> Value {
        world.broker.load_keys().await.unwrap();
        serde_json::from_slice(&world.broker.agent_card(&Target::Any).unwrap().json).unwrap()
    };
    let open = card(World::new(Vec::new(), Vec::new())).await;
    assert!(open.get("securitySchemes").is_none_or(|schemes| *schemes == json!({})), "{open}");
    assert!(open.get("securityRequirements").is_none());
    let named = |card: &Value| -> Vec<String> {
        card["securitySchemes"].as_object().unwrap().keys().cloned().collect()
    };
    let keys = card(World::new(vec![principal("a", vec![Proof::of_key("k")])], Vec::new())).await;
    assert_eq!(named(&keys), ["apiKey", "bearer"]);
    let certificate = principal("a", vec![Proof::Certificate([0; 32])]);
    let elsewhere = IssuerSettings { name: "b".to_owned(), jwks_url: JWKS.to_owned(), ..settings() };
    let all = card(World::new(vec![certificate], vec![settings(), elsewhere])).await;
    assert_eq!(named(&all), ["bearer", "mtls", "oidc-corp"]);
    let oidc = &all["securitySchemes"]["oidc-corp"]["openIdConnectSecurityScheme"];
    assert_eq!(oidc["openIdConnectUrl"], DISCOVERY);
    assert_eq!(all["securityRequirements"].as_array().unwrap().len(), 3, "any one is enough");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn tokens_that_are_altered_never_verify(places in prop::collection::vec((any::<prop::sample::Index>(), "[A-Za-z0-9_.-]"), 1..4)) {
        thread_local! { static WORLD: (tokio::runtime::Runtime, World, String) = {
            let runtime = runtime();
            let (world, key) = { let _inside = runtime.enter(); World::with_issuer() };
            let token = key.sign(&claims(&json!({})));
            (runtime, world, token)
        } }
        WORLD.with(|(runtime, world, token)| {
            let mut altered = token.clone();
            for (place, replacement) in &places {
                let at = place.index(altered.len());
                altered.replace_range(at..=at, replacement);
            }
            let judged = runtime.block_on(world.judge(&altered));
            prop_assert_eq!(judged.is_ok(), altered == *token, "{:?}", judged);
            Ok(())
        })?;
    }

    #[test]
    fn nothing_strange_is_let_in(text in "\\PC{0,40}\\.\\PC{0,40}\\.\\PC{0,40}|[a-zA-Z0-9+/=_-]{0,300}") {
        thread_local! { static WORLD: (tokio::runtime::Runtime, World) = {
            let runtime = runtime();
            let world = { let _inside = runtime.enter(); World::with_issuer().0 };
            (runtime, world)
        } }
        let judged = WORLD.with(|(runtime, world)| runtime.block_on(world.judge(&text)));
        prop_assert!(judged.is_err(), "{judged:?}");
    }
}
