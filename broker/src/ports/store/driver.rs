//! Several brokers that share a store. Each tree is driven by one of them at a time: that one decides what becomes of it, and
//! talks to its agents. What is not of trees each of them holds in memory, and hears when another one changes it.

use bytes::Bytes;
use uuid::Uuid;

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

/// What another broker has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The agent of this name, or that there is one.
    Agent(String),
    /// Documents of the broker's own.
    Documents,
    /// It is not known what: something may have been missed.
    Anything,
}

/// What another broker has last said of its use of quotas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Which start of which broker.
    pub broker: Uuid,
    /// Whether it is still there, for all the store knows.
    pub is_there: bool,
    /// Whether it has open trees that nobody else has taken over.
    pub has_trees: bool,
    /// What it said.
    pub said: Bytes,
}
