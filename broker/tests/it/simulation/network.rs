//! Between the broker and the agents: the port `Downstream` over links that refuse, delay, lose, double, cut and hang.
//! The real client bounds how long it waits for an answer, so this one does; a stream that hangs, hangs. What a broker has
//! sent arrives whatever becomes of the broker.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broker::address::GivenBy;
use broker::ports::downstream::{
    AskError, Discovery, Downstream, Endpoint, EventStream, FetchedCard, Refetched,
};
use broker::ports::fetch::{Caching, Fetch, Validators};
use broker::ports::notifier::{Notification, Notifier, Undelivered};
use broker_core::delegation::input::Failure;
use bytes::Bytes;
use protocol::{Message, SendMessageRequest, StreamResponse, Task};
use serde_json::json;

use super::agents::{Answer, NAMES, SKILLS};
use super::members::Gate;
use super::world::World;

/// How long the client waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The network, as one broker has it.
pub(crate) struct Network(pub(crate) Gate);

/// A message that is under way: if its sender dies, it may arrive all the same.
struct UnderWay<'w> {
    world: &'w World,
    to: &'static str,
    message: &'w Message,
    has_arrived: bool,
    /// It arrives even if its sender lets go of it.
    is_tough: bool,
}

impl UnderWay<'_> {
    fn arrive(mut self) -> Answer {
        self.has_arrived = true;
        let mut state = self.world.lock();
        let answer = state.arrive(self.to, self.message, false);
        if state.goes_wrong(|weather| weather.doubled) {
            state.arrive(self.to, self.message, true);
        }
        answer
    }

    fn lose(mut self) {
        self.has_arrived = true;
        self.world.note(|| format!("lost on the way to {}: {}", self.to, self.message.message_id));
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // In which order a dying runtime drops what it holds is its own affair; see `State::arrive_late`.
        if !self.has_arrived && self.is_tough {
            self.world
                .lock()
                .drifting
                .insert(self.message.message_id.clone(), (self.to, self.message.clone()));
        }
    }
}

impl Network {
    fn goes_wrong(&self, how_often: impl Fn(&super::world::Weather) -> u64) -> bool {
        self.0.world.lock().goes_wrong(how_often)
    }

    async fn delay(&self) {
        let millis = {
            let mut state = self.0.world.lock();
            let most = if state.is_calm() { 3 } else { state.weather.delay };
            state.chance.between(0, most.max(1))
        };
        tokio::time::sleep(Duration::from_millis(u64::try_from(millis).unwrap())).await;
    }

    fn is_down(&self, name: &'static str) -> bool {
        let mut state = self.0.world.lock();
        let now = state.now();
        state.agents.agent(name).down_until > now
    }

    /// Reaches an agent with a question; what it answers may be lost on the way back.
    async fn ask<T>(
        &self,
        to: &Endpoint,
        question: &str,
        answer: impl FnOnce(&World, &'static str) -> Result<T, AskError>,
    ) -> Result<T, AskError> {
        self.0.pass().await;
        let name = name(&to.agent);
        let unreachable = |why: &str| Err(AskError::Unreachable(why.to_owned()));
        if self.goes_wrong(|weather| weather.refused) || self.is_down(name) {
            return unreachable("connection refused");
        }
        self.delay().await;
        if self.goes_wrong(|weather| weather.hangs) {
            tokio::time::sleep(ANSWER_TIMEOUT).await;
            return unreachable("no answer in time");
        }
        if self.is_down(name) || self.goes_wrong(|weather| weather.lost) {
            return unreachable("connection reset");
        }
        self.0.world.note(|| format!("{name} is asked: {question}"));
        let answer = answer(&self.0.world, name);
        self.delay().await;
        self.0.pass().await;
        if self.goes_wrong(|weather| weather.lost) { unreachable("connection reset") } else { answer }
    }

    /// The next event of a job, how to wait for it, and whether there will be none; `None` once the agent has crashed.
    fn heard(
        &self,
        name: &'static str,
        number: usize,
        epoch: u32,
        at: usize,
    ) -> Option<(Option<StreamResponse>, Arc<tokio::sync::Notify>, bool)> {
        let mut state = self.0.world.lock();
        let agent = state.agents.agent(name);
        let job = &agent.jobs[number];
        let is_done = job.is_over() && (!job.waits_for_answer() || agent.closes_when_asking);
        (agent.epoch == epoch).then(|| (job.events.get(at).cloned(), Arc::clone(&job.changed), is_done))
    }

    async fn deliver(&self, to: &Endpoint, request: SendMessageRequest) -> Result<EventStream, Failure> {
        let name = name(&to.agent);
        let id = request.message.message_id.clone();
        {
            let mut state = self.0.world.lock();
            state.sent.insert(id.clone());
            state.note(&format!("the broker sends {id} to {name}"));
        }
        let is_tough = self.0.world.lock().chance.happens(500);
        let (world, message) = (&*self.0.world, &request.message);
        let under_way = UnderWay { world, to: name, message, has_arrived: false, is_tough };
        if self.goes_wrong(|weather| weather.refused) || self.is_down(name) {
            under_way.lose();
            return Err(Failure::NeverSent("connection refused".to_owned()));
        }
        self.delay().await;
        if self.goes_wrong(|weather| weather.lost) || self.is_down(name) {
            under_way.lose();
            return Err(Failure::Broken("connection reset".to_owned()));
        }
        let answer = under_way.arrive();
        let begun = match answer {
            Answer::Job(number) => number,
            Answer::Message(message) => {
                self.delay().await;
                if self.goes_wrong(|weather| weather.lost) {
                    return Err(Failure::Broken("connection reset".to_owned()));
                }
                let one = futures_util::stream::iter([Ok(StreamResponse::Message(message))]);
                return Ok(Box::pin(one));
            }
            Answer::Refused => return Err(Failure::Refused("not what I do".to_owned())),
            Answer::Failed => return Err(Failure::Errored("it broke".to_owned())),
            Answer::Busy => {
                return Err(Failure::Busy { reason: "HTTP 503".to_owned(), retry_after_ms: Some(1_000) });
            }
        };
        self.delay().await;
        if self.goes_wrong(|weather| weather.hangs) {
            tokio::time::sleep(ANSWER_TIMEOUT).await;
            return Err(Failure::Broken("no answer in time".to_owned()));
        }
        if self.goes_wrong(|weather| weather.lost) {
            return Err(Failure::Broken("connection reset".to_owned()));
        }
        let (task, at) = snapshot(&self.0.world, name, begun);
        let first = StreamResponse::Task(task);
        if self.0.world.lock().agents.agent(name).streams {
            Ok(self.listen(name, begun, first, at))
        } else {
            Ok(Box::pin(futures_util::stream::iter([Ok(first)])))
        }
    }

    fn delivers(&self, name: &'static str, number: usize, event: &StreamResponse, times: usize) {
        if let StreamResponse::ArtifactUpdate(update) = event {
            let mut state = self.0.world.lock();
            let began = state.agents.agent(name).jobs[number].began.clone();
            let artifact = (began, update.artifact.artifact_id.clone());
            *state.delivered.entry(artifact).or_default() += times;
        }
    }

    /// What an agent says of a job, from its event number `at` on.
    fn listen(&self, name: &'static str, number: usize, first: StreamResponse, mut at: usize) -> EventStream {
        let network = Self(self.0.clone());
        let epoch = self.0.world.lock().agents.agent(name).epoch;
        Box::pin(async_stream::stream! {
            yield Ok(first);
            loop {
                let Some((event, changed, is_done)) = network.heard(name, number, epoch, at) else {
                    yield Err(Failure::Broken("connection reset".to_owned()));
                    return;
                };
                let Some(event) = event else {
                    if is_done {
                        return;
                    }
                    // Looked for now and then, because its news may come in between.
                    let _ = tokio::time::timeout(Duration::from_millis(50), changed.notified()).await;
                    continue;
                };
                at += 1;
                network.delay().await;
                network.0.pass().await;
                if network.goes_wrong(|weather| weather.cut) {
                    if network.0.world.lock().chance.happens(700) {
                        yield Err(Failure::Broken("connection reset".to_owned()));
                    }
                    return;
                }
                if network.goes_wrong(|weather| weather.hangs) {
                    network.0.world.note(|| format!("a stream of {name} hangs"));
                    std::future::pending::<()>().await;
                }
                let times = 1 + usize::from(network.goes_wrong(|weather| weather.doubled));
                network.delivers(name, number, &event, times);
                for _ in 1..times {
                    yield Ok(event.clone());
                }
                yield Ok(event);
            }
        })
    }
}

pub(crate) fn name(agent: &str) -> &'static str {
    NAMES.into_iter().find(|name| *name == agent).expect("only agents that are there are called")
}

/// The task as its agent shows it.
fn snapshot(world: &World, name: &'static str, number: usize) -> (Task, usize) {
    let mut state = world.lock();
    let agent = state.agents.agent(name);
    let job = &agent.jobs[number];
    let mut task = job.task.clone();
    if agent.hides_history {
        task.history.clear();
    }
    (task, job.events.len())
}

fn find(
    world: &World,
    name: &'static str,
    is_meant: impl Fn(&super::agents::Job) -> bool,
) -> Result<usize, AskError> {
    let mut state = world.lock();
    let agent = state.agents.agent(name);
    let found = agent.jobs.iter().rposition(|job| !job.is_forgotten && is_meant(job));
    found.ok_or_else(|| AskError::NotFound("Task not found".to_owned()))
}

#[async_trait]
impl Downstream for Network {
    async fn send(&self, to: &Endpoint, request: SendMessageRequest) -> Result<EventStream, Failure> {
        self.0.pass().await;
        let sent = self.deliver(to, request).await;
        self.0.pass().await;
        sent
    }

    async fn get_task(&self, to: &Endpoint, agent_task: &str) -> Result<Task, AskError> {
        self.ask(to, "what of a task", |world, name| {
            let number = find(world, name, |job| job.id == agent_task)?;
            Ok(snapshot(world, name, number).0)
        })
        .await
    }

    async fn find_task(
        &self,
        to: &Endpoint,
        agent_context: &str,
        message_id: &str,
    ) -> Result<Option<Task>, AskError> {
        self.ask(to, message_id, |world, name| {
            let hides_history = world.lock().agents.agent(name).hides_history;
            if hides_history && find(world, name, |job| job.context == agent_context).is_ok() {
                return Err(AskError::Unsupported("it may be any of its tasks".to_owned()));
            }
            let found = find(world, name, |job| job.context == agent_context && job.began == message_id);
            Ok(found.ok().map(|number| snapshot(world, name, number).0))
        })
        .await
    }

    async fn subscribe(&self, to: &Endpoint, agent_task: &str) -> Result<EventStream, AskError> {
        let number = self
            .ask(to, "tell me more", |world, name| {
                let number = find(world, name, |job| job.id == agent_task)?;
                let is_over = world.lock().agents.agent(name).jobs[number].state.is_terminal();
                if is_over { Err(AskError::Unsupported("it is over".to_owned())) } else { Ok(number) }
            })
            .await?;
        let name = name(&to.agent);
        let (task, at) = snapshot(&self.0.world, name, number);
        Ok(self.listen(name, number, StreamResponse::Task(task), at))
    }

    async fn cancel_task(&self, to: &Endpoint, agent_task: &str) -> Result<Task, AskError> {
        self.ask(to, "stop", |world, name| {
            let answer = world.lock().cancel(name, agent_task);
            world.note(|| format!("{name} is asked to cancel {agent_task}: {}", answer.is_some()));
            let answer = answer.ok_or_else(|| AskError::NotFound("Task not found".to_owned()))?;
            answer.map_err(AskError::Unsupported)
        })
        .await
    }

    async fn revoke_task(&self, _: &Endpoint, _: &str) -> Result<(), AskError> {
        Err(AskError::Unsupported("no agent here is another broker's".to_owned()))
    }

    async fn extended_card(&self, _: &Endpoint) -> Result<Bytes, AskError> {
        Err(AskError::Unsupported("there is no extended card".to_owned()))
    }
}

#[async_trait]
impl Discovery for Network {
    async fn fetch_card(&self, url: &str) -> Result<FetchedCard, String> {
        if self.goes_wrong(|weather| weather.refused) {
            return Err("connection refused".to_owned());
        }
        let host = url.strip_prefix("http://").and_then(|rest| rest.split('.').next()).unwrap_or_default();
        let streams = self.0.world.lock().agents.agent(name(host)).streams;
        let skills: Vec<_> = SKILLS
            .iter()
            .map(|skill| json!({ "id": skill, "name": skill, "description": "", "tags": [] }))
            .collect();
        let interface = json!({ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" });
        let card = json!({
            "name": host, "description": "", "version": "1", "supportedInterfaces": [interface],
            "capabilities": { "streaming": streams }, "skills": skills,
        });
        let original = Bytes::from(card.to_string());
        let (url, caching) = (url.to_owned(), Caching::default());
        Ok(FetchedCard { card: serde_json::from_value(card).unwrap(), original, url, caching })
    }

    async fn refetch_card(&self, url: &str, _: &Validators) -> Result<Refetched, String> {
        self.fetch_card(url).await.map(|card| Refetched::Changed(Box::new(card)))
    }
}

#[async_trait]
impl Fetch for Network {
    async fn get(&self, _: &str, _: &GivenBy, _: usize) -> Result<Bytes, String> {
        Err("there is no web here".to_owned())
    }
}

#[async_trait]
impl Notifier for Network {
    async fn notify(&self, _: Notification) -> Result<(), Undelivered> {
        Ok(())
    }
}
