//! A process that is measured: started on its core, waited for until it answers, its CPU time read, ended with whoever
//! holds it. What it prints goes to a file, whose end is shown when something is wrong.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::os;

/// A Python or Node.js server on a busy machine takes some seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A broker lets open calls end first, for as long as its `server.drain` says.
const END_LIMIT: Duration = Duration::from_secs(15);
/// How much of a log is shown.
const LOG_LINES: usize = 15;

pub struct Process {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Process {
    /// Starts a command that listens at an address, and waits until it does.
    pub fn start(
        mut command: Command,
        address: SocketAddr,
        core: Option<usize>,
        log: PathBuf,
    ) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("{}: cannot be written", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        os::pin(&mut command, core);
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("{} does not start", program.display()))?;
        let mut process = Self { child, address, log };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.child.try_wait()? {
                bail!(
                    "{} ended ({status}) before it listened; it said:\n{}",
                    program.display(),
                    process.last_words()
                );
            }
            if began.elapsed() > START_LIMIT {
                bail!(
                    "{} does not listen on {address} after {START_LIMIT:?}; it said:\n{}",
                    program.display(),
                    process.last_words()
                );
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(process)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn cpu_time(&self) -> Result<Duration> {
        os::cpu_time(self.child.id())
    }

    pub fn resident(&self) -> Result<u64> {
        os::resident(self.child.id())
    }

    /// The end of what it printed.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Ends it as an operator would, and waits until it is gone.
    pub fn stop(mut self) -> Result<()> {
        self.ask_to_end()?;
        self.child.wait()?;
        Ok(())
    }

    fn ask_to_end(&self) -> Result<()> {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().context("kill")?;
        if !status.success() {
            bail!("process {} cannot be told to end", self.child.id());
        }
        Ok(())
    }

    /// Whether it is gone within the limit.
    fn goes_within(&mut self, limit: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < limit {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        false
    }
}

/// Asked first: a program that was built to take a profile writes it when it ends by itself.
impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.ask_to_end().is_err() || !self.goes_within(END_LIMIT) {
            eprintln!("  process {} did not end when asked, and is killed", self.child.id());
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// An address on loopback where nobody listens.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The folder that holds what cargo built, found from where this program is.
pub fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(Path::parent);
    folder.map(Path::to_owned).with_context(|| format!("{} is in no target folder", program.display()))
}
