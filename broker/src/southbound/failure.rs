//! What an agent's answer, or the lack of one, means for the attempt. The one place that judges it.

use std::time::Duration;

use broker_core::delegation::input::Failure;
use http::{Response, StatusCode};
use protocol::binding::grpc::STATUS_TRAILER;
use protocol::{A2aError, ErrorDetail, ErrorKind, Invalid};

use crate::ports::downstream::AskError;

/// Longest text of an agent repeated to people, in characters.
const QUOTE_CHARS: usize = 500;

/// An answer that is an error, from any binding.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// No connection, so the agent has seen nothing.
    #[error("{0}")]
    Connect(String),
    /// The request cannot be said in the agent's binding.
    #[error("the request cannot be written as the agent's binding wants it: {0}")]
    Inexpressible(Invalid),
    /// The connection broke after the request was on its way.
    #[error("{0}")]
    Transport(String),
    /// No answer in time.
    #[error("{0}")]
    Timeout(String),
    /// An A2A error, or an HTTP status that says as much.
    #[error("{}", .0.message)]
    Answered(A2aError),
    /// A plain HTTP status with no A2A error in it, and when to try again.
    #[error("HTTP {0}")]
    Status(StatusCode, Option<Duration>),
    /// An answer, no event of a stream, that is larger than is read.
    #[error("its answer is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// Something that is not A2A.
    #[error("{0}")]
    Garbage(String),
}

impl Trouble {
    /// The same, where the head of the answer says when to try again.
    pub(super) fn with_wait(self, wait: Option<Duration>) -> Self {
        match (self, wait) {
            (Self::Status(status, None), wait) => Self::Status(status, wait),
            (Self::Answered(error), Some(wait)) if asked_wait(&error).is_none() => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Self::Answered(error.with(ErrorDetail::RetryInfo { seconds }))
            }
            (trouble, _) => trouble,
        }
    }

    /// What it means for a message that was being sent.
    pub(super) fn of_send(self) -> Failure {
        match self {
            Self::Connect(reason) => Failure::NeverSent(reason),
            Self::Transport(reason) | Self::Timeout(reason) => Failure::Broken(reason),
            // It was done, and only what came of it could not be read.
            Self::TooLarge { .. } => Failure::Broken(self.to_string()),
            Self::Inexpressible(_) => Failure::Refused(self.to_string()),
            Self::Garbage(reason) => Failure::Invalid(quote(&reason)),
            Self::Status(status, wait) => of_status(status, wait),
            Self::Answered(error) => match error.kind {
                ErrorKind::Internal | ErrorKind::InvalidAgentResponse | ErrorKind::BadGateway => {
                    Failure::Errored(quote(&error.message))
                }
                ErrorKind::OutcomeUnknown | ErrorKind::RequestTimeout => {
                    Failure::Broken(quote(&error.message))
                }
                ErrorKind::Unavailable | ErrorKind::ResourceExhausted => busy(&error),
                _ => Failure::Refused(quote(&error.message)),
            },
        }
    }

    /// What it means after the first event of the answer. The agent has the task: what it says now refuses none, and
    /// ends only the stream.
    pub(super) fn of_rest(self) -> Failure {
        match self.of_send() {
            Failure::NeverSent(reason) | Failure::Refused(reason) | Failure::Busy { reason, .. } => {
                Failure::Broken(reason)
            }
            failure => failure,
        }
    }

    /// What it means for a question.
    pub(super) fn of_ask(self) -> AskError {
        match self {
            Self::Connect(reason) | Self::Transport(reason) | Self::Timeout(reason) => {
                AskError::Unreachable(reason)
            }
            Self::Inexpressible(_) => AskError::Unsupported(self.to_string()),
            Self::TooLarge { .. } => AskError::TooLarge(format!("{self} (southbound.max_response)")),
            Self::Garbage(reason) => AskError::Invalid(quote(&reason)),
            Self::Status(status, _) if says_nothing_of_the_task(status) => {
                AskError::Unreachable(format!("HTTP {status}"))
            }
            Self::Status(status, _) => AskError::Unsupported(format!("HTTP {status}")),
            Self::Answered(error) => match error.kind {
                ErrorKind::TaskNotFound | ErrorKind::NotFound => AskError::NotFound(quote(&error.message)),
                ErrorKind::Internal
                | ErrorKind::InvalidAgentResponse
                | ErrorKind::Unavailable
                | ErrorKind::ResourceExhausted
                | ErrorKind::BadGateway
                | ErrorKind::OutcomeUnknown
                | ErrorKind::RequestTimeout
                | ErrorKind::Unauthenticated
                | ErrorKind::PermissionDenied => AskError::Unreachable(quote(&error.message)),
                _ => AskError::Unsupported(quote(&error.message)),
            },
        }
    }
}

fn of_status(status: StatusCode, wait: Option<Duration>) -> Failure {
    match status {
        // It says that it did not take the message, so nothing was done.
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            let retry_after_ms = wait.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
            Failure::Busy { reason: format!("HTTP {status}"), retry_after_ms }
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Refused(format!(
            "HTTP {status}: the agent does not accept the broker's credential, or misses one; see `auth` of [[agents]] \
             and `agent add --auth`"
        )),
        // Somebody in between lost patience; the agent may be at it.
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => {
            Failure::Broken(format!("HTTP {status}"))
        }
        status if status.is_server_error() => Failure::Errored(format!("HTTP {status}")),
        status => Failure::Refused(format!("HTTP {status}")),
    }
}

/// Whether a status comes from whatever stands before the agent (a gateway, a guard that wants another credential, a
/// host without this path while the agent is moved), so that the agent is still to be asked.
fn says_nothing_of_the_task(status: StatusCode) -> bool {
    let is_guard = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
    );
    is_guard || status.is_server_error() || status.is_redirection()
}

/// Whether an agent refuses the broker's credential, by HTTP or by gRPC.
pub(super) fn is_unauthenticated<B>(answer: &Response<B>) -> bool {
    let code = answer.headers().get(STATUS_TRAILER).and_then(|code| code.to_str().ok());
    answer.status() == StatusCode::UNAUTHORIZED
        || code.and_then(|code| code.parse().ok()) == Some(ErrorKind::Unauthenticated.grpc_code())
}

/// The agent says that it cannot take the message now, and perhaps when it can.
fn busy(error: &A2aError) -> Failure {
    let seconds = asked_wait(error).map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
    Failure::Busy { reason: quote(&error.message), retry_after_ms }
}

/// When to try again, as an error says it; seconds.
fn asked_wait(error: &A2aError) -> Option<u64> {
    error.details.iter().find_map(|detail| match detail {
        ErrorDetail::RetryInfo { seconds } => Some(*seconds),
        _ => None,
    })
}

/// The beginning of what an agent said.
pub(super) fn quote(text: &str) -> String {
    protocol::beginning(text, QUOTE_CHARS)
}
