//! The `bailiwick` binary.

fn main() -> std::process::ExitCode {
    broker::cli::run()
}
