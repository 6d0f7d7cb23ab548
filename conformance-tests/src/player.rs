//! Clients on the official SDKs, unmodified, that play rounds (`agents/rounds.py` and its kin): one uniform way to start
//! them, and one shape of what they saw.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::build::binary;
use crate::node;
use crate::python::{agents_folder, interpreter, interpreter_v03};

/// An SDK client that plays rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Player {
    /// Python, on the SDK of A2A 1.0.
    V1,
    /// Python, on the SDK of A2A 0.3.
    V03,
    /// JavaScript; see [`crate::missing_node`].
    JavaScript,
    /// Rust.
    Rust,
}

/// What a client saw in a round.
#[derive(Debug, Clone)]
pub struct Round {
    /// Where the agent is.
    pub url: String,
    /// The round's name.
    pub round: String,
    /// What it saw, or why the round did not come to its end.
    pub seen: Result<Seen, String>,
}

/// What a client saw in a round that came to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The task's states, in order, as 0.3 names them.
    pub states: Vec<String>,
    /// The results' text.
    pub text: String,
    /// The ids of the tasks.
    pub tasks: Vec<String>,
    /// The artifacts' updates, in order: text, `append`, `lastChunk`.
    pub pieces: Vec<(String, bool, bool)>,
}

impl Player {
    /// Plays rounds against agents over a binding (as cards name it), with arguments for the scripts.
    pub fn play(self, urls: &[String], binding: &str, arguments: &[(&str, String)]) -> Vec<Round> {
        let mut command = self.command();
        command.args(urls).args(["--binding", binding]);
        for (name, value) in arguments {
            command.arg(format!("--{name}")).arg(value);
        }
        let output = command.stderr(Stdio::inherit()).output().expect("the client starts");
        let text = String::from_utf8(output.stdout).expect("the client prints text");
        assert!(output.status.success(), "{self:?} over {binding} at {urls:?} failed; it had printed {text}");
        text.lines().map(|line| Round::read(&serde_json::from_str(line).expect("a JSON line"))).collect()
    }

    fn command(self) -> Command {
        let python = |interpreter, file: &str| {
            let mut command = Command::new(interpreter);
            command.arg(agents_folder().join(file));
            command
        };
        match self {
            Self::V1 => python(interpreter(), "rounds.py"),
            Self::V03 => python(interpreter_v03(), "rounds_v03.py"),
            Self::JavaScript => node::script("rounds.mjs"),
            Self::Rust => Command::new(binary("sdk-rounds")),
        }
    }

    /// What its SDK makes of a card (`agents/card.py`; Python's only).
    pub fn read_card(self, url: &str) -> Value {
        let interpreter = if self == Self::V03 { interpreter_v03() } else { interpreter() };
        let mut command = Command::new(interpreter);
        command.arg(agents_folder().join("card.py")).arg(url);
        let output = command.stderr(Stdio::inherit()).output().expect("the reader starts");
        assert!(output.status.success(), "{self:?} cannot read the card at {url}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

impl Round {
    fn read(line: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let texts = |value: &Value| value.as_array().expect("a list").iter().map(text).collect();
        let seen = match line["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(Seen {
                states: texts(&line["states"]),
                text: text(&line["text"]),
                tasks: texts(&line["tasks"]),
                pieces: serde_json::from_value(line["pieces"].clone()).expect("[text, append, lastChunk]"),
            }),
        };
        Self { url: text(&line["url"]), round: text(&line["round"]), seen }
    }
}
