//! HTTP as the commands speak it, in clear or over TLS: to the broker they are told of, and to whoever publishes keys. Unlike
//! what the broker itself dials, an address here is the user's own word, and is not judged.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use crate::southbound::connector::watchful;
use crate::southbound::tls;

/// The option that names whom to believe beside the machine's own authorities.
const CA_FILE: &str = "--ca-file";

type Pool = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Clients, made when they are first needed.
#[derive(Default)]
pub(super) struct Http {
    ca_file: Option<PathBuf>,
    clear: OnceCell<Pool>,
    tls: OnceCell<Pool>,
}

/// That there is no answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    /// Nobody listens there.
    pub(super) is_refused: bool,
    pub(super) why: String,
}

impl Http {
    /// A client that believes these certificates, in PEM, beside the machine's own.
    pub(super) fn believing(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, ..Self::default() }
    }

    /// Sends a request; the head of its answer. Redirections are not followed, and no proxy is used.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        let client = if request.uri().scheme() == Some(&Scheme::HTTPS) {
            self.tls
                .get_or_try_init(async || client(tls::client_config(CA_FILE, self.ca_file.as_deref())))
                .await
        } else {
            // The machine's own certificates are not read for nothing: that takes longer than most commands.
            self.clear.get_or_try_init(async || client(tls::believing(RootCertStore::empty()))).await
        };
        let client = client.map_err(|why| Unanswered { is_refused: false, why })?;
        client.request(request).await.map_err(|error| Unanswered {
            is_refused: is_refused(&error),
            why: tls::describe(&error, CA_FILE),
        })
    }
}

fn client(config: Result<ClientConfig, String>) -> Result<Pool, String> {
    let connector = HttpsConnectorBuilder::new().with_tls_config(config?).https_or_http().enable_http1();
    Ok(Client::builder(TokioExecutor::new()).build(connector.wrap_connector(watchful(GaiResolver::new()))))
}

fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let problem = error.downcast_ref::<io::Error>();
    problem.is_some_and(|problem| problem.kind() == io::ErrorKind::ConnectionRefused)
        || error.source().is_some_and(is_refused)
}
