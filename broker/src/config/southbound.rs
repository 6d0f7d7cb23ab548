//! `[southbound]`: how agents are reached, and for how long they may keep the broker waiting.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ByteSize, Span};
use crate::service::{AdmissionOptions, CardDrift, CardOptions, ProbeOptions, Recovery};
use crate::southbound::{client, dialer};

section! { SouthboundConfig {
    connect_timeout: Span = Span::seconds(5),
    response_timeout: Span = Span::seconds(30),
    max_event: ByteSize = ByteSize(1 << 20),
    max_response: ByteSize = ByteSize(72 << 20),
    ask_every: Span = Span::millis(500),
    give_up: Span = Span::seconds(60),
    absent_after: Span = Span::seconds(3),
    ca_file: PathBuf = PathBuf::new(),
    secret_dir: PathBuf = PathBuf::new(),
    circuit_failures: u32 = 5,
    circuit_open: Span = Span::seconds(5),
    circuit_max_open: Span = Span::seconds(120),
    push: bool = true,
    push_backstop: Span = Span::seconds(30),
    card_max_age: Span = Span::seconds(5 * 60),
    card_min_refresh: Span = Span::seconds(30),
    card_max_refresh: Span = Span::seconds(24 * 3_600),
    card_drift: CardDrift = CardDrift::Review,
    probe_message: String = "ping".to_owned(),
    probe_timeout: Span = Span::seconds(10),
    probe_every: Span = Span::seconds(0),
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

    /// How cards are kept fresh.
    pub fn cards(&self) -> CardOptions {
        CardOptions {
            max_age: self.card_max_age.0,
            min_refresh: self.card_min_refresh.0,
            max_refresh: self.card_max_refresh.0,
            drift: self.card_drift,
        }
    }

    /// How agents are probed. A probe gives up no later than the client does, so that its own deadline is what tells
    /// an agent that is slow from one that is not there.
    pub fn probing(&self) -> ProbeOptions {
        ProbeOptions {
            message: self.probe_message.clone(),
            timeout: self.probe_timeout.0.min(self.response_timeout.0),
            every: self.probe_every.0,
        }
    }

    /// What is wrong with the times that agents are asked at.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.card_min_refresh.0 > self.card_max_refresh.0 {
            return Err(format!(
                "southbound.card_min_refresh is {}, longer than southbound.card_max_refresh, {}; expected the \
                 shortest time between two fetches of a card and the longest",
                self.card_min_refresh, self.card_max_refresh
            ));
        }
        if self.probe_message.is_empty() {
            return Err("southbound.probe_message: expected a text, such as \"ping\"".to_owned());
        }
        Ok(())
    }

    /// How agents that do not answer are spared; `waiting` is how many tasks may wait for one.
    pub fn admission(&self, waiting: usize) -> AdmissionOptions {
        AdmissionOptions {
            waiting,
            failures: self.circuit_failures,
            open: self.circuit_open.0,
            max_open: self.circuit_max_open.0,
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
