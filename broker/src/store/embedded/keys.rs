//! Keys: byte strings whose order is the order wanted. Names hold no NUL byte, so NUL ends them.

use broker_core::{TaskId, Timestamp};

use super::TreeHead;
use crate::ports::store::{OutboxKey, Over, RowCursor, StoreError};

const ID_BYTES: usize = 16;
const TIME_BYTES: usize = 8;

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

/// What a tree consists of beside its root and its records, after its id.
const CHILD: u8 = 0;
const CLAIM: u8 = 1;

/// Begins all rows of an owner and an agent.
pub(super) fn order_prefix(owner: &str, agent: &str) -> Vec<u8> {
    [owner.as_bytes(), &[0], agent.as_bytes(), &[0]].concat()
}

/// A row's place: newest first, then greatest task id first.
pub(super) fn order(owner: &str, agent: &str, at: RowCursor) -> Vec<u8> {
    let updated = (!sortable(at.updated)).to_be_bytes();
    let task = task(at.task).map(|byte| !byte);
    [order_prefix(owner, agent).as_slice(), &updated, &task].concat()
}

/// Begins all tasks of an owner's context.
pub(super) fn context_prefix(owner: &str, context_id: &str) -> Vec<u8> {
    [claim(owner, context_id).as_slice(), &[0]].concat()
}

pub(super) fn context(owner: &str, context_id: &str, of: TaskId) -> Vec<u8> {
    [context_prefix(owner, context_id).as_slice(), &task(of)].concat()
}

/// Begins the pushes of a task.
pub(super) fn outbox_prefix(of: TaskId) -> [u8; ID_BYTES] {
    task(of)
}

/// A tree that is over, the longest unchanged first.
pub(super) fn over(at: Over) -> Vec<u8> {
    [time(at.since).as_slice(), &task(at.root)].concat()
}

pub(super) fn read_over(key: &[u8]) -> Result<Over, StoreError> {
    let (since, root) = key.split_first_chunk::<TIME_BYTES>().ok_or_else(|| damaged("a time and a task"))?;
    Ok(Over { since: read_time(*since), root: read_task(root)? })
}

/// Begins all of a tree's tasks below the root.
pub(super) fn children_prefix(root: TaskId) -> Vec<u8> {
    [task(root).as_slice(), &[CHILD]].concat()
}

/// Begins all of a tree's claims.
pub(super) fn claims_prefix(root: TaskId) -> Vec<u8> {
    [task(root).as_slice(), &[CLAIM]].concat()
}

/// A claim of a removed tree, the oldest first.
pub(super) fn remembered(since: Timestamp, claim: &[u8]) -> Vec<u8> {
    [time(since).as_slice(), claim].concat()
}

/// The claim at the end of such a key.
pub(super) fn claim_of_remembered(key: &[u8]) -> &[u8] {
    key.get(TIME_BYTES..).unwrap_or_default()
}

/// Begins keys that are in the order of a time; where everything earlier ends.
pub(super) fn time(at: Timestamp) -> [u8; TIME_BYTES] {
    sortable(at).to_be_bytes()
}

fn read_time(bytes: [u8; TIME_BYTES]) -> Timestamp {
    Timestamp::from_millis((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
}

/// Maps times to unsigned numbers of the same order.
fn sortable(at: Timestamp) -> u64 {
    at.as_millis().cast_unsigned() ^ (1 << 63)
}

/// How a tree stands.
pub(super) fn write_head(head: TreeHead) -> Vec<u8> {
    let records = head.records.to_be_bytes();
    head.over.map_or_else(|| records.to_vec(), |since| [records, time(since)].concat())
}

pub(super) fn read_head(bytes: &[u8]) -> Result<TreeHead, StoreError> {
    let (records, over) = bytes.split_first_chunk().ok_or_else(|| damaged("a number of records"))?;
    let over = (!over.is_empty()).then(|| over.try_into().map_err(|_| damaged("a time"))).transpose()?;
    Ok(TreeHead { records: u64::from_be_bytes(*records), over: over.map(read_time) })
}

/// Of a removed tree, the number of the first record that is left, and how many there were.
pub(super) fn write_remains(from: u64, records: u64) -> [u8; 16] {
    (u128::from(from) << 64 | u128::from(records)).to_be_bytes()
}

pub(super) fn read_remains(bytes: &[u8]) -> Result<(u64, u64), StoreError> {
    let (from, records) = bytes.split_first_chunk().ok_or_else(|| damaged("two numbers"))?;
    Ok((u64::from_be_bytes(*from), read_number(records)?))
}

fn damaged(expected: &str) -> StoreError {
    StoreError::Damaged(format!("expected {expected}"))
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
