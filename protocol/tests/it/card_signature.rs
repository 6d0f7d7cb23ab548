//! What a card's signature is over: the specification's example, and what each form holds and leaves out.

use protocol::{CardSignature, SignedForm, with_signatures, write_protected};
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn content(form: SignedForm, card: &Value) -> Value {
    serde_json::from_str(&form.content(&raw(card)).unwrap().unwrap()).unwrap()
}

/// Spec §8.4.1, its example; `supportedInterfaces` added, which makes it a card of 1.0.
#[test]
fn default_values_go_unless_they_are_required_or_optional() {
    let card = json!({
        "name": "Example Agent", "description": "", "supportedInterfaces": [],
        "capabilities": { "streaming": false, "pushNotifications": false, "extensions": [] },
        "skills": [], "signatures": [{ "protected": "a", "signature": "b" }],
    });
    let expected = r#"{"capabilities":{"pushNotifications":false,"streaming":false},"description":"","name":"Example Agent","skills":[],"supportedInterfaces":[]}"#;
    assert_eq!(SignedForm::Named.content(&raw(&card)).unwrap().unwrap(), expected);
    assert_eq!(SignedForm::Whole.content(&raw(&card)).unwrap().unwrap(), expected);
    assert_eq!(SignedForm::AsSent.content(&raw(&card)).unwrap().unwrap().matches("extensions").count(), 1);
    let empty = json!({ "capabilities": { "pushNotifications": false, "streaming": false }, "name": "Example Agent" });
    assert_eq!(content(SignedForm::WithoutEmpty, &card), empty);
}

fn card() -> Value {
    json!({
        "name": "Größe 🙂", "description": "", "url": "https://old.example", "x-own": { "empty": [] },
        "supportedInterfaces": [
            { "url": "https://a.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0", "tenant": "" }],
        "provider": null, "version": "1", "securitySchemes": {},
        "capabilities": { "extensions": [
            { "uri": "urn:x", "required": false, "description": "", "params": { "caps": [], "n": 1.0, "none": null } }] },
        "defaultInputModes": [], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "s", "name": "S", "description": "d", "tags": [], "examples": [], "mine": 1 }],
    })
}

#[test]
fn each_form_holds_what_its_readers_see() {
    let card = card();
    let named = content(SignedForm::Named, &card);
    assert!(named.get("url").is_none() && named["skills"][0].get("mine").is_none(), "{named}");
    assert_eq!(named["skills"][0]["tags"], json!([]));
    assert_eq!(named["defaultInputModes"], json!([]));
    assert!(named["supportedInterfaces"][0].get("tenant").is_none() && named.get("provider").is_none());
    let extension = &named["capabilities"]["extensions"][0];
    assert_eq!(*extension, json!({ "uri": "urn:x", "params": { "caps": [], "n": 1, "none": null } }));
    let whole = content(SignedForm::Whole, &card);
    assert_eq!((&whole["url"], &whole["x-own"]), (&card["url"], &json!({ "empty": [] })));
    let cleaned = content(SignedForm::WithoutEmpty, &card);
    assert_eq!(cleaned["capabilities"]["extensions"][0]["params"], json!({ "n": 1 }));
    assert!(cleaned.get("description").is_none() && cleaned["skills"][0].get("tags").is_none());
    let escaped = SignedForm::WithoutEmptyAscii.content(&raw(&card)).unwrap().unwrap();
    assert!(escaped.is_ascii() && escaped.contains(r"Gr\u00f6\u00dfe \ud83d\ude42"), "{escaped}");
    assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), cleaned);
}

#[test]
fn a_signature_vouches_for_no_more_than_its_form_holds() {
    let card = card();
    for form in SignedForm::ALL {
        let vouched: Value = serde_json::from_str(&form.vouched(&raw(&card)).unwrap()).unwrap();
        let is_whole = matches!(form, SignedForm::AsSent | SignedForm::Whole);
        assert_eq!(vouched.get("url").is_some(), is_whole, "{form:?}");
        assert!(vouched.get("description").is_some(), "{form:?}: a card lacks what 1.0 requires");
    }
    let old = json!({ "name": "old", "url": "https://old.example", "version": "1" });
    let forms = SignedForm::ALL.into_iter();
    let fitting: Vec<_> = forms.filter(|form| form.content(&raw(&old)).unwrap().is_some()).collect();
    assert_eq!(
        fitting,
        [SignedForm::AsSent, SignedForm::Whole],
        "the others would leave the address of 0.3 out"
    );
}

/// Every leaf that 1.0 names is changed, one at a time.
#[test]
fn a_change_of_anything_named_changes_every_form() {
    fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| leaves(value, &format!("{at}/{name}"), found));
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| leaves(item, &format!("{at}/{index}"), found));
            }
            _ => found.push(at.to_owned()),
        }
    }
    let card = card();
    let mut paths = Vec::new();
    leaves(&content(SignedForm::Named, &card), "", &mut paths);
    assert!(paths.len() > 10, "{paths:?}");
    for form in SignedForm::ALL {
        let before = form.content(&raw(&card)).unwrap();
        for path in &paths {
            let mut changed = card.clone();
            *changed.pointer_mut(path).unwrap() = json!("changed");
            assert_ne!(form.content(&raw(&changed)).unwrap(), before, "{form:?} {path}");
        }
    }
}

#[test]
fn signatures_are_read_back_and_never_signed_themselves() {
    let protected = write_protected("ES256", "k", "https://b.example/keys").unwrap();
    let signature = CardSignature {
        protected: protected.clone(),
        signature: "c2ln".to_owned(),
        unknown: protocol::Fields::default(),
    };
    let card = raw(&card());
    let signed = with_signatures(&card, std::slice::from_ref(&signature)).unwrap();
    let [read] = <[CardSignature; 1]>::try_from(CardSignature::of_card(&signed).unwrap()).unwrap();
    assert_eq!(read, signature);
    let header = read.header().unwrap();
    assert_eq!((header.alg.as_str(), header.kid.as_deref()), ("ES256", Some("k")));
    for form in SignedForm::ALL {
        assert_eq!(form.content(&signed).unwrap(), form.content(&card).unwrap(), "{form:?}");
    }
    assert_eq!(CardSignature::signing_input("abc", "{}"), "abc.e30");
    assert_eq!(CardSignature::of_card(&card).unwrap().len(), 0);
}

#[test]
fn a_header_that_cannot_be_judged_counts_for_nothing() {
    use base64::Engine;
    let header = |json: &str| {
        let protected = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
        CardSignature { protected, signature: String::new(), unknown: protocol::Fields::default() }.header()
    };
    assert!(header(r#"{"alg":"ES256"}"#).is_ok());
    for (json, why) in [
        (r#"{"alg":"ES256","crit":["x"]}"#, "crit"),
        (r#"{"alg":"ES256","crit":null}"#, "crit"),
        (r#"{"kid":"k"}"#, "no alg"),
        (r#"{"alg":"ES256","alg":"EdDSA"}"#, "base64url of a JSON object"),
        ("[]", "base64url of a JSON object"),
    ] {
        let problem = header(json).unwrap_err();
        assert!(problem.contains(why), "{json}: {problem}");
    }
}
