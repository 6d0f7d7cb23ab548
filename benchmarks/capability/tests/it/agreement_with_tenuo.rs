//! tenuo as the oracle: what a scope admits, and which narrowings are allowed. Its ⊑ knows no enum under a not-in; that
//! and what else differs stands in `differences`.

use capability_compared::kinds::{Atom, Bound, Given, Segment, Segments, Wish, scope};
use capability_compared::random::{atom, atoms, cases, folder, host, name, path, wish};
use capability_compared::tenuo::{allows, constraints, narrows};
use proptest::prelude::*;
use tenuo::{Constraint, Exact, Subpath, UrlPattern};

/// A region is a word here: what an excluded word says of a number is one of the differences.
fn typed_wish() -> impl Strategy<Value = Wish> {
    wish().prop_map(|mut wish| {
        if matches!(wish.args.get("region"), Some(Given::Int(_))) {
            wish.args.remove("region");
        }
        wish
    })
}

/// Pairs of which the second is often a small change of the first.
fn pair() -> impl Strategy<Value = (Atom, Atom)> {
    (atom(), atom(), 0..4_usize).prop_map(|(a, b, form)| {
        let mut changed = a.clone();
        match form {
            0 => changed = b,
            1 => changed.resource = b.resource,
            2 => changed.bounds = b.bounds,
            // A window's two ends stay together.
            _ => changed
                .bounds
                .extend(b.bounds.into_iter().filter(|(name, _)| !matches!(*name, "nbf" | "exp")).take(1)),
        }
        (a, changed)
    })
}

/// One level down (`*.`) is not among tenuo's patterns: any number of levels stands in for it.
fn tenuo_host() -> impl Strategy<Value = Segments> {
    host().prop_map(|mut host| {
        host.rest |= host.segments.pop_if(|label| *label == Segment::Any).is_some();
        host
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_scope_admits_what_its_constraints_match(atoms in atoms(), wish in typed_wish()) {
        let sets: Vec<_> = atoms.iter().map(constraints).collect();
        prop_assert_eq!(wish.admitted_by(&scope(&atoms)), allows(&sets, &wish));
    }

    #[test]
    fn a_meet_admits_what_both_constraints_match(a in atoms(), b in atoms(), wish in typed_wish()) {
        let sets = |atoms: &[Atom]| atoms.iter().map(constraints).collect::<Vec<_>>();
        let both = scope(&a).meet(&scope(&b)).unwrap();
        prop_assert_eq!(wish.admitted_by(&both), allows(&sets(&a), &wish) && allows(&sets(&b), &wish));
    }

    #[test]
    fn what_may_be_narrowed_lies_below((a, b) in pair()) {
        for (child, parent) in [(&a, &b), (&b, &a)] {
            let below = scope(std::slice::from_ref(child)).le(&scope(std::slice::from_ref(parent)));
            if child.enum_under_not_in(parent) {
                prop_assert!(below || !narrows(child, parent));
            } else {
                prop_assert_eq!(below, narrows(child, parent));
            }
        }
    }

    #[test]
    fn a_folder_is_a_subpath(a in folder(), b in folder(), path in path()) {
        let wish = Wish { action: "fs:path", path: [].into(), args: [("path", Given::Path(path.clone()))].into(), time: 0 };
        let atom = |folder: &Segments| argument("path", Bound::Path(folder.clone()));
        let text = format!("/{}", path.join("/"));
        prop_assert_eq!(wish.admitted_by(&scope(&[atom(&a)])), subpath(&a).matches(&text.into()).unwrap());
        prop_assert_eq!(
            scope(&[atom(&a)]).le(&scope(&[atom(&b)])),
            subpath(&b).validate_attenuation(&subpath(&a)).is_ok()
        );
    }

    #[test]
    fn a_host_and_its_subdomains_are_a_url_pattern(a in tenuo_host(), b in tenuo_host(), name in name()) {
        let wish = Wish { action: "fs:path", path: [].into(), args: [("host", Given::Host(name.clone()))].into(), time: 0 };
        let atom = |host: &Segments| argument("host", Bound::Host(host.clone()));
        let url = format!("https://{}/", name.iter().rev().cloned().collect::<Vec<_>>().join("."));
        prop_assert_eq!(wish.admitted_by(&scope(&[atom(&a)])), url_pattern(&a).matches(&url.into()).unwrap());
        prop_assert_eq!(
            scope(&[atom(&a)]).le(&scope(&[atom(&b)])),
            url_pattern(&b).validate_attenuation(&url_pattern(&a)).is_ok()
        );
    }
}

fn argument(name: &'static str, bound: Bound) -> Atom {
    let anywhere = Segments { segments: Vec::new(), rest: true };
    Atom { action: "fs:path", resource: anywhere, bounds: [(name, bound)].into() }
}

fn subpath(folder: &Segments) -> Constraint {
    let path = format!("/{}", literals(folder).join("/"));
    if folder.rest { Subpath::new(path).unwrap().into() } else { Exact::new(path).into() }
}

fn url_pattern(host: &Segments) -> Constraint {
    let name = literals(host).into_iter().rev().collect::<Vec<_>>().join(".");
    let any = if host.rest { "*." } else { "" };
    UrlPattern::new(&format!("https://{any}{name}")).unwrap().into()
}

fn literals(pattern: &Segments) -> Vec<&str> {
    fn literal(segment: &Segment) -> &str {
        match segment {
            Segment::Literal(text) => text,
            Segment::Prefix(_) | Segment::Any => panic!("only literals here"),
        }
    }
    pattern.segments.iter().map(literal).collect()
}
