//! Hostile sockets on HTTP/2: frames that cost the server more than their sender. The connection is ended or bounded,
//! the process does not grow, and the next honest caller is served.

use std::time::Duration;

use conformance_tests::{Broker, wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://x/healthz` in HPACK, without a table.
const GET: &[u8] = b"\x82\x86\x44\x08/healthz\x41\x01x";
/// Frames of each flood.
const FLOOD: u32 = 20_000;
/// Longest wait for the end of a connection.
const PATIENCE: Duration = Duration::from_secs(30);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The kinds of the frames of an answer.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, rest @ ..] = bytes {
        kinds.push(*kind);
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        bytes = rest.get(5 + length..).unwrap_or_default();
    }
    kinds
}

/// Sends frames after the preface, reading all the while; the kinds of what is answered until the connection ends, or
/// `None` where it does not.
async fn flood(broker: &Broker, frames: Vec<u8>) -> Option<Vec<u8>> {
    let socket = TcpStream::connect(broker.address()).await.expect("a connection");
    let (mut from, mut to) = socket.into_split();
    let writing = tokio::spawn(async move {
        let _ = to.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frames].concat()).await;
        to
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, async {
        let mut piece = vec![0; 16 * 1_024];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            answer.extend_from_slice(&piece[..read]);
        }
    });
    let ended = read.await.is_ok();
    drop(writing.await);
    ended.then(|| kinds(&answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_the_connection_and_cost_nothing_that_stays() {
    let broker = Broker::start("");
    let stream = |number: u32| 2 * number + 1;
    let reset = |number| {
        [
            frame(HEADERS, END_STREAM | END_HEADERS, stream(number), GET),
            frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8]),
        ]
        .concat()
    };
    let many = |one: &dyn Fn(u32) -> Vec<u8>| (0..FLOOD).flat_map(one).collect::<Vec<u8>>();
    let literal = [&[0_u8, 4][..], b"name", &[100], &[b'v'; 100]].concat();
    let endless =
        [frame(HEADERS, END_STREAM, 1, GET), many(&|_| frame(CONTINUATION, 0, 1, &literal))].concat();
    let empty = [frame(HEADERS, END_STREAM, 1, GET), many(&|_| frame(CONTINUATION, 0, 1, &[]))].concat();
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("requests reset at once", many(&reset)),
        ("a head without an end", endless),
        ("a head without an end, of nothing", empty),
        ("a window of zero", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a frame larger than agreed", frame(HEADERS, END_STREAM, 1, &vec![0; 1 << 20])),
        ("a stream of the server's", frame(HEADERS, END_STREAM | END_HEADERS, 2, GET)),
        ("a head that is not HPACK", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 64])),
    ];
    let before = broker.resident_kilobytes();
    for (what, frames) in table {
        let answered = flood(&broker, frames).await;
        let answered = answered.unwrap_or_else(|| panic!("{what}: the connection is not ended"));
        // A peer that is cut off in the middle of writing may see no more than that.
        assert!(answered.is_empty() || answered.contains(&GOAWAY), "{what}: {answered:?}");
        assert_eq!(wire::get(&format!("{}/healthz", broker.url())).await.status, 200, "after {what}");
    }
    let grown = broker.resident_kilobytes().saturating_sub(before);
    assert!(grown < 32 * 1_024, "grew by {grown} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_answers_and_reads_none_is_bounded_and_let_go() {
    let broker = Broker::start("[server]\nwrite_timeout = \"2s\"\nheartbeat = \"1s\"\n");
    let before = broker.resident_kilobytes();
    let many = |one: Vec<u8>| one.repeat(usize::try_from(FLOOD).unwrap() * 20);
    for (what, frames) in [
        ("PINGs", many(frame(PING, 0, 0, &[7; 8]))),
        ("SETTINGS", many(frame(SETTINGS, 0, 0, &[]))),
        ("nothing", Vec::new()),
    ] {
        let mut socket = TcpStream::connect(broker.address()).await.unwrap();
        let bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frames].concat();
        // Neither reads nor answers the broker's own PING: the broker closes, and then writing or reading fails.
        let gone = tokio::time::timeout(PATIENCE, async {
            let _ = socket.write_all(&bytes).await;
            while socket.write_all(&[]).await.is_ok() && !is_closed(&socket) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(gone.await.is_ok(), "{what}: the connection is held");
        assert_eq!(wire::get(&format!("{}/healthz", broker.url())).await.status, 200, "after {what}");
    }
    let grown = broker.resident_kilobytes().saturating_sub(before);
    assert!(grown < 32 * 1_024, "grew by {grown} kB");
}

/// Whether the peer has closed, found without reading: the state of the socket in the kernel's table.
fn is_closed(socket: &TcpStream) -> bool {
    const ESTABLISHED: &str = "01";
    let port = format!(":{:04X}", socket.local_addr().unwrap().port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let row =
        table.lines().find(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)));
    row.is_none_or(|row| row.split_whitespace().nth(3) != Some(ESTABLISHED))
}
