//! What nobody can be below: the least an agent, a proxy and a durable relay can be, on the same HTTP library as the
//! broker. Each is this program again, started with a subcommand, so that it has a process and a core of its own.

mod body;
mod caster;
mod echo;
mod hop;
mod log;
mod patient;
mod relay;
mod serving;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

pub use caster::CAST;
pub use echo::SERVED;
pub use log::scan_time;
pub use patient::GRANTS;

#[derive(Subcommand, Clone, Debug)]
pub enum Floor {
    /// The least agent: answers a message with its own parts.
    Echo {
        listen: SocketAddr,
        /// Say in the card that it streams.
        #[arg(long)]
        streaming: bool,
        /// Answer with a completed task instead of a message.
        #[arg(long)]
        tasks: bool,
    },
    /// The least proxy: passes everything on to an agent.
    Hop { listen: SocketAddr, agent: SocketAddr },
    /// The least durable broker: reads a message, notes it, passes it on, notes the answer.
    Relay {
        listen: SocketAddr,
        agent: SocketAddr,
        log: PathBuf,
        /// Wait for the disk, many records with one fsync.
        #[arg(long)]
        fsync: bool,
        /// Sign something for each message, as whoever hands on authority does.
        #[arg(long)]
        sign: bool,
    },
    /// The least fan-out: one task, whose events go to whoever listens.
    Caster { listen: SocketAddr },
    /// An agent whose tasks stay open for ever.
    Patient { listen: SocketAddr },
    /// So many writers that append to a log, each its next record when the last is durable; prints records a second.
    Log { folder: PathBuf, writers: usize, seconds: f64 },
}

impl Floor {
    /// Runs until it is killed (the log: for its time).
    pub fn run(self) -> Result<()> {
        match self {
            Self::Echo { listen, streaming, tasks } => {
                serving::serve(listen, echo::Echo::new(listen, streaming, tasks))
            }
            Self::Hop { listen, agent } => serving::serve(listen, hop::Hop::new(agent)),
            Self::Relay { listen, agent, log, fsync, sign } => {
                serving::serve(listen, relay::Relay::new(agent, &log, fsync, sign)?)
            }
            Self::Caster { listen } => serving::serve(listen, caster::Caster::new(listen)),
            Self::Patient { listen } => serving::serve(listen, patient::Patient::new(listen)),
            Self::Log { folder, writers, seconds } => log::measure(&folder, writers, seconds),
        }
    }
}
