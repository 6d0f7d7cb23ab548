//! `[store]`: where everything durable is, in a directory or in a database, and for how long.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::shown::HIDDEN;
use super::{ByteSize, Span};
use crate::store::{embedded, postgres};

section! { StoreConfig {
    data: PathBuf = PathBuf::from("./bailiwick-data"),
    fsync: bool = true,
    url: String = String::new(),
    connections: usize = 8,
    ca_file: PathBuf = PathBuf::new(),
    queue: usize = 4_096,
    batch: usize = 256,
    idle_trees: usize = 16_384,
    finished_trees: usize = 1_024,
    finished_size: ByteSize = ByteSize(256 << 20),
    keep_finished: Span = Span::seconds(30 * 24 * 3_600),
    keep_message_ids: Span = Span::seconds(30 * 24 * 3_600),
    sweep_every: Span = Span::seconds(10 * 60),
}}

/// Which engine keeps what is durable.
#[derive(Debug, Clone, Copy)]
pub enum StoreKind<'c> {
    /// The embedded one, in a directory.
    Embedded(&'c Path, embedded::Options),
    /// PostgreSQL, at a URL.
    Postgres(&'c str, postgres::Options),
}

impl StoreConfig {
    /// The engine, and how it behaves.
    pub fn kind(&self) -> StoreKind<'_> {
        let Self { queue, batch, fsync, connections, .. } = *self;
        if self.url.is_empty() {
            StoreKind::Embedded(&self.data, embedded::Options { fsync, queue, batch })
        } else {
            StoreKind::Postgres(&self.url, postgres::Options { queue, batch, connections })
        }
    }

    /// Certificates that are believed beside the machine's own when the database is dialled.
    pub fn ca_file(&self) -> Option<&Path> {
        (!self.ca_file.as_os_str().is_empty()).then_some(&*self.ca_file)
    }

    /// Shows of the database's URL no more than its host and its name.
    pub(super) fn hide_password(&mut self) {
        if self.url.is_empty() {
            return;
        }
        let shown = url::Url::parse(&self.url).ok().and_then(|url| {
            let host = url.host_str()?;
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            Some(format!("{}://{HIDDEN}@{host}{port}{}", url.scheme(), url.path()))
        });
        self.url = shown.unwrap_or_else(|| HIDDEN.to_owned());
    }

    /// What is wrong with a value. What is said of the URL does not repeat it: it may hold a password.
    pub(super) fn problem(&self) -> Option<String> {
        for (key, bound) in [("queue", self.queue), ("batch", self.batch), ("connections", self.connections)]
        {
            if bound == 0 {
                return Some(format!("store.{key}: expected at least 1"));
            }
        }
        if self.sweep_every.0.is_zero() {
            return Some("store.sweep_every: expected a time longer than 0s".to_owned());
        }
        if self.url.is_empty() {
            return None;
        }
        postgres::parse(&self.url).err().map(|problem| format!("store.url: {problem}"))
    }
}
