//! A broker whose clock stands still and whose issuers publish what a test says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker::address::{Destination, GivenBy};
use broker::ports::clock::Clock;
use broker::ports::fetch::Fetch;
use broker::service::{
    Algorithm, Broker, CallerSettings, CardOptions, Credential, IssuerSettings, Keep, Parts, Principal,
    Principals, ProbeOptions, QuotaTable, Recovery, Retention, Settings,
};
use broker::southbound::client::A2aClient;
use broker::southbound::connector::{Resolve, SystemResolver};
use broker::southbound::dialer::Dialer;
use broker::southbound::discovery::CardFetcher;
use broker::southbound::tls;
use broker::southbound::webhook::Webhooks;
use broker::store::embedded::EmbeddedStore;
use broker_core::{Limits, TaskId, Timestamp};
use bytes::Bytes;
use capability::Scope;
use jsonwebtoken::EncodingKey;
use protocol::A2aError;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

pub(super) const ISSUER: &str = "https://issuer.example";
pub(super) const AUDIENCE: &str = "https://broker.example";
pub(super) const DISCOVERY: &str = "https://issuer.example/.well-known/openid-configuration";
pub(super) const JWKS: &str = "https://keys.example/jwks.json";
/// The time everything begins at, seconds.
pub(super) const NOW: i64 = 1_790_000_000;

/// Time stands still until a test moves it.
pub(super) struct StoppedClock(AtomicI64);

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn new_task_id(&self) -> TaskId {
        TaskId(uuid::Uuid::now_v7())
    }

    fn new_secret(&self) -> Result<[u8; 32], String> {
        Ok([7; 32])
    }
}

/// The documents an issuer publishes.
#[derive(Default)]
pub(super) struct Web {
    documents: Mutex<HashMap<String, Bytes>>,
    fetches: AtomicUsize,
    /// While set, answers wait for the notification.
    pub(super) slow: Mutex<Option<Arc<Notify>>>,
    /// Somebody waits for the notification.
    pub(super) reached: Notify,
}

#[async_trait]
impl Fetch for Web {
    async fn get(&self, url: &str, given_by: &GivenBy, _: usize) -> Result<Bytes, String> {
        Destination::judge(url, given_by).map_err(|refused| refused.to_string())?;
        if url == JWKS {
            self.fetches.fetch_add(1, Ordering::SeqCst);
        }
        let slow = self.slow.lock().unwrap().clone();
        if let Some(gate) = slow {
            let opened = gate.notified();
            self.reached.notify_one();
            opened.await;
        }
        self.documents.lock().unwrap().get(url).cloned().ok_or_else(|| "nobody answers".to_owned())
    }
}

impl Web {
    pub(super) fn publish(&self, url: &str, document: &Value) {
        self.documents.lock().unwrap().insert(url.to_owned(), document.to_string().into());
    }

    pub(super) fn publish_keys(&self, keys: &[&SigningKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.publish(JWKS, &json!({ "keys": keys }));
    }

    pub(super) fn go_down(&self) {
        self.documents.lock().unwrap().clear();
    }

    pub(super) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

pub(super) struct SigningKey {
    id: String,
    algorithm: jsonwebtoken::Algorithm,
    pair: rcgen::KeyPair,
}

impl SigningKey {
    pub(super) fn ed25519(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self { id: id.to_owned(), algorithm: jsonwebtoken::Algorithm::EdDSA, pair }
    }

    pub(super) fn p256(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self { id: id.to_owned(), algorithm: jsonwebtoken::Algorithm::ES256, pair }
    }

    pub(super) fn jwk(&self) -> Value {
        let raw = self.pair.public_key_raw();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self.algorithm {
            jsonwebtoken::Algorithm::EdDSA => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": text(raw) })
            }
            _ => {
                json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "x": text(&raw[1..33]), "y": text(&raw[33..]) })
            }
        }
    }

    pub(super) fn sign_parts(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let der = self.pair.serialize_der();
        let key = match self.algorithm {
            jsonwebtoken::Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_ec_der(&der),
        };
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": format!("{:?}", self.algorithm), "kid": self.id, "typ": "JWT" });
        self.sign_parts(&header.to_string(), &claims.to_string())
    }
}

/// Good claims, with changes.
pub(super) fn claims(changes: &Value) -> Value {
    let mut claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": NOW, "exp": NOW + 600 });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

pub(super) fn settings() -> IssuerSettings {
    IssuerSettings {
        name: "corp".to_owned(),
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks_url: String::new(),
        algorithms: vec![Algorithm::EdDsa, Algorithm::Es256],
        subject_claim: "sub".to_owned(),
        operator_claim: Some(("roles".to_owned(), "operator".to_owned())),
        scope: Some(Scope::empty()),
        leeway: Duration::from_secs(30),
        max_age: Duration::from_hours(24),
        jwks_refresh: Duration::from_hours(1),
        jwks_min_refetch: Duration::from_secs(30),
        jwks_max_stale: Duration::from_hours(24),
    }
}

pub(super) struct World {
    pub(super) broker: Arc<Broker>,
    pub(super) web: Arc<Web>,
    clock: Arc<StoppedClock>,
    _folder: TempDir,
}

impl World {
    pub(super) fn new(principals: Vec<Principal>, issuers: Vec<IssuerSettings>) -> Self {
        let folder = TempDir::new().unwrap();
        let store = EmbeddedStore::open(folder.path(), broker::store::embedded::Options::default()).unwrap();
        let web = Arc::new(Web::default());
        web.publish(DISCOVERY, &json!({ "issuer": ISSUER, "jwks_uri": JWKS }));
        let clock = Arc::new(StoppedClock(AtomicI64::new(NOW * 1_000)));
        // No agent is ever dialled here.
        let southbound = broker::config::Config::default().southbound;
        let resolver: Arc<dyn Resolve> = Arc::new(SystemResolver);
        let tls = tls::client_config("southbound.ca_file", None).unwrap();
        let dialer = Arc::new(Dialer::new(southbound.dialer_options(), &tls, &resolver));
        let parts = Parts {
            store: Arc::new(store),
            notifier: Arc::new(Webhooks::new(Arc::clone(&dialer), Duration::from_secs(1))),
            downstream: Arc::new(A2aClient::new(dialer, southbound.client_options())),
            discovery: Arc::new(CardFetcher::new(Arc::clone(&web) as Arc<dyn Fetch>)),
            fetch: Arc::clone(&web) as Arc<dyn Fetch>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            stages: broker::service::Stages::default(),
            embedder: crate::embedder(),
            weights: broker_selection::Weights::shipped("static").unwrap(),
            traces: None,
            peers: None,
        };
        let settings = Settings {
            public_url: AUDIENCE.to_owned(),
            limits: Limits::default(),
            recovery: Recovery::default(),
            admission: broker::service::AdmissionOptions::default(),
            quotas: QuotaTable::new(Some(1_000)),
            keep: Keep { idle: 0, finished: 1, finished_bytes: 1 << 20 },
            retention: Retention::default(),
            callers: CallerSettings {
                principals: Principals::new(principals).unwrap(),
                issuers,
                ..CallerSettings::default()
            },
            secret_dir: None,
            grants: broker::config::Config::default().grant_options(),
            card_keys: broker::config::Config::default().card_options(),
            acceptance: broker::service::AcceptanceOptions::default(),
            refusal_window: Duration::from_secs(10),
            push: broker::config::Config::default().push_options(),
            card_life: CardOptions::default(),
            probing: ProbeOptions::default(),
            selection: broker::config::Config::default().selection.options(),
        };
        Self { broker: Broker::new(parts, settings), web, clock, _folder: folder }
    }

    /// A world with one issuer and the key it publishes.
    pub(super) fn with_issuer() -> (Self, SigningKey) {
        let (world, key) = (Self::new(Vec::new(), vec![settings()]), SigningKey::ed25519("k1"));
        world.web.publish_keys(&[&key]);
        (world, key)
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// Who calls, or why nobody does.
    pub(super) async fn judge(&self, token: &str) -> Result<String, A2aError> {
        let caller = self.broker.authenticate(Some(&Credential::Bearer(token.to_owned()))).await?;
        let role = if caller.is_operator() { " (operator)" } else { "" };
        Ok(format!("{}{role}", caller.display_name()))
    }

    pub(super) async fn refuse(&self, token: &str) -> A2aError {
        self.judge(token).await.expect_err("should be refused")
    }
}
