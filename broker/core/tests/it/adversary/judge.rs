//! The judge: reads the journal, record by record, and holds every new task against the invariants alone. Of the code
//! under test it uses only whether a scope admits a request and whether it lies below another.

use std::collections::BTreeMap;

use broker_core::delegation::input::NewTask;
use broker_core::journal::{Fact, Record, Submission};
use broker_core::{TaskId, Timestamp, Tree};
use capability::ledger::Ceilings;
use capability::{Arg, Capability, Request, Scope};

use super::count;

/// Deepest task there may be.
const MAX_DEPTH: u32 = 8;

/// What was asked for with a task.
struct Asked {
    held: Scope,
    scope: Option<Scope>,
    budget: Ceilings,
    at: Timestamp,
}

/// A task as the journal tells it.
pub(super) struct Seen {
    pub(super) submission: Submission,
    pub(super) children: Vec<TaskId>,
    pub(super) cost: Ceilings,
    pub(super) ended: bool,
    submitted: u64,
    /// Reported complete: it may delegate no more, what it delegated may.
    done: bool,
    /// Over, being cancelled, or revoked: nothing may follow anywhere below it.
    shut: bool,
}

pub(super) struct Judge {
    caps: Vec<Scope>,
    asked: BTreeMap<TaskId, Asked>,
    pub(super) tasks: BTreeMap<TaskId, Seen>,
    read: usize,
}

impl Judge {
    pub(super) fn new(caps: Vec<Scope>) -> Self {
        Self { caps, asked: BTreeMap::new(), tasks: BTreeMap::new(), read: 0 }
    }

    pub(super) fn was_asked(&mut self, new: &NewTask, at: Timestamp) {
        let (held, scope) = (new.held.clone(), new.asked.clone());
        self.asked.insert(new.id, Asked { held, scope, budget: new.budget, at });
    }

    /// Reads what was written since.
    pub(super) fn read(&mut self, journal: &[Record]) {
        for record in &journal[self.read..] {
            match &record.fact {
                Fact::Submitted(submission) => self.submitted(record, submission),
                Fact::Held(_) => self.seen(record.task).done = true,
                Fact::Closing { .. } | Fact::Revoked { .. } => self.seen(record.task).shut = true,

                Fact::Ended(outcome) => {
                    let seen = self.seen(record.task);
                    (seen.ended, seen.shut, seen.cost) = (true, true, outcome.cost);
                    count::nothing_is_overspent(self, seconds(record.at));
                }
                _ => {}
            }
        }
        self.read = journal.len();
    }

    fn submitted(&mut self, record: &Record, submission: &Submission) {
        assert!(!self.tasks.contains_key(&record.task), "a task begins once");
        let asked = &self.asked[&record.task];
        self.it_stands_where_it_may(submission);
        self.it_holds_what_it_may(submission, asked);
        self.everyone_above_may_have_it_done(submission, asked);
        if let Some(own) = submission.terms.purses.first() {
            count::lies_within(&own.ceilings, &asked.budget);
        } else {
            assert_eq!(asked.budget, Ceilings::default(), "a budget that is asked for is kept");
        }
        if let Some(parent) = submission.parent {
            count::draws_on(submission, &self.tasks[&parent].submission);
            self.seen(parent).children.push(record.task);
        }
        let seen = Seen {
            submission: submission.clone(),
            children: Vec::new(),
            cost: Ceilings::default(),
            ended: false,
            submitted: seconds(record.at),
            done: false,
            shut: false,
        };
        self.tasks.insert(record.task, seen);
        count::nothing_is_overspent(self, seconds(record.at));
    }

    /// Below a task of this tree, all of it alive; one deeper; nobody above it again.
    fn it_stands_where_it_may(&self, child: &Submission) {
        let Some(parent) = child.parent else {
            return assert!(self.tasks.is_empty(), "a tree has one root");
        };
        let Seen { submission: above, done, .. } =
            self.tasks.get(&parent).expect("its parent is of this tree");
        assert!(!done, "who has reported the end delegates no more");
        assert_eq!(child.depth, above.depth + 1);
        assert!(child.depth <= MAX_DEPTH);
        assert_eq!(child.owner, above.owner, "a tree has one owner");
        assert!(child.deadline <= above.deadline, "nobody outlives its delegator");
        for (_, ancestor) in self.lineage(parent) {
            assert!(!ancestor.shut, "nothing is delegated below what is over, revoked or being cancelled");
            assert_ne!(ancestor.submission.terms.identity, child.terms.identity, "nobody works for itself");
        }
    }

    /// `pass_on(parent) ∩ asked ∩ presented ∩ caps`, each by itself; hops counted in the texts.
    fn it_holds_what_it_may(&self, child: &Submission, asked: &Asked) {
        let agent: usize = child.terms.agent[1..].parse().unwrap();
        let scope = &child.terms.scope;
        assert!(scope.le(&self.caps[agent]), "{scope:?} is more than its agent may ever hold");
        assert!(scope.le(&asked.held), "{scope:?} is more than was presented");
        assert!(
            asked.scope.as_ref().is_none_or(|asked| scope.le(asked)),
            "{scope:?} is more than was asked for"
        );
        let Some(parent) = child.parent.map(|parent| &self.tasks[&parent].submission.terms.scope) else {
            return;
        };
        for held in scope.iter() {
            let one_hop_less = |above: &Capability| {
                let fewer = hops(above).is_none_or(|most| hops(held).is_some_and(|hops| hops < most));
                fewer && Scope::of([held.clone()]).le(&Scope::of([above.clone()]))
            };
            assert!(
                parent.is_top() || parent.iter().any(one_hop_less),
                "{held} does not follow from {parent:?}"
            );
        }
    }

    /// Each ancestor's own scope admits this delegation, so many hops away, as often as it has happened.
    fn everyone_above_may_have_it_done(&self, child: &Submission, asked: &Asked) {
        let Some(parent) = child.parent else { return };
        let skill = child.terms.skill.as_deref().unwrap_or("work");
        let path = [child.terms.agent.as_str(), skill];
        let args =
            ["usd", "calls", "tokens", "fanout"].map(|unit| (unit, Arg::Int(u64::from(unit == "calls"))));
        let time = seconds(asked.at);
        let admits = |scope: &Scope, hop: u32, recent: &[u64]| {
            scope.admits(&Request {
                space: "a2a",
                kind: "skill",
                path: &path,
                args: &args,
                time,
                hop,
                recent,
            })
        };
        assert!(admits(&asked.held, 0, &[]), "{path:?} is not within {:?}, which was presented", asked.held);
        for (hop, (task, above)) in (0..).zip(self.lineage(parent)) {
            let same = |seen: &&Seen| {
                seen.submission.terms.agent == child.terms.agent
                    && seen.submission.terms.skill == child.terms.skill
            };
            let recent: Vec<u64> = self.below(task).filter(same).map(|seen| seen.submitted).collect();
            let scope = &above.submission.terms.scope;
            assert!(admits(scope, hop, &recent), "{path:?} is not within {scope:?}, {hop} hops up");
        }
    }

    fn seen(&mut self, task: TaskId) -> &mut Seen {
        self.tasks.get_mut(&task).expect("records are about submitted tasks")
    }

    /// A task and its ancestors, nearest first.
    fn lineage(&self, task: TaskId) -> impl Iterator<Item = (TaskId, &Seen)> {
        let first = Some((task, &self.tasks[&task]));
        std::iter::successors(first, |(_, seen)| {
            let parent = seen.submission.parent?;
            Some((parent, &self.tasks[&parent]))
        })
    }

    fn below(&self, task: TaskId) -> impl Iterator<Item = &Seen> {
        let is_below = move |seen: &&Seen| {
            seen.submission.parent.is_some_and(|parent| self.lineage(parent).any(|(above, _)| above == task))
        };
        self.tasks.values().filter(is_below)
    }

    /// What the tree says is left is what the journal leaves.
    pub(super) fn agrees_with(&self, tree: &Tree) {
        for (task, seen) in self.tasks.iter().filter(|(_, seen)| !seen.ended) {
            let summary = serde_json::to_value(tree.summary(*task).expect("a task")).unwrap();
            let left = count::left(self, seen);
            for unit in ["calls", "fanout"] {
                let shown = summary["left"][unit].as_u64();
                assert_eq!(
                    shown,
                    left.get(capability::ledger::Unit::named(unit).unwrap()),
                    "{unit} of {task}"
                );
            }
        }
    }

    pub(super) fn depths(&self) -> impl Iterator<Item = u32> {
        self.tasks.values().map(|seen| seen.submission.depth)
    }

    pub(super) fn caps(&self, agent: usize) -> &Scope {
        &self.caps[agent]
    }

    pub(super) fn scope_of(&self, task: TaskId) -> Scope {
        self.tasks[&task].submission.terms.scope.clone()
    }

    /// The deepest task that may still delegate; the root if none may.
    pub(super) fn deepest(&self) -> TaskId {
        let is_alive = |task| self.lineage(task).all(|(_, seen)| !seen.shut);
        let alive = self.tasks.iter().filter(|(task, seen)| !seen.done && is_alive(**task));
        let deepest = alive.max_by_key(|(_, seen)| seen.submission.depth).map(|(task, _)| *task);
        deepest.unwrap_or_else(|| *self.tasks.keys().next().unwrap())
    }

    pub(super) fn is_above(&self, task: TaskId, below: TaskId) -> bool {
        self.lineage(below).any(|(above, _)| above == task)
    }

    /// An agent that works nowhere above.
    pub(super) fn stranger_below(&self, task: TaskId, index: usize) -> usize {
        let known: Vec<&str> =
            self.lineage(task).map(|(_, seen)| seen.submission.terms.agent.as_str()).collect();
        let strangers: Vec<usize> =
            (0..self.caps.len()).filter(|agent| !known.contains(&format!("a{agent}").as_str())).collect();
        strangers[index % strangers.len()]
    }
}

/// The hops a capability's text leaves.
fn hops(capability: &Capability) -> Option<u32> {
    let text = capability.to_string();
    let (_, after) = text.split_once("hops<=")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis() / 1_000).unwrap()
}
