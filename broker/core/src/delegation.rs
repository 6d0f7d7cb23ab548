//! A delegation tree, and the rules by which it grows, works and ends.
//!
//! [`Tree::decide`] turns an input into records and actions without changing anything; [`Tree::apply`] makes a
//! record true. Live use and replay go through the same `apply`, so a tree folded from its journal is the tree
//! that was. Time, ids and configuration come in as arguments; the caller makes records durable before it
//! applies them, and applies them before it performs the actions.

pub mod abroad;
pub mod action;
mod artifacts;
mod authority;
mod body;
mod bubbles;
pub mod context;
mod draft;
pub mod input;
mod on_agent;
mod on_cancel;
mod on_check;
mod on_choice;
mod on_delegate;
mod on_escalation;
mod on_failed;
mod on_fallback;
mod on_group;
mod on_handoff;
mod on_push;
mod on_resolve;
mod on_revoke;
mod on_time;
mod on_turn;
mod overview;
mod purses;
mod slots;
pub mod spans;
mod state;
mod view;

use std::sync::Arc;

use capability::ledger::{Amounts, Ledger};
use protocol::{TaskState, Timestamp};

use self::action::Action;
use self::body::{Body, bytes_of, status_bytes};
use self::draft::Draft;
use self::input::Input;
use self::purses::PurseId;
use self::slots::Slots;
use self::state::{Node, Phase, Progress};
use crate::TaskId;
use crate::audit::Event;
use crate::error::{Refusal, Refused};
use crate::journal::{Fact, Outcome, Record};
use crate::limits::Limits;

pub use self::on_group::BROKER_AGENT;
pub use self::on_push::Push;
pub use self::overview::{Changes, Overview};
pub use self::view::{AttemptSummary, TaskSummary, Told, Work, shown_bytes};

/// One root task and everything below it. The unit of decision, locking and journalling.
#[derive(Debug, Clone)]
pub struct Tree {
    root: TaskId,
    version: u64,
    open: u32,
    nodes: Slots<Node>,
    bodies: Slots<Body>,
    /// What open tasks may use up; empty where nothing is limited.
    ledger: Ledger<PurseId>,
    /// What all its tasks came to cost for good, each delegation's fee among it.
    spent: Amounts,
    /// The same without what counts as used only because nobody says.
    said: Amounts,
}

/// What follows from an input: facts to make durable, then effects to perform.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// New facts in order.
    pub records: Vec<Record>,
    /// Effects, to be performed once the records are durable.
    pub actions: Vec<Action>,
    /// Tasks that are new or whose northbound status changed, as they stand after the records.
    pub changed: Vec<Changed>,
    /// Whether any task of the tree is open after the records.
    pub open: bool,
    /// For the audit log, to be made durable with the records.
    pub audit: Vec<Event>,
}

/// What an index of tasks needs to know about a changed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The task.
    pub task: TaskId,
    /// The principal that owns its tree.
    pub owner: String,
    /// The agent that works on it.
    pub agent: String,
    /// Its northbound context.
    pub context_id: String,
    /// Its northbound state.
    pub state: TaskState,
    /// When its status last changed.
    pub updated: Timestamp,
}

/// Why a journal cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// A record is about a task that was never submitted.
    #[error("record {version} of the tree is about task {task}, which was never submitted")]
    UnknownTask {
        /// Number of the record in the tree.
        version: u64,
        /// The task.
        task: TaskId,
    },
    /// A record's number within its task is not the next one.
    #[error("record {version} of the tree has number {found} within task {task}, not the next, {expected}")]
    OutOfOrder {
        /// Number of the record in the tree.
        version: u64,
        /// The task.
        task: TaskId,
        /// Expected number.
        expected: u64,
        /// Number found.
        found: u64,
    },
}

impl Tree {
    /// A tree in which nothing has happened; its first input must delegate without a parent, with this id.
    pub fn new(root: TaskId) -> Self {
        Self {
            root,
            version: 0,
            open: 0,
            nodes: Slots::new(),
            bodies: Slots::new(),
            ledger: Ledger::default(),
            spent: Amounts::default(),
            said: Amounts::default(),
        }
    }

    /// What follows from an input at a time. Changes nothing.
    pub fn decide(&self, input: Input, now: Timestamp, limits: &Limits) -> Result<Decision, Refused> {
        let mut draft = Draft::new(self, now, limits);
        match input {
            Input::Delegate(new) => draft.on_delegate(*new)?,
            Input::Ask(new) => draft.on_ask(*new)?,
            Input::Choose { task, message, push, to } => {
                draft.begin_push(task, push)?;
                draft.on_choose(task, &message, *to)?;
            }
            Input::AskAgain { task, message, push, choice } => {
                draft.begin_push(task, push)?;
                draft.on_ask_again(task, &message, *choice)?;
            }
            Input::Group(group) => draft.on_group(*group)?,
            Input::HandOff(handoff) => draft.on_hand_off(*handoff)?,
            Input::Turn { task, message, push } => {
                draft.begin_push(task, push)?;
                draft.on_turn(task, &message)?;
            }
            Input::Agent { attempt, event } => draft.on_agent(attempt, *event),
            Input::Found { attempt, task, latest } => draft.on_found(attempt, *task, &latest),
            Input::Taken { attempt, latest } => draft.on_taken(attempt, &latest),
            Input::Checked { attempt, verdict, judge } => draft.on_checked(attempt, verdict, judge),
            Input::Admitted { attempt } => draft.on_admitted(attempt),
            Input::Failed { attempt, failure, jitter } => draft.on_failed(attempt, &failure, jitter),
            Input::Reassign { attempt, to } => draft.on_reassign(attempt, *to)?,
            Input::NoDelegate { attempt, reason } => draft.on_no_delegate(attempt, &reason),
            Input::Decide { task, grant, by } => draft.on_decide(task, grant.map(|grant| *grant), &by)?,
            Input::Resolve { task, resolution, by } => draft.on_resolve(task, resolution, by)?,
            Input::Cancel { task, by } => draft.on_cancel(task, &by)?,
            Input::Revoke { task, by } => draft.on_revoke(task, by)?,
            Input::SetPush { task, config } => draft.on_set_push(task, *config)?,
            Input::DeletePush { task, id } => draft.on_delete_push(task, id)?,
            Input::CancelAnswered { attempt, confirmed, reason } => {
                draft.on_cancel_answered(attempt, confirmed, reason);
            }
            Input::Tick => draft.on_tick(),
            Input::Resume => draft.on_resume(),
        }
        Ok(draft.finish())
    }

    /// Whether a task could be delegated like this now, were it asked for: the rule of [`Input::Delegate`], without its
    /// effects.
    pub fn would_take(&self, new: &input::NewTask, now: Timestamp, limits: &Limits) -> Result<(), Refusal> {
        Draft::new(self, now, limits).would_delegate(new)
    }

    /// Makes a record true.
    pub fn apply(&mut self, record: &Record) -> Result<(), FoldError> {
        let unknown = || FoldError::UnknownTask { version: self.version, task: record.task };
        let expected = match (&record.fact, self.nodes.get(record.task)) {
            (Fact::Submitted(_), None) => 1,
            (_, Some(node)) => node.seq + 1,
            (_, None) => return Err(unknown()),
        };
        if record.seq != expected {
            let (version, task, found) = (self.version, record.task, record.seq);
            return Err(FoldError::OutOfOrder { version, task, expected, found });
        }
        apply_to_nodes(self, record);
        body::apply(&mut self.bodies, record);
        self.version += 1;
        self.note_change(record.task);
        Ok(())
    }

    /// Folds a tree from its records.
    pub fn fold<'r>(root: TaskId, records: impl IntoIterator<Item = &'r Record>) -> Result<Self, FoldError> {
        let mut tree = Self::new(root);
        records.into_iter().try_for_each(|record| tree.apply(record))?;
        Ok(tree)
    }

    /// The root task.
    pub fn root(&self) -> TaskId {
        self.root
    }

    /// How many records the tree holds.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether any task is open.
    pub fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Whether an attempt is under way whose agent has asked, and whose caller has not answered: nothing is to be heard
    /// of it until then.
    pub fn waits_for_caller(&self, attempt: input::AttemptId) -> bool {
        let node = self.nodes.get(attempt.task).filter(|node| node.live(attempt.number).is_some());
        node.is_some_and(Node::is_quiet)
    }

    /// Rough size of the messages and artifacts of all its tasks, in bytes.
    pub fn bytes(&self) -> u64 {
        let sizes = self.nodes.tasks().filter_map(|task| self.nodes.get(task)).map(|node| node.bytes);
        sizes.fold(0, u64::saturating_add)
    }

    /// Rough size of the messages and artifacts of one of its tasks, in bytes.
    pub fn bytes_of(&self, task: TaskId) -> u64 {
        self.nodes.get(task).map_or(0, |node| node.bytes)
    }

    /// What its tasks came to cost for good so far: what their agents say, or all that a task could cost if it had a
    /// budget and its agent does not say; and a call for each delegation.
    pub fn spent(&self) -> Amounts {
        self.spent
    }

    /// The same as far as agents have said it.
    pub fn said_to_cost(&self) -> Amounts {
        self.said
    }

    /// What it may come to cost beside that, where it has a budget.
    pub fn held(&self) -> Amounts {
        purses::held_for(&self.ledger, self.root)
    }

    /// The next time at which [`Input::Tick`] would do something; `None` when nothing is waited for.
    pub fn next_timer(&self, limits: &Limits) -> Option<Timestamp> {
        self.nodes.values().filter_map(|node| on_time::next_timer(self, node, limits)).min()
    }

    /// Whether a grant for this task opens anything: it and all its ancestors are open, not being cancelled and not
    /// revoked.
    pub fn is_granted(&self, task: TaskId) -> bool {
        self.lineage(task).all(Node::is_granted) && self.nodes.get(task).is_some()
    }

    /// Whether `task` is `ancestor` or below it, for whoever works on that one: who judges its result is none of its
    /// business.
    pub fn is_within(&self, task: TaskId, ancestor: TaskId) -> bool {
        self.reach(task).any(|node| node.id == ancestor)
    }

    /// The task and those above it whose agents have to do with it, nearest first.
    fn reach(&self, task: TaskId) -> impl Iterator<Item = &Node> {
        let above = |node: &&Node| {
            let parent = self.nodes.get(node.submission.parent?)?;
            // It judges for whoever delegated what is judged.
            if self.is_judge(node) { self.nodes.get(parent.submission.parent?) } else { Some(parent) }
        };
        std::iter::successors(self.nodes.get(task), above)
    }

    /// Whether a task asks a judge: the broker delegated it, and not for a task of its own.
    fn is_judge(&self, node: &Node) -> bool {
        let parent = node.submission.parent.and_then(|parent| self.nodes.get(parent));
        node.submission.caller == BROKER_AGENT
            && parent.is_some_and(|parent| parent.submission.group.is_none())
    }

    /// The task and its ancestors, nearest first.
    fn lineage(&self, task: TaskId) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.nodes.get(task), |node| self.nodes.get(node.submission.parent?))
    }
}

/// The nodes a record changes: a tree's own, or a draft's copies of them.
trait Nodes {
    fn node_mut(&mut self, task: TaskId) -> Option<&mut Node>;
    fn insert(&mut self, node: Node);
    fn open_mut(&mut self) -> &mut u32;
    fn ledger_mut(&mut self) -> &mut Ledger<PurseId>;
    fn spend(&mut self, charged: &Amounts, said: &Amounts);
}

impl Nodes for Tree {
    fn node_mut(&mut self, task: TaskId) -> Option<&mut Node> {
        self.nodes.get_mut(task)
    }

    fn insert(&mut self, node: Node) {
        self.nodes.insert(node.id, node);
    }

    fn open_mut(&mut self) -> &mut u32 {
        &mut self.open
    }

    fn ledger_mut(&mut self) -> &mut Ledger<PurseId> {
        &mut self.ledger
    }

    fn spend(&mut self, charged: &Amounts, said: &Amounts) {
        self.spent = self.spent.plus(charged);
        self.said = self.said.plus(said);
    }
}

/// The one meaning of a record for the state that decisions are made from.
fn apply_to_nodes(nodes: &mut impl Nodes, record: &Record) {
    if let Fact::Submitted(submission) = &record.fact {
        nodes.insert(Node::new(record.task, Arc::clone(submission), record.at));
        *nodes.open_mut() += 1;
        purses::open(nodes, record.task, submission.parent, &submission.terms);
        if let Some(parent) = submission.parent.and_then(|parent| nodes.node_mut(parent)) {
            parent.children.push(record.task);
            parent.open_children += 1;
        }
    }
    if let Fact::Approved { done_by, .. } = &record.fact
        && let Some(node) = nodes.node_mut(*done_by)
    {
        node.in_place_of = Some(record.task);
    }
    let Some(node) = nodes.node_mut(record.task) else { return };
    let was_open = node.is_open();
    if let Fact::Reassigned(to) = &record.fact {
        let (former, cost, parent) = (node.terms().clone(), node.cost_on_terms(), node.submission.parent);
        purses::close(nodes, record.task, &former, &cost);
        purses::open(nodes, record.task, parent, &to.terms);
    }
    let Some(node) = nodes.node_mut(record.task) else { return };
    apply_to_node(node, record);
    node.time_attempt(record.at);
    if let Fact::AttemptEnded { .. } = &record.fact
        && record.fact.drops_withheld()
    {
        node.drop_withheld();
    }
    if was_open && !node.is_open() {
        let (parent, terms) = (node.submission.parent, node.terms().clone());
        *nodes.open_mut() -= 1;
        if let Fact::Ended(outcome) = &record.fact {
            purses::close(nodes, record.task, &terms, &outcome.cost);
        }
        if let Some(parent) = parent.and_then(|parent| nodes.node_mut(parent)) {
            parent.open_children -= 1;
        }
    }
}

fn apply_to_node(node: &mut Node, record: &Record) {
    node.seq = record.seq;
    match &record.fact {
        Fact::Submitted(_) | Fact::Resolved { .. } => {}
        // What was withheld is kept already.
        Fact::Artifact(_) | Fact::Said(_) | Fact::Metadata(_) if node.submission.accept().is_some() => {}
        Fact::Withheld(fact) => {
            node.regain_contact(record.at);
            node.withhold(fact);
        }
        Fact::Metadata(metadata) => node.bytes += bytes_of(metadata),
        Fact::AttemptScheduled { number, not_before } => {
            node.begin_attempt(*number, Progress::Scheduled { not_before: *not_before });
        }
        Fact::AttemptQueued { number } => {
            // Later attempts pass through the queue even where there is a place.
            node.queued |= node.attempts.is_empty();
            node.begin_attempt(*number, Progress::Queued);
        }
        Fact::DelegateSought { number } => node.begin_attempt(*number, Progress::Seeking),
        Fact::Reassigned(to) => node.reassign(to, record.at),
        Fact::Weighed(choice) => node.choice = Some(Arc::new((**choice).clone())),
        Fact::OutcomeUnknown { number, reason, until } => {
            node.advance(*number, Progress::Unknown { until: *until }, Some(reason));
        }
        Fact::AttemptStarted { number } => {
            node.heard = record.at;
            node.start_attempt(*number);
        }
        Fact::AttemptAccepted { number, agent_task } => {
            node.heard = record.at;
            node.accept_attempt(*number, agent_task);
        }
        Fact::AttemptLost { number, reason } => node.advance(*number, Progress::Lost, Some(reason)),
        Fact::CancelRequested { number } => node.advance(*number, Progress::Canceling, None),
        Fact::AttemptEnded { number, outcome, reason } => {
            node.advance(*number, Progress::Ended(*outcome), reason.as_ref());
        }
        Fact::Approved { done_by, .. } => {
            node.done_by = Some(*done_by);
            node.phase = Phase::Working;
            node.show(TaskState::Working, record.at);
        }
        Fact::Resumed => node.heard = record.at,
        Fact::Status(status) => {
            node.bytes += status_bytes(status.message.as_ref(), &status.metadata);
            node.set_status(status, record.at);
        }
        Fact::Artifact(piece) => {
            node.regain_contact(record.at);
            node.bytes = (node.bytes + bytes_of(piece)).saturating_sub(piece.replaces);
            node.replaced += piece.replaces;
        }
        Fact::Said(message) => node.bytes += bytes_of(message),
        Fact::Turn { message, answers } => {
            node.heard = record.at;
            node.bytes += bytes_of(message);
            node.begin_turn(message, *answers);
            if *answers {
                node.phase = Phase::Working;
                node.show(TaskState::Working, record.at);
            }
        }
        Fact::TurnTaken { .. } => node.take_turn(),
        Fact::TurnResent { .. } => node.restart_turn(),
        Fact::TurnRefused { .. } => node.turn = None,
        Fact::Bubbled(bubble) => {
            node.show(bubble.asks.state, record.at);
            node.bubbled = Some(bubble.asks.task);
        }
        Fact::PassedOn { message, .. } => {
            node.heard = record.at;
            node.bytes += bytes_of(message);
            node.bubbled = None;
            node.show(TaskState::Working, record.at);
        }
        Fact::Held(outcome) => {
            node.end_live_attempt();
            node.phase = Phase::Held(Arc::new((**outcome).clone()));
        }
        Fact::Checking(_) | Fact::Judging { .. } | Fact::Checked { .. } => {
            on_check::apply(node, &record.fact);
        }
        Fact::Closing { outcome, give_up } => {
            let outcome = Arc::new((**outcome).clone());
            node.phase = Phase::Closing { outcome, give_up: *give_up };
        }
        Fact::Ended(outcome) => {
            node.end_live_attempt();
            node.direct = outcome.direct;
            if node.reassigned.is_none() {
                node.cost = outcome.cost;
            }
            node.phase = Phase::Ended;
            node.show(outcome.state, record.at);
        }
        Fact::PushSet(_) | Fact::PushDeleted { .. } => {
            on_push::apply(&mut node.pushes, record.seq, &record.fact);
        }
        Fact::Revoked { .. } => node.revoked = true,
        Fact::Cost { number, cost } => node.note_cost(*number, cost),
        Fact::Late { .. } => node.late += 1,
    }
}

impl Outcome {
    /// An end with a closing message, if there is one.
    pub(crate) fn new(state: TaskState, message: Option<protocol::Message>) -> Self {
        let (metadata, cost) = Default::default();
        Self { state, message, metadata, direct: false, cost }
    }
}
