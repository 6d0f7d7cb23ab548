//! The few messages of A2A's gRPC binding that a stream of the echo takes, and its frames: a byte that says "not
//! compressed", four of length, the message.

use bytes::{BufMut, Bytes, BytesMut};

pub const STREAM: &str = "/lf.a2a.v1.A2AService/SendStreamingMessage";
pub const WORKING: i32 = 2;
pub const COMPLETED: i32 = 3;
pub const USER: i32 = 1;
const PREFIX: usize = 5;

#[derive(Clone, PartialEq, prost::Message)]
pub struct SendMessageRequest {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(message, optional, tag = "2")]
    pub message: Option<Message>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    #[prost(string, tag = "1")]
    pub message_id: String,
    #[prost(int32, tag = "4")]
    pub role: i32,
    #[prost(message, repeated, tag = "5")]
    pub parts: Vec<Part>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Part {
    #[prost(string, tag = "1")]
    pub text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamResponse {
    #[prost(oneof = "Payload", tags = "1, 2, 3, 4")]
    pub payload: Option<Payload>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Payload {
    #[prost(message, tag = "1")]
    Task(Task),
    #[prost(message, tag = "2")]
    Message(Message),
    #[prost(message, tag = "3")]
    Status(StatusUpdate),
    #[prost(message, tag = "4")]
    Artifact(ArtifactUpdate),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Task {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub context_id: String,
    #[prost(message, optional, tag = "3")]
    pub status: Option<Status>,
    #[prost(message, repeated, tag = "4")]
    pub artifacts: Vec<Artifact>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub state: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StatusUpdate {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(string, tag = "2")]
    pub context_id: String,
    #[prost(message, optional, tag = "3")]
    pub status: Option<Status>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ArtifactUpdate {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(string, tag = "2")]
    pub context_id: String,
    #[prost(message, optional, tag = "3")]
    pub artifact: Option<Artifact>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Artifact {
    #[prost(string, tag = "1")]
    pub artifact_id: String,
    #[prost(message, repeated, tag = "4")]
    pub parts: Vec<Part>,
}

/// A message in its frame.
pub fn frame(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    frame.freeze()
}

/// Takes the first frame off, if it is there as a whole.
pub fn take_frame(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = buffer.get(1..PREFIX)?.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    (buffer.len() >= PREFIX + length).then(|| buffer.split_to(PREFIX + length).freeze().slice(PREFIX..))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_frame_is_taken_off_only_when_it_is_whole() {
        let sent = StatusUpdate { task_id: "t".to_owned(), context_id: String::new(), status: None };
        let mut buffer = BytesMut::from(&frame(&sent)[..]);
        let whole = buffer.split();
        for cut in 0..whole.len() {
            assert_eq!(take_frame(&mut BytesMut::from(&whole[..cut])), None);
        }
        let mut two = BytesMut::from(&[&whole[..], &whole[..]].concat()[..]);
        assert_eq!(StatusUpdate::decode(take_frame(&mut two).unwrap()).unwrap(), sent);
        assert!(take_frame(&mut two).is_some() && two.is_empty());
    }
}
