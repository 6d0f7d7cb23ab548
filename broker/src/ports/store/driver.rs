//! Who drives a tree, where several brokers share a store: one at a time decides what becomes of it, and talks to its agents.

/// Who drives a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drive {
    /// This broker, or nobody because there is no such tree.
    Here,
    /// Another one, which the others reach at this URL.
    At(String),
    /// Nobody at this moment: its broker is gone, and one of the others is about to take it over.
    Nobody,
}
