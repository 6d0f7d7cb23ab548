//! Grants: what is minted verifies, and nothing else does.

use capability::{Actor, Claims, Expected, GrantError, GrantKey, Scope, mint, verify};

const NOW: u64 = 1_000_000;

fn claims() -> Claims {
    Claims {
        issuer: "https://broker".to_owned(),
        subject: "alice".to_owned(),
        actors: Some(Actor { sub: "a".to_owned(), act: None }),
        holder: "b".to_owned(),
        audience: "https://broker".to_owned(),
        id: "t2".to_owned(),
        issued_at: NOW,
        not_before: NOW,
        expires: NOW + 900,
        root: "t1".to_owned(),
        task: "t2".to_owned(),
        parent: Some("t1".to_owned()),
        depth: 1,
        scope: Scope::parse(["mcp:tool/search{calls<=5}"]).unwrap(),
    }
}

fn expected(now: u64) -> Expected<'static> {
    Expected { issuer: "https://broker", audience: "https://broker", now }
}

/// A token of our own making: any header and claims, signed with the key as if it were right.
fn forge(key: &GrantKey, header: &str, body: &str) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let _ = key;
    format!("{}.{}.{}", encode(header), encode(body), encode("not a signature"))
}

#[test]
fn what_is_minted_verifies_to_the_same_claims() {
    let key = GrantKey::from_seed([7; 32]);
    let token = mint(&key, &claims()).unwrap();
    assert_eq!(verify(&token, &[key.verify_key()], &expected(NOW)), Ok(claims()));
}

#[test]
fn times_are_exact_and_the_clock_is_the_callers() {
    let key = GrantKey::from_seed([7; 32]);
    let token = mint(&key, &claims()).unwrap();
    let at = |now| verify(&token, &[key.verify_key()], &expected(now)).map(drop);
    assert_eq!(at(NOW - 1), Err(GrantError::NotYetValid));
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(at(NOW + 899), Ok(()));
    assert_eq!(at(NOW + 900), Err(GrantError::Expired), "exclusive, and without leeway");
}

#[test]
fn other_keys_issuers_and_audiences_are_refused() {
    let key = GrantKey::from_seed([7; 32]);
    let other = GrantKey::from_seed([8; 32]);
    let token = mint(&key, &claims()).unwrap();
    let keys = [key.verify_key()];
    assert_eq!(verify(&token, &[other.verify_key()], &expected(NOW)), Err(GrantError::UnknownKey));
    assert_eq!(
        verify(&token, &keys, &Expected { issuer: "https://other", ..expected(NOW) }),
        Err(GrantError::WrongIssuer)
    );
    assert_eq!(
        verify(&token, &keys, &Expected { audience: "https://tool", ..expected(NOW) }),
        Err(GrantError::WrongAudience)
    );
    let everything = Claims { scope: Scope::top(), ..claims() };
    assert_eq!(mint(&key, &everything), Err(GrantError::UnboundedScope));
}

#[test]
fn tampering_is_noticed() {
    let key = GrantKey::from_seed([7; 32]);
    let token = mint(&key, &claims()).unwrap();
    let keys = [key.verify_key()];
    for (index, byte) in token.bytes().enumerate() {
        // The last character of each part may carry bits that base64 ignores; others decide.
        let last = token.len() == index + 1 || token.as_bytes()[index + 1] == b'.';
        if byte == b'.' || last {
            continue;
        }
        let mut changed = token.clone().into_bytes();
        changed[index] = if byte == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(verify(&changed, &keys, &expected(NOW)).is_err(), "byte {index}");
    }
}

#[test]
fn headers_that_ask_for_something_else_are_refused() {
    let key = GrantKey::from_seed([7; 32]);
    let kid = key.id();
    let headers = [
        r#"{"alg":"none","typ":"at+jwt","kid":"KID"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"KID"}"#,
        r#"{"alg":"EdDSA","typ":"JWT","kid":"KID"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":"KID","crit":["exp"]}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":"KID","jwk":{"kty":"OKP"}}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":"KID"}"#,
    ];
    for header in headers {
        let token = forge(&key, &header.replace("KID", kid), "{}");
        assert!(verify(&token, &[key.verify_key()], &expected(NOW)).is_err(), "{header}");
    }
    for nonsense in ["", "a", "a.b", "a.b.c", "....", "é.é.é"] {
        assert!(verify(nonsense, &[key.verify_key()], &expected(NOW)).is_err(), "{nonsense}");
    }
}
