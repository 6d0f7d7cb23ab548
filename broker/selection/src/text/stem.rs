//! Light stemming for English: plurals, -ing, -ed and -ly go, nothing cleverer. Words that are not English pass
//! through almost untouched, which matters more here than finding every relation.

/// Fewest letters a stem keeps.
const SHORTEST: usize = 3;

/// The stem of a lower-case word.
pub fn stem(word: &str) -> String {
    if word.len() <= SHORTEST || !word.is_ascii() {
        return word.to_owned();
    }
    let word = singular(word);
    let stem = match word.as_str() {
        s if s.ends_with("ingly") => shortened(s, 5),
        s if s.ends_with("edly") => shortened(s, 4),
        s if s.ends_with("ing") => shortened(s, 3),
        s if s.ends_with("ied") => s.strip_suffix("ied").map(|base| format!("{base}y")),
        s if s.ends_with("ed") && !s.ends_with("eed") => shortened(s, 2),
        s if s.ends_with("ly") => shortened(s, 2),
        _ => None,
    };
    let stem = stem.unwrap_or(word);
    // "make" and "making" meet without the e.
    match stem.strip_suffix('e') {
        Some(base) if base.len() >= SHORTEST && has_vowel(base) => base.to_owned(),
        _ => stem,
    }
}

fn singular(word: &str) -> String {
    if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        return word.to_owned();
    }
    if let Some(base) = word.strip_suffix("ies").filter(|base| base.len() >= 2) {
        return format!("{base}y");
    }
    for ending in ["sses", "shes", "ches", "xes", "zes"] {
        if word.ends_with(ending) {
            return word.strip_suffix("es").unwrap_or(word).to_owned();
        }
    }
    word.strip_suffix('s').unwrap_or(word).to_owned()
}

/// The word without its ending, a doubled last letter made single; none if too little would be left.
fn shortened(word: &str, ending: usize) -> Option<String> {
    let base = word.get(..word.len() - ending)?;
    if base.len() < SHORTEST || !has_vowel(base) {
        return None;
    }
    let mut letters = base.chars().rev();
    let doubled =
        matches!((letters.next(), letters.next()), (Some(a), Some(b)) if a == b && !"lsz".contains(a));
    Some(if doubled { base.get(..base.len() - 1)?.to_owned() } else { base.to_owned() })
}

fn has_vowel(text: &str) -> bool {
    text.contains(['a', 'e', 'i', 'o', 'u', 'y'])
}
