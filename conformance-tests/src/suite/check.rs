//! What a check is, and what it can find.

use std::future::Future;
use std::pin::Pin;

use super::bench::Bench;

/// Why a check ended without passing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The server did something else than the requirement says.
    Fail(String),
    /// It could not be seen; why.
    Skip(String),
}

/// What a check found: what was seen where it passed.
pub type Finding<T = String> = Result<T, Stop>;

/// On which bindings a check runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Once, on the first binding: it is about the server, not about a binding.
    Server,
    /// On each binding.
    Each,
    /// On JSON-RPC only.
    JsonRpc,
    /// On HTTP+JSON only.
    HttpJson,
    /// On gRPC only.
    Grpc,
    /// On the bindings of JSON: it is about what JSON can say and protobuf cannot.
    Json,
}

type Run = for<'a> fn(&'a Bench) -> Pin<Box<dyn Future<Output = Finding> + Send + 'a>>;

/// A check, named by its function.
pub struct Check {
    /// Its name, unique in the suite.
    pub name: &'static str,
    /// Where it runs.
    pub on: On,
    /// What it does.
    pub run: Run,
}

/// The checks of a file: where each runs, and its function.
macro_rules! checks {
    ($($on:ident $name:ident;)*) => {
        pub(super) const CHECKS: &[$crate::suite::check::Check] = &[$(
            $crate::suite::check::Check {
                name: stringify!($name),
                on: $crate::suite::check::On::$on,
                run: |bench| Box::pin($name(bench)),
            },
        )*];
    };
}

/// Fails a check unless something holds.
macro_rules! ensure {
    ($holds:expr, $($seen:tt)+) => {
        if !$holds {
            return Err($crate::suite::check::Stop::Fail(format!($($seen)+)));
        }
    };
}

pub(crate) use {checks, ensure};

/// Fails a check.
pub fn fail<T>(seen: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fail(seen.into()))
}

/// Skips a check.
pub fn skip<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Skip(why.into()))
}

/// How much of what was seen goes into a report, in characters.
const SHOWN: usize = 240;

/// Something seen, short enough to be read in a table.
pub fn shown<T: ToString + ?Sized>(seen: &T) -> String {
    let text = seen.to_string().replace(['\n', '\r'], " ");
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain("…".chars()).collect()
}
