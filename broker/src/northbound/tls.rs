//! TLS towards callers, with their certificates where an authority for them is configured.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::service::{CertificateName, ClientCertificate};

/// The protocols offered, preferred first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities that sign callers' certificates; without it none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// The server's side of TLS.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<TlsAcceptor>>);

impl Tls {
    /// Reads the files. What is wrong is named by its configuration key.
    pub fn load(files: &TlsFiles) -> Result<Self, String> {
        let chain = certificates("cert", &files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
            format!("server.tls.key {}: {error}; expected a private key in PEM", files.key.display())
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("server.tls: {error}"))?;
        let verifier = match &files.client_ca {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(path) => {
                let wrong = |problem: String| format!("server.tls.client_ca {}: {problem}", path.display());
                let mut roots = RootCertStore::empty();
                for authority in certificates("client_ca", path)? {
                    roots.add(authority).map_err(|error| wrong(error.to_string()))?;
                }
                // A caller without a certificate may have another credential.
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| wrong(error.to_string()))?
            }
        };
        let mut config =
            builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).map_err(|error| {
                let (cert, key) = (files.cert.display(), files.key.display());
                format!("server.tls: the certificate {cert} and the key {key} do not go together: {error}")
            })?;
        config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
        if files.client_ca.is_some() {
            // A resumed session would bring back a certificate nobody has looked at since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Self(Arc::new(RwLock::new(TlsAcceptor::from(Arc::new(config))))))
    }

    /// Other certificates from the next connection on.
    pub fn replace(&self, with: &Self) {
        let acceptor = with.acceptor();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shakes hands; the connection, and the caller's certificate if it showed one.
    pub(super) async fn accept(
        &self,
        socket: TcpStream,
    ) -> std::io::Result<(TlsStream<TcpStream>, Option<Arc<ClientCertificate>>)> {
        let stream = self.acceptor().accept(socket).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(read);
        Ok((stream, shown.map(Arc::new)))
    }
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |problem: String| format!("server.tls.{key} {}: {problem}", path.display());
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| wrong(format!("{error}; expected certificates in PEM")))?;
    if found.is_empty() {
        Err(wrong("expected at least one certificate in PEM".to_owned()))
    } else {
        Ok(found)
    }
}

/// What a certificate that was verified says of its holder.
fn read(der: &CertificateDer<'_>) -> ClientCertificate {
    let names = webpki::EndEntityCert::try_from(der).map_or_else(
        |_| Vec::new(),
        |certificate| {
            let uris = certificate.valid_uri_names().map(|name| CertificateName::Uri(name.to_owned()));
            let hosts = certificate.valid_dns_names().map(|name| CertificateName::Dns(name.to_owned()));
            uris.chain(hosts).collect()
        },
    );
    ClientCertificate { sha256: Sha256::digest(der).into(), names }
}
