//! A tree, the outside world it asks things of, and a crash whenever the test likes one.

use std::collections::BTreeMap;

use broker_acceptance::{Acceptance, Specification};
use broker_core::delegation::BROKER_AGENT;
use broker_core::delegation::action::{Action, Check, Dispatch, Search};
use broker_core::delegation::input::{AgentFacts, AttemptId, Candidate, Failure, Input, NewTask, RetryWish};
use broker_core::journal::{Choice, ChoiceVerdict, Fallback, Record};
use broker_core::{Decision, Limits, Refusal, TaskId, Timestamp, Tree};
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::{
    Artifact, Fields, Message, Metadata, Part, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState,
    TaskStatus, TaskStatusUpdateEvent,
};
use uuid::Uuid;

pub(crate) const AGENTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Everything that has happened, and everything the tree still wants done.
pub(crate) struct World {
    pub(crate) tree: Tree,
    pub(crate) journal: Vec<Record>,
    pub(crate) now: Timestamp,
    pub(crate) limits: Limits,
    pub(crate) listening: Vec<AttemptId>,
    pub(crate) canceling: Vec<AttemptId>,
    /// Attempts that wait for a place.
    pub(crate) queued: Vec<AttemptId>,
    /// Attempts another delegate is looked for.
    pub(crate) seeking: Vec<Search>,
    /// Results to be checked.
    pub(crate) checking: Vec<Check>,
    /// Every message sent to an agent, by its message id.
    pub(crate) sent: Vec<String>,
    /// All that was sent.
    pub(crate) dispatches: Vec<Dispatch>,
    /// The latest of them, task by task, as whoever listens knows it.
    latest: BTreeMap<TaskId, String>,
    next_id: u128,
}

pub(crate) fn caps(agent: &str) -> Scope {
    match agent {
        "a" | "b" => Scope::parse(["a2a:skill/**", "mcp:tool/search{calls<=9}"]).unwrap(),
        "c" => Scope::parse(["a2a:skill/*/work", "mcp:tool/*{calls<=4}"]).unwrap(),
        "d" => Scope::parse(["a2a:skill/e/*", "a2a:skill/f/*"]).unwrap(),
        BROKER_AGENT => Scope::top(),
        _ => Scope::empty(),
    }
}

pub(crate) fn facts(agent: &str) -> AgentFacts {
    AgentFacts {
        name: agent.to_owned(),
        identity: format!("http://{agent}"),
        caps: caps(agent),
        skills: Vec::new(),
        retry: RetryWish::default(),
        skill_retry: BTreeMap::new(),
    }
}

/// An agent as another delegate.
pub(crate) fn candidate(agent: &str) -> Candidate {
    Candidate {
        agent: facts(agent),
        agent_context: format!("context-{agent}"),
        policy: None,
        admitted: true,
        choice: None,
    }
}

/// What came of weighing, without anybody weighed.
pub(crate) fn choice(verdict: ChoiceVerdict) -> Choice {
    let (candidates, excluded, stages) = Default::default();
    Choice { verdict, confidence: 0.5, threshold: 0.8, candidates, excluded, considered: 2, stages }
}

/// What is accepted where a test has something accepted.
pub(crate) fn accepting(judged: bool) -> Box<Specification> {
    let judge = if judged { r#", "judge": {"agent": "f", "rubric": "be kind"}"# } else { "" };
    let accept = format!(r#"{{"max_bytes": 1000{judge}}}"#);
    let accept: Acceptance = serde_json::from_str(&accept).unwrap();
    Box::new(Specification { accept: Some(accept), ..Specification::default() })
}

/// A wish to try again this often, and elsewhere if need be.
pub(crate) fn retries(max_attempts: u32, idempotent: bool, fallback: Fallback) -> RetryWish {
    RetryWish { max_attempts: Some(max_attempts), idempotent: Some(idempotent), fallback: Some(fallback) }
}

impl World {
    pub(crate) fn new() -> Self {
        let root = TaskId(Uuid::from_u128(1));
        Self {
            tree: Tree::new(root),
            journal: Vec::new(),
            now: Timestamp::from_millis(1_000_000),
            limits: Limits { max_fanout: 5, max_depth: 4, max_live_tasks: 12, ..Limits::default() },
            listening: Vec::new(),
            canceling: Vec::new(),
            queued: Vec::new(),
            seeking: Vec::new(),
            checking: Vec::new(),
            sent: Vec::new(),
            dispatches: Vec::new(),
            latest: BTreeMap::new(),
            next_id: 1,
        }
    }

    /// Feeds an input, makes its records durable and true, and takes note of what is wanted.
    pub(crate) fn feed(&mut self, input: Input) -> Result<(), Refusal> {
        let decision = self.decide(input)?;
        self.apply(&decision.records);
        decision.actions.into_iter().for_each(|action| self.perform(action));
        Ok(())
    }

    /// The same, but the broker dies once this many of the records... all or none of them are durable: appends are
    /// atomic. Nothing is performed; the tree comes back from its journal.
    pub(crate) fn feed_and_crash(&mut self, input: Input, durable: bool) {
        if let Ok(decision) = self.decide(input)
            && durable
        {
            self.journal.extend(decision.records);
        }
        self.crash();
    }

    fn decide(&self, input: Input) -> Result<Decision, Refusal> {
        let before = format!("{:?}", self.tree);
        let decision = self.tree.decide(input, self.now, &self.limits).map_err(|refused| refused.refusal);
        assert_eq!(before, format!("{:?}", self.tree), "deciding changes nothing");
        decision
    }

    fn apply(&mut self, records: &[Record]) {
        for record in records {
            self.tree.apply(record).expect("what was decided can be applied");
            self.journal.push(record.clone());
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send(dispatch) => {
                self.sent.push(dispatch.message.message_id.clone());
                self.latest.insert(dispatch.attempt.task, dispatch.message.message_id.clone());
                self.listen(dispatch.attempt);
                self.dispatches.push(*dispatch);
            }
            Action::Admit { attempt, .. } => self.queued.push(attempt),
            Action::Seek(search) => self.seeking.push(*search),
            Action::Check(check) => self.checking.push(*check),
            Action::Recover(lost) => {
                self.latest.insert(lost.attempt.task, lost.latest);
                self.listen(lost.attempt);
            }
            Action::Cancel { attempt, .. } => self.canceling.push(attempt),
            Action::Abandon(attempt) => self.listening.retain(|other| *other != attempt),
        }
    }

    /// What an agent answers that was asked just now.
    pub(crate) fn found(&self, attempt: AttemptId, task: Task) -> Input {
        let latest = self.latest.get(&attempt.task).cloned().unwrap_or_default();
        Input::Found { attempt, task: Box::new(task), latest }
    }

    /// The agent answered the call that brought it the latest message.
    pub(crate) fn taken(&self, attempt: AttemptId) -> Input {
        let latest = self.latest.get(&attempt.task).cloned().unwrap_or_default();
        Input::Taken { attempt, latest }
    }

    fn listen(&mut self, attempt: AttemptId) {
        self.listening.retain(|other| *other != attempt);
        self.listening.push(attempt);
    }

    /// The broker dies and comes back: from the journal, through its stored form.
    pub(crate) fn crash(&mut self) {
        let stored: Vec<Vec<u8>> = self.journal.iter().map(|record| record.encode().unwrap()).collect();
        let records: Vec<Record> = stored.iter().map(|bytes| Record::decode(bytes).unwrap()).collect();
        self.tree = Tree::fold(self.tree.root(), &records).expect("a journal folds");
        self.journal = records;
        self.listening.clear();
        self.canceling.clear();
        self.queued.clear();
        self.seeking.clear();
        self.checking.clear();
        if !self.journal.is_empty() {
            self.feed(Input::Resume).expect("resuming is always possible");
        }
    }

    pub(crate) fn fresh(&mut self) -> TaskId {
        let id = TaskId(Uuid::from_u128(self.next_id));
        self.next_id += 1;
        id
    }

    pub(crate) fn new_task(&mut self, parent: Option<TaskId>, agent: &str, retry: RetryWish) -> NewTask {
        let id = self.fresh();
        NewTask {
            id,
            parent,
            caller: "alice".to_owned(),
            held: Scope::top(),
            agent: facts(agent),
            skill: None,
            asked: None,
            budget: Ceilings::default(),
            policy: None,
            push: None,
            specification: None,
            trace: None,
            upstream: None,
            message: Message::user_text(format!("m{id}"), "do it"),
            context_id: "context".to_owned(),
            agent_context: format!("context-{agent}"),
            accepted_output_modes: Vec::new(),
            extensions: Vec::new(),
            deadline: None,
            retry,
            admitted: true,
            escalate: false,
            choice: None,
        }
    }

    pub(crate) fn delegate(&mut self, parent: Option<TaskId>, agent: &str) -> Result<TaskId, Refusal> {
        let new = self.new_task(parent, agent, RetryWish::default());
        let id = new.id;
        self.feed(Input::Delegate(Box::new(new))).map(|()| id)
    }

    pub(crate) fn say(&mut self, attempt: AttemptId, event: StreamResponse) {
        self.feed(Input::Agent { attempt, event: Box::new(event) }).expect("an agent's word is always taken");
    }

    pub(crate) fn fail(&mut self, attempt: AttemptId, failure: Failure) {
        self.feed(Input::Failed { attempt, failure, jitter: 0 }).expect("a failure is always taken");
    }

    pub(crate) fn tasks(&self) -> Vec<TaskId> {
        self.tree.subtree(self.tree.root()).into_iter().map(|summary| summary.task).collect()
    }

    pub(crate) fn state(&self, task: TaskId) -> TaskState {
        self.tree.state(task).expect("a task")
    }
}

pub(crate) fn agent_task(attempt: AttemptId) -> String {
    format!("at-{}-{}", attempt.task, attempt.number)
}

fn status(state: TaskState, text: Option<&str>) -> TaskStatus {
    let message = text.map(|text| Box::new(Message::agent_text(text, text)));
    TaskStatus { state, message, timestamp: None, unknown: Fields::default() }
}

pub(crate) fn update(attempt: AttemptId, state: TaskState, text: Option<&str>) -> StreamResponse {
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: agent_task(attempt),
        context_id: None,
        status: status(state, text),
        metadata: Metadata::default(),
        unknown: Fields::default(),
    })
}

pub(crate) fn snapshot(attempt: AttemptId, state: TaskState, text: Option<&str>) -> Task {
    Task {
        id: agent_task(attempt),
        context_id: None,
        status: status(state, text),
        artifacts: Vec::new(),
        history: Vec::new(),
        metadata: Metadata::default(),
        unknown: Fields::default(),
    }
}

pub(crate) fn artifact(attempt: AttemptId, id: &str, append: bool) -> StreamResponse {
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
        task_id: agent_task(attempt),
        append,
        ..TaskArtifactUpdateEvent::whole(Artifact {
            artifact_id: id.to_owned(),
            name: None,
            description: None,
            parts: vec![Part::text(id)],
            metadata: Metadata::default(),
            extensions: Vec::new(),
            unknown: Fields::default(),
        })
    })
}
