//! The JSON-RPC binding's server side (spec §9): where parameters come from, how answers travel.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use protocol::binding::jsonrpc::{self, Rejected, Request, RequestId};
use protocol::v03::Dialect;
use protocol::{A2aError, ErrorKind, Operation, Version, read_params};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::operations::{Answer, Call, Context, Head, Parameters};
use super::reply::{self, Body};
use super::{body, overload, sse, v03};
use crate::service::Target;

/// Serves one call. Errors go out with HTTP 200, except a missing or bad credential.
pub(super) async fn serve(
    context: &Context,
    addressed: Target,
    head: Head<'_>,
    body: Result<Bytes, A2aError>,
) -> Response<Body> {
    let (Request { id, operation, version, params }, body) = match read(head.headers, body) {
        Ok(request) => request,
        Err(Rejected { id, error }) => return refuse(&id, &error),
    };
    let call = Call { operation, version, addressed, head };
    let params = Params { params, _counted: body };
    let answered = match version {
        Version::V1 => context.perform(&call, params).await,
        Version::V03 => v03::perform(context, &call, params, Dialect::JsonRpc).await,
    };
    match answered {
        Ok(Answer::Json(json)) => {
            let body = match reply::whole(jsonrpc::wrap_result(&id, &json)).counted(&context.memory) {
                Ok(body) => body,
                Err(full) => return refuse(&id, &overload::no_memory(full)),
            };
            let mut response = reply::answer(StatusCode::OK, "application/json", body);
            if operation == Operation::GetExtendedAgentCard {
                reply::keep_private(&mut response);
            }
            response
        }
        Ok(Answer::Stream(events)) => sse::serve(events, Some(id), context),
        Err(error) => refuse(&id, &error),
    }
}

struct Params {
    params: Option<Box<RawValue>>,
    /// What the parameters were read from: it counts for them.
    _counted: Bytes,
}

impl Parameters for Params {
    fn read<T: DeserializeOwned>(self) -> Result<T, A2aError> {
        read_params(self.params.as_deref())
    }
}

fn read(headers: &HeaderMap, body: Result<Bytes, A2aError>) -> Result<(Request, Bytes), Rejected> {
    let nobody = |error| Rejected { id: RequestId::null(), error };
    body::check_media_type(headers).map_err(nobody)?;
    let body = body.map_err(nobody)?;
    jsonrpc::read_request(&body).map(|request| (request, body))
}

/// Refuses a request that is not read, so that nobody knows its id.
pub(super) fn refuse_unread(error: &A2aError) -> Response<Body> {
    refuse(&RequestId::null(), error)
}

fn refuse(id: &RequestId, error: &A2aError) -> Response<Body> {
    let status =
        if error.kind == ErrorKind::Unauthenticated { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let body = reply::whole(jsonrpc::write_error(id, error));
    let mut response = reply::answer(status, "application/json", body);
    reply::add_challenge(&mut response, error);
    response
}
