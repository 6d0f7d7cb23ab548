//! What has changed between the card of an agent that is in use and the one it serves now, and whether it claims more
//! by it. Pure: whether growth has to wait for an operator is decided in `card.rs` beside it.
//!
//! *Growth* is what could give an agent more than the operator saw when it was registered: something new it offers,
//! less it insists on, another place its tasks go to, another key. Everything else is harmless: texts, versions, and
//! what only takes away.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use broker_core::extension;
use capability::Scope;
use protocol::{AgentCard, AgentInterface, AgentSkill};
use serde_json::Value;

use crate::address;
use crate::service::resolution::Resolved;

/// Longest word of a card repeated in a sentence, in characters.
const QUOTE_CHARS: usize = 100;

/// How much a change matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::service) enum Severity {
    /// The agent claims nothing more.
    Harmless,
    /// It claims more, or something else that the operator let it have as it was.
    Growth,
}

/// Who vouches for a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) enum Signature {
    /// Nobody.
    None,
    /// It carries a signature; by which key, as far as that was verified.
    By(Option<String>),
}

/// One thing that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) enum Change {
    /// Names, descriptions, versions, modes, capabilities: what people and clients read.
    Texts(&'static str),
    /// A skill is new.
    SkillAdded(String),
    /// A skill is gone.
    SkillRemoved(String),
    /// A skill's texts, examples or modes are others.
    SkillReworded(String),
    /// A skill insists on more than it did.
    RequiresMore(String),
    /// A skill no longer insists on all it did.
    RequiresLess(String),
    /// The card lowers the ceiling further, or no longer claims part of it.
    CapsLowered,
    /// The card lowers the ceiling less than it did, within what the operator allows.
    CapsRaised(Vec<String>),
    /// An interface is at a host that the card did not name and that is not the registered one.
    HostAdded(String),
    /// Its tasks would go out in clear text.
    NoLongerEncrypted,
    /// Interfaces have come, gone or moved, all at hosts that are known.
    Interfaces,
    /// What it demands of its callers is something else.
    Security,
    /// The key its grants are bound to.
    Key {
        /// Thumbprint of the one in use.
        from: Option<String>,
        /// Thumbprint of the new one.
        to: Option<String>,
    },
    /// A card that was signed is not.
    SignatureGone,
    /// A card that was not signed is.
    SignatureAdded,
    /// Somebody else vouches for it.
    SignerChanged,
}

/// A card and what follows from it, as far as changes are concerned.
pub(in crate::service) struct Seen<'a> {
    pub(in crate::service) resolved: &'a Resolved,
    pub(in crate::service) signature: Signature,
}

/// All that has changed; empty if nothing has that matters to anybody. `registered_host` is the operator's word.
pub(in crate::service) fn compare(used: &Seen<'_>, new: &Seen<'_>, registered_host: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    compare_texts(&used.resolved.card, &new.resolved.card, &mut changes);
    compare_skills(used.resolved, new.resolved, &mut changes);
    compare_caps(&used.resolved.facts.caps, &new.resolved.facts.caps, &mut changes);
    compare_interfaces(used.resolved, new.resolved, registered_host, &mut changes);
    let demands = |card: &AgentCard| {
        let schemes = serde_json::to_value(&card.security_schemes).unwrap_or_default();
        (schemes, member(card, "securityRequirements"))
    };
    if demands(&used.resolved.card) != demands(&new.resolved.card) {
        changes.push(Change::Security);
    }
    let thumbprint = |seen: &Seen<'_>| seen.resolved.key.as_ref().map(capability::VerifyKey::thumbprint);
    let (from, to) = (thumbprint(used), thumbprint(new));
    if from != to {
        changes.push(Change::Key { from, to });
    }
    changes.extend(compare_signatures(&used.signature, &new.signature));
    changes
}

fn compare_texts(used: &AgentCard, new: &AgentCard, changes: &mut Vec<Change>) {
    let mut differ = |what, is_other: bool| {
        if is_other {
            changes.push(Change::Texts(what));
        }
    };
    differ("its name", used.name != new.name);
    differ("its description", used.description != new.description);
    differ("its version", used.version != new.version);
    let modes = |card: &AgentCard| (card.default_input_modes.clone(), card.default_output_modes.clone());
    differ("its media types", modes(used) != modes(new));
    differ("its capabilities", capabilities(used) != capabilities(new));
    differ("what it says of its provider and itself", others(used) != others(new));
}

/// What it can do beyond the core. The broker's own extension is looked at by what it says.
fn capabilities(card: &AgentCard) -> Value {
    let mut capabilities = card.capabilities.clone();
    if let Some(capabilities) = &mut capabilities {
        capabilities.extensions.retain(|known| known.uri.as_deref() != Some(extension::URI));
    }
    serde_json::to_value(capabilities).unwrap_or_default()
}

/// Members the broker does not read.
fn others(card: &AgentCard) -> BTreeMap<&str, Value> {
    let looked_at = ["signatures", "securityRequirements"];
    let others = card.unknown.iter().filter(|(name, _)| !looked_at.contains(name));
    others.map(|(name, raw)| (name, serde_json::from_str(raw.get()).unwrap_or_default())).collect()
}

fn compare_skills(used: &Resolved, new: &Resolved, changes: &mut Vec<Change>) {
    let by_id = |resolved: &'_ Resolved| -> BTreeMap<String, (AgentSkill, Scope)> {
        let requires = |id: &str| resolved.facts.skills.iter().find(|skill| skill.id == id);
        let skill = |skill: &AgentSkill| {
            let requires = requires(&skill.id).map_or_else(Scope::empty, |known| known.requires.clone());
            (skill.id.clone(), (skill.clone(), requires))
        };
        resolved.card.skills.iter().map(skill).collect()
    };
    let (before, after) = (by_id(used), by_id(new));
    for (id, (skill, requires)) in &after {
        let Some((old, required)) = before.get(id) else {
            changes.push(Change::SkillAdded(id.clone()));
            continue;
        };
        if !required.le(requires) {
            changes.push(Change::RequiresLess(id.clone()));
        } else if !requires.le(required) {
            changes.push(Change::RequiresMore(id.clone()));
        }
        if serde_json::to_value(old).ok() != serde_json::to_value(skill).ok() {
            changes.push(Change::SkillReworded(id.clone()));
        }
    }
    let gone = before.keys().filter(|id| !after.contains_key(*id));
    changes.extend(gone.map(|id| Change::SkillRemoved(id.clone())));
}

fn compare_caps(used: &Scope, new: &Scope, changes: &mut Vec<Change>) {
    if !new.le(used) {
        let more = new.iter().filter(|capability| !used.covers(capability));
        changes.push(Change::CapsRaised(more.map(ToString::to_string).collect()));
    } else if !used.le(new) {
        changes.push(Change::CapsLowered);
    }
}

fn compare_interfaces(used: &Resolved, new: &Resolved, registered_host: &str, changes: &mut Vec<Change>) {
    let hosts = |resolved: &Resolved| -> BTreeSet<String> {
        resolved.card.supported_interfaces.iter().filter_map(host).collect()
    };
    let known = hosts(used);
    let added = hosts(new).into_iter().filter(|host| !known.contains(host) && host != registered_host);
    changes.extend(added.map(Change::HostAdded));
    if !used.endpoint.at.is_clear_text() && new.endpoint.at.is_clear_text() {
        changes.push(Change::NoLongerEncrypted);
    }
    let written = |resolved: &Resolved| serde_json::to_value(&resolved.card.supported_interfaces).ok();
    if written(used) != written(new) {
        changes.push(Change::Interfaces);
    }
}

/// An interface's host; gRPC's are a host and a port without a scheme.
fn host(interface: &AgentInterface) -> Option<String> {
    let url = if interface.url.contains("://") {
        url::Url::parse(&interface.url)
    } else {
        url::Url::parse(&format!("https://{}", interface.url))
    };
    url.ok().as_ref().and_then(address::host).map(|host| host.to_ascii_lowercase())
}

fn compare_signatures(used: &Signature, new: &Signature) -> Option<Change> {
    match (used, new) {
        (Signature::By(_), Signature::None) => Some(Change::SignatureGone),
        (Signature::None, Signature::By(_)) => Some(Change::SignatureAdded),
        // A key that could not be verified is not known to be the same.
        (Signature::By(Some(before)), Signature::By(after)) if after.as_ref() != Some(before) => {
            Some(Change::SignerChanged)
        }
        _ => None,
    }
}

/// A member of a card that the broker keeps as it came.
fn member(card: &AgentCard, name: &str) -> Value {
    card.unknown.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

impl Change {
    pub(in crate::service) fn severity(&self) -> Severity {
        match self {
            Self::SkillAdded(_)
            | Self::RequiresLess(_)
            | Self::CapsRaised(_)
            | Self::HostAdded(_)
            | Self::NoLongerEncrypted
            | Self::Security
            | Self::Key { .. }
            | Self::SignatureGone
            | Self::SignerChanged => Severity::Growth,
            Self::Texts(_)
            | Self::SkillRemoved(_)
            | Self::SkillReworded(_)
            | Self::RequiresMore(_)
            | Self::CapsLowered
            | Self::Interfaces
            | Self::SignatureAdded => Severity::Harmless,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Texts(what) => write!(f, "{what} changed"),
            Self::SkillAdded(id) => write!(f, "it offers a new skill {}", quote(id)),
            Self::SkillRemoved(id) => write!(f, "it no longer offers the skill {}", quote(id)),
            Self::SkillReworded(id) => write!(f, "its skill {} describes itself differently", quote(id)),
            Self::RequiresMore(id) => write!(f, "its skill {} requires more", quote(id)),
            Self::RequiresLess(id) => write!(f, "its skill {} requires less", quote(id)),
            Self::CapsLowered => f.write_str("its card lowers what it may hold"),
            Self::CapsRaised(more) => {
                write!(f, "its card no longer keeps it from holding {}", quote(&more.join(" ")))
            }
            Self::HostAdded(host) => write!(f, "it has an interface at a new host, {}", quote(host)),
            Self::NoLongerEncrypted => f.write_str("its tasks would travel in clear text"),
            Self::Interfaces => f.write_str("its interfaces changed"),
            Self::Security => f.write_str("what it demands of its callers changed"),
            Self::Key { from: None, to: Some(to) } => write!(f, "its grants would be bound to a key, {to}"),
            Self::Key { to: None, .. } => f.write_str("its grants would no longer be bound to a key"),
            Self::Key { to: Some(to), .. } => write!(f, "its grants would be bound to another key, {to}"),
            Self::SignatureGone => f.write_str("its card is no longer signed"),
            Self::SignatureAdded => f.write_str("its card is signed now"),
            Self::SignerChanged => f.write_str("its card is signed by somebody else"),
        }
    }
}

/// A word of the card for people: bounded, with nothing in it that moves a cursor.
fn quote(word: &str) -> String {
    format!("{:?}", protocol::beginning(word, QUOTE_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::downstream::FetchedCard;
    use crate::ports::fetch::Caching;
    use crate::service::agents::RetryPolicy;
    use crate::service::card_trust::Standing;
    use crate::service::resolution::{Terms, resolve};
    use broker_core::Timestamp;
    use serde_json::json;

    const EXTENSION: &str = "/capabilities/extensions/0/params";

    fn card() -> Value {
        json!({
            "name": "a", "description": "d", "version": "1",
            "supportedInterfaces": [
                { "url": "https://agents.example/a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" },
                { "url": "grpc.example:443", "protocolBinding": "GRPC", "protocolVersion": "1.0" },
            ],
            "capabilities": { "streaming": true, "extensions": [{ "uri": extension::URI, "params": {
                "caps": ["mcp:tool/search"], "requires": { "read": ["mcp:tool/search"] },
            } }] },
            "skills": [{ "id": "read", "name": "Read", "description": "Reads", "tags": [] }],
        })
    }

    fn resolved(card: &Value) -> Resolved {
        let caps = Scope::parse(["mcp:tool/*"]).unwrap();
        let terms = Terms {
            name: "a",
            url: "https://agents.example",
            caps: &caps,
            auth: None,
            card_keys: &[],
            retry: &RetryPolicy::default(),
        };
        let (url, caching) = ("https://agents.example".to_owned(), Caching::default());
        let original = card.to_string().into();
        let card = serde_json::from_value(card.clone()).unwrap();
        resolve(terms, FetchedCard { card, original, url, caching }, Timestamp::default()).unwrap()
    }

    fn between(used: &Value, new: &Value) -> Vec<Change> {
        let (used, new) = (resolved(used), resolved(new));
        let signature = |resolved: &Resolved| match resolved.standing {
            Standing::Unsigned => Signature::None,
            _ => Signature::By(None),
        };
        let seen = |resolved| Seen { resolved, signature: signature(resolved) };
        compare(&seen(&used), &seen(&new), "agents.example")
    }

    /// The changes when one member is another.
    fn with(pointer: &str, value: Value) -> Vec<Change> {
        let mut new = card();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        match new.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[member.parse::<usize>().unwrap()] = value,
            members => members[member] = value,
        }
        between(&card(), &new)
    }

    #[test]
    fn the_same_card_written_differently_has_not_changed() {
        let text = serde_json::to_string_pretty(&card()).unwrap();
        assert_eq!(between(&card(), &serde_json::from_str(&text).unwrap()), []);
    }

    #[test]
    fn what_claims_more_is_growth() {
        let params = |name: &str, value| with(&format!("{EXTENSION}/{name}"), value);
        let jwk =
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let new = json!({ "id": "write", "name": "Write", "description": "Writes", "tags": [] });
        let skills = json!([card()["skills"][0], new]);
        let elsewhere =
            json!({ "url": "https://evil.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" });
        for (changes, expected) in [
            (with("/skills", skills), "new skill \"write\""),
            (params("requires", json!({})), "\"read\" requires less"),
            (params("caps", json!(["mcp:tool/*"])), "no longer keeps it from holding \"mcp:tool/*\""),
            (params("caps", Value::Null), "mcp:tool/*"),
            (params("jwk", jwk), "bound to a key"),
            (with("/supportedInterfaces/0", elsewhere), "new host, \"evil.example\""),
            (with("/supportedInterfaces/1/url", json!("evil.example:1")), "new host, \"evil.example\""),
            (with("/supportedInterfaces/0/url", json!("http://agents.example/a")), "clear text"),
            (with("/securitySchemes", json!({ "k": { "apiKeySecurityScheme": {} } })), "demands"),
        ] {
            let growth: Vec<_> =
                changes.iter().filter(|change| change.severity() == Severity::Growth).collect();
            let [growth] = growth.as_slice() else { panic!("{expected}: {changes:?}") };
            assert!(growth.to_string().contains(expected), "{growth}");
        }
    }

    #[test]
    fn texts_and_what_only_takes_away_is_harmless() {
        let params = |name: &str, value| with(&format!("{EXTENSION}/{name}"), value);
        for (changes, expected) in [
            (with("/version", json!("2")), "its version"),
            (with("/description", json!("e")), "its description"),
            (with("/capabilities/streaming", json!(false)), "its capabilities"),
            (with("/provider", json!({ "organization": "o" })), "provider"),
            (with("/skills", json!([])), "no longer offers the skill \"read\""),
            (with("/skills/0/description", json!("e")), "describes itself differently"),
            (params("requires", json!({ "read": ["mcp:tool/*"] })), "requires more"),
            (params("caps", json!([])), "lowers what it may hold"),
            (with("/supportedInterfaces/0/url", json!("https://agents.example:444/b")), "its interfaces"),
        ] {
            let [change] = changes.as_slice() else { panic!("{expected}: {changes:?}") };
            assert_eq!(change.severity(), Severity::Harmless, "{change}");
            assert!(change.to_string().contains(expected), "{change}");
        }
    }

    #[test]
    fn an_interface_may_move_to_the_host_the_operator_registered() {
        let mut elsewhere = card();
        elsewhere["supportedInterfaces"][0]["url"] = "https://cdn.example".into();
        assert_eq!(between(&elsewhere, &card()), [Change::Interfaces]);
    }

    #[test]
    fn a_key_or_a_signature_that_goes_or_becomes_another_is_growth() {
        let key = |x: &str| json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let bound = |x: &str| {
            let mut card = card();
            card.pointer_mut(EXTENSION).unwrap()["jwk"] = key(x);
            card
        };
        let one = bound("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let other = bound("O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik");
        for (new, expected) in [(&other, "another key"), (&card(), "no longer be bound")] {
            let changes = between(&one, new);
            let [change @ Change::Key { .. }] = changes.as_slice() else { panic!("{changes:?}") };
            assert!(change.to_string().contains(expected), "{change}");
            assert_eq!(change.severity(), Severity::Growth);
        }
        let mut signed = card();
        signed["signatures"] = json!([{ "protected": "e30", "signature": "AA" }]);
        assert_eq!(between(&signed, &card()), [Change::SignatureGone]);
        assert_eq!(between(&card(), &signed), [Change::SignatureAdded]);
        let by = |key: &str| Signature::By(Some(key.to_owned()));
        assert_eq!(compare_signatures(&by("k"), &by("l")), Some(Change::SignerChanged));
        assert_eq!(compare_signatures(&by("k"), &Signature::By(None)), Some(Change::SignerChanged));
        assert_eq!(compare_signatures(&by("k"), &by("k")), None);
        assert_eq!(Change::SignatureGone.severity(), Severity::Growth);
        assert_eq!(Change::SignerChanged.severity(), Severity::Growth);
    }
}
