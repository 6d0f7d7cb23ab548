//! Who can be measured: floors, proxies, the broker, the official SDKs' own servers. Each is started the same way, and
//! who is not there is left out aloud.

mod agentgateway;
mod broker;
mod floor;
mod nginx;
mod sdk;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::load::Connection;
use crate::process::{Process, free_address};
use crate::stage::Stage;

pub use broker::AGENT;
pub use floor::get;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Echo,
    Caster,
    Patient,
    Hop,
    Relay { fsync: bool, sign: bool },
    Nginx,
    AgentGateway,
    Broker { fsync: bool },
    RustSdk,
    NodeSdk,
    PythonSdk,
}

/// What contenders stand before, or do themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting {
    /// Who is passed on to.
    pub agent: Option<SocketAddr>,
    /// Agents answer with a completed task instead of a message.
    pub tasks: bool,
    /// Agents say in their cards that they stream.
    pub streaming: bool,
}

#[derive(Clone)]
pub struct Contender {
    pub kind: Kind,
    pub name: String,
    /// Where its JSON-RPC is.
    pub path: String,
    pub process: Rc<Process>,
    /// Calls it has answered so far.
    pub answered: Cell<u64>,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "minimal echo",
            Self::Caster => "bare hyper fan-out",
            Self::Patient => "patient agent",
            Self::Hop => "bare hyper hop",
            Self::Relay { fsync: false, sign: false } => "minimal relay, no fsync",
            Self::Relay { fsync: false, sign: true } => "minimal relay that signs, no fsync",
            Self::Relay { fsync: true, sign: false } => "minimal durable relay",
            Self::Relay { fsync: true, sign: true } => "minimal durable relay that signs",
            Self::Nginx => "nginx",
            Self::AgentGateway => "agentgateway",
            Self::Broker { fsync: false } => "broker, no fsync",
            Self::Broker { fsync: true } => "broker, durable",
            Self::RustSdk => "a2a-server-lf",
            Self::NodeSdk => "@a2a-js/sdk",
            Self::PythonSdk => "a2a-sdk",
        }
    }

    /// Starts it; none if it is not there, which has been said.
    pub fn start(self, stage: &Stage, core: Option<usize>, setting: Setting) -> Result<Option<Contender>> {
        let (listen, room) = (free_address()?, stage.room(self.slug())?);
        let agent = || setting.agent.context("an agent to stand before");
        let command = match self {
            Self::Echo => Some(floor::echo(listen, setting)?),
            Self::Caster => Some(floor::alone("caster", listen)?),
            Self::Patient => Some(floor::alone("patient", listen)?),
            Self::Hop => Some(floor::hop(listen, agent()?)?),
            Self::Relay { fsync, sign } => Some(floor::relay(listen, agent()?, &room, fsync, sign)?),
            Self::Nginx => nginx::command(stage, listen, agent()?, &room)?,
            Self::AgentGateway => agentgateway::command(stage, listen, agent()?, &room)?,
            Self::Broker { fsync } => {
                Some(broker::command(stage, listen, &broker::before(agent()?, fsync), &room)?)
            }
            Self::RustSdk => sdk::rust(stage, listen, setting)?,
            Self::NodeSdk => sdk::node(stage, listen, setting)?,
            Self::PythonSdk => sdk::python(stage, listen, setting)?,
        };
        let Some(command) = command else { return Ok(None) };
        let process = Process::start(command, listen, core, room.join("log")).with_context(|| self.name())?;
        if let Self::Broker { .. } = self {
            broker::wait_until(&process, &format!("/agents/{AGENT}/.well-known/agent-card.json"))?;
        }
        Ok(Some(Contender::new(self, self.name(), process)))
    }

    fn slug(self) -> &'static str {
        self.name().split([' ', ',', '/']).next().unwrap_or("server").trim_start_matches('@')
    }
}

impl Contender {
    pub fn new(kind: Kind, name: &str, process: Process) -> Self {
        let path =
            if matches!(kind, Kind::Broker { .. }) { format!("/agents/{AGENT}") } else { "/".to_owned() };
        Self { kind, name: name.to_owned(), path, process: Rc::new(process), answered: Cell::new(0) }
    }

    /// A broker with a configuration of its own.
    pub fn broker(stage: &Stage, config: &str, room: &Path) -> Result<Self> {
        let listen = free_address()?;
        let command = broker::command(stage, listen, config, room)?;
        let process = Process::start(command, listen, stage.server_core(), room.join("log"))?;
        let kind = Kind::Broker { fsync: true };
        Ok(Self::new(kind, kind.name(), process))
    }

    /// Waits until it serves.
    pub fn wait_until_ready(&self) -> Result<()> {
        broker::wait_until(&self.process, "/readyz")
    }

    /// Waits until a broker has the card of an agent.
    pub fn wait_for_agent(&self, name: &str) -> Result<()> {
        broker::wait_until(&self.process, &format!("/agents/{name}/.well-known/agent-card.json"))
    }

    /// Ends it as an operator would.
    pub fn stop(self) -> Result<()> {
        let process = Rc::try_unwrap(self.process).ok().context("nobody else holds what is to end")?;
        process.stop()
    }

    /// The same server under another name, whose calls are counted apart.
    pub fn as_row(&self, name: &str) -> Self {
        Self {
            kind: self.kind,
            name: name.to_owned(),
            path: self.path.clone(),
            process: Rc::clone(&self.process),
            answered: Cell::new(0),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Calls a method of JSON-RPC; its result.
    pub async fn call(&self, method: &str, params: &Value) -> Result<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\na2a-version: 1.0\r\ncontent-length: {}\r\n\r\n{body}",
            self.path,
            self.address(),
            body.len()
        );
        let mut answer = Vec::new();
        let status = Connection::open(self.address()).await?.call(request.as_bytes(), &mut answer).await?;
        let mut answer: Value = serde_json::from_slice(&answer)
            .with_context(|| format!("{method} at {} was answered with HTTP {status}", self.name))?;
        ensure!(answer.get("result").is_some(), "{method} at {} was answered with {answer}", self.name);
        Ok(answer["result"].take())
    }

    /// Whether its calls come to an agent.
    fn reaches(&self, agent: &Self) -> bool {
        let answers_itself =
            matches!(self.kind, Kind::Echo | Kind::RustSdk | Kind::NodeSdk | Kind::PythonSdk);
        !answers_itself || self.address() == agent.address()
    }

    /// How many messages an echo has answered, or how many tasks a broker has.
    pub async fn counted(&self) -> Result<Option<u64>> {
        match self.kind {
            Kind::Echo => floor::served(self.address()).await.map(Some),
            Kind::Broker { .. } => {
                let listed = self.call("ListTasks", &json!({ "pageSize": 1 })).await?;
                Ok(Some(listed["totalSize"].as_u64().context("ListTasks without totalSize")?))
            }
            _ => Ok(None),
        }
    }
}

/// Counts tasks back: nothing that was answered is missing anywhere, and nothing was sent twice.
pub async fn count_back(contenders: &[&Contender], agent: &Contender) -> Result<()> {
    for contender in contenders.iter().filter(|contender| matches!(contender.kind, Kind::Broker { .. })) {
        let answered: u64 = same_server(contenders, contender).map(|row| row.answered.get()).sum();
        let counted = contender.counted().await?;
        ensure!(
            counted == Some(answered),
            "{} answered {answered} calls and has {counted:?} tasks",
            contender.name
        );
    }
    if let Some(served) = agent.counted().await? {
        let through = contenders.iter().filter(|contender| contender.reaches(agent));
        let answered: u64 = through.map(|contender| contender.answered.get()).sum();
        ensure!(served == answered, "the agent served {served} calls, and {answered} were answered");
    }
    Ok(())
}

fn same_server<'a>(
    contenders: &'a [&'a Contender],
    server: &'a Contender,
) -> impl Iterator<Item = &'a Contender> {
    contenders.iter().copied().filter(|row| row.address() == server.address())
}

/// The command that is this program as a floor.
pub fn this_program() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("floor");
    Ok(command)
}
