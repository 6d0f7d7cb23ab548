//! The one mapping of what can go wrong inside to what a caller is told.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_core::quota::{Bound, Exceeded};
use broker_core::{Refusal, TaskId, extension};
use protocol::{A2aError, ErrorDetail, ErrorKind};

use super::QuotaKind;
use super::quotas::Subject;
use crate::ports::store::{Claim, StoreError};

/// The domain of the reasons the broker defines.
pub const DOMAIN: &str = "bailiwick";
/// The reason of an error about a credential that was presented and is bad.
pub const CREDENTIAL_INVALID: &str = "CREDENTIAL_INVALID";
/// When an overloaded broker may be tried again.
const OVERLOAD_RETRY_SECONDS: u64 = 1;
/// When more tasks may be begun, as a guess.
const BUSY_RETRY_SECONDS: u64 = 5;

/// A refusal of the core.
pub(super) fn refusal(refusal: &Refusal) -> A2aError {
    let message = refusal.to_string();
    let denied = |metadata| {
        A2aError::new(ErrorKind::PermissionDenied, message.clone()).with_info(
            DOMAIN,
            refusal.code(),
            metadata,
        )
    };
    match refusal {
        Refusal::NotFound => task_not_found(),
        Refusal::CapabilityExceeded { missing, .. } => {
            let missing = ("missing".to_owned(), missing.join(" "));
            denied(BTreeMap::from([missing]))
        }
        Refusal::BudgetExhausted { .. } => exhausted(refusal),
        Refusal::RateExceeded { retry_after, .. } => {
            exhausted(refusal).with(ErrorDetail::RetryInfo { seconds: *retry_after })
        }
        Refusal::Cycle { .. }
        | Refusal::DepthExceeded { .. }
        | Refusal::FanoutExceeded { .. }
        | Refusal::TreeTooLarge { .. } => denied(BTreeMap::new()),
        Refusal::DeadlinePassed { .. } => {
            invalid(&format!("message.metadata[{}].deadline", extension::URI), &message)
        }
        Refusal::NotToGive { .. } => {
            invalid(&format!("message.metadata[{}].context", extension::URI), &message)
        }
        Refusal::NotPossible(_) => A2aError::new(ErrorKind::UnsupportedOperation, message),
        Refusal::NotCancelable { .. } => A2aError::new(ErrorKind::TaskNotCancelable, message),
    }
}

fn exhausted(refusal: &Refusal) -> A2aError {
    let message = refusal.to_string();
    A2aError::new(ErrorKind::ResourceExhausted, message).with_info(DOMAIN, refusal.code(), BTreeMap::new())
}

/// Another principal's task and one that does not exist get the same bytes.
pub(super) fn task_not_found() -> A2aError {
    A2aError::new(ErrorKind::TaskNotFound, "Task not found")
}

pub(super) fn is_over(task: TaskId) -> A2aError {
    let message =
        format!("task {task} is over; read it with GetTask, or resume its stream with Last-Event-ID");
    A2aError::new(ErrorKind::UnsupportedOperation, message)
}

pub(super) fn agent_not_found(name: &str) -> A2aError {
    A2aError::new(
        ErrorKind::NotFound,
        format!("no agent named {name:?} is registered; see GET /api/v1/agents or `bailiwick agent list`"),
    )
}

pub(super) fn extension_required(agent: &str, uri: &str) -> A2aError {
    let message =
        format!("agent {agent} insists on the extension {uri}; name it in A2A-Extensions if you support it");
    A2aError::new(ErrorKind::ExtensionSupportRequired, message)
}

pub(super) fn invalid(field: &str, problem: &str) -> A2aError {
    protocol::invalid_params(vec![(field.to_owned(), problem.to_owned())])
}

pub(super) fn message_id_reused(message_id: &str) -> A2aError {
    let message = format!(
        "messageId {message_id:?} was already used for another message; a new message needs a new id"
    );
    A2aError::new(ErrorKind::MessageIdReused, message).with_info(DOMAIN, "MESSAGE_ID_REUSED", BTreeMap::new())
}

/// What was asked for was done, and is kept no longer; whoever asks is the one that asked.
pub(super) fn task_removed(claim: &Claim) -> A2aError {
    let message = format!(
        "task {}, which messageId {:?} made, is over and was removed (store.keep_finished); to have the same done \
         again, send it under a new id",
        claim.task, claim.message_id
    );
    A2aError::new(ErrorKind::TaskNotFound, message).with_info(DOMAIN, "TASK_REMOVED", BTreeMap::new())
}

/// A subscriber saw an event this task does not have: what lies between that and the newest cannot be told.
pub(super) fn event_gap(seen: u64, last: u64) -> A2aError {
    let message = format!(
        "event {seen} is none of this task's, whose newest is {last}; what followed it is not known here. \
         Subscribe without Last-Event-ID to begin with the task as it stands"
    );
    let last = ("last".to_owned(), last.to_string());
    A2aError::new(ErrorKind::EventGap, message).with_info(DOMAIN, "EVENT_GAP", BTreeMap::from([last]))
}

/// A credential is bad. The reason sets it apart from an absent one, on the wire too (RFC 6750 §3.1).
pub(super) fn unauthenticated(why: &str) -> A2aError {
    A2aError::new(ErrorKind::Unauthenticated, why).with_info(DOMAIN, CREDENTIAL_INVALID, BTreeMap::new())
}

/// There is no credential where one is needed.
pub(super) fn credential_required() -> A2aError {
    let message = "a credential is required: Authorization: Bearer <API key, token or grant>, or what the agent \
                   card declares under securitySchemes";
    A2aError::new(ErrorKind::Unauthenticated, message).with_info(
        DOMAIN,
        "CREDENTIAL_REQUIRED",
        BTreeMap::new(),
    )
}

/// More tasks wait for an agent than may.
pub(super) fn agent_busy(agent: &str) -> A2aError {
    let message = format!(
        "as many tasks of one principal wait for {agent} as may (limits.max_waiting); try again later"
    );
    overloaded(message, "AGENT_BUSY")
}

/// A quota is used up.
pub(super) fn quota_exceeded(subject: &Subject, exceeded: &Exceeded) -> A2aError {
    let (reason, hint) = match exceeded.bound {
        Bound::OpenTasks if subject.kind == QuotaKind::Principal => {
            ("TOO_MANY_TASKS", "limits.max_open_tasks, or its quota; wait until some end")
        }
        Bound::OpenTasks => ("TOO_MANY_TASKS", "its quota; wait until some end"),
        _ => ("QUOTA_EXCEEDED", "its quota; try again after Retry-After"),
    };
    let said = [("subject", subject.to_string()), ("bound", exceeded.bound.name().to_owned())];
    let said = said.map(|(key, value)| (key.to_owned(), value));
    A2aError::new(ErrorKind::ResourceExhausted, format!("{subject} has used up {exceeded} ({hint})"))
        .with_info(DOMAIN, reason, BTreeMap::from(said))
        .with(ErrorDetail::RetryInfo { seconds: exceeded.retry_after })
}

pub(super) fn backup_under_way() -> A2aError {
    overloaded("a backup is being taken; wait until it is done".to_owned(), "BACKUP_UNDER_WAY")
}

pub(super) fn backed_up_elsewhere() -> A2aError {
    let message =
        "the store is a database, which is backed up by its own means, such as pg_dump or pg_basebackup";
    A2aError::new(ErrorKind::UnsupportedOperation, message).with_info(
        DOMAIN,
        "BACKED_UP_ELSEWHERE",
        BTreeMap::new(),
    )
}

fn overloaded(message: String, reason: &str) -> A2aError {
    A2aError::new(ErrorKind::ResourceExhausted, message)
        .with_info(DOMAIN, reason, BTreeMap::new())
        .with(ErrorDetail::RetryInfo { seconds: BUSY_RETRY_SECONDS })
}

/// The keys a token should be judged by cannot be had: it is neither good nor bad.
pub(super) fn issuer_unreachable(issuer: &str, retry: Duration) -> A2aError {
    let message =
        format!("the keys of {issuer} cannot be fetched, so its tokens cannot be judged; try again");
    let detail = ErrorDetail::RetryInfo { seconds: retry.as_secs().max(1) };
    A2aError::new(ErrorKind::Unavailable, message).with(detail)
}

pub(super) fn forbidden(why: &str) -> A2aError {
    A2aError::new(ErrorKind::PermissionDenied, why).with_info(DOMAIN, "PERMISSION_DENIED", BTreeMap::new())
}

/// The store's trouble is ours: its text goes to the log, not to the caller. Nothing was done.
pub(super) fn store(failure: &StoreError) -> A2aError {
    if let StoreError::Overloaded { .. } = failure {
        let detail = ErrorDetail::RetryInfo { seconds: OVERLOAD_RETRY_SECONDS };
        let message = "as many changes wait for the disk as may (store.queue); try again";
        return A2aError::new(ErrorKind::Unavailable, message)
            .with_info(DOMAIN, "STORE_BUSY", BTreeMap::new())
            .with(detail);
    }
    tracing::error!(%failure, "the store failed");
    A2aError::new(ErrorKind::Unavailable, "the broker's store failed; try again")
}

/// The store failed over a change, which may be durable. A broker in front of this one must not take it for a refusal and
/// have the work done elsewhere.
pub(super) fn uncertain(failure: &StoreError) -> A2aError {
    tracing::error!(%failure, "the store failed over a change");
    outcome_unknown(
        "the broker's store failed, and whether this was accepted is not known; the same again, under the same \
         messageId, is safe",
    )
}

/// Another broker of the same store drives the tree.
pub(super) fn driven_elsewhere() -> A2aError {
    let detail = ErrorDetail::RetryInfo { seconds: OVERLOAD_RETRY_SECONDS };
    let message = "another broker drives this task, and it could not be asked; try again";
    A2aError::new(ErrorKind::Unavailable, message).with(detail)
}

/// The store has not been reached for so long that other brokers may have taken over.
pub(super) fn not_current() -> A2aError {
    let message =
        "this broker has not reached its database for a while, and cannot tell what is true there; try again";
    A2aError::new(ErrorKind::Unavailable, message)
}

/// The tree in memory was given up while somebody waited on it; the task itself goes on.
pub(super) fn lost_sight() -> A2aError {
    outcome_unknown("the task was lost sight of while waiting; ask for it with GetTask")
}

/// Named by a reason, because gRPC has no status of this meaning.
fn outcome_unknown(message: &str) -> A2aError {
    let kind = ErrorKind::OutcomeUnknown;
    A2aError::new(kind, message).with_info(DOMAIN, kind.reason(), BTreeMap::new())
}

pub(super) fn damaged(damage: &dyn std::fmt::Display) -> A2aError {
    tracing::error!(%damage, "a journal cannot be used");
    internal()
}

pub(super) fn internal() -> A2aError {
    A2aError::new(ErrorKind::Internal, "internal error; the broker's log says more")
}

#[cfg(test)]
mod tests {
    use protocol::binding::grpc::{
        DETAILS_TRAILER, MESSAGE_TRAILER, STATUS_TRAILER, read_status, write_status,
    };

    use super::*;

    /// What a broker in front of this one takes an error for, over each binding.
    fn read(error: &A2aError) -> [ErrorKind; 3] {
        let said = error.to_jsonrpc();
        let over_rpc = A2aError::from_jsonrpc(error.kind.jsonrpc_code(), "", said.get("data"));
        let over_http = A2aError::from_http(error.kind.http_status(), error.to_http().to_string().as_bytes());
        let status = write_status(error);
        let of = |name| status.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let ended = read_status(of(STATUS_TRAILER).unwrap(), of(MESSAGE_TRAILER), of(DETAILS_TRAILER));
        [over_rpc.kind, over_http.kind, ended.unwrap().kind]
    }

    #[test]
    fn what_may_have_been_done_is_told_from_what_was_not() {
        let cut = StoreError::Engine("cut".to_owned());
        assert_eq!(read(&uncertain(&cut)), [ErrorKind::OutcomeUnknown; 3]);
        assert_eq!(read(&lost_sight()), [ErrorKind::OutcomeUnknown; 3]);
        assert_eq!(read(&store(&cut)), [ErrorKind::Unavailable; 3]);
    }
}
