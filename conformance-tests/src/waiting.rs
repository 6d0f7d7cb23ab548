//! Waiting for what has to happen, and not for a while.

use std::time::Duration;

/// Looks before it is given up; with the pauses between them a minute, and what the looks take.
const LOOKS: u32 = 2_400;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Waits until something is so; fails, naming it, if it never becomes so.
pub async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    for _ in 0..LOOKS {
        if is().await {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{what} did not happen within a minute");
}
