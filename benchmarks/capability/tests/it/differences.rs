//! Where Cedar or tenuo say otherwise: one test for each row of `docs/comparison.md`, so that the page stays true.

use std::collections::HashMap;

use capability::{Arg, Capability, Request, Scope};
use capability_compared::cedar::allows_args;
use cedar_policy::{PolicySet, RestrictedExpression};
use tenuo::{
    Constraint, ConstraintSet, ConstraintValue, Exact, NotOneOf, OneOf, Pattern, Range, Subpath, UrlPattern,
};

fn admits(text: &str, args: &[(&str, Arg<'_>)]) -> bool {
    let request = Request { space: "mcp", kind: "tool", path: &["x"], args, time: 0, hop: 0, recent: &[] };
    Scope::parse([text]).unwrap().admits(&request)
}

fn le(child: &str, parent: &str) -> bool {
    Scope::parse([child]).unwrap().le(&Scope::parse([parent]).unwrap())
}

fn narrows(child: impl Into<Constraint>, parent: impl Into<Constraint>) -> bool {
    parent.into().validate_attenuation(&child.into()).is_ok()
}

fn matches(constraint: impl Into<Constraint>, value: impl Into<ConstraintValue>) -> bool {
    constraint.into().matches(&value.into()).unwrap()
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

#[test]
fn a_word_that_is_excluded_excludes_values_that_are_no_words() {
    assert!(!admits("mcp:tool/x{region!=eu}", &[("region", Arg::Int(5))]));
    assert!(matches(NotOneOf::new(["eu"]), 5_i64));
    assert!(matches(NotOneOf::new(["eu"]), ConstraintValue::Null));
    let policy = r#"permit(principal, action, resource) when { !(["eu"].contains(context.region)) };"#;
    assert!(allows_args(policy, vec![("region", RestrictedExpression::new_long(5))]));
}

#[test]
fn an_enum_lies_below_a_not_in_that_leaves_it_out() {
    assert!(le("mcp:tool/x{region=uk}", "mcp:tool/x{region!=eu}"));
    assert!(!narrows(OneOf::new(["uk"]), NotOneOf::new(["eu"])));
    assert!(!narrows(Exact::new("uk"), NotOneOf::new(["eu"])));
}

#[test]
fn a_further_constraint_narrows() {
    assert!(le("mcp:tool/x{calls<=5;region=eu}", "mcp:tool/x{region=eu}"));
    let mut parent = ConstraintSet::new();
    parent.insert("region", OneOf::new(["eu"]));
    let mut child = parent.clone();
    child.insert("calls", Range::max(5.0).unwrap());
    assert!(parent.validate_attenuation(&child).is_err());
    // …although it does so where the parent has no constraint at all.
    assert!(ConstraintSet::new().validate_attenuation(&child).is_ok());
}

#[test]
fn arguments_nobody_constrains_are_free() {
    let args = [("region", Arg::Text("eu")), ("verbose", Arg::Int(1))];
    assert!(admits("mcp:tool/x{region=eu}", &args));
    let mut set = ConstraintSet::new();
    set.insert("region", OneOf::new(["eu"]));
    let args = HashMap::from([("region".to_owned(), "eu".into()), ("verbose".to_owned(), 1_i64.into())]);
    assert!(set.matches(&args).is_err());
}

#[test]
fn integers_are_exact_beyond_2_to_the_53() {
    const MAX: u64 = 1 << 53;
    assert!(!admits(&format!("mcp:tool/x{{amount<={MAX}}}"), &[("amount", Arg::Int(MAX + 1))]));
    assert!(!le(&format!("mcp:tool/x{{amount<={}}}", MAX + 1), &format!("mcp:tool/x{{amount<={MAX}}}")));
    let range = |max: u64| Range::max(max as f64).unwrap();
    assert!(matches(range(MAX), 9_007_199_254_740_993_i64));
    assert!(narrows(range(MAX + 1), range(MAX)));
}

#[test]
fn numbers_are_whole_and_not_negative() {
    assert!("mcp:tool/x{amount<=4.5}".parse::<Capability>().is_err());
    assert!("mcp:tool/x{amount>=-1}".parse::<Capability>().is_err());
    assert!(matches(Range::max(5.0).unwrap(), 4.5_f64));
    assert!(matches(Range::max(5.0).unwrap(), -1_i64));
    let policy = "permit(principal, action, resource) when { context.amount <= 5 };";
    assert!(allows_args(policy, vec![("amount", RestrictedExpression::new_long(-1))]));
}

#[test]
fn integers_have_64_bits() {
    let most = u64::MAX - 1;
    assert!(admits(&format!("mcp:tool/x{{amount<={most}}}"), &[("amount", Arg::Int(most))]));
    let policy = format!("permit(principal, action, resource) when {{ context.amount <= {most} }};");
    assert!(policy.parse::<PolicySet>().is_err());
    let read: ConstraintValue = serde_json::from_str(&most.to_string()).unwrap();
    assert!(matches!(read, ConstraintValue::Float(_)), "no integer there");
}

#[test]
fn a_star_stops_at_the_next_slash() {
    assert!(!admits("mcp:tool/x{path~/docs/*}", &[("path", Arg::Path(&["docs", "a", "b"]))]));
    assert!(matches(Pattern::new("/docs/*").unwrap(), "/docs/a/b"));
    let policy = r#"permit(principal, action, resource) when { context.path like "/docs/*" };"#;
    assert!(allows_args(policy, vec![("path", text("/docs/a/b"))]));
    assert!(allows_args(policy, vec![("path", text("/docs/../etc"))]), "and dots are characters");
}

#[test]
fn paths_are_segments_and_never_normalised() {
    assert!("mcp:tool/x{path~/docs/../etc}".parse::<Capability>().is_err());
    assert!("mcp:tool/x{path~/docs/}".parse::<Capability>().is_err());
    assert_eq!(Subpath::new("/docs/../etc/").unwrap(), Subpath::new("/etc").unwrap());
    // A backslash is a character of a name here, a separator there.
    assert!(admits("mcp:tool/x{path~/docs/**}", &[("path", Arg::Path(&["docs", r"a\..\..\etc"]))]));
    assert!(!matches(Subpath::new("/docs").unwrap(), r"/docs/a\..\..\etc"));
}

#[test]
fn a_request_with_segments_no_pattern_may_have_is_not_admitted() {
    let subpath = Subpath::new("/docs").unwrap();
    assert!(!matches(subpath, "/docs/../etc/passwd"));
    let segments: [&[&str]; 4] =
        [&["docs", "..", "etc", "passwd"], &["docs", "."], &["docs", ""], &["docs", "../etc/passwd"]];
    for path in segments {
        assert!(!admits("mcp:tool/x{path~/docs/**}", &[("path", Arg::Path(path))]), "{path:?}");
    }
}

#[test]
fn one_label_and_any_number_of_labels_are_written_apart() {
    let url = |pattern: &str| UrlPattern::new(pattern).unwrap();
    let labels: [&[&str]; 3] =
        [&["com", "example"], &["com", "example", "www"], &["com", "example", "www", "v1"]];
    let one = labels.map(|host| admits("mcp:tool/x{host~*.example.com}", &[("host", Arg::Host(host))]));
    let any = labels.map(|host| admits("mcp:tool/x{host~**.example.com}", &[("host", Arg::Host(host))]));
    assert_eq!((one, any), ([false, true, false], [true; 3]));
    let hosts = ["https://example.com/", "https://www.example.com/", "https://v1.www.example.com/"];
    assert_eq!(hosts.map(|host| matches(url("https://*.example.com"), host)), [true; 3]);
}

#[test]
fn host_names_are_compared_as_they_are() {
    assert!(!admits("mcp:tool/x{host~example.com}", &[("host", Arg::Host(&["com", "Example"]))]));
    assert!("mcp:tool/x{host~Example.com}".parse::<Capability>().is_err());
    assert!(matches(UrlPattern::new("https://Example.com").unwrap(), "https://EXAMPLE.com/"));
}

#[test]
fn what_lies_under_a_path_is_more_than_the_path() {
    assert!(!le("mcp:tool/x{path~/api/**}", "mcp:tool/x{path~/api}"));
    let (api, below) = (
        UrlPattern::new("https://example.com/api").unwrap(),
        UrlPattern::new("https://example.com/api/*").unwrap(),
    );
    assert!(!matches(api.clone(), "https://example.com/api/keys"));
    assert!(
        matches(below.clone(), "https://example.com/api/keys"),
        "the child admits what its parent does not"
    );
    assert!(narrows(below, api));
}

#[test]
fn nothing_is_not_a_capability() {
    assert!("mcp:tool/x{region=}".parse::<Capability>().is_err());
    let (eu, uk): (Capability, Capability) =
        ("mcp:tool/x{region=eu}".parse().unwrap(), "mcp:tool/x{region=uk}".parse().unwrap());
    assert_eq!(eu.meet(&uk), None);
    assert!(narrows(OneOf::new([""; 0]), OneOf::new(["eu"])));
    let policy = "permit(principal, action, resource) when { [].contains(context.region) };";
    assert!(!allows_args(policy, vec![("region", text("eu"))]));
}
