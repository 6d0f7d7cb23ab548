//! That the checker can see: logs in which nothing is wrong, and the same with one thing made wrong, for each rule.

use serde_json::{Value, json};

use super::checker::{Figures, Rule, check};
use super::logs::Logs;

const CHILD: &str = "TASK_STATE_";

fn event(stream: u64, id: u64, facts: Value) -> Value {
    let mut event =
        json!({ "what": "event", "tree": "t", "stream": stream, "id": id, "digest": format!("d{id}") });
    let Value::Object(facts) = facts else { panic!("facts are an object") };
    event.as_object_mut().unwrap().extend(facts);
    event
}

/// The events of the tree: two pieces of the root's, one of its child's.
fn events(stream: u64) -> Vec<Value> {
    let child = |state: &str| json!({ "child": { "task": "T2", "state": format!("{CHILD}{state}") }, "state": "TASK_STATE_WORKING" });
    vec![
        event(stream, 2, json!({ "state": "TASK_STATE_WORKING" })),
        event(stream, 4, child("SUBMITTED")),
        event(stream, 5, json!({ "artifact": "A", "append": false, "text": "[t.boss/0]" })),
        event(stream, 6, json!({ "artifact": "A", "append": true, "text": "[t.boss/1]" })),
        event(stream, 7, child("COMPLETED")),
        event(stream, 8, json!({ "artifact": "A", "append": true, "text": "[t.old/0]" })),
        event(stream, 9, json!({ "state": "TASK_STATE_COMPLETED" })),
    ]
}

const RESULT: &str = "[t.boss/0][t.boss/1][t.old/0]";

fn task(what: &str) -> Value {
    json!({ "what": what, "tree": "t", "task": "T1", "state": "TASK_STATE_COMPLETED", "text": RESULT, "why": "" })
}

/// A caller that drops its stream once and takes it up again; one agent delegates to another.
fn good() -> Logs {
    let node = |agent: &str, parent: Option<u64>, pieces: Value| json!({ "agent": agent, "parent": parent, "pieces": pieces, "delay_ms": 0, "pace_ms": 0 });
    let plan = json!([
        node("boss", None, json!(["[t.boss/0]", "[t.boss/1]"])),
        node("old", Some(0), json!(["[t.old/0]"])),
    ]);
    let opened = |stream: u64, after: Option<u64>| json!({ "what": "opened", "tree": "t", "stream": stream, "after": after });
    let mut callers = vec![
        json!({ "what": "sent", "tree": "t", "message_id": "t", "agent": "boss", "plan": plan }),
        opened(1, None),
        json!({ "what": "told", "tree": "t", "task": "T1" }),
        event(1, 1, json!({ "snapshot": true, "digest": "whatever it was then" })),
    ];
    callers.extend(events(1).into_iter().take(3));
    callers.extend([json!({ "what": "dropped", "tree": "t", "stream": 1 }), opened(2, Some(5))]);
    callers.extend(events(2).into_iter().skip(3));
    callers.push(json!({ "what": "over", "tree": "t", "stream": 2 }));
    callers.push(json!({ "what": "replay", "tree": "t", "events": events(0) }));
    callers.extend([task("end"), task("answer")]);
    let agent = |task: &str, message: &str| {
        let told = json!({ "task": task, "root": "T1" });
        vec![
            json!({ "what": "received", "message_id": message, "told": told }),
            json!({ "what": "ended", "task": task }),
        ]
    };
    let mut boss = agent("T1", "t.T1.1");
    boss.insert(
        1,
        json!({ "what": "child", "task": "T1", "to": "old", "state": "TASK_STATE_COMPLETED", "why": "" }),
    );
    let agents = [("boss".to_owned(), boss), ("old".to_owned(), agent("T2", "x.T2.1"))];
    let mut logs = Logs { callers, agents: agents.into(), kills: Vec::new() };
    let lines = logs.callers.iter_mut().chain(logs.agents.values_mut().flatten());
    for (second, line) in (10_u32..).zip(lines) {
        line["at"] = json!(f64::from(second));
    }
    logs
}

/// The caller's lines of one kind.
fn of_kind<'l>(logs: &'l mut Logs, what: &str) -> Vec<&'l mut Value> {
    logs.callers.iter_mut().filter(|line| line["what"] == what).collect()
}

/// What was delivered, everywhere it shows.
fn deliver(logs: &mut Logs, result: &str) {
    for kind in ["end", "answer"] {
        of_kind(logs, kind)[0]["text"] = json!(result);
    }
    let replay = &mut of_kind(logs, "replay")[0]["events"];
    replay.as_array_mut().unwrap().retain(|event| event.get("text").is_none());
    replay
        .as_array_mut()
        .unwrap()
        .insert(2, event(0, 5, json!({ "artifact": "A", "append": false, "text": result })));
    logs.callers.retain(|line| line["what"] != "event" || line.get("text").is_none());
}

/// The child is lost with its agent, and its delegator hears so.
fn lose_child(logs: &mut Logs, state: &str) {
    deliver(logs, "[t.boss/0][t.boss/1]");
    logs.agents.get_mut("boss").unwrap()[1]["state"] = json!(format!("{CHILD}{state}"));
}

fn kill(logs: &mut Logs, agent: &str, at: f64) {
    let log = logs.agents.get_mut(agent).unwrap();
    log.truncate(1);
    log.extend([json!({ "what": "killed", "at": at }), json!({ "what": "back", "at": at + 1.0 })]);
}

#[track_caller]
fn finds(rule: Rule, doctor: impl FnOnce(&mut Logs)) {
    let mut logs = good();
    doctor(&mut logs);
    let (findings, _) = check(&logs);
    assert!(!findings.is_empty(), "nothing was found");
    assert!(findings.iter().all(|finding| finding.rule == rule), "{findings:#?}");
}

#[track_caller]
fn finds_nothing(doctor: impl FnOnce(&mut Logs)) -> Figures {
    let mut logs = good();
    doctor(&mut logs);
    let (findings, figures) = check(&logs);
    assert!(findings.is_empty(), "{findings:#?}");
    figures
}

#[test]
fn logs_in_which_nothing_is_wrong_pass() {
    let figures = finds_nothing(|_| {});
    assert_eq!((figures.trees, figures.whole, figures.streams, figures.resumed), (1, 1, 2, 1));
}

#[test]
fn what_is_lost_is_found() {
    finds(Rule::Lost, |logs| deliver(logs, "[t.boss/0][t.old/0]"));
    finds(Rule::Lost, |logs| lose_child(logs, "FAILED"));
    finds(Rule::Lost, |logs| logs.callers.retain(|line| line["what"] != "end"));
    finds(Rule::Lost, |logs| {
        logs.callers.push(json!({ "what": "refused", "tree": "t", "error": { "code": -32001 } }));
    });
    // Shown once, and not there any more.
    finds(Rule::Lost, |logs| {
        of_kind(logs, "replay")[0]["events"].as_array_mut().unwrap().remove(0);
    });
    finds(Rule::Lost, |logs| {
        let failed = json!("TASK_STATE_FAILED");
        for kind in ["end", "answer"] {
            of_kind(logs, kind)[0]["state"] = failed.clone();
        }
        of_kind(logs, "replay")[0]["events"][6]["state"] = failed.clone();
        of_kind(logs, "event").pop().unwrap()["state"] = failed;
    });
}

#[test]
fn an_agents_death_excuses_what_it_had_if_its_delegator_was_told() {
    let figures = finds_nothing(|logs| {
        lose_child(logs, "FAILED");
        kill(logs, "old", 15.0);
    });
    assert_eq!((figures.partial, figures.agent_kills), (1, 1));
    finds(Rule::Lost, |logs| {
        lose_child(logs, "COMPLETED");
        kill(logs, "old", 15.0);
    });
    finds(Rule::Lost, |logs| {
        lose_child(logs, "FAILED");
        kill(logs, "old", 1_000.0);
    });
}

#[test]
fn the_brokers_death_excuses_only_what_nobody_can_be_asked_about() {
    let killed = json!({ "what": "killed", "at": 15.0 });
    finds(Rule::Lost, |logs| {
        lose_child(logs, "FAILED");
        logs.kills.push(killed.clone());
    });
    let figures = finds_nothing(|logs| {
        lose_child(logs, "FAILED");
        logs.kills.extend([killed.clone(), json!({ "what": "forgetful", "agent": "old" })]);
    });
    assert_eq!((figures.broker_kills, figures.recovered), (1, 1));
}

#[test]
fn what_is_doubled_is_found() {
    finds(Rule::Doubled, |logs| logs.callers.push(json!({ "what": "told", "tree": "t", "task": "T9" })));
    finds(Rule::Doubled, |logs| deliver(logs, "[t.boss/0][t.boss/1][t.old/0][t.old/0]"));
    let hear = |logs: &mut Logs, message: &str, task: &str, root: &str| {
        let told = json!({ "task": task, "root": root });
        let log = logs.agents.get_mut("old").unwrap();
        log.push(json!({ "what": "received", "message_id": message, "told": told, "at": 99.0 }));
        log.push(json!({ "what": "ended", "task": task, "at": 99.0 }));
    };
    // The same message, another attempt, another task, another tree.
    finds(Rule::Doubled, |logs| hear(logs, "x.T2.1", "T2", "T1"));
    finds(Rule::Doubled, |logs| hear(logs, "x.T2.2", "T2", "T1"));
    finds(Rule::Doubled, |logs| hear(logs, "x.T3.1", "T3", "T1"));
    finds(Rule::Doubled, |logs| hear(logs, "x.T3.1", "T3", "T7"));
    // What an agent had finished, and the broker was there to hear of, it may not hear again, even if it has forgotten it.
    let die = |logs: &mut Logs| {
        let log = logs.agents.get_mut("old").unwrap();
        log.extend([json!({ "what": "killed", "at": 80.0 }), json!({ "what": "back", "at": 81.0 })]);
    };
    finds(Rule::Doubled, |logs| {
        die(logs);
        hear(logs, "x.T2.1", "T2", "T1");
    });
    // What it forgot when it was killed it may, also what it had finished while the broker was dead.
    finds_nothing(|logs| {
        let heard = logs.agents["old"][0]["at"].clone();
        logs.kills.push(json!({ "what": "killed", "at": heard }));
        die(logs);
        hear(logs, "x.T2.1", "T2", "T1");
    });
    let figures = finds_nothing(|logs| {
        kill(logs, "old", 15.0);
        hear(logs, "x.T2.1", "T2", "T1");
    });
    assert_eq!(figures.again, 1);
}

#[test]
fn what_is_reordered_is_found() {
    finds(Rule::Reordered, |logs| deliver(logs, "[t.boss/1][t.boss/0][t.old/0]"));
    finds(Rule::Reordered, |logs| of_kind(logs, "event")[2]["digest"] = json!("another"));
    finds(Rule::Reordered, |logs| {
        let again = of_kind(logs, "event").pop().unwrap().clone();
        let place = logs.callers.iter().position(|line| line["what"] == "over").unwrap();
        // Not the last one, which would be a second end.
        let mut repeated = again;
        repeated["id"] = json!(6);
        repeated["digest"] = json!("d6");
        repeated["state"] = Value::Null;
        logs.callers.insert(place - 1, repeated);
    });
    finds(Rule::Reordered, |logs| {
        let mut later = of_kind(logs, "replay")[0].clone();
        later["events"][3]["digest"] = json!("another");
        logs.callers.push(later);
    });
}

#[test]
fn a_hole_in_a_stream_is_found() {
    finds(Rule::Hole, |logs| {
        let place = logs.callers.iter().position(|line| line["stream"] == 2 && line["id"] == 6).unwrap();
        logs.callers.remove(place);
    });
    finds(Rule::Hole, |logs| {
        let place = logs.callers.iter().position(|line| line["stream"] == 1 && line["id"] == 4).unwrap();
        logs.callers.remove(place);
    });
}

#[test]
fn what_is_left_open_is_found() {
    finds(Rule::LeftOpen, |logs| logs.callers.retain(|line| line["what"] != "replay"));
    finds(Rule::LeftOpen, |logs| of_kind(logs, "end")[0]["state"] = json!("TASK_STATE_WORKING"));
    finds(Rule::LeftOpen, |logs| logs.agents.get_mut("old").unwrap().truncate(1));
}

#[test]
fn two_ends_are_found() {
    finds(Rule::TwoEnds, |logs| {
        let end = event(0, 10, json!({ "state": "TASK_STATE_COMPLETED" }));
        of_kind(logs, "replay")[0]["events"].as_array_mut().unwrap().push(end);
    });
    finds(Rule::TwoEnds, |logs| {
        let late = json!({ "state": "TASK_STATE_WORKING" });
        of_kind(logs, "replay")[0]["events"].as_array_mut().unwrap().insert(6, event(0, 8, late.clone()));
        let end = event(0, 9, json!({ "state": "TASK_STATE_COMPLETED" }));
        of_kind(logs, "replay")[0]["events"][1] = end;
        logs.callers.retain(|line| line["what"] != "event");
    });
}

#[test]
fn a_parent_that_does_not_work_while_its_child_does_is_found() {
    finds(Rule::ParentNotWorking, |logs| {
        let replay = &mut of_kind(logs, "replay")[0]["events"];
        replay[2]["state"] = json!("TASK_STATE_SUBMITTED");
    });
}

#[test]
fn an_artifact_that_is_shown_anew_takes_the_place_of_what_was_shown_of_it() {
    finds_nothing(|logs| {
        let whole = json!({ "artifact": "A", "append": false, "text": RESULT });
        let replay = &mut of_kind(logs, "replay")[0]["events"];
        replay[5] = event(0, 8, whole);
    });
}

#[test]
fn a_lie_is_found() {
    finds(Rule::Lied, |logs| of_kind(logs, "answer")[0]["text"] = json!("[t.boss/0]"));
    finds(Rule::Lied, |logs| of_kind(logs, "answer")[0]["state"] = json!("TASK_STATE_FAILED"));
    finds(Rule::Lied, |logs| of_kind(logs, "replay")[0]["events"][5]["text"] = json!("something else"));
}
