//! What Bailiwick promises beyond A2A.

mod acceptance;
mod audit;
mod authority;
mod backup;
mod budgets;
mod context;
mod crash;
mod credentials;
mod every_append;
mod federation;
pub(crate) mod grants;
mod misbehaviour;
mod places;
mod retention;
mod routing;
mod steering;
mod telemetry;
mod tree;
mod ways;

pub(crate) use self::tree::script;
