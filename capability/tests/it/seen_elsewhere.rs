//! Failures other libraries had, each kept from happening here.

use capability::{Arg, Capability, LimitExceeded, Request, Scope};

#[test]
fn disjoint_paths_meet_in_nothing_not_in_everything() {
    let docs = Scope::parse(["fs:path/docs/**"]).unwrap();
    let source = Scope::parse(["fs:path/src/**"]).unwrap();
    let met = docs.meet(&source).unwrap();
    assert!(met.is_empty() && !met.is_top());
    assert!(!Scope::parse(["fs:path/x"]).unwrap().le(&met));
}

#[test]
fn a_line_break_forges_no_second_constraint() {
    assert!("pay:invoice/x{region=eu\nregion=us}".parse::<Capability>().is_err());
    let escaped: Capability = "pay:invoice/x{region=eu%0Aus}".parse().unwrap();
    assert_eq!(escaped.to_string(), "pay:invoice/x{region=eu%0Aus}");
}

#[test]
fn a_wider_value_never_passes_for_a_narrower_one() {
    let held = Scope::parse(["pay:invoice/x{amount<=5;region=eu}"]).unwrap();
    for wider in [
        "pay:invoice/x{amount<=6;region=eu}",
        "pay:invoice/x{amount<=5;region=eu|us}",
        "pay:invoice/x{amount<=5}",
        "pay:invoice/*{amount<=5;region=eu}",
    ] {
        assert!(!Scope::parse([wider]).unwrap().le(&held), "{wider}");
    }
}

#[test]
fn large_integers_are_exact() {
    let held = Scope::parse(["pay:invoice/x{amount<=9007199254740992}"]).unwrap();
    let more = Scope::parse(["pay:invoice/x{amount<=9007199254740993}"]).unwrap();
    assert!(held.le(&more) && !more.le(&held));
}

#[test]
fn a_request_cannot_climb_out_of_a_path() {
    let held: Capability = "mcp:tool/read{path~/docs/**}".parse().unwrap();
    let admits = |file: &[&str]| {
        let args = [("path", Arg::Path(file))];
        held.admits(&Request {
            space: "mcp",
            kind: "tool",
            path: &["read"],
            args: &args,
            time: 0,
            hop: 0,
            recent: &[],
        })
    };
    assert!(admits(&["docs", "a"]));
    for file in [
        &["docs", "..", "etc"] as &[&str],
        &["docs", "."],
        &["docs", ""],
        &["docs", "../etc"],
        &["docs", "a/b"],
    ] {
        assert!(!admits(file), "{file:?}");
    }
}

#[test]
fn a_meet_that_would_explode_is_refused_before_it_does() {
    let many = |text: &dyn Fn(usize) -> String| Scope::parse((0..32).map(text)).unwrap();
    let ends = many(&|index| format!("mcp:tool/*/b{index}/**"));
    let starts = many(&|index| format!("mcp:tool/a{index}/**"));
    assert!(matches!(ends.meet(&starts), Err(LimitExceeded::Capabilities { .. })));
}
