//! Signatures as they come: good ones in every form, and everything that must not count.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use capability::{Algorithm, GrantKey};
use protocol::Fields;
use serde_json::{Value, json};

use super::*;
use crate::ports::fetch::Caching;

const URL: &str = "https://agents.example/a";
const HOME: Home<'_> = Home { url: URL, host: None };

fn key(number: u8, algorithm: Algorithm) -> GrantKey {
    GrantKey::of(algorithm, [number; 32]).unwrap()
}

fn card() -> Value {
    json!({
        "name": "Größe", "description": "", "version": "1", "url": "https://agents.example/old",
        "supportedInterfaces": [
            { "url": "https://agents.example/a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
        "capabilities": { "streaming": false }, "defaultInputModes": [], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "s", "name": "S", "description": "d", "tags": [] }],
    })
}

fn sign_as(card: &Value, key: &GrantKey, form: SignedForm, header: &Value) -> CardSignature {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let raw = serde_json::value::to_raw_value(card).unwrap();
    let content = form.content(&raw).unwrap().unwrap();
    let signature = key.sign(CardSignature::signing_input(&protected, &content).as_bytes()).unwrap();
    CardSignature { protected, signature, unknown: Fields::default() }
}

fn sign(card: &Value, key: &GrantKey, form: SignedForm) -> CardSignature {
    sign_as(card, key, form, &json!({ "alg": key.algorithm().name(), "kid": key.id(), "typ": "JOSE" }))
}

fn fetched(card: &Value, signatures: &[CardSignature]) -> FetchedCard {
    let mut card = card.clone();
    if !signatures.is_empty() {
        card["signatures"] = serde_json::to_value(signatures).unwrap();
    }
    let original = serde_json::to_vec(&card).unwrap();
    FetchedCard {
        card: read_card(&original).unwrap(),
        original: original.into(),
        url: URL.to_owned(),
        caching: Caching::default(),
    }
}

fn judged(keys: &[&GrantKey], card: &Value, signatures: &[CardSignature]) -> Result<Standing, String> {
    let pinned: Vec<VerifyKey> = keys.iter().map(|key| key.verify_key()).collect();
    judge(&pinned, HOME, fetched(card, signatures)).map(|(_, standing)| standing)
}

#[test]
fn a_good_signature_in_any_form_is_enough_and_shows_by_which_key() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let (key, other) = (key(1, algorithm), key(2, algorithm));
        for form in SignedForm::ALL {
            let good = sign(&card(), &key, form);
            let standing = Standing::Verified { kid: key.id().to_owned() };
            assert_eq!(judged(&[&other, &key], &card(), std::slice::from_ref(&good)), Ok(standing.clone()));
            let foreign = sign(&card(), &other, form);
            assert_eq!(judged(&[&key], &card(), &[foreign, good]), Ok(standing), "{form:?}");
        }
    }
}

#[test]
fn without_pinned_keys_nothing_is_demanded_and_nothing_is_claimed() {
    let signed = sign(&card(), &key(1, Algorithm::EdDsa), SignedForm::Named);
    assert_eq!(judged(&[], &card(), &[]), Ok(Standing::Unsigned));
    assert_eq!(judged(&[], &card(), &[signed]), Ok(Standing::Unjudged));
}

#[test]
fn what_is_not_by_a_pinned_key_over_this_card_is_refused_with_the_next_step() {
    let (key, other) = (key(1, Algorithm::EdDsa), key(2, Algorithm::EdDsa));
    let good = |header: Value| sign_as(&card(), &key, SignedForm::Named, &header);
    let kid = key.id();
    for (signatures, why) in [
        (vec![], "no signature"),
        (vec![sign(&card(), &other, SignedForm::Named)], "is not pinned"),
        (vec![good(json!({ "alg": "ES256", "kid": kid }))], "is not the key's"),
        (vec![good(json!({ "alg": "none", "kid": kid }))], "is not the key's"),
        (vec![good(json!({ "alg": "EdDSA", "kid": kid, "crit": ["exp"] }))], "crit"),
        (vec![good(json!({ "alg": "EdDSA", "kid": "another" }))], "is not pinned"),
        (
            vec![good(json!({ "alg": "EdDSA", "kid": other.id(), "jku": "https://evil.example" }))],
            "is not pinned",
        ),
        (
            vec![CardSignature { signature: String::new(), ..good(json!({ "alg": "EdDSA", "kid": kid })) }],
            "content",
        ),
    ] {
        let problem = judged(&[&key], &card(), &signatures).unwrap_err();
        assert!(problem.contains(why) && problem.contains("card_keys"), "{why}: {problem}");
    }
    assert!(judged(&[&key], &card(), &[good(json!({ "alg": "Ed25519", "kid": kid }))]).is_ok());
    assert!(
        judged(&[&key], &card(), &[good(json!({ "alg": "EdDSA", "jku": "https://evil.example" }))]).is_ok()
    );
}

#[test]
fn a_changed_card_is_refused_whatever_was_changed() {
    let key = key(1, Algorithm::Es256);
    for form in SignedForm::ALL {
        let signature = [sign(&card(), &key, form)];
        for path in
            ["/name", "/version", "/supportedInterfaces/0/url", "/skills/0/id", "/capabilities/streaming"]
        {
            let mut changed = card();
            *changed.pointer_mut(path).unwrap() = if path.ends_with("streaming") {
                json!(true)
            } else {
                json!("https://agents.example/changed")
            };
            let problem = judged(&[&key], &changed, &signature).unwrap_err();
            assert!(problem.contains("changed after"), "{form:?} {path}: {problem}");
        }
    }
}

#[test]
fn what_the_signature_does_not_hold_is_not_used() {
    let key = key(1, Algorithm::EdDsa);
    let mut card = card();
    let signature = sign(&card, &key, SignedForm::Named);
    card["url"] = json!("https://evil.example");
    card["skills"][0]["unsigned"] = json!(1);
    let (vouched, _) = judge(&[key.verify_key()], HOME, fetched(&card, &[signature])).unwrap();
    assert!(vouched.card.unknown.get("url").is_none() && vouched.card.skills[0].unknown.is_empty());
    assert!(vouched.original.len() > 100, "the original stays as it came");
}

#[test]
fn a_good_signature_over_another_agents_card_is_refused() {
    let key = key(1, Algorithm::EdDsa);
    let signature = [sign(&card(), &key, SignedForm::Named)];
    let at = |home: Home<'_>| judge(&[key.verify_key()], home, fetched(&card(), &signature));
    let problem = at(Home { url: "https://other.example", host: None }).unwrap_err();
    assert!(problem.contains("another agent's card") && problem.contains("agents.example"), "{problem}");
    assert!(at(Home { url: "http://AGENTS.example:8443/card", host: None }).is_ok(), "any port of the host");
    assert!(
        at(Home { url: "https://cards.example", host: Some("agents.example") }).is_ok(),
        "the operator's word"
    );
}

#[test]
fn a_card_that_nobody_could_sign_is_refused_whoever_vouches() {
    let original = card().to_string().replace("\"streaming\":false", "\"streaming\":false,\"x\":1e999");
    let fetched = FetchedCard {
        card: read_card(original.as_bytes()).unwrap(),
        original: original.into(),
        url: URL.to_owned(),
        caching: Caching::default(),
    };
    let problem = judge(&[], HOME, fetched).unwrap_err();
    assert!(problem.contains("canonical") && problem.contains("1e999"), "{problem}");
}

#[test]
fn keys_that_cannot_be_pinned_are_named() {
    let jwk = key(1, Algorithm::EdDsa).public_jwk();
    assert_eq!(read_keys(std::slice::from_ref(&jwk)).unwrap().len(), 1);
    assert!(read_keys(&[jwk.clone(), jwk.clone()]).unwrap_err().contains("stands twice"));
    assert!(read_keys(&[json!({ "kty": "RSA" })]).unwrap_err().starts_with("[0]"));
    assert!(read_keys(&vec![jwk; MAX_CARD_KEYS + 1]).unwrap_err().contains("at most"));
}
