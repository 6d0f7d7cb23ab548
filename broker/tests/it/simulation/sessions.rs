//! What callers ask: people by their API keys, and agents by the grants of the tasks they work on. A session is a message
//! and what is known of it; it outlives every broker, and whoever runs it goes on where it stands.

use std::sync::Arc;
use std::time::Duration;

use broker::service::Credential;
use broker_core::{TaskId, Timestamp, extension};
use protocol::{Message, SendMessageRequest};
use serde_json::json;

use super::agents::{NAMES, SKILLS};
use super::chance::Chance;
use super::world::World;

/// People, and the API key of each.
pub(crate) const PEOPLE: [(&str, &str); 2] = [("alice", "key-of-alice"), ("bob", "key-of-bob")];

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Blocking,
    Immediate,
    Streaming,
}

/// A message somebody sent, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// An API key or a grant.
    pub(crate) credential: String,
    /// Under which name its message id is kept.
    pub(crate) principal: String,
    /// The task of a delegating agent.
    pub(crate) parent: Option<TaskId>,
    pub(crate) message: Message,
    pub(crate) to: &'static str,
    pub(crate) mode: Mode,
    /// Not before this.
    pub(crate) begin_at: i64,
    /// Cancels after this long.
    pub(crate) cancel_after: Option<i64>,
    /// Answers questions, or never.
    pub(crate) answers: bool,
    /// Sends something else under the same message id too.
    pub(crate) reuses_id: bool,
    pub(crate) phase: Phase,
    /// The last event seen, and whether it ended the stream.
    pub(crate) seen: Option<u64>,
    /// Place in the task's states the caller has seen.
    pub(crate) seen_state: usize,
    pub(crate) turns: u32,
    pub(crate) is_running: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase {
    /// It is not known whether the broker has it.
    Unsent,
    Known(TaskId),
    /// It knows how it ended; `None` if it was refused or given up.
    Over(Option<TaskId>),
}

impl Session {
    /// What people are going to ask in this history.
    pub(crate) fn first(chance: &mut Chance) -> Vec<Self> {
        let number = 1 + chance.below(4);
        (0..number)
            .map(|number| {
                let (name, key) = PEOPLE[usize::from(chance.happens(400))];
                let begin_at = chance.between(0, 10_000);
                let message = Message::user_text(format!("m{number}"), "do it");
                Self::new(chance, (key, format!("p/{name}"), None), message, begin_at)
            })
            .collect()
    }

    fn new(
        chance: &mut Chance,
        (credential, principal, parent): (&str, String, Option<TaskId>),
        mut message: Message,
        begin_at: i64,
    ) -> Self {
        let to = *chance.pick(&NAMES);
        let mut asked = serde_json::Map::new();
        if chance.happens(300) {
            asked.insert("skill".to_owned(), json!(chance.pick(&SKILLS)));
        }
        if chance.happens(200) {
            let scopes = ["a2a:skill/**", "a2a:skill/*/read", "a2a:skill/fay/*", "a2a:skill/dan/plan"];
            asked.insert("scope".to_owned(), json!([chance.pick(&scopes), chance.pick(&scopes)]));
        }
        if chance.happens(400) {
            let attempts = 1 + chance.below(3);
            asked.insert(
                "retry".to_owned(),
                json!({ "max_attempts": attempts, "idempotent": chance.happens(500) }),
            );
        }
        if chance.happens(150) {
            let deadline = super::world::BEGINNING + begin_at + chance.between(1_000, 20_000);
            asked.insert("deadline".to_owned(), json!(Timestamp::from_millis(deadline)));
        }
        message.metadata.set(extension::URI, &asked).unwrap();
        Self {
            credential: credential.to_owned(),
            principal,
            parent,
            message,
            to,
            mode: *chance.pick(&[Mode::Blocking, Mode::Immediate, Mode::Streaming]),
            begin_at,
            cancel_after: chance.happens(150).then(|| chance.between(0, 5_000)),
            answers: chance.happens(850),
            reuses_id: chance.happens(150),
            phase: Phase::Unsent,
            seen: None,
            seen_state: 0,
            turns: 0,
            is_running: false,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    pub(crate) fn request(&self) -> SendMessageRequest {
        let mut request = SendMessageRequest::new(self.message.clone());
        let at_once = self.mode == Mode::Immediate;
        request.configuration =
            serde_json::from_value(json!({ "returnImmediately": at_once })).map(Box::new).map(Some).unwrap();
        request
    }
}

/// Sessions that go on in this life of the broker.
pub(crate) fn hire(world: &Arc<World>) -> Vec<usize> {
    let mut state = world.lock();
    let waiting = state.sessions.iter_mut().enumerate().filter(|(_, session)| !session.is_running);
    waiting
        .map(|(number, session)| {
            session.is_running = true;
            number
        })
        .collect()
}

pub(crate) fn begin_again(sessions: &mut [Session]) {
    for session in sessions {
        session.is_running = session.is_over();
    }
}

/// An agent has another do something, with the grant it was given.
pub(crate) async fn delegate(
    world: &Arc<World>,
    name: &'static str,
    number: usize,
    to: &'static str,
    wait: bool,
) {
    let session = {
        let mut state = world.lock();
        let now = state.now();
        let job = &state.agents.agent(name).jobs[number];
        let (told, known, id) = (job.told.clone(), job.session, format!("{}-{}", job.id, job.at));
        let session = known.unwrap_or_else(|| {
            let message = Message::user_text(id, "help me");
            let who = (told.grant.as_str(), format!("t/{}", told.task), Some(told.task));
            let session = Session { to, ..Session::new(&mut state.chance, who, message, now) };
            state.sessions.push(session);
            state.sessions.len() - 1
        });
        state.agents.agent(name).jobs[number].session = Some(session);
        session
    };
    // Somebody else runs it; whoever waits looks now and then.
    while wait && !world.lock().sessions[session].is_over() {
        let is_over = world.lock().agents.agent(name).jobs[number].is_over();
        if is_over {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// An agent tries its grant on what is not its business, and on anything once its task is over.
pub(crate) async fn pry(world: &Arc<World>, name: &'static str, number: usize) {
    let (told, others, is_dead) = {
        let mut state = world.lock();
        let told = state.agents.agent(name).jobs[number].told.clone();
        let is_below = |task: &TaskId| state.mirror.lineage(*task).any(|above| above == told.task);
        let others: Vec<TaskId> = state.mirror.tasks.keys().copied().filter(|task| !is_below(task)).collect();
        let is_dead = state.mirror.is_dead(told.task);
        (told, others, is_dead)
    };
    let root = world.lock().root_of(told.task);
    let Some((gate, broker)) = world.reach(root) else { return };
    let prying = async {
        let credential = Credential::Bearer(told.grant.clone());
        let Ok(caller) = broker.authenticate(Some(&credential)).await else { return };
        if is_dead {
            let what = format!("{name} is taken for the worker on {}, whose grants are dead", told.task);
            world.broken("8", &what);
        }
        if let Some(other) = others.last() {
            super::probes::is_hidden(world, &broker, &caller, *other).await;
        }
    };
    gate.hear(prying).await;
}
