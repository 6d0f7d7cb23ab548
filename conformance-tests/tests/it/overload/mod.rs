//! More than the broker can do at a time: who is refused and how, who makes way, what agents that fail are spared, and
//! how the broker leaves while it has work.

mod agents;
mod call;
mod crowd;
mod making_way;
mod refusals;
mod shutdown;

use std::time::Duration;

async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    for _ in 0..1_200 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what} did not happen within 30 s");
}
