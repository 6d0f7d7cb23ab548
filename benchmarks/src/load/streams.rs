//! Streams of events, one after another on one connection: how long until the first event is there, whole. The rest is
//! read and checked, and is not timed.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::connection::Length;
use super::tally::{Shared, Tally, Window};
use super::{Connection, Request};

/// Streams over SSE for as long as the window says.
pub async fn first_events(request: &Request, window: Window<'_>) -> Result<Tally> {
    let shared = Shared::new();
    let (tally, ()) = tokio::try_join!(window.pass(&shared), stream_on(request.clone(), &shared))?;
    Ok(Tally { answered: shared.answered.get(), ..tally })
}

async fn stream_on(mut request: Request, shared: &Shared) -> Result<()> {
    let mut connection = Connection::open(request.address()).await?;
    let mut body = Vec::new();
    while !shared.is_over.get() {
        let number = shared.number();
        let began = Instant::now();
        connection.send(request.numbered(number)).await?;
        let head = connection.head().await?;
        connection.pass(&head);
        ensure!(
            head.status == 200 && head.length == Length::Chunked,
            "a stream was answered with HTTP {}",
            head.status
        );
        body.clear();
        let mut more = true;
        while more && !has_event(&body) {
            more = connection.chunk(&mut body).await?;
        }
        shared.answered(began.elapsed());
        while more {
            more = connection.chunk(&mut body).await?;
        }
        check(&request, number, &body)?;
    }
    Ok(())
}

/// An event ends with an empty line; comments are no events.
fn has_event(body: &[u8]) -> bool {
    let Some(data) = memchr::memmem::find(body, b"data:") else { return false };
    let end = memchr::memmem::find(&body[data..], b"\n\n")
        .or_else(|| memchr::memmem::find(&body[data..], b"\r\n\r\n"));
    end.is_some()
}

fn check(request: &Request, number: u64, body: &[u8]) -> Result<()> {
    let ends = memchr::memmem::find(body, b"TASK_STATE_COMPLETED")
        .or_else(|| memchr::memmem::find(body, br#""message""#));
    ensure!(ends.is_some(), "a stream did not end with its task: {}", String::from_utf8_lossy(body));
    // What was sent comes back in an artifact or a message.
    request.contains(number, body)
}
