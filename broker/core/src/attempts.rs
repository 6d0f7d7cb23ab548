//! The attempts table: what follows from a failure. The only place that decides whether something is sent twice.
//!
//! | what is known | then |
//! |---|---|
//! | never sent | another attempt, after a backoff |
//! | refused | REJECTED (another delegate, once selection exists) |
//! | failed, possibly with effects; not A2A | another attempt only if declared idempotent, else FAILED |
//! | contact broke | ask the agent; do not resend |
//! | asked: certainly never arrived | send the same message again |
//! | asked: no answer, or an answer that proves nothing | outcome unknown; another attempt only if declared idempotent |

use protocol::TaskState;

use crate::delegation::input::Failure;
use crate::journal::{AttemptOutcome, Retry};
use crate::sabotage::{Guard, removed};

/// What follows from a failed conversation with an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt, with a message id of its own.
    Retry(AttemptOutcome),
    /// Ask the agent what became of it.
    Recover,
    /// The same message again, under the same id: it certainly never arrived.
    Resend,
    /// No more attempts: the task ends.
    End(TaskState, AttemptOutcome),
}

/// Looks up the table for attempt `number` of a task with this retry policy.
pub(crate) fn next(failure: &Failure, number: u32, retry: Retry) -> Next {
    let attempts_left = number < retry.max_attempts;
    let outcome = match failure {
        Failure::Broken(_) | Failure::StreamEnded if removed(Guard::AskFirst) => return Next::Resend,
        Failure::Broken(_) | Failure::StreamEnded if removed(Guard::LostContact) => AttemptOutcome::Failed,
        Failure::Broken(_) | Failure::StreamEnded => return Next::Recover,
        Failure::Absent { conclusive: true } => return Next::Resend,
        Failure::Refused(_) => return Next::End(TaskState::Rejected, AttemptOutcome::Refused),
        Failure::NeverSent(_) if attempts_left => return Next::Retry(AttemptOutcome::NeverSent),
        Failure::NeverSent(_) => AttemptOutcome::NeverSent,
        Failure::Errored(_) | Failure::Invalid(_) => AttemptOutcome::Failed,
        Failure::Gone(_) | Failure::Unreachable(_) | Failure::Absent { conclusive: false } => {
            AttemptOutcome::Unknown
        }
    };
    if attempts_left && retry.idempotent {
        Next::Retry(outcome)
    } else {
        Next::End(TaskState::Failed, outcome)
    }
}

/// What happened, in a sentence for people.
pub(crate) fn describe(failure: &Failure, agent: &str) -> String {
    match failure {
        Failure::NeverSent(reason) => format!("{agent} could not be reached: {reason}"),
        Failure::Refused(reason) => format!("{agent} refused the task: {reason}"),
        Failure::Errored(reason) => format!("{agent} answered with an error: {reason}"),
        Failure::Invalid(reason) => format!("{agent} broke the protocol: {reason}"),
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
