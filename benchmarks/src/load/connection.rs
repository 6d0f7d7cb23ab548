//! One connection of HTTP/1.1: a request is bytes that are ready, an answer is a status and a body. Only what servers of
//! A2A answer is understood: a length, or chunks.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BUFFER: usize = 16 * 1024;
const MAX_HEADERS: usize = 32;

pub struct Connection {
    socket: TcpStream,
    /// What was read and is not used up yet; an answer's head begins where the last answer ended.
    buffer: Vec<u8>,
}

/// Where a body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Known(usize),
    Chunked,
}

pub struct Head {
    pub status: u16,
    pub length: Length,
    /// Bytes of the head.
    pub size: usize,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let socket =
            TcpStream::connect(address).await.with_context(|| format!("no connection with {address}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Sends a request and reads the whole answer: its status and its body.
    pub async fn call(&mut self, request: &[u8], body: &mut Vec<u8>) -> Result<u16> {
        self.send(request).await?;
        let head = self.head().await?;
        self.buffer.drain(..head.size);
        body.clear();
        match head.length {
            Length::Known(length) => {
                while self.buffer.len() < length {
                    self.more().await?;
                }
                body.extend(self.buffer.drain(..length));
            }
            Length::Chunked => while self.chunk(body).await? {},
        }
        Ok(head.status)
    }

    pub async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.socket.write_all(request).await.context("the request cannot be sent")
    }

    /// Reads until there is a head.
    pub async fn head(&mut self) -> Result<Head> {
        loop {
            if let Some(head) = read_head(&self.buffer)? {
                return Ok(head);
            }
            self.more().await?;
        }
    }

    /// Takes the head out of the buffer.
    pub fn pass(&mut self, head: &Head) {
        self.buffer.drain(..head.size);
    }

    /// Reads one chunk to the end of `body`; false after the last.
    pub async fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        let (start, length) = loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((start, length))) => break (start, usize::try_from(length)?),
                Ok(httparse::Status::Partial) => self.more().await?,
                Err(_) => bail!("the size of a chunk cannot be read"),
            }
        };
        // The data, then an empty line. (Nobody here sends trailers.)
        let end = start + length + 2;
        while self.buffer.len() < end {
            self.more().await?;
        }
        body.extend_from_slice(&self.buffer[start..start + length]);
        self.buffer.drain(..end);
        Ok(length > 0)
    }

    async fn more(&mut self) -> Result<()> {
        self.buffer.reserve(BUFFER / 4);
        match self.socket.read_buf(&mut self.buffer).await.context("the answer cannot be read")? {
            0 => bail!("the connection was closed in the middle of an answer"),
            _ => Ok(()),
        }
    }
}

fn read_head(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(size) = response.parse(bytes).context("the answer is not HTTP/1.1")?
    else {
        return Ok(None);
    };
    let mut length = None;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = Some(Length::Known(std::str::from_utf8(header.value)?.trim().parse()?));
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            length = Some(Length::Chunked);
        }
    }
    let length = length.context("the answer has neither a length nor chunks")?;
    Ok(Some(Head { status: response.code.unwrap_or_default(), length, size }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answers(bytes: &'static [u8], cut: usize) -> (u16, Vec<u8>, u16, Vec<u8>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            socket.read_u8().await.unwrap();
            for piece in bytes.chunks(cut) {
                socket.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut connection = Connection::open(address).await.unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let status = connection.call(b"x", &mut first).await.unwrap();
        let then = connection.call(b"y", &mut second).await.unwrap();
        serving.await.unwrap();
        (status, first, then, second)
    }

    #[tokio::test]
    async fn answers_in_any_pieces_are_read_whole_and_apart() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for cut in [1, 2, 7, 1000] {
            assert_eq!(answers(bytes, cut).await, (200, b"hello".to_vec(), 503, b"abcde".to_vec()));
        }
    }

    #[test]
    fn an_answer_without_an_end_is_refused() {
        assert!(read_head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
