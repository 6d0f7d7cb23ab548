//! CEL: what an expression sees of a result, and that none takes more than it may.

use broker_acceptance::Outcome::{Failed, Passed, Unverified};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::results::{artifacts, data, message, outcome, parts, read, text, verdict};

fn expression(expression: &str) -> Value {
    json!({ "expression": expression })
}

#[test]
fn it_sees_text_artifacts_and_data() {
    let result = artifacts(&json!([
        { "artifactId": "1", "name": "report", "parts": [{ "text": "All is " }, { "text": "well." }] },
        { "artifactId": "2", "parts": [{ "data": { "total": 3.0, "items": [{ "price": 1.5 }] } }] },
    ]));
    for holds in [
        "text.contains('is well')",
        "text == 'All is well.'",
        "size(artifacts) == 2 && artifacts[0].name == 'report'",
        "artifacts[0].bytes == 12 && artifacts[0].media_types == ['text/plain', 'text/plain']",
        "data[0].total == 3 && data[0].total + 1 > 3",
        "data[0].items.all(i, i.price > 1.0 && i.price < 2.0)",
        "has(data[0].total) && !has(data[0].other)",
        "artifacts.exists(a, a.data.exists(d, d.total == 3))",
        "artifacts.filter(a, a.name == 'report').size() == 1",
        "artifacts.exists_one(a, a.text.matches('^All'))",
        "data[0].total in [1, 2, 3]",
    ] {
        assert_eq!(
            outcome(&expression(holds), &result),
            Passed,
            "{:?}",
            verdict(&expression(holds), &result)
        );
    }
    assert_eq!(outcome(&expression("data[0].total > 3"), &result), Failed);
    assert_eq!(outcome(&expression("text == 'hi' && size(data) == 0"), &message("hi")), Passed);
}

#[test]
fn what_cannot_be_evaluated_is_undecided() {
    for (wants, result) in [
        ("data[0].total > 3", text("none")),
        ("data[0].total > 3", data(&json!({}))),
        ("data[0].total > 'x'", data(&json!({ "total": 1 }))),
        ("text", text("true")),
        ("size(data)", data(&json!(1))),
        ("unknown == 1", text("x")),
        ("data[0] == 1", parts(&json!([{ "text": "{", "mediaType": "application/json" }]))),
    ] {
        let verdict = verdict(&expression(wants), &result);
        assert_eq!(verdict.outcome, Unverified, "{wants}: {verdict:?}");
        assert!(verdict.checks[0].reason.is_some());
    }
}

#[test]
fn what_could_grow_nest_or_run_away_is_refused() {
    for (hostile, expected) in [
        ("x".repeat(3_000), "bytes"),
        ("(".repeat(400), "brackets"),
        (format!("text{} == 1", ".a".repeat(200)), ""),
        (format!("{}true", "false ? true : ".repeat(100)), ""),
        (format!("{}1 > 0", "-1 - -".repeat(100)), ""),
        ("text + text == ''".to_owned(), "+ adds numbers only"),
        ("data.map(d, d) == []".to_owned(), "map is not supported"),
        ("[[text, text], [text, text]] == []".to_owned(), "lists of constants"),
        ("{'a': text} == {}".to_owned(), "maps"),
        ("data.all(a, data.all(b, data.all(c, true)))".to_owned(), "within each other"),
        (["data.all(a, true)"; 9].join(" && "), "at most 8"),
        ("text.matches(text)".to_owned(), "stands there"),
        ("text.matches('(a{1,1000}){1,1000}')".to_owned(), "matches"),
        ("text.replace('a', 'b') == ''".to_owned(), "not supported"),
    ] {
        let refused = read(&expression(&hostile)).expect_err(&hostile);
        assert!(refused.contains(expected), "{hostile}: {refused}");
    }
}

/// The work, not the time, is bounded: what is cheap per turn gets many turns, what is dear gets few.
#[test]
fn a_loop_that_takes_too_much_is_given_up() {
    let numbers: Vec<u32> = (0..3_000).collect();
    let hostile = "data[0].all(a, data[0].all(b, a + 1 > 0 && b + 1 > 0))";
    let verdict = verdict(&expression(hostile), &data(&json!(numbers)));
    assert_eq!(verdict.outcome, Unverified);
    assert!(verdict.reason().contains("too much work"), "{verdict:?}");
    assert_eq!(outcome(&expression("data[0].all(a, a >= 0)"), &data(&json!(numbers))), Passed);
    let absorbed = "data[0].all(a, data[0].filter(b, data[0] == data[0]).size() < 0 && false)";
    assert_ne!(outcome(&expression(absorbed), &data(&json!(numbers))), Passed);
}

proptest! {
    /// Whatever it is, reading it neither panics nor overflows.
    #[test]
    fn any_expression_can_be_read(source in "[a-z0-9.()\\[\\]!&|+<>=?:,'\" -]{0,80}") {
        let _ = read(&expression(&source));
    }
}
