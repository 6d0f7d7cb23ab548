//! The least durable broker: what no broker can do without that loses nothing. A message is read as far as it must be,
//! noted, passed on; its answer is noted and passed back. Optionally something is signed for it.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::log::Log;
use super::serving::{Service, whole};

/// What is signed: as long as the claims of a grant.
const CLAIMS: usize = 700;

#[derive(Clone)]
pub struct Relay {
    agent: String,
    client: Client<HttpConnector, Full<Bytes>>,
    journal: Journal,
    key: Option<Arc<SigningKey>>,
}

#[derive(Clone)]
enum Journal {
    Durable(Log),
    /// Written at once: where nobody waits for the disk, nothing is gained by waiting for others.
    Written(Arc<File>),
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    _id: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    message: Said<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    message_id: &'a str,
    #[serde(borrow)]
    parts: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

impl Relay {
    pub fn new(agent: SocketAddr, log: &Path, fsync: bool, sign: bool) -> Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let journal = if fsync {
            Journal::Durable(Log::open(log, true)?)
        } else {
            Journal::Written(Arc::new(File::create(log)?))
        };
        Ok(Self {
            agent: format!("http://{agent}/"),
            client: Client::builder(TokioExecutor::new()).build(connector),
            journal,
            // Any key will do: what it signs is measured, not believed.
            key: sign.then(|| Arc::new(SigningKey::from_bytes(&[7; 32]))),
        })
    }

    async fn note(&self, record: &[u8]) -> Result<()> {
        match &self.journal {
            Journal::Durable(log) => log.append(record.to_vec()).await,
            Journal::Written(file) => Ok(file.as_ref().write_all(record)?),
        }
    }

    fn sign(&self, message_id: &str) {
        if let Some(key) = &self.key {
            let claims = format!("{message_id:.<CLAIMS$}");
            std::hint::black_box(key.sign(claims.as_bytes()));
        }
    }
}

impl Service for Relay {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        if request.method() != Method::POST {
            return Ok(Response::builder().status(405).body(Full::default())?);
        }
        let body = whole(request.into_body()).await?;
        let call: Call = serde_json::from_slice(&body).context("a message")?;
        anyhow::ensure!(!call.params.message.parts.is_empty(), "a message without parts");
        self.sign(call.params.message.message_id);
        self.note(&body).await?;
        let onward = Request::post(&self.agent)
            .header("content-type", "application/json")
            .header("a2a-version", "1.0");
        let answer =
            self.client.request(onward.body(Full::new(body))?).await.context("the agent does not answer")?;
        let answer = whole(answer.into_body()).await?;
        let result: Answer = serde_json::from_slice(&answer).context("an answer with a result")?;
        self.note(result.result.get().as_bytes()).await?;
        Ok(Response::builder().header("content-type", "application/json").body(Full::new(answer))?)
    }
}
