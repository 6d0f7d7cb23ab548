//! API keys, and what any credential has in common: it decides alone.

use conformance_tests::{Broker, command};
use serde_json::Value;

use super::{assert_let_in, assert_shut_out, bearer};

/// A key as an operator makes it: (the key, its digest).
pub(crate) fn made_key() -> (String, String) {
    let output = command(&["key", "new", "--json"]).output().expect("the command runs");
    let key: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |name: &str| key[name].as_str().expect("text").to_owned();
    (text("key"), text("key_sha256"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_key_opens_the_broker_in_either_header_and_beside_its_successor() {
    let [(old, old_hash), (new, new_hash), (other, _)] = [made_key(), made_key(), made_key()];
    let broker = Broker::start(&format!(
        "[[principals]]\nname = \"alice\"\nrole = \"operator\"\nkey_sha256 = [\"{old_hash}\", \"{new_hash}\"]\n"
    ));
    let url = broker.url();
    for key in [&old, &new] {
        assert_let_in(&url, &[("Authorization", &bearer(key))], "Authorization").await;
        assert_let_in(&url, &[("authorization", &format!("bearer  {key}"))], "the scheme in lower case")
            .await;
        assert_let_in(&url, &[("X-API-Key", key)], "X-API-Key").await;
    }
    assert_shut_out(&url, &[], false, "nothing").await;
    assert_shut_out(&url, &[("X-API-Key", &other)], true, "a key nobody has").await;
    assert_shut_out(&url, &[("X-API-Key", &old_hash)], true, "the digest").await;
    assert_shut_out(&url, &[("X-API-Key", &old[..old.len() - 1])], true, "a key cut short").await;
    // Authorization decides, whatever stands beside it.
    assert_let_in(&url, &[("Authorization", &bearer(&old)), ("X-API-Key", &other)], "good above bad").await;
    assert_shut_out(&url, &[("Authorization", &bearer(&other)), ("X-API-Key", &old)], true, "bad above good")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_credential_is_never_taken_for_none() {
    let broker = Broker::start("");
    let url = broker.url();
    assert_let_in(&url, &[], "open mode").await;
    let unsigned = "Bearer eyJhbGciOiJub25lIn0.e30.";
    for (name, value) in [
        ("Authorization", "Bearer wrong"),
        ("Authorization", "Bearer"),
        ("Authorization", "Bearer "),
        ("Authorization", ""),
        ("Authorization", "Basic YTpi"),
        ("Authorization", "wrong"),
        ("Authorization", unsigned),
        ("Authorization", "Bearer a.b.c"),
        ("Authorization", "Bearer .."),
        ("X-API-Key", "wrong"),
        ("X-API-Key", ""),
        ("X-API-Key", "a.b.c"),
    ] {
        assert_shut_out(&url, &[(name, value)], true, &format!("{name}: {value}")).await;
    }
    let (one, other) = (("Authorization", "Bearer a"), ("Authorization", "Bearer b"));
    assert_shut_out(&url, &[one, other], true, "two of them").await;
}
