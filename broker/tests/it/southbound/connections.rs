//! Over which connection a request goes: an agent closes one that was idle for long, and what crosses that is lost.

use std::time::Duration;

use broker::ports::downstream::{Binding, Endpoint};
use broker::southbound::client::Options;
use protocol::Version;

use super::calls::{client, endpoint, send};
use super::web::Web;

const TASK_03: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"kind":"task","id":"t","contextId":"c","status":{"state":"working"}}}"#;
const TASK_03_HTTP: &str = r#"{"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}}"#;
const TASK_1: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}}}"#;

/// An agent that says it keeps a connection, and closes it with the next request on its way.
async fn agent(answer: &'static str) -> Web {
    let head = "200 OK\r\ncontent-type: application/json";
    Web::closing_after(1, move |_| (head.to_owned(), answer.to_owned())).await
}

/// What was sent could not be looked for: the task would be held for as long as an unknown outcome is.
#[tokio::test]
async fn a_message_that_cannot_be_looked_for_goes_over_no_connection_an_agent_may_be_closing() {
    for (binding, answer) in [(Binding::JsonRpc, TASK_03), (Binding::HttpJson, TASK_03_HTTP)] {
        for streaming in [false, true] {
            let (agent, client) = (agent(answer).await, client(Options::default()));
            let to = Endpoint { version: Version::V03, ..endpoint(&agent.url(), binding, streaming) };
            for n in 1..=3 {
                let sent = send(&client, &to).await;
                assert!(sent.is_ok(), "{binding:?}, streaming: {streaming}, message {n}: {:?}", sent.err());
            }
        }
    }
}

#[tokio::test]
async fn a_connection_is_used_again_while_it_is_fresh_and_not_when_it_was_idle() {
    let (agent, client) = (agent(TASK_1).await, client(Options::default()));
    let to = endpoint(&agent.url(), Binding::JsonRpc, false);
    send(&client, &to).await.unwrap();
    let again = send(&client, &to).await;
    assert!(again.is_err(), "it went over the connection that was open, which the agent closed");
    send(&client, &to).await.unwrap();
    let before = agent.connections();

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();

    send(&client, &to).await.unwrap();
    assert_eq!(agent.connections(), before + 1);
}
