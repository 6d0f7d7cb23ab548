//! Cards of 0.3, read as cards of 1.0; and the members by which a card of 1.0 is one of 0.3 as well. The two versions
//! share most names and clash in none, so one document serves both.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::shape::{Way, each, read_text, to_raw};
use crate::{AgentCard, AgentInterface, Fields, Invalid};

/// The version of a card that names none (0.3 §5.5).
const DEFAULT_VERSION: &str = "0.3.0";
/// The transport of `url` where the card names none (0.3 §5.6.1).
const DEFAULT_TRANSPORT: &str = "JSONRPC";
/// What 0.3's transports are called; the names are those of 1.0's bindings.
const TRANSPORTS: [&str; 2] = ["JSONRPC", "HTTP+JSON"];

/// `type` in 0.3, the member's name in 1.0.
const SCHEMES: [(&str, &str); 5] = [
    ("apiKey", "apiKeySecurityScheme"),
    ("http", "httpAuthSecurityScheme"),
    ("oauth2", "oauth2SecurityScheme"),
    ("openIdConnect", "openIdConnectSecurityScheme"),
    ("mutualTLS", "mtlsSecurityScheme"),
];

/// Reads a card of 1.0 or of 0.3.
pub fn read_card(json: &[u8]) -> Result<AgentCard, Invalid> {
    let wrong = |error: &serde_json::Error| Invalid::new(crate::fields::strip_position(error));
    crate::check_nesting(json).map_err(Invalid::new)?;
    let raw: &RawValue = serde_json::from_slice(json).map_err(|error| wrong(&error))?;
    let mut fields = Fields::read(raw)?;
    if fields.get("supportedInterfaces").is_none_or(|raw| raw.get() == "null") && fields.get("url").is_some()
    {
        to_v1(&mut fields)?;
    }
    AgentCard::from_fields(&fields)
}

fn to_v1(card: &mut Fields) -> Result<(), Invalid> {
    let interfaces = interfaces(card)?;
    card.put("supportedInterfaces", to_raw(&interfaces)?);
    if let Some(extended) = card.take("supportsAuthenticatedExtendedCard").filter(|raw| raw.get() == "true") {
        let capabilities = card.take("capabilities").filter(|raw| raw.get() != "null");
        let mut capabilities =
            capabilities.map_or_else(|| Ok(Fields::default()), |raw| Fields::read(&raw))?;
        capabilities.put("extendedAgentCard", extended);
        card.put("capabilities", capabilities.into_raw()?);
    }
    if let Some(schemes) = card.take("securitySchemes").filter(|raw| raw.get() != "null") {
        let mut translated = Fields::default();
        for (name, scheme) in
            Fields::read(&schemes).map_err(|invalid| invalid.within("securitySchemes"))?.iter()
        {
            let scheme = scheme_to_v1(scheme).map_err(|invalid| invalid.within("securitySchemes"))?;
            translated.push(name, scheme);
        }
        card.put("securitySchemes", translated.into_raw()?);
    }
    security_to_v1(card)?;
    if let Some(skills) = card.take("skills").filter(|raw| raw.get() != "null") {
        let skill = |raw: &RawValue, _: Way| {
            let mut skill = Fields::read(raw)?;
            security_to_v1(&mut skill)?;
            skill.into_raw()
        };
        card.put("skills", each(&skills, Way::ToV1, skill).map_err(|invalid| invalid.within("skills"))?);
    }
    Ok(())
}

/// The main interface and the additional ones, each once.
fn interfaces(card: &mut Fields) -> Result<Vec<AgentInterface>, Invalid> {
    let mut text = |name: &str| -> Result<Option<String>, Invalid> {
        let raw = card.take(name).filter(|raw| raw.get() != "null");
        raw.map(|raw| read_text(&raw).map_err(|invalid| invalid.within(name))).transpose()
    };
    let url = text("url")?.unwrap_or_default();
    let transport = text("preferredTransport")?.unwrap_or_else(|| DEFAULT_TRANSPORT.to_owned());
    let version = text("protocolVersion")?.unwrap_or_else(|| DEFAULT_VERSION.to_owned());
    let mut seen = HashSet::from([(url.clone(), transport.clone())]);
    let mut reachable = vec![(url, transport)];
    if let Some(additional) = card.take("additionalInterfaces").filter(|raw| raw.get() != "null") {
        #[derive(serde::Deserialize)]
        struct Additional {
            url: String,
            transport: String,
        }
        let additional: Vec<Additional> = serde_json::from_str(additional.get()).map_err(|error| {
            Invalid::new(crate::fields::strip_position(&error)).within("additionalInterfaces")
        })?;
        for Additional { url, transport } in additional {
            if seen.insert((url.clone(), transport.clone())) {
                reachable.push((url, transport));
            }
        }
    }
    let interface = |(url, protocol_binding)| AgentInterface {
        url,
        protocol_binding,
        tenant: None,
        protocol_version: version.clone(),
        unknown: Fields::default(),
    };
    Ok(reachable.into_iter().map(interface).collect())
}

fn scheme_to_v1(raw: &RawValue) -> Result<Box<RawValue>, Invalid> {
    let mut scheme = Fields::read(raw)?;
    let Some(kind) = scheme.take("type") else { return Ok(raw.to_owned()) };
    let kind = read_text(&kind)?;
    let Some((_, name)) = SCHEMES.iter().find(|(known, _)| *known == kind) else { return Ok(raw.to_owned()) };
    if let Some(location) = scheme.take("in") {
        scheme.put("location", location);
    }
    let mut wrapped = Fields::default();
    wrapped.put(name, scheme.into_raw()?);
    wrapped.into_raw()
}

/// `security: [{name: […]}]` becomes `securityRequirements: [{schemes: {name: {list: […]}}}]`.
fn security_to_v1(object: &mut Fields) -> Result<(), Invalid> {
    let Some(security) = object.take("security").filter(|raw| raw.get() != "null") else { return Ok(()) };
    let requirement = |raw: &RawValue, _: Way| {
        let mut schemes = Fields::default();
        for (name, asked) in Fields::read(raw)?.iter() {
            let mut list = Fields::default();
            list.push("list", asked.to_owned());
            schemes.push(name, list.into_raw()?);
        }
        let mut requirement = Fields::default();
        requirement.put("schemes", schemes.into_raw()?);
        requirement.into_raw()
    };
    let requirements =
        each(&security, Way::ToV1, requirement).map_err(|invalid| invalid.within("security"))?;
    object.put("securityRequirements", requirements);
    Ok(())
}

/// Makes a card of 1.0 one of 0.3 as well, as far as its interfaces are spoken there.
pub fn add_to_card(card: &mut AgentCard) -> Result<(), Invalid> {
    let spoken = |interface: &&AgentInterface| TRANSPORTS.contains(&interface.protocol_binding.as_str());
    let spoken: Vec<&AgentInterface> = card.supported_interfaces.iter().filter(spoken).collect();
    let Some(main) = spoken.first() else { return Ok(()) };
    let additional: Vec<_> = spoken
        .iter()
        .map(|interface| serde_json::json!({ "url": interface.url, "transport": interface.protocol_binding }))
        .collect();
    let extended =
        card.capabilities.as_ref().and_then(|capabilities| capabilities.extended_agent_card).unwrap_or(false);
    for (name, value) in [
        ("url", to_raw(&main.url)?),
        ("preferredTransport", to_raw(&main.protocol_binding)?),
        ("protocolVersion", to_raw(DEFAULT_VERSION)?),
        ("additionalInterfaces", to_raw(&additional)?),
        ("supportsAuthenticatedExtendedCard", to_raw(&extended)?),
    ] {
        card.unknown.put(name, value);
    }
    let mut schemes = Fields::default();
    for (name, scheme) in card.security_schemes.iter() {
        schemes.push(name, scheme_of_both(scheme)?);
    }
    card.security_schemes = schemes;
    add_security(&mut card.unknown)?;
    for skill in &mut card.skills {
        add_security(&mut skill.unknown)?;
    }
    // 0.3 demands these lists; 1.0's JSON leaves out what is empty.
    let empty = || to_raw(&[(); 0]);
    for (name, is_empty) in [
        ("skills", card.skills.is_empty()),
        ("defaultInputModes", card.default_input_modes.is_empty()),
        ("defaultOutputModes", card.default_output_modes.is_empty()),
    ] {
        if is_empty {
            card.unknown.put(name, empty()?);
        }
    }
    for skill in card.skills.iter_mut().filter(|skill| skill.tags.is_empty()) {
        skill.unknown.put("tags", empty()?);
    }
    Ok(())
}

/// A scheme with the members of both versions side by side.
fn scheme_of_both(raw: &RawValue) -> Result<Box<RawValue>, Invalid> {
    let of_v1 = Fields::read(raw)?;
    let known = SCHEMES.iter().find_map(|(kind, name)| Some((kind, of_v1.get(name)?)));
    let Some((kind, scheme)) = known else { return Ok(raw.to_owned()) };
    let mut both = Fields::read(scheme)?;
    if let Some(location) = both.take("location") {
        both.put("in", location);
    }
    both.put("type", to_raw(kind)?);
    both.add_missing(of_v1);
    both.into_raw()
}

fn add_security(object: &mut Fields) -> Result<(), Invalid> {
    let Some(requirements) = object.get("securityRequirements").filter(|raw| raw.get() != "null") else {
        return Ok(());
    };
    let alternative = |raw: &RawValue, _: Way| {
        let mut alternative = Fields::default();
        let schemes = Fields::read(raw)?.take("schemes");
        for (name, asked) in schemes.map_or_else(|| Ok(Fields::default()), |raw| Fields::read(&raw))?.iter() {
            let asked = Fields::read(asked)?.take("list");
            alternative.push(name, asked.map_or_else(|| to_raw(&[(); 0]), Ok)?);
        }
        alternative.into_raw()
    };
    let security = each(requirements, Way::ToV1, alternative)?;
    object.put("security", security);
    Ok(())
}

/// A card of 1.0 as one of both versions.
pub(super) fn write(raw: &RawValue) -> Result<Box<RawValue>, Invalid> {
    let mut card = AgentCard::from_fields(&Fields::read(raw)?)?;
    add_to_card(&mut card)?;
    to_raw(&card)
}
