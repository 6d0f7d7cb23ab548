//! Citations: that a result names where it has things from, and that those places are among the sources it was given and
//! say what it says they do.
//!
//! A citation is a marker `[id]` in the text, or an entry `{"source": id, "quote": "…"}` of a list `citations` in its
//! JSON. A quote has to occur in the text of its source, whatever the white space.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::criteria::{Wrong, bounded, short};
use crate::numbers::whole;
use crate::produced::{Json, View};
use crate::verdict::{Check, Criterion};

/// Most sources.
const MAX_SOURCES: usize = 256;
/// Longest id of a source.
const MAX_ID_BYTES: usize = 64;
/// Most citations of one result that are looked at.
const MAX_CITATIONS: usize = 10_000;
/// Most bytes of source text that quotes are looked for in, all quotes together: each is looked for in one source.
const MAX_SEARCHED_BYTES: usize = 256 * 1024 * 1024;

/// What a result has to cite.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Citations {
    /// What it may cite.
    pub sources: Vec<Source>,
    /// At least so many of them; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub min: Option<u64>,
}

/// Something that can be cited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is cited by.
    pub id: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where it is. It is not fetched: a quote from it cannot be verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

impl Citations {
    pub(crate) fn least(&self) -> u64 {
        self.min.unwrap_or(1)
    }

    pub(crate) fn check(&self) -> Result<(), Wrong> {
        let member = ".citations.sources";
        bounded(member, self.sources.len(), MAX_SOURCES)?;
        let mut ids = BTreeSet::new();
        for source in &self.sources {
            let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
            let fits = (1..=MAX_ID_BYTES).contains(&source.id.len()) && source.id.bytes().all(is_id);
            if !fits || !ids.insert(&source.id) {
                let expected = format!(
                    "expected ids of 1 to {MAX_ID_BYTES} letters, digits and ._:-, each once, found {:?}",
                    source.id.chars().take(MAX_ID_BYTES).collect::<String>()
                );
                return Err(Wrong::new(member, expected));
            }
            source.uri.as_ref().map_or(Ok(()), |uri| short(".citations.sources.uri", uri))?;
        }
        if self.least() > self.sources.len() as u64 {
            let problem = format!("expected at most {}, the number of sources", self.sources.len());
            return Err(Wrong::new(".citations.min", problem));
        }
        Ok(())
    }
}

/// One citation.
struct Cited {
    source: String,
    quote: Option<String>,
}

/// The result cites what it has to, and nothing that is not there.
pub(crate) fn check(wanted: &Citations, view: &View) -> Check {
    let check = Criterion::Citations;
    let sources: BTreeMap<&str, &Source> =
        wanted.sources.iter().map(|source| (source.id.as_str(), source)).collect();
    let mut cited = markers(&without_code(&view.prose()), &sources);
    cited.extend(view.json().iter().flat_map(entries));
    if cited.len() > MAX_CITATIONS {
        return Check::unverified(check, &format!("it has more than {MAX_CITATIONS} citations"));
    }
    if let Some(unknown) = cited.iter().find(|cited| !sources.contains_key(cited.source.as_str())) {
        return Check::failed(
            check,
            &format!("it cites {:?}, which is not among the sources", unknown.source),
        );
    }
    let different: BTreeSet<&str> = cited.iter().map(|cited| cited.source.as_str()).collect();
    if (different.len() as u64) < wanted.least() {
        let reason = format!("it cites {} of the sources; expected {}", different.len(), wanted.least());
        return Check::failed(check, &reason);
    }
    quotes(&cited, &sources)
}

/// Every quote stands in its source.
fn quotes(cited: &[Cited], sources: &BTreeMap<&str, &Source>) -> Check {
    let check = Criterion::Citations;
    let (mut normal, mut searched, mut undecided) = (BTreeMap::new(), 0_usize, None);
    for (id, quote) in cited.iter().filter_map(|cited| Some((cited.source.as_str(), cited.quote.as_ref()?))) {
        let Some(text) = sources.get(id).and_then(|source| source.text.as_deref()) else {
            undecided = Some(format!("it quotes {id:?}, whose text was not given"));
            continue;
        };
        let text = normal.entry(id).or_insert_with(|| normalised(text));
        let quote = normalised(quote);
        searched = searched.saturating_add(text.len());
        if searched > MAX_SEARCHED_BYTES {
            undecided = Some("it quotes more than can be looked up".to_owned());
            break;
        }
        if quote.is_empty() || !text.contains(&quote) {
            let start: String = quote.chars().take(80).collect();
            return Check::failed(check, &format!("its quote {start:?} does not stand in source {id:?}"));
        }
    }
    undecided.map_or_else(|| Check::passed(check), |reason| Check::unverified(check, &reason))
}

/// Words with one space between them.
fn normalised(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text without what stands between backticks, where brackets mean something else.
fn without_code(text: &str) -> String {
    let (mut left, mut rest) = (String::new(), text);
    while let Some(start) = rest.find('`') {
        let (before, code) = rest.split_at(start);
        let fence: String = code.chars().take_while(|&character| character == '`').collect();
        let after = code.strip_prefix(&fence).unwrap_or_default();
        left.push_str(before);
        // A fence that is never closed is a backtick.
        rest = after.split_once(&fence).map_or(after, |(_, after)| after);
    }
    left.push_str(rest);
    left
}

/// What stands in brackets and is a source, or looks like one: the same with other digits, and no longer. One pair of brackets
/// may hold several.
fn markers(text: &str, sources: &BTreeMap<&str, &Source>) -> Vec<Cited> {
    let shapes: BTreeSet<String> = sources.keys().filter_map(|id| shape(id)).collect();
    let longest = sources.keys().map(|id| id.len()).max().unwrap_or_default();
    let looks_like_one =
        |id: &str| id.len() <= longest + 1 && shape(id).is_some_and(|shape| shapes.contains(&shape));
    let mut found = Vec::new();
    for after in text.split('[').skip(1) {
        let Some((inside, rest)) = after.split_once(']') else { continue };
        let is_link = rest.starts_with('(');
        let ids = inside.split([',', ';']).map(str::trim);
        let is_marker = |id: &str| sources.contains_key(id) || (looks_like_one(id) && !is_link);
        if ids.clone().all(is_marker) {
            found.extend(ids.map(|id| Cited { source: id.to_owned(), quote: None }));
        }
        if found.len() > MAX_CITATIONS {
            break;
        }
    }
    found
}

/// An id with its numbers made alike; without a number it looks like any word.
fn shape(id: &str) -> Option<String> {
    let mut shape = String::new();
    for character in id.chars() {
        let character = if character.is_ascii_digit() { '0' } else { character };
        if character != '0' || !shape.ends_with('0') {
            shape.push(character);
        }
    }
    shape.contains('0').then_some(shape)
}

/// Entries of the list `citations`.
fn entries(json: &Json) -> Vec<Cited> {
    #[derive(Deserialize)]
    struct Entry {
        source: String,
        quote: Option<String>,
    }
    let Json::Read(Value::Object(members)) = json else { return Vec::new() };
    let Some(Value::Array(entries)) = members.get("citations") else { return Vec::new() };
    let entries = entries.iter().take(MAX_CITATIONS + 1).map(|entry| {
        let read = serde_json::from_value::<Entry>(entry.clone());
        // What names no source cites nothing that is there.
        read.map_or_else(
            |_| Cited { source: entry.to_string().chars().take(MAX_ID_BYTES).collect(), quote: None },
            |Entry { source, quote }| Cited { source, quote },
        )
    });
    entries.collect()
}
