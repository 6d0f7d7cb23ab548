//! The verdict: from the operator's tree, the audit log and the agents' own logs, with a reading of capabilities that
//! knows only what this test's texts use: patterns, and ceilings that are numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fleet::{CAPS, Fleet, number};

/// A task as the operator sees it.
struct Seen(Value);

struct Field {
    tasks: BTreeMap<String, Seen>,
}

pub(super) async fn judge(fleet: &Fleet) {
    let audit = audit(fleet).await;
    let mut tasks = BTreeMap::new();
    for root in [&fleet.alices[0], &fleet.bobs, &fleet.dead] {
        let tree: Value =
            serde_json::from_str(&fleet.view(&format!("/api/v1/tasks/{}/tree", root.task)).await).unwrap();
        for task in tree["tasks"].as_array().unwrap() {
            tasks.insert(task["task"].as_str().unwrap().to_owned(), Seen(task.clone()));
        }
    }
    let field = Field { tasks };
    let allowed = allowed_by(&audit, &field);
    let known: BTreeSet<&String> = field.tasks.keys().collect();
    assert_eq!(allowed, known, "every task was allowed, and what was allowed is a task");
    every_message_belongs_to_a_task(fleet, &field);
    for (task, seen) in &field.tasks {
        field.scope_is_within(task, seen);
        field.nothing_is_overspent(task, seen);
    }
    for ((who, id), tasks) in fleet.replayed.lock().unwrap().iter() {
        assert_eq!(tasks.len(), 1, "{id} of {who} became several tasks: {tasks:?}");
    }
    eprintln!("{} tasks, {} audit entries", field.tasks.len(), audit.len());
}

/// The audit log, all pages of it, event by event.
async fn audit(fleet: &Fleet) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let page = fleet.view(&format!("/api/v1/audit?after={}", events.len())).await;
        for line in page.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            match line.get("event") {
                Some(event) => events.push(event.clone()),
                None => return events,
            }
        }
    }
}

/// The tasks the log allows; and below what it has revoked, it allows none.
fn allowed_by<'a>(audit: &'a [Value], field: &'a Field) -> BTreeSet<&'a String> {
    let (mut allowed, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    for event in audit {
        if let Some(task) = event["revoked"]["task"].as_str() {
            revoked.insert(task);
        }
        let delegation = &event["delegation"];
        if delegation.is_null() || delegation.get("refused").is_some() {
            continue;
        }
        let task = delegation["task"].as_str().unwrap();
        let (task, seen) = field.tasks.get_key_value(task).expect("what was allowed is in a tree");
        assert_eq!((&delegation["agent"], &delegation["parent"]), (&seen.0["agent"], &seen.0["parent"]));
        assert!(
            !field.lineage(task).any(|above| revoked.contains(above)),
            "allowed below a revoked task: {delegation}"
        );
        allowed.insert(task);
    }
    allowed
}

fn every_message_belongs_to_a_task(fleet: &Fleet, field: &Field) {
    for (name, agent) in &fleet.agents {
        for line in agent.logged("received") {
            let told = &line["told"];
            let seen = told["task"].as_str().and_then(|task| field.tasks.get(task));
            let Seen(seen) = seen.unwrap_or_else(|| panic!("{name} got what nobody allowed: {line}"));
            assert_eq!(seen["agent"], *name);
            for same in ["parent", "root", "scope"] {
                assert_eq!(told.get(same), seen.get(same), "{same} of {line}");
            }
            assert_eq!(number(&told["depth"]), number(&seen["depth"]));
            assert_eq!(told["broker"], fleet.broker.url());
        }
    }
}

impl Field {
    fn lineage<'a>(&'a self, task: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::successors(Some(task), |task| self.tasks[*task].0["parent"].as_str())
    }

    fn children<'a>(&'a self, task: &'a str) -> impl Iterator<Item = &'a Seen> {
        self.tasks.values().filter(move |seen| seen.0["parent"] == task)
    }

    fn scope_is_within(&self, task: &str, seen: &Seen) {
        let agent = seen.0["agent"].as_str().unwrap();
        let (_, caps) = CAPS.iter().find(|(name, _)| *name == agent).unwrap();
        let parent = seen.0["parent"].as_str().map(|parent| &self.tasks[parent]);
        for text in seen.scope() {
            let held = Reading::of(text);
            assert!(
                caps.iter().any(|cap| held.is_within(&Reading::of(cap), 0)),
                "{text} is not {agent}'s to hold"
            );
            let Some(parent) = parent else { continue };
            let follows = parent.scope().any(|above| held.is_within(&Reading::of(above), 1));
            assert!(follows, "{text} of {task} does not follow from {}", parent.0["scope"]);
        }
        if let Some(parent) = parent {
            assert_eq!(number(&seen.0["depth"]), number(&parent.0["depth"]) + 1);
            let skill = seen.0["skill"].as_str().unwrap_or("work");
            let act = format!("a2a:skill/{agent}/{skill}");
            let may = parent.scope().any(|above| Reading::of(&act).pattern_is_within(&Reading::of(above)));
            assert!(may, "{act} is not within {}", parent.0["scope"]);
        }
    }

    /// What children at work hold, what those that ended used up, and what delegating costs, is within the budget.
    fn nothing_is_overspent(&self, task: &str, seen: &Seen) {
        for unit in ["calls", "fanout", "usd"] {
            let Some(budget) = seen.amount("budget", unit) else { continue };
            let gone = self.gone(task, unit);
            assert!(gone <= budget, "{gone} {unit} of {budget} are gone from {task}");
            for child in self.children(task) {
                assert!(
                    child.amount("budget", unit).is_some(),
                    "below a budget everything has one: {}",
                    child.0
                );
            }
        }
        let searches = |seen: &Seen| -> u64 {
            let search = Reading::of("mcp:tool/search");
            let able = seen.scope().map(Reading::of).filter(|held| search.pattern_is_within(held));
            able.filter_map(|held| held.ceiling("calls")).sum()
        };
        let at_work: u64 = self.children(task).filter(|child| child.is_open()).map(searches).sum();
        assert!(
            at_work <= searches(seen),
            "{task} holds {} searches, its children {at_work}",
            searches(seen)
        );
    }

    fn gone(&self, task: &str, unit: &str) -> u64 {
        let fee = u64::from(unit != "usd");
        self.children(task).map(|child| fee + self.held_or_used(child, unit)).sum()
    }

    fn held_or_used(&self, seen: &Seen, unit: &str) -> u64 {
        let most = seen.amount("budget", unit).unwrap_or(0);
        let own = if unit == "fanout" { Some(0) } else { seen.amount("cost", unit) };
        match own {
            Some(own) if !seen.is_open() => most.min(own + self.gone(seen.0["task"].as_str().unwrap(), unit)),
            _ => most,
        }
    }
}

impl Seen {
    fn scope(&self) -> impl Iterator<Item = &str> {
        self.0["scope"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    fn is_open(&self) -> bool {
        let over = ["COMPLETED", "FAILED", "CANCELED", "REJECTED"];
        let state = self.0["state"].as_str().unwrap();
        !over.iter().any(|over| state.ends_with(over))
    }

    /// Money in hundredths of a cent.
    fn amount(&self, of: &str, unit: &str) -> Option<u64> {
        let amount = self.0.get(of)?.get(unit)?;
        amount.as_u64().or_else(|| {
            let (whole, part) = amount.as_str()?.split_once('.')?;
            format!("{whole}{part:0<6}").parse().ok()
        })
    }
}

/// A capability as this test reads it.
struct Reading<'a> {
    family: &'a str,
    segments: Vec<&'a str>,
    limits: BTreeMap<&'a str, u64>,
}

impl<'a> Reading<'a> {
    fn of(text: &'a str) -> Self {
        let (resource, limits) =
            text.strip_suffix('}').and_then(|text| text.split_once('{')).unwrap_or((text, ""));
        let mut segments = resource.split('/');
        let family = segments.next().unwrap();
        let limits = limits.split(';').filter(|limit| !limit.is_empty()).map(|limit| {
            let (name, most) = limit.split_once("<=").expect("this test uses ceilings and hops only");
            (name, most.parse().expect("a number"))
        });
        Self { family, segments: segments.collect(), limits: limits.collect() }
    }

    fn ceiling(&self, name: &str) -> Option<u64> {
        self.limits.get(name).copied()
    }

    /// So many hops below.
    fn is_within(&self, other: &Self, hops: u64) -> bool {
        self.pattern_is_within(other)
            && other.limits.iter().all(|(name, most)| {
                let step = if *name == "hops" { hops } else { 0 };
                self.ceiling(name).is_some_and(|own| own + step <= *most)
            })
    }

    fn pattern_is_within(&self, other: &Self) -> bool {
        let (mut own, mut theirs) = (self.segments.iter(), other.segments.iter());
        self.family == other.family
            && loop {
                match (own.next(), theirs.next()) {
                    (_, Some(&"**")) | (None, None) => break true,
                    (Some(own), Some(theirs)) if own == theirs || (*theirs == "*" && *own != "**") => {}
                    _ => break false,
                }
            }
    }
}
