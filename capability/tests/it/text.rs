//! The canonical text: what is accepted, what is refused and where, and that reading undoes writing.

use capability::{Capability, Scope};
use proptest::prelude::*;

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
        ("mcp:tool/x{hops<=1}", 15),
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

proptest! {
    #[test]
    fn reading_undoes_writing(scope in scope()) {
        prop_assert_eq!(Scope::parse(scope.texts()).unwrap(), scope.clone());
        let stored = serde_json::to_string(&scope).unwrap();
        prop_assert_eq!(serde_json::from_str::<Scope>(&stored).unwrap(), scope);
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
