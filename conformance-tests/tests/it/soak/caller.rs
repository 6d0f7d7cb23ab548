//! Callers: they send, listen, hang up, take the stream up again, send the same again and cancel, while the broker dies
//! and comes back. Each writes down what it was shown, and thinks nothing of it: the checker does that.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use conformance_tests::wire::{self, Event, Trouble};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::plan::Plan;

/// How long a caller goes on asking a broker that is dead or does not know.
const PATIENCE: Duration = Duration::from_mins(3);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Numbers of streams a caller has to itself.
const STREAMS_EACH: u64 = 1_000_000;
const TASK_NOT_FOUND: i64 = -32001;

/// What one caller saw, as JSON lines.
pub(crate) struct CallerLog(Mutex<File>);

impl CallerLog {
    pub(crate) fn create(path: &Path) -> Self {
        Self(Mutex::new(File::create(path).expect("a log")))
    }

    pub(crate) fn write(&self, what: &str, mut facts: Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        facts["what"] = json!(what);
        facts["at"] = json!(now.as_secs_f64());
        writeln!(self.0.lock().expect("a log"), "{facts}").expect("the log is written");
    }
}

/// How a caller follows its tree.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// By a stream, which it drops after so many events each time.
    Stream { drops: Vec<u64> },
    /// Waiting for the answer.
    Wait,
    /// Asking now and then.
    Poll,
}

/// One tree to ask for, and how.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) tree: String,
    pub(crate) plan: Plan,
    pub(crate) reading: Reading,
    /// Another subscriber of the same task, which drops its stream after so many events each time.
    pub(crate) watch: Option<Vec<u64>>,
    /// Sends the same message again after this long.
    pub(crate) again: Option<Duration>,
    /// Cancels after this long.
    pub(crate) cancel: Option<Duration>,
}

/// A caller of a broker.
pub(crate) struct Caller {
    pub(crate) broker: String,
    pub(crate) log: CallerLog,
    streams: AtomicU64,
}

impl Caller {
    /// A caller with a number of its own, and a log.
    pub(crate) fn new(broker: String, log: &Path, number: usize) -> Self {
        let streams = AtomicU64::new(number as u64 * STREAMS_EACH);
        Self { broker, log: CallerLog::create(log), streams }
    }

    /// Asks for a tree and follows it to its end; its task.
    pub(crate) async fn run(&self, order: &Order) -> Option<String> {
        let agent = &order.plan.0[0].agent;
        self.log.write(
            "sent",
            json!({ "tree": order.tree, "message_id": order.tree, "agent": agent, "plan": order.plan }),
        );
        let (told, task) = watch::channel(None);
        let reading = async {
            match &order.reading {
                Reading::Stream { drops } => self.listen(order, true, drops.clone(), &told).await,
                Reading::Wait => self.send(order, false, &told).await,
                Reading::Poll => {
                    self.send(order, true, &told).await;
                    self.poll(order, &told).await;
                }
            }
        };
        tokio::join!(
            reading,
            self.send_again(order, &told),
            self.watch(order, task.clone(), &told),
            self.cancel(order, task),
        );
        told.borrow().clone()
    }

    /// What a task looks like once it is over: every event of it, the task, and the answer to the same message again.
    pub(crate) async fn look_back(&self, order: &Order, task: &str) {
        let tree = &order.tree;
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let Ok(stream) = self.subscribe(task, Some(0)).await else {
                sleep(PAUSE).await;
                continue;
            };
            let events = stream.rest().await;
            if events.last().is_some_and(is_terminal) {
                let events: Vec<Value> = events.iter().map(shown).collect();
                self.log.write("replay", json!({ "tree": tree, "events": events }));
                break;
            }
        }
        if let Some(end) = self.ask(tree, "", "GetTask", &json!({ "id": task })).await {
            self.log.write("end", task_facts(tree, &end));
        }
        let (told, _) = watch::channel(None);
        self.send(order, false, &told).await;
    }

    fn params(order: &Order) -> Value {
        wire::message(&order.tree, &order.plan.script(0).to_string())
    }

    /// Sends the message until there is an answer.
    async fn send(&self, order: &Order, at_once: bool, told: &watch::Sender<Option<String>>) {
        let mut params = Self::params(order);
        if at_once {
            params["configuration"] = json!({ "returnImmediately": true });
        }
        let path = format!("/agents/{}", order.plan.0[0].agent);
        let Some(answer) = self.ask(&order.tree, &path, "SendMessage", &params).await else { return };
        let task = &answer["task"];
        self.tell(order, task, told);
        if !at_once {
            self.log.write("answer", task_facts(&order.tree, task));
        }
    }

    async fn send_again(&self, order: &Order, told: &watch::Sender<Option<String>>) {
        if let Some(after) = order.again {
            sleep(after).await;
            self.send(order, true, told).await;
        }
    }

    async fn poll(&self, order: &Order, told: &watch::Sender<Option<String>>) {
        let Some(task) = told.borrow().clone() else { return };
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let Some(got) = self.ask(&order.tree, "", "GetTask", &json!({ "id": task })).await else {
                return;
            };
            if got["status"]["state"].as_str().is_some_and(ends) {
                self.log.write("answer", task_facts(&order.tree, &got));
                return;
            }
            sleep(PAUSE).await;
        }
    }

    async fn watch(
        &self,
        order: &Order,
        mut task: watch::Receiver<Option<String>>,
        told: &watch::Sender<Option<String>>,
    ) {
        let Some(drops) = order.watch.clone() else { return };
        if known(&mut task).await.is_some() {
            self.listen(order, false, drops, told).await;
        }
    }

    async fn cancel(&self, order: &Order, mut task: watch::Receiver<Option<String>>) {
        let Some(after) = order.cancel else { return };
        let Some(task) = known(&mut task).await else { return };
        sleep(after).await;
        self.log.write("cancel", json!({ "tree": order.tree }));
        // Over by then: refused, which is an answer too.
        let _ = wire::try_rpc(&self.broker, "CancelTask", &json!({ "id": task })).await;
    }

    /// Reads a task's stream to its end, however often it breaks: the first of its message, if `first`, later ones where
    /// the one before ended.
    async fn listen(
        &self,
        order: &Order,
        first: bool,
        mut drops: Vec<u64>,
        told: &watch::Sender<Option<String>>,
    ) {
        let (since, mut seen) = (Instant::now(), None);
        while since.elapsed() < PATIENCE {
            let task = told.borrow().clone().filter(|_| !first || seen.is_some());
            let opened = if let Some(task) = &task {
                self.subscribe(task, seen).await
            } else {
                let url = format!("{}/agents/{}", self.broker, order.plan.0[0].agent);
                wire::try_stream(&url, "SendStreamingMessage", &Self::params(order), None).await
            };
            let stream = match opened {
                Ok(stream) => stream,
                Err(trouble) => {
                    // A task that is over has no stream from now on, but one of what it was.
                    if self.refused(&order.tree, "stream", trouble) == Some(TASK_NOT_FOUND) && seen.is_some()
                    {
                        return;
                    }
                    if !first && seen.is_none() {
                        seen = Some(0);
                    }
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let number = self.streams.fetch_add(1, Ordering::Relaxed);
            let after = task.is_some().then_some(seen).flatten();
            self.log.write("opened", json!({ "tree": order.tree, "stream": number, "after": after }));
            let end = self.read(order, number, stream, &mut seen, drops.last().copied(), told).await;
            self.log.write(end, json!({ "tree": order.tree, "stream": number }));
            match end {
                "over" => return,
                "dropped" => drop(drops.pop()),
                _ => {}
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads one stream: to its end, until it breaks, or until so many events have come.
    async fn read(
        &self,
        order: &Order,
        number: u64,
        mut stream: wire::Stream,
        seen: &mut Option<u64>,
        most: Option<u64>,
        told: &watch::Sender<Option<String>>,
    ) -> &'static str {
        let mut read = 0;
        while let Some(event) = stream.next().await {
            self.tell(order, &event.json["task"], told);
            let mut facts = shown(&event);
            facts["tree"] = json!(order.tree);
            facts["stream"] = json!(number);
            self.log.write("event", facts);
            *seen = event.id.or(*seen);
            if is_terminal(&event) {
                return "over";
            }
            read += 1;
            if most == Some(read) {
                return "dropped";
            }
        }
        "broke"
    }

    async fn subscribe(&self, task: &str, after: Option<u64>) -> Result<wire::Stream, Trouble> {
        wire::try_stream(&self.broker, "SubscribeToTask", &json!({ "id": task }), after).await
    }

    /// Asks until there is an answer; `None` if it is that there is no such task, or there is none for too long.
    async fn ask(&self, tree: &str, path: &str, method: &str, params: &Value) -> Option<Value> {
        let (since, url) = (Instant::now(), format!("{}{path}", self.broker));
        while since.elapsed() < PATIENCE {
            match wire::try_rpc(&url, method, params).await {
                Ok(result) => return Some(result),
                Err(trouble) => {
                    if self.refused(tree, method, trouble) == Some(TASK_NOT_FOUND) {
                        return None;
                    }
                }
            }
            sleep(PAUSE).await;
        }
        None
    }

    /// Notes a refusal; its code. A broken connection says nothing.
    fn refused(&self, tree: &str, method: &str, trouble: Trouble) -> Option<i64> {
        let Trouble::Refused(response) = trouble else { return None };
        let error = &response["error"];
        self.log.write("refused", json!({ "tree": tree, "method": method, "error": error }));
        error["code"].as_i64()
    }

    fn tell(&self, order: &Order, task: &Value, told: &watch::Sender<Option<String>>) {
        let Some(id) = task["id"].as_str() else { return };
        self.log.write("told", json!({ "tree": order.tree, "task": id }));
        told.send_if_modified(|known| known.replace(id.to_owned()).is_none());
    }
}

async fn known(task: &mut watch::Receiver<Option<String>>) -> Option<String> {
    let told = tokio::time::timeout(PATIENCE, task.wait_for(Option::is_some)).await;
    told.ok()?.ok()?.clone()
}

pub(crate) fn ends(state: &str) -> bool {
    ["COMPLETED", "FAILED", "CANCELED", "REJECTED"].iter().any(|end| state.ends_with(end))
}

fn is_terminal(event: &Event) -> bool {
    event.state().is_some_and(ends)
}

/// What counts of an event, and a digest of all of it.
fn shown(event: &Event) -> Value {
    let json = &event.json;
    let child = json.pointer("/statusUpdate/metadata/urn:bailiwick:ext:delegation:v1/child");
    json!({
        "id": event.id,
        "snapshot": json.get("task").is_some(),
        "state": event.state(),
        "child": child,
        "artifact": json.pointer("/artifactUpdate/artifact/artifactId"),
        "append": json.pointer("/artifactUpdate/append"),
        "text": json.pointer("/artifactUpdate/artifact/parts").map(text_of),
        "digest": format!("{:x}", Sha256::digest(json.to_string())),
    })
}

fn text_of(parts: &Value) -> String {
    parts.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str()).collect()
}

/// What counts of a task.
fn task_facts(tree: &str, task: &Value) -> Value {
    let artifacts = task["artifacts"].as_array().into_iter().flatten();
    let text: String = artifacts.map(|artifact| text_of(&artifact["parts"])).collect();
    let why = text_of(&task["status"]["message"]["parts"]);
    json!({ "tree": tree, "task": task["id"], "state": task["status"]["state"], "text": text, "why": why })
}
