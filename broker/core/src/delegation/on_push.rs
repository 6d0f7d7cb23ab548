//! Where a task's events are pushed: facts of the task, so that they are true, stored and folded with it. How far
//! each push has come is not decided here: that is a cursor, and the store's.

use super::Tree;
use super::draft::Draft;
use crate::TaskId;
use crate::error::Refusal;
use crate::journal::{Fact, PushConfig};

impl Draft<'_> {
    /// Another content under the same id replaces what was there.
    pub(super) fn on_set_push(&mut self, task: TaskId, config: PushConfig) -> Result<(), Refusal> {
        let node = self.node(task).ok_or(Refusal::NotFound)?;
        let is_new = !node.pushes.iter().any(|known| known.config.id == config.id);
        let limit = self.limits.max_push_configs;
        if is_new && node.pushes.len() >= limit as usize {
            return Err(Refusal::NotPossible(format!(
                "task {task} already has {limit} push configurations, as many as are allowed (push.max_configs); \
                 delete one first"
            )));
        }
        self.record(task, Fact::PushSet(Box::new(config)));
        Ok(())
    }

    /// What comes with a message, ahead of it, so that nothing that comes of it is missed.
    pub(super) fn begin_push(
        &mut self,
        task: TaskId,
        config: Option<Box<PushConfig>>,
    ) -> Result<(), Refusal> {
        config.map_or(Ok(()), |config| self.on_set_push(task, *config))
    }

    /// Deleting what is not there changes nothing and is no error (spec §3.1.10).
    pub(super) fn on_delete_push(&mut self, task: TaskId, id: String) -> Result<(), Refusal> {
        let node = self.node(task).ok_or(Refusal::NotFound)?;
        if node.pushes.iter().any(|known| known.config.id == id) {
            self.record(task, Fact::PushDeleted { id });
        }
        Ok(())
    }
}

/// A configuration as it stands.
#[derive(Debug, Clone)]
pub struct Push {
    /// What it says.
    pub config: PushConfig,
    /// The number, within the task, of the record that set it: tells it from another of the same id.
    pub set: u64,
}

impl Tree {
    /// Where a task's events are pushed, by id.
    pub fn pushes(&self, task: TaskId) -> impl Iterator<Item = &Push> {
        let pushes = self.nodes.get(task).map(|node| node.pushes.as_slice()).unwrap_or_default();
        pushes.iter().map(AsRef::as_ref)
    }

    /// One of a task's configurations.
    pub fn push(&self, task: TaskId, id: &str) -> Option<&Push> {
        self.pushes(task).find(|push| push.config.id == id)
    }
}

/// What a record about configurations makes of them.
pub(super) fn apply(pushes: &mut Vec<std::sync::Arc<Push>>, set: u64, fact: &Fact) {
    let id = match fact {
        Fact::PushSet(config) => &config.id,
        Fact::PushDeleted { id } => id,
        _ => return,
    };
    pushes.retain(|known| known.config.id != *id);
    if let Fact::PushSet(config) = fact {
        let at = pushes.partition_point(|known| known.config.id < config.id);
        pushes.insert(at, std::sync::Arc::new(Push { config: (**config).clone(), set }));
    }
}
