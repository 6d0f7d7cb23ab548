//! Keys: byte strings whose order is the order wanted. Names hold no NUL byte, so NUL ends them.

use broker_core::{TaskId, Timestamp};

use crate::ports::store::{OutboxKey, RowCursor, StoreError};

const ID_BYTES: usize = 16;

pub(super) fn task(task: TaskId) -> [u8; ID_BYTES] {
    *task.0.as_bytes()
}

pub(super) fn record(root: TaskId, number: u64) -> Vec<u8> {
    [task(root).as_slice(), &number.to_be_bytes()].concat()
}

/// An entry of the audit log.
pub(super) fn audit(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The push of a task's configuration.
pub(super) fn outbox(key: &OutboxKey) -> Vec<u8> {
    [task(key.task).as_slice(), key.config.as_bytes()].concat()
}

pub(super) fn claim(principal: &str, message_id: &str) -> Vec<u8> {
    // The length in front keeps (a, bc) and (ab, c) apart whatever the texts hold.
    let length = u32::try_from(principal.len()).unwrap_or(u32::MAX).to_be_bytes();
    [length.as_slice(), principal.as_bytes(), message_id.as_bytes()].concat()
}

/// Begins all rows of an owner and an agent.
pub(super) fn order_prefix(owner: &str, agent: &str) -> Vec<u8> {
    [owner.as_bytes(), &[0], agent.as_bytes(), &[0]].concat()
}

/// A row's place: newest first, then greatest task id first.
pub(super) fn order(owner: &str, agent: &str, at: RowCursor) -> Vec<u8> {
    let mut key = order_prefix(owner, agent);
    key.extend_from_slice(&(!sortable(at.updated)).to_be_bytes());
    key.extend(task(at.task).iter().map(|byte| !byte));
    key
}

/// Begins all tasks of an owner's context.
pub(super) fn context_prefix(owner: &str, context_id: &str) -> Vec<u8> {
    claim(owner, context_id).into_iter().chain([0]).collect()
}

pub(super) fn context(owner: &str, context_id: &str, of: TaskId) -> Vec<u8> {
    [context_prefix(owner, context_id).as_slice(), &task(of)].concat()
}

/// Maps times to unsigned numbers of the same order.
fn sortable(at: Timestamp) -> u64 {
    at.as_millis().cast_unsigned() ^ (1 << 63)
}

pub(super) fn read_task(bytes: &[u8]) -> Result<TaskId, StoreError> {
    let id = uuid::Uuid::from_slice(bytes).map_err(|error| StoreError::Damaged(error.to_string()))?;
    Ok(TaskId(id))
}

pub(super) fn read_number(bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Damaged("expected 8 bytes".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The task at the end of a context key.
pub(super) fn task_of_context(key: &[u8]) -> Result<TaskId, StoreError> {
    read_task(key.get(key.len().saturating_sub(ID_BYTES)..).unwrap_or_default())
}
