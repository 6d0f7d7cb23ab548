//! The golden decisions: who may have whom do what, and what the refusal says.

use capability::{Decision, Demand, DenyRule, Scope, SkillRequirement, decide};

fn scope(texts: &[&str]) -> Scope {
    Scope::parse(texts).unwrap()
}

fn skills() -> Vec<SkillRequirement> {
    let skill =
        |id: &str, requires: &[&str]| SkillRequirement { id: id.to_owned(), requires: scope(requires) };
    vec![skill("plain", &[]), skill("searching", &["mcp:tool/search"])]
}

struct Case<'a> {
    hold: Scope,
    asked: Option<Scope>,
    caps: Scope,
    skill: Option<&'a str>,
}

fn judge(case: &Case<'_>) -> Decision {
    decide(&Demand {
        hold: &case.hold,
        asked: case.asked.as_ref(),
        caps: &case.caps,
        policy: None,
        agent: "b",
        skill: case.skill,
        skills: &skills(),
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
