//! `/mcp`: the fleet for hosts of the Model Context Protocol. What a caller may ask of agents are its tools, and a call is a
//! delegation. `rmcp` speaks the protocol, in every version it knows; here it is put into this server: who calls, which
//! browser pages may, signs of life, and the cancelling of calls that come one by one.

mod arguments;
mod call;
mod fleet;
mod outcome;
mod tools;
mod under_way;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use protocol::binding::sse;
use protocol::{A2aError, ErrorKind, check_nesting};
use rmcp::model::RequestId;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde::Deserialize;

use self::fleet::Fleet;
pub(super) use self::under_way::UnderWay;
use super::operations::Context;
use super::reply::{self, Body, method_not_allowed, not_found};
use super::sse::{event_stream, is_event_stream, unbuffered};
use crate::service::{Caller, Credential};

/// Where versions before 2026-07-28 name the session a request belongs to.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// How the fleet is served as tools.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether it is.
    pub enabled: bool,
    /// Origins of the browser pages that may call.
    pub origins: Vec<String>,
    /// Whether a task is cancelled whose caller hangs up, where the protocol says that this means so.
    pub cancel_on_hangup: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { enabled: true, origins: Vec::new(), cancel_on_hangup: true }
    }
}

/// What of a message has to be known before it is handed on.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Heading {
    method: String,
    params: Option<Cancelled>,
}

/// The parameters of `notifications/cancelled`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Cancelled {
    request_id: Option<RequestId>,
}

/// Answers one request. Every one stands for itself: nothing is lost of a session when the broker starts again, or another
/// one answers.
pub(super) async fn serve(
    context: &Context,
    head: &Parts,
    credential: Option<&Credential>,
    body: Result<Bytes, A2aError>,
) -> Response<Body> {
    if !context.mcp.enabled {
        return not_found();
    }
    if head.method != http::Method::POST {
        return method_not_allowed("POST");
    }
    match admitted(context, credential, body).await {
        Ok((caller, body)) => answer(context, head, caller, body).await,
        Err(error) => reply::error(&error),
    }
}

async fn admitted(
    context: &Context,
    credential: Option<&Credential>,
    body: Result<Bytes, A2aError>,
) -> Result<(Caller, Bytes), A2aError> {
    let caller = context.broker.authenticate(credential).await?;
    let body = body?;
    check_nesting(&body).map_err(|problem| A2aError::new(ErrorKind::ParseError, problem))?;
    Ok((caller, body))
}

async fn answer(context: &Context, head: &Parts, caller: Caller, body: Bytes) -> Response<Body> {
    let session = reply::header(&head.headers, SESSION).map(ToOwned::to_owned);
    // What cannot be read is refused by the protocol's own words.
    let Heading { method, params } = serde_json::from_slice(&body).unwrap_or_default();
    if let (Some(session), "notifications/cancelled") = (&session, method.as_str())
        && let Some(request) = params.and_then(|params| params.request_id)
    {
        context.under_way.cancel(&caller, session, &request);
    }
    let fleet = Fleet::new(context, caller, session, body.clone());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    let service = service(context, fleet);
    let answering = Box::pin(async move { service.handle(request).await });
    let mut response = with_signs_of_life(answering, context.heartbeat).await;
    if method == "initialize" && response.status() == StatusCode::OK {
        // A label, by which a call that is cancelled is found; nothing is kept under it.
        if let Ok(label) = HeaderValue::from_str(&uuid::Uuid::now_v7().to_string()) {
            response.headers_mut().insert(SESSION, label);
        }
    }
    response
}

/// The protocol's side of one request.
fn service(context: &Context, fleet: Fleet) -> StreamableHttpService<Fleet, NeverSessionManager> {
    // A page that rebinds a name to this address shows its origin, which is what is judged; the name it used is not: behind
    // a proxy it may be any.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(Some(context.heartbeat))
        .with_sse_retry(None)
        .disable_allowed_hosts()
        .with_allowed_origins(context.mcp.origins.iter().cloned())
        .enforce_origin_validation()
        // The body is here already.
        .with_max_request_body_bytes(usize::MAX);
    StreamableHttpService::new(move || Ok(fleet.clone()), Arc::new(NeverSessionManager::default()), config)
}

type Answered = Response<BoxBody<Bytes, Infallible>>;
type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Waits for the answer; where it takes longer than `heartbeat`, a stream is begun that shows that the broker is there. What
/// is refused is refused at once, so that a late answer is a good one.
async fn with_signs_of_life(mut answering: Answering, heartbeat: Duration) -> Response<Body> {
    tokio::select! {
        biased;
        answered = &mut answering => on_time(answered).await,
        () = tokio::time::sleep(heartbeat) => late(answering, heartbeat),
    }
}

async fn on_time(answered: Answered) -> Response<Body> {
    let (mut parts, body) = answered.into_parts();
    if !is_event_stream(&parts.headers) {
        return Response::from_parts(parts, reply::whole(whole(body).await));
    }
    parts.headers.extend(unbuffered());
    let body = body.map_err(|never| match never {});
    Response::from_parts(parts, Body::streamed(body.boxed_unsync()))
}

fn late(mut answering: Answering, heartbeat: Duration) -> Response<Body> {
    let body = stream! {
        let answered = loop {
            tokio::select! {
                biased;
                answered = &mut answering => break answered,
                () = tokio::time::sleep(heartbeat) => yield Ok(Bytes::from_static(sse::HEARTBEAT)),
            }
        };
        let is_stream = is_event_stream(answered.headers());
        let mut body = answered.into_body();
        if !is_stream {
            yield Ok(sse::write_event(None, &[&whole(body).await]).into());
            return;
        }
        while let Some(Ok(frame)) = body.frame().await {
            yield Ok(frame.into_data().unwrap_or_default());
        }
    };
    event_stream(reply::streamed(body))
}

async fn whole(body: BoxBody<Bytes, Infallible>) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}
