//! The broker itself: its own binary, as it is, with a configuration of a few lines.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::machine;
use crate::process::Process;
use crate::stage::Stage;

/// The name under which it has the agent.
pub const AGENT: &str = "echo";
const READY_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The configuration that stands it before one agent.
pub fn before(agent: SocketAddr, fsync: bool) -> String {
    format!(
        "[store]\nfsync = {fsync}\n[log]\nlevel = \"error\"\n[[agents]]\nname = \"{AGENT}\"\nurl = \"http://{agent}\"\n"
    )
}

pub fn command(stage: &Stage, listen: SocketAddr, config: &str, room: &Path) -> Result<Command> {
    let program = &stage.options.broker;
    ensure!(
        program.is_file(),
        "{} is not there: cargo build --release -p broker --bin bailiwick, or say where it is with --broker",
        program.display()
    );
    let mut asking = Command::new(program);
    // A build that takes a profile would count this as load.
    asking.arg("--version").env("LLVM_PROFILE_FILE", "/dev/null");
    let version = machine::said(&mut asking).unwrap_or_default();
    let build = match program.parent().and_then(Path::file_name).and_then(OsStr::to_str) {
        Some("debug") => " (debug build!)",
        Some("profiled") => " (profiled build)",
        _ => "",
    };
    stage.version("bailiwick", format!("{}{build}", version.trim_start_matches("bailiwick ")));
    let file = room.join("bailiwick.toml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(program);
    command
        .args(["serve", "--listen", &listen.to_string(), "--config"])
        .arg(file)
        .arg("--data")
        .arg(room.join("data"));
    Ok(command)
}

/// Waits until it answers a GET with 200. (It serves nobody at an agent before it has read that agent's card.)
pub fn wait_until(process: &Process, path: &str) -> Result<()> {
    let began = Instant::now();
    while status(process.address(), path)? != 200 {
        if began.elapsed() > READY_LIMIT {
            bail!(
                "the broker does not serve {path} after {READY_LIMIT:?}; it said:\n{}",
                process.last_words()
            );
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// The status of a GET.
fn status(address: SocketAddr, path: &str) -> Result<u16> {
    let mut socket = TcpStream::connect(address)?;
    write!(socket, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.with_context(|| format!("{path} was not answered: {answer:.100}"))
}
