//! The words of a text: lower-cased runs of letters and digits, a change from small to large letters beginning a new
//! word (names of tools are written that way), each cut to its stem.

use super::{bounded, stem};

/// The stems of the words of a text, in order.
pub fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut was_lower = false;
    for c in bounded(text).chars() {
        // An apostrophe joins: "what's" is one word.
        if c == '\'' || c == '’' {
            continue;
        }
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            keep(&mut word, &mut found);
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    keep(&mut word, &mut found);
    found
}

fn keep(word: &mut String, found: &mut Vec<String>) {
    if !word.is_empty() {
        found.push(stem(word));
        word.clear();
    }
}
