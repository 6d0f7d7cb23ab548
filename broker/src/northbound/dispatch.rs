//! One request on its way through the server: what is refused before it is looked at, which part answers it, and what
//! it counts for meanwhile.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use protocol::{A2aError, ErrorKind};

use super::handing_on::{self, HandedOn};
use super::leaving::{Phase, begun};
use super::operations::Head;
use super::places::Place;
use super::reply::{self, Body, method_not_allowed, not_found};
use super::route::{Route, route};
use super::server::{Certificate, Server};
use super::{
    api, body, cards, console, credential, elsewhere, grpc, http_json, jsonrpc, mcp, metrics, oauth,
    overload, push, unambiguous,
};
use crate::service::{CardDocument, locating};

/// How long the key set may be kept; half as long as a key is published before it signs.
const JWKS_CACHE: &str = "public, max-age=300";

/// In whose words a request is refused.
#[derive(Clone, Copy)]
enum Speech {
    Grpc,
    JsonRpc,
    Http,
}

impl Speech {
    fn of(route: &Route) -> Self {
        match route {
            Route::Grpc => Self::Grpc,
            Route::JsonRpc(_) => Self::JsonRpc,
            _ => Self::Http,
        }
    }

    fn refuse(self, error: &A2aError) -> Response<Body> {
        match self {
            Self::Grpc => grpc::refuse(error),
            Self::JsonRpc => jsonrpc::refuse_unread(error),
            Self::Http => reply::error(error),
        }
    }
}

impl Server {
    /// Answers one request; a panic on the way is an internal error of this request alone.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        certificate: Certificate,
        place: Arc<Place>,
    ) -> Response<Body> {
        // A caller that hangs up takes its waiting with it; what it began is the driver's and goes on. What is left behind by
        // a panic is not looked at again: locks that are poisoned by one are taken all the same.
        let answering = AssertUnwindSafe(self.admit(request, &certificate, &place));
        // Boxed, because it is large, and moved about with the connection until it is done.
        Box::pin(answering.catch_unwind()).await.unwrap_or_else(|panicked| {
            let said = panicked.downcast_ref::<&str>().copied();
            let said = said.or_else(|| panicked.downcast_ref::<String>().map(String::as_str));
            tracing::error!(
                panicked = said.unwrap_or("it did not say why"),
                "a request could not be answered"
            );
            reply::error(&A2aError::new(ErrorKind::Internal, "internal error; the broker's log says more"))
        })
    }

    /// Answers a request if there is room for it, and before the server has to go.
    async fn admit(
        &self,
        request: Request<Incoming>,
        certificate: &Certificate,
        place: &Arc<Place>,
    ) -> Response<Body> {
        place.dismiss();
        let (head, incoming) = request.into_parts();
        let is_grpc = grpc::is_grpc(&head.headers);
        let route = if is_grpc { Route::Grpc } else { route(head.method.as_str(), head.uri.path()) };
        let (began, binding) = (Instant::now(), binding(&route));
        let response = self.admit_to(route, head, incoming, certificate, place).await;
        self.context.broker.count_request(binding, response.status().as_u16(), began.elapsed());
        response
    }

    async fn admit_to(
        &self,
        route: Route,
        head: Parts,
        incoming: Incoming,
        certificate: &Certificate,
        place: &Arc<Place>,
    ) -> Response<Body> {
        let speech = Speech::of(&route);
        if let Err(refused) = unambiguous::check(&head).and_then(|()| elsewhere::check(&route, &head)) {
            return speech.refuse(&refused);
        }
        if place.is_refused() && !is_watch(&route) {
            body::discard(incoming, self.options.body_timeout).await;
            return speech.refuse(&overload::too_many_connections());
        }
        let mut phase = self.context.phase();
        let response = tokio::select! {
            biased;
            response = self.dispatch(route, &head, incoming, certificate, place) => response,
            () = begun(Phase::Late, &mut phase) => speech.refuse(&overload::shutting_down()),
        };
        let (parts, body) = response.into_parts();
        match body.counted(&self.context.memory) {
            Ok(body) => Response::from_parts(parts, body),
            Err(full) => speech.refuse(&overload::no_memory(full)),
        }
    }

    async fn dispatch(
        &self,
        route: Route,
        head: &Parts,
        incoming: Incoming,
        certificate: &Certificate,
        place: &Arc<Place>,
    ) -> Response<Body> {
        let body = match head.method.as_str() {
            "POST" | "PUT" | "PATCH" => body::read(incoming, self.bounds(), &self.context.memory).await,
            _ => Ok(bytes::Bytes::new()),
        };
        let in_hand = place.begin();
        let permit = self.context.requests.try_acquire();
        if permit.is_err() && !is_watch(&route) {
            return Speech::of(&route).refuse(&overload::too_many_requests());
        }
        let mut response = if self.context.broker.is_one_of_many() {
            Box::pin(self.perform_among_many(route, head, body, certificate)).await
        } else {
            self.perform(route, head, body, certificate).await
        };
        response.body_mut().keep(in_hand);
        response
    }

    /// Where several brokers share a store, a request may be for another one.
    async fn perform_among_many(
        &self,
        route: Route,
        head: &Parts,
        body: Result<bytes::Bytes, A2aError>,
        certificate: &Certificate,
    ) -> Response<Body> {
        let since = tokio::time::Instant::now();
        loop {
            let performing = self.perform(route.clone(), head, body.clone(), certificate);
            let (response, elsewhere) = locating(performing).await;
            let Some(elsewhere) = elsewhere else { return response };
            let (Ok(body), false) = (&body, handing_on::is_handed_on(head)) else { return response };
            if certificate.is_some() {
                return Speech::of(&route).refuse(&handing_on::of_a_certificate());
            }
            // The caller is not judged anew while it is the same broker that is not there: what proves a call proves it once.
            loop {
                match self.hand_on(&elsewhere, (head, body), since).await {
                    HandedOn::Answered(response) => return response,
                    HandedOn::Refused(error) => return Speech::of(&route).refuse(&error),
                    HandedOn::AskAgain if self.context.broker.is_still_at(&elsewhere).await => {}
                    HandedOn::AskAgain => break,
                }
            }
        }
    }

    async fn perform(
        &self,
        route: Route,
        head: &Parts,
        body: Result<bytes::Bytes, A2aError>,
        certificate: &Certificate,
    ) -> Response<Body> {
        let (method, headers) = (head.method.as_str(), &head.headers);
        let query = head.uri.query().unwrap_or_default();
        let credential = credential::presented(head, certificate.as_ref());
        let credential = credential.as_ref();
        let shared = Head { headers, query, credential };
        // Boxed are those that are large and seldom: what is moved about for each request is as large as the largest.
        match route {
            Route::Grpc => Box::pin(grpc::serve(&self.context, head, shared, body)).await,
            Route::JsonRpc(target) => jsonrpc::serve(&self.context, target, shared, body).await,
            Route::HttpJson(target, path) => {
                let incoming = http_json::Incoming { method, path: &path, head: shared, body };
                http_json::serve(&self.context, target, incoming).await
            }
            Route::Unknown => not_found(),
            Route::Api(resource) => {
                let incoming = api::Incoming { method, query, credential, body };
                Box::pin(api::serve(&self.context, resource, incoming)).await
            }
            Route::Mcp => Box::pin(mcp::serve(&self.context, head, credential, body)).await,
            Route::Push(token) => Box::pin(push::receive(&self.context, &token, method, body)).await,
            Route::Tokens(_) if method != "POST" => method_not_allowed("POST"),
            Route::Tokens(endpoint) => {
                Box::pin(oauth::serve(&self.context, endpoint, head, credential, body)).await
            }
            _ if !matches!(method, "GET" | "HEAD") => method_not_allowed("GET, HEAD"),
            Route::Metrics => metrics::serve(&self.context, credential).await,
            Route::Console(_) if !self.options.console => not_found(),
            Route::Console(file) => console::serve(&file, head.uri.path(), headers),
            Route::Card(target) => card(self.context.broker.agent_card(&target), headers),
            Route::UpstreamCard(name) => card(self.context.broker.upstream_card(&name), headers),
            Route::Jwks => jwks(&self.context.broker.jwks()),
            Route::CardJwks => jwks(&self.context.broker.card_jwks()),
            Route::Health => plain(StatusCode::OK, "ok\n"),
            Route::Ready => self.ready().await,
        }
    }

    async fn ready(&self) -> Response<Body> {
        if *self.context.phase.borrow() > Phase::Serving {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
        }
        match self.context.broker.ready().await {
            Ok(()) => plain(StatusCode::OK, "ready\n"),
            Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
        }
    }
}

/// What requests are counted by.
fn binding(route: &Route) -> &'static str {
    match route {
        Route::Grpc => "grpc",
        Route::JsonRpc(_) => "jsonrpc",
        Route::HttpJson(..) => "http_json",
        Route::Api(_) => "api",
        Route::Push(_) => "push",
        Route::Tokens(_) => "token",
        _ => "other",
    }
}

/// Whoever watches over the broker is answered however much there is to do, or would take it for dead.
fn is_watch(route: &Route) -> bool {
    matches!(route, Route::Health | Route::Ready)
}

fn card(card: Result<CardDocument, A2aError>, headers: &HeaderMap) -> Response<Body> {
    card.map_or_else(|error| reply::error(&error), |card| cards::serve(card, headers))
}

fn jwks(keys: &serde_json::Value) -> Response<Body> {
    let mut response = reply::json(StatusCode::OK, "application/jwk-set+json", keys);
    response.headers_mut().insert(http::header::CACHE_CONTROL, HeaderValue::from_static(JWKS_CACHE));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    reply::answer(status, "text/plain; charset=utf-8", reply::whole(text))
}
