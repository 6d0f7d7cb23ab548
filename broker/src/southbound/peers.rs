//! Requests to the other brokers that share a store, as they came, by the same HTTP: what is streamed is streamed on.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Request, Response, Uri};
use http_body_util::{BodyStream, Full};
use hyper::body::Frame;

use super::dialer::Dialer;
use super::failure::Trouble;
use crate::address::Reach;
use crate::ports::peers::{NotHandedOn, Peers, Piece, Pieces};

/// What is said between two ends of one connection, and the name of the host that was dialled.
const OF_ONE_CONNECTION: [HeaderName; 5] =
    [CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive")];

/// Peers by way of the dialer.
pub struct HttpPeers(Arc<Dialer>);

impl HttpPeers {
    /// Peers that are dialled as agents are.
    pub fn new(dialer: Arc<Dialer>) -> Self {
        Self(dialer)
    }
}

#[async_trait]
impl Peers for HttpPeers {
    async fn hand_on(&self, url: &str, request: Request<Bytes>) -> Result<Response<Pieces>, NotHandedOn> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("{url}{path}")
            .parse()
            .map_err(|error| NotHandedOn::NotSent(format!("{url}{path}: {error}")))?;
        head.uri = uri;
        for name in OF_ONE_CONNECTION {
            head.headers.remove(name);
        }
        let answer = self.0.send(Reach::Anywhere, Request::from_parts(head, Full::new(body)), None).await;
        let answer = answer.map_err(|trouble| match trouble {
            Trouble::Connect(reason) => NotHandedOn::NotSent(reason),
            other => NotHandedOn::Unknown(other.to_string()),
        })?;
        let (mut head, body) = answer.into_parts();
        for name in OF_ONE_CONNECTION {
            head.headers.remove(name);
        }
        let pieces: Pieces =
            BodyStream::new(body).map(|frame| piece(frame.map_err(|error| error.to_string())?)).boxed();
        Ok(Response::from_parts(head, pieces))
    }
}

fn piece(frame: Frame<Bytes>) -> Result<Piece, String> {
    match frame.into_data() {
        Ok(data) => Ok(Piece::Data(data)),
        Err(frame) => {
            let trailers = frame.into_trailers().map(Piece::Trailers);
            trailers.map_err(|_| "it sent a frame of an unknown kind".to_owned())
        }
    }
}
