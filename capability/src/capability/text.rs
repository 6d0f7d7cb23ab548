//! The canonical text of capabilities. Parsed, never concatenated; what is not canonical is refused, never
//! normalised, so that one set of requests has one text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::constraint::Constraint;
use super::pattern::{Pattern, Segment};
use super::{Capability, MAX_CONSTRAINTS};

/// Longest text of one capability, in bytes.
const MAX_TEXT_BYTES: usize = 4096;
/// Ceilings: only an upper bound makes sense for them.
const CEILINGS: [&str; 4] = ["usd", "calls", "tokens", "fanout"];
/// Names with a meaning of their own, not supported by this version.
const RESERVED: [&str; 4] = ["nbf", "exp", "hops", "rate"];
/// Millionths in one unit of money.
const MICROS: u64 = 1_000_000;

/// Why a text is not a capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: expected {expected}, found {found}")]
pub struct ParseError {
    /// Where, in bytes from 0.
    pub position: usize,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

/// Parses the canonical text.
pub(crate) fn parse(text: &str) -> Result<Capability, ParseError> {
    let mut parser = Parser { text, position: 0 };
    if text.len() > MAX_TEXT_BYTES {
        return Err(parser.error(&format!("at most {MAX_TEXT_BYTES} bytes")));
    }
    let space = parser.word("a space such as `a2a`")?;
    parser.expect(':')?;
    let kind = parser.word("a kind such as `skill`")?;
    let is_skill = (space.as_str(), kind.as_str()) == ("a2a", "skill");
    let resource = parser.path(is_skill)?;
    let constraints = if parser.eat('{') { parser.constraints()? } else { BTreeMap::new() };
    if parser.peek().is_some() {
        return Err(parser.error("the end, or constraints in { }"));
    }
    let capability = Capability { space, kind, resource, constraints };
    let canonical = capability.to_string();
    if canonical == text { Ok(capability) } else { Err(parser.not_canonical(&canonical)) }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, expected: &str) -> ParseError {
        let found = self.peek().map_or_else(|| "the end".to_owned(), |found| format!("{found:?}"));
        ParseError { position: self.position, expected: expected.to_owned(), found }
    }

    /// Accepted so far, but written differently from the one canonical way.
    fn not_canonical(&self, canonical: &str) -> ParseError {
        let same = self.text.bytes().zip(canonical.bytes()).take_while(|(a, b)| a == b).count();
        ParseError {
            position: same,
            expected: format!("the canonical form `{canonical}`"),
            found: format!("`{}`", self.text),
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        let eaten = self.peek() == Some(wanted);
        if eaten {
            self.position += wanted.len_utf8();
        }
        eaten
    }

    fn expect(&mut self, wanted: char) -> Result<(), ParseError> {
        if self.eat(wanted) { Ok(()) } else { Err(self.error(&format!("`{wanted}`"))) }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.position += end;
        rest.get(..end).unwrap_or_default()
    }

    /// A name: lower-case letters, digits, `_` and `-`, beginning with a letter.
    fn word(&mut self, expected: &str) -> Result<String, ParseError> {
        if !self.peek().is_some_and(|c| c.is_ascii_lowercase()) {
            return Err(self.error(expected));
        }
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        Ok(self.take_while(name).to_owned())
    }

    /// `/segment/…`, with `*` at the end of a segment and `/**` at the end of all.
    fn path(&mut self, is_skill: bool) -> Result<Pattern, ParseError> {
        let mut segments = Vec::new();
        if self.peek() != Some('/') {
            return Err(self.error("`/` and a segment"));
        }
        while self.eat('/') {
            if self.rest().starts_with("**") {
                self.position += 2;
                return Ok(Pattern { segments, rest: true });
            }
            // A skill id may hold any characters; elsewhere an encoded slash would hide a segment.
            let slash = is_skill && segments.len() == 1;
            segments.push(self.segment(slash)?);
        }
        Ok(Pattern { segments, rest: false })
    }

    fn segment(&mut self, slash: bool) -> Result<Segment, ParseError> {
        let start = self.position;
        let literal = self.escaped(slash)?;
        match (literal.as_str(), self.eat('*')) {
            ("", true) => Ok(Segment::Any),
            ("", false) => Err(self.error("a segment, `*` or `**`")),
            ("." | "..", _) => {
                self.position = start;
                Err(self.error("a segment other than `.` and `..`"))
            }
            (_, true) => Ok(Segment::Prefix(literal)),
            (_, false) => Ok(Segment::Literal(literal)),
        }
    }

    /// Plain characters and `%XX`, decoded.
    fn escaped(&mut self, slash: bool) -> Result<String, ParseError> {
        let start = self.position;
        let mut decoded = Vec::new();
        loop {
            decoded.extend_from_slice(self.take_while(is_plain).as_bytes());
            let at = self.position;
            if !self.eat('%') {
                break;
            }
            let digits = self.rest().get(..2).unwrap_or_default();
            match u8::from_str_radix(digits, 16) {
                Ok(b'/') if !slash => {
                    self.position = at;
                    return Err(self.error("no encoded slash here"));
                }
                Ok(byte) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => decoded.push(byte),
                _ => return Err(self.error("two hexadecimal digits")),
            }
            self.position += 2;
        }
        String::from_utf8(decoded).map_err(|_| {
            self.position = start;
            self.error("UTF-8 behind the escapes")
        })
    }

    fn constraints(&mut self) -> Result<BTreeMap<String, Constraint>, ParseError> {
        let mut constraints: BTreeMap<String, Constraint> = BTreeMap::new();
        loop {
            let start = self.position;
            let name = self.word("the name of an argument")?;
            let constraint = self.constraint(&name)?;
            let narrowed = match constraints.get(&name) {
                // `>=` and then `<=` of one name are the two ends of one range.
                Some(range @ Constraint::Range { .. }) => range.meet(&constraint),
                Some(_) => None,
                None => Some(constraint),
            };
            let Some(narrowed) = narrowed else {
                self.position = start;
                return Err(self.error("each argument once, with a bound that admits something"));
            };
            constraints.insert(name, narrowed);
            if constraints.len() > MAX_CONSTRAINTS {
                return Err(self.error(&format!("at most {MAX_CONSTRAINTS} constraints")));
            }
            if !self.eat(';') {
                self.expect('}')?;
                return Ok(constraints);
            }
        }
    }

    fn constraint(&mut self, name: &str) -> Result<Constraint, ParseError> {
        let is_ceiling = CEILINGS.contains(&name);
        if RESERVED.contains(&name) {
            return Err(self.error(&format!("an argument other than `{name}`, which is reserved")));
        }
        let rest = self.rest();
        let constraint = if rest.starts_with("<=") {
            self.position += 2;
            Constraint::Range { lo: 0, hi: self.number(name)? }
        } else if is_ceiling {
            return Err(self.error(&format!("`<=`: {name} is a ceiling")));
        } else if rest.starts_with(">=") {
            self.position += 2;
            Constraint::Range { lo: self.number(name)?, hi: u64::MAX }
        } else if rest.starts_with("!=") {
            self.position += 2;
            Constraint::NotIn(self.words()?)
        } else if self.eat('=') {
            Constraint::In(self.words()?)
        } else if self.eat('~') {
            if self.peek() == Some('/') {
                Constraint::Path(self.path(false)?)
            } else {
                Constraint::Host(self.host()?)
            }
        } else {
            return Err(self.error("one of = != <= >= ~"));
        };
        Ok(constraint)
    }

    fn words(&mut self) -> Result<BTreeSet<String>, ParseError> {
        let mut words = BTreeSet::new();
        loop {
            let word = self.escaped(true)?;
            if word.is_empty() {
                return Err(self.error("a value"));
            }
            words.insert(word);
            if !self.eat('|') {
                return Ok(words);
            }
        }
    }

    fn number(&mut self, name: &str) -> Result<u64, ParseError> {
        let start = self.position;
        let digits = self.take_while(|c| c.is_ascii_digit() || c == '.');
        let number = if name == "usd" { parse_money(digits) } else { digits.parse().ok() };
        number.ok_or_else(|| {
            self.position = start;
            let form = if name == "usd" { "an amount such as 2.00 (2 to 6 decimals)" } else { "an integer" };
            self.error(form)
        })
    }

    /// `label.label`, with `**.` or `*.` in front; lower case only.
    fn host(&mut self) -> Result<Pattern, ParseError> {
        let rest = self.rest().starts_with("**.");
        if rest {
            self.position += 3;
        }
        let mut segments = Vec::new();
        loop {
            let label = self.take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            match (label, self.peek()) {
                ("", Some('*')) if segments.is_empty() && !rest => {
                    self.position += 1;
                    segments.push(Segment::Any);
                }
                ("", _) => return Err(self.error("a lower-case host label")),
                (label, _) => segments.push(Segment::Literal(label.to_owned())),
            }
            if !self.eat('.') {
                segments.reverse();
                return Ok(Pattern { segments, rest });
            }
        }
    }
}

fn parse_money(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.')?;
    if !(2..=6).contains(&decimals.len()) || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let micros: u64 = format!("{decimals:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(MICROS)?.checked_add(micros)
}

/// A number as it is written for this argument: money with 2 to 6 decimals, anything else plain.
pub(super) fn number(name: &str, value: u64) -> String {
    if name != "usd" {
        return value.to_string();
    }
    let decimals = format!("{:06}", value % MICROS);
    let significant = decimals.trim_end_matches('0').len().max(2);
    format!("{}.{}", value / MICROS, decimals.get(..significant).unwrap_or(&decimals))
}

/// A host pattern as it is written: innermost label first.
pub(super) fn host(pattern: &Pattern) -> String {
    let labels: Vec<String> = pattern.segments.iter().rev().map(ToString::to_string).collect();
    format!("{}{}", if pattern.rest { "**." } else { "" }, labels.join("."))
}

/// Writes a text with everything but plain characters as `%XX`.
pub(super) fn write_escaped(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in text.bytes() {
        if is_plain(char::from(byte)) {
            write!(f, "{}", char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._~:@+-".contains(c)
}
