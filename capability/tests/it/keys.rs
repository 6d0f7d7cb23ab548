//! Keys and sets of keys: what RFCs give as examples, and what must not pass for a key.

use capability::{Algorithm, GrantKey, KeyError, KeySet, KeySetError, VerifyKey};
use serde_json::{Value, json};

const SEED: [u8; 32] = [7; 32];

fn read(document: &Value) -> Result<KeySet, KeySetError> {
    KeySet::from_jwks(document.to_string().as_bytes())
}

#[test]
fn thumbprints_are_those_of_the_standards() {
    // RFC 8037 appendix A.3.
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let ed = VerifyKey::from_jwk(&ed).unwrap();
    assert_eq!(ed.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // RFC 9449 section 4.1 and 6.1.
    let p256 = json!({ "kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
                       "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA" });
    let p256 = VerifyKey::from_jwk(&p256).unwrap();
    assert_eq!(p256.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!((ed.algorithm(), p256.algorithm()), (Algorithm::EdDsa, Algorithm::Es256));
}

#[test]
fn what_a_broker_publishes_is_read_back_as_the_same_keys() {
    let keys = [GrantKey::from_seed(SEED), GrantKey::es256(SEED).unwrap()];
    let set: KeySet = keys.iter().map(GrantKey::verify_key).collect();
    assert_eq!(read(&set.to_jwks()), Ok(set.clone()));
    for key in keys {
        assert_eq!(set.find(key.id()), Some(&key.verify_key()));
        assert!(!key.public_jwk().to_string().contains("\"d\""));
        assert!(!format!("{key:?}").contains("7, 7"), "the secret is never shown");
    }
    assert!(GrantKey::es256([0; 32]).is_err() && GrantKey::es256([255; 32]).is_err(), "no scalars");
}

#[test]
fn what_is_not_understood_is_skipped_and_what_is_dangerous_refused() {
    let good = GrantKey::from_seed(SEED).public_jwk();
    let other = GrantKey::es256(SEED).unwrap().public_jwk();
    let with = |base: &Value, name: &str, value: Value| {
        let mut jwk = base.clone();
        jwk[name] = value;
        jwk
    };
    for skipped in [
        json!({ "kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "OKP", "crv": "X25519", "kid": "x", "x": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-384", "kid": "p", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "AKP", "kid": "of the future", "pub": 1 }),
        json!({ "kty": ["of", "the", "future"] }),
        with(&other, "use", json!("enc")),
        with(&other, "key_ops", json!(["sign"])),
        with(&other, "kid", Value::Null),
        json!(17),
    ] {
        let set = read(&json!({ "keys": [skipped, good] })).expect("the rest is used");
        assert_eq!(set, GrantKey::from_seed(SEED).verify_key().into(), "{skipped}");
    }
    for (refused, error) in [
        (with(&good, "d", json!("AAAA")), KeyError::Private),
        (with(&other, "d", Value::Null), KeyError::Private),
        (json!({ "kty": "oct", "kid": "s", "k": "AAAA" }), KeyError::Private),
    ] {
        let found = read(&json!({ "keys": [refused] }));
        assert!(matches!(&found, Err(KeySetError::Key { error: found, .. }) if *found == error), "{found:?}");
    }
    for broken in [
        with(&good, "x", json!("AAAA")),
        with(&good, "x", json!(format!("{}=", good["x"].as_str().unwrap()))),
        with(&good, "x", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        with(&good, "alg", json!("ES256")),
        with(&other, "alg", json!("EdDSA")),
        with(&other, "y", other["x"].clone()),
        with(&other, "y", Value::Null),
    ] {
        assert!(matches!(read(&json!({ "keys": [broken] })), Err(KeySetError::Key { .. })), "{broken}");
    }
    let twice = json!({ "keys": [good, with(&other, "kid", good["kid"].clone())] });
    assert!(matches!(read(&twice), Err(KeySetError::DuplicateId(_))));
    for document in ["", "[]", "{}", r#"{"keys":[],"keys":[]}"#, r#"{"keys":[{"kty":"OKP","kty":"EC"}]}"#] {
        assert!(KeySet::from_jwks(document.as_bytes()).is_err(), "{document}");
    }
    assert!(read(&json!({ "keys": vec![json!({ "kty": "RSA" }); 33] })).is_err(), "bounded in number");
    assert!(read(&json!({ "keys": [], "x": "x".repeat(70_000) })).is_err(), "bounded in size");
}
