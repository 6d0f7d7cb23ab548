//! Agents by https, with a CA made for the test.

use std::net::SocketAddr;
use std::sync::Arc;

use broker::address::GivenBy;
use broker::ports::downstream::{Binding, Discovery, Downstream};
use broker::ports::fetch::Fetch;
use broker::southbound::client::{A2aClient, Options};
use broker::southbound::dialer::Dialer;
use broker::southbound::discovery::CardFetcher;
use broker::southbound::tls::client_config;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use protocol::StreamResponse;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::calls::{endpoint, message};
use super::web::plain_dialer;

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// An agent by https whose certificate names `host`; its direct message says by which version it was reached.
async fn agent(ca: &CertifiedIssuer<'static, KeyPair>, host: &str, alpn: &[&str]) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(tls) = acceptor.accept(socket).await else { continue };
            let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
                let version = format!("{:?}", request.version());
                let answer = if request.method() == "GET" {
                    json!({ "name": "tls", "description": version, "version": "1", "supportedInterfaces": [
                        { "url": format!("https://localhost:{}", address.port()), "protocolBinding": "JSONRPC",
                          "protocolVersion": "1.0" } ] })
                } else {
                    json!({ "jsonrpc": "2.0", "id": 1, "result": { "message":
                        { "messageId": "a", "role": "ROLE_AGENT", "parts": [ { "text": version } ] } } })
                };
                let body = Full::new(Bytes::from(answer.to_string()));
                Response::builder().header("content-type", "application/json").body(body)
            });
            let server = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                let _ = server.serve_connection(TokioIo::new(tls), service).await;
            });
        }
    });
    address
}

fn in_file(folder: &TempDir, pem: &str) -> std::path::PathBuf {
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    path
}

#[tokio::test]
async fn cards_and_calls_go_over_tls_with_a_ca_of_ones_own_and_http_2_where_offered() {
    let (ca, folder) = (authority("a"), TempDir::new().unwrap());
    let path = in_file(&folder, &ca.pem());
    for (alpn, version) in
        [(&["h2", "http/1.1"] as &[&str], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let address = agent(&ca, "localhost", alpn).await;
        let url = format!("https://localhost:{}", address.port());
        let web = plain_dialer(Some(&path));
        let found = CardFetcher::new(Arc::<Dialer>::clone(&web)).fetch_card(&url).await.unwrap();
        assert_eq!(found.card.description, version);
        let to = endpoint(&url, Binding::JsonRpc, false);
        let mut events = A2aClient::new(web, Options::default()).send(&to, message()).await.unwrap();
        let Some(Ok(StreamResponse::Message(message))) = events.next().await else { panic!("a message") };
        assert_eq!(message.joined_text(), version);
    }
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_refused_with_the_next_step() {
    let (ca, other, folder) = (authority("a"), authority("b"), TempDir::new().unwrap());
    let address = agent(&ca, "localhost", &[]).await;
    let url = format!("https://localhost:{}", address.port());
    let other = in_file(&folder, &other.pem());
    for known in [None, Some(other.as_path())] {
        let web = plain_dialer(known);
        let refused = web.get(&url, &GivenBy::Operator, 10_000).await.unwrap_err();
        assert!(refused.contains("southbound.ca_file") && refused.contains("CA"), "{refused}");
    }
    // Known CA, but the certificate is somebody else's.
    let known = in_file(&folder, &ca.pem());
    let elsewhere = agent(&ca, "other.example", &[]).await;
    let web = plain_dialer(Some(&known));
    let url = format!("https://localhost:{}", elsewhere.port());
    let refused = web.get(&url, &GivenBy::Operator, 10_000).await.unwrap_err();
    assert!(refused.contains("other.example") && !refused.contains("ca_file"), "{refused}");
}

#[test]
fn a_ca_file_that_holds_no_certificates_is_named() {
    let folder = TempDir::new().unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (content, expected) in [("no certificate", "there is none in it"), (broken, "ca.pem")] {
        let problem = client_config("southbound.ca_file", Some(&in_file(&folder, content))).unwrap_err();
        assert!(problem.contains("southbound.ca_file") && problem.contains(expected), "{problem}");
    }
    let problem = client_config("southbound.ca_file", Some(&folder.path().join("absent.pem"))).unwrap_err();
    assert!(problem.contains("absent.pem"), "{problem}");
}
