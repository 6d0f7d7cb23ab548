//! A broker on a real store that dies with its runtime and comes back on a new one; its agent and its receivers live
//! outside and only ever talk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use broker::config::Config;
use broker::ports::clock::Clock;
use broker::ports::downstream::{
    AskError, Discovery, Downstream, Endpoint, EventStream, FetchedCard, Refetched,
};
use broker::ports::fetch::{Caching, Fetch, Validators};
use broker::ports::notifier::{Notification, Notifier, Undelivered};
use broker::ports::store::Store;
use broker::service::{
    Broker, CallerSettings, CardOptions, Keep, NewAgent, Parts, Principals, ProbeOptions, PushOptions,
    QuotaTable, Recovery, Retention, Settings, Swept, Target,
};
use broker::store::embedded::{EmbeddedStore, Options};
use broker_core::delegation::input::Failure;
use broker_core::journal::Record;
use broker_core::{Limits, TaskId, Timestamp};
use bytes::Bytes;
use protocol::{
    A2aError, Message, SendMessageRequest, SendMessageResponse, StreamResponse, Task,
    TaskArtifactUpdateEvent, TaskState, Version,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

const MOMENT: Duration = Duration::from_millis(3);
const PATIENCE: Duration = Duration::from_secs(30);

/// How receivers behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Takes,
    Refuses,
    /// Takes an event and loses the answer.
    TakesAndFails,
    /// Every third.
    Sometimes,
}

/// A try to deliver an event.
#[derive(Debug, Clone)]
pub(crate) struct Tried {
    pub(crate) url: String,
    pub(crate) event: String,
    pub(crate) version: Version,
    pub(crate) body: Bytes,
    pub(crate) taken: bool,
}

pub(crate) struct Receivers {
    mood: Mutex<Mood>,
    tried: Mutex<Vec<Tried>>,
}

impl Receivers {
    pub(crate) fn feel(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn tried(&self) -> Vec<Tried> {
        self.tried.lock().unwrap().clone()
    }
}

#[async_trait]
impl Notifier for Receivers {
    async fn notify(&self, notification: Notification) -> Result<(), Undelivered> {
        tokio::task::yield_now().await;
        let (taken, confirmed) = {
            let mut tried = self.tried.lock().unwrap();
            let (taken, confirmed) = match *self.mood.lock().unwrap() {
                Mood::Takes => (true, true),
                Mood::Refuses => (false, false),
                Mood::TakesAndFails => (true, false),
                Mood::Sometimes => (tried.len().is_multiple_of(3), tried.len().is_multiple_of(3)),
            };
            let Notification { to, event_id: event, version, body, .. } = notification;
            tried.push(Tried { url: to.url().to_owned(), event, version, body, taken });
            (taken, confirmed)
        };
        tokio::task::yield_now().await;
        let failed = || Undelivered::Failed { reason: format!("taken: {taken}"), retry_after: None };
        if confirmed { Ok(()) } else { Err(failed()) }
    }
}

/// An agent with one task.
#[derive(Default)]
struct Agent {
    said: Mutex<Vec<StreamResponse>>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<StreamResponse>>>,
}

impl Agent {
    fn task(&self) -> Task {
        let mut task: Task =
            serde_json::from_value(json!({ "id": "t", "status": { "state": "TASK_STATE_WORKING" } }))
                .unwrap();
        for event in self.said.lock().unwrap().iter() {
            match event {
                StreamResponse::ArtifactUpdate(update) => {
                    protocol::merge_artifact(&mut task.artifacts, &update.artifact, update.append);
                }
                StreamResponse::StatusUpdate(update) => task.status = update.status.clone(),
                _ => {}
            }
        }
        task
    }

    fn say(&self, event: &StreamResponse) {
        self.said.lock().unwrap().push(event.clone());
        self.listeners.lock().unwrap().retain(|listener| listener.send(event.clone()).is_ok());
    }

    fn listen(&self) -> EventStream {
        let (listener, mut events) = mpsc::unbounded_channel();
        let first = StreamResponse::Task(self.task());
        self.listeners.lock().unwrap().push(listener);
        Box::pin(async_stream::stream! {
            yield Ok(first);
            while let Some(event) = events.recv().await {
                yield Ok(event);
            }
        })
    }
}

#[async_trait]
impl Downstream for Agent {
    async fn send(&self, _: &Endpoint, _: SendMessageRequest) -> Result<EventStream, Failure> {
        Ok(self.listen())
    }

    async fn get_task(&self, _: &Endpoint, _: &str) -> Result<Task, AskError> {
        Ok(self.task())
    }

    async fn find_task(&self, _: &Endpoint, _: &str, _: &str) -> Result<Option<Task>, AskError> {
        Ok(Some(self.task()))
    }

    async fn subscribe(&self, _: &Endpoint, _: &str) -> Result<EventStream, AskError> {
        Ok(self.listen())
    }

    async fn cancel_task(&self, _: &Endpoint, _: &str) -> Result<Task, AskError> {
        Ok(self.task())
    }

    async fn revoke_task(&self, _: &Endpoint, _: &str) -> Result<(), AskError> {
        Err(AskError::Unsupported("no agent here is another broker's".to_owned()))
    }

    async fn extended_card(&self, _: &Endpoint) -> Result<Bytes, AskError> {
        Err(AskError::Unsupported("it has none".to_owned()))
    }
}

#[async_trait]
impl Discovery for Agent {
    async fn fetch_card(&self, url: &str) -> Result<FetchedCard, String> {
        let interface = json!({ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" });
        let card = json!({
            "name": "a", "description": "", "version": "1", "supportedInterfaces": [interface],
            "capabilities": { "streaming": true },
        });
        let original = Bytes::from(card.to_string());
        let card = serde_json::from_value(card).unwrap();
        Ok(FetchedCard { card, original, url: url.to_owned(), caching: Caching::default() })
    }

    async fn refetch_card(&self, url: &str, _: &Validators) -> Result<Refetched, String> {
        self.fetch_card(url).await.map(|card| Refetched::Changed(Box::new(card)))
    }
}

struct NoWeb;

#[async_trait]
impl Fetch for NoWeb {
    async fn get(&self, _: &str, _: &broker::address::GivenBy, _: usize) -> Result<Bytes, String> {
        Err("there is no web here".to_owned())
    }
}

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }

    fn new_task_id(&self) -> TaskId {
        TaskId(uuid::Uuid::now_v7())
    }

    fn new_secret(&self) -> Result<[u8; 32], String> {
        Ok([7; 32])
    }
}

struct Life {
    runtime: Runtime,
    broker: Arc<Broker>,
    store: Arc<EmbeddedStore>,
}

pub(crate) struct World {
    life: Option<Life>,
    pub(crate) receivers: Arc<Receivers>,
    agent: Arc<Agent>,
    folder: TempDir,
    next: AtomicUsize,
}

impl World {
    pub(crate) fn new() -> Self {
        let receivers = Arc::new(Receivers { mood: Mutex::new(Mood::Takes), tried: Mutex::default() });
        let (agent, folder, next) = (Arc::default(), TempDir::new().unwrap(), AtomicUsize::new(0));
        let mut world = Self { life: None, receivers, agent, folder, next };
        world.live();
        world
    }

    fn live(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // The death of a process is what is tried here, not that of the disk.
        let options = Options { fsync: false, ..Options::default() };
        let store = Arc::new(EmbeddedStore::open(self.folder.path(), options).unwrap());
        let parts = Parts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            downstream: Arc::clone(&self.agent) as Arc<dyn Downstream>,
            discovery: Arc::clone(&self.agent) as Arc<dyn Discovery>,
            fetch: Arc::new(NoWeb),
            notifier: Arc::clone(&self.receivers) as Arc<dyn Notifier>,
            clock: Arc::new(WallClock),
            stages: broker::service::Stages::default(),
            embedder: crate::embedder(),
            weights: broker_selection::Weights::shipped("static").unwrap(),
            traces: None,
            peers: None,
        };
        let settings = Settings {
            public_url: "http://127.0.0.1:1".to_owned(),
            limits: Limits::default(),
            recovery: Recovery { ask_every: Duration::from_millis(1), ..Recovery::default() },
            admission: broker::service::AdmissionOptions::default(),
            quotas: QuotaTable::new(Some(1_000)),
            keep: Keep { idle: 0, finished: 1, finished_bytes: 1 << 20 },
            // Looked for when a test says so, and when a broker starts.
            retention: Retention {
                keep_finished: Duration::from_millis(1),
                keep_message_ids: Duration::from_hours(1),
                sweep_every: Duration::from_hours(1),
            },
            callers: CallerSettings {
                principals: Principals::new(Vec::new()).unwrap(),
                ..CallerSettings::default()
            },
            secret_dir: None,
            grants: Config::default().grant_options(),
            card_keys: Config::default().card_options(),
            acceptance: broker::service::AcceptanceOptions::default(),
            refusal_window: Duration::from_secs(10),
            card_life: CardOptions::default(),
            probing: ProbeOptions::default(),
            selection: broker::config::Config::default().selection.options(),
            push: PushOptions {
                backoff: Duration::from_micros(200),
                max_backoff: Duration::from_millis(2),
                ..Config::default().push_options()
            },
        };
        let broker = Broker::new(parts, settings);
        let new: NewAgent =
            serde_json::from_value(json!({ "name": "a", "url": "http://127.0.0.1:2", "caps": [] })).unwrap();
        runtime.block_on(async {
            broker.load_keys().await.unwrap();
            broker.load_agents(vec![new]).await.unwrap();
            broker.start().await.unwrap();
            broker.take_up_all().await.unwrap();
        });
        self.life = Some(Life { runtime, broker, store });
    }

    /// Everything under way stops where it stands.
    pub(crate) fn crash(&mut self) {
        let Life { runtime, broker, store } = self.life.take().unwrap();
        drop(runtime);
        assert_eq!(
            (Arc::strong_count(&broker), Arc::weak_count(&broker)),
            (1, 0),
            "nothing outlives its runtime"
        );
        drop((broker, store));
        self.live();
    }

    fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    fn run<T>(&self, what: impl AsyncFnOnce(&Arc<Broker>, &broker::service::Caller) -> T) -> T {
        let Life { runtime, broker, .. } = self.life();
        runtime.block_on(async {
            let caller = broker.authenticate(None).await.unwrap();
            what(broker, &caller).await
        })
    }

    /// Begins the task.
    pub(crate) fn begin(&mut self) -> TaskId {
        let mut request = SendMessageRequest::new(Message::user_text("m", "do it"));
        request.configuration =
            serde_json::from_value(json!({ "returnImmediately": true })).map(Box::new).map(Some).unwrap();
        let sent = self.run(async |broker, caller| {
            broker.send(caller, &Target::Any, request, Version::V1.into()).await.unwrap()
        });
        let SendMessageResponse::Task(task) = sent else { panic!("{sent:?}") };
        task.id.parse().unwrap()
    }

    /// Sends the message of the task once more.
    pub(crate) fn send_again(&self) -> Result<SendMessageResponse, A2aError> {
        let request = SendMessageRequest::new(Message::user_text("m", "do it"));
        self.run(async |broker, caller| broker.send(caller, &Target::Any, request, Version::V1.into()).await)
    }

    pub(crate) fn get(&self, task: TaskId) -> Result<Task, A2aError> {
        let request = serde_json::from_value(json!({ "id": task })).unwrap();
        let json = self.run(async |broker, caller| broker.get_task(caller, &Target::Any, request).await)?;
        Ok(serde_json::from_slice(&json).expect("a task"))
    }

    pub(crate) fn listed(&self) -> (usize, u64) {
        let request = serde_json::from_value(json!({})).unwrap();
        let page =
            self.run(async |broker, caller| broker.list_tasks(caller, &Target::Any, request).await.unwrap());
        (page.tasks.len(), page.total_size)
    }

    pub(crate) fn sweep(&self) -> Swept {
        self.breathe();
        self.run(async |broker, _| broker.sweep().await.unwrap())
    }

    /// The agent makes a piece of an artifact.
    pub(crate) fn say(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let artifact = json!({ "artifactId": format!("x{number}"), "parts": [{ "text": "x" }] });
        let update: TaskArtifactUpdateEvent =
            serde_json::from_value(json!({ "taskId": "t", "contextId": "c", "artifact": artifact })).unwrap();
        self.agent.say(&StreamResponse::ArtifactUpdate(update));
    }

    /// The agent is done.
    pub(crate) fn end(&self) {
        let status = json!({ "state": TaskState::Completed.as_str() });
        let update = json!({ "taskId": "t", "contextId": "c", "status": status });
        self.agent.say(&StreamResponse::StatusUpdate(serde_json::from_value(update).unwrap()));
    }

    /// Every other receiver reads 0.3.
    pub(crate) fn set(&self, task: TaskId, id: &str) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let version = if number.is_multiple_of(2) { Version::V03 } else { Version::V1 };
        let config = json!({ "taskId": task, "id": id, "url": format!("http://receiver.example/{number}") });
        let config = serde_json::from_value(config).unwrap();
        self.run(async |broker, caller| {
            broker.create_push(caller, &Target::Any, config, version).await.unwrap()
        });
    }

    pub(crate) fn delete(&self, task: TaskId, id: &str) {
        let request = serde_json::from_value(json!({ "taskId": task, "id": id })).unwrap();
        self.run(async |broker, caller| broker.delete_push(caller, &Target::Any, request).await.unwrap());
    }

    pub(crate) fn breathe(&self) {
        self.life().runtime.block_on(async { tokio::time::sleep(MOMENT).await });
    }

    /// Until the task is over and every push with it.
    pub(crate) fn until_all_is_sent(&self) {
        let Life { runtime, store, .. } = self.life();
        let all_is_sent = async {
            while !store.open_trees(None, 1).await.unwrap().is_empty()
                || !store.outbox(None, 1).await.unwrap().is_empty()
            {
                tokio::time::sleep(MOMENT).await;
            }
        };
        let waited = runtime.block_on(async { tokio::time::timeout(PATIENCE, all_is_sent).await });
        let left = runtime.block_on(store.outbox(None, 10));
        waited.unwrap_or_else(|_| panic!("not everything was sent: {left:?}; {:#?}", self.receivers.tried()));
    }

    pub(crate) fn journal(&self, root: TaskId) -> Vec<Record> {
        let Life { runtime, store, .. } = self.life();
        let records = runtime.block_on(store.read(root, 0)).unwrap();
        records.iter().map(|record| Record::decode(record).unwrap()).collect()
    }
}
