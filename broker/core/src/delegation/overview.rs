//! A whole tree at a glance, and what of it has changed since somebody looked: for lists of trees, and for whoever draws
//! one while it grows.

use std::collections::BTreeMap;

use protocol::{Part, TaskState, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::Tree;
use super::view::TaskSummary;
use crate::TaskId;
use crate::text::shortened;

/// Most characters of what was asked that are shown.
const MAX_ASKED_CHARS: usize = 160;

/// A tree at a glance.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Overview {
    /// Its root.
    pub root: TaskId,
    /// The principal that owns it.
    pub owner: String,
    /// The agent its root is with.
    pub agent: String,
    /// The skill asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// How what was asked begins.
    pub asked: String,
    /// The state of its root.
    pub state: TaskState,
    /// When it began.
    pub created: Timestamp,
    /// When its root's status last changed.
    pub updated: Timestamp,
    /// How many tasks are in each state.
    pub tasks: BTreeMap<TaskState, u32>,
    /// How many tasks are open.
    pub open: u32,
    /// How many levels there are below the root.
    pub depth: u32,
    /// How many records it holds.
    pub version: u64,
}

/// What of a tree is new to somebody.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Changes {
    /// Tasks that changed, each parent before its children.
    pub tasks: Vec<TaskSummary>,
    /// How many records the tree holds: what to ask for changes after, next time.
    pub version: u64,
}

impl Tree {
    /// The tree at a glance; `None` before it has begun.
    pub fn overview(&self) -> Option<Overview> {
        let root = self.nodes.get(self.root)?;
        let (submission, terms) = (&root.submission, root.terms());
        let mut tasks = BTreeMap::new();
        let mut depth = 0;
        for node in self.nodes.values() {
            *tasks.entry(node.state).or_default() += 1;
            depth = depth.max(node.submission.depth);
        }
        let asked = submission.message.parts.iter().find_map(Part::as_text).unwrap_or_default();
        Some(Overview {
            root: self.root,
            owner: submission.owner.clone(),
            agent: terms.agent.clone(),
            skill: terms.skill.clone(),
            asked: shortened(&asked, MAX_ASKED_CHARS),
            state: root.state,
            created: root.created(),
            updated: root.updated,
            tasks,
            open: self.open,
            depth,
            version: self.version,
        })
    }

    /// Tasks from `task` down that have changed, or in which something below has, since the tree held `after` records.
    /// Their children are left out: they are the tasks that name them as their parent.
    pub fn changes(&self, task: TaskId, after: u64) -> Changes {
        let mut tasks = Vec::new();
        let mut waiting = vec![task];
        // A journal does not shrink: somebody who knows of more knows of another one.
        let after = if after > self.version { 0 } else { after };
        while let Some(node) = waiting.pop().and_then(|task| self.nodes.get(task)) {
            if node.changed <= after {
                continue;
            }
            waiting.extend(node.children.iter().rev());
            tasks.push(self.summarize_alone(node));
        }
        Changes { tasks, version: self.version }
    }

    /// Notes that a task is not as it was, nor what it is part of.
    pub(super) fn note_change(&mut self, task: TaskId) {
        let version = self.version;
        let mut next = Some(task);
        while let Some(node) = next.and_then(|task| self.nodes.get_mut(task)) {
            node.changed = version;
            next = node.submission.parent;
        }
    }
}
