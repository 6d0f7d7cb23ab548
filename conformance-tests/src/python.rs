//! Python environments of the tests' own, under the target folder, with pinned versions: one for each version of A2A, one
//! for the client of MCP, one for what judges the operator API, and one for each framework of the examples.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::build::target_folder;

/// Tries of what asks a network: one that fails now may not a moment later.
const TRIES: u32 = 3;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(5);

/// The folder of the programmable agents.
pub fn agents_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("agents")
}

/// The folder of the Python examples.
pub fn examples_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/python")
}

/// Where the examples that need a framework find it.
#[derive(Debug, Clone, Copy)]
pub enum Framework {
    /// Google's Agent Development Kit.
    Adk,
    /// LangGraph.
    LangGraph,
}

impl Framework {
    pub(crate) fn interpreter(self) -> PathBuf {
        static ADK: OnceLock<PathBuf> = OnceLock::new();
        static LANG_GRAPH: OnceLock<PathBuf> = OnceLock::new();
        let (cell, folder, requirements) = match self {
            Self::Adk => (&ADK, "python-adk", "requirements-adk.txt"),
            Self::LangGraph => (&LANG_GRAPH, "python-langgraph", "requirements-langgraph.txt"),
        };
        cell.get_or_init(|| install(folder, &examples_folder().join(requirements))).clone()
    }
}

/// The interpreter of an environment in which the requirements are installed; made at first use.
pub fn interpreter() -> PathBuf {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER.get_or_init(|| install("python", &agents_folder().join("requirements.txt"))).clone()
}

/// The same with the SDK of A2A 0.3, which cannot be installed beside that of 1.0.
pub(crate) fn interpreter_v03() -> PathBuf {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER.get_or_init(|| install("python-v03", &agents_folder().join("requirements-v03.txt"))).clone()
}

/// The same with the official client of the Model Context Protocol.
pub fn interpreter_mcp() -> PathBuf {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER.get_or_init(|| install("python-mcp", &agents_folder().join("requirements-mcp.txt"))).clone()
}

/// The same with what judges an API by its OpenAPI document.
pub fn interpreter_openapi() -> PathBuf {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER
        .get_or_init(|| install("python-openapi", &agents_folder().join("requirements-openapi.txt")))
        .clone()
}

fn install(folder: &str, file: &Path) -> PathBuf {
    let requirements = std::fs::read_to_string(file).expect("requirements");
    let folder = target_folder().join(folder);
    let (interpreter, marker) = (folder.join("bin/python"), folder.join("installed.txt"));
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == requirements) {
        return interpreter;
    }
    eprintln!("making a Python environment in {} (once)", folder.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
    let mut pip = Command::new(&interpreter);
    run_over_network(pip.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(file));
    std::fs::write(&marker, requirements).expect("the marker is written");
    interpreter
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; install python3 with venv, and node with npm where JavaScript is run")
    });
    assert!(status.success(), "{command:?} failed with {status}");
}

/// The same for what asks a network.
pub(crate) fn run_over_network(command: &mut Command) {
    for _ in 1..TRIES {
        match command.status() {
            Ok(status) if status.success() => return,
            Ok(status) => eprintln!("{command:?} failed with {status}; once more"),
            Err(_) => break,
        }
        std::thread::sleep(PAUSE);
    }
    run(command);
}

/// An unmodified SDK client in a process of its own.
pub struct Probe(std::process::Child);

impl Probe {
    /// Sends a text in a mode: `stream`, `poll` or `blocking`.
    pub fn start(url: &str, text: &str, mode: &str) -> Self {
        let mut command = Command::new(interpreter());
        command.arg(agents_folder().join("probe.py")).args([url, text, "--mode", mode]);
        Self(command.stdout(Stdio::piped()).spawn().expect("the client starts"))
    }

    /// Waits for its end; what it saw, in order.
    pub fn events(self) -> Vec<Value> {
        let output = self.0.wait_with_output().expect("the client ends");
        let text = String::from_utf8(output.stdout).expect("the client prints text");
        assert!(output.status.success(), "the client failed; it had printed {text}");
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

/// What the SDK makes of the card at a base URL, its signature verified (`agents/verify_card.py`).
pub fn verified_card(url: &str, arguments: &[&str]) -> Value {
    let mut command = Command::new(interpreter());
    command.arg(agents_folder().join("verify_card.py")).arg(url).args(arguments);
    let output = command.stderr(Stdio::inherit()).output().expect("the verifier starts");
    assert!(output.status.success(), "the verifier failed at {url}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The interpreter of an environment with what the documentation is built and judged with.
pub(crate) fn interpreter_documents() -> PathBuf {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    let requirements = agents_folder().join("requirements-documents.txt");
    INTERPRETER.get_or_init(|| install("python-documents", &requirements)).clone()
}
