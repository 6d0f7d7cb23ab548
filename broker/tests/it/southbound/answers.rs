//! What an agent's answer means: for a message that is being sent, for a question, and in the middle of a stream.

use std::convert::Infallible;
use std::time::Duration;

use broker::ports::downstream::{AskError, Binding, Downstream};
use broker::southbound::client::Options;
use broker_core::delegation::input::Failure;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use protocol::binding::grpc;
use protocol::{A2aError, ErrorDetail, ErrorKind, Operation, Task};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::calls::{client, endpoint, message};
use super::web::Web;

/// What no test waits longer for.
const LIMIT: Duration = Duration::from_mins(1);
const TASK: &str = r#"{"id":"t","status":{"state":"TASK_STATE_WORKING"}}"#;

/// An agent that gives everybody the same answer.
async fn agent(status: &str, body: impl Into<String>) -> Web {
    let (head, body) = (format!("{status}\r\ncontent-type: application/json"), body.into());
    Web::start(move |_| (head.clone(), body.clone())).await
}

async fn sent(binding: Binding, status: &str, body: &str) -> Failure {
    let web = agent(status, body).await;
    let sent = client(Options::default()).send(&endpoint(&web.url(), binding, false), message()).await;
    sent.err().expect("a failure")
}

async fn asked(binding: Binding, status: &str, body: &str) -> AskError {
    let web = agent(status, body).await;
    client(Options::default()).get_task(&endpoint(&web.url(), binding, false), "t").await.unwrap_err()
}

fn rpc_error(error: &A2aError) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "error": error.to_jsonrpc() }).to_string()
}

/// What a gateway writes.
const JSON: &str = r#"{"message":"upstream failed"}"#;
const HTML: &str = "<html>";

#[tokio::test]
async fn who_stands_before_an_agent_refuses_nothing_in_its_name() {
    for binding in [Binding::JsonRpc, Binding::HttpJson] {
        for body in [JSON, HTML] {
            let failed = sent(binding, "502 Bad Gateway", body).await;
            assert!(matches!(failed, Failure::Errored(_)), "{binding:?} {body}: {failed:?}");
            for late in ["504 Gateway Timeout", "408 Request Timeout"] {
                let failed = sent(binding, late, body).await;
                assert!(matches!(failed, Failure::Broken(_)), "{binding:?} {late} {body}: {failed:?}");
            }
        }
    }
    let unknown = rpc_error(&A2aError::new(ErrorKind::OutcomeUnknown, "the store failed"));
    let failed = sent(Binding::JsonRpc, "200 OK", &unknown).await;
    assert!(matches!(failed, Failure::Broken(_)), "a broker that does not know says so: {failed:?}");
}

#[tokio::test]
async fn an_agent_that_is_busy_says_for_how_long_in_its_error_or_in_its_head() {
    let wait = ErrorDetail::RetryInfo { seconds: 3 };
    let busy = A2aError::new(ErrorKind::Unavailable, "busy");
    let says = rpc_error(&busy.clone().with(wait.clone()));
    let says_http = busy.clone().with(wait).to_http().to_string();
    let silent_http = busy.to_http().to_string();
    for (binding, status, body, millis) in [
        (Binding::JsonRpc, "200 OK", says.as_str(), Some(3_000)),
        (Binding::JsonRpc, "503 Unavailable\r\nretry-after: 9", says.as_str(), Some(3_000)),
        (Binding::JsonRpc, "503 Unavailable\r\nretry-after: 9", HTML, Some(9_000)),
        (Binding::JsonRpc, "429 Too Many\r\nretry-after: 9", HTML, Some(9_000)),
        (Binding::HttpJson, "503 Unavailable", says_http.as_str(), Some(3_000)),
        (Binding::HttpJson, "503 Unavailable\r\nretry-after: 9", silent_http.as_str(), Some(9_000)),
        (Binding::HttpJson, "503 Unavailable\r\nretry-after: soon", HTML, None),
    ] {
        match sent(binding, status, body).await {
            Failure::Busy { retry_after_ms, .. } => assert_eq!(retry_after_ms, millis, "{status} {body}"),
            other => panic!("{status} {body}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_question_that_somebody_else_answers_is_asked_again() {
    for binding in [Binding::JsonRpc, Binding::HttpJson] {
        for body in [JSON, HTML] {
            for status in [
                "401 Unauthorized",
                "403 Forbidden",
                "408 Request Timeout",
                "429 Too Many",
                "502 Bad Gateway",
                "302 Found\r\nlocation: https://login",
            ] {
                let answer = asked(binding, status, body).await;
                assert!(
                    matches!(answer, AskError::Unreachable(_)),
                    "{binding:?} {status} {body}: {answer:?}"
                );
            }
        }
    }
    for kind in [ErrorKind::Unauthenticated, ErrorKind::PermissionDenied, ErrorKind::OutcomeUnknown] {
        let answer = asked(Binding::JsonRpc, "200 OK", &rpc_error(&A2aError::new(kind, "no"))).await;
        assert!(matches!(answer, AskError::Unreachable(_)), "{kind:?}: {answer:?}");
    }
    let unsupported = rpc_error(&A2aError::new(ErrorKind::UnsupportedOperation, "no"));
    let answer = asked(Binding::JsonRpc, "200 OK", &unsupported).await;
    assert!(matches!(answer, AskError::Unsupported(_)), "what the agent says itself counts: {answer:?}");
}

#[tokio::test]
async fn nothing_at_a_tasks_path_is_no_such_task_and_nothing_at_an_agents_is_no_agent() {
    for body in [r#"{"detail":"Not Found"}"#, HTML, ""] {
        let answer = asked(Binding::HttpJson, "404 Not Found", body).await;
        assert!(matches!(answer, AskError::NotFound(_)), "{body}: {answer:?}");
        let answer = asked(Binding::JsonRpc, "404 Not Found", body).await;
        assert!(matches!(answer, AskError::Unreachable(_)), "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_no_broken_protocol() {
    let large =
        format!(r#"{{"id":"t","status":{{"state":"TASK_STATE_WORKING"}},"x":"{}"}}"#, "x".repeat(2_000));
    let web = agent("200 OK", large).await;
    let client = client(Options { max_response_bytes: 1_000, ..Options::default() });
    let to = endpoint(&web.url(), Binding::HttpJson, false);
    let answer = client.get_task(&to, "t").await.unwrap_err();
    assert!(
        matches!(&answer, AskError::TooLarge(why) if why.contains("1000 bytes (southbound.max_response)")),
        "{answer:?}"
    );
    let failed = client.send(&to, message()).await.err().unwrap();
    assert!(matches!(failed, Failure::Broken(_)), "it was done: {failed:?}");
}

#[tokio::test]
async fn an_agent_that_falls_silent_after_the_head_of_its_answer_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
            socket.write_all(head.as_bytes()).await.unwrap();
            kept.push(socket);
        }
    });
    // The head has to come within it, too.
    let client = client(Options { response_timeout: Duration::from_secs(3), ..Options::default() });
    let to = endpoint(&url, Binding::JsonRpc, true);
    let silent = "its answer did not end within";
    let answers = async {
        tokio::join!(client.extended_card(&to), client.cancel_task(&to, "t"), client.send(&to, message()))
    };
    let (card, cancel, sent) = tokio::time::timeout(LIMIT, answers).await.expect("each gives up by itself");
    let (card, cancel, sent) = (card.unwrap_err(), cancel.unwrap_err(), sent.err().unwrap());
    assert!(matches!(&card, AskError::Unreachable(why) if why.starts_with(silent)), "{card:?}");
    assert!(matches!(&cancel, AskError::Unreachable(why) if why.starts_with(silent)), "{cancel:?}");
    assert!(matches!(&sent, Failure::Broken(why) if why.starts_with(silent)), "{sent:?}");
}

#[tokio::test]
async fn after_its_first_event_a_stream_refuses_no_task() {
    let event = |result: &str| format!("data: {{\"jsonrpc\":\"2.0\",\"id\":1,{result}}}\n\n");
    let refused = |kind| {
        let error = A2aError::new(kind, "no").to_jsonrpc();
        event(&format!("\"error\":{error}"))
    };
    let begun = event(&format!("\"result\":{{\"task\":{TASK}}}"));
    for kind in [ErrorKind::Unauthenticated, ErrorKind::TaskNotFound, ErrorKind::Unavailable] {
        let body = format!("{begun}{}", refused(kind));
        let head = "200 OK\r\ncontent-type: text/event-stream";
        let web = Web::start(move |_| (head.to_owned(), body.clone())).await;
        let to = endpoint(&web.url(), Binding::JsonRpc, true);
        let events = client(Options::default()).send(&to, message()).await.unwrap();
        let events: Vec<_> = events.collect().await;
        assert!(matches!(events.as_slice(), [Ok(_), Err(Failure::Broken(_))]), "{kind:?}: {events:?}");
    }
    let body = refused(ErrorKind::Unauthenticated);
    let web =
        Web::start(move |_| ("200 OK\r\ncontent-type: text/event-stream".to_owned(), body.clone())).await;
    let to = endpoint(&web.url(), Binding::JsonRpc, true);
    let events: Vec<_> = client(Options::default()).send(&to, message()).await.unwrap().collect().await;
    assert!(matches!(events.as_slice(), [Err(Failure::Refused(_))]), "as the first it is one: {events:?}");
}

/// An agent over gRPC that says these events and ends with this status.
async fn grpc_agent(events: Vec<String>, status: ErrorKind) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let events = events.clone();
            let answer = service_fn(move |_| {
                let mut trailers = HeaderMap::new();
                trailers.insert(grpc::STATUS_TRAILER, u16::from(status.grpc_code()).into());
                let event = |json: &String| {
                    let operation = Operation::SendStreamingMessage;
                    let message = grpc::write_response(operation, json.as_bytes()).unwrap();
                    Ok::<_, Infallible>(Frame::data(Bytes::from(message)))
                };
                let mut frames: Vec<_> = events.iter().map(event).collect();
                frames.push(Ok(Frame::trailers(trailers)));
                let body = StreamBody::new(futures_util::stream::iter(frames));
                let answer = Response::builder().header("content-type", grpc::MEDIA_TYPE).body(body);
                async move { Ok::<_, Infallible>(answer.unwrap()) }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { server.serve_connection(TokioIo::new(socket), answer).await });
        }
    });
    url
}

#[tokio::test]
async fn a_status_at_the_end_of_a_stream_refuses_only_what_has_not_begun() {
    let task = format!(r#"{{"task":{TASK}}}"#);
    for kind in [ErrorKind::Unauthenticated, ErrorKind::TaskNotFound, ErrorKind::Unavailable] {
        let url = grpc_agent(vec![task.clone()], kind).await;
        let to = endpoint(&url, Binding::Grpc, true);
        let events = client(Options::default()).send(&to, message()).await.unwrap();
        let events: Vec<_> = events.collect().await;
        assert!(matches!(events.as_slice(), [Ok(_), Err(Failure::Broken(_))]), "{kind:?}: {events:?}");
    }
    let url = grpc_agent(Vec::new(), ErrorKind::Unauthenticated).await;
    let failed = client(Options::default()).send(&endpoint(&url, Binding::Grpc, true), message()).await;
    assert!(matches!(failed.err(), Some(Failure::Refused(_))));
}

/// An agent with one task: as it lists it, and as it shows it by itself.
async fn found_at(listed: Value, alone: Value) -> Result<Option<Task>, AskError> {
    let task = |history: &Value| json!({ "id": "t", "contextId": "c", "status": { "state": "TASK_STATE_WORKING" }, "history": history });
    let (listed, alone) = (json!({ "tasks": [task(&listed)], "nextPageToken": "" }), task(&alone));
    let web = Web::start(move |asked| {
        let body = if asked.head.starts_with("GET /tasks/t ") { &alone } else { &listed };
        ("200 OK\r\ncontent-type: application/json".to_owned(), body.to_string())
    });
    let to = endpoint(&web.await.url(), Binding::HttpJson, false);
    client(Options::default()).find_task(&to, "c", "m.019b76da-b2d4-7000-8000-000000010000.1").await
}

#[tokio::test]
async fn a_task_is_known_by_any_message_of_its_attempt_and_one_that_shows_none_proves_nothing() {
    let user = |id: &str| json!({ "messageId": id, "role": "ROLE_USER", "parts": [{ "text": "x" }] });
    let agent = json!({ "messageId": "a", "role": "ROLE_AGENT", "parts": [{ "text": "x" }] });
    let first = user("m.019b76da-b2d4-7000-8000-000000010000.1");
    let later = user("turn.019b76da-b2d4-7000-8000-000000010000.1");
    let other = user("m.019b76da-b2d4-7000-8000-000000010000.2");
    let found = |listed, alone| async { found_at(listed, alone).await.map(|task| task.is_some()) };
    for (what, listed, alone, is_there) in [
        ("listed in full", json!([first, agent]), json!([]), true),
        ("cut short, a later message left", json!([later, agent]), json!([]), true),
        ("cut short, nothing of the caller left", json!([agent]), json!([first, agent]), true),
        ("listed without a history", json!([]), json!([first]), true),
        ("another attempt's", json!([other]), json!([other]), false),
    ] {
        assert_eq!(found(listed, alone).await, Ok(is_there), "{what}");
    }
    for history in [json!([]), json!([agent])] {
        let unknown = found(history.clone(), history).await;
        assert!(matches!(unknown, Err(AskError::Unsupported(_))), "it may be the one: {unknown:?}");
    }
}
