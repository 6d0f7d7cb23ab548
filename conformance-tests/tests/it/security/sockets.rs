//! Hostile sockets on HTTP/1: bytes that two readers could take for different requests, heads and bodies that do not
//! end, and headers that contradict each other. Each is refused or answered as one request, the connection is closed
//! where its framing is in doubt, and the next honest caller is served.

use std::time::Duration;

use conformance_tests::{Agent, Broker, wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::api_keys::made_key;

/// Longest wait for an answer's end; below the broker's own limit on an idle connection in these tests.
const PATIENCE: Duration = Duration::from_secs(25);
const SLOW: &str = "[server]\nheader_timeout = \"5m\"\nbody_timeout = \"5m\"\n";
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":{}}"#;
/// A request that must never be seen where it stands in the body of another.
const SMUGGLED: &str = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Sends bytes; everything that is answered, and whether the broker closed the connection.
async fn exchange(address: &str, bytes: &[u8]) -> (String, bool) {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    // A broker that has refused the beginning need not take the rest.
    let _ = socket.write_all(bytes).await;
    read_out(&mut socket).await
}

async fn read_out(socket: &mut TcpStream) -> (String, bool) {
    let (mut answer, mut piece) = (Vec::new(), [0; 8_192]);
    loop {
        match tokio::time::timeout(PATIENCE, socket.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => return (String::from_utf8_lossy(&answer).into_owned(), true),
            Ok(Ok(read)) => answer.extend_from_slice(&piece[..read]),
            Err(_) => return (String::from_utf8_lossy(&answer).into_owned(), false),
        }
    }
}

/// Each answer in short: its status, and what its body is.
fn answers(text: &str) -> Vec<String> {
    let answers = text.split("HTTP/1.").skip(1);
    answers
        .map(|answer| {
            let status = answer.split(' ').nth(1).unwrap_or_default();
            let body = match answer {
                result if result.contains("\"result\"") => " result",
                error if error.contains("\"error\"") => " error",
                _ => "",
            };
            format!("{status}{body}")
        })
        .collect()
}

/// A call of JSON-RPC with these headers besides, and this as its body.
fn post(headers: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
    )
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

async fn holds(broker: &Broker, table: Vec<(&str, String, &[&str])>) {
    for (what, bytes, expected) in table {
        let (text, closed) = exchange(broker.address(), bytes.as_bytes()).await;
        assert_eq!(answers(&text), expected, "{what}: {text}");
        assert!(closed, "{what}: the connection stays open");
        let well = wire::post(&broker.url(), &serde_json::from_str(LIST).unwrap(), None).await;
        assert!(well.json()["result"].is_object(), "after {what}: {}", well.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_hides_in_the_body_of_another() {
    let broker = Broker::start(SLOW);
    let length = LIST.len();
    let close = "Connection: close\r\n";
    let body = chunked(LIST);
    let te =
        |value: &str| post(&format!("{close}Transfer-Encoding: {value}\r\n"), &format!("{body}{SMUGGLED}"));
    let cl = |value: &str| post(&format!("{close}Content-Length: {value}\r\n"), &format!("{LIST}{SMUGGLED}"));
    let chunk = |chunk: &str| post("Transfer-Encoding: chunked\r\n", &format!("{chunk}{SMUGGLED}"));
    let both = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", body.len() + SMUGGLED.len());
    let both_short = "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n";
    let once: &[&str] = &["200 result"];
    let refused: &[&str] = &["400"];
    let unread: &[&str] = &["200 error"];
    let rows: Vec<(&str, String, &[&str])> = vec![
        ("a length, then chunks", post(&both, &format!("{body}{SMUGGLED}")), once),
        ("chunks, then a length", post(both_short, &format!("{body}{SMUGGLED}")), once),
        (
            "two lengths that differ",
            cl(&format!("{length}\r\nContent-Length: {}", length + SMUGGLED.len())),
            refused,
        ),
        ("two lengths that agree", cl(&format!("{length}\r\nContent-Length: {length}")), once),
        ("two lengths in one line", cl(&format!("{length}, {}", length + 1)), refused),
        ("a length with a sign", cl(&format!("+{length}")), refused),
        ("a negative length", cl("-1"), refused),
        ("a length in hex", cl("0x39"), refused),
        ("a length beyond all numbers", cl("99999999999999999999999"), refused),
        ("a length that is no number", cl("x"), refused),
        ("nearly chunked", te("xchunked"), refused),
        ("chunked, then identity", te("chunked, identity"), refused),
        ("identity", te("identity"), refused),
        ("chunked, then identity, in two lines", te("chunked\r\nTransfer-Encoding: identity"), refused),
        ("a coding nobody undoes, then chunked", te("gzip, chunked"), unread),
        ("chunked behind a control character", te("\u{b}chunked"), refused),
        (
            "a space before the colon",
            post(&format!("{close}Transfer-Encoding : chunked\r\n"), &body),
            refused,
        ),
        ("a folded line", post(&format!("{close}Transfer-Encoding:\r\n chunked\r\n"), &body), refused),
        ("a chunk with an extension", te("chunked").replace("\r\n{", ";a=b\r\n{"), once),
        ("a chunk with an endless extension", chunk(&format!("1;{}\r\n", "a".repeat(1 << 17))), unread),
        ("a negative chunk", chunk("-1\r\n{}\r\n0\r\n\r\n"), unread),
        ("a chunk in C's hex", chunk("0x2\r\n{}\r\n0\r\n\r\n"), unread),
        ("a chunk beyond all numbers", chunk("fffffffffffffffff\r\n{}\r\n0\r\n\r\n"), unread),
        ("a chunk longer than it says", chunk("1\r\n{}\r\n0\r\n\r\n"), unread),
        ("a chunk that says nothing", chunk("\r\n{}\r\n0\r\n\r\n"), unread),
    ];
    holds(&broker, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_contradict_each_other_are_refused_on_every_door() {
    let broker = Broker::start(SLOW);
    let length = format!("Connection: close\r\nContent-Length: {}\r\n", LIST.len());
    let rpc = |headers: &str| post(&format!("{length}{headers}"), LIST);
    let get = |headers: &str| {
        format!("GET /tasks HTTP/1.1\r\nConnection: close\r\nA2A-Version: 1.0\r\n{headers}\r\n")
    };
    let many = (0..200).map(|number| format!("X-{number}: x\r\n")).collect::<Vec<_>>().concat();
    let rows: Vec<(&str, String, &[&str])> = vec![
        ("two versions", rpc("A2A-Version: 0.3\r\n"), &["200 error"]),
        ("one version twice", rpc("A2A-Version: 1.0\r\n"), &["200 result"]),
        ("two types", rpc("Content-Type: text/plain\r\n"), &["200 error"]),
        ("two hosts", rpc("Host: y\r\n"), &["200 error"]),
        ("two credentials", rpc("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), &["401 error"]),
        (
            "one credential twice",
            rpc("Authorization: Bearer a\r\nAuthorization: Bearer a\r\n"),
            &["401 error"],
        ),
        ("an encoded body", rpc("Content-Encoding: gzip\r\n"), &["200 error"]),
        ("two versions in a GET", get("Host: x\r\nA2A-Version: 0.3\r\n"), &["400 error"]),
        ("two hosts in a GET", get("Host: x\r\nHost: y\r\n"), &["400 error"]),
        ("no host", get(""), &["400 error"]),
        ("two keys", get("Host: x\r\nX-API-Key: a\r\nX-API-Key: b\r\n"), &["401 error"]),
        ("a head too large", rpc(&format!("X: {}\r\n", "x".repeat(1 << 20))), &["431"]),
        ("too many headers", rpc(&many), &["431"]),
        ("a header without a name", rpc(": x\r\n"), &["400"]),
        ("a NUL in a header", rpc("X: a\0b\r\n"), &["400"]),
    ];
    holds(&broker, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_are_refused_even_where_one_of_them_is_good() {
    let (key, digest) = made_key();
    let config = format!("{SLOW}[[principals]]\nname = \"alice\"\nkey_sha256 = \"{digest}\"\n");
    let broker = Broker::start(&config);
    let length = format!("Connection: close\r\nContent-Length: {}\r\n", LIST.len());
    let with = |others: &str| post(&format!("{length}{others}"), LIST);
    let good = format!("Authorization: Bearer {key}\r\n");
    let table = [
        (good.clone(), "200 result"),
        (format!("{good}Authorization: Bearer other\r\n"), "401 error"),
        (format!("Authorization: Bearer other\r\n{good}"), "401 error"),
        (format!("{good}Authorization: Basic eDp5\r\n"), "401 error"),
    ];
    for (headers, expected) in table {
        let (text, closed) = exchange(broker.address(), with(&headers).as_bytes()).await;
        assert_eq!((answers(&text), closed), (vec![expected.to_owned()], true), "{headers}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_paths_lead_to_nothing_they_should_not() {
    let broker = Broker::start(SLOW);
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let ask =
        |line: &str| format!("{line} HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\nConnection: close\r\n\r\n");
    let no: &[&str] = &["404 error"];
    let rows: Vec<(&str, String, &[&str])> = vec![
        ("the whole URL", ask("GET http://elsewhere.example/healthz"), &["200"]),
        ("dots, encoded", ask("GET /%2e%2e/healthz"), no),
        ("dots", ask("GET /agents/../healthz"), no),
        ("two slashes", ask("GET //healthz"), no),
        ("a NUL, encoded", ask("GET /healthz%00"), no),
        ("a NUL", ask("GET /healthz\0"), &["400"]),
        ("a slash in a name", ask("GET /agents/worker%2Ftasks"), no),
        ("dots in a name", ask("GET /agents/%2e%2e/tasks"), no),
        ("a name in capitals", ask("GET /agents/WORKER/tasks"), no),
        ("a backslash", ask("GET /agents\\worker/tasks"), no),
        ("no path", ask("GET *"), no),
        ("all options", ask("OPTIONS *"), no),
        ("a tunnel", ask("CONNECT x:80"), no),
        ("a path of 128 KiB", ask(&format!("GET /{}", "a".repeat(1 << 17))), &["431"]),
        ("an unknown method", ask("BREW /healthz"), &["405 error"]),
        ("no request", "\u{16}\u{3}\u{1}\u{2}\0\u{1}".to_owned(), &["400"]),
        ("a version to come", "GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(), &["400"]),
    ];
    holds(&broker, rows).await;
    assert!(agent.log().is_empty(), "no agent heard of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_upgrading_and_impatient_callers_are_served_one_answer_per_request() {
    let broker = Broker::start(SLOW);
    let health = |headers: &str| format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let h2c =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
    let list = |id: u8, close: &str| {
        let body = LIST.replace("\"id\":1", &format!("\"id\":{id}"));
        post(&format!("{close}Content-Length: {}\r\n", body.len()), &body)
    };
    let pipeline = [list(1, ""), list(2, ""), list(3, "Connection: close\r\n")].concat();
    let (text, _) = exchange(broker.address(), pipeline.as_bytes()).await;
    let order: Vec<Option<usize>> = (1..=3).map(|id| text.find(&format!("\"id\":{id}"))).collect();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "answers in order: {text}");
    let rows: Vec<(&str, String, &[&str])> = vec![
        ("HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n".to_owned(), &["200"]),
        (
            "chunks in HTTP/1.0",
            format!("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunked(LIST)),
            &["400"],
        ),
        (
            "an upgrade to h2c, then bytes of it",
            health(h2c) + &health("Connection: close\r\n"),
            &["200", "200"],
        ),
        (
            "an upgrade to nothing known",
            health("Connection: Upgrade, close\r\nUpgrade: websocket\r\n"),
            &["200"],
        ),
        (
            "a body where none is read",
            format!(
                "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
                SMUGGLED.len()
            ) + &health("Connection: close\r\n"),
            &["200", "200"],
        ),
        ("three requests at once", pipeline, &["200 result"; 3]),
    ];
    holds(&broker, rows).await;

    let mut socket = TcpStream::connect(broker.address()).await.unwrap();
    let head =
        post(&format!("Connection: close\r\nExpect: 100-continue\r\nContent-Length: {}\r\n", LIST.len()), "");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100 Continue"), "{}", String::from_utf8_lossy(&go_on));
    socket.write_all(LIST.as_bytes()).await.unwrap();
    assert_eq!(answers(&read_out(&mut socket).await.0), ["200 result"]);

    let mut socket = TcpStream::connect(broker.address()).await.unwrap();
    socket.write_all(health("").as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let (text, closed) = read_out(&mut socket).await;
    assert!(closed && (text.is_empty() || answers(&text) == ["200"]), "half closed: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_come_to_the_end_is_let_go() {
    // No less: it holds for who is honest, and on a machine that stands still for a moment, too.
    let broker = Broker::start("[server]\nheader_timeout = \"4s\"\nbody_timeout = \"4s\"\n");
    let rows: Vec<(&str, &[u8], &[&str])> = vec![
        ("nothing at all", b"", &[]),
        ("the first letter of either version", b"P", &[]),
        ("half of HTTP/2's first words", b"PRI * HTTP/2.0\r\n\r\nSM", &[]),
        ("half a head", b"GET /healthz HTTP/1.1\r\nHost:", &["408"]),
        (
            "half a body",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{",
            &["200 error"],
        ),
        (
            "half a chunk",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n9\r\n{",
            &["200 error"],
        ),
        ("a request, then nothing", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &["200"]),
    ];
    let waiting = rows.into_iter().map(|(what, bytes, expected)| {
        let address = broker.address().to_owned();
        tokio::spawn(async move {
            let (text, closed) = exchange(&address, bytes).await;
            (what, answers(&text), expected, closed)
        })
    });
    for waiting in waiting.collect::<Vec<_>>() {
        let (what, answers, expected, closed) = waiting.await.unwrap();
        assert!(closed, "{what}: the connection is held");
        assert!(answers == expected || answers.is_empty() && expected == ["408"], "{what}: {answers:?}");
    }
    let mut socket = TcpStream::connect(broker.address()).await.unwrap();
    socket.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
    drop(socket);
    assert_eq!(wire::get(&format!("{}/healthz", broker.url())).await.status, 200);
}
