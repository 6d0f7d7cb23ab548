//! What is shown of a task: the A2A task, its events, and the summary people and tools read.

use broker_acceptance::Verdict;
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::{
    Message, Metadata, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState, TaskStatus,
    TaskStatusUpdateEvent, Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::Tree;
use super::abroad::UpstreamNote;
use super::action::Recovery;
use super::body::{bytes_of, is_note};
use super::draft::recovery;
use super::input::AttemptId;
use super::purses::{self, PurseId};
use super::state::{Attempt, Node, Phase, Progress};
use crate::TaskId;
use crate::extension::{self, AmountsWire};
use crate::journal::{AttemptOutcome, ChildNote, Choice, Fact, Origin, Outcome, Record};

/// What a caller who waits for a task's first word has been told so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing: the agent has given no sign.
    Nothing,
    /// The task: states, artifacts, children; also that it waits, or had to wait, for a place at its agent.
    Task,
    /// One direct message, and that is all there is.
    Message,
}

/// An agent's work on a task.
#[derive(Debug, Clone, Copy)]
pub struct Work<'t> {
    /// The agent.
    pub agent: &'t str,
    /// What it was sent first.
    pub message: &'t Message,
    /// How long it had the task; milliseconds.
    pub took_ms: i64,
}

/// One task of a tree, for people and tools.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskSummary {
    /// The task.
    pub task: TaskId,
    /// Its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// The root of its tree.
    pub root: TaskId,
    /// Hops from the root.
    pub depth: u32,
    /// The principal that owns the tree.
    #[serde(skip)]
    pub owner: String,
    /// The agent that works on it.
    pub agent: String,
    /// The skill asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// Northbound context id.
    #[serde(skip)]
    pub context_id: String,
    /// Northbound state.
    pub state: TaskState,
    /// The agent is done; open children keep the task WORKING.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// The agent is done, and what it produced is being checked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub checking: bool,
    /// What became of the last checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceptance: Option<Verdict>,
    /// What it lacks and waits for approval of, as canonical scope tokens.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub missing: Vec<String>,
    /// The task that does it in its place, having what it lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_by: Option<TaskId>,
    /// It is the broker's own, of several sub-tasks: `parallel`, `race` or `quorum`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// How its delegate was chosen, where nobody named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<Box<Choice>>,
    /// The task of another broker that it is done for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamNote>,
    /// The effective scope as canonical texts.
    pub scope: Vec<String>,
    /// When it must be over.
    pub deadline: Timestamp,
    /// What it may use up, its delegations included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<AmountsWire>,
    /// What is left of that while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<AmountsWire>,
    /// What its agent says it used up by itself; of a root that is done for another broker, what
    /// the whole tree did, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<AmountsWire>,
    /// When it came to be.
    pub created: Timestamp,
    /// When its status last changed.
    pub updated: Timestamp,
    /// Its attempts so far.
    pub attempts: Vec<AttemptSummary>,
    /// Its children, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ChildNote>,
}

/// One attempt, for people and tools.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AttemptSummary {
    /// From 1.
    pub number: u32,
    /// The agent it was with, where the task is another's since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// `scheduled`, `queued`, `seeking`, `sent`, `accepted`, `lost`, `unknown_outcome`, `canceling`, or how it ended.
    pub state: &'static str,
    /// Why, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Rough size of a task as it is shown, in bytes: its messages and artifacts.
pub fn shown_bytes(task: &Task) -> u64 {
    let messages = task.history.iter().chain(task.status.message.as_deref()).map(bytes_of);
    let artifacts = task.artifacts.iter().map(bytes_of);
    messages.chain(artifacts).fold(0, u64::saturating_add)
}

impl Tree {
    /// The A2A task with at most `history_length` of its latest messages (all if `None`; spec §3.2.4).
    pub fn task(&self, id: TaskId, history_length: Option<usize>) -> Option<Task> {
        let (node, body) = (self.nodes.get(id)?, self.bodies.get(id)?);
        let history = std::iter::once(&node.submission.message).chain(&body.history);
        let keep = history_length.unwrap_or(usize::MAX);
        let skip = (body.history.len() + 1).saturating_sub(keep);
        let mut metadata = body.metadata.clone();
        // A summary is plain data; were it not serialisable, the task would still be worth showing.
        let _ = metadata.set(extension::URI, &self.summarize(node));
        Some(Task {
            id: id.to_string(),
            context_id: Some(node.submission.context_id.clone()),
            status: TaskStatus {
                state: node.state,
                message: body
                    .status_message
                    .clone()
                    .map(|message| Box::new(Self::message_upstream(node, message))),
                timestamp: Some(node.updated),
                unknown: protocol::Fields::default(),
            },
            artifacts: body.artifacts.clone(),
            history: history.skip(skip).cloned().collect(),
            metadata,
            unknown: protocol::Fields::default(),
        })
    }

    /// The state shown northbound.
    pub fn state(&self, task: TaskId) -> Option<TaskState> {
        self.nodes.get(task).map(|node| node.state)
    }

    /// The number of the task's latest record.
    pub fn seq(&self, task: TaskId) -> Option<u64> {
        self.nodes.get(task).map(|node| node.seq)
    }

    /// What a caller waiting for the first word can be told.
    pub fn told(&self, task: TaskId) -> Told {
        let Some(node) = self.nodes.get(task) else { return Told::Nothing };
        let accepted = node.attempts.iter().any(|attempt| attempt.agent_task.is_some());
        match node.phase {
            Phase::Ended if node.direct && !node.queued => Told::Message,
            Phase::Submitted if !accepted && !node.queued => Told::Nothing,
            // One message, which is shown as that or not at all.
            Phase::Checking(_) if node.state == TaskState::Submitted => Told::Nothing,
            _ => Told::Task,
        }
    }

    /// The direct answer, if that is what the agent gave and all the caller is told.
    pub fn direct_answer(&self, task: TaskId) -> Option<&Message> {
        self.nodes.get(task).filter(|node| !node.queued)?;
        self.one_message(task)
    }

    /// The one message the agent answered with, if it made no task of it.
    pub(super) fn one_message(&self, task: TaskId) -> Option<&Message> {
        self.nodes.get(task).filter(|node| node.direct)?;
        self.bodies.get(task)?.status_message.as_ref()
    }

    /// A task's summary.
    pub fn summary(&self, task: TaskId) -> Option<TaskSummary> {
        self.nodes.get(task).map(|node| self.summarize(node))
    }

    /// What an open task holds, its ceilings lowered to what is left of them.
    pub fn scope_left(&self, task: TaskId) -> Option<Scope> {
        self.nodes.get(task).map(|node| purses::left_of(node, &self.ledger))
    }

    /// Summaries of `task` and everything below it, each parent before its children.
    pub fn subtree(&self, task: TaskId) -> Vec<TaskSummary> {
        let mut found = Vec::new();
        let mut waiting = vec![task];
        while let Some(node) = waiting.pop().and_then(|task| self.nodes.get(task)) {
            waiting.extend(node.children.iter().rev());
            found.push(self.summarize(node));
        }
        found
    }

    /// What an agent was to do with a task it has worked on, and for how long it had it by then. Not what a judge was asked:
    /// that is another's work.
    pub fn work_of(&self, task: TaskId, at: Timestamp) -> Option<Work<'_>> {
        let node = self.nodes.get(task).filter(|node| !self.is_judge(node))?;
        node.attempts.iter().find(|attempt| attempt.was_sent())?;
        let took_ms = at.as_millis().saturating_sub(node.delegated.as_millis());
        Some(Work { agent: &node.terms().agent, message: node.first_message(), took_ms })
    }

    /// Whether it was the agent itself that brought a task to this end, and not the broker.
    pub fn is_reported(&self, end: &Outcome) -> bool {
        end.message.as_ref().is_none_or(|message| !is_note(message))
    }

    /// The agent an open task was dispatched to.
    pub fn agent(&self, task: TaskId) -> Option<&str> {
        self.nodes.get(task).map(|node| node.terms().agent.as_str())
    }

    /// The agent a task is with while it is open.
    pub fn open_with(&self, task: TaskId) -> Option<&str> {
        self.nodes.get(task).filter(|node| node.is_open()).map(|node| node.terms().agent.as_str())
    }

    /// Whether a task is an agent's, or was before it went to another.
    pub fn has_been_with(&self, task: TaskId, agent: &str) -> bool {
        self.nodes.get(task).is_some_and(|node| {
            let mut former = node.attempts.iter().filter_map(|attempt| attempt.former.as_deref());
            &*node.terms().agent == agent || former.any(|former| former == agent)
        })
    }

    /// The agent's own id of the task an attempt made there.
    pub fn agent_task(&self, attempt: AttemptId) -> Option<&str> {
        self.nodes.get(attempt.task)?.live(attempt.number)?.agent_task.as_deref()
    }

    /// All its tasks, in order of creation.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> {
        self.nodes.tasks()
    }

    /// How many tasks are open.
    pub fn open_tasks(&self) -> u32 {
        self.open
    }

    /// The principal that owns the tree.
    pub fn owner(&self) -> Option<&str> {
        self.nodes.get(self.root).map(|node| node.submission.owner.as_str())
    }

    /// The delegating task.
    pub fn parent(&self, task: TaskId) -> Option<TaskId> {
        self.nodes.get(task)?.submission.parent
    }

    /// Whom a task waits for approval by: the agent it is for, and who owns it.
    pub fn awaits_approval(&self, task: TaskId) -> Option<(&str, &str)> {
        let node = self.nodes.get(task).filter(|node| node.submission.escalation.is_some())?;
        let waits = node.is_open() && node.done_by.is_none();
        waits.then(|| (node.terms().agent.as_str(), node.submission.owner.as_str()))
    }

    /// The agent a task keeps busy: sent, not over, and not waiting for its children, its caller or somebody's decision.
    pub fn busy_agent(&self, task: TaskId) -> Option<&str> {
        let node = self.nodes.get(task).filter(|node| node.open_children == 0)?;
        let is_idle =
            matches!(node.phase, Phase::Asking(_) | Phase::Held(_) | Phase::Checking(_) | Phase::Ended);
        let attempt = node.live_attempt().filter(|attempt| !is_idle && !attempt.progress.is_waiting());
        attempt.map(|_| node.terms().agent.as_str())
    }

    /// Whether the task was sent to this agent, and no other has had it since.
    pub fn was_sent_to(&self, task: TaskId, agent: &str) -> bool {
        let node = self.nodes.get(task).filter(|node| node.terms().agent == agent);
        let last = node.and_then(|node| node.attempts.last());
        last.is_some_and(|last| last.former.is_none() && last.was_sent())
    }

    /// Whether a task waits for a place at its agent.
    pub fn is_queued(&self, task: TaskId) -> bool {
        let live = self.nodes.get(task).and_then(Node::live_attempt);
        live.is_some_and(|attempt| attempt.progress == Progress::Queued)
    }

    /// What an attempt that is under way is asked after by.
    pub fn recovery(&self, attempt: AttemptId) -> Option<Recovery> {
        let node = self.nodes.get(attempt.task).filter(|node| node.live(attempt.number).is_some());
        node.map(|node| recovery(node, attempt))
    }

    /// Whether an attempt is under way.
    pub fn is_live(&self, attempt: AttemptId) -> bool {
        self.nodes.get(attempt.task).is_some_and(|node| node.live(attempt.number).is_some())
    }

    /// Whether an agent works, with its grant alive, on the task or on one above it.
    pub fn is_below_agent(&self, task: TaskId, agent: &str) -> bool {
        self.reach(task).any(|node| node.terms().agent == agent && self.is_granted(node.id))
    }

    /// The owner and the northbound context of a task.
    pub fn owner_and_context(&self, task: TaskId) -> Option<(&str, &str)> {
        let submission = &self.nodes.get(task)?.submission;
        Some((&submission.owner, &submission.context_id))
    }

    /// What subscribers see of a record; `None` for facts that are not shown.
    pub fn event(&self, record: &Record) -> Option<StreamResponse> {
        let node = self.nodes.get(record.task)?;
        let status = |state, message: Option<Message>, metadata: Metadata| {
            StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
                task_id: record.task.to_string(),
                context_id: Some(node.submission.context_id.clone()),
                status: TaskStatus {
                    state,
                    message: message.map(Box::new),
                    timestamp: Some(record.at),
                    unknown: protocol::Fields::default(),
                },
                metadata,
                unknown: protocol::Fields::default(),
            })
        };
        match &record.fact {
            Fact::Status(fact) => {
                let child = match &fact.origin {
                    Origin::Child(child) => Some(child),
                    Origin::Agent | Origin::Broker => None,
                };
                let metadata = match node.submission.upstream {
                    Some(_) => extension::without_cost(fact.metadata.clone()),
                    None => fact.metadata.clone(),
                };
                let metadata = with_child(metadata, child);
                let message = fact.message.clone().map(|message| Self::message_upstream(node, message));
                Some(status(fact.state, message, metadata))
            }
            Fact::Bubbled(bubble) => {
                let metadata = with_child(Metadata::default(), Some(&bubble.asks));
                Some(status(bubble.asks.state, bubble.message.clone(), metadata))
            }
            Fact::Turn { answers: true, .. } | Fact::PassedOn { .. } => {
                Some(status(TaskState::Working, None, Metadata::default()))
            }
            Fact::Ended(outcome) => {
                let metadata = outcome.metadata.clone();
                let metadata = match self.cost_upstream(node) {
                    Some(cost) => extension::with_cost(metadata, &cost),
                    None => metadata,
                };
                Some(status(outcome.state, outcome.message.clone(), metadata))
            }
            Fact::Artifact(piece) => Some(StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
                task_id: record.task.to_string(),
                context_id: Some(node.submission.context_id.clone()),
                artifact: piece.artifact.clone(),
                append: piece.append,
                last_chunk: piece.last_chunk,
                metadata: piece.metadata.clone(),
                unknown: protocol::Fields::default(),
            })),
            _ => None,
        }
    }

    fn summarize(&self, node: &Node) -> TaskSummary {
        let children = node.children.iter().filter_map(|child| self.note(*child)).collect();
        TaskSummary { children, ..self.summarize_alone(node) }
    }

    /// Without its children, of which there can be many.
    pub(super) fn summarize_alone(&self, node: &Node) -> TaskSummary {
        let (submission, terms) = (&node.submission, node.terms());
        let budget = terms.purses.first().map(|purse| purse.ceilings).unwrap_or_default();
        TaskSummary {
            task: node.id,
            parent: submission.parent,
            root: self.root,
            depth: submission.depth,
            owner: submission.owner.clone(),
            agent: terms.agent.clone(),
            skill: terms.skill.clone(),
            context_id: submission.context_id.clone(),
            state: node.state,
            held: matches!(node.phase, Phase::Held(_)),
            checking: matches!(node.phase, Phase::Checking(_)),
            acceptance: node.verdict.as_deref().cloned(),
            missing: missing(node),
            done_by: node.done_by,
            mode: submission.group.map(|group| group.mode.name()),
            choice: node.choice.as_deref().cloned().map(Box::new),
            upstream: submission.upstream.as_deref().map(UpstreamNote::of),
            scope: terms.scope.texts(),
            deadline: submission.deadline,
            budget: amounts(&budget),
            left: amounts(&self.ledger.left(&PurseId { task: node.id, index: 0 })),
            cost: match submission.upstream {
                Some(_) => self.cost_upstream(node),
                None => amounts(&node.cost),
            },
            created: node.created(),
            updated: node.updated,
            attempts: node.attempts.iter().map(summarize_attempt).collect(),
            children: Vec::new(),
        }
    }

    fn note(&self, child: TaskId) -> Option<ChildNote> {
        self.nodes.get(child).map(Node::child_note)
    }
}

/// What a task waits for approval of.
fn missing(node: &Node) -> Vec<String> {
    let escalation = node.submission.escalation.as_ref();
    let waits = escalation.filter(|_| node.is_open() && node.done_by.is_none());
    waits.map(|escalation| escalation.missing.clone()).unwrap_or_default()
}

/// A child's progress travels in the event's metadata, under the extension's URI.
fn with_child(mut metadata: Metadata, child: Option<&ChildNote>) -> Metadata {
    #[derive(Serialize)]
    struct Progress<'a> {
        child: &'a ChildNote,
    }
    if let Some(child) = child {
        let _ = metadata.set(extension::URI, &Progress { child });
    }
    metadata
}

fn summarize_attempt(attempt: &Attempt) -> AttemptSummary {
    let agent = attempt.former.as_deref().map(ToOwned::to_owned);
    let state = stage(attempt.progress);
    AttemptSummary { number: attempt.number, agent, state, reason: attempt.reason.clone() }
}

/// How far an attempt has come, in a word.
pub(super) fn stage(progress: Progress) -> &'static str {
    match progress {
        Progress::Scheduled { .. } => "scheduled",
        Progress::Queued => "queued",
        Progress::Seeking => "seeking",
        Progress::Started => "sent",
        Progress::Accepted => "accepted",
        Progress::Lost => "lost",
        Progress::Canceling => "canceling",
        Progress::Ended(AttemptOutcome::Reported) => "reported",
        Progress::Ended(AttemptOutcome::NeverSent) => "never_sent",
        Progress::Ended(AttemptOutcome::Refused) => "refused",
        Progress::Ended(AttemptOutcome::Failed) => "failed",
        Progress::Unknown { .. } | Progress::Ended(AttemptOutcome::Unknown) => "unknown_outcome",
        Progress::Ended(AttemptOutcome::Canceled) => "canceled",
        Progress::Ended(AttemptOutcome::CancelUnconfirmed) => "cancel_unconfirmed",
        Progress::Ended(AttemptOutcome::HandedOff) => "handed_off",
        Progress::Ended(AttemptOutcome::Unaccepted) => "unaccepted",
    }
}

/// Amounts as they are shown; nothing where there is nothing to show.
fn amounts(amounts: &Ceilings) -> Option<AmountsWire> {
    (!amounts.is_unlimited()).then(|| AmountsWire::of(amounts))
}
