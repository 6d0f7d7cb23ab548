//! Cedar as the oracle: what a scope admits, and what meets and ⊑ say about it. Cedar has no ⊑ of its own at run time.

use capability_compared::cedar::{allows, allows_in_hierarchy, hierarchy_policy, policies};
use capability_compared::kinds::{Atom, scope};
use capability_compared::random::{atoms, cases, folder, path, wish};
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_scope_admits_what_its_policies_allow(atoms in atoms(), wish in wish()) {
        prop_assert_eq!(wish.admitted_by(&scope(&atoms)), allows(&policies(&atoms), &wish));
    }

    #[test]
    fn a_meet_admits_what_both_policies_allow(a in atoms(), b in atoms(), wish in wish()) {
        let both = scope(&a).meet(&scope(&b)).unwrap();
        prop_assert_eq!(
            wish.admitted_by(&both),
            allows(&policies(&a), &wish) && allows(&policies(&b), &wish)
        );
    }

    #[test]
    fn what_is_below_is_allowed_above(a in atoms(), b in atoms(), wish in wish()) {
        // Two random scopes are seldom ordered; the meet always lies below both.
        let (of_a, of_b) = (scope(&a), scope(&b));
        let both = of_a.meet(&of_b).unwrap();
        prop_assert!(both.le(&of_a) && both.le(&of_b));
        if wish.admitted_by(&both) || of_a.le(&of_b) && allows(&policies(&a), &wish) {
            prop_assert!(allows(&policies(&b), &wish));
        }
    }

    #[test]
    fn a_folder_is_a_place_in_the_hierarchy(folder in folder(), path in path()) {
        let atom = Atom { action: "fs:path", resource: folder.clone(), bounds: [].into() };
        let wish = capability_compared::kinds::Wish { action: "fs:path", path, args: [].into(), time: 0 };
        let policies = hierarchy_policy("fs:path", &folder);
        prop_assert_eq!(
            wish.admitted_by(&scope(&[atom])),
            allows_in_hierarchy(&policies, "fs:path", &wish.path)
        );
    }
}

#[test]
fn the_random_cases_are_decided_both_ways() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut admitted = 0;
    for _ in 0..2_000 {
        let (atoms, wish) = (atoms(), wish()).new_tree(&mut runner).unwrap().current();
        admitted += u32::from(wish.admitted_by(&scope(&atoms)));
    }
    assert!((100..1_900).contains(&admitted), "{admitted} of 2,000 admitted");
}
