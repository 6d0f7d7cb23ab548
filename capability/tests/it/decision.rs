//! The golden decisions: who may have whom do what, and what the refusal says.

use capability::ledger::Ceilings;
use capability::{Decision, Demand, DenyRule, Giver, Invocation, Scope, SkillRequirement, decide};
use proptest::prelude::*;

fn scope(texts: &[&str]) -> Scope {
    Scope::parse(texts).unwrap()
}

fn skills() -> Vec<SkillRequirement> {
    let skill =
        |id: &str, requires: &[&str]| SkillRequirement { id: id.to_owned(), requires: scope(requires) };
    vec![skill("plain", &[]), skill("searching", &["mcp:tool/search"])]
}

/// A task that delegates to `b` all it can.
fn demand<'a>(hold: &'a Scope, skills: &'a [SkillRequirement]) -> Demand<'a> {
    Demand {
        hold,
        giver: Giver::Task,
        asked: None,
        budget: Ceilings::default(),
        caps: hold,
        policy: None,
        agent: "b",
        skill: None,
        skills,
        now: 100,
        recent: &[],
    }
}

struct Case<'a> {
    hold: Scope,
    asked: Option<Scope>,
    caps: Scope,
    skill: Option<&'a str>,
}

fn judge(case: &Case<'_>) -> Decision {
    decide(&Demand {
        asked: case.asked.as_ref(),
        caps: &case.caps,
        skill: case.skill,
        ..demand(&case.hold, &skills())
    })
}

#[test]
fn allowed_is_hold_met_with_asked_and_caps() {
    let case = Case {
        hold: scope(&["a2a:skill/b/*", "mcp:tool/*{calls<=9}"]),
        asked: Some(scope(&["mcp:tool/search{calls<=5}"])),
        caps: scope(&["mcp:tool/search{calls<=3}", "mcp:tool/read"]),
        skill: Some("plain"),
    };
    let Decision::Allow(allowed) = judge(&case) else { panic!("{:?}", judge(&case)) };
    assert_eq!(allowed.effective, scope(&["mcp:tool/search{calls<=3}"]));
    assert_eq!(allowed.skills, ["plain"]);
}

#[test]
fn refusals_name_what_is_missing() {
    let held = &["a2a:skill/b/*", "mcp:tool/search"];
    let caps = &["mcp:tool/*"];
    let table: Vec<(&str, Case<'_>, DenyRule, &[&str])> = vec![
        (
            "may not invoke",
            Case { hold: scope(&["mcp:tool/**"]), asked: None, caps: scope(caps), skill: Some("plain") },
            DenyRule::MayNotInvoke,
            &["a2a:skill/b/plain"],
        ),
        (
            "holds nothing",
            Case { hold: Scope::empty(), asked: None, caps: scope(caps), skill: None },
            DenyRule::MayNotInvoke,
            &["a2a:skill/b/*"],
        ),
        (
            "requirement beyond the hold",
            Case {
                hold: scope(&["a2a:skill/b/*"]),
                asked: None,
                caps: scope(caps),
                skill: Some("searching"),
            },
            DenyRule::RequirementUnmet,
            &["mcp:tool/search"],
        ),
        (
            "requirement beyond the caps",
            Case { hold: scope(held), asked: None, caps: Scope::empty(), skill: Some("searching") },
            DenyRule::RequirementUnmet,
            &["mcp:tool/search"],
        ),
        (
            "asks for more than it holds",
            Case {
                hold: scope(held),
                asked: Some(scope(&["mcp:tool/read", "mcp:tool/search"])),
                caps: scope(caps),
                skill: Some("plain"),
            },
            DenyRule::AskedExceedsHold,
            &["mcp:tool/read"],
        ),
    ];
    for (what, case, rule, missing) in table {
        let Decision::Deny(denied) = judge(&case) else { panic!("{what}: {:?}", judge(&case)) };
        assert_eq!(
            (denied.rule, denied.missing.as_slice()),
            (rule, missing.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice()),
            "{what}"
        );
        assert!(
            missing.iter().all(|token| denied.explanation.contains(token)),
            "{what}: {}",
            denied.explanation
        );
    }
}

#[test]
fn with_no_skill_named_those_that_are_possible_remain() {
    let possible = |hold: &[&str], caps: &[&str]| match judge(&Case {
        hold: scope(hold),
        asked: None,
        caps: scope(caps),
        skill: None,
    }) {
        Decision::Allow(allowed) => allowed.skills,
        Decision::Deny(denied) => denied.missing,
    };
    assert_eq!(possible(&["a2a:skill/b/*", "mcp:tool/search"], &["mcp:tool/*"]), ["plain", "searching"]);
    assert_eq!(possible(&["a2a:skill/b/*"], &["mcp:tool/*"]), ["plain"]);
    assert_eq!(possible(&["a2a:skill/b/searching"], &["mcp:tool/*"]), ["a2a:skill/b/*"]);
    let top = judge(&Case {
        hold: Scope::top(),
        asked: None,
        caps: scope(&["mcp:tool/*"]),
        skill: Some("searching"),
    });
    assert!(
        matches!(top, Decision::Allow(allowed) if allowed.effective == scope(&["mcp:tool/*"])),
        "a root's agent holds exactly its caps"
    );
}

fn rule(demand: &Demand<'_>) -> Option<DenyRule> {
    match decide(demand) {
        Decision::Allow(_) => None,
        Decision::Deny(denied) => Some(denied.rule),
    }
}

#[test]
fn passing_on_costs_a_hop_and_a_root_is_no_pass() {
    let hold = scope(&["a2a:skill/b/*{hops<=0}", "mcp:tool/x{hops<=1}", "mcp:tool/y{hops<=0}"]);
    let everything = Scope::top();
    let base = Demand { caps: &everything, ..demand(&hold, &[]) };
    let Decision::Allow(allowed) = decide(&base) else { panic!("may be used, not passed on") };
    assert_eq!(allowed.effective, scope(&["mcp:tool/x{hops<=0}"]));
    let Decision::Allow(root) = decide(&Demand { giver: Giver::Principal, ..base }) else { panic!() };
    assert_eq!(root.effective, hold);
    let asked = scope(&["mcp:tool/y{hops<=0}"]);
    assert_eq!(rule(&Demand { asked: Some(&asked), ..base }), Some(DenyRule::AskedExceedsHold));
}

#[test]
fn a_window_opens_and_closes_and_never_opens_again() {
    let hold = scope(&["a2a:skill/b/*{exp<200;nbf>=100}"]);
    let at = |now| rule(&Demand { now, ..demand(&hold, &[]) });
    assert_eq!(at(99), Some(DenyRule::MayNotInvoke));
    assert_eq!((at(100), at(199)), (None, None));
    assert!((200..400).all(|now| at(now) == Some(DenyRule::MayNotInvoke)));
}

#[test]
fn a_rate_says_when_to_come_back() {
    let hold = scope(&["a2a:skill/b/*{rate<=2/60s}"]);
    let use_at = |at| Invocation { agent: "b", skill: Some("plain"), at };
    let with =
        |recent: &[Invocation<'_>]| rule(&Demand { recent, skill: Some("plain"), ..demand(&hold, &[]) });
    assert_eq!(with(&[use_at(30)]), None, "left the window");
    assert_eq!(with(&[use_at(70)]), None);
    assert_eq!(with(&[use_at(70), use_at(90)]), Some(DenyRule::RateExceeded { retry_after: 30 }));
    let elsewhere = Invocation { agent: "c", skill: None, at: 99 };
    assert_eq!(with(&[use_at(70), elsewhere]), None, "another agent's uses do not count");
}

#[test]
fn a_ceiling_that_leaves_too_little_is_no_missing_capability() {
    let hold = scope(&["a2a:skill/b/*{usd<=2.00}", "mcp:tool/search{calls<=3}"]);
    let budget = |usd| Ceilings { usd: Some(usd), ..Ceilings::default() };
    let with = |usd| rule(&Demand { budget: budget(usd), ..demand(&hold, &[]) });
    assert_eq!(with(2_000_000), None);
    assert_eq!(with(2_000_001), Some(DenyRule::BudgetExhausted));
    let empty = scope(&["a2a:skill/b/*{calls<=0}"]);
    assert_eq!(rule(&demand(&empty, &[])), Some(DenyRule::BudgetExhausted));
}

#[test]
fn a_requirement_that_states_no_quantity_is_met_by_any_that_leaves_something() {
    let need = |texts: &[&str]| vec![SkillRequirement { id: "s".to_owned(), requires: scope(texts) }];
    let met = |hold: &[&str], requires: &[&str]| {
        let hold = scope(&[&["a2a:skill/b/*"], hold].concat());
        rule(&Demand { skill: Some("s"), ..demand(&hold, &need(requires)) }).is_none()
    };
    assert!(met(&["mcp:tool/x{calls<=3}"], &["mcp:tool/x"]));
    assert!(!met(&["mcp:tool/x{calls<=0}"], &["mcp:tool/x"]));
    assert!(met(&["mcp:tool/x{calls<=3}"], &["mcp:tool/x{calls<=3}"]));
    assert!(!met(&["mcp:tool/x{calls<=3}"], &["mcp:tool/x{calls<=4}"]));
    assert!(met(&["mcp:tool/x{exp<200}"], &["mcp:tool/x"]));
    assert!(!met(&["mcp:tool/x{exp<100}"], &["mcp:tool/x"]));
    assert!(met(&["mcp:tool/x{rate<=1/60s}"], &["mcp:tool/x"]));
    assert!(!met(&["mcp:tool/x{region=eu}"], &["mcp:tool/x"]), "what is no quantity must be stated");
    assert!(!met(&["mcp:tool/x{amount<=5}"], &["mcp:tool/x"]));
}

#[test]
fn policy_only_narrows() {
    let hold = Scope::top();
    let caps = scope(&["mcp:tool/x", "mcp:tool/y"]);
    let policy = scope(&["a2a:skill/b/*", "mcp:tool/x"]);
    let base = Demand { caps: &caps, policy: Some(&policy), ..demand(&hold, &[]) };
    let Decision::Allow(allowed) = decide(&base) else { panic!() };
    assert_eq!(allowed.effective, scope(&["mcp:tool/x"]));
    assert_eq!(rule(&Demand { agent: "c", ..base }), Some(DenyRule::MayNotInvoke));
}

#[test]
fn what_a_policy_limits_limits_the_first_hop_too() {
    let hold = Scope::top();
    let policy = scope(&["a2a:skill/b/*{exp<200;rate<=1/60s;usd<=5.00}"]);
    let base =
        Demand { giver: Giver::Principal, policy: Some(&policy), skill: Some("plain"), ..demand(&hold, &[]) };
    let Decision::Allow(allowed) = decide(&base) else { panic!() };
    let under: Vec<String> = allowed.under.iter().map(ToString::to_string).collect();
    assert_eq!(
        under,
        ["a2a:skill/b/*{exp<200;rate<=1/60s;usd<=5.00}"],
        "so that its ceiling is reserved with"
    );
    assert_eq!(rule(&Demand { now: 200, ..base }), Some(DenyRule::MayNotInvoke));
    let budget = Ceilings { usd: Some(5_000_001), ..Ceilings::default() };
    assert_eq!(rule(&Demand { budget, ..base }), Some(DenyRule::BudgetExhausted));
    let recent = [Invocation { agent: "b", skill: None, at: 90 }];
    assert_eq!(rule(&Demand { recent: &recent, ..base }), Some(DenyRule::RateExceeded { retry_after: 50 }));
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn nothing_refused_as_expired_is_later_allowed(nbf in 1_u64..50, life in 1_u64..50, first in 0_u64..99, later in 0_u64..60) {
        let exp = nbf + life;
        let hold = scope(&[&format!("a2a:skill/b/*{{exp<{exp};nbf>={nbf}}}")]);
        let refused = |now| rule(&Demand { now, ..demand(&hold, &[]) }).is_some();
        if first >= nbf && refused(first) {
            prop_assert!(refused(first + later));
        }
    }
}
