//! `bailiwick serve`: configuration, log, broker, signals.

mod reload;

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::Layer;
use tracing_subscriber::util::SubscriberInitExt;

use self::reload::Watched;
use super::arguments::Serve;
use crate::app::{App, fingerprint};
use crate::config::{Config, LogConfig, LogFormat, Overrides};

/// Exit code of a process that a signal ended, less the signal, as shells have it.
const SIGNAL_EXIT: i32 = 128;

/// Where the configuration comes from.
struct Origin {
    file: Option<PathBuf>,
    overrides: Overrides,
}

impl Origin {
    fn of(arguments: Serve) -> Self {
        let overrides = Overrides { listen: arguments.listen, data: arguments.data };
        Self { file: arguments.config, overrides }
    }

    /// The configuration, and where it comes from; not judged yet.
    fn read(&self) -> Result<(String, Config), String> {
        Config::read(self.file.as_deref(), std::env::vars(), self.overrides.clone())
            .map_err(|error| error.to_string())
    }
}

pub(super) async fn serve(arguments: Serve) -> Result<(), String> {
    let origin = Origin::of(arguments);
    // Before they are read: what changes meanwhile is another one then.
    let mut seen = fingerprint(&origin.file);
    let (name, config) = origin.read()?;
    let files = config.files();
    seen.extend(fingerprint(&files));
    config.check(&name).map_err(|error| error.to_string())?;
    let log = start_log(&config.log)?;
    let (open, watch) = (config.is_open(), config.server.watch.0);
    let mut signals = Signals::new()?;
    // From now on: it is no reason to end while the broker starts.
    let hangups = heard(SignalKind::hangup())?;
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
    tokio::spawn(reload::run(app.reloading(), origin, Watched { files, seen }, (hangups, watch), log));
    app.serve(stopped(signals)).await.map_err(|error| error.to_string())?;
    tracing::info!("stopped");
    Ok(())
}

/// Sets another filter for the log.
type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

fn start_log(config: &LogConfig) -> Result<SetFilter, String> {
    let (filter, handle) = Layer::new(filter(config)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = tracing_subscriber::registry().with(filter);
    match config.format {
        LogFormat::Text => log.with(lines.with_ansi(false)).init(),
        LogFormat::Json => log.with(lines.json()).init(),
    }
    Ok(Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string())))
}

fn filter(config: &LogConfig) -> Result<EnvFilter, String> {
    EnvFilter::try_new(&config.level)
        .map_err(|error| format!("log.level {:?}: {error}; try \"info\"", config.level))
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

fn heard(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("signals cannot be heard: {error}"))
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupts: Signal,
    terminations: Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
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
