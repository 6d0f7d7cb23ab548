//! The uncased BERT word-piece tokeniser: text without accents and in small letters is cut at spaces, punctuation and
//! between Chinese characters, and each word into the longest pieces the vocabulary knows.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::bounded;

/// What a piece that goes on inside a word begins with in the vocabulary.
const CONTINUATION: &str = "##";
/// Longest word that is cut into pieces, in characters; a longer one is unknown as a whole.
const MAX_WORD_CHARS: usize = 100;

/// The word-pieces of a model, each with its row.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    starts: HashMap<Box<str>, u32>,
    continuations: HashMap<Box<str>, u32>,
    /// Most bytes of a piece: none longer need be looked for.
    longest: usize,
}

impl Vocabulary {
    /// Reads a vocabulary of one piece a line; a piece's row is the number of its line.
    pub fn parse(lines: &str) -> Self {
        let mut vocabulary = Self { starts: HashMap::new(), continuations: HashMap::new(), longest: 0 };
        for (row, piece) in (0_u32..).zip(lines.lines()) {
            let (pieces, text) = match piece.strip_prefix(CONTINUATION) {
                Some(rest) if !rest.is_empty() => (&mut vocabulary.continuations, rest),
                _ => (&mut vocabulary.starts, piece),
            };
            pieces.entry(text.into()).or_insert(row);
            vocabulary.longest = vocabulary.longest.max(text.len());
        }
        vocabulary
    }

    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.starts.len() + self.continuations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of a piece that begins a word.
    pub fn row(&self, piece: &str) -> Option<u32> {
        self.starts.get(piece).copied()
    }

    /// The rows of a text's pieces, in order; `None` for a word the vocabulary cannot spell.
    pub fn pieces(&self, text: &str) -> Vec<Option<u32>> {
        let mut rows = Vec::new();
        let mut word = String::new();
        for c in bounded(text).nfd().filter(|&c| !is_combining_mark(c)).flat_map(char::to_lowercase) {
            if c.is_whitespace() {
                self.cut(&mut word, &mut rows);
            } else if stands_alone(c) {
                self.cut(&mut word, &mut rows);
                word.push(c);
                self.cut(&mut word, &mut rows);
            } else if !c.is_control() {
                word.push(c);
            }
        }
        self.cut(&mut word, &mut rows);
        rows
    }

    /// Cuts a word into its longest known pieces, from the left.
    fn cut(&self, word: &mut String, rows: &mut Vec<Option<u32>>) {
        let known = rows.len();
        let mut rest = word.as_str();
        if word.chars().nth(MAX_WORD_CHARS).is_some() {
            rows.push(None);
            rest = "";
        }
        while !rest.is_empty() {
            let pieces = if rest.len() == word.len() { &self.starts } else { &self.continuations };
            let mut end = rest.floor_char_boundary(self.longest.min(rest.len()));
            let row = loop {
                match rest.get(..end).and_then(|piece| pieces.get(piece)) {
                    Some(&row) => break Some(row),
                    None if end == 0 => break None,
                    None => end = rest.floor_char_boundary(end - 1),
                }
            };
            if row.is_none() || end == 0 {
                rows.truncate(known);
                rows.push(None);
                break;
            }
            rows.push(row);
            rest = rest.get(end..).unwrap_or_default();
        }
        word.clear();
    }
}

/// Punctuation, and Chinese characters, are words of their own.
fn stands_alone(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(u32::from(c), 0x2010..=0x2027 | 0x2030..=0x205e | 0x3001..=0x3003 | 0x3008..=0x3011
            | 0x4e00..=0x9fff | 0x3400..=0x4dbf | 0xf900..=0xfaff | 0x0002_0000..=0x0002_fa1f)
}
