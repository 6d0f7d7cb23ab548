//! Callers. One who has sent a message does not let go until it knows what became of it: asks again after errors and
//! deaths under the same message id, resumes streams, answers questions, sometimes cancels or hangs up. What it is told is
//! held against what is durable at that moment.

use std::sync::Arc;
use std::time::Duration;

use broker::service::{Broker, Caller, Credential, StreamItem, Target, TaskStream};
use broker_core::TaskId;
use futures_util::StreamExt;
use protocol::{
    A2aError, CancelTaskRequest, ErrorKind, GetTaskRequest, Message, SendMessageRequest, SendMessageResponse,
    StreamResponse, SubscribeToTaskRequest, Task, TaskState,
};

use super::members::Gate;
use super::sessions::{Mode, Phase, Session};
use super::world::World;

/// A call that had no answer, or one that says to ask again.
enum Missed {
    Again,
    Refused(A2aError),
}

/// A broker that knows who calls.
struct Called {
    gate: Gate,
    broker: Arc<Broker>,
    caller: Caller,
}

impl Called {
    /// What it answers, if it lives to.
    async fn hear<T>(&self, answer: impl Future<Output = Result<T, A2aError>>) -> Result<T, Missed> {
        self.gate.hear(answer).await.ok_or(Missed::Again)?.map_err(missed)
    }
}

/// Somebody who calls the broker in one session.
pub(crate) struct Conversation {
    world: Arc<World>,
    number: usize,
}

impl Conversation {
    pub(crate) fn new(world: &Arc<World>, number: usize) -> Self {
        Self { world: Arc::clone(world), number }
    }

    fn session(&self) -> Session {
        self.world.lock().sessions[self.number].clone()
    }

    fn change(&self, change: impl FnOnce(&mut Session)) {
        change(&mut self.world.lock().sessions[self.number]);
    }

    /// Until it is known what became of the message.
    pub(crate) async fn go_on(self) {
        self.world.sleep_until(self.session().begin_at).await;
        loop {
            let session = self.session();
            let step = match session.phase {
                Phase::Over(_) => return,
                Phase::Unsent => self.send(&session).await,
                Phase::Known(task) => self.follow(&session, task).await,
            };
            match step {
                Ok(()) => {}
                Err(Missed::Again) => tokio::time::sleep(Duration::from_millis(300)).await,
                Err(Missed::Refused(error)) => self.refused(&session, &error),
            }
        }
    }

    fn refused(&self, session: &Session, error: &A2aError) {
        self.world.note(|| format!("{} hears {:?}: {}", name(session), error.kind, error.message));
        if error.kind == ErrorKind::Internal {
            self.world.broken("5", &format!("an internal error: {}", error.message));
        }
        let known = match session.phase {
            Phase::Known(task) => Some(task),
            _ => None,
        };
        // Of a task it was told of, a person hears until it is over; an agent until its own is.
        let mut state = self.world.lock();
        let has_expired = error.message.contains("expired");
        if let Some(task) = known
            && !has_expired
            && session.parent.is_none_or(|parent| !state.mirror.is_dead(parent))
        {
            state.broken("5", &format!("{task} was told of, and then: {}", error.message));
        }
        state.sessions[self.number].phase = Phase::Over(known);
    }

    /// A broker, and who it takes the caller for; the call may not arrive.
    async fn call(&self, session: &Session) -> Result<Called, Missed> {
        if self.world.lock().goes_wrong(|weather| weather.refused) {
            return Err(Missed::Again);
        }
        let known = match session.phase {
            Phase::Known(task) => Some(task),
            _ => session.parent,
        };
        let root = known.and_then(|task| self.world.lock().root_of(task));
        let (gate, broker) = self.world.reach(root).ok_or(Missed::Again)?;
        let credential = Credential::Bearer(session.credential.clone());
        let caller = gate.hear(broker.authenticate(Some(&credential))).await.ok_or(Missed::Again)?;
        Ok(Called { caller: caller.map_err(missed)?, gate, broker })
    }

    async fn send(&self, session: &Session) -> Result<(), Missed> {
        let is_dead = session.parent.is_some_and(|parent| self.world.lock().mirror.is_dead(parent));
        let called = self.call(session).await?;
        let Called { broker, caller, .. } = &called;
        let (target, request) = (Target::Agent(session.to.to_owned()), session.request());
        self.world.note(|| format!("{} sends ({:?})", name(session), session.mode));
        let hangs_up = self.hangs_up();
        let answer = async {
            if session.mode == Mode::Streaming {
                let version = protocol::Version::V1.into();
                let stream = called.hear(broker.send_streaming(caller, &target, request, version)).await?;
                self.listen(&called.gate, stream, None).await
            } else {
                let version = protocol::Version::V1.into();
                let answer = called.hear(broker.send(caller, &target, request, version)).await?;
                self.hear_answer(session, answer);
                Ok(())
            }
        };
        let heard = tokio::time::timeout(hangs_up, answer).await;
        if is_dead && matches!(heard, Ok(Ok(()))) {
            self.world
                .broken("8", &format!("{} was taken although its task's grants are dead", name(session)));
        }
        heard.unwrap_or_else(|_| {
            self.world.note(|| format!("{} hangs up", name(session)));
            Err(Missed::Again)
        })
    }

    fn hangs_up(&self) -> Duration {
        let mut state = self.world.lock();
        let hangs_up = state.goes_wrong(|weather| weather.hang_ups);
        let most = *state.chance.pick(&[3, 8, 12, 1_500]);
        let soon = u64::try_from(state.chance.between(0, most)).unwrap();
        Duration::from_millis(if hangs_up { soon } else { 3_600_000 })
    }

    fn hear_answer(&self, session: &Session, answer: SendMessageResponse) {
        if self.world.lock().goes_wrong(|weather| weather.lost) {
            // The answer is lost on its way; it will be asked for again.
            return;
        }
        match answer {
            SendMessageResponse::Task(task) => self.see_task(&task),
            SendMessageResponse::Message(message) => {
                self.world.note(|| format!("{} hears a message", name(session)));
                let claimed = self.world.lock().claim(&session.principal, &session.message.message_id);
                let is_durable = claimed.is_some_and(|task| self.world.lock().mirror.tasks[&task].ended);
                if !is_durable {
                    self.world.broken("5", &format!("{} was shown and is not durable", message.message_id));
                }
                self.change(|session| session.phase = Phase::Over(claimed));
            }
        }
    }

    /// A task as it was shown.
    fn see_task(&self, task: &Task) {
        let Ok(id) = task.id.parse::<TaskId>() else {
            return self.world.broken("5", &format!("{} is no task of the broker's", task.id));
        };
        self.know(id);
        self.see_state(id, task.status.state);
    }

    /// The message made this task, and no other.
    fn know(&self, task: TaskId) {
        let session = self.session();
        match session.phase {
            Phase::Unsent => {
                self.world.note(|| format!("{} is task {task}", name(&session)));
                self.change(|session| session.phase = Phase::Known(task));
                let claimed = self.world.lock().claim(&session.principal, &session.message.message_id);
                if claimed != Some(task) {
                    self.world.broken("6", &format!("{} is {task}, kept as {claimed:?}", name(&session)));
                }
            }
            Phase::Known(known) | Phase::Over(Some(known)) if known != task => {
                self.world.broken("6", &format!("{} was {known} and is {task}", name(&session)));
            }
            _ => {}
        }
    }

    /// How a task stands must be durable, and nothing that came before what was seen of it earlier.
    fn see_state(&self, task: TaskId, seen: TaskState) {
        let mut state = self.world.lock();
        let from = state.sessions[self.number].seen_state;
        let states = state.mirror.tasks.get(&task).map(|life| life.states.clone()).unwrap_or_default();
        if let Some(ahead) = states.iter().skip(from).position(|(_, state)| *state == seen) {
            state.sessions[self.number].seen_state = from + ahead;
        } else {
            let what = format!("{task} was shown as {}, durable are {states:?} from {from}", seen.as_str());
            state.broken("5", &what);
        }
        drop(state);
        self.see_end(task, seen);
    }

    fn see_end(&self, task: TaskId, seen: TaskState) {
        if seen.is_terminal() {
            self.world.note(|| format!("{task} is known to be {}", seen.as_str()));
            self.change(|session| session.phase = Phase::Over(Some(task)));
        }
    }

    /// Keeps up with a task: by its stream, resumed where it broke off, or by asking.
    async fn follow(&self, session: &Session, task: TaskId) -> Result<(), Missed> {
        if let Some(after) = session.cancel_after {
            self.change(|session| session.cancel_after = None);
            tokio::time::sleep(Duration::from_millis(u64::try_from(after).unwrap())).await;
            self.cancel(session, task).await?;
        }
        if session.reuses_id {
            self.change(|session| session.reuses_id = false);
            self.reuse_id(session).await?;
        }
        let asks = self.world.lock().mirror.tasks.get(&task).and_then(|life| life.states.last().copied());
        if let Some((_, state)) = asks
            && session.answers
            && (state.is_interrupted() || state == TaskState::Working && self.has_more_to_say())
        {
            self.say_more(session, task).await?;
        }
        let is_dead = session.parent.is_some_and(|parent| self.world.lock().mirror.is_dead(parent));
        let called = self.call(session).await?;
        let Called { broker, caller, .. } = &called;
        let by_stream = self.world.lock().chance.happens(500);
        let hangs_up = self.hangs_up();
        let heard = tokio::time::timeout(hangs_up.min(Duration::from_secs(20)), async {
            if by_stream {
                let request = SubscribeToTaskRequest {
                    tenant: None,
                    id: task.to_string(),
                    unknown: protocol::Fields::default(),
                };
                let after = session.seen.filter(|_| self.world.lock().chance.happens(900));
                match called.hear(broker.subscribe(caller, &Target::Any, request, after)).await {
                    Ok(stream) => return self.listen(&called.gate, stream, after).await,
                    // It is over: what became of it is asked.
                    Err(Missed::Refused(error)) if error.kind == ErrorKind::UnsupportedOperation => {}
                    Err(missed) => return Err(missed),
                }
            }
            let request = GetTaskRequest {
                tenant: None,
                id: task.to_string(),
                history_length: None,
                unknown: protocol::Fields::default(),
            };
            let json = called.hear(broker.get_task(caller, &Target::Any, request)).await?;
            self.see_task(&serde_json::from_slice(&json).expect("a task"));
            Ok(())
        })
        .await;
        if is_dead && matches!(heard, Ok(Ok(()))) {
            self.world
                .broken("8", &format!("{} reads on although its task's grants are dead", name(session)));
        }
        if let Ok(heard) = heard {
            heard?;
        }
        if session.answers || session.parent.is_none_or(|parent| !self.world.lock().mirror.is_dead(parent)) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Hears a stream to its end, or until it hangs up.
    async fn listen(&self, gate: &Gate, mut stream: TaskStream, after: Option<u64>) -> Result<(), Missed> {
        let (mut last, mut is_over) = (after, false);
        while let Some(event) = gate.hear(stream.next()).await.ok_or(Missed::Again)? {
            let Ok(StreamItem { id, json }) = event else { return Err(Missed::Again) };
            if self.world.lock().goes_wrong(|weather| weather.cut) {
                self.world.note(|| "a caller's stream breaks".to_owned());
                return Err(Missed::Again);
            }
            let event: StreamResponse = serde_json::from_slice(&json).unwrap();
            if is_over {
                self.world.broken("3", &format!("after the end: {}", String::from_utf8_lossy(&json)));
            }
            match (id, event) {
                (None, StreamResponse::Message(message)) => {
                    self.hear_answer(&self.session(), SendMessageResponse::Message(message));
                    is_over = true;
                }
                (Some(id), StreamResponse::Task(task)) => {
                    self.see_task(&task);
                    let task = task.id.parse().unwrap_or(TaskId(uuid::Uuid::nil()));
                    let durable = self.world.lock().mirror.tasks.get(&task).map(|life| life.seq);
                    if durable.is_none_or(|durable| durable < id) {
                        self.world
                            .broken("5", &format!("{task} was shown as of {id}, durable is {durable:?}"));
                    }
                    last = Some(id);
                }
                (Some(id), event) => is_over = self.see_event(&event, id, &json, last.replace(id)),
                (None, event) => self.world.broken("4", &format!("an event without a number: {event:?}")),
            }
            self.change(|session| session.seen = last);
        }
        Ok(())
    }

    /// An event must be durable, the very same, and the next one that the task shows. Whether it is the end.
    fn see_event(&self, event: &StreamResponse, id: u64, json: &[u8], last: Option<u64>) -> bool {
        let (task, seen) = match event {
            StreamResponse::StatusUpdate(update) => (&update.task_id, Some(update.status.state)),
            StreamResponse::ArtifactUpdate(update) => (&update.task_id, None),
            _ => return false,
        };
        let Ok(task) = task.parse::<TaskId>() else { return false };
        self.know(task);
        let problem = {
            let state = self.world.lock();
            let shown = state.mirror.tasks.get(&task).map(|life| &life.shown);
            let durable = shown.and_then(|shown| shown.get(&id));
            let next = shown.and_then(|shown| shown.range(last.map_or(0, |last| last + 1)..).next());
            match durable {
                None => Some(("5", format!("event {id} of {task} was shown and is not durable"))),
                Some(durable) if durable != json => Some(("4", format!("event {id} of {task} differs"))),
                Some(_) if next.is_none_or(|(next, _)| *next != id) => {
                    let next = next.map(|(next, _)| *next);
                    Some(("4", format!("event {id} of {task} after {last:?}, where {next:?} follows")))
                }
                Some(_) => None,
            }
        };
        if let Some((invariant, what)) = problem {
            self.world.broken(invariant, &what);
        }
        if let Some(seen) = seen {
            self.see_end(task, seen);
        }
        seen.is_some_and(TaskState::is_terminal)
    }

    async fn cancel(&self, session: &Session, task: TaskId) -> Result<(), Missed> {
        let called = self.call(session).await?;
        let Called { broker, caller, .. } = &called;
        let request = CancelTaskRequest {
            tenant: None,
            id: task.to_string(),
            metadata: protocol::Metadata::default(),
            unknown: protocol::Fields::default(),
        };
        self.world.note(|| format!("{} cancels {task}", name(session)));
        self.world.lock().canceled.insert(task);
        match called.hear(broker.cancel_task(caller, &Target::Any, request)).await {
            Ok(task) => self.see_task(&task),
            Err(Missed::Refused(error)) if error.kind == ErrorKind::TaskNotCancelable => {}
            Err(missed) => return Err(missed),
        }
        Ok(())
    }

    /// Something else under the same message id is refused.
    async fn reuse_id(&self, session: &Session) -> Result<(), Missed> {
        let called = self.call(session).await?;
        let Called { broker, caller, .. } = &called;
        let mut request = session.request();
        request.message.parts = vec![protocol::Part::text("do something else")];
        let target = Target::Agent(session.to.to_owned());
        match called.hear(broker.send(caller, &target, request, protocol::Version::V1.into())).await {
            Err(Missed::Refused(error)) if error.kind == ErrorKind::MessageIdReused => Ok(()),
            Err(missed) => Err(missed),
            Ok(_) => {
                self.world.broken("6", &format!("{}: other content was taken", name(session)));
                Ok(())
            }
        }
    }

    /// Nobody asked; some say something all the same.
    fn has_more_to_say(&self) -> bool {
        self.world.lock().chance.happens(60)
    }

    async fn say_more(&self, session: &Session, task: TaskId) -> Result<(), Missed> {
        let called = self.call(session).await?;
        let Called { broker, caller, .. } = &called;
        let id = format!("{}-turn{}", session.message.message_id, session.turns);
        let mut message = Message::user_text(id, "blue");
        message.task_id = Some(task.to_string());
        let mut request = SendMessageRequest::new(message);
        request.configuration = session.request().configuration;
        self.world.note(|| format!("{} says more about {task}", name(session)));
        let answered = tokio::time::timeout(
            Duration::from_secs(2),
            called.hear(broker.send(caller, &Target::Any, request, protocol::Version::V1.into())),
        );
        match answered.await {
            // Taken or not, the same again would be the same.
            Err(_) => return Ok(()),
            Ok(Ok(SendMessageResponse::Task(task))) => self.see_task(&task),
            Ok(Ok(SendMessageResponse::Message(_))) => {}
            Ok(Err(Missed::Refused(error))) if error.kind == ErrorKind::UnsupportedOperation => {}
            Ok(Err(missed)) => return Err(missed),
        }
        self.change(|session| session.turns += 1);
        Ok(())
    }
}

fn name(session: &Session) -> String {
    format!("{} about {}", session.principal, session.message.message_id)
}

fn missed(error: A2aError) -> Missed {
    match error.kind {
        // Taken or not, the same again would be the same.
        ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => Missed::Again,
        _ => Missed::Refused(error),
    }
}
