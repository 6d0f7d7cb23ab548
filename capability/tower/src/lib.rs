//! For tools, outside the broker: a tower layer that verifies the grant a request carries, offline against the broker's
//! key set, and lets through what the grant admits. What a request would be, in the language of capabilities, is the
//! tool's to say; whether the grant's task is still open only the broker knows (`/introspect`), which is why grants
//! live 15 minutes at most.
//!
//! ```
//! use capability::KeySet;
//! use capability_tower::{GrantLayer, Keys, Requested};
//!
//! let keys = Keys::new(KeySet::default()); // keys.replace(KeySet::from_jwks(…)?) every five minutes
//! let layer = GrantLayer::new(keys, "https://broker.example", "https://tool.example", |request| {
//!     let tool = request.uri.path().trim_start_matches('/');
//!     Ok(Requested::new("mcp", "tool", [tool]))
//! });
//! ```

mod layer;
mod refusal;
mod requested;
mod verifier;

pub use self::layer::{GrantLayer, GrantService};
pub use self::refusal::Refusal;
pub use self::requested::Requested;
pub use self::verifier::Keys;
