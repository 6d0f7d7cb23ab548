//! Failures other libraries had, each kept from happening here.

use capability::{Capability, Scope};

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
