//! A map of large values by task. They are boxed because a map's leaf has room for eleven, and most trees are small.

use std::collections::BTreeMap;

use crate::TaskId;

#[derive(Debug, Clone)]
pub(super) struct Slots<T>(BTreeMap<TaskId, Box<T>>);

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn get(&self, task: TaskId) -> Option<&T> {
        self.0.get(&task).map(|value| &**value)
    }

    pub(super) fn get_mut(&mut self, task: TaskId) -> Option<&mut T> {
        self.0.get_mut(&task).map(|value| &mut **value)
    }

    pub(super) fn insert(&mut self, task: TaskId, value: T) {
        self.0.insert(task, Box::new(value));
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.values().map(|value| &**value)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// In order of creation: ids are UUIDv7.
    pub(super) fn tasks(&self) -> impl Iterator<Item = TaskId> {
        self.0.keys().copied()
    }
}
