//! The judge of a history: slow, obvious, and written from design §4 alone. Reads the journals as they are durable at the
//! end, and what agents and callers know of themselves.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::TaskId;
use broker_core::journal::{AttemptOutcome, Fact, Record, Submission};
use capability::{Request, Scope};
use protocol::TaskState;

use super::agents::{NAMES, SKILLS, caps};
use super::life::{LIMITS, scope_of};
use super::mirror;
use super::world::{State, World};

/// A task, as far as the judge has read.
struct Read<'j> {
    submission: &'j Submission,
    submitted: i64,
    state: TaskState,
    /// Since when it has asked what it asks.
    asking: Option<i64>,
    records: u64,
    children: Vec<TaskId>,
    ended: bool,
    /// Its end is known and waits.
    is_held: bool,
    dead: bool,
    attempts: BTreeMap<u32, Attempt>,
    artifacts: BTreeMap<(String, String), usize>,
}

#[derive(Default)]
struct Attempt {
    started: Option<i64>,
    ended: Option<(i64, AttemptOutcome)>,
}

/// What histories held, for those who ask how much was tried.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) trees: u64,
    pub(crate) tasks: u64,
    pub(crate) deepest: u32,
    pub(crate) records: u64,
    pub(crate) deaths: u64,
    pub(crate) stopped: u64,
    pub(crate) taken_over: u64,
    pub(crate) torn_writes: u64,
    pub(crate) questions: u64,
    pub(crate) cancels: u64,
    pub(crate) ends: BTreeMap<&'static str, u64>,
    pub(crate) attempts: BTreeMap<String, u64>,
}

impl Totals {
    pub(crate) fn count(&mut self, world: &World) {
        let state = world.lock();
        self.deaths += state.deaths.len() as u64 - 1 - state.stopped;
        (self.stopped, self.taken_over) = (self.stopped + state.stopped, self.taken_over + state.taken_over);
        self.torn_writes += state.torn.len() as u64;
        self.cancels += state.canceled.len() as u64;
        for (journal, _) in state.mirror.journals.values() {
            self.trees += 1;
            self.records += journal.len() as u64;
            for record in journal {
                match &record.fact {
                    Fact::Submitted(submission) => {
                        self.tasks += 1;
                        self.deepest = self.deepest.max(submission.depth);
                    }
                    Fact::Turn { .. } => self.questions += 1,
                    Fact::Ended(outcome) => *self.ends.entry(outcome.state.as_str()).or_default() += 1,
                    Fact::AttemptEnded { outcome, .. } => {
                        *self.attempts.entry(format!("{outcome:?}")).or_default() += 1;
                    }
                    _ => {}
                }
            }
        }
    }
}

pub(crate) fn judge(world: &World) {
    let mut state = world.lock();
    let mut broken = Vec::new();
    let mut messages: BTreeSet<(String, String)> = BTreeSet::new();
    for (root, (journal, ends)) in &state.mirror.journals {
        let mut judge = Judge {
            state: &state,
            root: *root,
            tasks: BTreeMap::new(),
            broken: Vec::new(),
            messages: &mut messages,
        };
        let mut from = 0;
        for end in ends {
            journal[from..*end].iter().for_each(|record| judge.read(record));
            judge.parents_of_open_children_work();
            from = *end;
        }
        judge.the_end();
        broken.append(&mut judge.broken);
    }
    for (invariant, what) in broken {
        state.broken(invariant, &what);
    }
}

struct Judge<'w> {
    state: &'w State,
    root: TaskId,
    tasks: BTreeMap<TaskId, Read<'w>>,
    broken: Vec<(&'static str, String)>,
    messages: &'w mut BTreeSet<(String, String)>,
}

impl<'w> Judge<'w> {
    fn fails(&mut self, invariant: &'static str, what: String) {
        self.broken.push((invariant, what));
    }

    fn lineage(&self, task: TaskId) -> impl Iterator<Item = TaskId> {
        std::iter::successors(Some(task), |task| self.tasks.get(task)?.submission.parent)
    }

    fn read(&mut self, record: &'w Record) {
        let id = record.task;
        if let Fact::Submitted(submission) = &record.fact {
            self.submitted(id, submission, record.at.as_millis());
        }
        let Some(task) = self.tasks.get_mut(&id) else {
            return self.fails("4", format!("{id} was never submitted"));
        };
        task.records += 1;
        let (records, ended) = (task.records, task.ended);
        if records != record.seq {
            self.fails("4", format!("{id} has record {} where {records} follows", record.seq));
        }
        let is_late = matches!(record.fact, Fact::Late { .. } | Fact::PushSet(_) | Fact::PushDeleted { .. });
        if ended && !is_late {
            self.fails("3", format!("{id} has ended, and then: {:?}", record.fact));
        }
        self.fact(record);
    }

    fn fact(&mut self, record: &Record) {
        let (id, at) = (record.task, record.at.as_millis());
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match &record.fact {
            Fact::Status(status) => {
                task.state = status.state;
                task.asking = status.state.is_interrupted().then_some(at);
                let said = status.message.as_ref().and_then(began_of);
                if let Some(began) = said {
                    self.said_by_live(id, &began);
                }
                if status.state.is_terminal() {
                    self.fails("3", format!("{id} has a terminal status that is no end"));
                }
            }
            Fact::Bubbled(bubble) => task.state = bubble.asks.state,
            Fact::Turn { answers: true, .. } | Fact::PassedOn { .. } => {
                (task.state, task.asking) = (TaskState::Working, None);
            }
            Fact::Held(outcome) => {
                task.is_held = true;
                let said = outcome.message.as_ref().and_then(began_of);
                if let Some(began) = said {
                    self.said_by_live(id, &began);
                }
            }
            Fact::Closing { .. } => (task.dead, task.is_held) = (true, true),
            Fact::Revoked { .. } => task.dead = true,
            Fact::AttemptStarted { number } => {
                let last = task.attempts.keys().next_back().copied().unwrap_or(0);
                task.attempts.entry(*number).or_default().started.get_or_insert(at);
                if *number != last && *number != last + 1 {
                    self.fails("6", format!("attempt {number} of {id} follows attempt {last}"));
                }
            }
            Fact::AttemptEnded { number, outcome, .. } => {
                task.attempts.entry(*number).or_default().ended = Some((at, *outcome));
                self.failed_because_of_the_agent(id, *number, *outcome);
            }
            Fact::Artifact(piece) => {
                let began = piece.artifact.parts[0].as_text().unwrap_or_default();
                *task.artifacts.entry((began.clone(), piece.artifact.artifact_id.clone())).or_default() += 1;
                self.said_by_live(id, &began);
            }
            Fact::Ended(outcome) => {
                // An end may have waited; whose word it was is known when it is held.
                let was_held = task.is_held;
                let said = outcome.message.as_ref().filter(|_| !was_held).and_then(began_of);
                if let Some(began) = said {
                    self.said_by_live(id, &began);
                }
                let Some(task) = self.tasks.get_mut(&id) else { return };
                (task.state, task.ended, task.dead) = (outcome.state, true, true);
                let open = task.children.clone().into_iter().filter(|child| !self.tasks[child].ended);
                let open: Vec<TaskId> = open.collect();
                if !open.is_empty() {
                    self.fails("2", format!("{id} has ended while {open:?} are open"));
                }
                if !outcome.state.is_terminal() {
                    self.fails("3", format!("{id} ends as {}", outcome.state.as_str()));
                }
                if outcome.state == TaskState::Canceled {
                    self.canceled_by_somebody(id, at);
                }
            }
            _ => {}
        }
    }

    /// What is shown was said in the attempt that is under way; by its beginning the agent marks what it says.
    fn said_by_live(&mut self, id: TaskId, began: &str) {
        let attempts = &self.tasks[&id].attempts;
        let is_of_live = mirror::parse(began).is_some_and(|(_, of, number)| {
            of == id && attempts.get(&number).is_some_and(|attempt| attempt.ended.is_none())
        });
        if !is_of_live {
            self.fails("3", format!("{id} shows what was said in {began}, an attempt that is over"));
        }
    }

    fn submitted(&mut self, id: TaskId, submission: &'w Submission, submitted: i64) {
        let limits = LIMITS();
        let mut wrong = Vec::new();
        let key = match submission.parent {
            None => format!("p/{}", submission.owner),
            Some(parent) => format!("t/{parent}"),
        };
        if !self.messages.insert((key.clone(), submission.message.message_id.clone())) {
            wrong.push(("6", format!("{} of {key} made two tasks", submission.message.message_id)));
        }
        if let Some(parent) = submission.parent {
            let Some(above) = self.tasks.get(&parent) else {
                return self.fails("4", format!("the parent of {id} was never submitted"));
            };
            if self.lineage(parent).any(|task| self.tasks[&task].dead) {
                wrong.push(("8", format!("{id} was delegated by {parent}, whose grants are dead")));
            }
            let (scope, caps) =
                (&above.submission.terms.scope, Scope::parse(caps(&submission.terms.agent)).unwrap());
            wrong.extend(exceeds(id, submission, &[("its parent", scope), ("its agent's caps", &caps)]));
            let depth = submission.depth;
            if depth != above.submission.depth + 1 || depth > limits.max_depth {
                wrong.push(("7", format!("{id} is {depth} deep")));
            }
            if above.children.len() >= limits.max_fanout as usize {
                wrong.push(("7", format!("{id} is child number {} of {parent}", above.children.len() + 1)));
            }
            let open = self.tasks.values().filter(|task| !task.ended).count();
            if open >= limits.max_live_tasks as usize {
                wrong.push(("7", format!("with {id} {} tasks are open", open + 1)));
            }
            if self
                .lineage(parent)
                .any(|task| self.tasks[&task].submission.terms.identity == submission.terms.identity)
            {
                wrong.push(("7", format!("{id} closes a cycle at {}", submission.terms.agent)));
            }
            if submission.deadline > above.submission.deadline {
                wrong.push(("7", format!("{id} may last longer than its parent")));
            }
            self.tasks.get_mut(&parent).unwrap().children.push(id);
        } else {
            let (held, caps) =
                (scope_of(&submission.owner), Scope::parse(caps(&submission.terms.agent)).unwrap());
            wrong.extend(exceeds(id, submission, &[("its owner", &held), ("its agent's caps", &caps)]));
        }
        let (attempts, artifacts) = Default::default();
        let (children, records) = (Vec::new(), 0);
        let (ended, dead, is_held, state, asking) = (false, false, false, TaskState::Submitted, None);
        let read = Read {
            submission,
            submitted,
            state,
            asking,
            records,
            children,
            ended,
            is_held,
            dead,
            attempts,
            artifacts,
        };
        self.tasks.insert(id, read);
        self.broken.extend(wrong);
    }

    /// An attempt that failed with possible effects did so because its agent said so, or lied; never because of a
    /// connection.
    fn failed_because_of_the_agent(&mut self, id: TaskId, number: u32, outcome: AttemptOutcome) {
        let submission = self.tasks[&id].submission;
        let southbound = southbound(submission, id, number);
        let agent = &self.state.agents.all[submission.terms.agent.as_str()];
        let was_turned_down = self.tasks[&id].artifacts.is_empty();
        let is_true = self.state.failed.contains(&southbound) || agent.is_excused || !was_turned_down;
        if outcome == AttemptOutcome::Failed && !is_true {
            self.fails("10", format!("attempt {number} of {id} failed, but its agent did not"));
        }
    }

    /// Nothing is canceled because somebody hung up.
    fn canceled_by_somebody(&mut self, id: TaskId, at: i64) {
        let delegator_is_gone =
            self.lineage(id).any(|task| self.was_delegated_in_an_attempt_that_is_over(task));
        let unanswered = self.tasks[&id].asking.is_some_and(|since| at - since >= LIMITS().silence_ms);
        let asked = self.lineage(id).any(|task| self.state.canceled.contains(&task));
        let above = self.lineage(id).skip(1).any(|task| self.tasks[&task].dead);
        let jobs = self.state.agents.all.values().flat_map(|agent| &agent.jobs);
        let by_agent = jobs.into_iter().any(|job| job.told.task == id && job.state == TaskState::Canceled);
        let is_excused = self.state.agents.all[self.tasks[&id].submission.terms.agent.as_str()].is_excused;
        if !asked && !above && !by_agent && !is_excused && !delegator_is_gone && !unanswered {
            self.fails("10", format!("{id} was canceled by nobody"));
        }
    }

    /// Another attempt of its parent follows, or none: whoever asked for it will not hear of it.
    fn was_delegated_in_an_attempt_that_is_over(&self, id: TaskId) -> bool {
        let Read { submission, submitted, .. } = &self.tasks[&id];
        let Some(parent) = submission.parent else { return false };
        let was_under_way = |attempt: &Attempt| attempt.started.is_some_and(|started| started <= *submitted);
        let under_way = self.tasks[&parent].attempts.values().rfind(|attempt| was_under_way(attempt));
        under_way.is_some_and(|attempt| attempt.ended.is_some())
    }

    fn parents_of_open_children_work(&mut self) {
        use TaskState::{AuthRequired, InputRequired, Working};
        let wrong = self.tasks.iter().filter(|(_, task)| !task.ended).filter_map(|(id, task)| {
            let parent = task.submission.parent?;
            let state = self.tasks[&parent].state;
            let is_fine = matches!(state, Working | InputRequired | AuthRequired);
            (!is_fine).then(|| ("2", format!("{parent} is {} while {id} is open", state.as_str())))
        });
        let wrong: Vec<_> = wrong.collect();
        self.broken.extend(wrong);
    }

    fn the_end(&mut self) {
        let (mut wrong, skew) = (Vec::new(), self.state.weather.skew);
        for (id, task) in &self.tasks {
            if !task.ended {
                wrong.push(("2", format!("{id} of tree {} never ends", self.root)));
            }
            let began = |number: u32| southbound(task.submission, *id, number);
            let executed =
                task.attempts.keys().filter(|number| self.state.executed.contains_key(&began(**number)));
            let executed: Vec<u32> = executed.copied().collect();
            if executed.len() > 1 && !task.submission.retry.idempotent {
                wrong.push(("6", format!("{id} is not idempotent, and attempts {executed:?} were executed")));
            }
            for (number, attempt) in &task.attempts {
                let Some(started) = attempt.started else { continue };
                let mut troubles = self.state.deaths.iter().chain(&self.state.torn);
                let lived = !troubles.any(|at| (-10 - skew..1_000 + skew).contains(&(at - elapsed(started))));
                let went_on = attempt.ended.is_none_or(|(ended, _)| ended - started > 1_000);
                if !self.state.sent.contains(&began(*number))
                    && lived
                    && went_on
                    && task.state != TaskState::Canceled
                {
                    wrong.push(("10", format!("attempt {number} of {id} was started and never sent")));
                }
            }
            for (artifact, times) in &task.artifacts {
                let delivered = self.state.delivered.get(artifact).copied().unwrap_or(0).max(1);
                if *times > delivered {
                    let what = format!("{id} shows {artifact:?} {times} times, it came {delivered} times");
                    wrong.push(("6", what));
                }
            }
        }
        self.broken.extend(wrong);
    }
}

fn elapsed(at: i64) -> i64 {
    at - super::world::BEGINNING
}

fn southbound(submission: &Submission, task: TaskId, number: u32) -> String {
    format!("{}.{task}.{number}", submission.message.message_id)
}

/// The message that began the attempt in which an agent said this; `None` if the broker says it.
fn began_of(message: &protocol::Message) -> Option<String> {
    let text = message.joined_text();
    let mut words = text.split(' ');
    let is_agent = NAMES.contains(&words.next()?);
    let began = words.next()?;
    (is_agent && mirror::parse(began).is_some()).then(|| began.to_owned())
}

/// What a scope admits that one above it does not: tried request by request.
fn exceeds(id: TaskId, submission: &Submission, above: &[(&str, &Scope)]) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    for (agent, skill) in NAMES.iter().flat_map(|agent| SKILLS.map(|skill| (*agent, skill))) {
        let path = [agent, skill];
        let request =
            Request { space: "a2a", kind: "skill", path: &path, args: &[], time: 0, hop: 0, recent: &[] };
        for (whose, scope) in above {
            if submission.terms.scope.admits(&request) && !scope.admits(&request) {
                wrong.push(("1", format!("{id} may use {agent}/{skill}, which {whose} does not hold")));
            }
        }
    }
    wrong
}
