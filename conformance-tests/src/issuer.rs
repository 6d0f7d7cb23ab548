//! An issuer of tokens as a process, which signs whatever a test asks for.

use std::process::Command;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::process::Process;
use crate::python::{agents_folder, interpreter};
use crate::wire;

/// A running issuer (`agents/issuer.py`).
pub struct Issuer(Process);

impl Issuer {
    /// Starts an issuer with keys, given as (id, algorithm), all of them published.
    pub async fn start(keys: &[(&str, &str)]) -> Self {
        let mut command = Command::new(interpreter());
        command.arg(agents_folder().join("issuer.py"));
        let issuer = Self(Process::start(command));
        for (id, algorithm) in keys {
            issuer.make_key(id, algorithm).await;
        }
        let ids: Vec<&str> = keys.iter().map(|(id, _)| *id).collect();
        issuer.publish(&ids).await;
        issuer
    }

    /// Its URL, which is also `iss`.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Makes a key without publishing it; its JWK.
    pub async fn make_key(&self, id: &str, algorithm: &str) -> Value {
        self.ask("make", &json!({ "kid": id, "kind": algorithm })).await
    }

    /// Publishes these keys and no others.
    pub async fn publish(&self, ids: &[&str]) {
        self.ask("publish", &json!(ids)).await;
    }

    /// A token that is good for an audience but for the given changes: members with null are left out.
    pub async fn token(
        &self,
        key: &str,
        algorithm: &str,
        audience: &str,
        header: &Value,
        claims: &Value,
    ) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let good =
            json!({ "iss": self.url(), "aud": audience, "sub": "alice", "iat": now, "exp": now + 300 });
        let header = changed(json!({ "alg": algorithm, "kid": key, "typ": "JWT" }), header).to_string();
        self.sign(key, algorithm, &header, &changed(good, claims).to_string()).await
    }

    /// A token of these texts, signed in a way with a key.
    pub async fn sign(&self, key: &str, how: &str, header: &str, claims: &str) -> String {
        let asked = json!({ "kid": key, "how": how, "header": header, "claims": claims });
        self.ask("sign", &asked).await["token"].as_str().expect("a token").to_owned()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    async fn ask(&self, what: &str, body: &Value) -> Value {
        wire::post(&format!("{}/{what}", self.url()), body, None).await.json()
    }
}

fn changed(mut object: Value, changes: &Value) -> Value {
    let members = object.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
    object
}
