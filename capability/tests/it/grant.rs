//! Grants: what is minted verifies, and nothing else does.

use capability::{
    Algorithm, CLOCK_SKEW_SECONDS, Claims, Expected, GrantError, GrantKey, KeySet, MAX_TOKEN_BYTES,
    Possession, Scope, VerifiedGrants, inspect, mint, verify,
};

use super::forge::{NOW, Secret, claims, expected, forge, keys, payload, seal};

const SEED: [u8; 32] = [7; 32];

fn both() -> [GrantKey; 2] {
    [Algorithm::EdDsa, Algorithm::Es256].map(|algorithm| GrantKey::of(algorithm, SEED).unwrap())
}

/// The header of a grant, with more members.
fn header(key: &GrantKey, more: &str) -> String {
    format!(r#"{{"alg":"{}","typ":"at+jwt","kid":"{}"{more}}}"#, key.algorithm().name(), key.id())
}

fn refused(key: &GrantKey, token: &str) -> GrantError {
    verify(token, &keys(key), &expected(NOW)).expect_err(token)
}

#[test]
fn what_is_minted_verifies_to_the_same_claims_under_either_algorithm() {
    for key in both() {
        let token = mint(&key, &claims()).unwrap();
        assert_eq!(verify(&token, &keys(&key), &expected(NOW)), Ok(claims()));
        let read = inspect(&token).unwrap();
        assert_eq!(
            (read.key_id.as_deref(), read.algorithm.as_str()),
            (Some(key.id()), key.algorithm().name())
        );
        assert_eq!(read.claims, claims());
    }
    let nothing = Claims { scope: Scope::empty(), actors: None, parent: None, ..claims() };
    let key = GrantKey::from_seed(SEED);
    let token = mint(&key, &nothing).unwrap();
    assert_eq!(verify(&token, &keys(&key), &expected(NOW)), Ok(nothing), "nothing is not everything");
}

#[test]
fn times_are_the_callers_the_end_is_exact_and_the_beginning_may_be_from_a_clock_that_is_ahead() {
    let key = GrantKey::from_seed(SEED);
    let ahead = NOW + CLOCK_SKEW_SECONDS;
    let token = mint(&key, &Claims { not_before: ahead + 1, ..claims() }).unwrap();
    let at = |now| verify(&token, &keys(&key), &expected(now)).map(drop);
    assert_eq!(at(NOW), Err(GrantError::NotYetValid));
    assert_eq!(at(NOW + 1), Ok(()));
    assert_eq!(at(NOW + 899), Ok(()));
    assert_eq!(at(NOW + 900), Err(GrantError::Expired), "exclusive, and without leeway");
    assert_eq!(at(u64::MAX), Err(GrantError::Expired));
    let early = mint(&key, &Claims { issued_at: ahead + 1, ..claims() }).unwrap();
    assert_eq!(
        verify(&early, &keys(&key), &expected(NOW)),
        Err(GrantError::NotYetValid),
        "issued in the future"
    );
}

#[test]
fn other_keys_issuers_and_audiences_are_refused() {
    let key = GrantKey::from_seed(SEED);
    let other = GrantKey::from_seed([8; 32]);
    let token = mint(&key, &claims()).unwrap();
    assert_eq!(verify(&token, &keys(&other), &expected(NOW)), Err(GrantError::UnknownKey));
    let at = |expected| verify(&token, &keys(&key), &expected);
    assert_eq!(at(Expected { issuer: "https://other", ..expected(NOW) }), Err(GrantError::WrongIssuer));
    assert_eq!(at(Expected { audience: "https://tool", ..expected(NOW) }), Err(GrantError::WrongAudience));
    // Another's key under our key's name.
    let body = payload(&key);
    let stolen = forge(Secret::Ed25519([8; 32]), &header(&key, ""), &body);
    assert_eq!(refused(&key, &stolen), GrantError::BadSignature);
}

#[test]
fn what_must_not_be_minted_is_not() {
    let key = GrantKey::from_seed(SEED);
    assert_eq!(mint(&key, &Claims { scope: Scope::top(), ..claims() }), Err(GrantError::UnboundedScope));
    let long = Claims { expires: NOW + 901, ..claims() };
    assert!(matches!(mint(&key, &long), Err(GrantError::Unmintable(_))));
    let large = Claims { subject: "a".repeat(MAX_TOKEN_BYTES), ..claims() };
    assert!(matches!(mint(&key, &large), Err(GrantError::Unmintable(_))));
}

#[test]
fn every_changed_character_is_noticed_even_where_base64_has_bits_to_spare() {
    for key in both() {
        let token = mint(&key, &claims()).unwrap();
        for (index, byte) in token.bytes().enumerate() {
            let mut changed = token.clone().into_bytes();
            // The neighbour in the alphabet: in a last character it differs only in bits that carry nothing.
            changed[index] = match byte {
                b'A' | b'Q' | b'g' | b'w' => byte + 1,
                _ => b'A',
            };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify(&changed, &keys(&key), &expected(NOW)).is_err(), "byte {index}");
        }
    }
}

#[test]
fn a_token_does_not_choose_its_algorithm() {
    let [ed, es] = both();
    let jwk = ed.public_jwk();
    let public = jwk["x"].as_str().unwrap().as_bytes();
    let confused = |key: &GrantKey, alg: &str, secret: Secret<'_>| {
        let head = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{}"}}"#, key.id());
        refused(key, &forge(secret, &head, &payload(key)))
    };
    for (error, what) in [
        (confused(&ed, "none", Secret::Nothing), "none"),
        (confused(&ed, "None", Secret::Nothing), "None"),
        (confused(&ed, "", Secret::Nothing), "no name"),
        (confused(&ed, "HS256", Secret::Hmac(public)), "the public key as a shared secret"),
        (confused(&ed, "HS256", Secret::Hmac(jwk.to_string().as_bytes())), "the published key as one"),
        (confused(&ed, "ES256", Secret::P256(SEED)), "ES256 named for an Ed25519 key"),
        (confused(&es, "EdDSA", Secret::Ed25519(SEED)), "EdDSA named for a P-256 key"),
        (confused(&ed, "eddsa", Secret::Ed25519(SEED)), "a right signature under a wrong name"),
    ] {
        assert!(matches!(error, GrantError::Unsupported(_)), "{what}: {error}");
    }
    // Rightly named, wrongly signed.
    assert_eq!(confused(&ed, "EdDSA", Secret::P256(SEED)), GrantError::BadSignature);
    assert_eq!(confused(&es, "ES256", Secret::Ed25519(SEED)), GrantError::BadSignature);
    assert_eq!(confused(&ed, "EdDSA", Secret::Nothing), GrantError::BadSignature);
}

#[test]
fn headers_that_ask_for_something_else_are_refused() {
    let key = GrantKey::from_seed(SEED);
    let body = payload(&key);
    let own = key.public_jwk().to_string();
    for more in [
        r#","crit":["exp"]"#.to_owned(),
        r#","crit":[]"#.to_owned(),
        r#","crit":null"#.to_owned(),
        r#","jku":"https://evil""#.to_owned(),
        r#","x5u":"https://evil""#.to_owned(),
        r#","x5c":["MA=="]"#.to_owned(),
        format!(r#","jwk":{own}"#),
        r#","alg":"EdDSA""#.to_owned(),
        format!(r#","kid":"{}""#, key.id()),
        r#","x":{"y":1,"y":2}"#.to_owned(),
    ] {
        let error = refused(&key, &forge(Secret::Ed25519(SEED), &header(&key, &more), &body));
        assert!(matches!(error, GrantError::Unsupported(_) | GrantError::Malformed(_)), "{more}: {error}");
    }
    for head in [
        format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, key.id()),
        format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, key.id()),
        format!(r#"{{"alg":"EdDSA","typ":"dpop+jwt","kid":"{}"}}"#, key.id()),
        r#"{"alg":"EdDSA","typ":"at+jwt"}"#.to_owned(),
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":"another"}"#.to_owned(),
        "[]".to_owned(),
        format!("{} ", "x".repeat(99)),
    ] {
        refused(&key, &forge(Secret::Ed25519(SEED), &head, &body));
    }
    let harmless = forge(Secret::Ed25519(SEED), &header(&key, r#","note":1"#), &body);
    assert_eq!(verify(&harmless, &keys(&key), &expected(NOW)), Ok(claims()), "RFC 7515 §4: ignored");
}

#[test]
fn only_the_one_encoding_of_a_token_is_a_token() {
    let key = GrantKey::from_seed(SEED);
    let token = mint(&key, &claims()).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    for index in 0..3 {
        for (before, after) in [("", "="), ("", "=="), (" ", ""), ("", " "), ("", "\n"), ("", "+"), ("", "A")]
        {
            let mut changed: Vec<String> = parts.iter().map(ToString::to_string).collect();
            changed[index] = format!("{before}{}{after}", changed[index]);
            // Signed anew, so that the signature is no reason.
            let token = seal(Secret::Ed25519(SEED), &changed[..2].join("."));
            let token = if index == 2 { changed.join(".") } else { token };
            refused(&key, &token);
        }
    }
    for nonsense in
        ["", ".", "..", "...", "a", "a.b", "a.b.c", "....", "é.é.é", &format!("{token}.a"), &token[1..]]
    {
        refused(&key, nonsense);
    }
    let long = forge(Secret::Ed25519(SEED), &header(&key, ""), &" ".repeat(MAX_TOKEN_BYTES));
    assert!(matches!(refused(&key, &long), GrantError::Malformed(problem) if problem.contains("at most")));
}

#[test]
fn claims_that_are_ambiguous_missing_or_too_wide_are_refused() {
    let key = GrantKey::from_seed(SEED);
    let body = payload(&key);
    let with = |from: &str, to: &str| {
        assert!(body.contains(from), "{from} is not in {body}");
        body.replacen(from, to, 1)
    };
    let many: Vec<String> = (0..65).map(|number| format!("mcp:tool/t{number:02}")).collect();
    let details =
        r#"[{"type":"a2a_capability","capabilities":["mcp:tool/fetch","mcp:tool/search{calls<=5}"]}]"#;
    for (what, body) in [
        ("a claim twice", with(r#""iss":"#, r#""iss":"https://broker","iss":"#)),
        ("an unknown claim twice", with("{", r#"{"x":1,"x":2,"#)),
        ("a member of a claim twice", with(r#"{"sub":"a"}"#, r#"{"sub":"z","sub":"a"}"#)),
        ("an audience twice", with(r#""aud":"#, r#""aud":"https://tool","aud":"#)),
        ("no nbf", with(r#""nbf":1000000,"#, "")),
        ("no exp", with(r#""exp":1000900,"#, "")),
        ("no iat", with(r#""iat":1000000,"#, "")),
        ("no jti", with(r#""jti":"g1","#, "")),
        ("no aud", with(r#""aud":"https://broker","#, "")),
        ("an exp that is no integer", with("1000900", "1000900.5")),
        ("an exp as text", with("1000900", "\"1000900\"")),
        ("an exp past all time", with("1000900", "1e30")),
        ("a negative nbf", with(r#""nbf":1000000"#, r#""nbf":-1"#)),
        ("a life over 15 minutes", with("1000900", "1000901")),
        ("two audiences", with(r#""aud":"https://broker""#, r#""aud":["https://broker","https://tool"]"#)),
        ("no audience in a list", with(r#""aud":"https://broker""#, r#""aud":[]"#)),
        ("details of another type", with("a2a_capability", "payment_initiation")),
        ("no details", with(details, "[]")),
        ("two details", with(details, &format!("{0},{1}", &details[..details.len() - 1], &details[1..]))),
        (
            "details with more members",
            with(r#"{"type":"a2a_capability","#, r#"{"type":"a2a_capability","actions":[],"#),
        ),
        ("a capability that is none", with("search{calls<=5}\"]", "search{calls<=05}\"]")),
        (
            "too many capabilities",
            with(
                details,
                &format!(r#"[{{"type":"a2a_capability","capabilities":{}}}]"#, serde_json::json!(many)),
            ),
        ),
        ("a wider scope claim", with(r#""scope":"mcp:tool/fetch "#, r#""scope":"mcp:tool/* "#)),
        (
            "an emptier scope claim",
            with(r#""scope":"mcp:tool/fetch mcp:tool/search{calls<=5}""#, r#""scope":"""#),
        ),
        ("a binding that is not understood", with("{", r#"{"cnf":{"x5t#S256":"x"},"#)),
        ("everything", with(details, r#""top""#)),
        ("no object", "[]".to_owned()),
        ("not JSON", body[1..].to_owned()),
        ("more after the object", format!("{body}{{}}")),
    ] {
        let error = refused(&key, &forge(Secret::Ed25519(SEED), &header(&key, ""), &body));
        assert!(matches!(error, GrantError::Malformed(_)), "{what}: {error}");
    }
    let listed = with(r#""aud":"https://broker""#, r#""aud":["https://broker"]"#);
    let listed = forge(Secret::Ed25519(SEED), &header(&key, ""), &listed);
    assert_eq!(verify(&listed, &keys(&key), &expected(NOW)), Ok(claims()), "a list of exactly us");
}

#[test]
fn a_bound_grant_needs_its_key_and_an_unbound_one_none() {
    let key = GrantKey::from_seed(SEED);
    let bound = mint(&key, &Claims { confirmation: Some("mine".to_owned()), ..claims() }).unwrap();
    let bearer = mint(&key, &claims()).unwrap();
    let at = |token: &str, possession| {
        verify(token, &keys(&key), &Expected { possession, ..expected(NOW) }).map(drop)
    };
    assert_eq!(at(&bound, Possession::Bearer), Err(GrantError::ProofMissing));
    assert_eq!(at(&bound, Possession::Key("other")), Err(GrantError::WrongProof));
    assert_eq!(at(&bound, Possession::Key("mine")), Ok(()));
    assert_eq!(at(&bearer, Possession::Key("mine")), Err(GrantError::WrongProof));
    assert_eq!(at(&bearer, Possession::Bearer), Ok(()));
    assert_eq!(at(&bound, Possession::Inspected), Ok(()));
}

#[test]
fn a_remembered_grant_is_still_judged() {
    let (key, other) = (GrantKey::from_seed(SEED), GrantKey::from_seed([8; 32]));
    let token = mint(&key, &claims()).unwrap();
    let grants = VerifiedGrants::new(8);
    let both: KeySet = [key.verify_key(), other.verify_key()].into_iter().collect();
    assert!(!grants.has_seen(&token));
    let first = grants.verify(&token, &both, &expected(NOW)).unwrap();
    assert!(grants.has_seen(&token));
    let second = grants.verify(&token, &both, &expected(NOW + 1)).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &second), "the second look is at the first one's claims");
    assert_eq!(grants.verify(&token, &both, &expected(NOW + 900)), Err(GrantError::Expired));
    assert_eq!(
        grants.verify(&token, &both, &expected(NOW - CLOCK_SKEW_SECONDS - 1)),
        Err(GrantError::NotYetValid)
    );
    let tool = Expected { audience: "https://tool", ..expected(NOW) };
    assert_eq!(grants.verify(&token, &both, &tool), Err(GrantError::WrongAudience));
    assert_eq!(
        grants.verify(&token, &keys(&other), &expected(NOW)),
        Err(GrantError::UnknownKey),
        "withdrawn"
    );
    let mut changed = token.clone();
    changed.pop();
    assert!(grants.verify(&changed, &both, &expected(NOW)).is_err());
    assert!(!grants.has_seen(&changed));
    for number in 0..100 {
        let token = mint(&key, &Claims { id: number.to_string(), ..claims() }).unwrap();
        grants.verify(&token, &both, &expected(NOW)).unwrap();
        assert!(grants.len() <= 8, "bounded");
    }
}
