//! What another broker is told that A2A has no operation for.

use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request};
use http_body_util::Full;

use super::client::A2aClient;
use super::failure::Trouble;
use crate::address::{Destination, GivenBy};
use crate::ports::downstream::Endpoint;

impl A2aClient {
    /// `POST /api/v1/tasks/{id}/revoke` of the broker at a URL, with the credential for the agent that is one of its own.
    /// A task that is over there, or not known, has no grant left to revoke.
    pub(super) async fn tell_revoked(
        &self,
        to: &Endpoint,
        broker: &str,
        task: &str,
        patience: Duration,
    ) -> Result<(), Trouble> {
        let url = format!("{broker}/api/v1/tasks/{task}/revoke");
        let at = Destination::judge(&url, &GivenBy::Operator)
            .map_err(|refused| Trouble::Connect(refused.to_string()))?;
        let request = Request::post(at.url())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(Full::new(Bytes::new()))
            .map_err(|error| Trouble::Connect(error.to_string()))?;
        let answer = self.send_as(to, &at, request, Some(patience)).await?;
        match answer.status() {
            status if status.is_success() || status == http::StatusCode::NOT_FOUND => Ok(()),
            status => Err(Trouble::Status(status, None)),
        }
    }
}
