//! What a client has to have seen, feature by feature; and what agents and webhooks have to have seen of it.

use std::time::Duration;

use conformance_tests::{Posted, Seen};
use serde_json::Value;

use super::stage::{Played, Stage};
use super::subjects::{Cell, Feature, Sdk};

/// How long a push may take beyond the end of its client.
const PUSH_LIMIT: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What was seen, to be judged.
pub(super) struct Verdicts<'a> {
    stage: &'a Stage,
    played: &'a Played,
    /// The broker's tasks whose cancellation agents heard of.
    canceled: Vec<Value>,
}

impl<'a> Verdicts<'a> {
    pub(super) fn new(stage: &'a Stage, played: &'a Played) -> Self {
        let logs = stage.agents.values().flat_map(|agent| agent.logged("cancel"));
        let canceled = logs.map(|line| line["task"].clone()).collect();
        Self { stage, played, canceled }
    }

    /// Whether a feature worked, by what the client saw; for a cancel, also the agent.
    pub(super) fn of(&self, cell: Cell) -> Result<(), String> {
        let seen = self.seen(cell)?;
        let heard = cell.feature != Feature::Cancel
            || seen.tasks.iter().any(|task| self.canceled.contains(&task[..].into()));
        match (is_fine(cell.feature, seen), heard) {
            (true, true) => Ok(()),
            (true, false) => Err("the agent was not told of it".to_owned()),
            (false, _) => Err(format!("{seen:?}")),
        }
    }

    /// Whether both webhooks were told of the task's end, sooner or later.
    pub(super) async fn pushed(&self, cell: Cell) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + PUSH_LIMIT;
        loop {
            let pushed = self.has_been_pushed(cell);
            if pushed.is_ok() || tokio::time::Instant::now() > deadline {
                return pushed;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The same, now.
    pub(super) fn has_been_pushed(&self, cell: Cell) -> Result<(), String> {
        let task = self.seen(cell)?.tasks.first().ok_or("it saw no task")?;
        let posted = self.stage.receiver.posted();
        for hook in ["sent", "added"] {
            let path = format!("POST {}/{hook} ", Stage::webhook(cell.client));
            let of_task: Vec<&Posted> = posted
                .iter()
                .filter(|posted| {
                    posted.head.starts_with(&path) && posted.json.to_string().contains(&task[..])
                })
                .collect();
            if !of_task.iter().any(|posted| tells_the_end(posted, task, cell.client.sdk)) {
                let bodies: Vec<&Value> = of_task.iter().map(|posted| &posted.json).collect();
                return Err(format!("the webhook {hook} was not told of the end, but {bodies:?}"));
            }
        }
        Ok(())
    }

    fn seen(&self, cell: Cell) -> Result<&'a Seen, String> {
        let rounds = &self.played[&(cell.client, cell.agent)];
        let round = rounds.get(cell.feature.round()).ok_or("it was not played")?;
        round.seen.as_ref().map_err(Clone::clone)
    }
}

/// What every client sees of every agent.
fn is_fine(feature: Feature, seen: &Seen) -> bool {
    let Seen { states, text, tasks, pieces } = seen;
    let (first, last) = (states.first().map(String::as_str), states.last().map(String::as_str));
    let is_done = last == Some("completed") && text == "ab";
    let begins_open = matches!(first, Some("submitted" | "working"));
    let in_pieces = *pieces == [("a".to_owned(), false, false), ("b".to_owned(), true, true)];
    let is_right = match feature {
        Feature::Send => states.len() == 1 && is_done,
        Feature::Stream | Feature::Subscribe => begins_open && is_done && in_pieces && is_in_order(states),
        Feature::Poll | Feature::Push => begins_open && is_done && is_in_order(states),
        Feature::Cancel => begins_open && last == Some("canceled"),
        Feature::Ask => *states == ["input-required", "completed"] && text == "colour? answer: blue",
    };
    is_right && tasks.len() == 1
}

/// Submitted, then working, then completed, each as often as it likes.
fn is_in_order(states: &[String]) -> bool {
    states.is_sorted_by_key(|state| {
        ["submitted", "working", "completed"].iter().position(|known| known == state)
    })
}

/// Whether a push says, in the words of the client's version, that the task has been completed.
fn tells_the_end(posted: &Posted, task: &str, sdk: Sdk) -> bool {
    let at = |pointer: &str| posted.json.pointer(pointer).and_then(Value::as_str);
    if sdk == Sdk::PythonV03 {
        return at("/id") == Some(task)
            && at("/kind") == Some("task")
            && at("/status/state") == Some("completed");
    }
    at("/statusUpdate/taskId") == Some(task)
        && at("/statusUpdate/status/state") == Some("TASK_STATE_COMPLETED")
}
