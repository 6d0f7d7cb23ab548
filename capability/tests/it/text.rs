//! The canonical text: what is accepted, what is refused and where, and that reading undoes writing.

use capability::{Capability, Scope};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::oracle::scope;

#[test]
fn canonical_texts_are_accepted_and_come_back_unchanged() {
    for text in [
        "a2a:skill/researcher/summarize",
        "a2a:skill/researcher/a%2Fb",
        "a2a:skill/**",
        "a2a:skill/*/work",
        "mcp:tool/search{calls<=20}",
        "mcp:tool/sea*",
        "a2a:skill/researcher/summarize{path~/docs/reports/**;usd<=2.00}",
        "net:host/get{host~**.example.com}",
        "net:host/get{host~*.example.com}",
        "pay:invoice/*{amount<=500;region=eu|uk}",
        "pay:invoice/*{amount>=5;amount<=500}",
        "pay:invoice/*{amount>=5;region!=eu}",
        "pay:invoice/x{usd<=0.000001}",
        "fs:path/a%20b/**",
        "mcp:tool/x{exp<1790003600;nbf>=1790000000}",
        "mcp:tool/x{hops<=0}",
        "mcp:tool/x{hops<=8}",
        "mcp:tool/x{rate<=10/60s}",
        "mcp:tool/x{rate<=2/1s;rate<=10/60s}",
    ] {
        assert_eq!(
            text.parse::<Capability>().unwrap_or_else(|error| panic!("{text}: {error}")).to_string(),
            text
        );
    }
}

#[test]
fn everything_else_is_refused_where_it_goes_wrong() {
    for (text, position) in [
        ("", 0),
        ("a2a", 3),
        ("a2a:skill", 9),
        ("A2A:skill/x", 0),
        ("a2a:skill/", 10),
        ("a2a:skill//x", 10),
        ("a2a:skill/../x", 10),
        ("a2a:skill/./x", 10),
        ("a2a:skill/%2E%2E/x", 10),
        ("mcp:tool/a%2Fb", 10),
        ("mcp:tool/a%2fb", 10),
        ("mcp:tool/%41", 9),
        ("mcp:tool/a b", 10),
        ("mcp:tool/a**", 11),
        ("mcp:tool/**/a", 11),
        ("mcp:tool/*a", 10),
        ("mcp:tool/é", 9),
        ("mcp:tool/x{}", 11),
        ("mcp:tool/x{calls}", 16),
        ("mcp:tool/x{calls>=1}", 16),
        ("mcp:tool/x{calls<=-1}", 18),
        ("mcp:tool/x{calls<=1.5}", 18),
        ("mcp:tool/x{calls<=18446744073709551616}", 18),
        ("mcp:tool/x{usd<=2}", 16),
        ("mcp:tool/x{usd<=2.0}", 16),
        ("mcp:tool/x{usd<=2.000}", 20),
        ("mcp:tool/x{b<=1;a<=1}", 11),
        ("mcp:tool/x{region=uk|eu}", 18),
        ("mcp:tool/x{region=}", 18),
        ("mcp:tool/x{amount>=5;amount<=4}", 21),
        ("mcp:tool/x{amount<=5;amount>=4}", 17),
        ("mcp:tool/x{hops<=9}", 17),
        ("mcp:tool/x{hops=1}", 15),
        ("mcp:tool/x{exp<=5}", 15),
        ("mcp:tool/x{exp<0}", 15),
        ("mcp:tool/x{nbf<5}", 14),
        ("mcp:tool/x{nbf>=0}", 16),
        ("mcp:tool/x{exp<5;nbf>=5}", 17),
        ("mcp:tool/x{rate<=0/5s}", 17),
        ("mcp:tool/x{rate<=1/0s}", 19),
        ("mcp:tool/x{rate<=1/5}", 20),
        ("mcp:tool/x{rate<=1/5m}", 20),
        ("mcp:tool/x{rate<=5/5s;rate<=5/9s}", 19),
        ("mcp:tool/x{rate<=9/9s;rate<=1/1s}", 17),
        ("mcp:tool/x{host~Example.com}", 16),
        ("mcp:tool/x{calls<=1}x", 20),
        ("mcp:tool/x\nmcp:tool/y", 10),
    ] {
        let error = text.parse::<Capability>().expect_err(text);
        assert_eq!(error.position, position, "{text:?}: {error}");
    }
    assert!(Scope::parse(["top"]).is_err(), "everything cannot be written");
    assert!(Scope::parse(vec!["mcp:tool/x"; 33]).is_err(), "limits fail closed");
}

#[test]
fn json_says_the_same_as_text_and_no_more() {
    let text =
        "pay:invoice/*{amount>=5;amount<=500;exp<1790003600;hops<=2;rate<=10/60s;region=eu|uk;usd<=2.50}";
    let json = json!({
        "space": "pay", "kind": "invoice", "resource": "/*",
        "constraints": {
            "amount": {"min": 5, "max": 500}, "exp": {"before": 1_790_003_600}, "hops": {"max": 2},
            "rate": [{"max": 10, "seconds": 60}], "region": {"in": ["eu", "uk"]}, "usd": {"max": "2.50"}
        }
    });
    assert_eq!(Capability::from_json(&json).unwrap().to_string(), text);
    assert_eq!(text.parse::<Capability>().unwrap().to_json(), json);
    let broken = [
        (json!([]), "capability"),
        (json!({"space": "mcp", "kind": "tool"}), "resource"),
        (json!({"space": "MCP", "kind": "tool", "resource": "/x"}), "space"),
        (json!({"space": "mcp", "kind": "tool", "resource": "/../x"}), "resource"),
        (json!({"space": "mcp", "kind": "tool", "resource": "/%41"}), "resource"),
        (json!({"space": "mcp", "kind": "tool", "resource": "/x", "constraint": {}}), "constraint"),
        (constrained(json!({"usd": {"max": 2.5}})), "constraints.usd.max"),
        (constrained(json!({"usd": {"max": "2.5"}})), "constraints.usd.max"),
        (constrained(json!({"usd": {"min": "2.50"}})), "constraints.usd.min"),
        (constrained(json!({"n": {"max": 1.5}})), "constraints.n.max"),
        (constrained(json!({"n": {"max": -1}})), "constraints.n.max"),
        (constrained(json!({"n": {"min": 2, "max": 1}})), "constraints.n"),
        (constrained(json!({"n": {}})), "constraints.n"),
        (constrained(json!({"w": {"in": []}})), "constraints.w"),
        (constrained(json!({"w": {"in": ["x"], "not_in": ["y"]}})), "constraints.w.in"),
        (constrained(json!({"p": {"path": "/a/%2F"}})), "constraints.p"),
        (constrained(json!({"hops": {"max": 9}})), "constraints.hops"),
        (constrained(json!({"exp": {"max": 9}})), "constraints.exp.max"),
        (
            constrained(json!({"rate": [{"max": 1, "seconds": 5}, {"max": 1, "seconds": 9}]})),
            "constraints.rate",
        ),
        (constrained(json!({"rate": [{"max": 0, "seconds": 5}]})), "capability"),
    ];
    for (json, member) in broken {
        let error = Capability::from_json(&json).expect_err(&json.to_string());
        assert_eq!(error.member, member, "{json}: {error}");
    }
}

#[allow(clippy::needless_pass_by_value, reason = "built where it is passed")]
fn constrained(constraints: Value) -> Value {
    json!({"space": "mcp", "kind": "tool", "resource": "/x", "constraints": constraints})
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn reading_undoes_writing(scope in scope()) {
        prop_assert_eq!(Scope::parse(scope.texts()).unwrap(), scope.clone());
        let stored = serde_json::to_string(&scope).unwrap();
        prop_assert_eq!(serde_json::from_str::<Scope>(&stored).unwrap(), scope.clone());
        let json = serde_json::to_string(&scope.to_json().unwrap()).unwrap();
        prop_assert_eq!(Scope::from_json(&serde_json::from_str(&json).unwrap()).unwrap(), scope);
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = text.parse::<Capability>();
        let _ = format!("mcp:tool/{text}").parse::<Capability>();
        let _ = String::from_utf8_lossy(&bytes).parse::<Capability>();
    }

    #[test]
    fn any_skill_id_can_be_named(agent in "[a-z0-9-]{1,9}", skill in "\\PC{1,20}") {
        let invoke = Capability::invoke(&agent, &skill);
        if skill != "." && skill != ".." {
            prop_assert_eq!(invoke.to_string().parse::<Capability>().unwrap(), invoke);
        }
    }
}
