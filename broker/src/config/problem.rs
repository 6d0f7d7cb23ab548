//! What a parser says about a configuration, without what nobody should read in a log.

/// Sections in which a value may be a secret somebody wrote into the file, where it does not belong.
const DELICATE: [&str; 2] = ["agents", "principals"];

/// The error with the line it is about; in a delicate section with its number and key only.
pub(super) fn describe(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or(text);
    let number = before.split('\n').count();
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let header = std::iter::once(line).chain(before.lines().rev()).find(|line| line.trim().starts_with('['));
    if !header.is_some_and(|header| DELICATE.iter().any(|section| header.contains(section))) {
        return error.to_string();
    }
    let key = line.split('=').next().unwrap_or_default().trim();
    format!("line {number}, {key}: {}", without_value(error.message()))
}

/// `invalid type: string "…"` without the string.
pub(crate) fn without_value(message: &str) -> String {
    let found =
        message.split_once("string \"").and_then(|(head, tail)| Some((head, tail.rsplit_once('"')?.1)));
    found.map_or_else(|| message.to_owned(), |(head, tail)| format!("{head}a string{tail}"))
}
