//! Frames: a flag, a length, a message. However the bytes are cut on their way, the messages are the same.

/// The flag and the length before each message, bytes.
pub const PREFIX_BYTES: usize = 5;

/// Why no further message can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A message is larger than allowed.
    #[error("a message of {length} bytes exceeds {limit} bytes")]
    TooLarge {
        /// What its prefix says.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// A message is compressed.
    #[error("compressed messages are not read; send them with grpc-encoding: identity")]
    Compressed,
    /// A message begins with neither 0 nor 1.
    #[error("not a gRPC message: expected a flag of 0 or 1, found {0}")]
    BadFlag(u8),
}

/// Puts a message in its frame.
pub fn frame(message: &[u8]) -> Result<Vec<u8>, FrameError> {
    let limit = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
    let too_large = |_| FrameError::TooLarge { length: message.len(), limit };
    let length = u32::try_from(message.len()).map_err(too_large)?;
    let mut framed = Vec::with_capacity(PREFIX_BYTES + message.len());
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    Ok(framed)
}

/// Takes messages out of bytes that arrive in any pieces.
#[derive(Debug)]
pub struct Deframer {
    limit: usize,
    buffer: Vec<u8>,
}

impl Deframer {
    /// A reader that refuses messages larger than `limit` bytes, by what their prefix says.
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new() }
    }

    /// Takes in a piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message that is complete.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some((&[flag, a, b, c, d], rest)) = self.buffer.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        match flag {
            0 => {}
            1 => return Err(FrameError::Compressed),
            other => return Err(FrameError::BadFlag(other)),
        }
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(FrameError::TooLarge { length, limit: self.limit });
        }
        let Some(message) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        self.buffer.drain(..PREFIX_BYTES + length);
        Ok(Some(message))
    }

    /// Whether the bytes so far end in the middle of a message.
    pub fn is_mid_message(&self) -> bool {
        !self.buffer.is_empty()
    }
}
