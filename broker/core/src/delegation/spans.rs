//! A task as spans of its tree's trace, once it has ended: the delegation, with what was decided about it, and below it each
//! attempt, which is what agents go on from. Made from what the tree knows, so that a crash leaves no hole in a trace.

use capability::ledger::Unit;
use protocol::{TaskState, Timestamp};

use super::Tree;
use super::input::AttemptId;
use super::state::{Attempt, Node, Progress};
use super::view::stage;
use crate::TaskId;
use crate::audit;
use crate::journal::AttemptOutcome;
use crate::text::word;
use crate::trace::{TraceParent, span_of_attempt, span_of_refusal, span_of_task};

/// Something that took its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub id: u64,
    /// The span it belongs to.
    pub parent: Option<u64>,
    /// What it is.
    pub name: String,
    /// Whether it is a message to an agent; else the broker's own work.
    pub is_call: bool,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What is known of it, by names of OpenTelemetry's conventions where there are any.
    pub attributes: Vec<(&'static str, Value)>,
    /// What went wrong, if it did.
    pub problem: Option<String>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Real(f64),
}

impl Tree {
    /// An ended task and its attempts, if they are recorded.
    pub fn spans_of(&self, task: TaskId) -> Vec<Span> {
        let trace = trace_of(self.root, self.nodes.get(self.root));
        let Some(node) = self.nodes.get(task).filter(|node| trace.sampled && !node.is_open()) else {
            return Vec::new();
        };
        let sent = node.attempts.iter().filter(|attempt| attempt.sent.is_some());
        let attempts = sent.map(|attempt| self.span_of(node, attempt, trace));
        std::iter::once(self.span_of_delegation(node, trace)).chain(attempts).collect()
    }

    /// A delegation within a tree that was refused; it took no time.
    pub fn span_of_refusal(&self, refused: &audit::Delegation, now: Timestamp) -> Option<Span> {
        let root = self.nodes.get(self.root)?;
        let trace = Some(trace_of(self.root, Some(root))).filter(|trace| trace.sampled)?;
        // Another delegate for a task that is there: the refusal is below the task, and is not the task.
        let parent = match self.nodes.get(refused.task) {
            Some(node) => span_of_task(node.id),
            None => self.span_at(refused.parent?, now)?,
        };
        let mut attributes = about(&refused.agent, refused.task, self.root);
        attributes.extend(refused.skill.clone().map(|skill| ("bailiwick.skill", Value::Text(skill))));
        let why = refused.refused.as_ref()?;
        attributes.push(("error.type", Value::Text(why.code.clone())));
        Some(Span {
            trace: trace.trace,
            id: span_of_refusal(refused.task, &refused.agent, now),
            parent: Some(parent),
            name: name_of(&refused.agent),
            is_call: false,
            start: now,
            end: now,
            attributes,
            problem: Some(why.code.clone()),
        })
    }

    fn span_of_delegation(&self, node: &Node, trace: TraceParent) -> Span {
        let (submission, terms) = (&node.submission, node.terms());
        let given = submission.trace.filter(|given| given.trace == trace.trace).map(|given| given.span);
        let mut attributes = about(&terms.agent, node.id, self.root);
        attributes.extend([
            ("gen_ai.conversation.id", Value::Text(submission.context_id.clone())),
            ("bailiwick.state", Value::Text(node.state.as_str().to_owned())),
            ("bailiwick.depth", Value::Whole(submission.depth.into())),
            ("bailiwick.caller", Value::Text(submission.caller.clone())),
            ("bailiwick.scope", Value::Texts(terms.scope.texts())),
        ]);
        let parent = submission.parent.and_then(|parent| self.nodes.get(parent));
        // What it was narrowed from.
        let held =
            parent.map(|parent| ("bailiwick.scope.delegator", Value::Texts(parent.terms().scope.texts())));
        attributes.extend(held);
        attributes.extend(terms.skill.clone().map(|skill| ("bailiwick.skill", Value::Text(skill))));
        if let Some(choice) = &node.choice {
            attributes.push(("bailiwick.choice.verdict", Value::Text(word(&choice.verdict))));
            attributes.push(("bailiwick.choice.confidence", Value::Real(choice.confidence)));
        }
        if let Some(verdict) = &node.verdict {
            attributes.push(("bailiwick.acceptance", Value::Text(word(&verdict.outcome))));
        }
        if let Some(usd) = node.cost.get(Unit::Usd) {
            attributes.push(("bailiwick.cost.usd", Value::Text(capability::money(usd))));
        }
        let is_fine = matches!(node.state, TaskState::Completed | TaskState::Canceled);
        Span {
            trace: trace.trace,
            id: span_of_task(node.id),
            parent: given.or_else(|| self.span_above(node)),
            name: name_of(&terms.agent),
            is_call: false,
            start: node.created(),
            end: node.updated,
            attributes,
            // What agents say is for callers, and not for whoever reads traces.
            problem: (!is_fine).then(|| node.state.as_str().to_owned()),
        }
    }

    fn span_of(&self, node: &Node, attempt: &Attempt, trace: TraceParent) -> Span {
        let agent = attempt.former.as_deref().unwrap_or(&node.terms().agent);
        let start = attempt.sent.unwrap_or(node.updated);
        let outcome = stage(attempt.progress);
        let is_fine = |ended| {
            matches!(ended, AttemptOutcome::Reported | AttemptOutcome::HandedOff | AttemptOutcome::Canceled)
        };
        let is_bad = matches!(attempt.progress, Progress::Ended(ended) if !is_fine(ended));
        let mut attributes = about(agent, node.id, self.root);
        attributes.extend([
            ("bailiwick.attempt", Value::Whole(attempt.number.into())),
            ("bailiwick.outcome", Value::Text(outcome.to_owned())),
        ]);
        Span {
            trace: trace.trace,
            id: span_of_attempt(AttemptId { task: node.id, number: attempt.number }),
            parent: Some(span_of_task(node.id)),
            name: format!("send {agent}"),
            is_call: true,
            start,
            end: attempt.ended.unwrap_or(node.updated).max(start),
            attributes,
            problem: is_bad.then(|| outcome.to_owned()),
        }
    }

    /// The span a task is below where its caller names none.
    fn span_above(&self, node: &Node) -> Option<u64> {
        let parent = node.submission.parent?;
        // What is judged has not asked for that.
        if self.is_judge(node) { Some(span_of_task(parent)) } else { self.span_at(parent, node.created()) }
    }

    /// The span of whatever a task was doing at a time: its latest attempt by then, or itself.
    fn span_at(&self, task: TaskId, at: Timestamp) -> Option<u64> {
        let node = self.nodes.get(task)?;
        let by_then = |attempt: &&Attempt| attempt.sent.is_some_and(|sent| sent <= at);
        let attempt = node.attempts.iter().rev().find(by_then);
        Some(attempt.map_or_else(
            || span_of_task(task),
            |attempt| span_of_attempt(AttemptId { task, number: attempt.number }),
        ))
    }
}

/// The trace a tree is in, as of its root.
pub(super) fn trace_of(root: TaskId, node: Option<&Node>) -> TraceParent {
    node.and_then(|node| node.submission.trace).unwrap_or_else(|| TraceParent::of_root(root))
}

/// What is said of everything that is asked of an agent (semantic conventions for generative AI).
fn about(agent: &str, task: TaskId, root: TaskId) -> Vec<(&'static str, Value)> {
    vec![
        ("gen_ai.operation.name", Value::Text("invoke_agent".to_owned())),
        ("gen_ai.agent.name", Value::Text(agent.to_owned())),
        ("bailiwick.task", Value::Text(task.to_string())),
        ("bailiwick.root", Value::Text(root.to_string())),
    ]
}

fn name_of(agent: &str) -> String {
    format!("invoke_agent {agent}")
}
