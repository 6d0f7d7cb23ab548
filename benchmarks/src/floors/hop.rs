//! The least proxy: hyper's server before hyper's pooled client, and nothing between them.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::serving::Service;

#[derive(Clone)]
pub struct Hop {
    agent: SocketAddr,
    http1: Client<HttpConnector, Incoming>,
    http2: Client<HttpConnector, Incoming>,
}

impl Hop {
    pub fn new(agent: SocketAddr) -> Self {
        let client = |http2_only| {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            Client::builder(TokioExecutor::new()).http2_only(http2_only).build(connector)
        };
        Self { agent, http1: client(false), http2: client(true) }
    }
}

impl Service for Hop {
    type Body = Incoming;

    async fn answer(&self, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() =
            Uri::builder().scheme("http").authority(self.agent.to_string()).path_and_query(path).build()?;
        let client = if request.version() == Version::HTTP_2 { &self.http2 } else { &self.http1 };
        client.request(request).await.context("the agent does not answer")
    }
}
