//! How many files the system lets the broker have open: as many as may be, and no more connections than leave room for
//! what else it opens.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of so many open files one is a connection of a caller at most; the others are for the connections with agents that
/// its work needs, and for the store.
const FILES_PER_CONNECTION: u64 = 2;

/// Raises the limit to what may be, and says how many of the connections that are wanted can be held.
pub(crate) fn connections(wanted: usize) -> usize {
    let Some(files) = raise() else { return wanted };
    let held = usize::try_from(files / FILES_PER_CONNECTION).unwrap_or(usize::MAX);
    if held < wanted {
        tracing::warn!(
            "server.max_connections is {wanted}, but with the {files} files that may be open {held} connections can be \
             held at a time; raise the hard limit (ulimit -Hn, LimitNOFILE=)"
        );
    }
    held.min(wanted)
}

/// The limit, raised as far as this process may; `None` if there is none.
fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    if current == maximum || setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current }
}
