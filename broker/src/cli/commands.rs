//! What each command does.

use std::io::Read;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;

use broker_core::audit::Head;
use broker_core::extension;
use clap::CommandFactory;
use futures_util::StreamExt;
use http::Method;
use protocol::binding::http_json::percent_encode;
use protocol::{
    ListTasksResponse, Message, Operation, SendMessageRequest, SendMessageResponse, StreamResponse, Task,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::arguments::{
    AgentCommand, Arguments, CardCommand, Command, ConfigCommand, KeyCommand, Send, TaskCommand,
};
use super::audit::AuditCommand;
use super::cap::CapCommand;
use super::client::{BrokerClient, of_task};
use super::key::NewKey;
use super::{audit, backup, cap, grant, judged, print, push, quota, select, serve};
use crate::config::{self, Config, DEFAULT_TOML, Overrides};
use crate::northbound::openapi_document;
use crate::ports::agent_auth::AgentAuth;
use crate::service::{NewAgent, RetryConfig};

pub(super) async fn execute(arguments: Arguments) -> Result<ExitCode, String> {
    let session = Session { broker: BrokerClient::new(&arguments.connection), json: arguments.json };
    let done = match arguments.command {
        Command::Serve(arguments) => serve::serve(arguments).await,
        Command::Demo { stay } => crate::demo::run(stay).await,
        Command::Agent(AgentCommand::Probe { name, message }) => {
            return Ok(judged(session.probe(&name, message.as_deref()).await));
        }
        Command::Agent(command) => session.agent(command).await,
        Command::Send(arguments) => session.send(arguments).await,
        Command::Select(arguments) => select::select(&session, arguments).await,
        Command::Advise(arguments) => select::advise(&session, arguments).await,
        Command::Task(command) => session.task(command).await,
        Command::Key(KeyCommand::New) => {
            let key = NewKey::make()?;
            session.show(&key, || key.to_string())
        }
        Command::Cap(command) => return Ok(judged(session.cap(&command))),
        Command::Audit(AuditCommand::Export { after, out, data }) => {
            audit::export(&session.broker, after, out.as_deref(), data.as_deref()).await
        }
        Command::Audit(AuditCommand::Verify { file, head, after }) => {
            return Ok(judged(session.verify(&file, head, after)));
        }
        Command::Grant(command) => grant::execute(&session, command).await,
        Command::Card(CardCommand::Rotate { compromised }) => {
            grant::rotate(&session, "/api/v1/card-keys/rotate", compromised).await
        }
        Command::Push(command) => push::execute(&session, command).await,
        Command::Quota => quota::execute(&session).await,
        Command::Backup(wanted) => backup::backup(&session.broker, wanted).await,
        Command::Restore(wanted) => backup::restore(&wanted),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "bailiwick", &mut std::io::stdout());
            Ok(())
        }
        Command::Manual { folder } => clap_mangen::generate_to(Arguments::command(), &folder)
            .map_err(|error| format!("{}: {error}", folder.display())),
        Command::Config(command) => session.config(command),
        Command::Openapi => {
            println!("{:#}", openapi_document());
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

pub(super) struct Session {
    pub(super) broker: BrokerClient,
    json: bool,
}

impl Session {
    /// Prints a result: as JSON if asked, else as text.
    pub(super) fn show(&self, result: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), String> {
        let shown = if self.json {
            serde_json::to_string(result).map_err(|error| error.to_string())?
        } else {
            text()
        };
        println!("{shown}");
        Ok(())
    }

    async fn agent(&self, command: AgentCommand) -> Result<(), String> {
        let path = |name: &str| format!("/api/v1/agents/{}", percent_encode(name));
        match command {
            AgentCommand::Add {
                name,
                url,
                caps,
                auth,
                jwk,
                card_keys,
                max_concurrent,
                retry,
                of_broker: broker,
            } => {
                let auth = auth.as_deref().map(read_auth).transpose()?;
                let jwk = jwk.as_deref().map(read_jwk).transpose()?;
                let read = card_keys.iter().map(|file| read_card_keys(file));
                let card_keys = read.collect::<Result<Vec<_>, _>>()?.concat();
                let retry = retry.as_deref().map(read_retry).transpose()?;
                let new = NewAgent { name, url, caps, auth, jwk, card_keys, max_concurrent, retry, broker };
                let new = serde_json::to_value(new).map_err(|error| error.to_string())?;
                let agent = self.broker.api(Method::POST, "/api/v1/agents", Some(new)).await?;
                self.show(&agent, || print::agent(&agent))
            }
            AgentCommand::List => {
                let found = self.broker.api(Method::GET, "/api/v1/agents", None).await?;
                let agents = found.get("agents").and_then(Value::as_array).cloned().unwrap_or_default();
                self.show(&found, || print::agents(&agents))
            }
            AgentCommand::Show { name } => {
                let agent = self.broker.api(Method::GET, &path(&name), None).await?;
                self.show(&agent, || print::agent(&agent))
            }
            AgentCommand::Accept { name, card } => {
                let body = card.map(|card| json!({ "card": card }));
                let agent = self.broker.api(Method::POST, &format!("{}/accept", path(&name)), body).await?;
                self.show(&agent, || print::agent(&agent))
            }
            AgentCommand::Probe { name, message } => self.probe(&name, message.as_deref()).await.map(drop),
            AgentCommand::Remove { name } => {
                self.broker.api(Method::DELETE, &path(&name), None).await?;
                self.show(&json!({ "removed": name }), || format!("{name} is forgotten"))
            }
        }
    }

    /// Whether the agent answered.
    async fn probe(&self, name: &str, message: Option<&str>) -> Result<bool, String> {
        let body = message.map(|message| json!({ "message": message }));
        let path = format!("/api/v1/agents/{}/probe", percent_encode(name));
        let probed = self.broker.api(Method::POST, &path, body).await?;
        self.show(&probed, || print::probed(&probed))?;
        Ok(probed.get("outcome").and_then(Value::as_str) == Some("answered"))
    }

    async fn send(&self, arguments: Send) -> Result<(), String> {
        let path = at_agent(arguments.agent.as_deref());
        let request = request(&arguments)?;
        if arguments.stream {
            return self.watch(&path, Operation::SendStreamingMessage, &request).await;
        }
        let answer: SendMessageResponse = self.broker.call(&path, Operation::SendMessage, &request).await?;
        self.show(&answer, || match &answer {
            SendMessageResponse::Task(task) => print::task(task),
            SendMessageResponse::Message(message) => print::message(message),
        })
    }

    async fn watch(&self, path: &str, operation: Operation, params: &impl Serialize) -> Result<(), String> {
        let mut events = pin!(self.broker.stream(path, operation, params).await?);
        while let Some(event) = events.next().await {
            let event: StreamResponse = event?;
            self.show(&event, || print::event(&event))?;
        }
        Ok(())
    }

    /// The task that was begun last and not by another task.
    async fn newest_root(&self) -> Result<String, String> {
        let found = self.broker.api(Method::GET, "/api/v1/trees?limit=1", None).await?;
        let newest = found.pointer("/trees/0/root").and_then(Value::as_str);
        newest.map(str::to_owned).ok_or_else(|| {
            "there is no task yet; begin one with `bailiwick send --agent NAME TEXT`".to_owned()
        })
    }

    async fn task(&self, command: TaskCommand) -> Result<(), String> {
        match command {
            TaskCommand::Get { id } => {
                let task: Task = self.broker.call("", Operation::GetTask, &json!({ "id": id })).await?;
                self.show(&task, || print::task(&task))
            }
            TaskCommand::List { agent, state, limit } => {
                let path = at_agent(agent.as_deref());
                let params = json!({ "status": state, "pageSize": limit, "historyLength": 0 });
                let page: ListTasksResponse = self.broker.call(&path, Operation::ListTasks, &params).await?;
                self.show(&page, || print::tasks(&page.tasks))
            }
            TaskCommand::Tree { id } => {
                let id = match id {
                    Some(id) => id,
                    None => self.newest_root().await?,
                };
                let found = self.broker.api(Method::GET, &of_task(&id, "tree"), None).await?;
                let tasks = found.get("tasks").and_then(Value::as_array).cloned().unwrap_or_default();
                self.show(&found, || print::tree(&tasks))
            }
            TaskCommand::Watch { id } => {
                self.watch("", Operation::SubscribeToTask, &json!({ "id": id })).await
            }
            TaskCommand::Approvals => {
                let found = self.broker.api(Method::GET, "/api/v1/approvals", None).await?;
                let waiting = found.get("approvals").and_then(Value::as_array).cloned().unwrap_or_default();
                self.show(&found, || print::approvals(&waiting))
            }
            TaskCommand::Approve { id } => self.decide(&id, "approve", None).await,
            TaskCommand::Deny { id } => self.decide(&id, "deny", None).await,
            TaskCommand::Resolve { id, by } => {
                self.decide(&id, "resolve", Some(json!({ "as": by.name() }))).await
            }
            TaskCommand::Cancel { id } => {
                let task: Task = self.broker.call("", Operation::CancelTask, &json!({ "id": id })).await?;
                self.show(&task, || print::task(&task))
            }
        }
    }

    async fn decide(&self, id: &str, what: &str, body: Option<Value>) -> Result<(), String> {
        let decided = self.broker.api(Method::POST, &of_task(id, what), body).await?;
        self.show(&decided, || format!("{id}: {what} was taken"))
    }

    fn cap(&self, command: &CapCommand) -> Result<bool, String> {
        let answer = cap::answer(command)?;
        self.show(&answer.json, || answer.text)?;
        Ok(answer.is_yes)
    }

    fn verify(&self, file: &Path, head: Option<Head>, after: Option<Head>) -> Result<bool, String> {
        let verified = audit::verify(file, head, after)?;
        self.show(&verified.json, || verified.text)?;
        Ok(verified.is_good)
    }

    fn config(&self, command: ConfigCommand) -> Result<(), String> {
        let load = |path: Option<std::path::PathBuf>| {
            Config::load(path.as_deref(), std::env::vars(), Overrides::default())
                .map_err(|error| error.to_string())
        };
        match command {
            ConfigCommand::Check { config } => {
                let config = load(config)?;
                let open = config.is_open();
                self.show(&json!({ "ok": true, "open": open }), || {
                    format!("the configuration is good; listens on {}, open: {open}", config.server.listen)
                })
            }
            ConfigCommand::Print { defaults: true, .. } => {
                println!("{}", DEFAULT_TOML.trim_end());
                Ok(())
            }
            ConfigCommand::Print { config, .. } => {
                let config = load(config)?;
                self.show(&json!({ "toml": config.to_toml() }), || config.to_toml().trim_end().to_owned())
            }
        }
    }
}

/// `auth` as the configuration has it. What was written is not repeated in an error: it may hold a secret.
fn read_auth(text: &str) -> Result<AgentAuth, String> {
    #[derive(serde::Deserialize)]
    struct Written {
        auth: AgentAuth,
    }
    let written: Written = toml::from_str(&format!("auth = {text}")).map_err(|error| {
        format!("--auth: {}; see `bailiwick agent add --help`", config::without_value(error.message()))
    })?;
    written.auth.check().map_err(|problem| format!("--auth: {problem}"))?;
    Ok(written.auth)
}

/// `retry` as the configuration has it.
fn read_retry(text: &str) -> Result<RetryConfig, String> {
    #[derive(serde::Deserialize)]
    struct Written {
        retry: RetryConfig,
    }
    let written: Written = toml::from_str(&format!("retry = {text}"))
        .map_err(|error| format!("--retry: {}; see `bailiwick agent add --help`", error.message()))?;
    Ok(written.retry)
}

fn read_jwk(file: &std::path::Path) -> Result<Value, String> {
    read_json(file).map_err(|problem| format!("--jwk {}: {problem}; expected a public JWK", file.display()))
}

/// One key, or all of a set.
fn read_card_keys(file: &Path) -> Result<Vec<Value>, String> {
    let read = read_json(file);
    let key = read.map_err(|problem| {
        format!("--card-key {}: {problem}; expected a public JWK, or a JWKS", file.display())
    })?;
    Ok(match key.get("keys").and_then(Value::as_array) {
        Some(keys) => keys.clone(),
        None => vec![key],
    })
}

fn read_json(file: &Path) -> Result<Value, String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

/// A text from the command line; `-` stands for standard input.
pub(super) fn read_text(mut text: String) -> Result<String, String> {
    if text == "-" {
        text.clear();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| format!("standard input cannot be read: {error}"))?;
    }
    Ok(text)
}

fn request(arguments: &Send) -> Result<SendMessageRequest, String> {
    let text = read_text(arguments.text.clone())?;
    let mut message = Message::user_text(uuid::Uuid::now_v7().to_string(), text.trim_end());
    message.task_id.clone_from(&arguments.task);
    if let Some(skill) = &arguments.skill {
        message
            .metadata
            .set(extension::URI, &json!({ "skill": skill }))
            .map_err(|error| error.to_string())?;
    }
    let mut request = SendMessageRequest::new(message);
    if arguments.no_wait {
        let configuration =
            protocol::SendMessageConfiguration { return_immediately: true, ..Default::default() };
        request.configuration = Some(Box::new(configuration));
    }
    Ok(request)
}

/// The path of an agent, or of the broker itself.
fn at_agent(name: Option<&str>) -> String {
    name.map(|name| format!("/agents/{}", percent_encode(name))).unwrap_or_default()
}
