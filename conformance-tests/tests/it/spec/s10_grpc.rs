//! gRPC on the port of the other bindings (spec §10), down to its bytes: what is malformed is refused with the right
//! status, and whatever was sent, the next call is served.

use conformance_tests::grpc::{Connection, SERVICE, field, frame, send_request};
use conformance_tests::{Agent, Broker, Gates, wire};
use serde_json::json;

use crate::security::api_keys::made_key;

const INVALID_ARGUMENT: u32 = 3;
const DEADLINE_EXCEEDED: u32 = 4;
const NOT_FOUND: u32 = 5;
const RESOURCE_EXHAUSTED: u32 = 8;
const FAILED_PRECONDITION: u32 = 9;
const UNIMPLEMENTED: u32 = 12;
const UNAUTHENTICATED: u32 = 16;

fn method(name: &str) -> String {
    format!("{SERVICE}/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_and_messages_are_refused_and_the_connection_lives_on() {
    let broker = Broker::start("");
    let mut connection = Connection::open(broker.address()).await;
    let ask = frame(&field(2, b"nothing"));
    let compressed = [&[1], &ask[1..]].concat();
    let table: Vec<(&str, Vec<u8>, u32)> = vec![
        ("a whole message", ask.clone(), NOT_FOUND),
        ("no message", Vec::new(), INVALID_ARGUMENT),
        ("half a prefix", ask[..3].to_vec(), INVALID_ARGUMENT),
        ("half a message", ask[..8].to_vec(), INVALID_ARGUMENT),
        ("two messages", [ask.clone(), ask.clone()].concat(), INVALID_ARGUMENT),
        ("a length of 4 GiB", vec![0, 0xff, 0xff, 0xff, 0xff, 0x12], INVALID_ARGUMENT),
        ("a flag nobody has", [&[7], &ask[1..]].concat(), INVALID_ARGUMENT),
        ("a compressed message", compressed, UNIMPLEMENTED),
        ("no id", frame(&[]), INVALID_ARGUMENT),
        ("a field cut short", frame(&[0x12, 0x7f, b'x']), INVALID_ARGUMENT),
        ("a text that is none", frame(&field(2, &[0xff, 0xfe])), INVALID_ARGUMENT),
        ("a number for a text", frame(&[2 << 3, 1]), INVALID_ARGUMENT),
        ("an endless number", frame(&[0xff; 11]), INVALID_ARGUMENT),
        ("a group", frame(&[3 << 3 | 3]), INVALID_ARGUMENT),
        ("field 0", frame(&[2, 0]), INVALID_ARGUMENT),
        ("a field of a later version", frame(&[field(2, b"nothing"), field(15, b"new")].concat()), NOT_FOUND),
        ("a body too large", vec![0; 5 << 20], RESOURCE_EXHAUSTED),
    ];
    for (what, body, code) in table {
        let answer = connection.call(&method("GetTask"), &[], body).await;
        assert_eq!((answer.http, answer.code()), (200, Some(code)), "{what}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/grpc"));
        assert!(answer.body.is_empty(), "{what}: an error has no message");
    }
    let deep = (0..60).fold(vec![2 << 3 | 2, 0], |inner, _| field(6, &field(1, &inner)));
    let part = field(4, &deep);
    let message = [field(1, b"deep"), vec![4 << 3, 1], field(5, &part)].concat();
    let answer = connection.call(&method("SendMessage"), &[], frame(&field(2, &message))).await;
    assert_eq!(answer.code(), Some(INVALID_ARGUMENT), "{answer:?}");
    assert!(answer.header("grpc-message").unwrap().contains("nested deeper"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_enforced_on_every_method_and_unknown_methods_are_unimplemented() {
    let broker = Broker::start("");
    let mut connection = Connection::open(broker.address()).await;
    for name in wire::OPERATIONS {
        for version in ["", "0.3", "2.0"] {
            let answer = connection.call(&method(name), &[("a2a-version", version)], frame(&[])).await;
            assert_eq!(answer.code(), Some(FAILED_PRECONDITION), "{name} {version:?}: {answer:?}");
            assert!(
                answer.header("grpc-message").unwrap().contains("1.0"),
                "what is spoken is named: {answer:?}"
            );
            assert!(answer.header("grpc-status-details-bin").is_some(), "{answer:?}");
        }
        let spoken = connection.call(&method(name), &[], frame(&[])).await;
        assert_ne!(spoken.code(), Some(UNIMPLEMENTED), "{name}: {spoken:?}");
    }
    for path in
        ["/lf.a2a.v1.A2AService/Nothing", "/a2a.v1.A2AService/GetTask", "/", "/agents/worker", "/healthz"]
    {
        let answer = connection.call(path, &[], frame(&[])).await;
        assert_eq!((answer.http, answer.code()), (200, Some(UNIMPLEMENTED)), "{path}: {answer:?}");
    }
    let bad = connection.call(&method("ListTasks"), &[("grpc-timeout", "soon")], frame(&[])).await;
    assert_eq!(bad.code(), Some(INVALID_ARGUMENT), "{bad:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bindings_share_the_port_and_the_connection() {
    let broker = Broker::start("");
    let mut connection = Connection::open(broker.address()).await;
    let rpc = json!({ "jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {} }).to_string();
    let by_json = connection.call("/", &[("content-type", "application/json")], rpc.into_bytes()).await;
    assert!(String::from_utf8(by_json.body).unwrap().contains("nextPageToken"));
    let by_grpc = connection.call(&method("ListTasks"), &[], frame(&[])).await;
    // 3: the page size, 50; there is nothing else to say.
    assert_eq!((by_grpc.code(), by_grpc.body), (Some(0), frame(&[3 << 3, 50])));

    let url = format!("{}{}", broker.url(), method("ListTasks"));
    let headers = [("Content-Type", "application/grpc"), ("A2A-Version", "1.0")];
    let old = wire::request("POST", &url, &headers, frame(&[])).await;
    assert_eq!(old.status, 400, "{}", old.text);
    assert!(old.text.contains("HTTP/2"), "{}", old.text);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for noise in
        [&b"\x00\x00\x00\x00"[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"]
    {
        wire::raw(broker.address(), &[preface, noise].concat()).await;
    }
    let still = connection.call(&method("ListTasks"), &[], frame(&[])).await;
    assert_eq!(still.code(), Some(0), "whatever others send");
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_end_the_call_and_not_the_task() {
    let broker = Broker::start("");
    let (agent, gates) = (Agent::scripted("worker"), Gates::start().await);
    broker.add_agent("worker", agent.url(), &[]).await;
    let mut connection = Connection::open(broker.address()).await;
    let script = json!({ "gate": gates.wait("both"), "chunks": ["done"] }).to_string();
    let headers = [("grpc-timeout", "300m")];
    for name in ["SendMessage", "SendStreamingMessage"] {
        let answer =
            connection.call(&method(name), &headers, frame(&send_request("worker", name, &script))).await;
        assert_eq!(answer.code(), Some(DEADLINE_EXCEEDED), "{name}: {answer:?}");
    }
    gates.open("both").await;
    // The same message again joins the task that went on.
    for name in ["SendMessage", "SendStreamingMessage"] {
        let answer = connection.call(&method(name), &[], frame(&send_request("worker", name, &script))).await;
        assert_eq!(answer.code(), Some(0), "{name}: {answer:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains("done"), "{name}");
    }
    assert_eq!(agent.logged("received").len(), 2, "each message was worked on once");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_metadata_and_judged_like_everywhere() {
    let (key, hash) = made_key();
    let broker = Broker::start(&format!("[[principals]]\nname = \"alice\"\nkey_sha256 = [\"{hash}\"]\n"));
    let mut connection = Connection::open(broker.address()).await;
    let (good, bad) = (format!("Bearer {key}"), format!("Bearer {key}x"));
    for (headers, code) in [
        (vec![("authorization", good.as_str())], 0),
        (vec![("x-api-key", &key)], 0),
        (vec![], UNAUTHENTICATED),
        (vec![("authorization", bad.as_str())], UNAUTHENTICATED),
        (vec![("authorization", bad.as_str()), ("x-api-key", &key)], UNAUTHENTICATED),
        (vec![("authorization", good.as_str()), ("authorization", good.as_str())], UNAUTHENTICATED),
    ] {
        let answer = connection.call(&method("ListTasks"), &headers, frame(&[])).await;
        assert_eq!(answer.code(), Some(code), "{headers:?}: {answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), code != 0, "the challenge");
    }
}
