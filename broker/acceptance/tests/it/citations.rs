//! Citations are there, and lead to what they say.

use broker_acceptance::Outcome::{Failed, Passed, Unverified};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::results::{data, outcome, parts, text};

fn sources() -> Value {
    json!({ "citations": { "sources": [
        { "id": "s1", "text": "The sky\n  is blue. Water is wet." },
        { "id": "s2", "uri": "https://example.test/paper" },
    ], "min": 1 } })
}

#[test]
fn markers_in_the_text_name_sources() {
    assert_eq!(outcome(&sources(), &text("It is blue [s1].")), Passed);
    assert_eq!(outcome(&sources(), &text("It is blue.")), Failed);
    assert_eq!(outcome(&sources(), &text("It is blue [s1], and [sic] a [link](http://x.test).")), Passed);
    assert_eq!(outcome(&sources(), &text("It is blue [s1] [s3].")), Failed, "there is no s3");
    assert_eq!(outcome(&sources(), &text("[[s1]")), Passed);
    assert_eq!(outcome(&sources(), &text("It is blue [s1, s2].")), Passed, "several at once");
    assert_eq!(outcome(&sources(), &text("It is blue [s1; s7].")), Failed);
    assert_eq!(outcome(&sources(), &text("It is blue [s1], in `list[s3]` and ```\nx = [s4]\n```.")), Passed);
    assert_eq!(
        outcome(&sources(), &text("It is blue [s1] since [s2024].")),
        Passed,
        "a longer word is another"
    );
    assert_eq!(
        outcome(&sources(), &text("{\"at\": [\"s3\"], \"is\": \"[s3]\"}")),
        Failed,
        "JSON cites by its list"
    );
    let raw = parts(&json!([{ "raw": "Qmx1ZSBbczFd", "mediaType": "text/markdown" }]));
    assert_eq!(outcome(&sources(), &raw), Passed, "text is text however it is sent");
    let mut both = sources();
    both["citations"]["min"] = json!(2);
    assert_eq!(outcome(&both, &text("[s1] [s1]")), Failed, "different ones are counted");
    assert_eq!(outcome(&both, &text("[s1] [s2]")), Passed);
}

#[test]
fn quotes_stand_in_their_source_whatever_the_white_space() {
    let cites = |entry: Value| data(&json!({ "citations": [entry] }));
    assert_eq!(outcome(&sources(), &cites(json!({ "source": "s1", "quote": "sky is\tblue." }))), Passed);
    assert_eq!(outcome(&sources(), &cites(json!({ "source": "s1", "quote": "the sky is green" }))), Failed);
    assert_eq!(outcome(&sources(), &cites(json!({ "source": "s1", "quote": " " }))), Failed);
    assert_eq!(outcome(&sources(), &cites(json!({ "source": "s2", "quote": "anything" }))), Unverified);
    assert_eq!(outcome(&sources(), &cites(json!({ "source": "s2" }))), Passed);
    assert_eq!(outcome(&sources(), &cites(json!({ "source": "s9" }))), Failed);
    assert_eq!(
        outcome(&sources(), &cites(json!("s1"))),
        Failed,
        "an entry that cannot be read cites nothing"
    );
    let many = vec![json!({ "source": "s1", "quote": "blue" }); 20_000];
    assert_eq!(outcome(&sources(), &data(&json!({ "citations": many }))), Unverified);
    let mixed = parts(&json!([{ "text": "see [s1]" }, { "data": { "citations": [{ "source": "s9" }] } }]));
    assert_eq!(outcome(&sources(), &mixed), Failed);
}

proptest! {
    /// A quote cut out of its source is always found there.
    #[test]
    fn what_was_copied_is_found(source in "[a-z \n]{1,200}", from in 0_usize..200, length in 1_usize..50) {
        let quote: String = source.chars().skip(from % source.len()).take(length).collect();
        prop_assume!(!quote.trim().is_empty());
        let accept = json!({ "citations": { "sources": [{ "id": "s", "text": source }] } });
        let result = data(&json!({ "citations": [{ "source": "s", "quote": quote }] }));
        prop_assert_eq!(outcome(&accept, &result), Passed);
    }

    /// Whatever text there is, it is only counted.
    #[test]
    fn any_text_can_be_looked_through(found in "[\\[\\]s0-9( a]{0,200}") {
        let _ = outcome(&sources(), &text(&found));
    }
}
