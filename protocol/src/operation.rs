//! The one table of A2A's operations (spec §5.3).

macro_rules! operation_table {
    ($($(#[$doc:meta])* $operation:ident: $name:literal, $method:literal, $path:literal, $streams:literal;)*) => {
        /// An A2A operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $operation,)*
        }

        impl Operation {
            /// All eleven.
            pub const ALL: &'static [Self] = &[$(Self::$operation,)*];

            /// The method's name, in JSON-RPC and in gRPC.
            pub fn method(self) -> &'static str {
                match self { $(Self::$operation => $name,)* }
            }

            /// The HTTP method and the path template of HTTP+JSON.
            pub fn route(self) -> (&'static str, &'static str) {
                match self { $(Self::$operation => ($method, $path),)* }
            }

            /// Whether it answers with a stream.
            pub fn streams(self) -> bool {
                match self { $(Self::$operation => $streams,)* }
            }
        }
    };
}

operation_table! {
    /// Send a message, wait for the answer.
    SendMessage: "SendMessage", "POST", "/message:send", false;
    /// Send a message, listen to what comes of it.
    SendStreamingMessage: "SendStreamingMessage", "POST", "/message:stream", true;
    /// A task as it stands.
    GetTask: "GetTask", "GET", "/tasks/{id}", false;
    /// Tasks, page by page.
    ListTasks: "ListTasks", "GET", "/tasks", false;
    /// Stop a task.
    CancelTask: "CancelTask", "POST", "/tasks/{id}:cancel", false;
    /// Listen to a task. The text says POST, the proto GET; both are accepted.
    SubscribeToTask: "SubscribeToTask", "GET", "/tasks/{id}:subscribe", true;
    /// Create a push configuration.
    CreateTaskPushNotificationConfig:
        "CreateTaskPushNotificationConfig", "POST", "/tasks/{id}/pushNotificationConfigs", false;
    /// Read a push configuration.
    GetTaskPushNotificationConfig:
        "GetTaskPushNotificationConfig", "GET", "/tasks/{id}/pushNotificationConfigs/{configId}", false;
    /// List push configurations.
    ListTaskPushNotificationConfigs:
        "ListTaskPushNotificationConfigs", "GET", "/tasks/{id}/pushNotificationConfigs", false;
    /// Delete a push configuration.
    DeleteTaskPushNotificationConfig:
        "DeleteTaskPushNotificationConfig", "DELETE", "/tasks/{id}/pushNotificationConfigs/{configId}", false;
    /// The card for those who are known.
    GetExtendedAgentCard: "GetExtendedAgentCard", "GET", "/extendedAgentCard", false;
}

impl Operation {
    /// The operation of a JSON-RPC method.
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.method() == method)
    }
}
