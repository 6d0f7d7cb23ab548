//! `[southbound]`: how agents are reached, and for how long they may keep the broker waiting.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ByteSize, Span};
use crate::service::Recovery;
use crate::southbound::{client, dialer};

section! { SouthboundConfig {
    connect_timeout: Span = Span::seconds(5),
    response_timeout: Span = Span::seconds(30),
    max_event: ByteSize = ByteSize(1 << 20),
    max_response: ByteSize = ByteSize(4 << 20),
    ask_every: Span = Span::millis(500),
    give_up: Span = Span::seconds(60),
    absent_after: Span = Span::seconds(3),
    ca_file: PathBuf = PathBuf::new(),
    secret_dir: PathBuf = PathBuf::new(),
    push: bool = true,
    push_backstop: Span = Span::seconds(30),
}}

impl SouthboundConfig {
    /// How quiet agents are asked.
    pub fn recovery(&self) -> Recovery {
        Recovery {
            ask_every: self.ask_every.0,
            give_up: self.give_up.0,
            absent_after: self.absent_after.0,
            push: self.push,
            backstop: self.push_backstop.0,
        }
    }

    /// The bounds on connections.
    pub fn dialer_options(&self) -> dialer::Options {
        dialer::Options { connect_timeout: self.connect_timeout.0, response_timeout: self.response_timeout.0 }
    }

    /// The bounds on agents.
    pub fn client_options(&self) -> client::Options {
        client::Options {
            response_timeout: self.response_timeout.0,
            max_event_bytes: self.max_event.as_usize(),
            max_response_bytes: self.max_response.as_usize(),
        }
    }

    /// Certificates believed beside the machine's own.
    pub fn ca_file(&self) -> Option<&Path> {
        named(&self.ca_file)
    }

    /// Where files must be that a registration names.
    pub fn secret_dir(&self) -> Option<&Path> {
        named(&self.secret_dir)
    }
}

fn named(path: &Path) -> Option<&Path> {
    (!path.as_os_str().is_empty()).then_some(path)
}
