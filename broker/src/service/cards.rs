//! The cards the broker serves: its own, and each agent's with the broker in its place; signed, all of them.

mod extended;
mod signing;

use broker_core::{Timestamp, extension};
use bytes::Bytes;
use protocol::{
    A2aError, AgentCapabilities, AgentCard, AgentExtension, AgentInterface, AgentSkill, Fields, Metadata,
    PROTOCOL_VERSION,
};
use sha2::{Digest, Sha256};

pub use self::extended::OfferedSkill;
pub use self::signing::CARD_JWKS_PATH;
pub(super) use self::signing::CardKeys;
use self::signing::Signed;
use super::{Broker, Target, error};

/// The parameter in which the broker says what a caller may ask; an agent's own word for it counts for nothing.
const MAY: &str = "may";

/// A card, ready to be served with caching headers.
#[derive(Debug, Clone)]
pub struct CardDocument {
    /// The card.
    pub json: Bytes,
    /// Quoted entity tag of this content, signed by this key.
    pub etag: String,
    /// When the card last changed, as far as is known.
    pub last_modified: Timestamp,
}

impl CardDocument {
    fn new(json: Bytes, digest: &[u8], last_modified: Timestamp) -> Self {
        use std::fmt::Write;
        let mut etag = String::from("\"");
        for byte in digest.iter().take(12) {
            let _ = write!(etag, "{byte:02x}");
        }
        etag.push('"');
        Self { json, etag, last_modified }
    }
}

impl Broker {
    /// The card of the broker's own agent, or of an agent as reached through the broker.
    pub fn agent_card(&self, target: &Target) -> Result<CardDocument, A2aError> {
        let (card, modified) = match target {
            Target::Any => (self.own_card(), Timestamp::default()),
            Target::Agent(name) => {
                let agent = self.registry.get(name).ok_or_else(|| error::agent_not_found(name))?;
                let resolved = agent.resolved.as_ref().ok_or_else(|| error::agent_not_found(name))?;
                (self.fronted(resolved.card.clone(), name), resolved.fetched)
            }
        };
        self.document(card, modified)
    }

    /// A card of ours as it is served: readable in both versions, and signed. What it says follows from the configuration
    /// too, which may have changed when the broker started.
    fn document(&self, mut card: AgentCard, modified: Timestamp) -> Result<CardDocument, A2aError> {
        protocol::v03::add_to_card(&mut card).map_err(|_| error::internal())?;
        let Signed { json, digest, since } = self.card_keys.sign(&card)?;
        Ok(CardDocument::new(json, &digest, modified.max(since).max(self.started)))
    }

    /// An agent's own card, byte for byte as it was fetched.
    pub fn upstream_card(&self, name: &str) -> Result<CardDocument, A2aError> {
        let agent = self.registry.get(name).ok_or_else(|| error::agent_not_found(name))?;
        let resolved = agent.resolved.as_ref().ok_or_else(|| error::agent_not_found(name))?;
        let original = resolved.original.clone();
        let digest = Sha256::digest(&original);
        Ok(CardDocument::new(original, &digest, resolved.fetched))
    }

    /// The keys that verify the broker's grants.
    pub fn jwks(&self) -> serde_json::Value {
        self.grants.keys().jwks()
    }

    fn own_card(&self) -> AgentCard {
        let route = AgentSkill {
            id: "route".to_owned(),
            name: "Delegate to an agent".to_owned(),
            description: "Passes a message to the registered agent it names, or to the only one there is."
                .to_owned(),
            tags: vec!["delegation".to_owned(), "routing".to_owned()],
            examples: Vec::new(),
            input_modes: Vec::new(),
            output_modes: Vec::new(),
            unknown: Fields::default(),
        };
        let any_mode = || vec!["text/plain".to_owned(), "application/json".to_owned()];
        AgentCard {
            name: "bailiwick".to_owned(),
            description: "A delegation broker: reaches every registered agent, within what each task may do."
                .to_owned(),
            supported_interfaces: self.interfaces(None),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: Some(Box::new(self.capabilities(Vec::new()))),
            security_schemes: self.security_schemes(),
            default_input_modes: any_mode(),
            default_output_modes: any_mode(),
            skills: vec![route],
            unknown: self.security_requirements(),
        }
    }

    /// An agent's card with the broker's interfaces, security and extension. The agent's signature no longer fits.
    fn fronted(&self, mut card: AgentCard, name: &str) -> AgentCard {
        let extensions = card.capabilities.map(|capabilities| capabilities.extensions).unwrap_or_default();
        card.capabilities = Some(Box::new(self.capabilities(extensions)));
        card.supported_interfaces = self.interfaces(Some(name));
        card.security_schemes = self.security_schemes();
        card.unknown.take("signatures");
        card.unknown.take("securityRequirements");
        for (member, value) in self.security_requirements().iter() {
            let _ = card.unknown.set(member, &value);
        }
        card.skills = card.skills.into_iter().map(without_security).collect();
        card
    }

    /// What the broker can do for any agent, and the agent's own extensions.
    fn capabilities(&self, mut extensions: Vec<AgentExtension>) -> AgentCapabilities {
        for known in &mut extensions {
            if known.uri.as_deref() == Some(extension::URI) {
                known.params.remove(MAY);
            }
        }
        if !extensions.iter().any(|known| known.uri.as_deref() == Some(extension::URI)) {
            extensions.push(AgentExtension {
                uri: Some(extension::URI.to_owned()),
                description: Some("Delegation within scopes, through this broker.".to_owned()),
                required: false,
                params: Metadata::default(),
                unknown: Fields::default(),
            });
        }
        AgentCapabilities {
            streaming: Some(true),
            push_notifications: Some(true),
            extensions,
            // Where everybody is anybody, there is nothing to say to some only.
            extended_agent_card: Some(!self.is_open()),
            unknown: Fields::default(),
        }
    }

    /// Where an agent is reached through the broker, or the broker's own. The JSON bindings name it in the URL, gRPC,
    /// whose interfaces are a host and a port, by its tenant.
    fn interfaces(&self, agent: Option<&str>) -> Vec<AgentInterface> {
        let interface = |binding: &str, url: String, tenant: Option<&str>| AgentInterface {
            url,
            protocol_binding: binding.to_owned(),
            tenant: tenant.map(ToOwned::to_owned),
            protocol_version: PROTOCOL_VERSION.to_owned(),
            unknown: Fields::default(),
        };
        let below = agent.map(|name| format!("/agents/{name}")).unwrap_or_default();
        let url = format!("{}{below}", self.public_url);
        let mut interfaces = vec![interface("JSONRPC", url.clone(), None), interface("HTTP+JSON", url, None)];
        interfaces.extend(self.grpc_authority().map(|authority| interface("GRPC", authority, agent)));
        interfaces
    }

    /// Host and port of the public URL; none where there is a path before the broker's, which gRPC cannot name.
    fn grpc_authority(&self) -> Option<String> {
        let url = url::Url::parse(&self.public_url).ok().filter(|url| url.path() == "/")?;
        Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
    }
}

/// A skill without requirements of its own: they name schemes of the agent's, not of the broker's.
fn without_security(mut skill: AgentSkill) -> AgentSkill {
    for member in ["securityRequirements", "security"] {
        skill.unknown.take(member);
    }
    skill
}
