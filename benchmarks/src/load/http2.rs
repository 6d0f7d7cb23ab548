//! The same over gRPC, for which HTTP/2 is left to hyper: one connection, one stream after another.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::TcpStream;

use super::request::{BODY, digits};
use super::tally::{Shared, Tally, Window};
use crate::grpc::{self, Artifact, Message, Part, Payload, SendMessageRequest, StreamResponse};

/// Streams over gRPC for as long as the window says.
pub async fn grpc_first_events(address: SocketAddr, tenant: &str, window: Window<'_>) -> Result<Tally> {
    let shared = Shared::new();
    let (tally, ()) = tokio::try_join!(window.pass(&shared), stream_on(address, tenant, &shared))?;
    Ok(Tally { answered: shared.answered.get(), ..tally })
}

async fn stream_on(address: SocketAddr, tenant: &str, shared: &Shared) -> Result<()> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await?;
    let driver = tokio::spawn(connection);
    while !shared.is_over.get() {
        stream(&mut sender, address, tenant, shared).await?;
    }
    driver.abort();
    Ok(())
}

async fn stream(
    sender: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    tenant: &str,
    shared: &Shared,
) -> Result<()> {
    let number = digits(shared.number());
    let number = std::str::from_utf8(&number)?;
    let text = format!("{number} {:x<1$}", "", BODY - 200);
    let message = Message { message_id: number.to_owned(), role: grpc::USER, parts: vec![Part { text }] };
    let body = grpc::frame(&SendMessageRequest { tenant: tenant.to_owned(), message: Some(message) });
    let request = Request::post(format!("http://{address}{}", grpc::STREAM))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("a2a-version", "1.0")
        .body(Full::new(body))?;
    let began = Instant::now();
    let mut answer = sender.send_request(request).await?;
    let (mut buffer, mut events, mut status) = (BytesMut::new(), Vec::new(), None);
    while let Some(frame) = answer.body_mut().frame().await {
        match frame?.into_data() {
            Ok(data) => buffer.extend_from_slice(&data),
            Err(trailers) => {
                status = trailers.trailers_ref().and_then(|trailers| trailers.get("grpc-status").cloned())
            }
        }
        while let Some(event) = grpc::take_frame(&mut buffer) {
            if events.is_empty() {
                shared.answered(began.elapsed());
            }
            events.push(StreamResponse::decode(event).context("an event that is none")?);
        }
    }
    let message = answer.headers().get("grpc-message").cloned();
    ensure!(
        status.is_some_and(|status| status == "0"),
        "a stream ended with {:?} and {message:?}",
        answer.headers()
    );
    let says = |artifact: &Artifact| artifact.parts.iter().any(|part| part.text.starts_with(number));
    // A task that is shown late has the artifact already.
    let echoed = events.iter().any(|event| match &event.payload {
        Some(Payload::Artifact(update)) => update.artifact.iter().any(says),
        Some(Payload::Task(task)) => task.artifacts.iter().any(says),
        _ => false,
    });
    ensure!(echoed, "a stream did not bring back what was sent: {events:?}");
    Ok(())
}
