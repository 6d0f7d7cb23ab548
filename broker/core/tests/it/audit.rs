//! The audit log: no change to it goes unnoticed, and every decision in it can be made again.

use broker_core::audit::{
    Alike, AuthenticationFailed, By, Entry, Event, Fault, Forbidden, Granted, Head, Presented, Problem,
    Repeats, Report, Resolved, Verdict, Verifier,
};
use broker_core::delegation::input::{AttemptId, Failure, Input, NewGrant, NewTask, RetryWish};
use broker_core::journal::Resolution;
use broker_core::{Refusal, Timestamp};
use capability::Scope;
use proptest::prelude::*;
use sha2::Digest;

use super::escalation::escalated;
use super::world::{AGENTS, World, candidate};

/// A wish to delegate: which agent, for whom, asking for what.
type Wish = (usize, usize, Option<usize>, bool);

const ASKED: [&[&str]; 4] =
    [&[], &["a2a:skill/c/work"], &["a2a:skill/**", "mcp:tool/search{calls<=3}"], &["pay:invoice/*"]];

/// Holds that are used too often, and used up.
const LIMITED: [&str; 2] = ["a2a:skill/**{hops<=3;rate<=3/60s}", "a2a:skill/**{calls<=20;fanout<=6;hops<=2}"];

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    prop::collection::vec(
        (0..AGENTS.len(), 0_usize..8, prop::option::of(0..ASKED.len()), any::<bool>()),
        1..14,
    )
}

fn new_task(world: &mut World, (agent, parent, asked, named): Wish) -> NewTask {
    let tasks = world.tasks();
    let parent = (!tasks.is_empty()).then(|| tasks[parent % tasks.len()]);
    let mut new = world.new_task(parent, AGENTS[agent], RetryWish::default());
    if parent.is_none() && named {
        new.held = Scope::parse([LIMITED[agent % 2]]).unwrap();
    }
    if asked == Some(0) {
        new.budget.calls = Some(2);
    }
    new.asked = asked.map(|asked| Scope::parse(ASKED[asked]).unwrap());
    new.skill = named.then(|| "work".to_owned());
    new
}

/// What a tree wants recorded while it grows by these wishes.
fn events(wishes: &[Wish]) -> Vec<Event> {
    let mut world = World::new();
    let mut events = Vec::new();
    for wish in wishes {
        let input = Input::Delegate(Box::new(new_task(&mut world, *wish)));
        match world.tree.decide(input.clone(), world.now, &world.limits) {
            Ok(decision) => events.extend(decision.audit),
            Err(refused) => events.extend(refused.audit.map(|event| *event)),
        }
        let _ = world.feed(input);
    }
    events.push(Event::AuthenticationFailed(AuthenticationFailed::new(Presented::Key, "unknown")));
    events
}

/// The lines of an export: entries, then the head.
fn export(events: &[Event]) -> Vec<Vec<u8>> {
    let mut head = Head::default();
    let mut lines: Vec<String> = Vec::new();
    for (at, event) in (1_000_000..).zip(events) {
        lines.push(head.seal(&Entry::new(Timestamp::from_millis(at), event).unwrap()));
    }
    lines.push(head.line());
    lines.into_iter().map(|line| format!("{line}\n").into_bytes()).collect()
}

fn verify_as(mut verifier: Verifier, bytes: &[u8]) -> Result<Report, Fault> {
    bytes.split_inclusive(|byte| *byte == b'\n').try_for_each(|line| verifier.line(line))?;
    verifier.finish()
}

fn verify(lines: &[Vec<u8>]) -> Result<Report, Fault> {
    verify_as(Verifier::after(Head::default()), &lines.concat())
}

fn head_after(lines: &[Vec<u8>], n: usize) -> Head {
    n.checked_sub(1).map_or_else(Head::default, |last| {
        Head::at(n as u64, lines[last].strip_suffix(b"\n").unwrap()).unwrap()
    })
}

#[derive(Debug, Clone)]
enum Mutation {
    Flip {
        at: usize,
        with: u8,
    },
    RemoveByte {
        at: usize,
    },
    InsertByte {
        at: usize,
        byte: u8,
    },
    RemoveLines {
        from: usize,
        count: usize,
    },
    Swap {
        one: usize,
        other: usize,
    },
    Repeat {
        line: usize,
        to: usize,
    },
    /// An entry with a hash and a predecessor of its own that fit, put in or put in another's place.
    Forge {
        at: usize,
        instead: bool,
    },
    CutBytes {
        keep: usize,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
    prop_oneof![
        (at(), 1_u8..=255).prop_map(|(at, with)| Mutation::Flip { at, with }),
        at().prop_map(|at| Mutation::RemoveByte { at }),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::InsertByte { at, byte }),
        (at(), 1_usize..4).prop_map(|(from, count)| Mutation::RemoveLines { from, count }),
        (at(), at()).prop_map(|(one, other)| Mutation::Swap { one, other }),
        (at(), at()).prop_map(|(line, to)| Mutation::Repeat { line, to }),
        (at(), any::<bool>()).prop_map(|(at, instead)| Mutation::Forge { at, instead }),
        at().prop_map(|keep| Mutation::CutBytes { keep }),
    ]
}

fn mutate(lines: &[Vec<u8>], mutation: &Mutation) -> Vec<u8> {
    let mut lines = lines.to_vec();
    let (count, total) = (lines.len(), lines.concat().len());
    let bytes_with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = lines.concat();
        change(&mut bytes);
        bytes
    };
    match *mutation {
        Mutation::Flip { at, with } => return bytes_with(&|bytes| bytes[at % total] ^= with),
        Mutation::RemoveByte { at } => {
            return bytes_with(&|bytes| {
                bytes.remove(at % total);
            });
        }
        Mutation::InsertByte { at, byte } => {
            return bytes_with(&|bytes| bytes.insert(at % (total + 1), byte));
        }
        Mutation::CutBytes { keep } => return bytes_with(&|bytes| bytes.truncate(keep % total)),
        Mutation::RemoveLines { from, count: length } => {
            let from = from % count;
            lines.drain(from..(from + length).min(count));
        }
        Mutation::Swap { one, other } => lines.swap(one % count, other % count),
        Mutation::Repeat { line, to } => lines.insert(to % (count + 1), lines[line % count].clone()),
        Mutation::Forge { at, instead } => {
            let at = at % count;
            let event =
                Event::Forbidden(Forbidden { by: By::Principal("x".to_owned()), act: "y".to_owned() });
            let mut head = head_after(&lines, at);
            let forged = head.seal(&Entry::new(Timestamp::from_millis(0), &event).unwrap());
            lines.splice(at..at + usize::from(instead), [format!("{forged}\n").into_bytes()]);
        }
    }
    lines.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_change_is_found(wishes in wishes(), mutation in mutation()) {
        let lines = export(&events(&wishes));
        let changed = mutate(&lines, &mutation);
        prop_assume!(changed != lines.concat());
        let found = verify_as(Verifier::after(Head::default()), &changed);
        prop_assert!(found.is_err(), "{mutation:?} went unnoticed: {found:?}");
    }

    #[test]
    fn a_log_as_written_is_in_order_and_every_decision_in_it_can_be_made_again(wishes in wishes()) {
        let events = events(&wishes);
        let report = verify(&export(&events)).unwrap();
        prop_assert_eq!(report.entries, events.len() as u64);
        prop_assert_eq!(report.unread, 0);
        let verdicts = events.iter().filter_map(|event| match event {
            Event::Delegation(asked) => asked.judged.as_ref(),
            _ => None,
        });
        let allowed = verdicts.clone().filter(|judged| matches!(judged.verdict, Verdict::Allowed { .. })).count();
        prop_assert_eq!(report.allowed, allowed as u64);
        prop_assert_eq!(report.denied, (verdicts.count() - allowed) as u64);
    }
}

fn sample() -> Vec<Event> {
    events(&[(0, 0, None, false), (1, 0, Some(2), true), (2, 1, Some(3), false), (0, 1, None, false)])
}

#[test]
fn a_flipped_byte_is_named_by_its_entry() {
    let lines = export(&sample());
    for (index, line) in lines[..lines.len() - 1].iter().enumerate() {
        for at in 0..line.len() {
            let mut changed = lines.clone();
            changed[index][at] ^= 1;
            let fault = verify(&changed).unwrap_err();
            assert_eq!(fault.entry, index as u64 + 1, "byte {at}: {fault}");
        }
    }
}

#[test]
fn a_tail_cut_off_with_its_head_rewritten_is_found_by_a_head_kept_elsewhere_and_only_so() {
    let lines = export(&sample());
    let known = head_after(&lines, lines.len() - 1);
    let mut cut = lines[..lines.len() - 2].to_vec();
    cut.push(format!("{}\n", head_after(&lines, cut.len()).line()).into_bytes());
    assert!(verify(&cut).is_ok(), "the limit that is documented");
    let knowing = |head| Verifier::after(Head::default()).knowing(head);
    let missing = verify_as(knowing(known), &cut.concat()).unwrap_err();
    assert_eq!(missing.problem, Problem::KnownHeadMissing(known));
    // An older head, and the present one, are in the whole log.
    for n in 0..lines.len() {
        assert!(verify_as(knowing(head_after(&lines, n)), &lines.concat()).is_ok(), "{n}");
    }
    let other = Head { n: 2, hash: known.hash };
    assert!(verify_as(knowing(other), &lines.concat()).is_err(), "another entry 2 than the one noted");
}

#[test]
fn a_later_part_is_judged_from_the_head_before_it_and_never_passes_for_a_whole_log() {
    let lines = export(&sample());
    let part = lines[2..].concat();
    let report = verify_as(Verifier::after(head_after(&lines, 2)), &part).unwrap();
    assert_eq!((report.entries, report.head.n), (lines.len() as u64 - 3, lines.len() as u64 - 1));
    assert_eq!(verify(&lines[2..]).unwrap_err().problem, Problem::OutOfOrder(3));
    let wrong = Head { n: 2, hash: head_after(&lines, 1).hash };
    assert!(matches!(
        verify_as(Verifier::after(wrong), &part).unwrap_err().problem,
        Problem::Detached { .. }
    ));
}

#[test]
fn a_verdict_that_does_not_follow_from_its_facts_is_found_though_the_chain_is_whole() {
    let mut events = sample();
    let Event::Delegation(refused) = &mut events[2] else { panic!("{events:?}") };
    let judged = refused.judged.as_mut().unwrap();
    assert!(matches!(judged.verdict, Verdict::Denied { .. }));
    judged.hold = Scope::top();
    judged.asked = None;
    let fault = verify(&export(&events)).unwrap_err();
    assert_eq!(fault.entry, 3);
    assert!(matches!(fault.problem, Problem::OtherVerdict { .. }), "{fault}");
}

#[test]
fn what_a_later_build_adds_is_covered_by_the_chain_and_passed_over() {
    let mut head = Head::default();
    let entry = Entry::new(Timestamp::from_millis(0), &sample()[0]).unwrap();
    let line = head.seal(&entry);
    // The same entry with a member, and a kind of event, nobody knows yet: sealed as that build would.
    let with = |from: &str, to: &str| {
        let body = line.split(",\"hash\"").next().unwrap().replacen(from, to, 1);
        let hash = broker_core::audit::Hash(sha2::Sha256::digest(format!("{body}}}")).into());
        let head = Head { n: 1, hash };
        format!("{body},\"hash\":\"{hash}\"}}\n{}\n", head.line())
    };
    let read = |text: String| verify_as(Verifier::after(Head::default()), text.as_bytes());
    let added = read(with("\"judged\":{", "\"colour\":7,\"judged\":{\"mood\":null,")).unwrap();
    assert_eq!((added.allowed, added.unread), (1, 0));
    assert_eq!(read(with("{\"delegation\":", "{\"delegation_of_tomorrow\":")).unwrap().unread, 1);
    assert_eq!(read(with("\"v\":1", "\"v\":2")).unwrap_err().problem, Problem::Newer(2));
}

#[test]
fn guards_and_dead_parents_are_recorded_with_what_authority_said_before() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let refuse = |world: &mut World, parent, agent| {
        let new = Box::new(world.new_task(Some(parent), agent, RetryWish::default()));
        let refused = world.tree.decide(Input::Delegate(new), world.now, &world.limits).unwrap_err();
        let Some(Event::Delegation(asked)) = refused.audit.map(|event| *event) else { panic!("no entry") };
        (refused.refusal, *asked)
    };
    let (refusal, asked) = refuse(&mut world, root, "a");
    assert!(matches!(refusal, Refusal::Cycle { .. }));
    assert!(
        matches!(asked.judged.unwrap().verdict, Verdict::Allowed { .. }),
        "authority had nothing against it"
    );
    let reason = asked.refused.unwrap();
    assert!(reason.code == "CYCLE" && reason.why.unwrap().contains("cycle"));
    assert_eq!(asked.by, By::Task { id: root, agent: Some("alice".to_owned()) });
    assert_eq!(asked.owner.as_deref(), Some("alice"));

    let decision =
        world.tree.decide(Input::Revoke { task: root, by: "alice".to_owned() }, world.now, &world.limits);
    let decision = decision.unwrap();
    assert!(matches!(decision.audit.as_slice(), [Event::Revoked(revoked)] if revoked.task == root));
    world.feed(Input::Revoke { task: root, by: "alice".to_owned() }).unwrap();
    let (refusal, asked) = refuse(&mut world, root, "b");
    assert_eq!((refusal, asked.judged), (Refusal::NotFound, None));
    assert_eq!(asked.refused.unwrap().code, "NOT_FOUND");
}

fn failed(reason: &str) -> Event {
    Event::AuthenticationFailed(AuthenticationFailed::new(Presented::Token, reason))
}

#[test]
fn of_refusals_alike_the_first_is_recorded_and_the_rest_are_counted() {
    let at = Timestamp::from_millis;
    let mut repeats = Repeats::new(10_000);
    assert!(repeats.admit(&failed("not a grant: x"), at(0)));
    for moment in 1..=57 {
        assert!(
            !repeats.admit(&failed(&format!("not a grant: {moment}")), at(moment)),
            "what varies is from outside"
        );
    }
    assert!(repeats.admit(&failed("the grant has expired"), at(60)), "another reason");
    assert!(repeats.settle(at(9_999), false).is_empty(), "the window is not over");
    let counted = repeats.settle(at(10_000), false);
    let [Event::Repeated(counted)] = counted.as_slice() else { panic!("{counted:?}") };
    let like = Alike::AuthenticationFailed { presented: Presented::Token, reason: "not a grant".to_owned() };
    assert_eq!((&counted.like, counted.more), (&like, 57));
    assert_eq!((counted.since, counted.until), (at(0), at(57)));
    assert!(repeats.admit(&failed("not a grant: x"), at(10_001)), "a new window");
    assert!(repeats.settle(at(10_002), true).is_empty(), "nothing was counted only");

    let mut off = Repeats::new(0);
    assert!((0..3).all(|moment| off.admit(&failed("x"), at(moment))), "without a window each is recorded");
}

#[test]
fn many_kinds_of_refusals_do_not_help_to_fill_the_disk() {
    let mut repeats = Repeats::new(10_000);
    let now = Timestamp::from_millis(0);
    let written = (0..10_000).filter(|kind| repeats.admit(&failed(&format!("reason {kind}")), now)).count();
    assert_eq!(written, 256);
    let counted = repeats.settle(now, true);
    let others = counted.iter().find_map(|event| match event {
        Event::Repeated(repeated) if repeated.like == Alike::Others => Some(repeated.more),
        _ => None,
    });
    assert_eq!((counted.len(), others), (1, Some(10_000 - 256)));
}

#[test]
fn what_a_rate_counts_is_in_the_entry_and_gives_the_same_verdict_again() {
    let wishes =
        [(0, 0, None, true), (1, 0, None, true), (2, 0, None, true), (3, 0, None, true), (4, 0, None, true)];
    let events = events(&wishes);
    let codes: Vec<Option<&str>> = events
        .iter()
        .filter_map(|event| match event {
            Event::Delegation(asked) => Some(asked.refused.as_ref().map(|refused| refused.code.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(codes, [None, None, None, None, Some("RATE_EXCEEDED")]);
    let Some(Event::Delegation(refused)) = events.get(4) else { panic!("{events:?}") };
    assert_eq!(refused.judged.as_ref().unwrap().recent.len(), 3);
    let report = verify(&export(&events)).unwrap();
    assert_eq!((report.allowed, report.denied), (4, 1));
}

#[test]
fn who_granted_what_was_missing_and_who_denied_it_is_recorded_with_what_was_granted() {
    for approve in [true, false] {
        let mut world = World::new();
        let (root, _, child) = escalated(&mut world);
        let id = world.fresh();
        let grant = approve.then(|| Box::new(NewGrant { id, to: candidate("d") }));
        let input = Input::Decide { task: child, grant, by: "alice".to_owned() };
        let decision = world.tree.decide(input, world.now, &world.limits).unwrap();
        let Some(Event::Approval(approval)) = decision.audit.last() else { panic!("{:?}", decision.audit) };
        assert_eq!((approval.by.as_str(), approval.root, approval.task), ("alice", root, child));
        assert_eq!(
            (approval.agent.as_str(), approval.missing.as_slice()),
            ("d", ["a2a:skill/d/*".to_owned()].as_slice())
        );
        if !approve {
            assert_eq!((decision.audit.len(), &approval.granted), (1, &None));
            continue;
        }
        let [Event::Delegation(delegation), Event::Approval(_)] = decision.audit.as_slice() else {
            panic!("{:?}", decision.audit)
        };
        let Some(Verdict::Allowed { effective, .. }) =
            delegation.judged.as_ref().map(|judged| &judged.verdict)
        else {
            panic!("{delegation:?}")
        };
        let granted = Granted { task: id, holder: root, scope: effective.clone() };
        assert_eq!(approval.granted.as_ref(), Some(&granted), "what was granted is what authority allowed");
        assert_eq!((delegation.task, delegation.parent), (id, Some(root)));
        let report = verify(&export(&decision.audit)).unwrap();
        assert_eq!((report.entries, report.allowed, report.unread), (2, 1, 0));
    }
}

#[test]
fn what_an_operator_decides_about_an_unknown_outcome_is_recorded_and_what_is_refused_is_not() {
    let mut world = World::new();
    let task = world.delegate(None, "a").unwrap();
    let resolve = |world: &World| {
        let input = Input::Resolve { task, resolution: Resolution::Retry, by: "op".to_owned() };
        world.tree.decide(input, world.now, &world.limits)
    };
    assert!(resolve(&world).is_err_and(|refused| refused.audit.is_none()));
    world.fail(AttemptId { task, number: 1 }, Failure::Broken("cut".to_owned()));
    world.fail(AttemptId { task, number: 1 }, Failure::Unreachable("no answer".to_owned()));
    let expected = Resolved {
        by: "op".to_owned(),
        root: task,
        task,
        agent: "a".to_owned(),
        attempt: 1,
        resolution: Resolution::Retry,
    };
    let decision = resolve(&world).unwrap();
    assert!(
        matches!(decision.audit.as_slice(), [Event::Resolved(said)] if *said == expected),
        "{:?}",
        decision.audit
    );
    assert_eq!(verify(&export(&decision.audit)).unwrap().unread, 0);
}
