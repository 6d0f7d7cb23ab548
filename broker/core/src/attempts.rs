//! The attempts table: what follows from a failure. The only place that decides whether something is sent twice.
//!
//! | what is known | then |
//! |---|---|
//! | never sent, also because the agent was down; too busy to take it | another attempt, after a backoff; then another delegate |
//! | refused | another delegate, else REJECTED |
//! | refused, never got or too busy for a further message of a task it has | ask the agent; a refused one is not sent again |
//! | failed, possibly with effects; not A2A | another attempt or delegate only if declared idempotent, else FAILED |
//! | its result was not accepted | another attempt only if declared idempotent; then another delegate; else FAILED |
//! | silent for too long | the same, and the agent is asked to stop |
//! | contact broke | ask the agent; do not resend |
//! | asked: certainly never arrived | send the same message again |
//! | asked: no answer, or an answer that proves nothing | outcome unknown: another attempt or delegate only if declared idempotent, else an operator may decide |

use protocol::TaskState;

use crate::delegation::input::Failure;
use crate::journal::{AttemptOutcome, Retry};
use crate::sabotage::{Guard, removed};

/// What follows from a failed conversation with an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt with the same delegate, with a message id of its own.
    Retry(AttemptOutcome),
    /// Another attempt with another delegate.
    Fallback(AttemptOutcome),
    /// Ask the agent what became of it.
    Recover,
    /// The same message again, under the same id: it certainly never arrived.
    Resend,
    /// What the agent did cannot be known: for an operator to decide.
    Unknown,
    /// No more attempts: the task fails, and its agent, which may still be at it, is to stop.
    Stop,
    /// No more attempts: the task ends.
    End(TaskState, AttemptOutcome),
}

/// What was tried so far, the attempt that failed included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried {
    /// Attempts with this delegate.
    pub(crate) here: u32,
    /// Attempts with all delegates.
    pub(crate) in_all: u32,
    /// Most attempts with all delegates.
    pub(crate) limit: u32,
}

/// Looks up the table.
pub(crate) fn next(failure: &Failure, tried: Tried, retry: &Retry) -> Next {
    let has_more = tried.in_all < tried.limit;
    let again = has_more && tried.here < retry.max_attempts;
    let elsewhere = has_more && !retry.fallback.is_none();
    let outcome = match failure {
        Failure::Broken(_) | Failure::StreamEnded if again && removed(Guard::AskFirst) => {
            return Next::Retry(AttemptOutcome::NeverSent);
        }
        Failure::Broken(_) | Failure::StreamEnded if removed(Guard::LostContact) => AttemptOutcome::Failed,
        Failure::Broken(_) | Failure::StreamEnded => return Next::Recover,
        Failure::Absent { conclusive: true } => return Next::Resend,
        Failure::Refused(_) if elsewhere => return Next::Fallback(AttemptOutcome::Refused),
        Failure::Refused(_) => return Next::End(TaskState::Rejected, AttemptOutcome::Refused),
        Failure::NeverSent(_) | Failure::Down { .. } | Failure::Busy { .. } => match (again, elsewhere) {
            (true, _) => return Next::Retry(AttemptOutcome::NeverSent),
            (false, true) => return Next::Fallback(AttemptOutcome::NeverSent),
            (false, false) => AttemptOutcome::NeverSent,
        },
        Failure::Unaccepted(_) if elsewhere && !(retry.idempotent && again) => {
            return Next::Fallback(AttemptOutcome::Unaccepted);
        }
        Failure::Unaccepted(_) => AttemptOutcome::Unaccepted,
        Failure::Errored(_) | Failure::Invalid(_) => AttemptOutcome::Failed,
        Failure::Silent { .. }
        | Failure::Gone(_)
        | Failure::Unreachable(_)
        | Failure::Absent { conclusive: false } => AttemptOutcome::Unknown,
    };
    match outcome {
        _ if retry.idempotent && again => Next::Retry(outcome),
        _ if retry.idempotent && elsewhere => Next::Fallback(outcome),
        _ if matches!(failure, Failure::Silent { .. }) => Next::Stop,
        AttemptOutcome::Unknown => Next::Unknown,
        outcome => Next::End(TaskState::Failed, outcome),
    }
}

/// What happened, in a sentence for people.
pub(crate) fn describe(failure: &Failure, agent: &str) -> String {
    match failure {
        Failure::NeverSent(reason) | Failure::Down { reason, .. } => {
            format!("{agent} could not be reached: {reason}")
        }
        Failure::Busy { reason, .. } => format!("{agent} is too busy to take the task: {reason}"),
        Failure::Silent { seconds } => format!("{agent} was silent for {seconds} s (limits.silence)"),
        Failure::Refused(reason) => format!("{agent} refused the task: {reason}"),
        Failure::Errored(reason) => format!("{agent} answered with an error: {reason}"),
        Failure::Invalid(reason) => format!("{agent} broke the protocol: {reason}"),
        Failure::Unaccepted(reason) => format!("{agent}'s result was not accepted: {reason}"),
        Failure::Broken(reason) => format!("contact with {agent} was lost: {reason}"),
        Failure::StreamEnded => format!("{agent} ended its event stream before its task"),
        Failure::Gone(reason) => {
            format!("{agent} no longer knows the task it accepted; the outcome is unknown: {reason}")
        }
        Failure::Unreachable(reason) => {
            format!("{agent} accepted the task and stopped answering; the outcome is unknown: {reason}")
        }
        Failure::Absent { .. } => {
            format!("{agent} does not list the task it may have received; the outcome is unknown")
        }
    }
}
