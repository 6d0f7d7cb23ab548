//! Over which connection a request goes: an agent closes one that was idle for long, and what crosses that is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker::ports::downstream::{Binding, Downstream, Endpoint};
use broker::southbound::client::{A2aClient, Options};
use broker_core::delegation::input::Failure;
use protocol::{Message, SendMessageRequest, Version};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::web::{endpoint, plain_dialer, read};

const TASK_03: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"kind":"task","id":"t","contextId":"c","status":{"state":"working"}}}"#;
const TASK_03_HTTP: &str = r#"{"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}}"#;
const TASK_1: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}}}"#;

/// An agent that says it keeps a connection, and closes it with the next request on its way.
struct Closing {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Closing {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    if read(&mut socket).await.is_some() {
                        let length = answer.len();
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
                        let answered = format!("{head}: {length}\r\n\r\n{answer}");
                        let _ = socket.write_all(answered.as_bytes()).await;
                    }
                    let _ = read(&mut socket).await;
                });
            }
        });
        Self { url, connections }
    }
}

/// Sends a message; whether it was answered.
async fn send(client: &A2aClient, to: &Endpoint) -> Result<(), Failure> {
    let message = Message::user_text("m".to_owned(), "hello");
    client.send(to, SendMessageRequest::new(message)).await.map(drop)
}

fn client() -> A2aClient {
    A2aClient::new(plain_dialer(None), Options::default())
}

/// What was sent could not be looked for: the task would be held for as long as an unknown outcome is.
#[tokio::test]
async fn a_message_that_cannot_be_looked_for_goes_over_no_connection_an_agent_may_be_closing() {
    for (binding, answer) in [(Binding::JsonRpc, TASK_03), (Binding::HttpJson, TASK_03_HTTP)] {
        for streaming in [false, true] {
            let (agent, client) = (Closing::start(answer).await, client());
            let to = Endpoint { version: Version::V03, ..endpoint(&agent.url, binding, streaming) };
            for n in 1..=3 {
                let sent = send(&client, &to).await;
                assert!(sent.is_ok(), "{binding:?}, streaming: {streaming}, message {n}: {:?}", sent.err());
            }
        }
    }
}

#[tokio::test]
async fn a_connection_is_used_again_while_it_is_fresh_and_not_when_it_was_idle() {
    let (agent, client) = (Closing::start(TASK_1).await, client());
    let to = endpoint(&agent.url, Binding::JsonRpc, false);
    send(&client, &to).await.unwrap();
    let again = send(&client, &to).await;
    assert!(again.is_err(), "it went over the connection that was open, which the agent closed");
    send(&client, &to).await.unwrap();
    let before = agent.connections.load(Ordering::SeqCst);

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();

    send(&client, &to).await.unwrap();
    assert_eq!(agent.connections.load(Ordering::SeqCst), before + 1);
}
