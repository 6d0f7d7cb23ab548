//! The configuration as it is shown: without what is secret in it, or could be. Secrets do not belong into a configuration,
//! which names where they are; but what somebody wrote into a URL or a key is shown to nobody either.

use serde_json::{Map, Value};
use url::{Position, Url};

use super::Config;

/// What stands in place of what is hidden.
pub(super) const HIDDEN: &str = "…";

/// The private members of a JSON Web Key (RFC 7518, section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl Config {
    /// The configuration as JSON, without secrets.
    pub fn to_json(&self) -> Map<String, Value> {
        // By way of text, which has 0.6 as it was written, and not as the nearest number there is.
        let text = serde_json::to_string(&self.without_secrets()).unwrap_or_default();
        let mut shown = serde_json::from_str(&text).unwrap_or_default();
        hide(&mut shown);
        match shown {
            Value::Object(sections) => sections,
            _ => Map::new(),
        }
    }

    pub(super) fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        for principal in &mut shown.principals {
            principal.hide_keys();
        }
        shown.store.hide_password();
        shown
    }
}

/// Hides what a value holds that is nobody else's business, wherever it stands.
fn hide(value: &mut Value) {
    match value {
        Value::String(text) => hide_in_url(text),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(members) => {
            let is_key = members.contains_key("kty");
            for (name, value) in members {
                if is_key && PRIVATE.contains(&name.as_str()) {
                    *value = HIDDEN.into();
                }
                hide(value);
            }
        }
        _ => {}
    }
}

/// A user, a password, and what stands in a query may be secret. What stands there is put together anew from what is not.
fn hide_in_url(text: &mut String) {
    let Some(url) = Url::parse(text).ok().filter(Url::has_host) else { return };
    let user = match (url.username(), url.password()) {
        ("", None) => "",
        (_, None) => "…@",
        (_, Some(_)) => "…:…@",
    };
    let query = if url.query().is_some() { "?…" } else { "" };
    let fragment = if url.fragment().is_some() { "#…" } else { "" };
    if [user, query, fragment].iter().all(|part| part.is_empty()) {
        return;
    }
    let (scheme, place) = (&url[..Position::BeforeUsername], &url[Position::BeforeHost..Position::AfterPath]);
    *text = format!("{scheme}{user}{place}{query}{fragment}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT_TOML, Overrides};

    /// A configuration with a secret wherever one could be written; each is `s3cret` and a number.
    const FULL: &str = r#"
[server]
public_url = "https://s3cret1:s3cret2@broker.example"
[store]
url = "postgres://s3cret21:s3cret22@db.example/bailiwick?password=s3cret23"
[traces]
endpoint = "http://s3cret3:s3cret4=;ä@collector.example/v1/traces?key=s3cret5#s3cret6"
[selection.reranker]
url = "http://models.example/v1?api_key=s3cret7"
key_env = "RERANKER_KEY"
[selection.embeddings]
url = "http://models.example/v1?api_key=s3cret8"
key_file = "/etc/bailiwick/embeddings"
[[issuers]]
name = "idp"
issuer = "https://idp.example"
jwks_url = "https://s3cret9@idp.example/keys?token=s3cret10"
audience = "bailiwick"
[[principals]]
name = "olga"
role = "operator"
key_sha256 = ["s3cret11", "s3cret12"]
key_env = "OLGA"
[[agents]]
name = "worker"
url = "http://s3cret13:s3cret14@worker.example/?token=s3cret15"
auth = { bearer = "s3cret16" }
jwk = { kty = "OKP", crv = "Ed25519", x = "public", d = "s3cret17" }
card_keys = [{ kty = "EC", d = "s3cret18" }, { kty = "oct", k = "s3cret19" }]
[[agents]]
name = "other"
url = "http://other.example"
auth = { oauth2 = { token_url = "https://idp.example/token?s3cret20", client_id = "me", client_secret = { env = "OTHER" } } }
"#;

    #[test]
    fn no_secret_is_shown_wherever_it_was_written() {
        let config = Config::parse("test", FULL).unwrap();
        let kept = toml::to_string(&config).unwrap();
        // A secret in place of a reference is not even kept.
        let written = (1..=23).filter(|number| *number != 16);
        for number in written {
            assert!(kept.contains(&format!("s3cret{number}")), "s3cret{number} tests nothing");
        }
        let shown = Value::Object(config.to_json());
        assert!(!shown.to_string().contains("s3cret"), "{shown:#}");
        assert!(!config.to_toml().contains("s3cret22") && !config.to_toml().contains("s3cret23"));
        assert_eq!(shown["store"]["url"], "postgres://…@db.example/bailiwick");
        assert_eq!(shown["traces"]["endpoint"], "http://…:…@collector.example/v1/traces?…#…");
        assert_eq!(
            shown["selection"]["reranker"]["key_env"], "RERANKER_KEY",
            "where a secret is may be known"
        );
        assert_eq!(shown["agents"][0]["jwk"]["x"], "public");
    }

    #[test]
    fn everything_else_is_shown_as_it_is_in_effect() {
        let env = [("BAILIWICK_LIMITS_MAX_DEPTH".to_owned(), "3".to_owned())];
        let config = Config::load(None, env, Overrides::default()).unwrap();
        let shown = config.to_json();
        assert_eq!(shown["limits"]["max_depth"], 3);
        let unchanged: toml::Table = toml::from_str(&config.to_toml()).unwrap();
        assert_eq!(Value::Object(shown), serde_json::to_value(unchanged).unwrap());
    }

    /// A new key that sounds secret has to be looked at here.
    #[test]
    fn every_key_that_sounds_secret_is_known() {
        // Of these `key_sha256` is hidden; the others are public keys, paths, names of variables, and numbers.
        let known = ["key_sha256", "key_env", "key_file", "card_keys", "secret_dir", "tokens_per_day", "key"];
        let keys =
            DEFAULT_TOML.lines().filter_map(|line| line.trim_start_matches(['#', ' ']).split_once(" = "));
        let sounds = |key: &str| {
            ["key", "secret", "token", "password", "credential"].iter().any(|word| key.contains(word))
        };
        for (key, _) in keys.filter(|(key, _)| !key.contains(' ') && sounds(key)) {
            assert!(known.contains(&key), "is {key} secret? see that it is not shown");
        }
    }
}
