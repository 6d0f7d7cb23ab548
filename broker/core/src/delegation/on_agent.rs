//! The agent speaks: its task, statuses, artifacts and messages become the broker's own, ids and metadata
//! translated. What comes after the end, or for an attempt that is over, is noted and never shown.

use std::collections::HashSet;

use protocol::{
    Artifact, Message, Metadata, Role, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState, TaskStatus,
};

use super::action::Action;
use super::draft::{Draft, agent_message_id};
use super::input::{AttemptId, Failure};
use super::state::{Body, Node, Phase, Question, Turn, bytes_of, status_bytes};
use crate::TaskId;
use crate::extension;
use crate::journal::{ArtifactFact, AttemptOutcome, Fact, Origin, Outcome, StatusFact};
use crate::sabotage::{Guard, removed};

/// Most artifacts of one task: each piece of one is looked up among them.
const MAX_ARTIFACTS: usize = 10_000;

impl Draft<'_> {
    pub(super) fn on_agent(&mut self, attempt: AttemptId, event: StreamResponse) {
        if !self.is_listening(attempt) {
            return self.on_late(attempt, &event);
        }
        let agent_task = match &event {
            StreamResponse::Task(task) => Some(task.id.as_str()),
            StreamResponse::StatusUpdate(update) => Some(update.task_id.as_str()),
            StreamResponse::ArtifactUpdate(update) => Some(update.task_id.as_str()),
            StreamResponse::Message(_) => None,
        };
        if let Some(agent_task) = agent_task
            && !self.accept(attempt, agent_task)
        {
            let known = self.agent_task(attempt).unwrap_or_default();
            let reason = format!("the agent answered for task {agent_task}, not for its own task {known}");
            return self.on_failed(attempt, &Failure::Invalid(reason), 0);
        }
        self.on_cost(attempt, &event);
        if self.is_closing(attempt.task) {
            return self.on_agent_while_closing(attempt, &event);
        }
        if let Some(excess) = self.excess_bytes(attempt.task, &event) {
            return self.on_failed(attempt, &Failure::Invalid(excess), 0);
        }
        match event {
            StreamResponse::Task(task) => self.on_snapshot(attempt, task),
            StreamResponse::StatusUpdate(update) => self.on_status(attempt, update.status, update.metadata),
            StreamResponse::ArtifactUpdate(update) => self.on_artifact(attempt.task, update),
            StreamResponse::Message(message) => self.on_direct_answer(attempt, message),
        }
        self.stop_overspending(attempt.task);
    }

    /// What the agent says of its cost is recorded before anything else: whatever becomes of the event, it was used up.
    fn on_cost(&mut self, attempt: AttemptId, event: &StreamResponse) {
        let AttemptId { task, number } = attempt;
        let Some(said) = extension::cost_in(event) else { return };
        let known = self.node(task).and_then(|node| node.live(number)).map(|live| live.cost);
        if known.is_some_and(|known| said.or(&known) != known) {
            self.record(task, Fact::Cost { number, cost: said });
        }
    }

    /// The agent was asked, and this is where its task stood. A turn it had never got by then is sent again.
    pub(super) fn on_found(&mut self, attempt: AttemptId, task: Task, latest: &str) {
        let undelivered = self.undelivered_turn(attempt, &task, latest);
        self.on_agent(attempt, StreamResponse::Task(task));
        if let Some(turn) = undelivered {
            self.send(attempt, Some(&turn));
        }
    }

    /// A turn that the agent lacks: it still asks what that answers; or it shows what callers said, and this is not there.
    fn undelivered_turn(&self, attempt: AttemptId, found: &Task, latest: &str) -> Option<Message> {
        let turn = self.node(attempt.task)?.turn.as_deref()?;
        let id = agent_message_id(&turn.message.message_id, attempt);
        if id != latest || found.status.state.is_terminal() || has(&found.history, &id) {
            return None;
        }
        let shows_callers = found.history.iter().any(|message| message.role == Role::User);
        let is_lacking =
            self.is_stale_question(attempt.task, &found.status) || (!turn.answers && shows_callers);
        is_lacking.then(|| turn.message.clone())
    }

    /// The agent has a turn that answered nothing. (One that answered a question is known to have arrived when that is no
    /// longer asked.)
    pub(super) fn on_taken(&mut self, attempt: AttemptId, latest: &str) {
        let AttemptId { task, number } = attempt;
        let Some(node) = self.node(task).filter(|node| node.is_open() && node.live(number).is_some()) else {
            return;
        };
        let is_taken =
            |turn: &Turn| !turn.answers && agent_message_id(&turn.message.message_id, attempt) == latest;
        if node.turn.as_deref().is_some_and(is_taken) {
            self.record(task, Fact::TurnTaken { number });
        }
    }

    fn is_listening(&self, attempt: AttemptId) -> bool {
        self.node(attempt.task).is_some_and(|node| {
            (node.is_open() || removed(Guard::LastWords))
                && (node.live(attempt.number).is_some()
                    || removed(Guard::LostAttempts)
                    || removed(Guard::LastWords) && !node.is_open())
        })
    }

    fn is_closing(&self, task: TaskId) -> bool {
        self.node(task).is_some_and(|node| matches!(node.phase, Phase::Closing { .. }))
    }

    /// The agent's own id of the task, once it said one.
    pub(super) fn agent_task(&self, attempt: AttemptId) -> Option<String> {
        self.node(attempt.task)?.live(attempt.number)?.agent_task.clone()
    }

    /// Learns the agent's own id of the task; `false` if it contradicts the one it gave before.
    fn accept(&mut self, attempt: AttemptId, agent_task: &str) -> bool {
        if let Some(known) = self.agent_task(attempt) {
            return known == agent_task;
        }
        let (number, agent_task) = (attempt.number, agent_task.to_owned());
        self.record(attempt.task, Fact::AttemptAccepted { number, agent_task });
        true
    }

    fn on_late(&mut self, attempt: AttemptId, event: &StreamResponse) {
        let Some(node) = self.node(attempt.task) else { return };
        if node.late >= self.limits.max_late_facts {
            return;
        }
        let what = match event {
            StreamResponse::Task(task) => format!("task {}", task.status.state.as_str()),
            StreamResponse::StatusUpdate(update) => format!("status {}", update.status.state.as_str()),
            StreamResponse::ArtifactUpdate(update) => format!("artifact {}", update.artifact.artifact_id),
            StreamResponse::Message(message) => format!("message {}", message.message_id),
        };
        self.record(attempt.task, Fact::Late { number: attempt.number, what });
    }

    fn on_agent_while_closing(&mut self, attempt: AttemptId, event: &StreamResponse) {
        let state = match event {
            StreamResponse::Task(task) => Some(task.status.state),
            StreamResponse::StatusUpdate(update) => Some(update.status.state),
            StreamResponse::Message(_) => Some(TaskState::Completed),
            StreamResponse::ArtifactUpdate(_) => None,
        };
        let was_asked = self
            .node(attempt.task)
            .and_then(|node| node.live(attempt.number))
            .is_some_and(|live| matches!(live.progress, super::state::Progress::Canceling));
        match state {
            Some(TaskState::Canceled) => self.settle_cancel(attempt, AttemptOutcome::Canceled, None),
            Some(state) if state.is_terminal() => {
                let reason = format!("the agent had already reported {}", state.as_str());
                self.settle_cancel(attempt, AttemptOutcome::Reported, Some(reason));
            }
            // Its id is known only now, so only now can it be asked to stop.
            _ if was_asked && self.learned_id_now(attempt) => self.ask_to_cancel(attempt),
            _ => {}
        }
    }

    /// Whether this very decision recorded the agent's id.
    fn learned_id_now(&self, attempt: AttemptId) -> bool {
        let before = self.tree.nodes.get(attempt.task).and_then(|node| node.live(attempt.number));
        before.is_some_and(|live| live.agent_task.is_none())
    }

    fn excess_bytes(&self, task: TaskId, event: &StreamResponse) -> Option<String> {
        let added = match event {
            StreamResponse::Task(found) => self.added_by(task, found),
            StreamResponse::StatusUpdate(update) => {
                status_bytes(update.status.message.as_deref(), &update.metadata)
            }
            StreamResponse::ArtifactUpdate(update) => bytes_of(&update.artifact) + bytes_of(&update.metadata),
            StreamResponse::Message(message) => bytes_of(message),
        };
        let artifacts = match event {
            StreamResponse::Task(task) => task.artifacts.len(),
            _ => self
                .tree
                .bodies
                .get(task)
                .map_or(0, |body| body.artifacts.len().max(body.withheld_artifacts.len())),
        };
        if artifacts > MAX_ARTIFACTS {
            return Some(format!("the agent's task has more than {MAX_ARTIFACTS} artifacts"));
        }
        let limit = self.limits.max_task_bytes;
        let total = self.node(task)?.bytes.saturating_add(added);
        (total > limit).then(|| {
            format!("the agent's messages and artifacts exceed {limit} bytes (limits.max_task_bytes)")
        })
    }

    /// What a whole task would add: what is known of it already is kept once.
    fn added_by(&self, task: TaskId, found: &Task) -> u64 {
        let known = self.known_messages(task);
        let messages = found.history.iter().chain(found.status.message.as_deref());
        let messages = messages.filter(|message| is_news_beside(&known, message)).map(bytes_of);
        let artifacts = found.artifacts.iter().filter(|artifact| !self.has_artifact(task, artifact));
        messages.chain(artifacts.map(bytes_of)).fold(bytes_of(&found.metadata), u64::saturating_add)
    }

    /// A whole task: only what is new in it becomes records.
    fn on_snapshot(&mut self, attempt: AttemptId, task: Task) {
        let id = attempt.task;
        let turn = self.node(id).and_then(|node| node.turn.as_deref());
        let turn = turn.map(|turn| agent_message_id(&turn.message.message_id, attempt));
        if let Some(turn) = turn.filter(|turn| has(&task.history, turn)) {
            self.on_taken(attempt, &turn);
        }
        let known = self.known_messages(id);
        let is_news = |message: &Message| is_news_beside(&known, message);
        let said: Vec<Message> = task.history.into_iter().filter(is_news).collect();
        for message in said {
            let message = self.northbound_message(id, message);
            self.produce(id, Fact::Said(Box::new(message)));
        }
        for artifact in task.artifacts {
            if !self.has_artifact(id, &artifact) {
                let update = TaskArtifactUpdateEvent::whole(artifact);
                self.on_artifact(id, update);
            }
        }
        let metadata = extension::without_broker_data(task.metadata);
        if !metadata.is_empty() && !self.is_known_metadata(id, &metadata) {
            self.produce(id, Fact::Metadata(Box::new(metadata)));
        }
        self.on_status(attempt, task.status, Metadata::default());
    }

    /// A message of the agent that neither the history nor a status has shown yet.
    fn is_news(&self, task: TaskId, message: &Message) -> bool {
        message.role == Role::Agent
            && !self.shown_messages(task).any(|known| known.message_id == message.message_id)
    }

    /// The messages that the history or a status has shown.
    fn shown_messages(&self, task: TaskId) -> impl Iterator<Item = &Message> {
        let body = self.tree.bodies.get(task);
        body.into_iter().flat_map(|body| {
            let withheld = body.withheld.iter().filter_map(|fact| match fact {
                Fact::Said(message) => Some(&**message),
                _ => None,
            });
            body.status_message.iter().chain(&body.history).chain(withheld)
        })
    }

    /// Their ids, for whoever has many to look up.
    fn known_messages(&self, task: TaskId) -> HashSet<&str> {
        self.shown_messages(task).map(|message| message.message_id.as_str()).collect()
    }

    fn has_artifact(&self, task: TaskId, artifact: &Artifact) -> bool {
        let northbound = extension::clean_artifact(artifact.clone());
        let has = |body: &Body| {
            body.artifacts.contains(&northbound) || body.withheld_artifacts.contains(&northbound)
        };
        self.tree.bodies.get(task).is_some_and(has)
    }

    fn is_known_metadata(&self, task: TaskId, metadata: &Metadata) -> bool {
        let is_withheld = |fact: &Fact| matches!(fact, Fact::Metadata(withheld) if **withheld == *metadata);
        let knows = |body: &Body| body.metadata == *metadata || body.withheld.iter().any(is_withheld);
        self.tree.bodies.get(task).is_some_and(knows)
    }

    fn on_artifact(&mut self, task: TaskId, update: TaskArtifactUpdateEvent) {
        let starts = self.node(task).is_some_and(|node| matches!(node.phase, Phase::Submitted));
        if starts {
            self.record(task, Fact::Status(Box::new(agent_status(TaskState::Working, None))));
            self.report_to_parent(task);
        }
        let piece = ArtifactFact {
            artifact: extension::clean_artifact(update.artifact),
            append: update.append,
            last_chunk: update.last_chunk,
            metadata: extension::without_broker_data(update.metadata),
        };
        self.produce(task, Fact::Artifact(Box::new(piece)));
    }

    fn on_status(&mut self, attempt: AttemptId, status: TaskStatus, metadata: Metadata) {
        let task = attempt.task;
        if self.is_stale_question(task, &status) || self.is_restated(task, &status, &metadata) {
            return;
        }
        let message = status.message.map(|message| self.northbound_message(task, *message));
        let metadata = extension::without_broker_data(metadata);
        match status.state {
            TaskState::Submitted => {}
            TaskState::Working | TaskState::InputRequired | TaskState::AuthRequired => {
                let fact = StatusFact { metadata, ..agent_status(status.state, message) };
                self.record(task, Fact::Status(Box::new(fact)));
                self.report_to_parent(task);
            }
            state => {
                let outcome = Outcome { metadata, ..Outcome::new(state, message) };
                self.on_reported_end(attempt, outcome);
            }
        }
    }

    /// An agent at work that says it used up more than the task has left is stopped.
    fn stop_overspending(&mut self, task: TaskId) {
        let is_at_work = |node: &Node| {
            !matches!(node.phase, Phase::Held(_) | Phase::Checking(_) | Phase::Closing { .. } | Phase::Ended)
        };
        if self.node(task).is_some_and(is_at_work)
            && let Some(exhausted) = self.is_overspent(task)
        {
            self.fail(task, &format!("the task's budget is used up: {exhausted}"));
        }
    }

    /// The agent reports an end. COMPLETED waits for open children; any other end takes them down first.
    fn on_reported_end(&mut self, attempt: AttemptId, outcome: Outcome) {
        let task = attempt.task;
        if outcome.state == TaskState::Rejected && self.on_rejected(attempt, outcome.message.as_ref()) {
            return;
        }
        let open_children = self.node(task).map_or(0, |node| node.open_children);
        let open_children = if removed(Guard::HeldParents) { 0 } else { open_children };
        match (outcome.state, open_children) {
            (_, 0) => self.complete(task, outcome),
            (TaskState::Completed, _) => self.record(task, Fact::Held(Box::new(outcome))),
            _ => {
                let (number, reported) = (attempt.number, AttemptOutcome::Reported);
                self.record(task, Fact::AttemptEnded { number, outcome: reported, reason: None });
                self.close(task, outcome);
            }
        }
    }

    /// One message instead of a task. Shown as exactly that if nothing else was shown before.
    fn on_direct_answer(&mut self, attempt: AttemptId, message: Message) {
        let Some(node) = self.node(attempt.task) else { return };
        if let Some(agent_task) = node.live(attempt.number).and_then(|live| live.agent_task.as_ref()) {
            let reason = format!("the agent sent a bare message although it works on task {agent_task}");
            return self.on_failed(attempt, &Failure::Invalid(reason), 0);
        }
        let direct = matches!(node.phase, Phase::Submitted);
        let message = self.northbound_message(attempt.task, message);
        let outcome = Outcome { direct, ..Outcome::new(TaskState::Completed, Some(message)) };
        self.on_reported_end(attempt, outcome);
    }

    /// After an answer, the agent's stream may begin with the old question; it is not asked again.
    fn is_stale_question(&self, task: TaskId, status: &TaskStatus) -> bool {
        let asked = Question::of(status.state, status.message.as_deref());
        self.node(task).is_some_and(|node| asked.is_some() && node.turn.is_some() && node.question == asked)
    }

    /// Whether this status says nothing that is not shown already.
    fn is_restated(&self, task: TaskId, status: &TaskStatus, metadata: &Metadata) -> bool {
        let Some(node) = self.node(task) else { return false };
        // What is shown may be the question of a task below.
        let stands = match &node.phase {
            Phase::Asking(asks) => *asks == status.state,
            Phase::Working | Phase::Held(_) | Phase::Checking(_) => status.state == TaskState::Working,
            Phase::Submitted | Phase::Closing { .. } | Phase::Ended => false,
        };
        let same_message = status.message.as_deref().is_none_or(|message| !self.is_news(task, message));
        !status.state.is_terminal() && stands && same_message && metadata.is_empty()
    }

    /// An agent's message as callers see it: our ids, and nothing only the broker may say.
    fn northbound_message(&self, task: TaskId, mut message: Message) -> Message {
        if let Some(node) = self.node(task) {
            message.context_id = Some(node.submission.context_id.clone());
        }
        message.task_id = message.task_id.map(|_| task.to_string());
        message.metadata = extension::without_broker_data(message.metadata);
        message
    }

    /// The agent is to stop: its own id of the task is known.
    pub(super) fn ask_to_cancel(&mut self, attempt: AttemptId) {
        let Some(agent_task) = self.agent_task(attempt) else { return };
        let Some(agent) = self.node(attempt.task).map(|node| node.terms().agent.clone()) else { return };
        self.act(Action::Cancel { attempt, agent, agent_task });
    }
}

fn is_news_beside(known: &HashSet<&str>, message: &Message) -> bool {
    message.role == Role::Agent && !known.contains(message.message_id.as_str())
}

fn has(history: &[Message], id: &str) -> bool {
    history.iter().any(|message| message.message_id == id)
}

fn agent_status(state: TaskState, message: Option<Message>) -> StatusFact {
    StatusFact { state, message, metadata: Metadata::default(), origin: Origin::Agent }
}
