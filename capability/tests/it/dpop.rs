//! Proofs of possession: good for one request, once.

use capability::{Algorithm, CallSeen, GrantKey, Proof, ProofError, ReplayCache, ReplayError, verify_proof};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::forge::{NOW, Secret, encode, forge};

const SEED: [u8; 32] = [9; 32];
const TOKEN: &str = "a.b.c";
const URL: &str = "https://broker.example/agents/deep?x=1";

fn call() -> CallSeen<'static> {
    CallSeen { method: "POST", url: URL, token: Some(TOKEN), now: NOW }
}

fn said() -> Value {
    json!({ "jti": "p1", "htm": "POST", "htu": "https://broker.example/agents/deep", "iat": NOW,
            "ath": encode(Sha256::digest(TOKEN)) })
}

fn header(key: &GrantKey) -> Value {
    json!({ "alg": key.algorithm().name(), "typ": "dpop+jwt", "jwk": key.public_jwk() })
}

fn proof(said: &Value) -> String {
    forge(Secret::Ed25519(SEED), &header(&GrantKey::from_seed(SEED)).to_string(), &said.to_string())
}

#[test]
fn a_proof_of_either_algorithm_names_its_key() {
    for (algorithm, secret) in
        [(Algorithm::EdDsa, Secret::Ed25519(SEED)), (Algorithm::Es256, Secret::P256(SEED))]
    {
        let key = GrantKey::of(algorithm, SEED).unwrap();
        let proof = forge(secret, &header(&key).to_string(), &said().to_string());
        let thumbprint = key.verify_key().thumbprint();
        assert_eq!(verify_proof(&proof, &call()), Ok(Proof { thumbprint, id: "p1".to_owned() }));
    }
}

#[test]
fn a_proof_for_another_request_is_none() {
    let other = |name: &str, value: Value| {
        let mut said = said();
        said[name] = value;
        verify_proof(&proof(&said), &call()).map(drop)
    };
    assert_eq!(other("htm", json!("GET")), Err(ProofError::WrongMethod));
    assert_eq!(other("htm", json!("post")), Err(ProofError::WrongMethod));
    assert_eq!(other("ath", json!(encode(Sha256::digest("another")))), Err(ProofError::WrongToken));
    assert_eq!(other("ath", Value::Null), Err(ProofError::WrongToken));
    for htu in [
        "https://broker.example/agents/other",
        "https://broker.example/agents/deep/",
        "https://broker.example:444/agents/deep",
        "http://broker.example/agents/deep",
        "https://evil.example/agents/deep",
        "https://broker.example/agents%2Fdeep",
        "/agents/deep",
        "",
    ] {
        assert_eq!(other("htu", json!(htu)), Err(ProofError::WrongUrl), "{htu}");
    }
    for same in [
        "HTTPS://Broker.Example:443/agents/deep",
        "https://broker.example/agents/x/../deep#part",
        "https://broker.example/agents/%64eep?y=2",
    ] {
        assert_eq!(other("htu", json!(same)), Ok(()), "{same}");
    }
    for (iat, expected) in [
        (NOW - 60, Ok(())),
        (NOW + 5, Ok(())),
        (NOW - 61, Err(ProofError::WrongTime)),
        (NOW + 6, Err(ProofError::WrongTime)),
        (u64::MAX, Err(ProofError::WrongTime)),
    ] {
        assert_eq!(other("iat", json!(iat)), expected, "{iat}");
    }
    for id in [String::new(), "x".repeat(257)] {
        assert!(matches!(other("jti", json!(id)), Err(ProofError::Malformed(_))));
    }
    let elsewhere = CallSeen { token: None, ..call() };
    assert!(verify_proof(&proof(&said()), &elsewhere).is_ok(), "a token endpoint asks for no ath");
}

#[test]
fn a_proof_is_signed_with_the_public_key_it_shows() {
    let key = GrantKey::from_seed(SEED);
    let with = |name: &str, value: Value| {
        let mut header = header(&key);
        header[name] = value;
        header.to_string()
    };
    let mut private = key.public_jwk();
    private["d"] = json!(encode(SEED));
    let mut small = key.public_jwk();
    small["x"] = json!(encode([0_u8; 31]));
    for (what, header) in [
        ("another key", with("jwk", GrantKey::from_seed([1; 32]).public_jwk())),
        ("a key of another algorithm", with("jwk", GrantKey::es256(SEED).unwrap().public_jwk())),
        ("a private key", with("jwk", private)),
        ("half a key", with("jwk", small)),
        ("a key in a list", with("jwk", json!([key.public_jwk()]))),
        ("no key", with("jwk", Value::Null)),
        ("another type", with("typ", json!("at+jwt"))),
        ("another algorithm", with("alg", json!("ES256"))),
        ("none", with("alg", json!("none"))),
        ("something critical", with("crit", json!(["x"]))),
        ("a key from elsewhere", with("jku", json!("https://evil"))),
    ] {
        let proof = forge(Secret::Ed25519(SEED), &header, &said().to_string());
        assert!(verify_proof(&proof, &call()).is_err(), "{what}");
    }
    let twice = said().to_string().replacen('{', r#"{"htm":"GET","#, 1);
    let twice = forge(Secret::Ed25519(SEED), &header(&key).to_string(), &twice);
    assert!(verify_proof(&twice, &call()).is_err(), "a claim twice");
}

#[test]
fn a_proof_opens_one_door_once() {
    let mut cache = ReplayCache::new(3);
    let proof = |key: &str, id: &str| Proof { thumbprint: key.to_owned(), id: id.to_owned() };
    assert_eq!(cache.first_use(&proof("k", "1"), NOW), Ok(()));
    assert_eq!(cache.first_use(&proof("k", "1"), NOW), Err(ReplayError::Replayed));
    assert_eq!(cache.first_use(&proof("k", "1"), NOW + 65), Err(ReplayError::Replayed));
    assert_eq!(cache.first_use(&proof("l", "1"), NOW), Ok(()), "another's");
    assert_eq!(cache.first_use(&proof("k", "2"), NOW), Ok(()));
    assert_eq!(cache.first_use(&proof("k", "3"), NOW), Err(ReplayError::Full), "none passes unremembered");
    assert_eq!(
        cache.first_use(&proof("k", "3"), NOW + 66),
        Ok(()),
        "room again, when the old ones are refused anyway"
    );
}
