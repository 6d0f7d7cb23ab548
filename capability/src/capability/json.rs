//! The JSON form of a capability, an element of the `authorization_details` object of its scope (RFC 9396). Its
//! members use the same grammar as the text, piece by piece, so the two forms say the same and no more.
//!
//! ```json
//! { "space": "pay", "kind": "invoice", "resource": "/*",
//!   "constraints": { "amount": {"max": 500}, "region": {"in": ["eu", "uk"]}, "usd": {"max": "2.00"} } }
//! ```

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::constraint::Constraint;
use super::pattern::Pattern;
use super::rate::{MAX_WINDOW_SECONDS, Rate, Rates};
use super::{BEFORE, Capability, Constraints, HOPS, MAX_HOPS, NOT_BEFORE, ParseError, RATE, text};
use crate::ledger::Unit;

/// Largest integer every JSON reader keeps exactly; larger ones are written as strings.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Why a JSON value is not a capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{member}: expected {expected}")]
pub struct JsonError {
    /// Which member, as a path such as `constraints.usd.max`.
    pub member: String,
    /// What should stand there.
    pub expected: String,
}

fn wrong(member: &str, expected: impl Into<String>) -> JsonError {
    JsonError { member: member.to_owned(), expected: expected.into() }
}

impl Capability {
    /// The JSON form.
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "space": self.space(),
            "kind": self.kind(),
            "resource": self.resource().to_string(),
        });
        let constraints: Map<String, Value> = self
            .constraints()
            .iter()
            .map(|(name, constraint)| (name.to_owned(), constraint_to_json(name, constraint)))
            .collect();
        if !constraints.is_empty()
            && let Some(members) = object.as_object_mut()
        {
            members.insert("constraints".to_owned(), constraints.into());
        }
        object
    }

    /// Reads the JSON form. Unknown members are refused: each could be a bound that was meant to hold.
    pub fn from_json(value: &Value) -> Result<Self, JsonError> {
        let object = value.as_object().ok_or_else(|| wrong("capability", "an object"))?;
        known_members(object, &["space", "kind", "resource", "constraints"], "")?;
        let member =
            |name: &str| object.get(name).and_then(Value::as_str).ok_or_else(|| wrong(name, "a string"));
        let parsed = |name: &str, error: ParseError| wrong(name, error.to_string());
        let space = text::read(member("space")?, |parser| parser.word("a space such as `a2a`"))
            .map_err(|error| parsed("space", error))?;
        let kind = text::read(member("kind")?, |parser| parser.word("a kind such as `skill`"))
            .map_err(|error| parsed("kind", error))?;
        let is_skill = (space.as_str(), kind.as_str()) == ("a2a", "skill");
        let resource = path(member("resource")?, "resource", is_skill)?;
        let constraints = match object.get("constraints") {
            None => Constraints::default(),
            Some(value) => constraints_from_json(value)?,
        };
        let capability = Self::new(space, kind, resource, constraints);
        // The text is the judge of what is canonical: bounds, escapes, limits.
        let canonical = capability.to_string();
        canonical
            .parse()
            .map_err(|error| wrong("capability", format!("{canonical:?} to be canonical: {error}")))
    }
}

/// A path pattern, in its one canonical spelling.
fn path(text: &str, member: &str, is_skill: bool) -> Result<Pattern, JsonError> {
    let pattern =
        text::read(text, |parser| parser.path(is_skill)).map_err(|error| wrong(member, error.to_string()))?;
    let canonical = pattern.to_string();
    if canonical == text {
        Ok(pattern)
    } else {
        Err(wrong(member, format!("the canonical form {canonical:?}")))
    }
}

fn known_members(object: &Map<String, Value>, known: &[&str], path: &str) -> Result<(), JsonError> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(wrong(&format!("{path}{name}"), format!("no member but {}", known.join(", ")))),
    }
}

fn constraint_to_json(name: &str, constraint: &Constraint) -> Value {
    let number = |value: u64| {
        if name == Unit::Usd.name() || value > MAX_SAFE_INTEGER {
            Value::from(text::number(name, value))
        } else {
            Value::from(value)
        }
    };
    match constraint {
        Constraint::In(words) => json!({ "in": words }),
        Constraint::NotIn(words) => json!({ "not_in": words }),
        Constraint::Range { lo: 0, hi } => json!({ "max": number(*hi) }),
        Constraint::Range { lo, hi: u64::MAX } => json!({ "min": number(*lo) }),
        Constraint::Range { lo, hi } => json!({ "min": number(*lo), "max": number(*hi) }),
        Constraint::Path(pattern) => json!({ "path": pattern.to_string() }),
        Constraint::Host(pattern) => json!({ "host": text::host(pattern) }),
        Constraint::NotBefore(from) => json!({ "min": number(*from) }),
        Constraint::Before(end) => json!({ "before": number(*end) }),
        Constraint::Hops(hops) => json!({ "max": hops }),
        Constraint::Rate(rates) => {
            rates.iter().map(|rate| json!({ "max": number(rate.uses), "seconds": rate.window })).collect()
        }
    }
}

fn constraints_from_json(value: &Value) -> Result<Constraints, JsonError> {
    let object = value.as_object().ok_or_else(|| wrong("constraints", "an object"))?;
    let mut constraints = Constraints::default();
    for (name, value) in object {
        let member = format!("constraints.{name}");
        text::read(name, |parser| parser.word("the name of an argument"))
            .map_err(|error| wrong(&member, error.to_string()))?;
        constraints.insert(name.clone(), constraint_from_json(name, value, &member)?);
    }
    Ok(constraints)
}

fn constraint_from_json(name: &str, value: &Value, member: &str) -> Result<Constraint, JsonError> {
    if name == RATE {
        return rates_from_json(value, member);
    }
    let object = value.as_object().ok_or_else(|| wrong(member, "an object such as {\"max\": 5}"))?;
    let number = |bound: &str| {
        object.get(bound).map(|value| number_from_json(name, value, &format!("{member}.{bound}"))).transpose()
    };
    let only = |known: &[&str]| known_members(object, known, &format!("{member}."));
    let required = |bound: Option<u64>, which: &str| bound.ok_or_else(|| wrong(member, format!("`{which}`")));
    match name {
        NOT_BEFORE => {
            only(&["min"])?;
            return required(number("min")?, "min").map(Constraint::NotBefore);
        }
        BEFORE => {
            only(&["before"])?;
            return required(number("before")?, "before").map(Constraint::Before);
        }
        HOPS => {
            only(&["max"])?;
            let hops = required(number("max")?, "max")?;
            let hops = u8::try_from(hops).ok().filter(|hops| *hops <= MAX_HOPS);
            return hops.map(Constraint::Hops).ok_or_else(|| wrong(member, format!("0 to {MAX_HOPS}")));
        }
        _ if Unit::named(name).is_some() => {
            only(&["max"])?;
            return Ok(Constraint::Range { lo: 0, hi: required(number("max")?, "max")? });
        }
        _ => {}
    }
    let one = object.iter().next().filter(|_| object.len() == 1);
    match one.map(|(kind, value)| (kind.as_str(), value)) {
        Some(("in", words)) => words_from_json(words, member).map(Constraint::In),
        Some(("not_in", words)) => words_from_json(words, member).map(Constraint::NotIn),
        Some(("path", Value::String(text))) => path(text, member, false).map(Constraint::Path),
        Some(("host", Value::String(host))) => text::read(host, text::Parser::host)
            .map(Constraint::Host)
            .map_err(|error| wrong(member, error.to_string())),
        _ => {
            only(&["min", "max"])?;
            let (lo, hi) = (number("min")?, number("max")?);
            if lo.is_none() && hi.is_none() {
                return Err(wrong(member, "one of in, not_in, path, host, or min and max"));
            }
            let (lo, hi) = (lo.unwrap_or(0), hi.unwrap_or(u64::MAX));
            if lo > hi { Err(wrong(member, "min not above max")) } else { Ok(Constraint::Range { lo, hi }) }
        }
    }
}

fn number_from_json(name: &str, value: &Value, member: &str) -> Result<u64, JsonError> {
    let number = match value {
        Value::String(text) => text::parse_number(name, text),
        Value::Number(number) if name != Unit::Usd.name() => number.as_u64(),
        _ => None,
    };
    number.ok_or_else(|| wrong(member, text::number_form(name)))
}

fn words_from_json(value: &Value, member: &str) -> Result<BTreeSet<String>, JsonError> {
    let words = value.as_array().filter(|words| !words.is_empty());
    let words = words.and_then(|words| {
        words
            .iter()
            .map(|word| word.as_str().filter(|word| !word.is_empty()).map(ToOwned::to_owned))
            .collect()
    });
    words.ok_or_else(|| wrong(member, "a list of one or more words"))
}

fn rates_from_json(value: &Value, member: &str) -> Result<Constraint, JsonError> {
    let form = || wrong(member, format!("a list of {{max, seconds}}, seconds at most {MAX_WINDOW_SECONDS}"));
    let rates = value.as_array().filter(|rates| !rates.is_empty()).ok_or_else(form)?;
    let rate = |value: &Value| {
        let object = value.as_object().ok_or_else(form)?;
        known_members(object, &["max", "seconds"], &format!("{member}."))?;
        let number = |bound: &str| {
            let value = object.get(bound).ok_or_else(form)?;
            number_from_json(RATE, value, &format!("{member}.{bound}"))
        };
        Ok(Rate { uses: number("max")?, window: number("seconds")? })
    };
    let rates: Vec<Rate> = rates.iter().map(rate).collect::<Result<_, JsonError>>()?;
    let canonical = Rates::of(rates.iter().copied());
    // A rate that another implies was written for a reason, which would be lost.
    if canonical.len() == rates.len() { Ok(Constraint::Rate(canonical)) } else { Err(form()) }
}
