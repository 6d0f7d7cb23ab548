//! HTTP as the commands speak it, in clear or over TLS: to the broker they are told of, and to whoever publishes keys. Unlike
//! what the broker itself dials, an address here is the user's own word, and is not judged.

use std::error::Error;
use std::path::PathBuf;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;
use tokio::sync::OnceCell;

use crate::southbound::tls;

/// The option that names whom to believe beside the machine's own authorities.
const CA_FILE: &str = "--ca-file";

/// A client of one server, made when it is first needed.
#[derive(Default)]
pub(super) struct Http {
    ca_file: Option<PathBuf>,
    client: OnceCell<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// No connection came about.
    Unreachable(String),
    /// Something else.
    Failed(String),
}

impl Unanswered {
    /// What the matter is.
    pub(super) fn why(self) -> String {
        match self {
            Self::Unreachable(why) | Self::Failed(why) => why,
        }
    }
}

impl Http {
    /// A client that believes these certificates, in PEM, beside the machine's own.
    pub(super) fn believing(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, client: OnceCell::new() }
    }

    /// Sends a request; the head of its answer. Redirections are not followed.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        let is_tls = request.uri().scheme() == Some(&Scheme::HTTPS);
        let made = self.client.get_or_try_init(async || self.client(is_tls)).await;
        let client = made.map_err(Unanswered::Failed)?;
        client.request(request).await.map_err(|error| {
            let why = innermost(&error);
            if error.is_connect() { Unanswered::Unreachable(why) } else { Unanswered::Failed(why) }
        })
    }

    /// The machine's own certificates are read only where there is TLS: that takes longer than most commands.
    fn client(&self, is_tls: bool) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String> {
        let config = if is_tls {
            tls::client_config(CA_FILE, self.ca_file.as_deref())?
        } else {
            tls::believing(RootCertStore::empty())?
        };
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        Ok(Client::builder(TokioExecutor::new()).build(connector))
    }
}

/// What is at the bottom of an error, which is what a person can do something about.
fn innermost(mut error: &dyn Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
