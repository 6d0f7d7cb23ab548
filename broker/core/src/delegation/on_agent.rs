//! The agent speaks: its task, statuses, artifacts and messages become the broker's own, ids and metadata
//! translated. What comes after the end, or for an attempt that is over, is noted and never shown.

use std::collections::HashSet;

use protocol::{Message, Metadata, Role, StreamResponse, Task, TaskState, TaskStatus};

use super::action::Action;
use super::draft::Draft;
use super::input::{AttemptId, Failure};
use super::state::{Node, Phase, Progress};
use crate::TaskId;
use crate::extension;
use crate::journal::{AttemptOutcome, Fact, Origin, Outcome, StatusFact};
use crate::sabotage::{Guard, removed};

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
        if let Some(excess) = self.excess(attempt.task, &event) {
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
            .is_some_and(|live| matches!(live.progress, Progress::Canceling));
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

    /// A whole task: only what is new in it becomes records.
    fn on_snapshot(&mut self, attempt: AttemptId, task: Task) {
        let id = attempt.task;
        if let Some(turn) = self.turn_id(attempt).filter(|turn| has(&task.history, turn)) {
            self.on_taken(attempt, &turn);
        }
        let known = self.known_messages(id);
        let is_news = |message: &Message| is_news_beside(&known, message);
        let said: Vec<Message> = task.history.into_iter().filter(is_news).collect();
        for message in said {
            let message = self.northbound_message(id, message);
            self.produce(id, Fact::Said(Box::new(message)));
        }
        for artifact in &task.artifacts {
            if let Some(news) = self.news_in(id, artifact) {
                self.on_artifact(id, news);
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

    /// The messages of a whole task that are news, its status among them.
    pub(super) fn news_among<'m>(&self, task: TaskId, found: &'m Task) -> impl Iterator<Item = &'m Message> {
        let known = self.known_messages(task);
        let messages = found.history.iter().chain(found.status.message.as_deref());
        messages.filter(move |message| is_news_beside(&known, message))
    }

    /// Their ids, for whoever has many to look up.
    fn known_messages(&self, task: TaskId) -> HashSet<&str> {
        self.shown_messages(task).map(|message| message.message_id.as_str()).collect()
    }

    fn is_known_metadata(&self, task: TaskId, metadata: &Metadata) -> bool {
        let Some(body) = self.tree.bodies.get(task) else { return false };
        let latest = body.withheld.iter().rev().find_map(|fact| match fact {
            Fact::Metadata(withheld) => Some(&**withheld),
            _ => None,
        });
        latest.unwrap_or(&body.metadata) == metadata
    }

    fn on_status(&mut self, attempt: AttemptId, status: TaskStatus, metadata: Metadata) {
        let task = attempt.task;
        let is_stale = self.is_stale_question(task, &status);
        if is_stale || self.is_restated(task, &status, &metadata) {
            if !is_stale {
                self.settle_answer(attempt);
            }
            return self.on_nothing_new(attempt);
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

    /// The agent says what is shown already: of one that was out of touch, that is news all the same.
    fn on_nothing_new(&mut self, attempt: AttemptId) {
        let AttemptId { task, number } = attempt;
        let Some(node) = self.node(task) else { return };
        let Some(live) = node.live(number).filter(|live| live.is_out_of_touch()) else { return };
        let Some(agent_task) = live.agent_task.clone() else { return };
        // What the caller was told of it last is that nobody knows.
        let was_unknown = matches!(live.progress, Progress::Unknown { .. });
        let said = was_unknown.then(|| format!("{} answers again, and goes on", node.terms().agent));
        self.record(task, Fact::AttemptAccepted { number, agent_task });
        if let Some(said) = said {
            self.note_working(task, &said);
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
        // That an agent goes on before it has the answer is news.
        let goes_on = node.turn.as_deref().is_some_and(|turn| turn.answers.is_some() && !turn.taken);
        !status.state.is_terminal() && stands && same_message && metadata.is_empty() && !goes_on
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

pub(super) fn has(history: &[Message], id: &str) -> bool {
    history.iter().any(|message| message.message_id == id)
}

pub(super) fn agent_status(state: TaskState, message: Option<Message>) -> StatusFact {
    StatusFact { state, message, metadata: Metadata::default(), origin: Origin::Agent }
}
