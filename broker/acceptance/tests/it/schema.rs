//! JSON Schema: what it says of a result, and that no schema takes more than it may.

use std::fmt::Write;

use broker_acceptance::Outcome::{Failed, Passed, Unverified};
use serde_json::{Value, json};

use super::results::{data, outcome, parts, read, text, verdict};

fn schema(schema: &Value) -> Value {
    json!({ "schema": schema })
}

#[test]
fn all_json_in_a_result_is_as_the_schema_says() {
    let wants = schema(
        &json!({ "type": "object", "required": ["total"], "properties": { "total": { "type": "integer" } } }),
    );
    assert_eq!(outcome(&wants, &data(&json!({ "total": 3 }))), Passed);
    assert_eq!(outcome(&wants, &text(r#" {"total": 3.0} "#)), Passed, "text that is JSON");
    assert_eq!(outcome(&wants, &data(&json!({ "total": "3" }))), Failed);
    let both = parts(&json!([{ "data": { "total": 1 } }, { "data": {} }]));
    assert_eq!(outcome(&wants, &both), Failed);
    assert_eq!(outcome(&wants, &text("all is well")), Unverified, "there is nothing to apply it to");
    let broken = parts(&json!([{ "text": "{", "mediaType": "application/json" }]));
    assert_eq!(outcome(&wants, &broken), Failed);
    let chunks = parts(&json!([{ "text": "{\"tot" }, { "text": "al\": 2}" }]));
    assert_eq!(outcome(&wants, &chunks), Passed, "pieces of a stream belong together");
    let said = verdict(&wants, &data(&json!({ "total": "3" }))).reason();
    assert!(said.contains("/total"), "{said}");
}

#[test]
fn nothing_is_fetched() {
    for reference in ["http://127.0.0.1:1/schema.json", "file:///etc/passwd", "other.json", "#name", "#"] {
        let refused = read(&schema(&json!({ "$ref": reference }))).expect_err(reference);
        assert!(refused.contains("$ref") || refused.contains("refer"), "{refused}");
    }
    let meta = json!({ "$schema": "http://127.0.0.1:1/meta", "type": "object" });
    read(&schema(&meta)).expect_err("a dialect from elsewhere");
    let moved = json!({ "properties": { "a": { "$id": "http://x.test/", "$ref": "#/b" } } });
    read(&schema(&moved)).expect_err("a base of its own");
}

#[test]
fn no_schema_asks_for_more_work_than_it_may() {
    let trebling: serde_json::Map<String, Value> = (0..12)
        .map(|level| {
            let next = json!({ "$ref": format!("#/$defs/l{:02}", level + 1) });
            (format!("l{level:02}"), json!({ "allOf": [next, next, next] }))
        })
        .chain([("l12".to_owned(), json!({ "type": "string" }))])
        .collect();
    let table = [
        (json!({ "$defs": trebling, "$ref": "#/$defs/l00" }), "values"),
        (json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }), "itself"),
        (json!({ "properties": { "a": { "$ref": "#/properties/a" } } }), "itself"),
        (json!({ "enum": vec!["x"; 10_000] }), "bytes"),
        (json!({ "pattern": "(\\w{1,1000}){1,1000}" }), "pattern"),
        (json!({ "patternProperties": { "(a{1,1000}){1,1000}": {} } }), "pattern"),
        (json!({ "$dynamicRef": "#x" }), "$dynamicRef"),
        // What the validator would read as another reference than we do.
        (json!({ "$defs": { "%6c00": {}, "l00": {} }, "$ref": "#/$defs/%6c00" }), "expected references"),
        (json!({ "$schema": "http://json-schema.org/draft-04/schema#", "type": "object" }), "$schema"),
        (
            json!({ "properties": { "a": { "$schema": "http://json-schema.org/draft-04/schema#" } } }),
            "$schema",
        ),
        (json!({ "allOf": vec![json!({ "pattern": "\\w{3}" }); 41] }), "pattern counting for 100"),
    ];
    for (hostile, expected) in table {
        let refused = read(&schema(&hostile)).expect_err(expected);
        assert!(refused.contains(expected), "{refused}");
    }
    let mut nested = json!({});
    for _ in 0..60 {
        nested = json!({ "not": nested });
    }
    assert!(read(&schema(&nested)).expect_err("deep").contains("deeper"));
    // A chain of references is as deep as one of values, in whatever order they are met.
    for order in [0, 1] {
        let chain: serde_json::Map<String, Value> = (0..400)
            .map(|level| {
                let name = |level: usize| format!("n{:03}", if order == 0 { level } else { 400 - level });
                (name(level), json!({ "$ref": format!("#/$defs/{}", name(level + 1)) }))
            })
            .chain([(if order == 0 { "n400" } else { "n000" }.to_owned(), json!(true))])
            .collect();
        assert!(read(&schema(&json!({ "$defs": chain }))).expect_err("long").contains("deeper"), "{order}");
    }
}

#[test]
fn hostile_results_are_no_trouble_either() {
    let wants =
        schema(&json!({ "type": "array", "items": { "type": ["array", "integer"] }, "uniqueItems": true }));
    let mut deep = String::new();
    write!(deep, "{}{}", "[".repeat(100_000), "]".repeat(100_000)).unwrap();
    assert_eq!(outcome(&wants, &text(&deep)), Unverified, "text that cannot be read is no JSON");
    let declared = json!([{ "text": deep, "mediaType": "application/json" }]);
    assert_eq!(outcome(&wants, &parts(&declared)), Unverified);
    assert_eq!(outcome(&wants, &text(&format!("[{}", "0,".repeat(3_000_000)))), Unverified, "too large");
    let laborious = schema(&json!({ "items": { "enum": (0..3_000).collect::<Vec<_>>() } }));
    let long = data(&json!(vec![5_000; 100_000]));
    assert_eq!(outcome(&laborious, &long), Unverified, "too much for so large a schema");
}
