//! The keys grants are signed with, as the broker and its operators handle them.

use broker_core::audit::Signs;
use capability::MAX_GRANT_SECONDS;
use protocol::A2aError;

use super::Broker;
use crate::service::signing_keys::{KeyView, Purpose};
use crate::service::{Caller, audit};

/// A key verifies for the longest life of a grant, and as much as a clock may be set back.
pub(super) const PURPOSE: Purpose =
    Purpose { document: "grant-keys", overlap_seconds: MAX_GRANT_SECONDS + 60, signs: Signs::Grants };
/// What only an operator may do here.
const SEE_KEYS: &str = "see the grant keys";
const CHANGE_KEYS: &str = "change the grant keys";

impl Broker {
    /// Takes up the keys grants and cards are signed with, or makes the first. Call once, before anything is sent.
    pub async fn load_keys(&self) -> Result<(), A2aError> {
        self.grants.keys().load().await?;
        self.card_keys.keys().load().await
    }

    /// Follows what another broker of the same store has made of the keys.
    pub(in crate::service) async fn reload_keys(&self) -> Result<(), A2aError> {
        self.grants.keys().reload().await?;
        self.card_keys.keys().reload().await
    }

    /// The keys grants are signed with, in the order in which they sign.
    pub fn keys(&self, caller: &Caller) -> Result<Vec<KeyView>, A2aError> {
        self.require_operator(caller, SEE_KEYS)?;
        Ok(self.grants.keys().views())
    }

    /// Lets the next key follow; with `compromised`, at once, and with it every grant signed before is dead.
    pub async fn rotate_keys(&self, caller: &Caller, compromised: bool) -> Result<Vec<KeyView>, A2aError> {
        self.require_operator(caller, CHANGE_KEYS)?;
        self.grants.keys().change(compromised, audit::by(caller)).await
    }
}
