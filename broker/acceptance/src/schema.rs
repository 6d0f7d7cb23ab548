//! JSON Schema over the JSON of a result. Nothing is ever fetched: a reference leads into the schema itself or is refused.
//!
//! A validator cannot be interrupted, and a short schema can ask for endless work by referring to the same part again and
//! again. So a schema is unfolded when it is read: it must not refer to itself, and what it unfolds to has a bound.

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::produced::{Json, View};
use crate::verdict::{Check, Criterion};

/// Most bytes of a schema.
const MAX_SCHEMA_BYTES: usize = 32 * 1024;
/// Most levels of a schema, references followed.
const MAX_DEPTH: usize = 48;
/// Most values of a schema, references followed: each is tried on each value of the result at most.
const MAX_UNFOLDED: u64 = 4_000;
/// What a pattern counts for among them: it is made, and tried on every letter.
const VALUES_OF_A_PATTERN: u64 = 100;
/// Most work of one validation: values of the schema times bytes of the result.
const MAX_WORK: u64 = 500_000_000;
/// The dialects in which a reference means what is read here.
const DIALECTS: [&str; 4] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
];
/// Most bytes a regular expression may take up.
const MAX_PATTERN_BYTES: usize = 256 * 1024;
/// Most bytes of JSON that are validated.
const MAX_JSON_BYTES: u64 = 4 * 1024 * 1024;
/// What makes a reference depend on where it is met, or move what references are relative to.
const UNSUPPORTED: [&str; 4] = ["$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor"];

/// A schema ready to be applied.
pub(crate) struct Compiled {
    validator: Validator,
    /// Its values, references followed.
    values: u64,
}

/// Reads a schema.
pub(crate) fn compile(schema: &Value) -> Result<Compiled, String> {
    let length = schema.to_string().len();
    if length > MAX_SCHEMA_BYTES {
        return Err(format!("expected at most {MAX_SCHEMA_BYTES} bytes, found {length}"));
    }
    if !schema.is_object() && !schema.is_boolean() {
        return Err("expected a JSON Schema: an object, true or false".to_owned());
    }
    let mut unfolding = Unfolding { schema, known: HashMap::new(), open: Vec::new() };
    let values = unfolding.extent(schema, 0)?.values;
    if values > MAX_UNFOLDED {
        return Err(format!(
            "with its references followed it has more than {MAX_UNFOLDED} values, a pattern counting for {VALUES_OF_A_PATTERN}"
        ));
    }
    let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
    let options = jsonschema::options().with_pattern_options(patterns).with_retriever(Nothing);
    let validator = options.build(schema).map_err(|error| format!("not a JSON Schema: {error}"))?;
    Ok(Compiled { validator, values })
}

/// All JSON in the result is as the schema says.
pub(crate) fn check(schema: &Value, view: &View) -> Check {
    let check = Criterion::Schema;
    let Compiled { validator, values } = match compile(schema) {
        Ok(compiled) => compiled,
        Err(problem) => return Check::unverified(check, &format!("the schema cannot be applied: {problem}")),
    };
    if view.bytes() > MAX_JSON_BYTES || view.bytes().saturating_mul(values) > MAX_WORK {
        let reason =
            format!("the result has {} bytes, too many to be validated by this schema", view.bytes());
        return Check::unverified(check, &reason);
    }
    let found = view.json();
    if found.is_empty() {
        return Check::unverified(
            check,
            "there is no JSON in the result that the schema could be applied to",
        );
    }
    let mut too_deep = false;
    for json in &found {
        match json {
            Json::Read(value) => {
                if let Err(error) = validator.validate(value) {
                    let reason = format!("the schema says, at {:?}: {error}", error.instance_path().as_str());
                    return Check::failed(check, &reason);
                }
            }
            Json::Broken(problem) => {
                return Check::failed(check, &format!("a part says it is JSON and is not: {problem}"));
            }
            Json::TooDeep => too_deep = true,
        }
    }
    if too_deep {
        return Check::unverified(check, "JSON in the result is nested too deep to be validated");
    }
    Check::passed(check)
}

/// Fetches nothing.
struct Nothing;

impl jsonschema::Retrieve for Nothing {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("{uri} is elsewhere, and nothing is fetched; put it into the schema's $defs").into())
    }
}

/// A schema with its references followed.
struct Unfolding<'s> {
    schema: &'s Value,
    known: HashMap<&'s str, Extent>,
    open: Vec<&'s str>,
}

/// How large a part of a schema is, references followed.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    values: u64,
    levels: usize,
}

impl Extent {
    /// With another part one level below.
    fn over(self, below: Self) -> Self {
        let values = self.values.saturating_add(below.values);
        Self { values, levels: self.levels.max(below.levels.saturating_add(1)) }
    }
}

impl<'s> Unfolding<'s> {
    fn extent(&mut self, value: &'s Value, depth: usize) -> Result<Extent, String> {
        let mut extent = Extent { values: 1, levels: 0 };
        match value {
            Value::Array(items) => {
                for item in items {
                    extent = extent.over(self.extent(item, depth + 1)?);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    extent = extent.over(self.member(name, member, depth)?);
                }
            }
            _ => {}
        }
        // What is known already was not walked from here.
        if depth + extent.levels > MAX_DEPTH {
            return Err(format!("with its references followed it is nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(extent)
    }

    fn member(&mut self, name: &str, member: &'s Value, depth: usize) -> Result<Extent, String> {
        match (name, member) {
            ("$ref", Value::String(reference)) => self.behind(reference, depth),
            ("pattern", Value::String(pattern)) => {
                check_pattern(pattern)?;
                Ok(Extent { values: VALUES_OF_A_PATTERN, levels: 0 })
            }
            ("patternProperties", Value::Object(patterns)) => {
                patterns.keys().try_for_each(|pattern| check_pattern(pattern))?;
                let extent = self.extent(member, depth + 1)?;
                let of_patterns = VALUES_OF_A_PATTERN.saturating_mul(patterns.len() as u64);
                Ok(Extent { values: extent.values.saturating_add(of_patterns), ..extent })
            }
            ("$id" | "$schema", Value::String(_)) if depth > 0 => {
                Err(format!("{name} is supported at the top only; leave it out"))
            }
            ("$schema", Value::String(dialect)) if !DIALECTS.contains(&dialect.trim_end_matches('#')) => {
                Err(format!("expected $schema to be one of {}, found {dialect:?}", DIALECTS.join(", ")))
            }
            (name, _) if UNSUPPORTED.contains(&name) => {
                Err(format!("{name} is not supported; use $ref into $defs"))
            }
            _ => self.extent(member, depth + 1),
        }
    }

    fn behind(&mut self, reference: &'s str, depth: usize) -> Result<Extent, String> {
        if let Some(&known) = self.known.get(reference) {
            return Ok(known);
        }
        if self.open.contains(&reference) || reference == "#" {
            return Err(format!("{reference} refers to itself, which is not supported"));
        }
        // The validator would decode %XX, and find something else.
        let is_plain = |pointer: &&str| pointer.starts_with('/') && !pointer.contains('%');
        let pointer = reference.strip_prefix('#').filter(is_plain);
        let Some(pointer) = pointer else {
            let expected = "expected references into the schema such as #/$defs/name";
            return Err(format!("{expected}, found {reference:?}"));
        };
        let target =
            self.schema.pointer(pointer).ok_or_else(|| format!("there is nothing at {reference}"))?;
        self.open.push(reference);
        let extent = self.extent(target, depth + 1)?;
        self.open.pop();
        self.known.insert(reference, extent);
        Ok(extent)
    }
}

/// The validator makes its regular expressions when it first needs them, and not all of them are bounded then.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let made = regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build();
    made.map(drop).map_err(|error| format!("pattern {pattern:?}: {error}"))
}
