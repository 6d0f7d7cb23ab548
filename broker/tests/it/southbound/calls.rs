//! What a test says to a little server that stands for an agent.

use broker::address::{Destination, GivenBy};
use broker::ports::downstream::{Binding, Downstream, Endpoint};
use broker::southbound::client::{A2aClient, Options};
use broker_core::delegation::input::Failure;
use protocol::{Message, SendMessageRequest, Version};

use super::web::plain_dialer;

pub(super) fn client(options: Options) -> A2aClient {
    A2aClient::new(plain_dialer(None), options)
}

/// An agent of A2A 1.0 at an operator's URL.
pub(super) fn endpoint(url: &str, binding: Binding, streaming: bool) -> Endpoint {
    Endpoint {
        agent: "a".to_owned(),
        at: Destination::judge(url, &GivenBy::Operator).unwrap(),
        binding,
        version: Version::V1,
        tenant: None,
        extensions: Vec::new(),
        trace: None,
        auth: None,
        broker: None,
        streaming,
        pushes: false,
    }
}

pub(super) fn message() -> SendMessageRequest {
    SendMessageRequest::new(Message::user_text("m".to_owned(), "hello"))
}

/// Sends a message; whether it was answered.
pub(super) async fn send(client: &A2aClient, to: &Endpoint) -> Result<(), Failure> {
    client.send(to, message()).await.map(drop)
}
