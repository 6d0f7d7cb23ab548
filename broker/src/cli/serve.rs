//! `bailiwick serve`: configuration, log, broker, signals.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::arguments::Serve;
use crate::app::App;
use crate::config::{Config, LogConfig, LogFormat, Overrides};

/// Exit code of a process that a signal ended, less the signal, as shells have it.
const SIGNAL_EXIT: i32 = 128;

pub(super) async fn serve(arguments: Serve) -> Result<(), String> {
    let overrides = Overrides { listen: arguments.listen, data: arguments.data };
    let config = Config::load(arguments.config.as_deref(), std::env::vars(), overrides)
        .map_err(|error| error.to_string())?;
    start_log(&config.log)?;
    let open = config.is_open();
    let mut signals = Signals::new()?;
    let app = tokio::select! {
        app = App::start(config) => app.map_err(|error| error.to_string())?,
        _ = signals.next() => return Ok(()),
    };
    tracing::info!(url = app.url, open, "serving");
    if open {
        tracing::warn!("open mode: anyone on this machine may call; add [[principals]] to change that");
    }
    // Scripts and tests that asked for a free port learn it here.
    println!("listening on {}", app.url);
    app.serve(stopped(signals)).await.map_err(|error| error.to_string())?;
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

/// Waits for a signal. From then on another one ends the process at once.
async fn stopped(mut signals: Signals) {
    signals.next().await;
    tracing::info!("shutting down; another signal ends the broker at once");
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::warn!("ended at once by a second signal; what was told is in the store");
        std::process::exit(SIGNAL_EXIT + signal.as_raw_value());
    });
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupts: Signal,
    terminations: Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
        let heard = |kind| signal(kind).map_err(|error| format!("signals cannot be heard: {error}"));
        Ok(Self {
            interrupts: heard(SignalKind::interrupt())?,
            terminations: heard(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupts.recv() => SignalKind::interrupt(),
            _ = self.terminations.recv() => SignalKind::terminate(),
        }
    }
}
