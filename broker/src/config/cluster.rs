//! `[cluster]`: how this broker is known to the others that share its database.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Span;
use crate::store::postgres::Peer;

section! { ClusterConfig {
    url: String = String::new(),
    lease: Span = Span::seconds(5),
}}

impl ClusterConfig {
    /// This start of the broker, which listens there.
    pub fn peer(&self, id: Uuid, listen: SocketAddr, is_tls: bool) -> Peer {
        let scheme = if is_tls { "https" } else { "http" };
        let url = if self.url.is_empty() { format!("{scheme}://{listen}") } else { self.url.clone() };
        Peer { id, url: url.trim_end_matches('/').to_owned(), lease: self.lease.0 }
    }

    /// What is wrong with a value, of a broker that listens there.
    pub(super) fn problem(&self, listen: SocketAddr, is_shared: bool) -> Option<String> {
        if is_shared && self.url.is_empty() && listen.ip().is_unspecified() {
            return Some(format!(
                "cluster.url: expected where the other brokers of the database reach this one, since server.listen is {listen}"
            ));
        }
        if self.lease.0.is_zero() {
            return Some("cluster.lease: expected a time longer than 0s".to_owned());
        }
        let is_url = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let is_fine = self.url.is_empty() || self.url.parse::<url::Url>().is_ok_and(|url| is_url(&url));
        (!is_fine)
            .then(|| format!("cluster.url: expected a URL like http://10.0.0.3:8420, found {:?}", self.url))
    }
}
