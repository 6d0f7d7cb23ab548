//! Little servers to be dialled: they answer what a test says and remember what they were asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker::southbound::connector::{Resolve, SystemResolver};
use broker::southbound::dialer::{Dialer, Options};
use broker::southbound::tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a request was: its head, names in lower case, and its body.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) head: String,
    pub(super) body: String,
}

impl Asked {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A server on loopback over plain HTTP/1.1.
pub(super) struct Web {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Web {
    /// Answers every request with what `answer` makes of it: a status line's end, further header lines, a body.
    pub(super) async fn start(answer: impl Fn(&Asked) -> (String, String) + Send + Sync + 'static) -> Self {
        Self::closing_after(usize::MAX, answer).await
    }

    /// The same, but that it closes each connection after so many answers, with the next request on its way.
    pub(super) async fn closing_after(
        answers: usize,
        answer: impl Fn(&Asked) -> (String, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            connections: Arc::default(),
        };
        let (seen, connections, answer) =
            (Arc::clone(&web.asked), Arc::clone(&web.connections), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(socket, answers, Arc::clone(&seen), Arc::clone(&answer)));
            }
        });
        web
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many connections were made to it.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Serves a connection for as long as it is kept open, and gives no more answers than so many.
async fn serve(
    mut socket: TcpStream,
    answers: usize,
    seen: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<impl Fn(&Asked) -> (String, String)>,
) {
    for _ in 0..answers {
        let Some(asked) = read(&mut socket).await else { return };
        seen.lock().unwrap().push(asked.clone());
        let (head, body) = answer(&asked);
        let length = body.len();
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
        let _ = socket.write_all(answer.as_bytes()).await;
    }
    // What comes now crosses the closing.
    read(&mut socket).await;
}

async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = socket.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let asked = Asked { head: lower_names(head), body: body.to_owned() };
        let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            return Some(asked);
        }
    }
}

fn lower_names(head: &str) -> String {
    let lower = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
        None => line.to_owned(),
    };
    head.lines().map(lower).collect::<Vec<_>>().join("\n")
}

/// A dialer of short patience.
pub(super) fn dialer(resolver: &Arc<dyn Resolve>, ca_file: Option<&std::path::Path>) -> Arc<Dialer> {
    let options =
        Options { connect_timeout: Duration::from_secs(1), response_timeout: Duration::from_secs(20) };
    Arc::new(Dialer::new(options, &tls::client_config("southbound.ca_file", ca_file).unwrap(), resolver))
}

/// The same with the machine's resolver.
pub(super) fn plain_dialer(ca_file: Option<&std::path::Path>) -> Arc<Dialer> {
    dialer(&(Arc::new(SystemResolver) as Arc<dyn Resolve>), ca_file)
}
