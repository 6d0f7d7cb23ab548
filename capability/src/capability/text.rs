//! The canonical text of capabilities. Parsed, never concatenated; what is not canonical is refused, never
//! normalised, so that one set of requests has one text.

use std::collections::BTreeSet;
use std::fmt;

use super::constraint::Constraint;
use super::pattern::{Pattern, Segment};
use super::rate::{MAX_WINDOW_SECONDS, Rate, Rates};
use super::{BEFORE, Capability, Constraints, HOPS, MAX_CONSTRAINTS, MAX_HOPS, NOT_BEFORE, RATE};
use crate::ledger::Unit;

/// Longest text of a capability or a scope, in bytes.
pub(crate) const MAX_TEXT_BYTES: usize = 64 * 1024;
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
    let constraints = if parser.eat('{') { parser.constraints()? } else { Constraints::default() };
    parser.end("the end, or constraints in { }")?;
    let capability = Capability::new(space, kind, resource, constraints);
    let canonical = capability.to_string();
    if canonical == text { Ok(capability) } else { Err(parser.not_canonical(&canonical)) }
}

/// Reads a text that stands alone, such as a member of the JSON form, with one rule of the grammar.
pub(super) fn read<'a, T>(
    text: &'a str,
    rule: impl FnOnce(&mut Parser<'a>) -> Result<T, ParseError>,
) -> Result<T, ParseError> {
    let mut parser = Parser { text, position: 0 };
    let read = rule(&mut parser)?;
    parser.end("the end")?;
    Ok(read)
}

pub(super) struct Parser<'a> {
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

    fn end(&self, expected: &str) -> Result<(), ParseError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.error(expected)) }
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
    pub(super) fn word(&mut self, expected: &str) -> Result<String, ParseError> {
        if !self.peek().is_some_and(|c| c.is_ascii_lowercase()) {
            return Err(self.error(expected));
        }
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        Ok(self.take_while(name).to_owned())
    }

    /// `/segment/…`, with `*` at the end of a segment and `/**` at the end of all.
    pub(super) fn path(&mut self, is_skill: bool) -> Result<Pattern, ParseError> {
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

    fn constraints(&mut self) -> Result<Constraints, ParseError> {
        let mut constraints = Constraints::default();
        loop {
            let start = self.position;
            let name = self.word("the name of an argument")?;
            let constraint = self.constraint(&name)?;
            let narrowed = match constraints.remove(&name) {
                // `>=` and then `<=` of one name are the two ends of one range; rates hold together.
                Some(before @ (Constraint::Range { .. } | Constraint::Rate(_))) => before.meet(&constraint),
                Some(_) => None,
                None => Some(constraint),
            };
            let Some(narrowed) = narrowed else {
                self.position = start;
                return Err(self.error("each argument once, with a bound that admits something"));
            };
            constraints.insert(name, narrowed);
            if constraints.iter().map(|(_, constraint)| constraint.size()).sum::<usize>() > MAX_CONSTRAINTS {
                return Err(self.error(&format!("at most {MAX_CONSTRAINTS} constraints")));
            }
            if !constraints.window_is_open() {
                self.position = start;
                return Err(self.error("an nbf before exp"));
            }
            if !self.eat(';') {
                self.expect('}')?;
                return Ok(constraints);
            }
        }
    }

    fn constraint(&mut self, name: &str) -> Result<Constraint, ParseError> {
        match name {
            NOT_BEFORE => self.not_before(),
            BEFORE => self.before(),
            HOPS => self.hops(),
            RATE => self.rate(),
            _ if Unit::named(name).is_some() => {
                self.operator("<=", &format!("`<=`: {name} is a ceiling"))?;
                Ok(Constraint::Range { lo: 0, hi: self.number(name)? })
            }
            _ => self.argument(name),
        }
    }

    fn argument(&mut self, name: &str) -> Result<Constraint, ParseError> {
        Ok(if self.eat_all("<=") {
            Constraint::Range { lo: 0, hi: self.number(name)? }
        } else if self.eat_all(">=") {
            Constraint::Range { lo: self.number(name)?, hi: u64::MAX }
        } else if self.eat_all("!=") {
            Constraint::NotIn(self.words()?)
        } else if self.eat('=') {
            Constraint::In(self.words()?)
        } else if !self.eat('~') {
            return Err(self.error("one of = != <= >= ~"));
        } else if self.peek() == Some('/') {
            Constraint::Path(self.path(false)?)
        } else {
            Constraint::Host(self.host()?)
        })
    }

    fn not_before(&mut self) -> Result<Constraint, ParseError> {
        self.operator(">=", "`>=`: nbf is the first second")?;
        Ok(Constraint::NotBefore(self.within(1, u64::MAX, "seconds since the epoch, more than 0")?))
    }

    fn before(&mut self) -> Result<Constraint, ParseError> {
        self.operator("<", "`<`: exp is exclusive")?;
        Ok(Constraint::Before(self.within(1, u64::MAX, "seconds since the epoch, more than 0")?))
    }

    fn hops(&mut self) -> Result<Constraint, ParseError> {
        self.operator("<=", "`<=`: hops is how often it may be passed on")?;
        let hops = self.within(0, MAX_HOPS.into(), &format!("0 to {MAX_HOPS}"))?;
        Ok(Constraint::Hops(u8::try_from(hops).unwrap_or(MAX_HOPS)))
    }

    /// `<=uses/windows`, as in `rate<=10/60s`.
    fn rate(&mut self) -> Result<Constraint, ParseError> {
        self.operator("<=", "`<=`: rate is at most so many uses in so many seconds, as in rate<=10/60s")?;
        let uses = self.within(1, u64::MAX, "1 use or more")?;
        self.expect('/')?;
        let window = self.within(1, MAX_WINDOW_SECONDS, &format!("1 to {MAX_WINDOW_SECONDS} seconds"))?;
        self.expect('s')?;
        Ok(Constraint::Rate(Rates::of([Rate { window, uses }])))
    }

    fn eat_all(&mut self, wanted: &str) -> bool {
        let eaten = self.rest().starts_with(wanted);
        if eaten {
            self.position += wanted.len();
        }
        eaten
    }

    fn operator(&mut self, wanted: &str, expected: &str) -> Result<(), ParseError> {
        if self.eat_all(wanted) { Ok(()) } else { Err(self.error(expected)) }
    }

    fn within(&mut self, least: u64, most: u64, expected: &str) -> Result<u64, ParseError> {
        let start = self.position;
        let number = self.take_while(|c| c.is_ascii_digit()).parse().ok();
        number.filter(|number| (least..=most).contains(number)).ok_or_else(|| {
            self.position = start;
            self.error(expected)
        })
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
        parse_number(name, digits).ok_or_else(|| {
            self.position = start;
            self.error(number_form(name))
        })
    }

    /// `label.label`, with `**.` or `*.` in front; lower case only.
    pub(super) fn host(&mut self) -> Result<Pattern, ParseError> {
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

/// Reads a number as it is written for this argument.
pub(crate) fn parse_number(name: &str, text: &str) -> Option<u64> {
    if name == Unit::Usd.name() { parse_money(text) } else { text.parse().ok() }
}

/// How a number for this argument is written, for errors.
pub(crate) fn number_form(name: &str) -> &'static str {
    if name == Unit::Usd.name() { "an amount such as 2.00 (2 to 6 decimals)" } else { "an integer" }
}

/// Reads an amount with 2 to 6 decimals as millionths.
pub fn parse_money(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.')?;
    if !(2..=6).contains(&decimals.len()) || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let micros: u64 = format!("{decimals:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(MICROS)?.checked_add(micros)
}

/// A number as it is written for this argument: money with 2 to 6 decimals, anything else plain.
pub(crate) fn number(name: &str, value: u64) -> String {
    if name == Unit::Usd.name() { money(value) } else { value.to_string() }
}

/// Millionths as an amount with 2 to 6 decimals, such as `2.00`.
pub fn money(micros: u64) -> String {
    let decimals = format!("{:06}", micros % MICROS);
    let significant = decimals.trim_end_matches('0').len().max(2);
    format!("{}.{}", micros / MICROS, decimals.get(..significant).unwrap_or(&decimals))
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
