//! A decision being made: records apply to private copies of the nodes they touch, so that later steps of one
//! decision see earlier ones while the tree itself stays as it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use capability::ledger::{Amounts, Ledger};
use protocol::{Message, TaskState, Timestamp};

use super::action::{Action, Dispatch, Passport, Recovery};
use super::body::{Body, NOTE_PREFIX};
use super::context::Given;
use super::input::AttemptId;
use super::on_check::instruction;
use super::purses::PurseId;
use super::spans::trace_of;
use super::state::{Node, Phase};
use super::{Changed, Decision, Nodes, Tree, apply_to_nodes};
use crate::TaskId;
use crate::audit::Event;
use crate::journal::{ChildNote, Fact, Origin, Outcome, RECORD_VERSION, Record, StatusFact};
use crate::limits::Limits;
use crate::trace::span_of_attempt;

pub(super) struct Draft<'t> {
    pub(super) tree: &'t Tree,
    pub(super) now: Timestamp,
    pub(super) limits: &'t Limits,
    touched: BTreeMap<TaskId, Node>,
    open: u32,
    ledger: Cow<'t, Ledger<PurseId>>,
    decision: Decision,
}

impl<'t> Draft<'t> {
    pub(super) fn new(tree: &'t Tree, now: Timestamp, limits: &'t Limits) -> Self {
        let (touched, decision) = Default::default();
        Self { tree, now, limits, touched, open: tree.open, ledger: Cow::Borrowed(&tree.ledger), decision }
    }

    pub(super) fn finish(mut self) -> Decision {
        self.bubble();
        let changed = self.touched.values().filter(|node| self.is_shown_differently(node));
        let changed = changed.map(index_entry).collect();
        Decision { changed, open: self.open > 0, ..self.decision }
    }

    fn is_shown_differently(&self, node: &Node) -> bool {
        let before = self.tree.nodes.get(node.id);
        before.is_none_or(|before| {
            (before.state, before.updated) != (node.state, node.updated)
                || before.terms().agent != node.terms().agent
        })
    }

    /// The task as it stands after what has been decided so far.
    pub(super) fn node(&self, task: TaskId) -> Option<&Node> {
        self.touched.get(&task).or_else(|| self.tree.nodes.get(task))
    }

    /// What is left to use up, after what has been decided so far.
    pub(super) fn ledger(&self) -> &Ledger<PurseId> {
        &self.ledger
    }

    pub(super) fn open(&self) -> u32 {
        self.open
    }

    /// How many tasks the tree has had, those of this decision included.
    pub(super) fn size(&self) -> usize {
        let new = self.touched.keys().filter(|task| self.tree.nodes.get(**task).is_none());
        self.tree.nodes.len() + new.count()
    }

    /// All tasks of the tree; ids sort by creation, so parents come before children.
    pub(super) fn tasks(&self) -> Vec<TaskId> {
        self.tree.nodes.tasks().collect()
    }

    pub(super) fn record(&mut self, task: TaskId, fact: Fact) {
        let seq = self.node(task).map_or(0, |node| node.seq) + 1;
        let record = Record { v: RECORD_VERSION, task, seq, at: self.now, fact };
        apply_to_nodes(self, &record);
        self.decision.records.push(record);
    }

    /// Whether a task was changed so far.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Node> {
        self.touched.values()
    }

    /// What was recorded so far.
    pub(super) fn records(&self) -> &[Record] {
        &self.decision.records
    }

    pub(super) fn audit(&mut self, event: Event) {
        self.decision.audit.push(event);
    }

    pub(super) fn act(&mut self, action: Action) {
        self.decision.actions.push(action);
    }

    /// A message of the broker's own, for a status.
    pub(super) fn note(&self, task: TaskId, text: &str) -> Message {
        let seq = self.node(task).map_or(0, |node| node.seq) + 1;
        let mut note = Message::agent_text(format!("{NOTE_PREFIX}{task}.{seq}"), text);
        note.task_id = Some(task.to_string());
        note.context_id = self.node(task).map(|node| node.submission.context_id.clone());
        note
    }

    /// Says on the task's own stream that work goes on, and why. Silent before the agent's first sign, so that
    /// a direct answer can still pass as exactly that.
    pub(super) fn note_working(&mut self, task: TaskId, text: &str) {
        if self.node(task).is_some_and(|node| matches!(node.phase, Phase::Working | Phase::Asking(_))) {
            let message = Some(self.note(task, text));
            self.show_working(task, message, Origin::Broker);
        }
    }

    /// Shows that work goes on.
    pub(super) fn show_working(&mut self, task: TaskId, message: Option<Message>, origin: Origin) {
        self.show(task, TaskState::Working, message, origin);
    }

    /// Shows a status of the broker's making.
    pub(super) fn show(&mut self, task: TaskId, state: TaskState, message: Option<Message>, origin: Origin) {
        let metadata = protocol::Metadata::default();
        self.record(task, Fact::Status(Box::new(StatusFact { state, message, metadata, origin })));
    }

    /// Ends a task, tells its parent, and lets a parent that waited for it go on.
    pub(super) fn end(&mut self, task: TaskId, outcome: Outcome) {
        let cost = self.node(task).map(Node::cost_on_terms).unwrap_or_default();
        self.record(task, Fact::Ended(Box::new(Outcome { cost, ..outcome })));
        self.report_to_parent(task);
        self.end_in_place(task);
        let Some(parent) = self.parent(task) else { return };
        let Some(node) = self.node(parent) else { return };
        match &node.phase {
            Phase::Held(held) if node.open_children == 0 => {
                let outcome = (**held).clone();
                self.complete(parent, outcome);
            }
            Phase::Checking(_) => self.on_judged(parent, task),
            Phase::Closing { .. } => self.finish_closing(parent),
            _ if node.submission.group.is_some() => self.settle_group(parent),
            _ => self.look_for_delegate(parent),
        }
    }

    /// Shows a child's state on its parent's stream; the first child is a sign of work.
    pub(super) fn report_to_parent(&mut self, child: TaskId) {
        let Some(node) = self.node(child) else { return };
        let Some(parent) = node.submission.parent else { return };
        let progress = node.child_note();
        let reports = self
            .node(parent)
            .filter(|node| {
                matches!(node.phase, Phase::Submitted | Phase::Working | Phase::Held(_) | Phase::Checking(_))
            })
            // A question that is shown stands until it is answered.
            .is_some_and(|node| node.bubbled.is_none_or(|asks| asks == child));
        if reports {
            let message = self.note(parent, &child_text(&progress));
            self.show_working(parent, Some(message), Origin::Child(progress));
        }
    }

    /// As [`Tree::is_granted`], after what has been decided so far.
    pub(super) fn is_granted(&self, task: TaskId) -> bool {
        self.lineage(task).all(Node::is_granted)
    }

    /// The task and its ancestors, nearest first.
    pub(super) fn lineage(&self, task: TaskId) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.node(task), |node| self.node(node.submission.parent?))
    }

    pub(super) fn parent(&self, task: TaskId) -> Option<TaskId> {
        self.node(task)?.submission.parent
    }

    /// Asks for the task's first message, or its turn, to be sent to the agent for an attempt.
    pub(super) fn send(&mut self, attempt: AttemptId, turn: Option<&Message>) {
        let Some(node) = self.node(attempt.task) else { return };
        let mut message = turn.cloned().unwrap_or_else(|| self.opening(node));
        let given = if turn.is_none() { self.give_along(node, &mut message) } else { Vec::new() };
        message.message_id = agent_message_id(&message.message_id, attempt);
        message.context_id = Some(node.terms().agent_context.clone());
        message.task_id = node.live(attempt.number).and_then(|live| live.agent_task.clone());
        if turn.is_none() {
            message.parts.extend(instruction(node, attempt.number));
        }
        // The caller's references name the broker's tasks, which the agent does not know.
        message.reference_task_ids.clear();
        let dispatch = Dispatch {
            attempt,
            agent: node.terms().agent.clone(),
            message,
            accepted_output_modes: node.submission.accepted_output_modes.clone(),
            extensions: node.submission.extensions.clone(),
            passport: self.passport(node, attempt, given),
        };
        self.act(Action::Send(Box::new(dispatch)));
    }

    /// What an attempt begins with: the first message, and after its parts those of whatever the caller has said since.
    fn opening(&self, node: &Node) -> Message {
        let mut message = node.first_message().clone();
        // Whoever gives the task away in this very decision says itself what matters of what was said to it.
        let is_handed_over = self.records().iter().any(|record| {
            record.task == node.id && matches!(&record.fact, Fact::Reassigned(to) if to.message.is_some())
        });
        let body = self.tree.bodies.get(node.id).filter(|_| !is_handed_over);
        let further = body.into_iter().flat_map(Body::further);
        message.parts.extend(further.flat_map(|said| said.parts.iter().cloned()));
        message
    }

    fn passport(&self, node: &Node, attempt: AttemptId, given: Vec<Given>) -> Passport {
        let (submission, terms) = (&node.submission, node.terms());
        let ancestors = std::iter::successors(submission.parent, |&task| self.node(task)?.submission.parent);
        Passport {
            task: node.id,
            parent: submission.parent,
            root: self.tree.root,
            depth: submission.depth,
            owner: submission.owner.clone(),
            chain: ancestors
                .filter_map(|task| self.node(task))
                .map(|ancestor| ancestor.terms().agent.clone())
                .collect(),
            agent: terms.agent.clone(),
            skill: terms.skill.clone(),
            skills: terms.skills.clone(),
            scope: terms.scope.clone(),
            deadline: submission.deadline,
            budget: terms.purses.first().map(|purse| purse.ceilings).unwrap_or_default(),
            specification: submission.specification.clone(),
            trace: trace_of(self.tree.root, self.node(self.tree.root)).with_span(span_of_attempt(attempt)),
            caller_trace: submission.trace,
            given,
        }
    }

    /// Asks what became of an attempt.
    pub(super) fn recover(&mut self, attempt: AttemptId) {
        let Some(node) = self.node(attempt.task) else { return };
        let recovery = recovery(node, attempt);
        self.act(Action::Recover(Box::new(recovery)));
    }
}

impl Nodes for Draft<'_> {
    fn node_mut(&mut self, task: TaskId) -> Option<&mut Node> {
        if !self.touched.contains_key(&task) {
            self.touched.insert(task, self.tree.nodes.get(task)?.clone());
        }
        self.touched.get_mut(&task)
    }

    fn insert(&mut self, node: Node) {
        self.touched.insert(node.id, node);
    }

    fn open_mut(&mut self) -> &mut u32 {
        &mut self.open
    }

    fn ledger_mut(&mut self) -> &mut Ledger<PurseId> {
        self.ledger.to_mut()
    }

    /// No decision depends on what is paid for.
    fn spend(&mut self, _: &Amounts, _: &Amounts) {}
}

fn index_entry(node: &Node) -> Changed {
    Changed {
        task: node.id,
        owner: node.submission.owner.clone(),
        agent: node.terms().agent.clone(),
        context_id: node.submission.context_id.clone(),
        state: node.state,
        updated: node.updated,
    }
}

/// What an attempt at a task is asked after by.
pub(super) fn recovery(node: &Node, attempt: AttemptId) -> Recovery {
    let terms = node.terms();
    let first = node.first_message();
    let latest = node.turn.as_deref().map_or(first, |turn| &turn.message);
    Recovery {
        attempt,
        agent: terms.agent.clone(),
        agent_task: node.live(attempt.number).and_then(|live| live.agent_task.clone()),
        agent_context: terms.agent_context.clone(),
        message_id: agent_message_id(&first.message_id, attempt),
        latest: agent_message_id(&latest.message_id, attempt),
    }
}

/// The southbound message id: the same for every sending of one message in one attempt.
pub(super) fn agent_message_id(caller_message_id: &str, attempt: AttemptId) -> String {
    format!("{caller_message_id}.{}.{}", attempt.task, attempt.number)
}

fn child_text(note: &ChildNote) -> String {
    let skill = note.skill.as_deref().map(|skill| format!("/{skill}")).unwrap_or_default();
    let doing = match note.state {
        TaskState::Submitted => "has been given a sub-task",
        TaskState::Working => "is working",
        TaskState::InputRequired => "needs an answer",
        TaskState::AuthRequired => "needs authorization",
        TaskState::Completed => "has completed",
        TaskState::Failed => "has failed",
        TaskState::Canceled => "was canceled",
        TaskState::Rejected => "rejected its sub-task",
    };
    format!("{}{skill} {doing}", note.agent)
}
