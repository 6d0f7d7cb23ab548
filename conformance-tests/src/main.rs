//! `conformance-tests --url …`: judges an A2A server and says what was found.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line says what it finds")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use conformance_tests::suite::binding::Kind;
use conformance_tests::suite::server::Subject;
use conformance_tests::suite::{self, Order};

const EXAMPLES: &str = "\
Examples:
  conformance-tests --url https://agent.example.com
      every binding the card declares, everything that can be seen without credentials
  conformance-tests --url http://127.0.0.1:9100 --scripted
      an agent that follows scripts (conformance-tests/agents/scripted.py --all): most can be seen
  CONFORMANCE_TOKEN=… CONFORMANCE_OTHER_TOKEN=… conformance-tests --url https://agent.example.com
      as one caller, and what another must not see
  conformance-tests --url https://agent.example.com --binding grpc --only 10.
      section 10 of the specification alone
  conformance-tests --url https://agent.example.com --format junit --out report.xml
      for continuous integration

Exit code:
  0  no MUST failed; a SHOULD that is not met is reported, and fails nothing
  1  at least one MUST failed
  2  the server could not be judged: no card, no interface of A2A 1.x to speak to, or wrong arguments";

/// Judges an A2A server at a URL by the A2A specification, from outside.
///
/// Each requirement passes, fails or is skipped: what could not be seen (no credentials, a capability the card does not
/// declare) is skipped, and says why. It makes tasks at the server, and sends malformed and oversized requests.
#[derive(Parser)]
#[command(name = "conformance-tests", after_help = EXAMPLES)]
struct Arguments {
    /// The server's URL, or its card's: https://host, or https://host/agents/name.
    #[arg(long)]
    url: String,
    /// The binding to judge, of those the card declares.
    #[arg(long, value_enum, default_value = "all")]
    binding: Choice,
    /// A bearer token to call with.
    #[arg(long, env = "CONFORMANCE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The token of somebody else, who must see nothing of the first one's tasks.
    #[arg(long, env = "CONFORMANCE_OTHER_TOKEN", hide_env_values = true)]
    other_token: Option<String>,
    /// The agent does what messages tell it: their text is a script, as `agents/scripted.py` describes, and it can
    /// reach this machine. More can be judged then.
    #[arg(long)]
    scripted: bool,
    /// How to say what was found.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Only requirements whose id begins so (3.1.2), or checks whose name does.
    #[arg(long, default_value = "")]
    only: String,
    /// The file to write to instead of standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    #[value(name = "jsonrpc")]
    JsonRpc,
    #[value(name = "http+json")]
    HttpJson,
    #[value(name = "grpc")]
    Grpc,
    All,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    Junit,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match judged(&arguments).await {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("could not judge: {why}");
            ExitCode::from(2)
        }
    }
}

async fn judged(arguments: &Arguments) -> Result<u8, String> {
    let kinds = match arguments.binding {
        Choice::JsonRpc => vec![Kind::JsonRpc],
        Choice::HttpJson => vec![Kind::HttpJson],
        Choice::Grpc => vec![Kind::Grpc],
        Choice::All => Kind::ALL.to_vec(),
    };
    let subject = Subject {
        url: arguments.url.clone(),
        token: arguments.token.clone(),
        other_token: arguments.other_token.clone(),
        scripted: arguments.scripted,
    };
    let report = suite::judge(Order { subject, kinds, only: arguments.only.clone() }).await?;
    let written = match arguments.format {
        Format::Text => report.text(),
        Format::Json => report.json(),
        Format::Junit => report.junit(),
    };
    match &arguments.out {
        Some(path) => {
            std::fs::write(path, written).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        None => print!("{written}"),
    }
    Ok(report.exit_code())
}
