//! TLS as a caller sees it: an authority of the tests' own, certificates it signs, and requests over them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::wire::Answer;

/// An authority, and a folder for what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key.
pub struct Certified {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    /// SHA-256 of the certificate's DER, in hex.
    pub sha256: String,
    /// The certificate as a PEM file.
    pub cert_file: PathBuf,
    /// The key as a PEM file.
    pub key_file: PathBuf,
}

impl Authority {
    /// A new authority nobody trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("written");
        Self { issuer, folder }
    }

    /// Its own certificate as a PEM file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Signs a certificate with names: URIs have a `://`, the others are hosts or addresses.
    pub fn sign(&self, file: &str, names: &[&str]) -> Certified {
        let (uris, hosts): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
        let hosts: Vec<String> = hosts.into_iter().map(ToOwned::to_owned).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params
            .subject_alt_names
            .extend(uris.into_iter().map(|uri| SanType::URI(uri.try_into().expect("a URI"))));
        // OpenSSL takes one that has its issuer's name for its own issuer.
        params.distinguished_name.push(DnType::CommonName, file);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let write = |extension: &str, text: String| -> PathBuf {
            let path: &Path = self.folder.path();
            let path = path.join(format!("{file}.{extension}"));
            std::fs::write(&path, text).expect("written");
            path
        };
        Certified {
            cert_file: write("pem", certificate.pem()),
            key_file: write("key", key.serialize_pem()),
            sha256: format!("{:x}", Sha256::digest(certificate.der())),
            certificate: certificate.der().clone(),
            key,
        }
    }

    /// Connects to a server this authority has signed for, with a client certificate or without, and makes one
    /// request. An error says that no connection came about.
    pub async fn request(
        &self,
        address: &str,
        who: Option<&Certified>,
        request: Request<'_>,
    ) -> Result<Answer, String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match who {
            None => builder.with_no_client_auth(),
            Some(who) => {
                let key = PrivateKeyDer::try_from(who.key.serialize_der()).expect("a key");
                builder.with_client_auth_cert(vec![who.certificate.clone()], key).expect("a certificate")
            }
        };
        config.alpn_protocols = vec![request.protocol.as_bytes().to_vec()];
        let socket = TcpStream::connect(address).await.expect("a connection");
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
        let stream = stream.map_err(|error| error.to_string())?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(request.protocol.as_bytes()), "ALPN");
        exchange(stream, &request).await
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// One request over TLS.
pub struct Request<'r> {
    /// `h2` or `http/1.1`.
    pub protocol: &'r str,
    /// Path and query.
    pub path: &'r str,
    /// Headers besides those every call has.
    pub headers: &'r [(&'r str, &'r str)],
    /// A body makes it a POST.
    pub body: Option<Value>,
}

async fn exchange(
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    request: &Request<'_>,
) -> Result<Answer, String> {
    let io = TokioIo::new(stream);
    let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
    let mut message = hyper::Request::builder()
        .method(if request.body.is_some() { "POST" } else { "GET" })
        .uri(format!("https://127.0.0.1{}", request.path))
        .header("host", "127.0.0.1")
        .header("content-type", "application/json")
        .header("a2a-version", "1.0");
    for (name, value) in request.headers {
        message = message.header(*name, *value);
    }
    let message = message.body(Full::new(Bytes::from(body))).expect("a request");
    let told = |error: hyper::Error| format!("{error:?}");
    let answer = if request.protocol == "h2" {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(told)?;
        tokio::spawn(connection);
        sender.send_request(message).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(told)?;
        tokio::spawn(connection);
        sender.send_request(message).await
    };
    let (head, body) = answer.map_err(told)?.into_parts();
    let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap_or_default().to_owned())
    };
    let bytes = body.collect().await.map_err(told)?.to_bytes();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers.iter().map(header).collect(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    })
}
