//! What brokers of one database tell each other of their changes: a notification with each, and where some may have been
//! missed, that anything may have changed. What has is for the tables to say.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::Sender;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Config, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::failure::in_words;
use crate::ports::store::Changed;

/// Where notifications go.
pub(super) const CHANNEL: &str = "bailiwick";
/// Between two attempts to listen.
const PAUSE: Duration = Duration::from_secs(1);
/// What is said of documents; of an agent, its name.
const DOCUMENTS: &str = "documents";
const AGENT: &str = "agent";

/// What a broker says when it has changed an agent.
pub(super) fn of_agent(by: Uuid, name: &str) -> String {
    format!("{by} {AGENT} {name}")
}

/// What it says when it has changed a document of its own.
pub(super) fn of_documents(by: Uuid) -> String {
    format!("{by} {DOCUMENTS}")
}

/// What another broker says; nothing if it is one's own word.
fn read(own: Uuid, said: &str) -> Option<Changed> {
    let mut words = said.split(' ');
    let by = words.next().and_then(|by| by.parse::<Uuid>().ok());
    if by == Some(own) {
        return None;
    }
    Some(match (words.next(), words.next()) {
        (Some(AGENT), Some(name)) => Changed::Agent(name.to_owned()),
        (Some(DOCUMENTS), None) => Changed::Documents,
        // A later version may say more.
        _ => Changed::Anything,
    })
}

/// Listens for as long as anybody may want to hear it.
pub(super) async fn listen(config: Config, tls: MakeRustlsConnect, own: Uuid, to: Sender<Changed>) {
    loop {
        if let Err(error) = hear(&config, tls.clone(), own, &to).await {
            tracing::warn!(reason = in_words(&error), "what other brokers change is not heard; trying again");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear<T: MakeTlsConnect<Socket>>(
    config: &Config,
    tls: T,
    own: Uuid,
    to: &Sender<Changed>,
) -> Result<(), Error>
where
    T::Stream: Send + 'static,
{
    let (client, mut connection) = config.connect(tls).await?;
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    let listening = format!("LISTEN {CHANNEL}");
    let listening = client.batch_execute(&listening);
    tokio::pin!(listening);
    let mut is_listening = false;
    loop {
        tokio::select! {
            listens = &mut listening, if !is_listening => {
                listens?;
                is_listening = true;
                // Nothing was heard before.
                let _ = to.send(Changed::Anything);
            }
            message = messages.next() => match message.transpose()? {
                // It fails only where nobody hears it.
                Some(AsyncMessage::Notification(said)) => drop(read(own, said.payload()).map(|changed| to.send(changed))),
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_ones_own_word_is_not_news() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(read(own, &of_agent(other, "weather")), Some(Changed::Agent("weather".to_owned())));
        assert_eq!(read(own, &of_documents(other)), Some(Changed::Documents));
        assert_eq!(read(own, &of_agent(own, "weather")), None);
        for unknown in ["", "nonsense", &format!("{other} something new")] {
            assert_eq!(read(own, unknown), Some(Changed::Anything), "{unknown}");
        }
    }
}
