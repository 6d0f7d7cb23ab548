//! What callers are told when there is too much to do, or no longer time for it: a reason, and when to try again.

use std::collections::BTreeMap;

use protocol::{A2aError, ErrorDetail, ErrorKind};

use super::memory::NoMemory;
use crate::service::DOMAIN;

/// When a caller may try again that found all streams taken.
const STREAM_RETRY_SECONDS: u64 = 5;
/// When one may that found too many others at work.
const BUSY_RETRY_SECONDS: u64 = 1;
/// When a broker that shuts down, or another in its place, is expected to be there.
const RESTART_RETRY_SECONDS: u64 = 2;

/// All connections are being worked on.
pub(super) fn too_many_connections() -> A2aError {
    let message = "as many connections as there may be are at work (server.max_connections); try again";
    refused(ErrorKind::Unavailable, message, "TOO_MANY_CONNECTIONS", BUSY_RETRY_SECONDS)
}

/// All requests that may be in hand are.
pub(super) fn too_many_requests() -> A2aError {
    let message = "as many requests as there may be are being answered (server.max_requests); try again";
    refused(ErrorKind::Unavailable, message, "TOO_MANY_REQUESTS", BUSY_RETRY_SECONDS)
}

/// All streams that may be open are.
pub(super) fn too_many_streams() -> A2aError {
    let message = "as many streams are open as there may be (server.max_streams); ask for the task with GetTask, \
                   or try again";
    refused(ErrorKind::ResourceExhausted, message, "TOO_MANY_STREAMS", STREAM_RETRY_SECONDS)
}

/// A body or an answer does not fit beside the others.
pub(super) fn no_memory(full: NoMemory) -> A2aError {
    let message = format!("{full}; try again");
    refused(ErrorKind::Unavailable, &message, "TOO_MANY_BYTES", BUSY_RETRY_SECONDS)
}

/// The broker shuts down. What was begun goes on after it.
pub(super) fn shutting_down() -> A2aError {
    let message = "the broker shuts down; what was begun goes on. Send the same message again under its messageId, \
                   or subscribe to the task, once it is back";
    refused(ErrorKind::Unavailable, message, "SHUTTING_DOWN", RESTART_RETRY_SECONDS)
}

fn refused(kind: ErrorKind, message: &str, reason: &str, seconds: u64) -> A2aError {
    A2aError::new(kind, message)
        .with_info(DOMAIN, reason, BTreeMap::new())
        .with(ErrorDetail::RetryInfo { seconds })
}
