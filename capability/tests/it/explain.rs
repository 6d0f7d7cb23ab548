//! The explanation says what the decision does, and names the factor at fault.

use capability::ledger::Ceilings;
use capability::{Decision, Demand, Factor, Giver, Scope, SkillRequirement, decide, explain};
use proptest::prelude::*;

fn scope(text: &str) -> Scope {
    Scope::parse(text.split_whitespace()).unwrap()
}

const TEXTS: [&str; 9] = [
    "a2a:skill/**",
    "a2a:skill/b/work",
    "a2a:skill/b/* mcp:tool/*",
    "mcp:tool/search{calls<=9}",
    "mcp:tool/search{calls<=4} fs:path/docs/**",
    "fs:path/** a2a:skill/b/*",
    "a2a:skill/**{calls<=3;hops<=0} mcp:tool/search{hops<=1}",
    "a2a:skill/b/*{exp<500} mcp:tool/search{calls<=0}",
    "",
];

fn demand<'a>(hold: &'a Scope, caps: &'a Scope, skills: &'a [SkillRequirement]) -> Demand<'a> {
    Demand {
        hold,
        giver: Giver::Principal,
        asked: None,
        budget: Ceilings::default(),
        caps,
        policy: None,
        agent: "b",
        skill: Some("work"),
        skills,
        now: 1_000,
        recent: &[],
    }
}

fn some() -> impl Strategy<Value = Scope> {
    (0..TEXTS.len()).prop_map(|index| scope(TEXTS[index]))
}

proptest! {
    #[test]
    fn an_explanation_ends_where_the_decision_does_and_blames_who_lacks_it(
        hold in some(), asked in prop::option::of(some()), caps in some(), policy in prop::option::of(some()),
        requires in some(), named in any::<bool>(), is_task in any::<bool>(),
    ) {
        let skills = [SkillRequirement { id: "work".to_owned(), requires }];
        let skill = named.then_some("work");
        let giver = if is_task { Giver::Task } else { Giver::Principal };
        let demand = Demand {
            asked: asked.as_ref(), policy: policy.as_ref(), skill, giver, ..demand(&hold, &caps, &skills)
        };
        let why = explain(&demand);
        prop_assert_eq!(&why.decision, &decide(&demand));
        match &why.decision {
            Decision::Allow(allowed) => {
                prop_assert_eq!(&why.steps.last().unwrap().after, &allowed.effective);
                prop_assert!(why.lacks.is_empty());
            }
            Decision::Deny(denied) => {
                prop_assert_eq!(why.lacks.len(), denied.missing.len());
                prop_assert!(why.lacks.iter().all(|lack| !lack.factors.is_empty()), "{:?}", why);
            }
        }
        for step in &why.steps {
            let kept = step.before.iter().filter(|before| step.scope.covers(before)).count();
            let (removed, narrowed) = (step.removed().count(), step.narrowed().count());
            prop_assert_eq!(kept + removed + narrowed, step.before.iter().count(), "{:?}", step);
        }
    }
}

#[test]
fn the_factor_that_took_it_away_is_named() {
    let (hold, caps) = (
        scope("a2a:skill/b/* mcp:tool/search{calls<=9} fs:path/docs/**"),
        scope("mcp:tool/search{calls<=4}"),
    );
    let skills = [SkillRequirement {
        id: "work".to_owned(),
        requires: scope("mcp:tool/search{calls<=6} pay:invoice/*"),
    }];
    let why = explain(&demand(&hold, &caps, &skills));
    let [step] = why.steps.as_slice() else { panic!("{why:?}") };
    let removed: Vec<String> = step.removed().map(ToString::to_string).collect();
    assert_eq!(removed, ["a2a:skill/b/*", "fs:path/docs/**"]);
    let narrowed: Vec<String> =
        step.narrowed().map(|(from, to)| format!("{from} to {}", to.texts()[0])).collect();
    assert_eq!(narrowed, ["mcp:tool/search{calls<=9} to mcp:tool/search{calls<=4}"]);
    let lacks: Vec<(&str, &[Factor])> =
        why.lacks.iter().map(|lack| (lack.capability.as_str(), lack.factors.as_slice())).collect();
    assert_eq!(
        lacks,
        [
            ("mcp:tool/search{calls<=6}", &[Factor::Caps] as &[_]),
            ("pay:invoice/*", &[Factor::Hold, Factor::Caps])
        ]
    );
}

#[test]
fn a_hop_that_is_missing_is_told_from_a_capability_that_is() {
    let (hold, caps) = (scope("a2a:skill/b/* mcp:tool/search{hops<=0}"), scope("mcp:tool/*"));
    let skills = [SkillRequirement { id: "work".to_owned(), requires: scope("mcp:tool/search") }];
    let why = explain(&Demand { giver: Giver::Task, ..demand(&hold, &caps, &skills) });
    assert_eq!(why.steps[0].factor, Factor::Passing);
    assert_eq!(
        why.lacks.iter().map(|lack| lack.factors.as_slice()).collect::<Vec<_>>(),
        [&[Factor::Passing]]
    );
}

#[test]
fn what_policy_refuses_is_not_the_holds_fault() {
    let (hold, caps, policy) = (scope("a2a:skill/**"), scope(""), scope("a2a:skill/c/*"));
    let why = explain(&Demand { policy: Some(&policy), ..demand(&hold, &caps, &[]) });
    assert_eq!(why.lacks.iter().map(|lack| lack.factors.as_slice()).collect::<Vec<_>>(), [&[Factor::Policy]]);
    for policy in ["a2a:skill/**{exp<1}", "a2a:skill/**{calls<=0}"] {
        let why = explain(&Demand { policy: Some(&scope(policy)), ..demand(&hold, &caps, &[]) });
        let factors: Vec<_> = why.lacks.iter().map(|lack| lack.factors.as_slice()).collect();
        assert_eq!(factors, [&[Factor::Policy]], "{policy}");
    }
    let (hold, policy) = (scope("a2a:skill/c/*"), scope("a2a:skill/**"));
    let why = explain(&Demand { policy: Some(&policy), ..demand(&hold, &caps, &[]) });
    assert_eq!(why.lacks.iter().map(|lack| lack.factors.as_slice()).collect::<Vec<_>>(), [&[Factor::Hold]]);
}
