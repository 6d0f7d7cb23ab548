//! What `capability` is compared with: the kinds of constraint it shares with Cedar and with tenuo, written three times
//! from one description, and the scopes and tokens that are measured.

pub mod cedar;
pub mod kinds;
pub mod measured;
pub mod random;
pub mod tenuo;
