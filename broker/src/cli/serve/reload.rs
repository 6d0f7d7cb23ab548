//! When the configuration is read again: on SIGHUP, and when a file it is read from is another one than before.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::Signal;

use super::{Origin, SetFilter, filter};
use crate::app::{Changes, Fingerprint, Reloading, fingerprint};

/// What is known of the files a configuration is read from.
pub(super) struct Watched {
    /// Those it names.
    pub(super) files: Vec<PathBuf>,
    /// How all of them looked before they were read.
    pub(super) seen: Fingerprint,
}

/// Reads the configuration again whenever that is asked for, for ever. `every` is between two looks at its files; zero
/// leaves it to SIGHUP.
pub(super) async fn run(
    mut reloading: Reloading,
    origin: Origin,
    Watched { mut files, mut seen }: Watched,
    (mut hangups, every): (Signal, Duration),
    set_filter: SetFilter,
) {
    let mut before = seen.clone();
    loop {
        let is_asked = tokio::select! {
            heard = hangups.recv() => heard.is_some(),
            () = pause(every) => false,
        };
        let now = look(&origin, &files).await;
        // What is still being written looks different the next time.
        let is_settled = now == std::mem::replace(&mut before, now.clone());
        if is_asked || (is_settled && now != seen) {
            let replaced = now.iter().filter(|(path, digest)| seen.get(*path) != Some(*digest));
            let replaced: Vec<String> = replaced.map(|(path, _)| path.display().to_string()).collect();
            Box::pin(reload(&mut reloading, &origin, &mut files, replaced, &set_filter)).await;
            // As it looked before it was read: what has changed since is seen the next time.
            let named = look(&origin, &files).await;
            seen = named
                .into_iter()
                .map(|(path, digest)| (path.clone(), *now.get(&path).unwrap_or(&digest)))
                .collect();
            before = now;
        }
    }
}

async fn pause(every: Duration) {
    if every.is_zero() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(every).await;
}

async fn look(origin: &Origin, files: &[PathBuf]) -> Fingerprint {
    let all: Vec<PathBuf> = origin.file.iter().chain(files).cloned().collect();
    tokio::task::spawn_blocking(move || fingerprint(&all)).await.unwrap_or_default()
}

async fn reload(
    reloading: &mut Reloading,
    origin: &Origin,
    files: &mut Vec<PathBuf>,
    replaced: Vec<String>,
    set_filter: &SetFilter,
) {
    match Box::pin(try_reload(reloading, origin, files, set_filter)).await {
        Ok(changes) => {
            tracing::info!(
                changed = changes.made.join(" "),
                files = replaced.join(" "),
                needs_restart = changes.need_restart.join(" "),
                "the configuration was read again"
            );
            reloading.record(changes.made.into_iter().chain(replaced).collect());
        }
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
    files: &mut Vec<PathBuf>,
    set_filter: &SetFilter,
) -> Result<Changes, String> {
    let (name, config) = origin.read()?;
    // Also of one that is wrong: what it names may be what is still missing.
    *files = config.files();
    let level = filter(&config.log)?;
    let changes = reloading.apply(&name, config).await.map_err(|error| error.to_string())?;
    set_filter(level)?;
    Ok(changes)
}
