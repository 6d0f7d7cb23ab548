//! The callers the configuration knows, found by what they prove themselves with.

use std::collections::HashMap;
use std::sync::Arc;

use capability::Scope;
use sha2::{Digest, Sha256};

/// Somebody the configuration knows.
#[derive(Clone)]
pub struct Principal {
    /// Name; owns the trees it begins.
    pub name: String,
    /// What it may do here.
    pub role: Role,
    /// What its root tasks hold.
    pub scope: Scope,
    /// What it proves itself with; each is enough.
    pub proofs: Vec<Proof>,
}

/// What a principal may do here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Sees and steers its own trees.
    User,
    /// Sees and steers all trees, and registers agents.
    Operator,
    /// Delegates for the tasks the broker gave this agent.
    Agent(String),
    /// Is another broker of the configuration: has done here what its grants say.
    Broker(String),
}

/// Something only one principal can present.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Proof {
    /// The API key with this SHA-256.
    Key([u8; 32]),
    /// The client certificate whose DER has this SHA-256.
    Certificate([u8; 32]),
    /// A client certificate with this name among its subject alternative names.
    Name(CertificateName),
    /// A token of this issuer (by its name here) about this subject.
    Subject {
        /// The issuer's name in the configuration.
        issuer: String,
        /// The subject.
        subject: String,
    },
}

/// A subject alternative name. A URI and a DNS name of the same text are different names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// A URI, as in SPIFFE.
    Uri(String),
    /// A DNS name.
    Dns(String),
}

/// A client certificate the TLS layer has verified against the configured authorities.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
    /// Its subject alternative names.
    pub names: Vec<CertificateName>,
}

/// All principals, by proof.
#[derive(Default)]
pub struct Principals {
    by_proof: HashMap<Proof, Arc<Principal>>,
}

impl Proof {
    /// The proof that an API key is. Looking its digest up takes no time that depends on how much of a key is right.
    pub fn of_key(key: &str) -> Self {
        Self::Key(Sha256::digest(key.as_bytes()).into())
    }
}

impl Principals {
    /// Indexes principals. Two of one name, or two with the same proof, are a mistake.
    pub fn new(all: Vec<Principal>) -> Result<Self, String> {
        let mut by_proof = HashMap::new();
        let mut names = std::collections::HashSet::new();
        for principal in all {
            if !names.insert(principal.name.clone()) {
                return Err(format!(
                    "principals.{}: stands twice; one entry may have several keys and certificates",
                    principal.name
                ));
            }
            let principal = Arc::new(principal);
            for proof in &principal.proofs {
                let other: Option<Arc<Principal>> = by_proof.insert(proof.clone(), Arc::clone(&principal));
                if let Some(other) = other.filter(|other| other.name != principal.name) {
                    return Err(format!(
                        "principals.{} and principals.{} would be proved by the same credential",
                        other.name, principal.name
                    ));
                }
            }
        }
        Ok(Self { by_proof })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_proof.is_empty()
    }

    pub(super) fn by_proof(&self, proof: &Proof) -> Option<&Principal> {
        self.by_proof.get(proof).map(Arc::as_ref)
    }

    /// Whom a certificate proves: itself above its names; names of two principals prove neither.
    pub(super) fn by_certificate(&self, certificate: &ClientCertificate) -> Option<&Principal> {
        if let Some(exact) = self.by_proof(&Proof::Certificate(certificate.sha256)) {
            return Some(exact);
        }
        let mut named = certificate.names.iter().filter_map(|name| self.by_proof(&Proof::Name(name.clone())));
        let first = named.next()?;
        named.all(|other| other.name == first.name).then_some(first)
    }

    /// Whether any principal is proved in a way.
    pub(super) fn any(&self, is_meant: impl Fn(&Proof) -> bool) -> bool {
        self.by_proof.keys().any(is_meant)
    }
}
