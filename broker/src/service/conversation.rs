//! Conversations with agents: one per attempt. Each sends, listens, asks after lost work, and feeds what it learns
//! to the driver. It decides nothing: when to stop, retry or give up is the core's to say.

mod parked;
mod running;

use std::sync::Arc;
use std::time::Duration;

use broker_core::delegation::action::{Dispatch, Recovery};
use broker_core::delegation::input::{AttemptId, Failure, Input};
use broker_core::{TaskId, extension};
use futures_util::{FutureExt, StreamExt};
use protocol::{SendMessageConfiguration, SendMessageRequest, StreamResponse, Task, TaskState};
use tokio::time::Instant;

pub(super) use self::parked::run as wake_parked;
pub(super) use self::running::Conversations;
use super::Broker;
use super::driver::DriveError;
use crate::ports::downstream::{AskError, Endpoint, EventStream};

/// Longest wait between two looks at a task that is not streamed; the wait doubles up to it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why listening ended.
enum Ended {
    /// The attempt is over, or somebody else listens.
    Settled,
    /// The agent waits for an answer.
    Asking,
    /// The stream is over, the task is not.
    Closed,
    /// The stream broke.
    Failed(Failure),
    /// What came next is not for the driver.
    Before(Box<StreamResponse>),
}

pub(super) fn start_send(broker: &Arc<Broker>, root: TaskId, dispatch: Dispatch) {
    let (attempt, agent) = (dispatch.attempt, dispatch.agent.clone());
    let conversation = Conversation { broker: Arc::clone(broker), root, attempt, agent };
    Conversations::start(broker, attempt, conversation.send(dispatch));
}

pub(super) fn start_recovery(broker: &Arc<Broker>, root: TaskId, lost: Recovery) {
    let (attempt, agent) = (lost.attempt, lost.agent.clone());
    let conversation = Conversation { broker: Arc::clone(broker), root, attempt, agent };
    Conversations::start(broker, attempt, conversation.recover(lost));
}

/// Goes on with an attempt whose task at the agent is known.
pub(super) fn start_following_again(broker: &Arc<Broker>, root: TaskId, lost: Recovery) {
    let (attempt, agent) = (lost.attempt, lost.agent.clone());
    let conversation = Conversation { broker: Arc::clone(broker), root, attempt, agent };
    Conversations::start(broker, attempt, conversation.follow_again(lost));
}

/// Asking to cancel does not end the conversation: the agent may have a last word.
pub(super) fn start_cancel(
    broker: &Arc<Broker>,
    root: TaskId,
    attempt: AttemptId,
    agent: String,
    agent_task: String,
) {
    let conversation = Conversation { broker: Arc::clone(broker), root, attempt, agent };
    tokio::spawn(conversation.cancel(agent_task));
}

struct Conversation {
    broker: Arc<Broker>,
    root: TaskId,
    attempt: AttemptId,
    agent: String,
}

impl Conversation {
    async fn send(self, dispatch: Dispatch) {
        let endpoint = match self.broker.registry.endpoint(&dispatch.agent).await {
            Ok(endpoint) => {
                let passport = &dispatch.passport;
                let trace =
                    self.broker.traces.as_ref().map_or(passport.caller_trace, |_| Some(passport.trace));
                Endpoint { extensions: dispatch.extensions.clone(), trace, ..endpoint }
            }
            Err(reason) => return self.fail(Failure::NeverSent(reason)).await,
        };
        let request = match self.request(dispatch, &endpoint).await {
            Ok(request) => request,
            Err(failure) => return self.fail(failure).await,
        };
        let (is_turn, latest) = (request.message.task_id.is_some(), request.message.message_id.clone());
        let ended = match self.dispatch(&endpoint, request).await {
            Ok(events) => {
                self.broker.note_taken(&self.agent);
                let events = if is_turn { self.taking(events, latest.clone()) } else { events };
                self.listen(events).await
            }
            Err(failure) => {
                self.note_failure(&failure);
                if is_turn && matches!(failure, Failure::NeverSent(_) | Failure::Busy { .. }) {
                    // It is sent again as soon as the agent is found to lack it.
                    tokio::time::sleep(self.broker.recovery.ask_every).await;
                }
                Ended::Failed(failure)
            }
        };
        match ended {
            Ended::Settled | Ended::Asking | Ended::Before(_) => {}
            Ended::Failed(failure) => self.fail(failure).await,
            Ended::Closed if endpoint.streaming => self.fail(Failure::StreamEnded).await,
            // It answered once, as an agent without streams does; from here on it is polled.
            Ended::Closed => match self.agent_task().await {
                Some(agent_task) => self.start_following(endpoint, agent_task, latest),
                None => {
                    self.fail(Failure::Invalid("it answered with no task and no message".to_owned())).await;
                }
            },
        }
    }

    /// Sends, with an address to push to where the agent takes one. An agent that refuses may have refused just that.
    async fn dispatch(
        &self,
        endpoint: &Endpoint,
        mut request: SendMessageRequest,
    ) -> Result<EventStream, Failure> {
        self.until_current().await;
        let downstream = &self.broker.downstream;
        let hook = self.broker.is_pushed_by(endpoint).then(|| self.broker.hook(self.attempt)).flatten();
        let (Some(hook), Some(configuration)) = (hook, request.configuration.as_mut()) else {
            return downstream.send(endpoint, request).await;
        };
        configuration.push = Some(hook);
        let answer = downstream.send(endpoint, request.clone()).await;
        let Err(Failure::Refused(_)) = &answer else { return answer };
        if let Some(configuration) = request.configuration.as_mut() {
            configuration.push = None;
        }
        self.until_current().await;
        let again = downstream.send(endpoint, request).await;
        if again.is_ok() {
            self.broker.hooks.decline(&endpoint.agent);
        }
        again
    }

    /// What was decided while this broker drove the tree may be long ago: one that was stopped since sends nothing, because
    /// others may have asked the agent and found that it never came. Either it learns that it still drives the tree, or it
    /// ends.
    async fn until_current(&self) {
        while self.broker.trees.check_current().is_err() {
            tokio::time::sleep(self.broker.recovery.ask_every).await;
        }
    }

    async fn request(&self, dispatch: Dispatch, endpoint: &Endpoint) -> Result<SendMessageRequest, Failure> {
        let Dispatch { mut message, accepted_output_modes, passport, .. } = dispatch;
        let agent = self.broker.registry.get(&self.agent);
        let grant = self.broker.grant_for(agent.as_deref(), self.root, &passport).await?;
        extension::tell(&mut message, &passport, &self.broker.public_url, Some(&grant))
            .map_err(|error| Failure::NeverSent(error.to_string()))?;
        let mut request = SendMessageRequest::new(message);
        request.tenant.clone_from(&endpoint.tenant);
        request.configuration = Some(Box::new(SendMessageConfiguration {
            accepted_output_modes,
            return_immediately: !endpoint.streaming,
            ..SendMessageConfiguration::default()
        }));
        Ok(request)
    }

    /// An agent that answers the call has taken the message.
    fn taking(&self, events: EventStream, latest: String) -> EventStream {
        let (broker, root, attempt) = (Arc::clone(&self.broker), self.root, self.attempt);
        let mut taken = Some(Input::Taken { attempt, latest });
        Box::pin(events.then(move |event| {
            let (broker, taken) = (Arc::clone(&broker), taken.take().filter(|_| event.is_ok()));
            async move {
                if let Some(taken) = taken {
                    broker.drive_until_taken(root, taken).await;
                }
                event
            }
        }))
    }

    /// Feeds events to the driver until there are no more, or nobody wants them.
    async fn listen(&self, events: EventStream) -> Ended {
        self.listen_until(events, |_| false).await
    }

    /// The same, but up to an event that is not fed.
    async fn listen_until(&self, mut events: EventStream, stops: fn(&StreamResponse) -> bool) -> Ended {
        let mut asking = false;
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(_) if asking && self.waits_for_caller().await => return Ended::Asking,
                Err(failure) => {
                    self.note_failure(&failure);
                    return Ended::Failed(failure);
                }
            };
            self.broker.health.answered(&self.agent, &*self.broker.clock);
            self.broker.note_reached(&self.agent);
            if stops(&event) {
                return Ended::Before(Box::new(event));
            }
            asking = asks(&event);
            self.broker.registry.learn(&self.agent, !matches!(event, StreamResponse::Message(_))).await;
            let last = is_last(&event);
            if !self.feed(Input::Agent { attempt: self.attempt, event: Box::new(event) }).await || last {
                return Ended::Settled;
            }
        }
        if asking && self.waits_for_caller().await { Ended::Asking } else { Ended::Closed }
    }

    /// Looks for the task at the agent, then listens on.
    async fn recover(self, lost: Recovery) {
        let endpoint = match self.reach(&lost.agent).await {
            Ok(endpoint) => endpoint,
            Err(reason) => return self.fail(Failure::Unreachable(reason)).await,
        };
        if lost.latest != lost.message_id {
            // It may have a further message that it does not show yet.
            tokio::time::sleep(self.broker.recovery.absent_after).await;
        }
        let agent_task = match lost.agent_task.clone() {
            Some(agent_task) => agent_task,
            None => match self.find(&endpoint, &lost).await {
                Ok(agent_task) => agent_task,
                Err(failure) => return self.fail(failure).await,
            },
        };
        self.follow(&endpoint, &agent_task, &lost.latest).await;
    }

    async fn follow_again(self, lost: Recovery) {
        let Some(agent_task) = lost.agent_task.clone() else { return self.recover(lost).await };
        match self.reach(&lost.agent).await {
            Ok(endpoint) => self.follow(&endpoint, &agent_task, &lost.latest).await,
            Err(reason) => self.fail(Failure::Unreachable(reason)).await,
        }
    }

    /// Where the agent is, once that is known; for as long as it is asked at all.
    async fn reach(&self, agent: &str) -> Result<Endpoint, String> {
        let began = Instant::now();
        loop {
            match self.broker.registry.endpoint_at_last(agent).await {
                Err(reason) if began.elapsed() >= self.broker.recovery.give_up => return Err(reason),
                Err(_) => tokio::time::sleep(self.broker.recovery.ask_every).await,
                Ok(endpoint) => return Ok(endpoint),
            }
        }
    }

    /// Finds a task whose id the agent never said, by the message that made it.
    async fn find(&self, endpoint: &Endpoint, lost: &Recovery) -> Result<String, Failure> {
        let recovery = self.broker.recovery;
        let (began, mut absent_since) = (Instant::now(), None);
        loop {
            let found =
                self.broker.downstream.find_task(endpoint, &lost.agent_context, &lost.message_id).await;
            self.hear(found.as_ref().err());
            match found {
                Ok(Some(task)) => return Ok(task.id),
                Ok(None) => {
                    let since = *absent_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= recovery.absent_after {
                        // Absence proves something only of an agent that answers with tasks.
                        let conclusive = self.broker.registry.answers_with_tasks(&endpoint.agent);
                        return Err(Failure::Absent { conclusive });
                    }
                }
                Err(AskError::Unreachable(reason)) if began.elapsed() >= recovery.give_up => {
                    return Err(Failure::Unreachable(reason));
                }
                Err(AskError::Unreachable(_)) => absent_since = None,
                Err(_) => return Err(Failure::Absent { conclusive: false }),
            }
            tokio::time::sleep(recovery.ask_every).await;
        }
    }

    /// Goes on in a conversation that holds no more than following needs: it may last for days.
    fn start_following(self, endpoint: Endpoint, agent_task: String, latest: String) {
        let (broker, attempt) = (Arc::clone(&self.broker), self.attempt);
        let following = async move { self.follow(&endpoint, &agent_task, &latest).await };
        Conversations::start(&broker, attempt, following);
    }

    /// Keeps up with a task the agent has: by its stream where that can be taken up, by asking where it cannot; of an
    /// agent that pushes, whenever it has pushed.
    async fn follow(&self, endpoint: &Endpoint, agent_task: &str, latest: &str) {
        let recovery = self.broker.recovery;
        let (mut heard, mut pause) = (Instant::now(), recovery.ask_every);
        let listening = self.broker.hooks.listen(self.attempt);
        let is_pushed = self.broker.is_pushed_by(endpoint);
        loop {
            let mut is_in_touch = false;
            let asked = self.broker.downstream.get_task(endpoint, agent_task).await;
            self.hear(asked.as_ref().err());
            match asked {
                Ok(task) => {
                    (heard, is_in_touch) = (Instant::now(), true);
                    if !self.feed_found(task, latest).await {
                        return;
                    }
                    if endpoint.resumes()
                        && let Ok(events) = self.broker.downstream.subscribe(endpoint, agent_task).await
                    {
                        match self.listen_until(events, is_end).await {
                            Ended::Settled | Ended::Asking => return,
                            Ended::Closed | Ended::Failed(_) => {}
                            Ended::Before(end) => {
                                return self.settle(endpoint, agent_task, latest, *end).await;
                            }
                        }
                    }
                }
                Err(AskError::NotFound(reason)) => return self.fail(Failure::Gone(reason)).await,
                Err(AskError::Unsupported(reason) | AskError::Invalid(reason)) => {
                    return self.fail(Failure::Invalid(reason)).await;
                }
                // Asking again would bring the same: what became of it is not to be known here.
                Err(AskError::TooLarge(reason)) => {
                    // Nor does asking at once; it may be asked again and again.
                    tokio::time::sleep(recovery.backstop).await;
                    return self.fail(Failure::Unreachable(reason)).await;
                }
                Err(AskError::Unreachable(reason)) if heard.elapsed() >= recovery.give_up => {
                    return self.fail(Failure::Unreachable(reason)).await;
                }
                Err(AskError::Unreachable(_)) => {}
            }
            // Pushes are hints to look at once; a look now and then makes up for those that were lost.
            let wait = if is_pushed && is_in_touch { recovery.backstop } else { pause };
            if is_pushed && is_in_touch && wait > LONGEST_PAUSE {
                self.broker.park(self.attempt, wait);
                // What was said before that is heard here, and all that is said from now on wakes who is parked.
                if listening.hint().now_or_never().is_some() {
                    self.broker.unpark(self.attempt);
                }
                return;
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = listening.hint() => pause = recovery.ask_every,
            }
        }
    }

    /// The end of a stream that was taken up again. Agents' SDKs show a piece that arrives while they answer a subscription
    /// twice, in the task and behind it: what the task consists of is for the task to say.
    async fn settle(&self, endpoint: &Endpoint, agent_task: &str, latest: &str, end: StreamResponse) {
        match self.broker.downstream.get_task(endpoint, agent_task).await {
            Ok(task) if task.status.state.is_terminal() => {
                self.feed_found(task, latest).await;
            }
            // It has said how it ended, whatever has become of it since.
            _ => {
                self.feed(Input::Agent { attempt: self.attempt, event: Box::new(end) }).await;
            }
        }
    }

    /// Feeds a task as it was found; whether there is more to wait for.
    async fn feed_found(&self, task: Task, latest: &str) -> bool {
        let state = task.status.state;
        let (task, latest) = (Box::new(task), latest.to_owned());
        self.feed(Input::Found { attempt: self.attempt, task, latest }).await
            && !state.is_terminal()
            && !(state == TaskState::InputRequired && self.waits_for_caller().await)
    }

    /// Whether the task waits for its caller: after an answer, an agent may go on showing the question for a while.
    async fn waits_for_caller(&self) -> bool {
        let Ok(Some(cell)) = self.broker.trees.load(self.root).await else { return false };
        let tree = cell.tree.lock().await;
        tree.waits_for_caller(self.attempt)
    }

    /// Asks the agent to stop, again while it cannot be reached. One that has heard it may take its time; how long it is
    /// waited for is the core's to say.
    async fn cancel(self, agent_task: String) {
        let (confirmed, reason) = loop {
            let asked = match self.broker.registry.endpoint_at_last(&self.agent).await {
                Ok(endpoint) => self.broker.downstream.cancel_task(&endpoint, &agent_task).await,
                Err(reason) => Err(AskError::Unreachable(reason)),
            };
            match asked {
                Ok(task) if task.status.state == TaskState::Canceled => break (true, None),
                Ok(task) if task.status.state.is_terminal() => {
                    break (true, Some(format!("it says {}", task.status.state.as_str())));
                }
                Ok(_) => return,
                Err(AskError::Unreachable(_)) => tokio::time::sleep(self.broker.recovery.ask_every).await,
                Err(error) => break (false, Some(error.to_string())),
            }
            if !self.is_live().await {
                return;
            }
        };
        self.feed(Input::CancelAnswered { attempt: self.attempt, confirmed, reason }).await;
    }

    /// Whether something may still come of the attempt.
    async fn is_live(&self) -> bool {
        let Ok(cell) = self.broker.trees.load(self.root).await else { return true };
        let Some(cell) = cell else { return false };
        cell.tree.lock().await.is_live(self.attempt)
    }

    async fn fail(&self, failure: Failure) {
        let jitter = self.broker.clock.jitter();
        self.feed(Input::Failed { attempt: self.attempt, failure, jitter }).await;
    }

    /// Remembers what an answer to a question, or its absence, says of the agent.
    fn hear(&self, error: Option<&AskError>) {
        self.broker.health.hear(&self.agent, error, &*self.broker.clock);
        if error.is_none() {
            self.broker.note_reached(&self.agent);
        }
    }

    /// Remembers what a failure says of the agent, whatever it means for the attempt.
    fn note_failure(&self, failure: &Failure) {
        self.broker.health.judge(&self.agent, failure, &*self.broker.clock);
        self.broker.judge_reach(&self.agent, failure);
    }

    /// Whether the tree took the input. While the store cannot take it, the agent has to wait. What may be durable
    /// already is not said again: the agent is asked for its task instead, of which only what is new counts.
    async fn feed(&self, mut input: Input) -> bool {
        let mut was_lost = false;
        loop {
            let Err(failure) = self.broker.drive(self.root, input.clone()).await else { return !was_lost };
            tracing::error!(task = %self.attempt.task, ?failure, "an agent's word could not be recorded");
            if !failure.is_passing() {
                return false;
            }
            if matches!(failure, DriveError::Uncertain(_))
                && let Input::Agent { attempt, .. } | Input::Found { attempt, .. } = input
            {
                let failure = Failure::Broken("the broker's store failed over its word".to_owned());
                (input, was_lost) = (Input::Failed { attempt, failure, jitter: 0 }, true);
            }
            tokio::time::sleep(self.broker.recovery.ask_every).await;
        }
    }

    async fn agent_task(&self) -> Option<String> {
        loop {
            if let Ok(cell) = self.broker.trees.load(self.root).await {
                let cell = cell?;
                let tree = cell.tree.lock().await;
                return tree.agent_task(self.attempt).map(ToOwned::to_owned);
            }
            tokio::time::sleep(self.broker.recovery.ask_every).await;
        }
    }
}

/// The agent waits for an answer, so its stream may end.
fn asks(event: &StreamResponse) -> bool {
    match event {
        StreamResponse::Task(task) => task.status.state == TaskState::InputRequired,
        StreamResponse::StatusUpdate(update) => update.status.state == TaskState::InputRequired,
        _ => false,
    }
}

/// The task is over.
fn is_end(event: &StreamResponse) -> bool {
    matches!(event, StreamResponse::StatusUpdate(update) if update.status.state.is_terminal())
}

/// Nothing the agent says after this matters.
fn is_last(event: &StreamResponse) -> bool {
    matches!(event, StreamResponse::Message(_))
}
