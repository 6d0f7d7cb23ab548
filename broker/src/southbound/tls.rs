//! Whom the broker believes to be the agent it dialled: the roots of the machine, and those of `southbound.ca_file`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The TLS side of a client. The file, which a key of the configuration names, holds certificates in PEM that are believed
/// beside the machine's own.
pub fn client_config(key: &str, ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the machine's certificates cannot be read");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        add(&mut roots, path).map_err(|problem| {
            format!("{key} {}: expected certificates in PEM: {problem}", path.display())
        })?;
    }
    believing(roots)
}

/// The TLS side of a client that believes these alone.
pub fn believing(roots: RootCertStore) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let mut found = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        found += 1;
    }
    if found == 0 { Err("there is none in it".to_owned()) } else { Ok(()) }
}

/// An error with its causes, and what to do about it where that is known: `key` names the certificates that are believed.
pub(crate) fn describe(error: &(dyn Error + 'static), key: &str) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        if is_unknown_issuer(error) {
            text.push_str(
                "; its certificate is from a CA this machine does not know: name that CA's certificate in ",
            );
            text.push_str(key);
        }
        cause = error.source();
    }
    text
}

/// An I/O error hides what it wraps from its causes, and TLS errors come wrapped in several.
fn is_unknown_issuer(error: &(dyn Error + 'static)) -> bool {
    if let Some(wrapped) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return is_unknown_issuer(wrapped);
    }
    let tls = error.downcast_ref::<rustls::Error>();
    matches!(tls, Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)))
}
