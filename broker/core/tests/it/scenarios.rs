//! Named scenarios: one rule each, where a history would hide it.

use broker_core::delegation::input::{AttemptId, Failure, Input, RetryWish};
use broker_core::{Refusal, Told};
use capability::Scope;
use protocol::{Message, Part, StreamResponse, Task, TaskState};

use super::world::{World, artifact, snapshot, update};

fn first(task: broker_core::TaskId) -> AttemptId {
    AttemptId { task, number: 1 }
}

#[test]
fn a_completed_parent_is_held_until_its_last_child_settles_whatever_the_outcome() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    assert_eq!(world.state(root), TaskState::Working, "the first child is a sign of work");
    world.say(first(root), update(first(root), TaskState::Completed, Some("done")));
    assert_eq!(world.state(root), TaskState::Working);
    assert!(matches!(world.delegate(Some(root), "c"), Err(Refusal::NotPossible(_))), "it delegates no more");
    world.crash();
    world.say(first(child), update(first(child), TaskState::Failed, None));
    assert_eq!(world.state(root), TaskState::Completed);
    assert_eq!(world.tree.task(root, None).unwrap().status.message.unwrap().joined_text(), "done");
}

#[test]
fn a_failing_parent_revokes_first_then_cancels_then_reports() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    world.say(first(child), update(first(child), TaskState::Working, None));
    world.say(first(root), update(first(root), TaskState::Failed, Some("no")));
    assert_eq!(world.state(root), TaskState::Working, "not reported before the child is down");
    assert!(!world.tree.is_granted(root) && !world.tree.is_granted(child), "revoked at once");
    assert_eq!(world.canceling, [first(child)]);
    assert_eq!(world.delegate(Some(child), "c"), Err(Refusal::NotFound));
    world.feed(Input::CancelAnswered { attempt: first(child), confirmed: true, reason: None }).unwrap();
    assert_eq!((world.state(child), world.state(root)), (TaskState::Canceled, TaskState::Failed));
}

#[test]
fn one_revocation_kills_the_grants_of_the_whole_subtree_and_nothing_else() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    let below = world.delegate(Some(child), "c").unwrap();
    let records = world.journal.len();
    world.feed(Input::Revoke { task: child, by: "alice".to_owned() }).unwrap();
    world.feed(Input::Revoke { task: child, by: "alice".to_owned() }).unwrap();
    assert_eq!(
        world.journal.len(),
        records + 1,
        "one write, however deep the subtree and however often asked"
    );
    world.crash();
    assert!(world.tree.is_granted(root));
    assert!(!world.tree.is_granted(child) && !world.tree.is_granted(below));
    assert_eq!(world.delegate(Some(below), "d"), Err(Refusal::NotFound), "a dead grant opens nothing");
    world.say(first(below), update(first(below), TaskState::Completed, None));
    assert_eq!(world.state(below), TaskState::Completed, "work that was begun goes on");
}

#[test]
fn a_narrowed_grant_bounds_what_its_holder_can_pass_on() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let mut new = world.new_task(Some(root), "b", RetryWish::default());
    new.held = Scope::parse(["a2a:skill/b/*", "mcp:tool/search{calls<=2}"]).unwrap();
    let child = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    assert_eq!(world.tree.summary(child).unwrap().scope, ["a2a:skill/b/*", "mcp:tool/search{calls<=2}"]);
    let mut new = world.new_task(Some(root), "c", RetryWish::default());
    new.held = Scope::parse(["a2a:skill/b/*"]).unwrap();
    let refused = world.feed(Input::Delegate(Box::new(new)));
    assert!(matches!(refused, Err(Refusal::CapabilityExceeded { .. })), "{refused:?}");
}

#[test]
fn an_unconfirmed_cancel_says_so() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    world.say(first(root), update(first(root), TaskState::Working, None));
    world.feed(Input::Cancel { task: root, by: "alice".to_owned() }).unwrap();
    assert_eq!(world.state(root), TaskState::Working);
    world.now = world.now.add_millis(world.limits.cancel_ms);
    world.feed(Input::Tick).unwrap();
    assert_eq!(world.state(root), TaskState::Canceled);
    let text = world.tree.task(root, None).unwrap().status.message.unwrap().joined_text();
    assert!(text.contains("canceled by alice") && text.contains("has not confirmed"), "{text}");
}

#[test]
fn authority_is_judged_before_the_guards_and_the_guards_hold() {
    let mut world = World::new();
    let root = world.delegate(None, "d").unwrap();
    let refused = world.delegate(Some(root), "a");
    assert!(
        matches!(&refused, Err(Refusal::CapabilityExceeded { missing, .. }) if missing == &["a2a:skill/a/*"]),
        "{refused:?}"
    );
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    assert!(matches!(world.delegate(Some(child), "a"), Err(Refusal::Cycle { .. })));
    for _ in 0..4 {
        world.delegate(Some(root), "f").unwrap();
    }
    assert!(matches!(world.delegate(Some(root), "f"), Err(Refusal::FanoutExceeded { limit: 5 })));
    assert_eq!(world.tasks().len(), 6, "refusals make no child");
    world.limits.max_fanout = 100;
    for (live, all, expected) in [(6, 99, "open tasks"), (99, 6, "tasks in all")] {
        (world.limits.max_live_tasks, world.limits.max_tree_tasks) = (live, all);
        let refused = world.delegate(Some(root), "f");
        let is_so = |what: &str| what.starts_with(expected);
        assert!(
            matches!(&refused, Err(Refusal::TreeTooLarge { limit: 6, what }) if is_so(what)),
            "{refused:?}"
        );
    }
}

#[test]
fn a_direct_message_is_direct_only_if_nothing_was_shown_before() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    assert_eq!(world.tree.told(root), Told::Nothing);
    world.say(first(root), StreamResponse::Message(Message::agent_text("x", "hi")));
    assert_eq!(world.tree.told(root), Told::Message);

    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    world.say(first(root), StreamResponse::Message(Message::agent_text("x", "hi")));
    assert_eq!(world.state(root), TaskState::Working, "held");
    world.say(first(child), update(first(child), TaskState::Completed, None));
    assert_eq!((world.state(root), world.tree.told(root)), (TaskState::Completed, Told::Task));
}

#[test]
fn what_comes_after_the_end_is_noted_and_not_shown() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    world.say(first(root), artifact(first(root), "one", false));
    world.say(first(root), update(first(root), TaskState::Completed, None));
    let shown = format!("{:?}", world.tree.task(root, None));
    for state in [TaskState::Failed, TaskState::Completed] {
        world.say(first(root), update(first(root), state, Some("again")));
    }
    world.say(first(root), artifact(first(root), "two", false));
    assert_eq!(shown, format!("{:?}", world.tree.task(root, None)));
    for _ in 0..100 {
        world.say(first(root), artifact(first(root), "flood", false));
    }
    assert!(world.journal.len() < 30, "late facts are bounded: {}", world.journal.len());
}

#[test]
fn an_answered_question_is_not_asked_again_and_a_lost_answer_is_sent_again() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    world.say(first(root), update(first(root), TaskState::InputRequired, Some("colour?")));
    assert_eq!(world.state(root), TaskState::InputRequired);
    let turn = Box::new(Message::user_text("t", "blue"));
    world.feed(Input::Turn { task: root, message: turn, push: None }).unwrap();
    assert_eq!(world.state(root), TaskState::Working);
    // The agent's stream begins with the task as it was.
    let stale = snapshot(first(root), TaskState::InputRequired, Some("colour?"));
    world.say(first(root), StreamResponse::Task(stale.clone()));
    assert_eq!(world.state(root), TaskState::Working);
    world.crash();
    let sent = world.sent.len();
    world.feed(world.found(first(root), stale)).unwrap();
    assert_eq!(world.sent.len(), sent + 1, "the agent never got the answer");
    assert_eq!(world.sent[sent], world.sent[sent - 1], "under the same message id");
}

#[test]
fn an_answer_of_the_agent_that_is_older_than_the_callers_says_nothing_about_it() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let at = first(root);
    world.say(at, update(at, TaskState::AuthRequired, Some("sign in")));
    world.fail(at, Failure::Broken("reset".to_owned()));
    let older = world.found(at, snapshot(at, TaskState::AuthRequired, Some("sign in")));
    let turn = Box::new(Message::user_text("turn", "done"));
    world.feed(Input::Turn { task: root, message: turn, push: None }).unwrap();
    world.feed(older).unwrap();
    assert_eq!(world.sent, [format!("m{root}.{root}.1"), format!("turn.{root}.1")], "each is sent once");
}

#[test]
fn further_messages_go_out_one_at_a_time_and_one_that_got_lost_is_sent_again() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let at = first(root);
    let turn = |world: &mut World, id: &str| {
        world.feed(Input::Turn { task: root, message: Box::new(Message::user_text(id, "hurry")), push: None })
    };
    world.say(at, update(at, TaskState::Working, None));
    turn(&mut world, "t1").unwrap();
    assert!(
        matches!(turn(&mut world, "t2"), Err(Refusal::NotPossible(_))),
        "the first may be on its way still"
    );
    world.crash();
    let mut found = snapshot(at, TaskState::Working, None);
    found.history = vec![Message::user_text(format!("m{root}.{root}.1"), "do it")];
    world.feed(world.found(at, found.clone())).unwrap();
    assert_eq!(world.sent[1..], [format!("t1.{root}.1"), format!("t1.{root}.1")], "it is not there");
    found.history.push(Message::user_text(format!("t1.{root}.1"), "hurry"));
    world.feed(world.found(at, found)).unwrap();
    assert_eq!(world.sent.len(), 3, "it is there");
    turn(&mut world, "t2").unwrap();
    assert!(turn(&mut world, "t3").is_err());
    world.feed(world.taken(at)).unwrap();
    turn(&mut world, "t3").unwrap();
    assert_eq!(world.sent[3..], [format!("t2.{root}.1"), format!("t3.{root}.1")]);
}

#[test]
fn unknown_is_not_sent_again_unless_declared_idempotent() {
    let mut world = World::new();
    world.limits.unknown_hold_ms = 0;
    let root = world.delegate(None, "a").unwrap();
    world.fail(first(root), Failure::Broken("reset".to_owned()));
    assert!(world.tree.is_open(), "a transport error is not the task's failure");
    world.fail(first(root), Failure::Absent { conclusive: false });
    assert_eq!((world.state(root), world.sent.len()), (TaskState::Failed, 1));
    let text = world.tree.task(root, None).unwrap().status.message.unwrap().joined_text();
    assert!(text.contains("the outcome is unknown"), "{text}");
}

#[test]
fn an_answer_that_cannot_be_sent_waits_and_never_begins_the_task_again() {
    for asking in [TaskState::InputRequired, TaskState::AuthRequired] {
        let mut world = World::new();
        let root = world.delegate(None, "a").unwrap();
        let at = first(root);
        world.say(at, update(at, asking, Some("which?")));
        let turn = Box::new(Message::user_text("turn", "blue"));
        world.feed(Input::Turn { task: root, message: turn, push: None }).unwrap();
        world.fail(at, Failure::NeverSent("connection refused".to_owned()));
        assert!(world.tree.is_live(at), "the agent has the task, and its attempt goes on");
        assert_eq!(world.state(root), TaskState::Working);
        assert_eq!(world.listening, [at], "it is asked how the task stands");
        world.feed(world.found(at, snapshot(at, asking, Some("which?")))).unwrap();
        let (message, turn) = (format!("m{root}.{root}.1"), format!("turn.{root}.1"));
        assert_eq!(world.sent, [message, turn.clone(), turn], "the answer is sent again, the task is not");
    }
}

#[test]
fn what_is_kept_is_bounded_whatever_it_hangs_on_and_what_is_known_counts_once() {
    let mut world = World::new();
    world.limits.max_task_bytes = 20_000;
    let root = world.delegate(None, "a").unwrap();
    let at = first(root);
    let noise = |number: usize| {
        let mut status = update(at, TaskState::Working, None);
        if let StreamResponse::StatusUpdate(update) = &mut status {
            update.metadata.set("noise", &format!("{number}{}", "x".repeat(1_000))).unwrap();
        }
        status
    };
    (0..100).for_each(|number| world.say(at, noise(number)));
    assert_eq!(world.state(root), TaskState::Failed, "metadata counts");
    assert!(world.journal.len() < 40, "{}", world.journal.len());

    let mut world = World::new();
    world.limits.max_task_bytes = 20_000;
    let root = world.delegate(None, "a").unwrap();
    let at = first(root);
    let mut found = snapshot(at, TaskState::Working, None);
    let StreamResponse::ArtifactUpdate(large) = artifact(at, &"x".repeat(4_000), false) else { return };
    found.artifacts.push(large.artifact);
    for _ in 0..10 {
        world.feed(world.found(at, found.clone())).unwrap();
    }
    assert_eq!(world.state(root), TaskState::Working, "nothing of it was new");
    let records = world.journal.len();
    found.history =
        (0..20).map(|number| Message::agent_text(format!("m{number}"), &"y".repeat(1_000))).collect();
    world.feed(world.found(at, found)).unwrap();
    assert_eq!(world.state(root), TaskState::Failed, "a history counts");
    assert!(world.journal.len() < records + 5);
}

#[test]
fn what_was_completed_in_time_is_completed_though_its_delegations_were_not() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let child = world.delegate(Some(root), "b").unwrap();
    world.say(first(child), update(first(child), TaskState::Working, None));
    world.say(first(root), update(first(root), TaskState::Completed, Some("done")));
    world.now = world.now.add_millis(world.limits.default_deadline_ms + world.limits.cancel_ms);
    for _ in 0..4 {
        world.feed(Input::Tick).unwrap();
        world.now = world.now.add_millis(world.limits.cancel_ms);
    }
    assert!(!world.tree.is_open());
    assert_eq!((world.state(child), world.state(root)), (TaskState::Canceled, TaskState::Completed));
}

#[test]
fn a_poll_that_finds_nothing_new_says_nothing_also_while_a_question_from_below_is_shown() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    let middle = world.delegate(Some(root), "b").unwrap();
    let child = world.delegate(Some(middle), "c").unwrap();
    world.say(first(root), update(first(root), TaskState::Working, Some("at it")));
    world.say(first(child), update(first(child), TaskState::InputRequired, Some("colour?")));
    world.say(first(middle), update(first(middle), TaskState::Completed, Some("done")));
    assert_eq!(world.state(root), TaskState::InputRequired);
    let records = world.journal.len();
    for _ in 0..5 {
        world
            .feed(world.found(first(root), snapshot(first(root), TaskState::Working, Some("at it"))))
            .unwrap();
    }
    assert_eq!(world.journal.len(), records);
}

#[test]
fn an_agent_that_is_found_as_it_was_is_lost_no_longer() {
    for was_unknown in [false, true] {
        let mut world = World::new();
        let root = world.delegate(None, "b").unwrap();
        let state = |world: &World| world.tree.summary(root).unwrap().attempts[0].state;
        world.say(first(root), update(first(root), TaskState::Working, None));
        world.fail(first(root), Failure::Broken("reset".to_owned()));
        if was_unknown {
            world.fail(first(root), Failure::Unreachable("no answer".to_owned()));
        }
        assert_eq!(state(&world), if was_unknown { "unknown_outcome" } else { "lost" });
        world.now = world.now.add_millis(1_000);
        world.feed(world.found(first(root), snapshot(first(root), TaskState::Working, None))).unwrap();
        assert_eq!(state(&world), "accepted");
        let silent = world.now.add_millis(world.limits.silence_ms);
        assert_eq!(world.tree.next_timer(&world.limits), Some(silent), "nobody has to decide anything");
        if was_unknown {
            let note = world.tree.task(root, None).unwrap().status.message.unwrap().joined_text();
            assert!(note.contains("b answers again"), "{note}");
        }
        let records = world.journal.len();
        world.feed(world.found(first(root), snapshot(first(root), TaskState::Working, None))).unwrap();
        assert_eq!(world.journal.len(), records, "once");
    }
}

#[test]
fn a_task_that_waits_for_a_place_is_told_as_a_task_and_its_agents_one_message_as_its_end() {
    let mut world = World::new();
    let mut new = world.new_task(None, "a", RetryWish::default());
    new.admitted = false;
    let root = new.id;
    world.feed(Input::Delegate(Box::new(new))).unwrap();
    assert_eq!((world.state(root), world.tree.told(root)), (TaskState::Submitted, Told::Task));
    world.crash();
    world.feed(Input::Admitted { attempt: first(root) }).unwrap();
    assert_eq!(world.tree.told(root), Told::Task, "what was told stays told");
    world.say(first(root), StreamResponse::Message(Message::agent_text("x", "hi")));
    assert_eq!((world.state(root), world.tree.told(root)), (TaskState::Completed, Told::Task));
    assert!(world.tree.direct_answer(root).is_none());
    assert_eq!(world.tree.task(root, None).unwrap().status.message.unwrap().joined_text(), "hi");
}

#[test]
fn another_attempt_that_passes_through_the_queue_is_told_to_nobody() {
    let mut world = World::new();
    let root = world.delegate(None, "a").unwrap();
    world.fail(first(root), Failure::NeverSent("connection refused".to_owned()));
    world.now = world.tree.next_timer(&world.limits).unwrap();
    world.feed(Input::Tick).unwrap();
    assert_eq!(world.tree.told(root), Told::Nothing);
    let second = AttemptId { task: root, number: 2 };
    world.feed(Input::Admitted { attempt: second }).unwrap();
    world.say(second, StreamResponse::Message(Message::agent_text("x", "hi")));
    assert_eq!(world.tree.told(root), Told::Message, "it passes as exactly that");
}

/// The agent's task with one artifact of so many parts, or of one part that long.
fn with_artifact(at: AttemptId, kilobytes: usize, grows_by_parts: bool) -> Task {
    let mut found = snapshot(at, TaskState::Working, None);
    let StreamResponse::ArtifactUpdate(mut update) = artifact(at, "report", false) else { return found };
    let (parts, length) = if grows_by_parts { (kilobytes, 1) } else { (1, kilobytes) };
    update.artifact.parts = vec![Part::text(&"x".repeat(length * 1_000)); parts];
    found.artifacts.push(update.artifact);
    found
}

#[test]
fn an_artifact_that_grows_while_it_is_polled_counts_and_is_written_once() {
    for grows_by_parts in [true, false] {
        let mut world = World::new();
        world.limits.max_task_bytes = 100_000;
        let root = world.delegate(None, "a").unwrap();
        for kilobytes in 1..=50 {
            let found = with_artifact(first(root), kilobytes, grows_by_parts);
            world.feed(world.found(first(root), found.clone())).unwrap();
            assert_eq!(world.tree.task(root, None).unwrap().artifacts, found.artifacts);
        }
        assert_eq!(world.state(root), TaskState::Working, "it has 50 of 100 KB");
        assert!((50_000..60_000).contains(&world.tree.bytes()), "{}", world.tree.bytes());
        let written: usize = world.journal.iter().map(|record| record.encode().unwrap().len()).sum();
        assert!(!grows_by_parts || written < 80_000, "{written}");
        let grown = with_artifact(first(root), 101, grows_by_parts);
        world.feed(world.found(first(root), grown)).unwrap();
        assert_eq!(world.tree.summary(root).unwrap().attempts[0].state, "failed", "what is kept is bounded");
    }
}

#[test]
fn an_artifact_that_is_replaced_for_ever_comes_to_an_end() {
    let mut world = World::new();
    world.limits.max_task_bytes = 10_000;
    let root = world.delegate(None, "a").unwrap();
    for kilobytes in [5, 6].into_iter().cycle().take(200) {
        world.feed(world.found(first(root), with_artifact(first(root), kilobytes, false))).unwrap();
    }
    assert_eq!(world.state(root), TaskState::Failed);
    let written: usize = world.journal.iter().map(|record| record.encode().unwrap().len()).sum();
    assert!(written < 200_000, "{written}");
}
