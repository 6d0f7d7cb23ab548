//! The command line: `bailiwick serve` runs a broker, everything else talks to one that runs.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line is for")]

mod arguments;
mod audit;
mod backup;
mod cap;
pub(crate) mod client;
mod commands;
mod grant;
mod http;
mod key;
pub(crate) mod print;
mod push;
mod quota;
mod select;
mod serve;

use std::process::ExitCode;

use clap::Parser;

pub use self::arguments::Arguments;

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime cannot start: {error}")),
    };
    match runtime.block_on(commands::execute(arguments)) {
        Ok(code) => code,
        Err(problem) => fail(&problem),
    }
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("bailiwick: {problem}");
    ExitCode::FAILURE
}

/// The answer to a yes-or-no question as an exit code, as `grep` has it: yes, no, or trouble.
fn judged(answer: Result<bool, String>) -> ExitCode {
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(problem) => {
            eprintln!("bailiwick: {problem}");
            ExitCode::from(2)
        }
    }
}
