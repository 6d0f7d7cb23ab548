//! `bailiwick audit`: takes the audit log out of a broker, and judges a log without one.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use broker_core::audit::{Head, Report, Verifier};
use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::client::BrokerClient;
use crate::app;

/// Entries asked for at a time.
const PAGE: usize = 1_000;
/// Begins the line that ends an export.
const HEAD_START: &str = "{\"head\":";

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Write the audit log as JSON lines, one entry a line; the last line is its head.
    #[command(after_help = "Examples:
  bailiwick audit export --out audit.jsonl
  bailiwick audit export --after 12000 | jq 'select(.event.delegation.refused)'
  bailiwick audit export --data ./bailiwick-data     from a data directory no broker has open")]
    Export {
        /// Only entries after this number.
        #[arg(long, value_name = "N", default_value_t = 0)]
        after: u64,
        /// Write to this file instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Read a data directory instead of asking a running broker.
        #[arg(long, value_name = "DIRECTORY")]
        data: Option<PathBuf>,
    },
    /// Judge an exported log: whole, in order, unchanged, and every decision made again to the same verdict.
    ///
    /// Exit code: 0 it is in order, 1 it is not, 2 it could not be read. That nothing was cut off its end, and that it
    /// was not written anew from the start, only a head that was kept elsewhere can show: note the one printed, and
    /// name it with --head next time.
    #[command(after_help = "Examples:
  bailiwick audit verify audit.jsonl
  bailiwick audit verify audit.jsonl --head 12000:9f86d0…
  bailiwick audit export | bailiwick audit verify -")]
    Verify {
        /// The export; `-` reads standard input.
        file: PathBuf,
        /// A head noted earlier; it must still be in the log.
        #[arg(long, value_name = "N:HASH")]
        head: Option<Head>,
        /// The log begins after this entry, as written by `export --after N`.
        #[arg(long, value_name = "N:HASH")]
        after: Option<Head>,
    },
}

/// Writes the log to a file or to standard output.
pub(super) async fn export(
    broker: &BrokerClient,
    after: u64,
    out: Option<&Path>,
    data: Option<&Path>,
) -> Result<(), String> {
    let unwritable = |error: std::io::Error| match out {
        Some(path) => format!("{}: {error}", path.display()),
        None => format!("standard output: {error}"),
    };
    let mut to: Box<dyn Write> = match out {
        Some(path) => Box::new(BufWriter::new(File::create(path).map_err(unwritable)?)),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    match data {
        Some(data) => from_store(data, after, &mut to, &unwritable).await?,
        None => from_broker(broker, after, &mut to, &unwritable).await?,
    }
    to.flush().map_err(unwritable)
}

async fn from_broker(
    broker: &BrokerClient,
    mut after: u64,
    to: &mut dyn Write,
    unwritable: &impl Fn(std::io::Error) -> String,
) -> Result<(), String> {
    loop {
        let path = format!("/api/v1/audit?after={after}&limit={PAGE}");
        let page = broker.api_text(Method::GET, &path).await?;
        to.write_all(page.as_bytes()).map_err(unwritable)?;
        if page.lines().last().is_some_and(|line| line.starts_with(HEAD_START)) {
            return Ok(());
        }
        after += page.lines().count() as u64;
    }
}

async fn from_store(
    data: &Path,
    mut after: u64,
    to: &mut dyn Write,
    unwritable: &impl Fn(std::io::Error) -> String,
) -> Result<(), String> {
    let store = app::open_store(data)?;
    loop {
        let lines = store.audit_log(after, PAGE).await.map_err(|failure| failure.to_string())?;
        for line in &lines {
            to.write_all(line).and_then(|()| to.write_all(b"\n")).map_err(unwritable)?;
        }
        if lines.is_empty() {
            break;
        }
        after += lines.len() as u64;
    }
    let head = store.audit_head().await.map_err(|failure| failure.to_string())?;
    writeln!(to, "{}", head.line()).map_err(unwritable)
}

/// What judging a log came to.
pub(super) struct Verified {
    pub(super) is_good: bool,
    pub(super) text: String,
    pub(super) json: serde_json::Value,
}

/// Judges a log.
pub(super) fn verify(file: &Path, head: Option<Head>, after: Option<Head>) -> Result<Verified, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut lines: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(file).map_err(unreadable)?))
    };
    let mut verifier = Verifier::after(after.unwrap_or_default());
    if let Some(head) = head {
        verifier = verifier.knowing(head);
    }
    let mut line = Vec::new();
    let judged = loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break verifier.finish();
        }
        if let Err(fault) = verifier.line(&line) {
            break Err(fault);
        }
    };
    Ok(match judged {
        Ok(report) => in_order(&report),
        Err(fault) => Verified {
            is_good: false,
            text: format!("NOT in order: {fault}"),
            json: json!({ "ok": false, "entry": fault.entry, "line": fault.line,
                          "problem": fault.problem.to_string() }),
        },
    })
}

fn in_order(report: &Report) -> Verified {
    let Report { entries, allowed, denied, unread, head } = report;
    let passed_over = match unread {
        0 => String::new(),
        unread => {
            format!("; {unread} hold something this build does not know and were only checked as bytes")
        }
    };
    Verified {
        is_good: true,
        text: format!(
            "in order: {entries} entries; {} decisions made again to the same verdict ({allowed} allowed, {denied} \
             denied){passed_over}\nhead {head}",
            allowed + denied
        ),
        json: json!({ "ok": true, "entries": entries, "allowed": allowed, "denied": denied, "unread": unread,
                      "head": head.to_string() }),
    }
}
