//! Text as the ranker sees it: words for the lexical index, word-pieces for the embedders. All text is cut at one bound
//! before anything is done with it.

mod sentences;
mod stem;
mod wordpiece;
mod words;

pub use sentences::sentences;
pub use stem::stem;
pub use wordpiece::Vocabulary;
pub use words::words;

/// Most bytes of one text that are looked at; what stands behind them is ignored.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The leading part of `text` within [`MAX_TEXT_BYTES`], cut between characters.
pub fn bounded(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_TEXT_BYTES.min(text.len()));
    text.get(..end).unwrap_or(text)
}
