//! `bailiwick serve`: configuration, log, broker, signals.

use tracing_subscriber::EnvFilter;

use super::arguments::Serve;
use crate::app::App;
use crate::config::{Config, LogConfig, LogFormat, Overrides};

pub(super) async fn serve(arguments: Serve) -> Result<(), String> {
    let overrides = Overrides { listen: arguments.listen, data: arguments.data };
    let config = Config::load(arguments.config.as_deref(), std::env::vars(), overrides)
        .map_err(|error| error.to_string())?;
    start_log(&config.log)?;
    let open = config.is_open();
    let app = App::start(config).await.map_err(|error| error.to_string())?;
    tracing::info!(url = app.url, open, "serving");
    if open {
        tracing::warn!("open mode: anyone on this machine may call; add [[principals]] to change that");
    }
    // Scripts and tests that asked for a free port learn it here.
    println!("listening on {}", app.url);
    app.serve(stopped()).await;
    tracing::info!("stopped");
    Ok(())
}

fn start_log(config: &LogConfig) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|error| format!("log.level {:?}: {error}; try \"info\"", config.level))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// SIGINT or SIGTERM.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => drop(interrupted.await),
    }
}
