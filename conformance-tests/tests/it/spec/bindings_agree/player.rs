//! Plays a history on one binding, and says what came of each step without the names that only this player has.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use conformance_tests::suite::binding::grpc::code_name;
use conformance_tests::suite::binding::{self, Fault, Kind};
use conformance_tests::suite::check::Stop;
use conformance_tests::suite::http::{Http, Manner, Speech};
use conformance_tests::suite::operation::{self, Operation};
use serde_json::{Map, Value, json};

use super::history::{Step, Token, Which};

/// Looks at a task that is to come to rest; with the pauses between them a minute.
const LOOKS: u32 = 3_000;
const PAUSE: Duration = Duration::from_millis(20);

/// A binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    JsonRpc,
    HttpJson,
    Grpc,
}

impl Binding {
    pub(super) const ALL: [Self; 3] = [Self::JsonRpc, Self::HttpJson, Self::Grpc];
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Result(Value),
    Fault(Value),
}

impl Outcome {
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Self::Fault(_))
    }
}

/// The JSON-RPC codes of rows whose errors name no reason.
const JSON_RPC: [(i64, &str); 17] = [
    (-32001, "NOT_FOUND"),
    (-32002, "FAILED_PRECONDITION"),
    (-32003, "FAILED_PRECONDITION"),
    (-32004, "FAILED_PRECONDITION"),
    (-32005, "INVALID_ARGUMENT"),
    (-32006, "INTERNAL"),
    (-32007, "FAILED_PRECONDITION"),
    (-32008, "FAILED_PRECONDITION"),
    (-32009, "FAILED_PRECONDITION"),
    (-32700, "INVALID_ARGUMENT"),
    (-32600, "INVALID_ARGUMENT"),
    (-32602, "INVALID_ARGUMENT"),
    (-31401, "UNAUTHENTICATED"),
    (-31403, "PERMISSION_DENIED"),
    (-31404, "NOT_FOUND"),
    (-31410, "OUT_OF_RANGE"),
    (-31429, "RESOURCE_EXHAUSTED"),
];

pub(super) struct Player {
    pub(super) binding: Binding,
    /// The principal it plays for.
    name: String,
    at: binding::Binding,
    manner: Manner,
    /// The tasks of accepted messages, in order; a direct answer has none.
    tasks: Vec<String>,
    /// Those at work for long: another message to them is a race with their agent.
    slow: HashSet<String>,
    /// Messages sent, to be sent again.
    sent: Vec<Value>,
    last_token: String,
    /// Names that only this player has, by what stands for them.
    names: HashMap<String, String>,
}

impl Player {
    pub(super) fn new(binding: Binding, name: &str, url: &str, key: &str) -> Self {
        let (kind, speech) = match binding {
            Binding::JsonRpc => (Kind::JsonRpc, Speech::One),
            Binding::HttpJson => (Kind::HttpJson, Speech::One),
            Binding::Grpc => (Kind::Grpc, Speech::Two),
        };
        let http = Http::new(speech).expect("a client");
        let at = binding::Binding { kind, url: url.to_owned(), tenant: Some("worker".to_owned()), http };
        let manner = Manner::plain(Some(format!("Bearer {key}")));
        Self {
            binding,
            name: name.to_owned(),
            at,
            manner,
            tasks: Vec::new(),
            slow: HashSet::new(),
            sent: Vec::new(),
            last_token: String::new(),
            names: HashMap::new(),
        }
    }

    pub(super) async fn play(&mut self, step: &Step) -> Outcome {
        let outcome =
            self.perform(step).await.unwrap_or_else(|stop| panic!("{:?}: {step:?}: {stop:?}", self.binding));
        match outcome {
            Ok(result) => Outcome::Result(self.anonymous(&result)),
            Err(fault) => {
                let fault = identity(&fault);
                Outcome::Fault(self.anonymous(&fault))
            }
        }
    }

    async fn perform(&mut self, step: &Step) -> Result<Result<Value, Fault>, Stop> {
        match step {
            Step::Send { script, streams, at_once, history, context, again } => {
                let number = self.sent.len();
                let id = again.filter(|_| number > 0).map_or(number, |again| again % number);
                let mut message = text_message(&format!("m{id}"), &script.to_string());
                if let Some(context) = context {
                    message["contextId"] = json!(format!("context-{context}"));
                }
                self.sent.push(message.clone());
                let mut params =
                    json!({ "message": message, "configuration": { "returnImmediately": at_once } });
                if let Some(history) = history {
                    params["configuration"]["historyLength"] = json!(history);
                }
                let sent = self.send(&params, *streams, *at_once).await?;
                if let Ok(task) = sent.as_ref().map(|sent| sent["id"].as_str().unwrap_or_default())
                    && script.get("delay_ms").is_some()
                {
                    self.slow.insert(task.to_owned());
                }
                Ok(sent)
            }
            Step::FollowUp { task, .. } if self.slow.contains(&self.id(*task)) => {
                self.call(operation::GET, &json!({ "id": self.id(*task) })).await
            }
            Step::FollowUp { task, astray, streams } => {
                let mut message = text_message(&format!("f{}", self.sent.len()), "blue");
                message["taskId"] = json!(self.id(*task));
                if *astray {
                    message["contextId"] = json!("elsewhere");
                }
                self.sent.push(message.clone());
                self.send(&json!({ "message": message }), *streams, false).await
            }
            Step::Malformed(kind) => {
                let params = self.malformed(*kind);
                self.call(operation::SEND, &params).await
            }
            Step::Get { task, history } => {
                let mut params = json!({ "id": self.id(*task) });
                if let Some(history) = history.filter(|length| self.binding != Binding::Grpc || fits(*length))
                {
                    params["historyLength"] = json!(history);
                } else if history.is_some() {
                    // What protobuf cannot say is for it to refuse; the nearest it can say is another bad one.
                    params["historyLength"] = json!(-2);
                }
                self.call(operation::GET, &params).await
            }
            Step::List { filters, token } => {
                let mut params = filters.clone();
                self.go_on(&mut params, *token);
                let page = self.call(operation::LIST, &params).await?;
                if let Ok(page) = &page {
                    page["nextPageToken"].as_str().unwrap_or_default().clone_into(&mut self.last_token);
                }
                Ok(page)
            }
            Step::Cancel(task) => self.call(operation::CANCEL, &json!({ "id": self.id(*task) })).await,
            Step::Subscribe { task, after } => self.subscribe(*task, *after).await,
            Step::CreatePush { task, id, url } => {
                let mut params = json!({ "taskId": self.id(*task), "url": url, "token": "s" });
                if let Some(id) = id {
                    params["id"] = json!(format!("push-{id}"));
                }
                self.call(operation::CREATE_PUSH, &params).await
            }
            Step::GetPush { task, id } => self.call(operation::GET_PUSH, &self.push(*task, *id)).await,
            Step::DeletePush { task, id } => self.call(operation::DELETE_PUSH, &self.push(*task, *id)).await,
            Step::ListPush { task, page, token } => {
                let mut params = json!({ "taskId": self.id(*task) });
                if let Some(page) = page {
                    params["pageSize"] = json!(page);
                }
                self.go_on(&mut params, *token);
                self.call(operation::LIST_PUSH, &params).await
            }
            Step::ExtendedCard => {
                let answered = self.call(operation::EXTENDED_CARD, &json!({})).await;
                answered.map(|answered| answered.map(without_0_3))
            }
            Step::OtherVersion(version) => {
                let manner =
                    self.manner.clone().version(Some(*version).filter(|version| !version.is_empty()));
                self.at.call(operation::GET, &json!({ "id": self.id(Which::Known(0)) }), &manner).await
            }
            Step::OtherTenant(tenant) => {
                let at = binding::Binding { tenant: Some((*tenant).to_owned()), ..self.at.clone() };
                at.call(operation::GET, &json!({ "id": self.id(Which::Known(0)) }), &self.manner).await
            }
            Step::Stranger => {
                let manner = Manner::plain(Some("Bearer nobody's".to_owned()));
                self.at.call(operation::GET, &json!({ "id": self.id(Which::Known(0)) }), &manner).await
            }
        }
    }

    async fn call(&self, operation: Operation, params: &Value) -> Result<Result<Value, Fault>, Stop> {
        self.at.call(operation, params, &self.manner).await
    }

    /// Sends, and keeps the task. A stream is told as what it adds up to: how many events it takes depends on the
    /// moment at which it begins.
    async fn send(
        &mut self,
        params: &Value,
        streams: bool,
        at_once: bool,
    ) -> Result<Result<Value, Fault>, Stop> {
        let answer = if streams {
            match self.at.open(operation::STREAM, params, &self.manner).await? {
                Err(fault) => return Ok(Err(fault)),
                Ok(stream) => {
                    added_up(&stream.rest().await?.into_iter().map(|event| event.json).collect::<Vec<_>>())
                }
            }
        } else {
            match self.call(operation::SEND, params).await? {
                Err(fault) => return Ok(Err(fault)),
                Ok(answer) => answer,
            }
        };
        let Some(task) = answer["task"]["id"].as_str().map(ToOwned::to_owned) else { return Ok(Ok(answer)) };
        if !self.tasks.contains(&task) {
            self.tasks.push(task.clone());
        }
        if at_once {
            // What it is at this moment is a race; where it comes to rest is not.
            return self.at_rest(&task).await;
        }
        Ok(Ok(answer))
    }

    /// The task once it waits for somebody, is over, or works and will for long.
    async fn at_rest(&self, task: &str) -> Result<Result<Value, Fault>, Stop> {
        let slow = |task: &Value| {
            task["history"][0]["parts"][0]["text"].as_str().is_some_and(|text| text.contains("delay_ms"))
        };
        for _ in 0..LOOKS {
            let shown = self.call(operation::GET, &json!({ "id": task })).await?;
            let Ok(shown) = &shown else { return Ok(shown) };
            let state = shown["status"]["state"].as_str().unwrap_or_default();
            if !operation::AT_WORK.contains(&state) || (state == "TASK_STATE_WORKING" && slow(shown)) {
                return Ok(Ok(shown.clone()));
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{task} does not come to rest");
    }

    /// The first event, or all there are where the task is over.
    async fn subscribe(&mut self, task: Which, after: Option<u64>) -> Result<Result<Value, Fault>, Stop> {
        let params = json!({ "id": self.id(task) });
        let manner = match after {
            Some(after) => self.manner.clone().header("last-event-id", &after.to_string()),
            None => self.manner.clone(),
        };
        let mut stream = match self.at.open(operation::SUBSCRIBE, &params, &manner).await? {
            Err(fault) => return Ok(Err(fault)),
            Ok(stream) => stream,
        };
        if after.is_none() {
            return Ok(Ok(stream.next().await?.map(|event| event.json).unwrap_or_default()));
        }
        let state = self
            .call(operation::GET, &params)
            .await?
            .map_or_else(|_| Value::Null, |task| task["status"]["state"].clone());
        let over = state.as_str().is_some_and(|state| operation::TERMINAL.contains(&state));
        if !over {
            return Ok(Ok(json!("resumed")));
        }
        Ok(Ok(stream.rest().await?.into_iter().map(|event| event.json).collect()))
    }

    fn id(&self, which: Which) -> String {
        match which {
            Which::Known(number) if !self.tasks.is_empty() => self.tasks[number % self.tasks.len()].clone(),
            Which::Known(_) | Which::Unknown => "01900000-0000-7000-8000-000000000000".to_owned(),
            Which::Nonsense => "no/task:at all".to_owned(),
        }
    }

    fn push(&self, task: Which, id: usize) -> Value {
        json!({ "taskId": self.id(task), "id": format!("push-{id}") })
    }

    fn go_on(&self, params: &mut Value, token: Token) {
        match token {
            Token::None => {}
            Token::Last => params["pageToken"] = json!(self.last_token),
            Token::Forged(token) => params["pageToken"] = json!(token),
        }
    }

    fn malformed(&self, kind: usize) -> Value {
        let mut message = text_message("bad", "x");
        // An enum's value nobody defined is a number to protobuf, and a name to JSON.
        let unknown = if self.binding == Binding::Grpc { json!(99) } else { json!("ROLE_NOBODY") };
        match kind {
            0 => return json!({}),
            1 => drop(message.as_object_mut().map(|message| message.remove("messageId"))),
            2 => drop(message.as_object_mut().map(|message| message.remove("role"))),
            3 => drop(message.as_object_mut().map(|message| message.remove("parts"))),
            4 => message["role"] = unknown,
            5 => message["parts"] = json!([{}]),
            6 => message["parts"] = json!([]),
            7 => {
                message["metadata"] = json!({ "urn:bailiwick:ext:delegation:v1": { "scope": ["nonsense"] } });
            }
            _ => return json!({ "message": message, "configuration": { "historyLength": -1 } }),
        }
        json!({ "message": message })
    }

    /// The same without names of this player's: ids by the order in which they appear, times as such, and nothing
    /// where protobuf has nothing.
    fn anonymous(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.anonymous_text(text)),
            Value::Number(number) => json!(number.as_f64()),
            Value::Array(items) => items.iter().map(|item| self.anonymous(item)).collect(),
            Value::Object(members) => {
                let mut named: Vec<(&String, &Value)> =
                    members.iter().filter(|(_, value)| !is_unset(value)).collect();
                named.sort_by_key(|(name, _)| *name);
                let mut anonymous = Map::new();
                // How an attempt stands is a matter of moments: an agent's stream may just have ended.
                for (name, value) in named.into_iter().filter(|(name, _)| *name != "attempts") {
                    let value =
                        if name == "nextPageToken" { json!("a token") } else { self.anonymous(value) };
                    if !is_unset(&value) {
                        anonymous.insert(name.clone(), value);
                    }
                }
                Value::Object(anonymous)
            }
            other => other.clone(),
        }
    }

    fn anonymous_text(&mut self, text: &str) -> String {
        // gRPC's JSON leaves out a fraction that is nothing.
        const TIMES: [usize; 2] = ["2026-01-02T03:04:05.678Z".len(), "2026-01-02T03:04:05Z".len()];
        if TIMES.contains(&text.len()) && text.as_bytes()[10] == b'T' && text.ends_with('Z') {
            return "a time".to_owned();
        }
        if let Some(before) = text.strip_suffix(&format!("by {}", self.name)) {
            return format!("{before}by its caller");
        }
        // Within a text each id stands between characters that no id has.
        let is_id = |c: char| c.is_ascii_hexdigit() || c == '-';
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c| !is_id(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.len() == 36 && word.matches('-').count() == 4 {
                let known = self.names.len();
                out.push_str(self.names.entry(word.to_owned()).or_insert_with(|| format!("id-{known}")));
            } else {
                out.push_str(word);
            }
            let mut characters = after.chars();
            out.extend(characters.next());
            rest = characters.as_str();
        }
        out
    }
}

/// A card without the members by which it is one of A2A 0.3 too: protobuf has no place for them.
fn without_0_3(mut card: Value) -> Value {
    const MEMBERS: [&str; 6] = [
        "additionalInterfaces",
        "preferredTransport",
        "protocolVersion",
        "security",
        "supportsAuthenticatedExtendedCard",
        "url",
    ];
    if let Some(members) = card.as_object_mut() {
        members.retain(|name, _| !MEMBERS.contains(&name.as_str()));
    }
    let schemes = card["securitySchemes"].as_object_mut().into_iter().flatten();
    for scheme in schemes.filter_map(|(_, scheme)| scheme.as_object_mut()) {
        scheme.retain(|name, _| name.ends_with("SecurityScheme"));
    }
    card
}

fn fits(length: i64) -> bool {
    i32::try_from(length).is_ok()
}

fn text_message(id: &str, text: &str) -> Value {
    json!({ "messageId": id, "role": "ROLE_USER", "parts": [{ "text": text }] })
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Which error it is: the status by name, the reason and what it is about, and the fields that are wrong.
fn identity(fault: &Fault) -> Value {
    let status = match fault.kind {
        Kind::HttpJson => fault.error["status"].as_str().unwrap_or("none").to_owned(),
        Kind::Grpc => code_name(fault.code()),
        Kind::JsonRpc => {
            let code = fault.code().unwrap_or_default();
            let known = JSON_RPC.iter().find(|(known, _)| *known == code);
            // A reused message id is −32602 with a reason of its own.
            let reused = fault.info().is_some_and(|info| info["reason"] == "MESSAGE_ID_REUSED");
            if reused {
                "ALREADY_EXISTS".to_owned()
            } else {
                known.map_or_else(|| code.to_string(), |(_, name)| (*name).to_owned())
            }
        }
    };
    let info = fault.info().map(
        |info| json!({ "reason": info["reason"], "domain": info["domain"], "metadata": info["metadata"] }),
    );
    let fields: Vec<&Value> = fault
        .details()
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|detail| detail["fieldViolations"].as_array())
        .flatten()
        .map(|violation| &violation["field"])
        .collect();
    json!({ "status": status, "info": info, "fields": fields })
}

/// A stream as what it adds up to.
fn added_up(events: &[Value]) -> Value {
    let mut artifacts: Vec<Value> = Vec::new();
    let (mut task, mut message) = (Value::Null, Value::Null);
    for event in events {
        if let Some(begun) = event.get("task") {
            task = begun.clone();
            artifacts = begun["artifacts"].as_array().cloned().unwrap_or_default();
        } else if let Some(said) = event.get("message") {
            message = said.clone();
        } else if let Some(update) = event.get("statusUpdate") {
            task["status"] = update["status"].clone();
        } else if let Some(update) = event.get("artifactUpdate") {
            let piece = &update["artifact"];
            let known = artifacts.iter_mut().find(|artifact| artifact["artifactId"] == piece["artifactId"]);
            match known {
                Some(known) if update["append"] == true => {
                    let parts = piece["parts"].as_array().cloned().unwrap_or_default();
                    known["parts"].as_array_mut().expect("parts").extend(parts);
                }
                Some(known) => *known = piece.clone(),
                None => artifacts.push(piece.clone()),
            }
        }
    }
    if task.is_null() {
        return json!({ "message": message });
    }
    // The task's own metadata is of the moment at which the stream began, and so is its history.
    json!({ "task": { "id": task["id"], "contextId": task["contextId"], "status": task["status"], "artifacts": artifacts } })
}
