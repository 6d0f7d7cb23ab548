//! What is asked, and what counts as its answer. A request is written once; each call only writes its own number into
//! it, in 16 digits, so that all have the same length and no two are the same message.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Bytes of a SendMessage's body, as in the measurements this work began with.
pub const BODY: usize = 554;
const NUMBER: &str = "################";
/// One answer in this many is read as JSON; all others are looked through for their number.
const SAMPLE: u64 = 64;
/// Tasks on a page.
const PAGE: usize = 50;
/// How much of a wrong answer is shown.
const SHOWN: usize = 600;

/// What an answer has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// What was sent, as a message or as an artifact.
    Echo,
    /// The task that was asked for.
    Task,
    /// A task that is open.
    Begun,
    /// A full page of tasks.
    Page,
}

#[derive(Clone)]
pub struct Request {
    address: SocketAddr,
    bytes: Vec<u8>,
    /// Where the number has to be written.
    places: Vec<usize>,
    answers: Answers,
    /// What a task's answer must contain.
    marker: Vec<u8>,
    /// Whose calls these are, in turn, and where that has to be written.
    grants: Rc<[String]>,
    grant_at: usize,
}

impl Request {
    /// SendMessage over JSON-RPC, answered in one piece.
    pub fn send(address: SocketAddr, path: &str) -> Self {
        Self::post(address, path, "application/json", &json_rpc("SendMessage"))
    }

    /// SendStreamingMessage over JSON-RPC.
    pub fn stream(address: SocketAddr, path: &str) -> Self {
        Self::post(address, path, "application/json", &json_rpc("SendStreamingMessage"))
    }

    /// `POST /message:stream` of HTTP+JSON.
    pub fn stream_http(address: SocketAddr, path: &str) -> Self {
        let path = format!("{}/message:stream", path.trim_end_matches('/'));
        Self::post(
            address,
            &path,
            "application/a2a+json",
            &padded(&format!(r#"{{"message":{}}}"#, message())),
        )
    }

    /// SendMessage of agents that delegate, each in turn with its grant.
    pub fn delegate(address: SocketAddr, path: &str, grants: &[String]) -> Result<Self> {
        let longest = grants.iter().map(String::len).max();
        let room = "_".repeat(longest.context("a grant to delegate with")?);
        let mut request = Self::send(address, path);
        let text = String::from_utf8(request.bytes)?;
        let text = text.replacen("\r\n", &format!("\r\nauthorization: Bearer {room}\r\n"), 1);
        request.grants = grants.into();
        request.grant_at = text.find(&room).context("a place for the grant")?;
        request.places = text.match_indices(NUMBER).map(|(at, _)| at).collect();
        request.bytes = text.into_bytes();
        Ok(request)
    }

    /// SendMessage that is answered with a task at once.
    pub fn begin(address: SocketAddr, path: &str) -> Self {
        let body = json_rpc("SendMessage");
        let body =
            body.replacen(r#""params":{"#, r#""params":{"configuration":{"returnImmediately":true},"#, 1);
        let mut request = Self::post(address, path, "application/json", &body);
        request.answers = Answers::Begun;
        request
    }

    /// SubscribeToTask over JSON-RPC.
    pub fn subscribe(address: SocketAddr, path: &str, task: &str) -> Self {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"SubscribeToTask","params":{{"id":"{task}"}}}}"#);
        Self::post(address, path, "application/json", &body)
    }

    /// A page of ListTasks over JSON-RPC.
    pub fn list_tasks(address: SocketAddr, path: &str) -> Self {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"{NUMBER}","method":"ListTasks","params":{{"pageSize":{PAGE}}}}}"#
        );
        let mut request = Self::post(address, path, "application/json", &body);
        request.answers = Answers::Page;
        request
    }

    /// GetTask over JSON-RPC.
    pub fn get_task(address: SocketAddr, path: &str, task: &str) -> Self {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":"{NUMBER}","method":"GetTask","params":{{"id":"{task}"}}}}"#);
        let mut request = Self::post(address, path, "application/json", &body);
        request.answers = Answers::Task;
        request.marker = task.as_bytes().to_vec();
        request
    }

    fn post(address: SocketAddr, path: &str, media: &str, body: &str) -> Self {
        let text = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {media}\r\naccept: {media}, text/event-stream\r\na2a-version: 1.0\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let places = text.match_indices(NUMBER).map(|(at, _)| at).collect();
        let (answers, marker, grants) = (Answers::Echo, Vec::new(), Rc::default());
        Self { address, bytes: text.into_bytes(), places, answers, marker, grants, grant_at: 0 }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bytes of one call.
    pub fn numbered(&mut self, number: u64) -> &[u8] {
        let digits = digits(number);
        for &at in &self.places {
            self.bytes[at..at + digits.len()].copy_from_slice(&digits);
        }
        if !self.grants.is_empty() {
            let grant = &self.grants[(number % self.grants.len() as u64) as usize];
            // One that is shorter is followed by spaces, which mean nothing there.
            let end = self.bytes[self.grant_at..].iter().position(|&byte| byte == b'\r').unwrap_or_default();
            self.bytes[self.grant_at..self.grant_at + end].fill(b' ');
            self.bytes[self.grant_at..self.grant_at + grant.len()].copy_from_slice(grant.as_bytes());
        }
        &self.bytes
    }

    /// Whether an answer is that of the call with this number.
    pub fn check(&self, number: u64, status: u16, body: &[u8]) -> Result<()> {
        ensure!(status == 200, "call {number} was answered with HTTP {status}: {}", shown(body));
        self.contains(number, body)?;
        if number.is_multiple_of(SAMPLE) {
            let answer: Value = serde_json::from_slice(body)?;
            if !self.is_answer(&answer["result"], std::str::from_utf8(&digits(number))?) {
                bail!("call {number} was answered wrongly: {}", shown(body));
            }
        }
        Ok(())
    }

    /// Whether the number of a call stands in what was answered.
    pub fn contains(&self, number: u64, body: &[u8]) -> Result<()> {
        let found = memchr::memmem::find(body, &digits(number));
        ensure!(found.is_some(), "call {number} was answered with something else: {}", shown(body));
        Ok(())
    }

    fn is_answer(&self, result: &Value, digits: &str) -> bool {
        let says = |parts: &Value| parts[0]["text"].as_str().is_some_and(|text| text.starts_with(digits));
        match self.answers {
            Answers::Echo => {
                says(&result["message"]["parts"]) || says(&result["task"]["artifacts"][0]["parts"])
            }
            Answers::Task => {
                let is_asked_for = result["id"].as_str().is_some_and(|id| id.as_bytes() == self.marker);
                is_asked_for && result["status"]["state"] == "TASK_STATE_COMPLETED"
            }
            Answers::Begun => {
                let state = result["task"]["status"]["state"].as_str();
                matches!(state, Some("TASK_STATE_SUBMITTED" | "TASK_STATE_WORKING"))
            }
            Answers::Page => result["tasks"].as_array().is_some_and(|tasks| tasks.len() == PAGE),
        }
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned()
}

/// A message whose text begins with its number.
fn message() -> String {
    format!(r#"{{"messageId":"{NUMBER}","role":"ROLE_USER","parts":[{{"text":"{NUMBER} ~"}}]}}"#)
}

fn json_rpc(method: &str) -> String {
    padded(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"message":{}}}}}"#, message()))
}

/// The same with a text that makes it as long as all others.
fn padded(body: &str) -> String {
    body.replace('~', &"x".repeat(BODY + 1 - body.len()))
}

/// A number as it stands in a request.
pub(super) fn digits(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at) & 15) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::send("127.0.0.1:1".parse().unwrap(), "/")
    }

    fn answer(number: u64, member: &str) -> Vec<u8> {
        let digits = String::from_utf8(digits(number).to_vec()).unwrap();
        format!(r#"{{"result":{{"{member}":{{"parts":[{{"text":"{digits} xx"}}]}}}}}}"#).into_bytes()
    }

    #[test]
    fn a_request_is_as_long_as_all_others_and_has_its_own_number() {
        let mut request = request();
        let one = request.numbered(1).to_vec();
        let two = request.numbered(0xabc).to_vec();
        assert_eq!(one.len(), two.len());
        let text = String::from_utf8(two).unwrap();
        let body = text.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(body.len(), BODY);
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["params"]["message"]["messageId"], "0000000000000abc");
    }

    #[test]
    fn each_call_of_delegating_agents_has_the_next_ones_grant() {
        let grants = ["short".to_owned(), "much-longer".to_owned()];
        let mut request = Request::delegate("127.0.0.1:1".parse().unwrap(), "/", &grants).unwrap();
        let mut grant = |number| {
            let text = String::from_utf8(request.numbered(number).to_vec()).unwrap();
            assert!(text.contains(&format!(r#""messageId":"{number:016x}""#)));
            text.split("Bearer ").nth(1).unwrap().split("\r\n").next().unwrap().trim_end().to_owned()
        };
        assert_eq!([1, 2, 3].map(&mut grant), ["much-longer", "short", "much-longer"]);
    }

    #[test]
    fn only_the_echo_of_a_call_is_its_answer() {
        assert!(request().check(64, 200, &answer(64, "message")).is_ok());
        assert!(request().check(64, 500, &answer(64, "message")).is_err(), "another status");
        assert!(request().check(64, 200, &answer(65, "message")).is_err(), "another call's");
        assert!(
            request().check(65, 200, &answer(64, "message")).is_err(),
            "another call's, of those not sampled"
        );
        assert!(request().check(64, 200, &answer(64, "mistake")).is_err(), "another shape");
    }
}
