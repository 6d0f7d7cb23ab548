//! Real agents as processes.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use private_postgres::lasting_port;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::build::binary;
use crate::node;
use crate::process::Process;
use crate::python::{Framework, agents_folder, examples_folder, interpreter, interpreter_v03};
use crate::tls::Certified;

const CARD_FILE: &str = "card.json";
const LOG_FILE: &str = "log.jsonl";
const MANNERS_FILE: &str = "manners.txt";

/// A running agent and the log of what it saw.
pub struct Agent {
    process: Process,
    birth: Birth,
    log: PathBuf,
    folder: TempDir,
}

/// How it is started, again too.
enum Birth {
    Command(Command),
    /// In the nursery, with these arguments.
    Fork(Vec<String>),
}

impl Birth {
    fn give(&mut self) -> Process {
        match self {
            Self::Command(command) => Process::start_again(command),
            Self::Fork(arguments) => Process::fork(arguments),
        }
    }
}

impl Agent {
    /// An agent on the official Python SDK that does what messages tell it (`agents/scripted.py`).
    pub fn scripted(name: &str) -> Self {
        Self::start(&["--name", name])
    }

    /// The same behind something at another URL, which is the one its card names.
    pub fn scripted_behind(name: &str, url: &str) -> Self {
        Self::scripted_with(name, &["--at", url])
    }

    /// The same with arguments for it.
    pub fn scripted_with(name: &str, arguments: &[&str]) -> Self {
        Self::start(&[&["--name", name], arguments].concat())
    }

    /// The same without streaming, so that it must be polled.
    pub fn polled(name: &str) -> Self {
        Self::start(&["--name", name, "--no-streaming"])
    }

    /// The same without streaming, but with push notifications.
    pub fn pushing(name: &str) -> Self {
        Self::start(&["--name", name, "--push"])
    }

    /// The same, but its pushes go nowhere.
    pub fn pushing_nowhere(name: &str) -> Self {
        Self::start(&["--name", name, "--push", "--lose-pushes"])
    }

    /// The same over HTTP+JSON.
    pub fn rest(name: &str) -> Self {
        Self::start(&["--name", name, "--rest"])
    }

    /// The same over gRPC.
    pub fn grpc(name: &str) -> Self {
        Self::start(&["--name", name, "--grpc"])
    }

    /// The same over gRPC without streaming.
    pub fn grpc_polled(name: &str) -> Self {
        Self::start(&["--name", name, "--grpc", "--no-streaming"])
    }

    /// The same over gRPC with TLS.
    pub fn grpc_tls(name: &str, certified: &Certified) -> Self {
        let file = |path: &Path| path.to_str().expect("a path").to_owned();
        let (cert, key) = (file(&certified.cert_file), file(&certified.key_file));
        Self::start(&["--name", name, "--grpc", "--tls", &cert, &key])
    }

    /// The same on the official SDK of A2A 0.3 (`agents/scripted_v03.py`), with arguments for it: `--rest`,
    /// `--no-streaming`.
    pub fn scripted_v03(name: &str, arguments: &[&str]) -> Self {
        let arguments = [&["--name", name], arguments].concat();
        Self::start_lasting(script(interpreter_v03(), "scripted_v03.py"), &arguments)
    }

    /// The same on the official JavaScript SDK (`agents/js/scripted.mjs`): all three bindings, streaming and push. Its
    /// URL has a card of them all; `/jsonrpc`, `/rest` and `/grpc` below it one for each. See
    /// [`crate::missing_node`].
    pub fn scripted_js(name: &str, arguments: &[&str]) -> Self {
        let arguments = [&["--name", name], arguments].concat();
        Self::start_lasting(node::script("scripted.mjs"), &arguments)
    }

    /// The same on the official Rust SDK (`agents/rust`), with the same URLs.
    pub fn scripted_rust(name: &str) -> Self {
        Self::start_lasting(Command::new(binary("sdk-agent")), &["--name", name])
    }

    /// The same on the official Python SDK, with the same URLs.
    pub fn each(name: &str) -> Self {
        Self::start(&["--name", name, "--each"])
    }

    /// The same with all it can: the JSON bindings under one URL, gRPC, and push notifications.
    pub fn for_the_suite(name: &str) -> Self {
        Self::start(&["--name", name, "--all", "--quiet"])
    }

    /// An agent that misbehaves in a way (`agents/misbehaving.py`).
    pub fn misbehaving(mode: &str) -> Self {
        Self::start_with(interpreter(), "misbehaving.py", &["--mode", mode])
    }

    /// An agent that signs its cards with the SDK and has an extended one (`agents/signed.py`).
    pub fn signed() -> Self {
        Self::start_with(interpreter(), "signed.py", &[])
    }

    /// One of the Python examples.
    pub fn python_example(file: &str) -> Self {
        let mut command = Command::new(interpreter());
        command.arg(examples_folder().join(file));
        Self::launch(command)
    }

    /// One of the Python examples that need a framework, with arguments for it.
    pub fn framework_example(framework: Framework, file: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(framework.interpreter());
        // What ADK says about itself at every start is noise here; errors are not.
        command.args(["-W", "ignore"]).arg(examples_folder().join(file)).args(arguments);
        Self::launch(command)
    }

    /// One of the JavaScript examples; see [`crate::missing_node`].
    pub fn javascript_example(file: &str) -> Self {
        Self::launch(node::javascript_example(file))
    }

    /// One of the Rust examples.
    pub fn rust_example(name: &str) -> Self {
        Self::launch(Command::new(binary(name)))
    }

    /// A tool among the Python examples.
    pub fn python_tool(file: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(interpreter());
        command.arg(examples_folder().join(file)).args(arguments);
        Self::launch(command)
    }

    /// A tool among the Rust examples.
    pub fn rust_tool(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(binary(name));
        command.args(arguments);
        Self::launch(command)
    }

    fn launch(command: Command) -> Self {
        Self::born(TempDir::new().expect("a temporary folder"), Birth::Command(command))
    }

    fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let log = folder.path().join(LOG_FILE);
        let port = lasting_port().expect("a port").to_string();
        let own = ["--port", &port, "--log", log.to_str().expect("a path")];
        let arguments = own.iter().chain(arguments).map(|&argument| argument.to_owned()).collect();
        Self::born(folder, Birth::Fork(arguments))
    }

    fn born(folder: TempDir, mut birth: Birth) -> Self {
        let process = birth.give();
        Self { process, birth, log: folder.path().join(LOG_FILE), folder }
    }

    /// One that can be started again where it was.
    fn start_lasting(mut command: Command, arguments: &[&str]) -> Self {
        command.args(["--port", &lasting_port().expect("a port").to_string()]);
        Self::start_command(command, arguments)
    }

    fn start_with(interpreter: PathBuf, file: &str, arguments: &[&str]) -> Self {
        Self::start_command(script(interpreter, file), arguments)
    }

    fn start_command(mut command: Command, arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        command.args(arguments).arg("--log").arg(folder.path().join(LOG_FILE));
        Self::born(folder, Birth::Command(command))
    }

    /// An agent whose card and manners a test changes while it runs (`agents/changing.py`). In the card, `{url}`
    /// stands for where it listens; `cache` is its `Cache-Control`.
    pub fn changing(card: &Value, cache: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join(CARD_FILE), card.to_string()).expect("the card is written");
        std::fs::write(folder.path().join(MANNERS_FILE), "work").expect("the manners are written");
        let mut command = Command::new(interpreter());
        command.arg(agents_folder().join("changing.py")).args(["--cache", cache]);
        command.arg("--folder").arg(folder.path()).arg("--log").arg(folder.path().join(LOG_FILE));
        Self::born(folder, Birth::Command(command))
    }

    /// Changes the card of an agent that can change; its readers see the old one or the new one.
    pub fn change_card(&self, card: &Value) {
        self.replace(CARD_FILE, &card.to_string());
    }

    /// Changes how an agent that can change answers messages.
    pub fn change_manners(&self, manners: &str) {
        self.replace(MANNERS_FILE, manners);
    }

    fn replace(&self, file: &str, text: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).expect("the file is written");
        std::fs::rename(new, self.folder.path().join(file)).expect("the file is replaced");
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.process.url
    }

    /// What it saw, in order.
    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        // A long line is not written at once: what has no end yet was not seen yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// What it saw of one kind.
    pub fn logged(&self, what: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["what"] == what).collect()
    }

    /// Where its log is.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGKILL, noted in its log behind what it wrote last: from here on it remembers nothing.
    pub fn kill_and_note(&mut self) {
        self.kill();
        self.note("killed");
    }

    fn note(&self, what: &str) {
        let mut log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        // What it was writing when it died may be half a line.
        let ends = std::fs::read(&self.log).is_ok_and(|text| text.is_empty() || text.ends_with(b"\n"));
        let torn = if ends { "" } else { "\n" };
        writeln!(log, "{torn}{}", json!({ "what": what, "at": at })).expect("the log is written");
    }

    /// The same agent again where it was, with its log (which says so) and without its memory.
    pub fn start_again(&mut self) {
        self.process = self.birth.give();
        self.note("back");
    }
}

/// A script of the folder of agents.
fn script(interpreter: PathBuf, file: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(agents_folder().join(file));
    command
}
