//! What tools are called with, and what of it becomes a message to an agent.

use protocol::SendMessageRequest;
use rmcp::model::{JsonObject, RequestMetaObject};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Under this key of `_meta` stands what the delegation extension has in a message's metadata. The extension's own URI cannot
/// be a key there: MCP allows no colons in one.
pub(super) const DELEGATION: &str = "bailiwick/delegation";

/// The member by which a call says that it is the same one as before.
const MESSAGE_ID: &str = "message_id";

/// A request to an agent, or to whomever it is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    message: String,
    data: Option<JsonObject>,
    context_id: Option<String>,
    task_id: Option<String>,
}

/// A task to be heard of again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Followed {
    pub(super) task_id: String,
    #[serde(default)]
    pub(super) cancel: bool,
}

/// Reads arguments, or says what is wrong with them.
pub(super) fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, String> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| format!("the arguments do not fit: {error}"))
}

impl Asked {
    /// The message it is, which is answered as soon as there is a task.
    pub(super) fn into_request(
        self,
        skill: Option<&str>,
        meta: &RequestMetaObject,
    ) -> Result<SendMessageRequest, String> {
        let mut wishes = match meta.get(DELEGATION) {
            None => JsonObject::new(),
            Some(Value::Object(wishes)) => wishes.clone(),
            Some(_) => return Err(format!("_meta[{DELEGATION:?}]: expected an object")),
        };
        let message_id = match wishes.remove(MESSAGE_ID) {
            None => uuid::Uuid::now_v7().to_string(),
            Some(Value::String(id)) => id,
            Some(_) => return Err(format!("_meta[{DELEGATION:?}].{MESSAGE_ID}: expected a text")),
        };
        if let Some(skill) = skill {
            wishes.insert("skill".to_owned(), skill.into());
        }
        let mut message = json!({
            "messageId": message_id,
            "role": "ROLE_USER",
            "parts": [{ "text": self.message }],
            "metadata": { broker_core::extension::URI: wishes },
        });
        for (name, id) in [("contextId", self.context_id), ("taskId", self.task_id)] {
            if let (Some(id), Some(message)) = (id, message.as_object_mut()) {
                message.insert(name.to_owned(), id.into());
            }
        }
        if let (Some(data), Some(parts)) = (self.data, message.get_mut("parts").and_then(Value::as_array_mut))
        {
            parts.push(json!({ "data": data }));
        }
        let request = json!({ "message": message, "configuration": { "returnImmediately": true } });
        serde_json::from_str(&request.to_string()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arguments: &Value, meta: Value) -> Result<Value, String> {
        let asked: Asked = read(arguments.as_object().unwrap().clone())?;
        let meta: RequestMetaObject = serde_json::from_value(meta).unwrap();
        Ok(serde_json::to_value(asked.into_request(Some("s"), &meta)?).unwrap())
    }

    #[test]
    fn a_call_becomes_a_message_that_names_its_skill() {
        let arguments = json!({ "message": "do", "data": { "a": 1 }, "context_id": "c", "task_id": "t" });
        let meta = json!({ DELEGATION: { "message_id": "m", "deadline": "2030-01-01T00:00:00Z", "skill": "other" } });
        let request = request(&arguments, meta).unwrap();
        let message = &request["message"];
        assert_eq!(message["messageId"], "m");
        assert_eq!((&message["contextId"], &message["taskId"]), (&json!("c"), &json!("t")));
        assert_eq!(message["parts"], json!([{ "text": "do" }, { "data": { "a": 1 } }]));
        let wishes = &message["metadata"][broker_core::extension::URI];
        assert_eq!(
            *wishes,
            json!({ "deadline": "2030-01-01T00:00:00Z", "skill": "s" }),
            "the tool says which skill"
        );
    }

    #[test]
    fn calls_that_say_nothing_of_it_are_never_the_same() {
        let ids = [(); 2].map(|()| {
            request(&json!({ "message": "do" }), json!({})).unwrap()["message"]["messageId"].clone()
        });
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn what_is_wrong_with_arguments_is_named() {
        for (arguments, meta, expected) in [
            (json!({}), json!({}), "message"),
            (json!({ "message": 1 }), json!({}), "string"),
            (json!({ "message": "a", "skill": "b" }), json!({}), "skill"),
            (json!({ "message": "a", "data": [] }), json!({}), "map"),
            (json!({ "message": "a" }), json!({ DELEGATION: 1 }), "object"),
        ] {
            let problem = request(&arguments, meta).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
