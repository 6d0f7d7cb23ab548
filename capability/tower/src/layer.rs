//! The layer: verify, ask the tool what the request would be, let through what the grant admits.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::request::Parts;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::refusal::Refusal;
use crate::requested::Requested;
use crate::verifier::{Keys, Verifier};

/// Lets through what a request's grant admits, with the verified `Arc<Claims>` among its extensions; refuses the rest
/// with 400, 401 or 403 and an RFC 6750 challenge.
pub struct GrantLayer<F> {
    verifier: Arc<Verifier>,
    required: Arc<F>,
}

/// A service behind the layer.
pub struct GrantService<S, F> {
    layer: GrantLayer<F>,
    inner: S,
}

impl<F> GrantLayer<F>
where
    F: Fn(&Parts) -> Result<Requested, Refusal>,
{
    /// A layer for grants of an issuer (the broker's public URL) made for an audience (the URL an agent names as
    /// `resource` when it exchanges its grant). `required` says what a request would be; it finds the verified
    /// `Arc<Claims>` among the extensions.
    pub fn new(keys: Keys, issuer: &str, audience: &str, required: F) -> Self {
        let verifier = Arc::new(Verifier::new(keys, issuer.to_owned(), audience.to_owned()));
        Self { verifier, required: Arc::new(required) }
    }

    /// The same, taking grants bound to a key too (DPoP). `base` is the URL callers know this server by: proofs name
    /// it with the request's path behind it. What was remembered of proofs and grants is not taken over.
    #[must_use]
    pub fn with_proofs_at(self, base: &str) -> Self {
        let verifier = self.verifier.changed(|verifier| verifier.proofs_at = Some(base.to_owned()));
        Self { verifier: Arc::new(verifier), ..self }
    }

    /// The same by another clock, in seconds since the epoch. What was remembered is not taken over.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let verifier = self.verifier.changed(|verifier| verifier.clock = Arc::new(clock));
        Self { verifier: Arc::new(verifier), ..self }
    }

    fn judge(&self, head: &mut Parts) -> Result<(), Refusal> {
        let claims = self.verifier.verify(head)?;
        head.extensions.insert(Arc::clone(&claims));
        let requested = (self.required)(head)?;
        if requested.is_admitted_by(&claims.scope, self.verifier.now()) {
            Ok(())
        } else {
            Err(Refusal::NotAdmitted(requested.token()))
        }
    }
}

impl<F> Clone for GrantLayer<F> {
    fn clone(&self) -> Self {
        Self { verifier: Arc::clone(&self.verifier), required: Arc::clone(&self.required) }
    }
}

impl<S: Clone, F> Clone for GrantService<S, F> {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone(), inner: self.inner.clone() }
    }
}

impl<S, F> Layer<S> for GrantLayer<F> {
    type Service = GrantService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        GrantService { layer: self.clone(), inner }
    }
}

impl<S, F, B, R> Service<Request<B>> for GrantService<S, F>
where
    S: Service<Request<B>, Response = Response<R>>,
    F: Fn(&Parts) -> Result<Requested, Refusal>,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<R>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        match self.layer.judge(&mut head) {
            Ok(()) => Either::Right(self.inner.call(Request::from_parts(head, body))),
            Err(refusal) => Either::Left(ready(Ok(refusal.into_response(&self.layer.verifier.audience)))),
        }
    }
}
