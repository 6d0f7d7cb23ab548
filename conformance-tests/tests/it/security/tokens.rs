//! Tokens of a foreign issuer: a real one, that signs every trap it is asked for.

use std::time::SystemTime;

use conformance_tests::{Broker, Issuer, wire};
use serde_json::{Value, json};

use super::{assert_let_in, assert_shut_out, bearer};

const AUDIENCE: &str = "https://broker.test";
const KEYS: [(&str, &str); 3] = [("rsa", "RS256"), ("ec", "ES256"), ("ed", "EdDSA")];

fn config(issuer: &Issuer, more: &str) -> String {
    let url = issuer.url();
    format!(
        "[[issuers]]\nname = \"corp\"\nissuer = \"{url}\"\naudience = \"{AUDIENCE}\"\nscope = []\n{more}\n"
    )
}

async fn plain(issuer: &Issuer, key: &str, algorithm: &str) -> String {
    issuer.token(key, algorithm, AUDIENCE, &json!({}), &json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn good_tokens_of_every_algorithm_open_the_broker_each_for_its_subject() {
    let issuer = Issuer::start(&KEYS).await;
    let broker = Broker::start(&config(&issuer, "operator_claim = \"roles=bailiwick-operator\""));
    for (key, algorithm) in KEYS {
        let token = plain(&issuer, key, algorithm).await;
        assert_let_in(&broker.url(), &[("Authorization", &bearer(&token))], algorithm).await;
        let as_key = [("X-API-Key", token.as_str())];
        assert_shut_out(&broker.url(), &as_key, true, "a token is no API key").await;
    }
    let register = json!({ "name": "x", "url": "http://127.0.0.1:1" });
    let registry = format!("{}/api/v1/agents", broker.url());
    let alice = plain(&issuer, "ed", "EdDSA").await;
    assert_eq!(wire::post(&registry, &register, Some(&alice)).await.status, 403, "no operator");
    let roles = json!({ "roles": ["bailiwick-operator"] });
    let operator = issuer.token("ed", "EdDSA", AUDIENCE, &json!({}), &roles).await;
    let answer = wire::post(&registry, &register, Some(&operator)).await;
    assert!(![401, 403].contains(&answer.status), "an operator: {}", answer.text);
}

/// (what it is, changes to the header, changes to the claims); null leaves a member out.
fn traps(now: u64, other: &Issuer, foreign_jwk: &Value) -> Vec<(&'static str, Value, Value)> {
    let elsewhere = format!("{}/jwks.json", other.url());
    vec![
        ("expired", json!({}), json!({ "exp": now - 31 })),
        ("without an end", json!({}), json!({ "exp": null })),
        ("not valid yet", json!({}), json!({ "nbf": now + 120 })),
        ("issued in the future", json!({}), json!({ "iat": now + 120 })),
        ("issued long ago", json!({}), json!({ "iat": now - 90_000 })),
        ("for another audience", json!({}), json!({ "aud": "https://other.test" })),
        ("for others", json!({}), json!({ "aud": ["https://other.test", "https://broker.test/"] })),
        ("without an audience", json!({}), json!({ "aud": null })),
        ("from nobody known", json!({}), json!({ "iss": "https://nobody.test" })),
        ("from nobody", json!({}), json!({ "iss": null })),
        ("from another issuer that is known", json!({}), json!({ "iss": other.url() })),
        ("without a subject", json!({}), json!({ "sub": null })),
        ("with an empty subject", json!({}), json!({ "sub": "" })),
        ("with a subject that breaks lines", json!({}), json!({ "sub": "alice\nbob" })),
        ("bound to a key", json!({}), json!({ "cnf": { "jkt": "x" } })),
        ("with an unknown key", json!({ "kid": "nobody" }), json!({})),
        ("without a key", json!({ "kid": null }), json!({})),
        ("with another key's id", json!({ "kid": "rsa" }), json!({})),
        ("critical", json!({ "crit": ["exp"] }), json!({})),
        ("critical about nothing", json!({ "crit": [] }), json!({})),
        ("a logout token", json!({ "typ": "logout+jwt" }), json!({})),
        ("of an unknown algorithm", json!({ "alg": "EdDSA2" }), json!({})),
        ("without an algorithm", json!({ "alg": null }), json!({})),
        ("named HMAC", json!({ "alg": "HS256" }), json!({})),
        ("named RSA with an Ed25519 key", json!({ "alg": "RS256" }), json!({})),
        ("pointing elsewhere", json!({ "kid": "theirs", "jku": elsewhere, "x5u": elsewhere }), json!({})),
        ("bringing its key", json!({ "kid": "theirs", "jwk": foreign_jwk }), json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trap_of_foreign_tokens_is_refused() {
    let (issuer, other) = (Issuer::start(&KEYS).await, Issuer::start(&[("ed", "EdDSA")]).await);
    let theirs = other.make_key("theirs", "EdDSA").await;
    other.publish(&["ed", "theirs"]).await;
    let second = format!(
        "[[issuers]]\nname = \"second\"\nissuer = \"{}\"\naudience = \"{AUDIENCE}\"\nscope = []\n",
        other.url()
    );
    let broker = Broker::start(&(config(&issuer, "") + &second));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut tokens = Vec::new();
    for (what, header, claims) in traps(now, &other, &theirs) {
        tokens.push((what, issuer.token("ed", "EdDSA", AUDIENCE, &header, &claims).await));
    }
    // A stranger's key with everything else right: named honestly, by a known id, brought along, or pointed at.
    let honest = json!({ "iss": issuer.url() });
    let at = format!("{}/jwks.json", other.url());
    for header in [
        json!({}),
        json!({ "kid": "ed" }),
        json!({ "kid": "ed", "jwk": theirs }),
        json!({ "jku": at, "x5u": at }),
    ] {
        tokens.push(("a stranger's", other.token("theirs", "EdDSA", AUDIENCE, &header, &honest).await));
    }
    // A token that says it is the broker's own is judged as a grant.
    let own = json!({ "iss": broker.url(), "aud": broker.url() });
    for header in [json!({}), json!({ "typ": "at+jwt" })] {
        tokens.push(("in the broker's name", issuer.token("ed", "EdDSA", AUDIENCE, &header, &own).await));
    }
    for (what, key, algorithm, how) in [
        ("unsigned", "ed", "none", "none"),
        ("unsigned in disguise", "ed", "EdDSA", "none"),
        ("HMAC with the public key", "rsa", "HS256", "HS256"),
        ("HMAC with the public key in disguise", "rsa", "RS256", "HS256"),
        ("ES256 with an RSA key's id", "rsa", "ES256", "RS256"),
        ("RS256 with a P-256 key's id", "ec", "RS256", "ES256"),
        ("PS256, which is not allowed", "rsa", "PS256", "PS256"),
        ("PS256 in disguise", "rsa", "RS256", "PS256"),
    ] {
        let header = json!({ "alg": algorithm, "kid": key }).to_string();
        let claims = json!({ "iss": issuer.url(), "aud": AUDIENCE, "sub": "a", "iat": now, "exp": now + 60 });
        tokens.push((what, issuer.sign(key, how, &header, &claims.to_string()).await));
    }
    let (header, iss) = (r#"{"alg":"EdDSA","kid":"ed"}"#, issuer.url());
    let rest = format!(r#""aud":"{AUDIENCE}","iat":{now},"exp":{}"#, now + 60);
    for (what, header, claims) in [
        ("with two subjects", header, format!(r#"{{"iss":"{iss}","sub":"bob","sub":"alice",{rest}}}"#)),
        ("with two ends", header, format!(r#"{{"exp":1,"iss":"{iss}","sub":"a",{rest}}}"#)),
        (
            "with two algorithms",
            r#"{"alg":"none","kid":"ed","alg":"EdDSA"}"#,
            format!(r#"{{"iss":"{iss}","sub":"a",{rest}}}"#),
        ),
        ("with more behind", header, format!(r#"{{"iss":"{iss}","sub":"a",{rest}}} {{}}"#)),
        ("that is a list", header, format!(r#"["{iss}"]"#)),
    ] {
        tokens.push((what, issuer.sign("ed", "EdDSA", header, &claims).await));
    }
    let good = plain(&issuer, "ed", "EdDSA").await;
    tokens.push(("cut short", good[..good.len() - 1].to_owned()));
    tokens.push(("padded", format!("{good}=")));
    tokens.push(("of four parts", format!("{good}.x")));
    for (what, token) in &tokens {
        assert_shut_out(&broker.url(), &[("Authorization", &bearer(token))], true, what).await;
    }
    assert_let_in(&broker.url(), &[("Authorization", &bearer(&good))], "the good one, after all that").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_without_a_restart() {
    let issuer = Issuer::start(&[("old", "ES256")]).await;
    // One broker asks only when it must, the other before every call.
    let at_once = "jwks_min_refetch = \"0s\"";
    let lazy = Broker::start(&config(&issuer, at_once));
    let eager = Broker::start(&config(&issuer, &format!("{at_once}\njwks_refresh = \"0s\"")));
    let old = bearer(&plain(&issuer, "old", "ES256").await);
    issuer.make_key("new", "ES256").await;
    let new = bearer(&plain(&issuer, "new", "ES256").await);
    for broker in [&lazy, &eager] {
        assert_let_in(&broker.url(), &[("Authorization", &old)], "the first key").await;
        assert_shut_out(&broker.url(), &[("Authorization", &new)], true, "a key not published yet").await;
    }
    issuer.publish(&["old", "new"]).await;
    for broker in [&lazy, &eager] {
        assert_let_in(&broker.url(), &[("Authorization", &new)], "the second key").await;
        assert_let_in(&broker.url(), &[("Authorization", &old)], "the first beside it").await;
    }
    issuer.publish(&["new"]).await;
    assert_shut_out(&eager.url(), &[("Authorization", &old)], true, "a key that was withdrawn").await;
    assert_let_in(&eager.url(), &[("Authorization", &new)], "the second alone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_down_closes_the_broker_to_nobody_it_knows_the_key_of() {
    let mut issuer = Issuer::start(&KEYS).await;
    // Every call of the one asks the issuer first, and falls back on what it said before; the other never heard it.
    let warm = Broker::start(&config(&issuer, "jwks_min_refetch = \"0s\"\njwks_refresh = \"0s\""));
    let cold = Broker::start(&config(&issuer, ""));
    let token = bearer(&plain(&issuer, "rsa", "RS256").await);
    let unknown = bearer(&issuer.token("ed", "EdDSA", AUDIENCE, &json!({ "kid": "new" }), &json!({})).await);
    assert_let_in(&warm.url(), &[("Authorization", &token)], "while it is up").await;
    issuer.kill();
    assert_let_in(&warm.url(), &[("Authorization", &token)], "known keys").await;
    for (broker, token, retry) in [(&cold, &token, "30"), (&warm, &unknown, "1")] {
        for answer in super::knock(&broker.url(), &[("Authorization", token)]).await {
            let error = &answer.json()["error"];
            // JSON-RPC errors travel with 200; the others say 503.
            assert!(error["code"] == -31503 || answer.status == 503, "{}", answer.text);
            assert_eq!(answer.header("retry-after"), Some(retry), "{:?}", answer.headers);
            assert_eq!(answer.header("www-authenticate"), None, "the token is not bad");
        }
    }
    assert_shut_out(&cold.url(), &[], false, "nothing is not anonymous").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_may_be_a_subject_and_an_issuer_may_admit_no_others() {
    let issuer = Issuer::start(&KEYS).await;
    let url = issuer.url();
    let broker = Broker::start(&format!(
        "[[issuers]]\nname = \"corp\"\nissuer = \"{url}\"\naudience = \"{AUDIENCE}\"\njwks_url = \"{url}/jwks.json\"\n\
         subject_claim = \"email\"\nalgorithms = [\"ES256\"]\n\
         [[principals]]\nname = \"alice\"\nrole = \"operator\"\njwt = {{ issuer = \"corp\", subject = \"a@x\" }}\n"
    ));
    let token = |key: &'static str, algorithm: &'static str, email: &str| {
        let claims = json!({ "email": email });
        let issuer = &issuer;
        async move { bearer(&issuer.token(key, algorithm, AUDIENCE, &json!({}), &claims).await) }
    };
    let alice = token("ec", "ES256", "a@x").await;
    assert_let_in(&broker.url(), &[("Authorization", &alice)], "alice").await;
    let stranger = token("ec", "ES256", "b@x").await;
    assert_shut_out(&broker.url(), &[("Authorization", &stranger)], true, "not named").await;
    let other = token("ed", "EdDSA", "a@x").await;
    assert_shut_out(&broker.url(), &[("Authorization", &other)], true, "an algorithm not configured").await;
    let card = wire::get(&format!("{}/.well-known/agent-card.json", broker.url())).await.json();
    let schemes: Vec<&String> = card["securitySchemes"].as_object().unwrap().keys().collect();
    assert_eq!(schemes, ["bearer"], "keys that are named directly need no discovery document");
}
