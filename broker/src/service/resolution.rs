//! What follows from an agent's card: where to reach it, what it may hold at most, what its skills require.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use broker_core::delegation::input::AgentFacts;
use broker_core::{Timestamp, extension};
use bytes::Bytes;
use capability::{Scope, SkillRequirement, VerifyKey};
use protocol::{A2aError, AgentCard, AgentInterface, ErrorKind, Version};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::agents::RetryPolicy;
use super::card_trust::{self, Home, Standing};
use super::extended_cards::Extended;
use crate::address::{self, Destination, GivenBy};
use crate::ports::agent_auth::AgentAuth;
use crate::ports::downstream::{Binding, Endpoint, FetchedCard};

/// What follows from an agent's card.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub(super) card: AgentCard,
    pub(super) original: Bytes,
    pub(super) fetched: Timestamp,
    pub(super) endpoint: Endpoint,
    pub(super) facts: AgentFacts,
    /// What will probably not work, or not be safe, for people.
    pub(super) warnings: Vec<String>,
    /// The key it wants its grants bound to.
    pub(super) key: Option<VerifyKey>,
    /// How its card stands with the operator.
    pub(super) standing: Standing,
    /// What it tells the broker alone.
    pub(super) extended: Option<Extended>,
}

impl Resolved {
    /// An extension that the agent insists on and that is not among these.
    pub(super) fn missing_extension(&self, offered: &[String]) -> Option<&str> {
        let declared = self.card.capabilities.iter().flat_map(|capabilities| &capabilities.extensions);
        let required = declared.filter(|known| known.required).filter_map(|known| known.uri.as_deref());
        let mut foreign = required.filter(|uri| *uri != extension::URI);
        foreign.find(|uri| !offered.iter().any(|known| known == uri))
    }
}

/// The parameters of the extension in an agent's card: what it holds at most, what its skills require,
/// and its public key.
#[derive(Default, Deserialize)]
pub(super) struct CardParams {
    pub(super) caps: Option<Vec<String>>,
    #[serde(default)]
    pub(super) requires: BTreeMap<String, Vec<String>>,
    jwk: Option<Value>,
}

/// What the operator said of an agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) name: &'a str,
    pub(super) url: &'a str,
    pub(super) caps: &'a Scope,
    pub(super) auth: Option<&'a Arc<AgentAuth>>,
    pub(super) retry: &'a RetryPolicy,
    /// Keys of which one has to have signed its card; with none, nothing has to.
    pub(super) card_keys: &'a [VerifyKey],
}

/// Draws the conclusions from a card, or says what is wrong with it.
pub(super) fn resolve(terms: Terms<'_>, fetched: FetchedCard, at: Timestamp) -> Result<Resolved, A2aError> {
    let at_url = fetched.url.clone();
    let bad_card = |problem: String| {
        A2aError::new(ErrorKind::InvalidAgentResponse, format!("the card at {at_url}: {problem}"))
    };
    let home = Home { url: terms.url, host: terms.auth.and_then(|auth| auth.host.as_deref()) };
    let (fetched, standing) = card_trust::judge(terms.card_keys, home, fetched).map_err(bad_card)?;
    let endpoint = choose_endpoint(terms, &fetched.card).map_err(bad_card)?;
    let params = card_params(&fetched.card).map_err(bad_card)?;
    let lowered = match &params.caps {
        None => terms.caps.clone(),
        Some(texts) => {
            let declared = Scope::parse(texts).map_err(|problem| bad_card(problem.to_string()))?;
            terms.caps.meet(&declared).map_err(|problem| bad_card(problem.to_string()))?
        }
    };
    let require = |skill: &protocol::AgentSkill| {
        let texts = params.requires.get(&skill.id).map(Vec::as_slice).unwrap_or_default();
        Scope::parse(texts).map(|requires| SkillRequirement { id: skill.id.clone(), requires })
    };
    let skills: Result<Vec<_>, _> = fetched.card.skills.iter().map(require).collect();
    let skills = skills.map_err(|problem| bad_card(problem.to_string()))?;
    let identity = endpoint.at.url().trim_end_matches('/').to_owned();
    let facts = AgentFacts {
        name: terms.name.to_owned(),
        identity,
        caps: lowered,
        skills,
        retry: terms.retry.all.clone(),
        skill_retry: terms.retry.skills.clone(),
    };
    let warnings = warnings(&fetched.card, &endpoint);
    let key = params.jwk.as_ref().map(VerifyKey::from_jwk).transpose();
    let key = key.map_err(|problem| bad_card(format!("params.jwk: {problem}")))?;
    let FetchedCard { card, original, .. } = fetched;
    Ok(Resolved { card, original, fetched: at, endpoint, facts, warnings, key, standing, extended: None })
}

pub(super) fn card_params(card: &AgentCard) -> Result<CardParams, String> {
    let Some(extension) = card.extension(extension::URI) else { return Ok(CardParams::default()) };
    let params = serde_json::to_string(&extension.params).unwrap_or_default();
    serde_json::from_str(&params).map_err(|error| format!("params of {}: {error}", extension::URI))
}

/// The first interface that can be spoken to, of 1.0 rather than of 0.3, at the registered host or at a public address.
fn choose_endpoint(terms: Terms<'_>, card: &AgentCard) -> Result<Endpoint, String> {
    let registered_host = Url::parse(terms.url).ok().as_ref().and_then(address::host).unwrap_or_default();
    let trusted = terms.auth.and_then(|auth| auth.host.clone()).unwrap_or_else(|| registered_host.clone());
    let given_by = GivenBy::Card { registered_host };
    let speaking = |version| {
        let speaks = move |interface: &&AgentInterface| interface.version() == Some(version);
        card.supported_interfaces.iter().filter(speaks).map(move |interface| (interface, version))
    };
    for (interface, version) in speaking(Version::V1).chain(speaking(Version::V03)) {
        let binding = match interface.protocol_binding.as_str() {
            "JSONRPC" => Binding::JsonRpc,
            "HTTP+JSON" => Binding::HttpJson,
            "GRPC" if version == Version::V1 => Binding::Grpc,
            _ => continue,
        };
        let url = match binding {
            Binding::Grpc => grpc_url(&interface.url, terms.url),
            Binding::JsonRpc | Binding::HttpJson => Cow::Borrowed(interface.url.as_str()),
        };
        let at = Destination::judge(&url, &given_by)
            .map_err(|refused| format!("its {} interface {refused}", interface.protocol_binding))?;
        if terms.auth.is_some() && !at.host().eq_ignore_ascii_case(&trusted) {
            return Err(format!(
                "its interface is at {}, but the credential of `auth` is for {trusted} alone; register the agent by \
                 that host, or name it as auth.host if the credential is meant for it",
                at.host()
            ));
        }
        return Ok(Endpoint {
            agent: terms.name.to_owned(),
            auth: terms.auth.map(Arc::clone),
            extensions: Vec::new(),
            trace: None,
            broker: None,
            at,
            binding,
            version,
            tenant: interface.tenant.clone(),
            streaming: card.streams(),
            pushes: card.pushes() && !card.streams(),
        });
    }
    Err("it offers no interface of A2A 1.0 over JSONRPC, HTTP+JSON or GRPC, nor of 0.3 over the first two; the \
         broker speaks no other"
        .to_owned())
}

/// A gRPC interface is a host and a port; with TLS where the URL by which the operator knows the agent has it. Cards
/// that write an URL mean what it says.
fn grpc_url<'i>(interface: &'i str, registered: &str) -> Cow<'i, str> {
    if interface.contains("://") {
        return Cow::Borrowed(interface);
    }
    let scheme = registered.split_once("://").map_or("https", |(scheme, _)| scheme);
    Cow::Owned(format!("{scheme}://{interface}"))
}

/// What an operator should know of an agent that can be registered all the same.
fn warnings(card: &AgentCard, endpoint: &Endpoint) -> Vec<String> {
    let mut warnings = Vec::new();
    if endpoint.auth.is_none() && demands_credentials(card) {
        warnings.push(
            "its card demands credentials, but no `auth` is configured, so it may refuse the broker's calls; see \
             `auth` of [[agents]] and `agent add --auth`"
                .to_owned(),
        );
    }
    if endpoint.auth.is_some() && endpoint.at.is_clear_text() {
        let url = endpoint.at.url();
        warnings.push(format!("the broker's credential for it travels in clear text to {url}; use https"));
    }
    warnings
}

/// Whether a card has security requirements, none of which is empty, or declares schemes and leaves it at that.
fn demands_credentials(card: &AgentCard) -> bool {
    let required = card.unknown.get("securityRequirements").map(RawValue::get).unwrap_or_default();
    let required: Vec<Value> = serde_json::from_str(required).unwrap_or_default();
    let is_empty = |requirement: &Value| {
        requirement.get("schemes").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty)
    };
    if required.is_empty() { !card.security_schemes.is_empty() } else { !required.iter().any(is_empty) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn card(urls: &[(&str, &str)]) -> AgentCard {
        let interfaces: Vec<_> = urls
            .iter()
            .map(|(binding, url)| json!({ "url": url, "protocolBinding": binding, "protocolVersion": "1.0" }))
            .collect();
        serde_json::from_value(
            json!({ "name": "a", "description": "", "version": "1", "supportedInterfaces": interfaces }),
        )
        .unwrap()
    }

    fn choose(card: &AgentCard, url: &str) -> Result<Endpoint, String> {
        choose_endpoint(
            Terms {
                name: "a",
                url,
                caps: &Scope::empty(),
                auth: None,
                card_keys: &[],
                retry: &RetryPolicy::default(),
            },
            card,
        )
    }

    #[test]
    fn a_card_may_not_send_the_broker_to_private_places() {
        for elsewhere in [
            "http://localhost:1",
            "http://127.0.0.2:1",
            "http://10.0.0.1",
            "http://192.168.1.1",
            "http://169.254.169.254",
            "http://0.0.0.0",
            "http://[::1]",
            "http://[fe80::1]",
            "http://[fd00::1]",
            "http://[::ffff:127.0.0.1]",
            "http://x.localhost",
            "http://2130706433",
            "http://0x7f000001",
            "not a url",
        ] {
            let chosen = choose(&card(&[("JSONRPC", elsewhere)]), "http://agents.example:9000");
            assert!(chosen.is_err(), "{elsewhere}: {chosen:?}");
        }
        for fine in ["http://agents.example:1/x", "http://93.184.216.34", "https://other.example"] {
            assert!(choose(&card(&[("JSONRPC", fine)]), "http://agents.example:9000").is_ok(), "{fine}");
        }
        assert!(
            choose(&card(&[("JSONRPC", "http://127.0.0.1:2")]), "http://127.0.0.1:1").is_ok(),
            "the host the operator named"
        );
    }

    #[test]
    fn the_first_interface_that_can_be_spoken_is_chosen() {
        let three = card(&[("SOAP", "http://h:1"), ("HTTP+JSON", "http://h:2"), ("JSONRPC", "http://h:3")]);
        let chosen = choose(&three, "http://h:9").unwrap();
        assert_eq!((chosen.binding, chosen.at.url()), (Binding::HttpJson, "http://h:2/"));
        let none = choose(&card(&[("SOAP", "http://h:1")]), "http://h:9");
        assert!(none.unwrap_err().contains("no interface of A2A 1.0"));
    }

    #[test]
    fn a_grpc_interface_is_a_host_and_a_port_of_the_agents_own_scheme() {
        for (interface, registered, expected) in [
            ("h:1", "http://h:9", "http://h:1/"),
            ("h:1", "https://h:9", "https://h:1/"),
            ("[2606:4700::1]:1", "https://h", "https://[2606:4700::1]:1/"),
            ("https://h:1", "http://h:9", "https://h:1/"),
            ("http://h:1", "https://h:9", "http://h:1/"),
        ] {
            let chosen = choose(&card(&[("GRPC", interface)]), registered).unwrap();
            assert_eq!((chosen.binding, chosen.at.url()), (Binding::Grpc, expected));
        }
        for elsewhere in ["127.0.0.1:1", "localhost:1", "dns:///h:1", "user@h:1", ""] {
            assert!(choose(&card(&[("GRPC", elsewhere)]), "http://h:9").is_err(), "{elsewhere}");
        }
    }
}
