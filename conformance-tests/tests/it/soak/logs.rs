//! The logs that the checker reads, arranged: what callers wrote, tree by tree, and what agents wrote, message by
//! message. Nothing else is known of what happened; the broker is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::plan::Plan;

/// Everything that was written down: by callers, by agents (under their names), and by who killed the broker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs {
    pub(crate) callers: Vec<Value>,
    pub(crate) agents: BTreeMap<String, Vec<Value>>,
    pub(crate) kills: Vec<Value>,
}

/// The lines of a log. Half a line is what a process was writing when it was killed; only there may one stand.
pub(crate) fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let read = |(index, line): (usize, &&str)| match serde_json::from_str(line) {
        Ok(line) => Some(line),
        Err(_) if lines.get(index + 1).is_some_and(|next| next.contains("\"killed\"")) => None,
        Err(error) => panic!("{}, line {}: {error}: {line}", path.display(), index + 1),
    };
    lines.iter().enumerate().filter_map(read).collect()
}

pub(crate) fn text<'v>(line: &'v Value, name: &str) -> &'v str {
    line[name].as_str().unwrap_or_default()
}

pub(crate) fn at(line: &Value) -> f64 {
    line["at"].as_f64().unwrap_or_default()
}

/// One stream as a caller read it.
#[derive(Debug, Default)]
pub(crate) struct Heard<'l> {
    /// The event it was to follow.
    pub(crate) after: Option<u64>,
    pub(crate) events: Vec<&'l Value>,
}

/// What callers saw of one tree.
#[derive(Debug)]
pub(crate) struct Story<'l> {
    pub(crate) plan: Plan,
    pub(crate) begun: f64,
    /// When somebody was first told of its end.
    pub(crate) over: f64,
    pub(crate) tasks: BTreeSet<&'l str>,
    pub(crate) streams: BTreeMap<u64, Heard<'l>>,
    pub(crate) replays: Vec<Vec<&'l Value>>,
    pub(crate) ends: Vec<&'l Value>,
    pub(crate) answers: Vec<&'l Value>,
    pub(crate) refusals: Vec<&'l Value>,
    pub(crate) canceled: bool,
}

/// The stories of all trees.
pub(crate) fn stories(callers: &[Value]) -> BTreeMap<&str, Story<'_>> {
    let mut stories = BTreeMap::new();
    for line in callers {
        let tree = text(line, "tree");
        if text(line, "what") == "sent" {
            let plan = serde_json::from_value(line["plan"].clone()).expect("a plan");
            stories.insert(tree, Story::begin(plan, at(line)));
            continue;
        }
        stories.get_mut(tree).expect("nothing is seen before the message is sent").see(line);
    }
    stories
}

impl<'l> Story<'l> {
    fn begin(plan: Plan, begun: f64) -> Self {
        let (tasks, streams) = (BTreeSet::new(), BTreeMap::new());
        let (replays, ends, answers, refusals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (over, canceled) = (f64::INFINITY, false);
        Self { plan, begun, over, tasks, streams, replays, ends, answers, refusals, canceled }
    }

    fn see(&mut self, line: &'l Value) {
        let stream = line["stream"].as_u64().unwrap_or_default();
        match text(line, "what") {
            "told" => {
                self.tasks.insert(text(line, "task"));
            }
            "opened" => self.streams.entry(stream).or_default().after = line["after"].as_u64(),
            "event" => self.streams.entry(stream).or_default().events.push(line),
            "over" => self.over = self.over.min(at(line)),
            "replay" => self.replays.push(line["events"].as_array().into_iter().flatten().collect()),
            "end" => self.ends.push(line),
            "answer" => {
                self.answers.push(line);
                self.over = self.over.min(at(line));
            }
            "refused" => self.refusals.push(line),
            "cancel" => self.canceled = true,
            _ => {}
        }
    }
}

/// A message as an agent heard it, and what became of it there.
#[derive(Debug)]
pub(crate) struct Hearing<'l> {
    pub(crate) agent: &'l str,
    pub(crate) message_id: &'l str,
    pub(crate) task: &'l str,
    pub(crate) root: &'l str,
    /// When it heard it.
    pub(crate) at: f64,
    /// How often the agent had been killed before.
    pub(crate) life: usize,
    /// It delivered all it had.
    pub(crate) ended: bool,
    /// It was told to stop.
    pub(crate) canceled: bool,
    /// What it was told last of what it had delegated: to whom, the state, and why.
    pub(crate) delegated: BTreeMap<&'l str, (&'l str, &'l str)>,
}

/// An agent's life, from its own log.
#[derive(Debug, Default)]
pub(crate) struct Life<'l> {
    pub(crate) hearings: Vec<Hearing<'l>>,
    /// From when to when it was dead.
    pub(crate) dead: Vec<(f64, f64)>,
}

pub(crate) fn life<'l>(agent: &'l str, log: &'l [Value]) -> Life<'l> {
    let mut life = Life::default();
    for line in log {
        let task = line.pointer("/told/task").or(line.get("task")).and_then(Value::as_str).unwrap_or("");
        let lives = life.dead.len();
        match text(line, "what") {
            "killed" => life.dead.push((at(line), f64::INFINITY)),
            "back" => life.dead.last_mut().expect("it was killed before").1 = at(line),
            "received" => life.hearings.push(Hearing {
                agent,
                message_id: text(line, "message_id"),
                task,
                root: line.pointer("/told/root").and_then(Value::as_str).unwrap_or(task),
                at: at(line),
                life: lives,
                ended: false,
                canceled: false,
                delegated: BTreeMap::new(),
            }),
            what => {
                let latest = life.hearings.iter_mut().rev().find(|heard| heard.task == task);
                let Some(hearing) = latest else { continue };
                match what {
                    "ended" => hearing.ended = true,
                    "cancel" => hearing.canceled = true,
                    "child" => {
                        hearing.delegated.insert(text(line, "to"), (text(line, "state"), text(line, "why")));
                    }
                    _ => {}
                }
            }
        }
    }
    life
}
