//! A host of the Model Context Protocol: its official client, unmodified, in a process of its own (`agents/mcp_host.py`).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::broker::Broker;
use crate::python::{agents_folder, interpreter_mcp};

/// Longest wait for what the client sees next.
const PATIENCE: Duration = Duration::from_mins(1);

/// A host at work.
pub struct McpHost {
    child: Child,
    seen: UnboundedReceiver<Value>,
}

impl McpHost {
    /// Lists the tools of a broker, or calls one: what for is said by the script's arguments.
    pub fn start(broker: &Broker, arguments: &[&str]) -> Self {
        let mut command = Command::new(interpreter_mcp());
        command.arg(agents_folder().join("mcp_host.py")).arg(format!("{}/mcp", broker.url())).args(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let stdout = child.stdout.take().expect("standard output is piped");
        let (sender, seen) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("a JSON line"));
            }
        });
        Self { child, seen }
    }

    /// What it sees next; nothing, if it has ended.
    pub async fn sees(&mut self) -> Option<Value> {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("the client sees something, or ends")
    }

    /// All that it sees to its end.
    pub async fn sees_to_the_end(mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(seen) = self.sees().await {
            all.push(seen);
        }
        all
    }

    /// Cancels its call, if it was started with `--give-up`.
    pub fn give_up(&mut self) {
        self.child.stdin.as_mut().expect("standard input is piped").write_all(b"\n").expect("it listens");
    }

    /// SIGKILL: it hangs up.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for McpHost {
    fn drop(&mut self) {
        self.kill();
    }
}
