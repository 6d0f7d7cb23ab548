//! Random atoms and wishes over an alphabet so small that they often meet.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::kinds::{Atom, Bound, Given, Segment, Segments, Wish};

/// Most segments a pattern has.
pub const MAX_PATTERN: usize = 3;
/// Most segments a wish has: one more, so that `/**` differs from any number of `*`.
pub const MAX_PATH: usize = MAX_PATTERN + 1;
/// Cases of one property in a default run; `PROPTEST_CASES` raises it.
const MIN_CASES: u32 = 10_000;

/// How often each property is tried.
pub fn cases() -> ProptestConfig {
    let given = ProptestConfig::default();
    ProptestConfig { cases: given.cases.max(MIN_CASES), failure_persistence: None, ..given }
}

/// A pattern of literals, prefixes and `*`, perhaps with `/**`.
pub fn pattern() -> impl Strategy<Value = Segments> {
    let segment = prop_oneof![
        3 => word().prop_map(Segment::Literal),
        2 => prop_oneof![Just("a"), Just("ab")].prop_map(|prefix| Segment::Prefix(prefix.to_owned())),
        2 => Just(Segment::Any),
    ];
    segments(segment.boxed())
}

/// A pattern of literals, perhaps with `/**`: what a directory is to others.
pub fn folder() -> impl Strategy<Value = Segments> {
    segments(word().prop_map(Segment::Literal).boxed())
}

fn segments(segment: BoxedStrategy<Segment>) -> impl Strategy<Value = Segments> {
    (prop::collection::vec(segment, 0..=MAX_PATTERN), any::<bool>())
        .prop_map(|(segments, rest)| Segments { rest: rest || segments.is_empty(), segments })
}

/// A host name, its subdomains (`**.`), or those one level down (`*.`).
pub fn host() -> impl Strategy<Value = Segments> {
    let name = prop_oneof![Just("example.com"), Just("api.example.com"), Just("example.org"), Just("org")];
    (name, 0..3).prop_map(|(name, form)| {
        let mut segments: Vec<Segment> =
            name.rsplit('.').map(|label| Segment::Literal(label.to_owned())).collect();
        if form == 1 {
            segments.push(Segment::Any);
        }
        Segments { segments, rest: form == 2 }
    })
}

/// Segments of a request.
pub fn path() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof![word(), Just("abc".to_owned())], 0..=MAX_PATH)
}

/// Labels of a host name, outermost first.
pub fn name() -> impl Strategy<Value = Vec<String>> {
    let names = [
        "example.com",
        "api.example.com",
        "v1.api.example.com",
        "example.org",
        "notexample.com",
        "com",
        "org",
    ];
    prop::sample::select(names.to_vec()).prop_map(|name| name.rsplit('.').map(ToOwned::to_owned).collect())
}

/// One capability of all shared kinds.
pub fn atom() -> impl Strategy<Value = Atom> {
    let bounds = (
        prop::option::weighted(0.3, range()),
        prop::option::weighted(0.2, (0_u64..9).prop_map(|hi| Bound::Range(None, Some(hi)))),
        prop::option::weighted(0.15, (0_u64..9).prop_map(|hi| Bound::Range(None, Some(hi * 123_450)))),
        prop::option::weighted(0.3, region()),
        prop::option::weighted(0.25, pattern().prop_map(Bound::Path)),
        prop::option::weighted(0.25, host().prop_map(Bound::Host)),
        prop::option::weighted(0.3, window()),
    );
    (action(), pattern(), bounds).prop_map(|(action, resource, bounds)| {
        let (amount, calls, usd, region, path, host, window) = bounds;
        let (from, before) = window.unwrap_or_default();
        let bounds = [
            ("amount", amount),
            ("calls", calls),
            ("usd", usd),
            ("region", region),
            ("path", path),
            ("host", host),
            ("nbf", from),
            ("exp", before),
        ];
        Atom { action, resource, bounds: given(bounds) }
    })
}

/// A scope's worth of atoms.
pub fn atoms() -> impl Strategy<Value = Vec<Atom>> {
    prop::collection::vec(atom(), 0..6)
}

/// A request; its amount and region are now and then of the wrong type.
pub fn wish() -> impl Strategy<Value = Wish> {
    let amount = prop_oneof![
        9 => (0_u64..9).prop_map(Given::Int),
        1 => word().prop_map(Given::Text),
    ];
    let region = prop_oneof![
        9 => area().prop_map(Given::Text),
        1 => (0_u64..9).prop_map(Given::Int),
    ];
    let args = (
        prop::option::weighted(0.9, amount),
        prop::option::weighted(0.9, (0_u64..9).prop_map(Given::Int)),
        prop::option::weighted(0.9, (0_u64..9).prop_map(|usd| Given::Int(usd * 123_450))),
        prop::option::weighted(0.9, region),
        prop::option::weighted(0.9, path().prop_map(Given::Path)),
        prop::option::weighted(0.9, name().prop_map(Given::Host)),
    );
    (action(), path(), args, 1_u64..8).prop_map(|(action, path, args, time)| {
        let (amount, calls, usd, region, file, host) = args;
        let args = [
            ("amount", amount),
            ("calls", calls),
            ("usd", usd),
            ("region", region),
            ("path", file),
            ("host", host),
        ];
        Wish { action, path, args: given(args), time }
    })
}

fn given<T, const N: usize>(named: [(&'static str, Option<T>); N]) -> BTreeMap<&'static str, T> {
    named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn action() -> impl Strategy<Value = &'static str> {
    prop_oneof![9 => Just("mcp:tool"), 1 => Just("fs:path")]
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("ab"), Just("b")].prop_map(ToOwned::to_owned)
}

fn area() -> impl Strategy<Value = String> {
    prop_oneof![Just("eu"), Just("uk"), Just("us"), Just("jp")].prop_map(ToOwned::to_owned)
}

fn region() -> impl Strategy<Value = Bound> {
    let words = || prop::collection::btree_set(area(), 1..4);
    prop_oneof![words().prop_map(Bound::In), words().prop_map(Bound::NotIn)]
}

fn range() -> impl Strategy<Value = Bound> {
    // A lower end of 0 is no end: it is not written.
    (1_u64..9, 0_u64..9, 0..3).prop_map(|(a, b, form)| match form {
        0 => Bound::Range(None, Some(b)),
        1 => Bound::Range(Some(a), None),
        _ => Bound::Range(Some(a.min(b.max(1))), Some(a.max(b))),
    })
}

/// One end or both; two ends have something between them, as an empty window is not written.
fn window() -> impl Strategy<Value = (Option<Bound>, Option<Bound>)> {
    (1_u64..7, 1_u64..4, 0..3).prop_map(|(from, length, form)| match form {
        0 => (Some(Bound::From(from)), None),
        1 => (None, Some(Bound::Before(from + length))),
        _ => (Some(Bound::From(from)), Some(Bound::Before(from + length))),
    })
}
