//! What PostgreSQL says, in the words of the port: whether something may have been written decides what a writer may do next.

use deadpool_postgres::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::ports::store::StoreError;

/// Another writer was faster, and nothing was written: the same may be judged anew.
pub(super) fn is_race(error: &Error) -> bool {
    let races =
        [SqlState::UNIQUE_VIOLATION, SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| races.contains(code))
}

/// A statement that the database did not take, and with it the transaction; not that it went away in the middle of it.
pub(super) fn is_refusal(error: &Error) -> bool {
    let is_open = |code: &SqlState| {
        let code = code.code();
        code.starts_with("08") || code.starts_with("57P") || code == "40003"
    };
    error.code().is_some_and(|code| !is_open(code))
}

/// A read or a change that was not begun: nothing was written.
pub(super) fn unavailable(error: &Error) -> StoreError {
    StoreError::Unavailable(in_words(error))
}

/// No connection: nothing was written.
pub(super) fn no_connection(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => unavailable(error),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// A change whose outcome is not known.
pub(super) fn uncertain(error: &Error) -> StoreError {
    StoreError::Engine(in_words(error))
}

/// Tables that cannot be made.
pub(super) fn at_start(error: &Error) -> StoreError {
    StoreError::Engine(format!("the tables cannot be made: {}", in_words(error)))
}

pub(super) fn damaged(expected: &str) -> StoreError {
    StoreError::Damaged(format!("expected {expected}"))
}

/// The library says "db error" and keeps the rest to itself.
pub(super) fn in_words(error: &Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
