//! The `bailiwick` binary.

/// Why not the system's: `docs/decisions/0027-the-hot-path.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    broker::cli::run()
}
