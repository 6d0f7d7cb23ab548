//! What the agent and the client on the Rust SDK share: the scripts that messages carry, as `script.py` beside this
//! package reads them.

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

/// Under this name the broker tells an agent what it may delegate.
pub const DELEGATION: &str = "urn:bailiwick:ext:delegation:v1";

/// What a message tells the agent to do; see `scripted.py`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Script {
    /// Work this long first.
    pub delay_ms: u64,
    /// Then ask for this URL, and go on when it answers.
    pub gate: Option<String>,
    /// Make an artifact in these pieces.
    pub chunks: Vec<String>,
    /// With this much time before each.
    pub pace_ms: u64,
    /// Make an artifact of all parts of the message but its first.
    pub echo: bool,
    /// Ask, and finish with the answer.
    pub ask: Option<String>,
    /// Answer with one direct message and no task.
    pub message: Option<String>,
    /// `completed`, `failed` or `rejected`.
    pub end: Option<String>,
}

impl Script {
    /// The script, or one that echoes the text.
    pub fn read(text: &str) -> Self {
        let script = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
        let script = script.unwrap_or_else(|| json!({ "chunks": [text] }));
        serde_json::from_value(script)
            .unwrap_or_else(|_| Self { chunks: vec![text.to_owned()], ..Self::default() })
    }
}

/// What the agent saw, as JSON lines.
pub struct WireLog(Option<Mutex<File>>);

impl WireLog {
    /// Appends to a file, if there is one.
    pub fn open(path: Option<&str>) -> std::io::Result<Self> {
        let open = |path| File::options().create(true).append(true).open(path).map(Mutex::new);
        path.map(open).transpose().map(Self)
    }

    /// Notes that something happened, with facts about it (an object).
    pub fn write(&self, what: &str, mut facts: Value) {
        let Some(mut file) = self.0.as_ref().and_then(|file| file.lock().ok()) else { return };
        if let Some(facts) = facts.as_object_mut() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            facts.insert("what".to_owned(), json!(what));
            facts.insert("at".to_owned(), json!(now.as_secs_f64()));
        }
        let _ = writeln!(file, "{facts}");
    }
}
