//! A2A's operations and errors as the specification's tables give them (§5.3, §5.4), written down a second time on
//! purpose: a judge must not share its tables with whom it judges.

/// An operation (spec §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Method name in JSON-RPC and gRPC.
    pub method: &'static str,
    /// HTTP method of HTTP+JSON.
    pub verb: &'static str,
    /// Path of HTTP+JSON; `{name}` is the parameter of that name.
    pub path: &'static str,
}

macro_rules! operations {
    ($($name:ident: $method:literal $verb:literal $path:literal;)*) => {
        $(#[doc = $method] pub const $name: Operation = Operation { method: $method, verb: $verb, path: $path };)*
    };
}

operations! {
    SEND: "SendMessage" "POST" "/message:send";
    STREAM: "SendStreamingMessage" "POST" "/message:stream";
    GET: "GetTask" "GET" "/tasks/{id}";
    LIST: "ListTasks" "GET" "/tasks";
    CANCEL: "CancelTask" "POST" "/tasks/{id}:cancel";
    SUBSCRIBE: "SubscribeToTask" "POST" "/tasks/{id}:subscribe";
    CREATE_PUSH: "CreateTaskPushNotificationConfig" "POST" "/tasks/{taskId}/pushNotificationConfigs";
    GET_PUSH: "GetTaskPushNotificationConfig" "GET" "/tasks/{taskId}/pushNotificationConfigs/{id}";
    LIST_PUSH: "ListTaskPushNotificationConfigs" "GET" "/tasks/{taskId}/pushNotificationConfigs";
    DELETE_PUSH: "DeleteTaskPushNotificationConfig" "DELETE" "/tasks/{taskId}/pushNotificationConfigs/{id}";
    EXTENDED_CARD: "GetExtendedAgentCard" "GET" "/extendedAgentCard";
}

/// An error the specification names (spec §5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Its name in the text.
    pub name: &'static str,
    /// JSON-RPC code.
    pub code: i64,
    /// gRPC status code.
    pub grpc: i64,
    /// HTTP status.
    pub status: u16,
    /// `reason` of its ErrorInfo.
    pub reason: &'static str,
}

macro_rules! errors {
    ($($constant:ident: $name:literal $code:literal $grpc:literal $status:literal;)*) => {
        $(#[doc = $name] pub const $constant: Named =
            Named { name: $name, code: $code, grpc: $grpc, status: $status, reason: stringify!($constant) };)*
    };
}

errors! {
    TASK_NOT_FOUND: "TaskNotFoundError" -32001 5 404;
    TASK_NOT_CANCELABLE: "TaskNotCancelableError" -32002 9 400;
    PUSH_NOTIFICATION_NOT_SUPPORTED: "PushNotificationNotSupportedError" -32003 9 400;
    UNSUPPORTED_OPERATION: "UnsupportedOperationError" -32004 9 400;
    CONTENT_TYPE_NOT_SUPPORTED: "ContentTypeNotSupportedError" -32005 3 400;
    EXTENDED_AGENT_CARD_NOT_CONFIGURED: "ExtendedAgentCardNotConfiguredError" -32007 9 400;
    EXTENSION_SUPPORT_REQUIRED: "ExtensionSupportRequiredError" -32008 9 400;
    VERSION_NOT_SUPPORTED: "VersionNotSupportedError" -32009 9 400;
}

/// Every operation.
pub const ALL: [Operation; 11] = [
    SEND,
    STREAM,
    GET,
    LIST,
    CANCEL,
    SUBSCRIBE,
    CREATE_PUSH,
    GET_PUSH,
    LIST_PUSH,
    DELETE_PUSH,
    EXTENDED_CARD,
];

/// States after which nothing more happens (spec §4.1.3).
pub const TERMINAL: [&str; 4] =
    ["TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"];
/// States in which the agent waits for somebody.
pub const INTERRUPTED: [&str; 2] = ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED"];
/// States in which the agent is at work.
pub const AT_WORK: [&str; 2] = ["TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"];
