//! Texts for people: those of others cut to one line, and words that stand for values.

use serde::Serialize;

/// The text on one line, at most so many characters of it; cut, it ends in an ellipsis.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut taken: String = text.trim().chars().take(most).map(plain).collect();
    if text.trim().chars().nth(most).is_some() {
        taken.push('…');
    }
    taken
}

/// How a value is written that is written as one word; nothing for others.
pub fn word(what: &impl Serialize) -> String {
    serde_json::to_value(what)
        .ok()
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_stays_on_one_line() {
        assert_eq!(shortened(" a\nb ", 3), "a b");
        assert_eq!(shortened("äbcd", 3), "äbc…");
        assert_eq!(shortened("äbc", 3), "äbc");
    }
}
