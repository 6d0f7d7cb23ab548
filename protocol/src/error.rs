//! Errors as the wire knows them: one table for all bindings (spec §3.3.2, §5.4, §9.5, §11.6). This is the only
//! place where a wire code is spelled.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

/// The domain of errors the A2A specification defines.
const A2A_DOMAIN: &str = "a2a-protocol.org";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

macro_rules! error_table {
    ($($(#[$doc:meta])* $kind:ident: $jsonrpc:literal, $http:literal, $grpc:literal, $reason:literal;)*) => {
        /// What went wrong, as all bindings can say it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            /// Every row of the table.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// `error.code` in JSON-RPC.
            pub fn jsonrpc_code(self) -> i64 {
                match self { $(Self::$kind => $jsonrpc,)* }
            }

            /// The HTTP status.
            pub fn http_status(self) -> u16 {
                match self { $(Self::$kind => $http,)* }
            }

            /// The gRPC status name, also `error.status` in HTTP+JSON.
            pub fn grpc_status(self) -> &'static str {
                match self { $(Self::$kind => $grpc,)* }
            }

            /// `reason` of the ErrorInfo: the specification's name in UPPER_SNAKE without "Error".
            pub fn reason(self) -> &'static str {
                match self { $(Self::$kind => $reason,)* }
            }
        }
    };
}

error_table! {
    /// The task does not exist, or not for this caller.
    TaskNotFound: -32001, 404, "NOT_FOUND", "TASK_NOT_FOUND";
    /// The task is past cancelling.
    TaskNotCancelable: -32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE";
    /// No push notifications here.
    PushNotificationNotSupported: -32003, 400, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED";
    /// The operation is not offered, or not for this task.
    UnsupportedOperation: -32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION";
    /// A media type nobody here can read.
    ContentTypeNotSupported: -32005, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED";
    /// An agent answered with something that is not A2A.
    InvalidAgentResponse: -32006, 500, "INTERNAL", "INVALID_AGENT_RESPONSE";
    /// There is no extended card.
    ExtendedAgentCardNotConfigured: -32007, 400, "FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED";
    /// A required extension was not declared.
    ExtensionSupportRequired: -32008, 400, "FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED";
    /// The protocol version is not spoken here.
    VersionNotSupported: -32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED";
    /// Not JSON.
    ParseError: -32700, 400, "INVALID_ARGUMENT", "PARSE_ERROR";
    /// JSON, but not a request.
    InvalidRequest: -32600, 400, "INVALID_ARGUMENT", "INVALID_REQUEST";
    /// No such method, or no such path.
    MethodNotFound: -32601, 404, "NOT_FOUND", "METHOD_NOT_FOUND";
    /// The path exists, the HTTP method does not fit.
    MethodNotAllowed: -32601, 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED";
    /// Nothing here by this name or in this way; what gRPC says where HTTP has no such path.
    Unimplemented: -32601, 501, "UNIMPLEMENTED", "UNIMPLEMENTED";
    /// The parameters are not what they should be.
    InvalidParams: -32602, 400, "INVALID_ARGUMENT", "INVALID_PARAMS";
    /// The message id belongs to another message.
    MessageIdReused: -32602, 409, "ALREADY_EXISTS", "MESSAGE_ID_REUSED";
    /// The body is larger than allowed.
    PayloadTooLarge: -32600, 413, "RESOURCE_EXHAUSTED", "PAYLOAD_TOO_LARGE";
    /// The body did not arrive in time.
    RequestTimeout: -32600, 408, "DEADLINE_EXCEEDED", "REQUEST_TIMEOUT";
    /// Our fault.
    Internal: -32603, 500, "INTERNAL", "INTERNAL_ERROR";
    /// No credentials, or bad ones.
    Unauthenticated: -31401, 401, "UNAUTHENTICATED", "UNAUTHENTICATED";
    /// Known, but not allowed.
    PermissionDenied: -31403, 403, "PERMISSION_DENIED", "PERMISSION_DENIED";
    /// Something named does not exist (not a task).
    NotFound: -31404, 404, "NOT_FOUND", "NOT_FOUND";
    /// The history a resuming subscriber names is not here.
    EventGap: -31410, 410, "OUT_OF_RANGE", "EVENT_GAP";
    /// Budget, rate or room is used up.
    ResourceExhausted: -31429, 429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED";
    /// Not now; try again.
    Unavailable: -31503, 503, "UNAVAILABLE", "UNAVAILABLE";
    /// Something behind us could not be reached.
    BadGateway: -31502, 502, "UNAVAILABLE", "BAD_GATEWAY";
    /// Whether it was done, or what became of it, is not known here; who asks after it may learn.
    OutcomeUnknown: -31504, 504, "UNKNOWN", "OUTCOME_UNKNOWN";
}

/// The gRPC statuses: number, name, and what one means when nothing else is said.
const GRPC_STATUSES: [(u8, &str, ErrorKind); 16] = [
    (1, "CANCELLED", ErrorKind::Internal),
    (2, "UNKNOWN", ErrorKind::Internal),
    (3, "INVALID_ARGUMENT", ErrorKind::InvalidParams),
    // Whether it was done in spite of that is not known.
    (4, "DEADLINE_EXCEEDED", ErrorKind::OutcomeUnknown),
    (5, "NOT_FOUND", ErrorKind::TaskNotFound),
    (6, "ALREADY_EXISTS", ErrorKind::MessageIdReused),
    (7, "PERMISSION_DENIED", ErrorKind::PermissionDenied),
    (8, "RESOURCE_EXHAUSTED", ErrorKind::ResourceExhausted),
    (9, "FAILED_PRECONDITION", ErrorKind::UnsupportedOperation),
    (10, "ABORTED", ErrorKind::Internal),
    (11, "OUT_OF_RANGE", ErrorKind::InvalidParams),
    (12, "UNIMPLEMENTED", ErrorKind::Unimplemented),
    (13, "INTERNAL", ErrorKind::Internal),
    (14, "UNAVAILABLE", ErrorKind::Unavailable),
    (15, "DATA_LOSS", ErrorKind::Internal),
    (16, "UNAUTHENTICATED", ErrorKind::Unauthenticated),
];
/// UNKNOWN.
const GRPC_UNKNOWN: u8 = 2;

impl ErrorKind {
    /// The number of the gRPC status.
    pub fn grpc_code(self) -> u8 {
        let row = GRPC_STATUSES.iter().find(|(_, name, _)| *name == self.grpc_status());
        row.map_or(GRPC_UNKNOWN, |(code, ..)| *code)
    }

    /// The rows of §5.4, whose errors carry an ErrorInfo of the specification's domain.
    fn is_specified(self) -> bool {
        (-32009..=-32001).contains(&self.jsonrpc_code())
    }
}

/// A structured detail of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorDetail {
    /// `google.rpc.ErrorInfo`.
    ErrorInfo {
        /// UPPER_SNAKE.
        reason: String,
        /// Who defines the reason.
        domain: String,
        /// Facts, as text.
        metadata: BTreeMap<String, String>,
    },
    /// `google.rpc.BadRequest`: (field, what was expected).
    BadRequest {
        /// One entry per offending field.
        field_violations: Vec<(String, String)>,
    },
    /// `google.rpc.RetryInfo`.
    RetryInfo {
        /// When to try again.
        seconds: u64,
    },
}

/// An error on its way to a caller, or from an agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct A2aError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// For people: what was expected, what to do.
    pub message: String,
    /// For programs.
    pub details: Vec<ErrorDetail>,
}

impl A2aError {
    /// An error without details of its own.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Vec::new() }
    }

    /// The same error with one more detail.
    #[must_use]
    pub fn with(mut self, detail: ErrorDetail) -> Self {
        self.details.push(detail);
        self
    }

    /// The same error with an ErrorInfo of somebody's domain.
    #[must_use]
    pub fn with_info(self, domain: &str, reason: &str, metadata: BTreeMap<String, String>) -> Self {
        self.with(ErrorDetail::ErrorInfo { reason: reason.to_owned(), domain: domain.to_owned(), metadata })
    }

    /// The `error` member of a JSON-RPC response (spec §9.5).
    pub fn to_jsonrpc(&self) -> Value {
        json!({ "code": self.kind.jsonrpc_code(), "message": self.message, "data": self.wire_details() })
    }

    /// The body of an HTTP+JSON error response (spec §11.6).
    pub fn to_http(&self) -> Value {
        json!({ "error": {
            "code": self.kind.http_status(),
            "status": self.kind.grpc_status(),
            "message": self.message,
            "details": self.wire_details(),
        }})
    }

    /// The details as JSON, each with its `@type`.
    pub(crate) fn wire_details(&self) -> Vec<Value> {
        let has_info = matches!(self.details.first(), Some(ErrorDetail::ErrorInfo { .. }));
        let specified = (!has_info && self.kind.is_specified()).then(|| ErrorDetail::ErrorInfo {
            reason: self.kind.reason().to_owned(),
            domain: A2A_DOMAIN.to_owned(),
            metadata: BTreeMap::new(),
        });
        specified.iter().chain(&self.details).map(ErrorDetail::to_wire).collect()
    }

    /// Reads a JSON-RPC error. Codes nobody defined read as [`ErrorKind::Internal`].
    pub fn from_jsonrpc(code: i64, message: &str, data: Option<&Value>) -> Self {
        let details = data.and_then(Value::as_array).map(|data| ErrorDetail::read_all(data));
        let kind = ErrorKind::ALL.iter().copied().find(|kind| kind.jsonrpc_code() == code);
        Self {
            kind: kind.unwrap_or(ErrorKind::Internal),
            message: format!("{message} ({code})"),
            details: details.unwrap_or_default(),
        }
    }

    /// Reads an HTTP+JSON error; the reason decides where several errors share a status.
    pub fn from_http(status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = body.get("error").unwrap_or(&body);
        let details = error.get("details").and_then(Value::as_array);
        let details = details.map(|details| ErrorDetail::read_all(details)).unwrap_or_default();
        let by_reason = kind_by_reason(&details);
        let by_status = || ErrorKind::ALL.iter().copied().rev().find(|kind| kind.http_status() == status);
        let message = error.get("message").and_then(Value::as_str).unwrap_or("no message");
        Self {
            kind: by_reason.or_else(by_status).unwrap_or(ErrorKind::Internal),
            message: format!("{message} (HTTP {status})"),
            details,
        }
    }
}

impl A2aError {
    /// Reads a gRPC status whose details are JSON with their `@type`.
    pub(crate) fn from_grpc(code: u8, message: &str, details: &[Value]) -> Self {
        let details = ErrorDetail::read_all(details);
        let row = GRPC_STATUSES.iter().find(|(known, ..)| *known == code);
        let (name, by_status) =
            row.map_or(("UNKNOWN", ErrorKind::Internal), |(_, name, kind)| (*name, *kind));
        Self {
            kind: kind_by_reason(&details).unwrap_or(by_status),
            message: format!("{message} (gRPC {name})"),
            details,
        }
    }
}

/// The row an ErrorInfo names.
fn kind_by_reason(details: &[ErrorDetail]) -> Option<ErrorKind> {
    let reason = details.iter().find_map(|detail| match detail {
        ErrorDetail::ErrorInfo { reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    ErrorKind::ALL.iter().copied().find(|kind| Some(kind.reason()) == reason)
}

impl ErrorDetail {
    fn to_wire(&self) -> Value {
        #[derive(Serialize)]
        struct Violation<'a> {
            field: &'a str,
            description: &'a str,
        }
        match self {
            Self::ErrorInfo { reason, domain, metadata } => {
                json!({ "@type": ERROR_INFO, "reason": reason, "domain": domain, "metadata": metadata })
            }
            Self::BadRequest { field_violations } => {
                let violations: Vec<Violation<'_>> = field_violations
                    .iter()
                    .map(|(field, description)| Violation { field, description })
                    .collect();
                json!({ "@type": BAD_REQUEST, "fieldViolations": violations })
            }
            Self::RetryInfo { seconds } => {
                json!({ "@type": RETRY_INFO, "retryDelay": format!("{seconds}s") })
            }
        }
    }

    /// Those that something follows from here: what went wrong, and when to try again.
    fn read_all(details: &[Value]) -> Vec<Self> {
        details.iter().filter_map(Self::read).collect()
    }

    fn read(detail: &Value) -> Option<Self> {
        let text = |name: &str| detail.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        match detail.get("@type")?.as_str()? {
            ERROR_INFO => {}
            RETRY_INFO => return Some(Self::RetryInfo { seconds: whole_seconds(&text("retryDelay")?)? }),
            _ => return None,
        }
        let metadata = detail.get("metadata").and_then(Value::as_object).into_iter().flatten();
        let metadata =
            metadata.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        Some(Self::ErrorInfo {
            reason: text("reason")?,
            domain: text("domain").unwrap_or_default(),
            metadata,
        })
    }
}

/// A ProtoJSON duration, such as `1.5s`, up to the next whole second.
fn whole_seconds(duration: &str) -> Option<u64> {
    let (seconds, fraction) = match duration.strip_suffix('s')?.split_once('.') {
        Some((seconds, fraction)) => (seconds, fraction),
        None => (duration.strip_suffix('s')?, ""),
    };
    let seconds: u64 = seconds.parse().ok()?;
    Some(seconds.saturating_add(u64::from(fraction.bytes().any(|digit| digit != b'0'))))
}
