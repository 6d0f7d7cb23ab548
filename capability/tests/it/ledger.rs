//! Law 9: no sequence of openings and closings spends or holds more than a ceiling, at any purse.

use capability::ledger::{Amounts, Ceilings, DELEGATION_FEE, Exhausted, Ledger, Unit};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Open { parents: Vec<usize>, asked: Ceilings },
    Close { purse: usize, own: Option<Amounts> },
}

fn ceilings() -> impl Strategy<Value = Ceilings> {
    let one = || prop::option::weighted(0.4, 0_u64..12);
    (one(), one(), one(), one()).prop_map(|(usd, calls, tokens, fanout)| Ceilings {
        usd,
        calls,
        tokens,
        fanout,
    })
}

fn amounts() -> impl Strategy<Value = Amounts> {
    (0_u64..12, 0_u64..12, 0_u64..12, 0_u64..12).prop_map(|(usd, calls, tokens, fanout)| Amounts {
        usd,
        calls,
        tokens,
        fanout,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (prop::collection::vec(0_usize..64, 1..3), ceilings())
            .prop_map(|(parents, asked)| Step::Open { parents, asked }),
        1 => (0_usize..64, prop::option::of(amounts())).prop_map(|(purse, own)| Step::Close { purse, own }),
    ]
}

/// The obvious account of what happened: every purse ever opened, its parents, what it got, whether it is open.
#[derive(Default)]
struct Model {
    purses: Vec<(Vec<usize>, Ceilings, bool)>,
    depth: Vec<u32>,
}

impl Model {
    fn open(&self) -> Vec<usize> {
        (0..self.purses.len()).filter(|&purse| self.purses[purse].2).collect()
    }

    fn has_open_children(&self, purse: usize) -> bool {
        self.purses.iter().any(|(parents, _, open)| *open && parents.contains(&purse))
    }
}

fn holds(ledger: &Ledger<usize>, model: &Model) {
    for purse in model.open() {
        let known = ledger.get(&purse).expect("open purses exist");
        for unit in Unit::ALL {
            let children = model.purses.iter().filter(|(parents, _, open)| *open && parents.contains(&purse));
            let held: u64 = children.map(|(_, ceilings, _)| ceilings.get(unit).unwrap_or(0)).sum();
            assert_eq!(known.reserved.get(unit), held, "{unit:?} held at {purse}");
            if let Some(ceiling) = known.ceilings.get(unit) {
                assert!(known.spent.get(unit) + held <= ceiling, "{unit:?} at {purse}: {known:?}");
                for (parents, child, open) in &model.purses {
                    let limited = !open || !parents.contains(&purse) || child.get(unit).is_some();
                    assert!(limited, "a child of a limited purse is limited");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn nothing_is_overspent_under_any_interleaving(top in ceilings(), steps in prop::collection::vec(step(), 0..40)) {
        let mut ledger = Ledger::default();
        let mut model = Model::default();
        ledger.open(0, &[], top, Amounts::default()).unwrap();
        model.purses.push((Vec::new(), top, true));
        model.depth.push(0);
        for step in steps {
            match step {
                Step::Open { parents, asked } => {
                    let open = model.open();
                    let mut parents: Vec<usize> =
                        parents.iter().filter_map(|pick| open.get(pick % open.len().max(1)).copied()).collect();
                    parents.dedup();
                    let depth = parents.iter().map(|&parent| model.depth[parent] + 1).max().unwrap_or(0);
                    if depth > 8 || parents.is_empty() {
                        continue;
                    }
                    let (key, before) = (model.purses.len(), ledger.clone());
                    match ledger.open(key, &parents, asked, DELEGATION_FEE) {
                        Ok(()) => {
                            let got = ledger.get(&key).unwrap().ceilings;
                            for unit in Unit::ALL {
                                prop_assert!(asked.get(unit).is_none_or(|asked| got.get(unit) == Some(asked)));
                            }
                            model.purses.push((parents, got, true));
                            model.depth.push(depth);
                        }
                        Err(Exhausted { wanted, left, .. }) => {
                            prop_assert!(wanted > left);
                            prop_assert_eq!(&ledger, &before, "a refusal changes nothing");
                        }
                    }
                }
                Step::Close { purse, own } => {
                    let open = model.open();
                    let Some(&purse) = open.get(purse % open.len().max(1)) else { continue };
                    if purse != 0 && !model.has_open_children(purse) {
                        ledger.close(&purse, |unit| own.map(|own| own.get(unit)));
                        model.purses[purse].2 = false;
                    }
                }
            }
            holds(&ledger, &model);
        }
    }
}

fn usd(amount: u64) -> Ceilings {
    Ceilings { usd: Some(amount), ..Ceilings::default() }
}

#[test]
fn ten_children_of_five_dollars_have_five_dollars_between_them() {
    let mut ledger = Ledger::default();
    ledger.open(0, &[], usd(5), Amounts::default()).unwrap();
    let opened = (1..=10).filter(|&child| ledger.open(child, &[0], usd(1), DELEGATION_FEE).is_ok()).count();
    assert_eq!(opened, 5);
    let refused = ledger.open(11, &[0], usd(1), DELEGATION_FEE).unwrap_err();
    assert_eq!(refused, Exhausted { unit: Unit::Usd, wanted: 1, left: 0 });
}

#[test]
fn what_is_not_used_comes_back_and_what_is_unknown_does_not() {
    let mut ledger = Ledger::default();
    ledger.open("a", &[], usd(10), Amounts::default()).unwrap();
    ledger.open("b", &["a"], usd(4), DELEGATION_FEE).unwrap();
    assert_eq!(ledger.left(&"a").usd, Some(6));
    ledger.close(&"b", |_| Some(1));
    assert_eq!(ledger.left(&"a").usd, Some(9));
    ledger.open("c", &["a"], usd(4), DELEGATION_FEE).unwrap();
    assert_eq!(ledger.close(&"c", |_| None).map(|charged| charged.usd), Some(4));
    assert_eq!(ledger.left(&"a").usd, Some(5), "unknown is charged in full");
    ledger.open("d", &["a"], Ceilings::default(), DELEGATION_FEE).unwrap();
    assert_eq!(ledger.left(&"d").usd, Some(5), "who asks for nothing gets what is left");
    ledger.close(&"d", |_| Some(99));
    assert_eq!(ledger.left(&"a").usd, Some(0), "more than was left is charged only as far as it goes");
}
