//! What another broker is told that A2A has no operation for.

use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request};
use http_body_util::Full;

use super::body;
use super::client::A2aClient;
use super::failure::Trouble;
use crate::address::{Destination, GivenBy};
use crate::ports::downstream::Endpoint;

/// The reason by which a broker says that it does not know a task (spec §5.4).
const TASK_NOT_FOUND: &str = "TASK_NOT_FOUND";
/// Largest answer read, bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1_024;

impl A2aClient {
    /// `POST /api/v1/tasks/{id}/revoke` of the broker that an agent is of, with the credential for that agent. A task it does
    /// not know any more has no grant left to revoke.
    pub(super) async fn tell_revoked(
        &self,
        to: &Endpoint,
        task: &str,
        patience: Duration,
    ) -> Result<(), Trouble> {
        let broker = to.broker.as_deref();
        let broker =
            broker.ok_or_else(|| Trouble::Connect(format!("{} is no other broker's agent", to.agent)))?;
        let url = format!("{broker}/api/v1/tasks/{task}/revoke");
        let at = Destination::judge(&url, &GivenBy::Operator)
            .map_err(|refused| Trouble::Connect(refused.to_string()))?;
        let request = Request::post(at.url())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(Full::new(Bytes::new()))
            .map_err(|error| Trouble::Connect(error.to_string()))?;
        let answer = self.send_as(to, &at, request, Some(patience)).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // Whoever stands between may not know the address; the broker itself says that it does not know the task.
        let said = body::read(answer.into_body(), MAX_ANSWER_BYTES).await?;
        let is_unknown = std::str::from_utf8(&said).is_ok_and(|said| said.contains(TASK_NOT_FOUND));
        if is_unknown { Ok(()) } else { Err(Trouble::Status(status, None)) }
    }
}
