//! `/metrics`, for Prometheus: who may use the operator API may read it.

use http::{Response, StatusCode};

use super::operations::Context;
use super::reply::{self, Body};
use crate::service::{Credential, METRICS_MEDIA_TYPE};

/// Shows what is counted.
pub(super) async fn serve(context: &Context, credential: Option<&Credential>) -> Response<Body> {
    let caller = match context.broker.authenticate(credential).await {
        Ok(caller) => caller,
        Err(error) => return reply::error(&error),
    };
    match context.broker.metrics(&caller).await {
        Ok(text) => reply::answer(StatusCode::OK, METRICS_MEDIA_TYPE, reply::whole(text)),
        Err(error) => reply::error(&error),
    }
}
