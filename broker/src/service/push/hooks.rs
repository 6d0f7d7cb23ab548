//! The other way round: agents that push to the broker. Each attempt has an address of its own, which proves itself: it
//! names the attempt and holds a code only this broker can make, so nothing need be remembered, and it survives a
//! restart. It is worth something while its attempt is under way.
//!
//! A push is a hint and no more: what it says is not taken over, the agent is asked for the task as it stands. So what
//! arrives twice, late, out of order or made up by whoever saw the address does no harm.

use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker_core::TaskId;
use broker_core::delegation::input::AttemptId;
use bytes::Bytes;
use dashmap::{DashMap, DashSet};
use hmac::{Hmac, Mac};
use protocol::{A2aError, ErrorKind, Fields, Operation, StreamResponse, TaskPushNotificationConfig, v03};
use serde_json::value::RawValue;
use sha2::Sha256;
use tokio::sync::Notify;

use crate::address::{Destination, GivenBy};
use crate::ports::downstream::Endpoint;
use crate::service::{Broker, error};

/// The store's name for the key of the codes.
const DOCUMENT: &str = "push-key";
const KEY_BYTES: usize = 32;
/// A task id and an attempt's number.
const NAME_BYTES: usize = 16 + 4;

/// Addresses that agents push to, and who listens there.
#[derive(Default)]
pub(in crate::service) struct Hooks {
    key: OnceLock<[u8; KEY_BYTES]>,
    listening: DashMap<AttemptId, Arc<Notify>>,
    /// Agents that said no to being given an address, whatever their cards say.
    declined: DashSet<String>,
}

/// Hears hints about an attempt for as long as it lives.
pub(in crate::service) struct Listening<'h> {
    hooks: &'h Hooks,
    attempt: AttemptId,
    hint: Arc<Notify>,
}

impl Listening<'_> {
    /// Resolves when the agent has pushed something since this resolved last.
    pub(in crate::service) async fn hint(&self) {
        self.hint.notified().await;
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.hooks.listening.remove_if(&self.attempt, |_, hint| Arc::ptr_eq(hint, &self.hint));
    }
}

impl Hooks {
    pub(in crate::service) fn listen(&self, attempt: AttemptId) -> Listening<'_> {
        let hint = Arc::new(Notify::new());
        self.listening.insert(attempt, Arc::clone(&hint));
        Listening { hooks: self, attempt, hint }
    }

    /// The agent wants no address.
    pub(in crate::service) fn decline(&self, agent: &str) {
        self.declined.insert(agent.to_owned());
    }

    /// Another agent may have the name now.
    pub(in crate::service) fn forget(&self, agent: &str) {
        self.declined.remove(agent);
    }

    fn token(&self, attempt: AttemptId) -> Option<String> {
        let name = name(attempt);
        let code = self.mac(&name)?.finalize().into_bytes();
        Some(URL_SAFE_NO_PAD.encode([name.as_slice(), &code].concat()))
    }

    /// The attempt a token is for, if this broker made it. Compared in constant time.
    fn judge(&self, token: &str) -> Option<AttemptId> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (name, code) = bytes.split_first_chunk::<NAME_BYTES>()?;
        self.mac(name)?.verify_slice(code).ok()?;
        let (task, number) = name.split_first_chunk::<16>()?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        Some(AttemptId { task: TaskId(uuid::Uuid::from_bytes(*task)), number })
    }

    fn mac(&self, name: &[u8]) -> Option<Hmac<Sha256>> {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(self.key.get()?).ok()?;
        Some(mac.chain_update(name))
    }
}

fn name(attempt: AttemptId) -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    let bytes =
        attempt.task.0.as_bytes().iter().chain(&attempt.number.to_be_bytes()).copied().collect::<Vec<_>>();
    name.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    name
}

impl Broker {
    /// Loads the key of the addresses, or makes it. Call before serving.
    pub async fn load_push_key(&self) -> Result<(), A2aError> {
        let stored = self.store.document(DOCUMENT).await.map_err(|failure| error::store(&failure))?;
        let key = match stored.as_deref().map(<[u8; KEY_BYTES]>::try_from) {
            Some(Ok(key)) => key,
            Some(Err(damage)) => return Err(error::damaged(&damage)),
            None => {
                let key = self.clock.new_secret().map_err(|problem| error::damaged(&problem))?;
                let document = Bytes::copy_from_slice(&key);
                let made = self.store.replace_document(DOCUMENT, None, document, None).await;
                if !made.map_err(|failure| error::store(&failure))? {
                    // Another broker was faster, and its key is everybody's.
                    return Box::pin(self.load_push_key()).await;
                }
                key
            }
        };
        // A second call finds the same key.
        let _ = self.hooks.key.set(key);
        Ok(())
    }

    /// Whether an agent pushes what becomes of its tasks to the broker.
    pub(in crate::service) fn is_pushed_by(&self, endpoint: &Endpoint) -> bool {
        let is_in_reach = || {
            let own = Destination::judge(&self.public_url, &GivenBy::Operator);
            own.is_ok_and(|own| !own.is_this_machine() || endpoint.at.is_this_machine())
        };
        let pushes = self.recovery.push && endpoint.pushes;
        pushes && !self.hooks.declined.contains(&endpoint.agent) && is_in_reach()
    }

    /// The address an agent pushes to about an attempt.
    pub(in crate::service) fn hook(&self, attempt: AttemptId) -> Option<Box<TaskPushNotificationConfig>> {
        let url = format!("{}/push/{}", self.public_url, self.hooks.token(attempt)?);
        let (tenant, id, task_id, token, authentication) = Default::default();
        let unknown = Fields::default();
        Some(Box::new(TaskPushNotificationConfig {
            tenant,
            id,
            task_id,
            url,
            token,
            authentication,
            unknown,
        }))
    }

    /// An agent pushed something to an address. Unknown ones and those of attempts that are over are the same.
    pub async fn pushed(self: &Arc<Self>, token: &str, body: &[u8]) -> Result<(), A2aError> {
        let absent = || A2aError::new(ErrorKind::MethodNotFound, "there is nothing at this path");
        let attempt = self.hooks.judge(token).ok_or_else(absent)?;
        let cell = self.trees.find(attempt.task).await?.ok_or_else(absent)?;
        let agent_task = {
            let tree = cell.tree.lock().await;
            if !tree.is_live(attempt) {
                return Err(absent());
            }
            tree.agent_task(attempt).map(ToOwned::to_owned)
        };
        let event = read_event(body).map_err(|problem| {
            let message = format!("expected a StreamResponse, or what an agent of 0.3 pushes: {problem}");
            A2aError::new(ErrorKind::ParseError, message)
        })?;
        let about = task_of(&event);
        if agent_task.is_some() && about.is_some() && agent_task.as_deref() != about {
            return Err(error::invalid("taskId", "this address is for another task"));
        }
        if let Some(listening) = self.hooks.listening.get(&attempt) {
            listening.notify_one();
        }
        self.unpark(attempt);
        Ok(())
    }
}

/// Reads what an agent pushes: an event of 1.0, or a task or an event of 0.3 (0.3 §9.5). Its card may name both versions, so
/// either may come.
fn read_event(body: &[u8]) -> Result<StreamResponse, serde_json::Error> {
    let raw: &RawValue = serde_json::from_slice(body)?;
    serde_json::from_str(raw.get()).or_else(|problem| {
        let of_v03 = v03::read_answer(Operation::SendMessage, raw).map_err(|_| problem)?;
        serde_json::from_str(of_v03.get())
    })
}

/// The task an event is about, in the agent's words.
fn task_of(event: &StreamResponse) -> Option<&str> {
    match event {
        StreamResponse::Task(task) => Some(&task.id),
        StreamResponse::StatusUpdate(update) => Some(&update.task_id),
        StreamResponse::ArtifactUpdate(update) => Some(&update.task_id),
        StreamResponse::Message(message) => message.task_id.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_good_for_its_attempt_alone_and_only_as_it_was_made() {
        let hooks = Hooks::default();
        let attempt = AttemptId { task: TaskId(uuid::Uuid::from_u128(7)), number: 2 };
        assert!(hooks.token(attempt).is_none(), "nothing is made without a key");
        hooks.key.set([1; KEY_BYTES]).unwrap();
        let token = hooks.token(attempt).unwrap();
        assert_eq!(hooks.judge(&token), Some(attempt));
        assert_ne!(hooks.token(AttemptId { number: 3, ..attempt }).unwrap(), token);
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(hooks.judge(std::str::from_utf8(&changed).unwrap()), None, "byte {index}");
        }
        for other in ["", "A", &token[..token.len() - 1], &format!("{token}A")] {
            assert_eq!(hooks.judge(other), None, "{other}");
        }
        let others = Hooks::default();
        others.key.set([2; KEY_BYTES]).unwrap();
        assert_eq!(others.judge(&token), None, "another broker's");
    }

    #[test]
    fn agents_of_both_versions_can_push() {
        for (body, about) in [
            (r#"{"task":{"id":"t","status":{"state":"TASK_STATE_WORKING"}}}"#, Some("t")),
            (r#"{"statusUpdate":{"taskId":"t","status":{"state":"TASK_STATE_WORKING"}}}"#, Some("t")),
            (r#"{"kind":"task","id":"t","contextId":"c","status":{"state":"input-required"}}"#, Some("t")),
            (
                r#"{"kind":"status-update","taskId":"t","contextId":"c","final":true,"status":{"state":"failed"}}"#,
                Some("t"),
            ),
            (r#"{"kind":"message","messageId":"m","role":"agent","parts":[]}"#, None),
            (r#"{"task":{"id":"t","status":{"state":"TASK_STATE_CANCELLED"}}}"#, Some("t")),
        ] {
            assert_eq!(task_of(&read_event(body.as_bytes()).unwrap()), about, "{body}");
        }
        for neither in [r#"{"id":"t"}"#, r#"{"kind":"task","id":"t"}"#, "[]", "no JSON"] {
            assert!(read_event(neither.as_bytes()).is_err(), "{neither}");
        }
    }

    #[tokio::test]
    async fn only_the_last_listener_hears_and_leaves_nothing_behind() {
        let hooks = Hooks::default();
        let attempt = AttemptId { task: TaskId(uuid::Uuid::from_u128(7)), number: 1 };
        let first = hooks.listen(attempt);
        let second = hooks.listen(attempt);
        drop(first);
        hooks.listening.get(&attempt).expect("the second still listens").notify_one();
        second.hint().await;
        drop(second);
        assert!(hooks.listening.is_empty());
    }
}
