//! The error table against the specification's (§5.4), and its way there and back on both bindings.

use protocol::{A2aError, ErrorDetail, ErrorKind};
use serde_json::{Value, json};

#[test]
fn the_table_is_the_specifications() {
    let table = [
        (ErrorKind::TaskNotFound, -32001, "NOT_FOUND", 404, "TASK_NOT_FOUND"),
        (ErrorKind::TaskNotCancelable, -32002, "FAILED_PRECONDITION", 400, "TASK_NOT_CANCELABLE"),
        (
            ErrorKind::PushNotificationNotSupported,
            -32003,
            "FAILED_PRECONDITION",
            400,
            "PUSH_NOTIFICATION_NOT_SUPPORTED",
        ),
        (ErrorKind::UnsupportedOperation, -32004, "FAILED_PRECONDITION", 400, "UNSUPPORTED_OPERATION"),
        (ErrorKind::ContentTypeNotSupported, -32005, "INVALID_ARGUMENT", 400, "CONTENT_TYPE_NOT_SUPPORTED"),
        (ErrorKind::InvalidAgentResponse, -32006, "INTERNAL", 500, "INVALID_AGENT_RESPONSE"),
        (
            ErrorKind::ExtendedAgentCardNotConfigured,
            -32007,
            "FAILED_PRECONDITION",
            400,
            "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
        ),
        (
            ErrorKind::ExtensionSupportRequired,
            -32008,
            "FAILED_PRECONDITION",
            400,
            "EXTENSION_SUPPORT_REQUIRED",
        ),
        (ErrorKind::VersionNotSupported, -32009, "FAILED_PRECONDITION", 400, "VERSION_NOT_SUPPORTED"),
        (ErrorKind::ParseError, -32700, "INVALID_ARGUMENT", 400, "PARSE_ERROR"),
        (ErrorKind::InvalidRequest, -32600, "INVALID_ARGUMENT", 400, "INVALID_REQUEST"),
        (ErrorKind::MethodNotFound, -32601, "NOT_FOUND", 404, "METHOD_NOT_FOUND"),
        (ErrorKind::InvalidParams, -32602, "INVALID_ARGUMENT", 400, "INVALID_PARAMS"),
        (ErrorKind::Internal, -32603, "INTERNAL", 500, "INTERNAL_ERROR"),
        (ErrorKind::Unauthenticated, -31401, "UNAUTHENTICATED", 401, "UNAUTHENTICATED"),
        (ErrorKind::PermissionDenied, -31403, "PERMISSION_DENIED", 403, "PERMISSION_DENIED"),
        (ErrorKind::EventGap, -31410, "OUT_OF_RANGE", 410, "EVENT_GAP"),
        (ErrorKind::ResourceExhausted, -31429, "RESOURCE_EXHAUSTED", 429, "RESOURCE_EXHAUSTED"),
        (ErrorKind::OutcomeUnknown, -31504, "UNKNOWN", 504, "OUTCOME_UNKNOWN"),
    ];
    for (kind, code, grpc, http, reason) in table {
        assert_eq!(
            (kind.jsonrpc_code(), kind.grpc_status(), kind.http_status(), kind.reason()),
            (code, grpc, http, reason)
        );
    }
}

#[test]
fn specified_errors_carry_an_error_info_and_come_back_from_both_bindings() {
    for &kind in ErrorKind::ALL.iter().filter(|kind| (-32009..=-32001).contains(&kind.jsonrpc_code())) {
        let error = A2aError::new(kind, "why");
        let rpc = error.to_jsonrpc();
        assert_eq!(rpc["data"][0]["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
        assert_eq!(rpc["data"][0]["reason"], kind.reason());
        assert_eq!(rpc["data"][0]["domain"], "a2a-protocol.org");
        assert_eq!(A2aError::from_jsonrpc(kind.jsonrpc_code(), "why", Some(&rpc["data"])).kind, kind);
        let http = error.to_http();
        assert_eq!(http["error"]["code"], kind.http_status());
        assert_eq!(A2aError::from_http(kind.http_status(), http.to_string().as_bytes()).kind, kind);
    }
    assert_eq!(A2aError::from_jsonrpc(-1, "?", Some(&Value::Null)).kind, ErrorKind::Internal);
    assert_eq!(A2aError::from_http(500, b"<html>").kind.http_status(), 500);
}

#[test]
fn when_to_try_again_is_read_from_every_binding() {
    let waits = |details: &[ErrorDetail]| match details {
        [ErrorDetail::ErrorInfo { .. }, ErrorDetail::RetryInfo { seconds }] => Some(*seconds),
        _ => None,
    };
    let busy = A2aError::new(ErrorKind::Unavailable, "busy")
        .with_info("example", "BUSY", std::collections::BTreeMap::new())
        .with(ErrorDetail::RetryInfo { seconds: 7 });
    let data = &busy.to_jsonrpc()["data"];
    assert_eq!(waits(&A2aError::from_jsonrpc(-31503, "busy", Some(data)).details), Some(7));
    assert_eq!(waits(&A2aError::from_http(503, busy.to_http().to_string().as_bytes()).details), Some(7));
    for (delay, seconds) in [("0s", Some(0)), ("1.5s", Some(2)), ("0.000s", Some(0)), ("0.25s", Some(1))]
        .into_iter()
        .chain([("-1s", None), ("1", None), ("s", None), ("1.s", Some(1))])
    {
        let info = json!([{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }]);
        let read = A2aError::from_jsonrpc(-31503, "busy", Some(&info)).details;
        let expected: Vec<_> =
            seconds.map(|seconds| ErrorDetail::RetryInfo { seconds }).into_iter().collect();
        assert_eq!(read, expected, "{delay}");
    }
}
