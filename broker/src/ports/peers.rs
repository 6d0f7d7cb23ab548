//! The other brokers that share a store: a request about a tree that one of them drives is handed on to it as it came.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderMap, Request, Response};

/// What an answer consists of, piece by piece.
#[derive(Debug)]
pub enum Piece {
    /// Part of the body.
    Data(Bytes),
    /// What follows the body.
    Trailers(HeaderMap),
}

/// The body of an answer; an error where it breaks off.
pub type Pieces = BoxStream<'static, Result<Piece, String>>;

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotHandedOn {
    /// The other broker has not seen it.
    NotSent(String),
    /// It may have done what was asked.
    Unknown(String),
}

/// The way to the other brokers.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Hands a request on to the broker at a URL, and begins with its answer. The request's URI is a path.
    async fn hand_on(&self, url: &str, request: Request<Bytes>) -> Result<Response<Pieces>, NotHandedOn>;
}
