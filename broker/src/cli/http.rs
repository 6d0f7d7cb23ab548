//! HTTP as the commands speak it, in clear or over TLS: to the broker they are told of, and to whoever publishes keys. Unlike
//! what the broker itself dials, an address here is the user's own word, and is not judged.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use crate::southbound::tls;

/// The option that names whom to believe beside the machine's own authorities.
const CA_FILE: &str = "--ca-file";
/// Silence of a server after which it is asked for a sign of life, that between two such questions, and how many may go
/// unanswered: a stream may be silent for hours, and its server be gone.
const SILENCE: Duration = Duration::from_secs(15);
const UNANSWERED: u32 = 3;

type Secure = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Clients, made when they are first needed.
#[derive(Default)]
pub(super) struct Http {
    ca_file: Option<PathBuf>,
    clear: OnceCell<Secure>,
    tls: OnceCell<Secure>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Nobody listens there.
    Refused(String),
    /// Something else.
    Failed(String),
}

impl Unanswered {
    /// What the matter is.
    pub(super) fn why(self) -> String {
        match self {
            Self::Refused(why) | Self::Failed(why) => why,
        }
    }
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
        client.map_err(Unanswered::Failed)?.request(request).await.map_err(|error| unanswered(&error))
    }
}

fn client(config: Result<ClientConfig, String>) -> Result<Secure, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(SILENCE));
    tcp.set_keepalive_interval(Some(SILENCE));
    tcp.set_keepalive_retries(Some(UNANSWERED));
    let connector = HttpsConnectorBuilder::new().with_tls_config(config?).https_or_http().enable_http1();
    Ok(Client::builder(TokioExecutor::new()).build(connector.wrap_connector(tcp)))
}

/// Says what is at the bottom of an error, which is what a person can do something about.
fn unanswered(error: &(dyn Error + 'static)) -> Unanswered {
    let (mut bottom, mut problem) = (error, None);
    while let Some(cause) = bottom.source() {
        bottom = cause;
        problem = bottom.downcast_ref::<io::Error>().or(problem);
    }
    match problem {
        Some(problem) if problem.kind() == io::ErrorKind::ConnectionRefused => {
            Unanswered::Refused(bottom.to_string())
        }
        Some(problem) if of_tls(problem).is_some() => {
            Unanswered::Failed(format!("{bottom}; {CA_FILE} names whom to believe beside the machine's own"))
        }
        _ => Unanswered::Failed(bottom.to_string()),
    }
}

/// What TLS has to say, which is wrapped once by each layer above it.
fn of_tls(problem: &io::Error) -> Option<&rustls::Error> {
    let inner = problem.get_ref()?;
    inner.downcast_ref().or_else(|| inner.downcast_ref().and_then(of_tls))
}
