//! When the configuration is read again: on SIGHUP, and when a file it is read from is another one than before.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Origin, SetFilter, filter};
use crate::app::Reloading;

/// Reads the configuration again whenever that is asked for, for ever. `every` is between two looks at its files; zero
/// leaves it to SIGHUP.
pub(super) fn run(
    mut reloading: Reloading,
    origin: Origin,
    every: Duration,
    set_filter: SetFilter,
) -> Result<impl Future<Output = ()>, String> {
    let mut hangups =
        signal(SignalKind::hangup()).map_err(|error| format!("signals cannot be heard: {error}"))?;
    Ok(async move {
        let mut seen = reloading.fingerprint(origin.file.as_ref());
        loop {
            let is_asked = tokio::select! {
                heard = hangups.recv() => heard.is_some(),
                () = pause(every) => false,
            };
            let now = reloading.fingerprint(origin.file.as_ref());
            if is_asked || now != seen {
                seen = now;
                Box::pin(reload(&mut reloading, &origin, &set_filter)).await;
            }
        }
    })
}

async fn pause(every: Duration) {
    if every.is_zero() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(every).await;
}

async fn reload(reloading: &mut Reloading, origin: &Origin, set_filter: &SetFilter) {
    match Box::pin(try_reload(reloading, origin, set_filter)).await {
        Ok(changes) => tracing::info!(
            changed = changes.made.join(" "),
            needs_restart = changes.need_restart.join(" "),
            "the configuration was read again"
        ),
        Err(problem) => {
            tracing::error!(
                problem,
                "the configuration was read again and is wrong; the one before still holds"
            );
        }
    }
}

async fn try_reload(
    reloading: &mut Reloading,
    origin: &Origin,
    set_filter: &SetFilter,
) -> Result<crate::app::Changes, String> {
    let config = origin.read()?;
    let level = filter(&config.log)?;
    let changes = reloading.apply(config).await.map_err(|error| error.to_string())?;
    set_filter(level)?;
    Ok(changes)
}
