//! The laws of the lattice.

use capability::Scope;
use proptest::prelude::*;

use super::oracle::scope;

fn meet(a: &Scope, b: &Scope) -> Scope {
    a.meet(b).unwrap()
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn meet_and_join_commute_associate_are_idempotent_absorb_and_distribute(a in scope(), b in scope(), c in scope()) {
        prop_assert_eq!(meet(&a, &b), meet(&b, &a));
        prop_assert_eq!(a.join(&b), b.join(&a));
        prop_assert_eq!(meet(&meet(&a, &b), &c), meet(&a, &meet(&b, &c)));
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
        prop_assert_eq!(meet(&a, &a), a.clone());
        prop_assert_eq!(a.join(&a), a.clone());
        prop_assert_eq!(meet(&a, &a.join(&b)), a.clone());
        prop_assert_eq!(a.join(&meet(&a, &b)), a.clone());
        prop_assert_eq!(meet(&a, &b.join(&c)), meet(&a, &b).join(&meet(&a, &c)));
    }

    #[test]
    fn the_order_is_a_partial_order_and_agrees_with_meet(a in scope(), b in scope(), c in scope()) {
        prop_assert!(a.le(&a));
        prop_assert_eq!(a.le(&b), meet(&a, &b) == a);
        prop_assert_eq!(a.le(&b) && b.le(&a), a.texts() == b.texts());
        if a.le(&b) && b.le(&c) {
            prop_assert!(a.le(&c));
        }
    }

    #[test]
    fn meet_is_the_greatest_lower_bound(a in scope(), b in scope(), c in scope()) {
        let both = meet(&a, &b);
        prop_assert!(both.le(&a) && both.le(&b));
        if c.le(&a) && c.le(&b) {
            prop_assert!(c.le(&both), "{:?} is below both and not below {:?}", c.texts(), both.texts());
        }
    }

    #[test]
    fn in_a_chain_of_delegations_nobody_gets_more_than_anyone_before(scopes in prop::collection::vec(scope(), 1..8)) {
        let mut held = Scope::top();
        for (index, caps) in scopes.iter().enumerate() {
            held = meet(&held.passed_on(), caps);
            prop_assert!(scopes[..=index].iter().all(|earlier| held.le(earlier)));
        }
    }

    #[test]
    fn everything_and_nothing_are_never_mistaken(a in scope()) {
        let (top, empty) = (Scope::top(), Scope::empty());
        prop_assert_eq!(meet(&a, &top), a.clone());
        prop_assert_eq!(meet(&a, &empty), Scope::empty());
        prop_assert!(a.le(&top) && empty.le(&a) && !top.le(&a));
        prop_assert!(!a.is_top());
    }
}
