//! What can be asked on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::audit::AuditCommand;
use super::backup::{Backup, Restore};
use super::cap::CapCommand;
use super::push::PushCommand;
use super::select::{Advise, Select};

/// An A2A delegation broker: carries tasks between agents, keeps the tree they grow into, and lets no agent act
/// outside its bailiwick.
#[derive(Debug, Parser)]
#[command(
    name = "bailiwick",
    version,
    after_help = "Examples:
  bailiwick demo                                    see a delegation tree grow, in under a minute
  bailiwick serve                                   run a broker on 127.0.0.1:8420
  bailiwick agent add researcher http://127.0.0.1:9001 --cap 'a2a:skill/summarizer/*'
  bailiwick send --agent researcher 'What is new?'
  bailiwick task tree 0190…                         who works for whom, within which scope"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// How to talk to the broker.
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Print JSON and nothing else.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Connection {
    /// Base URL of the running broker.
    #[arg(
        long,
        global = true,
        env = "BAILIWICK_BROKER",
        default_value = "http://127.0.0.1:8420",
        value_name = "URL"
    )]
    pub(super) broker: String,
    /// API key.
    #[arg(long, global = true, env = "BAILIWICK_KEY", hide_env_values = true, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// Certificates in PEM to believe beside the machine's own, where a URL is https.
    #[arg(long, global = true, env = "BAILIWICK_CA_FILE", value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a broker until it is told to stop (SIGINT, SIGTERM).
    #[command(after_help = "Examples:
  bailiwick serve
  bailiwick serve --listen 127.0.0.1:9000 --data /var/lib/bailiwick
  bailiwick serve --config bailiwick.toml")]
    Serve(Serve),
    /// Start a broker and a few agents, watch them delegate, and stop again.
    #[command(after_help = "Examples:
  bailiwick demo
  bailiwick demo --stay      leave everything running to try commands on")]
    Demo {
        /// Keep everything running until interrupted.
        #[arg(long)]
        stay: bool,
    },
    /// Register and look up agents.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Send a message to an agent and wait for the answer.
    #[command(after_help = "Examples:
  bailiwick send --agent researcher 'What is new?'
  echo 'a long text' | bailiwick send --agent summarizer --stream -
  bailiwick send --agent researcher --no-wait 'Take your time'")]
    Send(Send),
    /// Say which agent a request is for, and how sure that is; begins nothing.
    #[command(after_help = "Examples:
  bailiwick select 'Will it rain tomorrow in Paris?'
  bailiwick select --explain 'Translate this letter into French'
  bailiwick select --eval ../sets --outcomes          measure the ranker on labelled sets; asks no broker
  bailiwick select --eval ../sets --tier minilm --model minilm.onnx --json")]
    Select(Select),
    /// Say whether an agent should go on, think again, or delegate, from the next steps it has sampled.
    #[command(after_help = "Example:
  bailiwick advise --goal 'Plan the trip' -- 'Look up trains to Oslo' '-0.4=Book a hotel in Bergen'")]
    Advise(Advise),
    /// Read and steer tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Make API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Work out what capabilities come to: meet, order, decision. Asks no broker.
    #[command(subcommand)]
    Cap(CapCommand),
    /// Export the audit log, and judge an exported one.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look at grants, verify them, and look after the keys that sign them.
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Look after the keys that sign the cards the broker serves.
    #[command(subcommand)]
    Card(CardCommand),
    /// Look at push notifications that could not be delivered, and send them after all.
    #[command(subcommand)]
    Push(PushCommand),
    /// Show who may use how much, and how much of it is gone.
    #[command(after_help = "Examples:\n  bailiwick quota\n  bailiwick quota --json")]
    Quota,
    /// Write all that a broker keeps into a file, while it works.
    #[command(after_help = "Examples:
  bailiwick backup bailiwick-2026-11-26.backup
  bailiwick backup --data /var/lib/bailiwick stopped.backup")]
    Backup(Backup),
    /// Make a data directory from a backup.
    #[command(after_help = "Example:
  bailiwick restore bailiwick-2026-11-26.backup --data /var/lib/bailiwick")]
    Restore(Restore),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:
  bailiwick completions bash > /usr/share/bash-completion/completions/bailiwick")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages.
    #[command(after_help = "Example:
  bailiwick manual /usr/local/share/man/man1")]
    Manual {
        /// The folder for them.
        folder: PathBuf,
    },
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the OpenAPI document of the operator API. Asks no broker.
    Openapi,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<SocketAddr>,
    /// Data directory.
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Register an agent, or replace its registration.
    #[command(after_help = "Examples:
  bailiwick agent add researcher http://127.0.0.1:9001 --cap 'a2a:skill/summarizer/*' --cap mcp:tool/search
  bailiwick agent add archive https://archive.example --auth '{ bearer = { env = \"BAILIWICK_AGENT_ARCHIVE\" } }'")]
    Add {
        /// `[a-z0-9][a-z0-9-]{0,62}`.
        name: String,
        /// Base URL of the agent, or the URL of its card.
        url: String,
        /// Something it may do with a task; without any, it can be called but can pass nothing on.
        #[arg(long = "cap", value_name = "CAPABILITY")]
        caps: Vec<String>,
        /// How the broker proves itself to it, as `auth` of [[agents]]; names secrets, never holds one.
        #[arg(long, value_name = "TOML")]
        auth: Option<String>,
        /// File of its public key (JWK); its grants are then bound to that key (DPoP).
        #[arg(long, value_name = "FILE")]
        jwk: Option<PathBuf>,
        /// File of a public key (JWK, or a JWKS) of which one must have signed its card; a card by no such key is refused.
        #[arg(long = "card-key", value_name = "FILE")]
        card_keys: Vec<PathBuf>,
        /// Most tasks it works on at a time; further ones wait in order.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        max_concurrent: Option<u32>,
        /// What is known about trying its tasks again, as `retry` of [[agents]].
        #[arg(long, value_name = "TOML")]
        retry: Option<String>,
        /// The broker of [[brokers]] that it is an agent of.
        #[arg(long, value_name = "NAME")]
        of_broker: Option<String>,
    },
    /// List the agents.
    #[command(after_help = "Example:\n  bailiwick agent list --json")]
    List,
    /// Show an agent.
    #[command(after_help = "Example:\n  bailiwick agent show researcher")]
    Show {
        /// Its name.
        name: String,
    },
    /// Use the card of an agent that waits because it claims more than the one in use.
    #[command(after_help = "Examples:
  bailiwick agent show researcher                      what is new in it
  bailiwick agent accept researcher
  bailiwick agent accept researcher --card 9f86d0…     only the card that was looked at")]
    Accept {
        /// Its name.
        name: String,
        /// SHA-256 of the card that was looked at, as `agent show` prints it; any other is not accepted.
        #[arg(long, value_name = "SHA256")]
        card: Option<String>,
    },
    /// Send an agent one real, cheap message and say what it answers. Exit code 1 if it does not.
    #[command(after_help = "Examples:
  bailiwick agent probe researcher
  bailiwick agent probe researcher --message 'Are you there?'")]
    Probe {
        /// Its name.
        name: String,
        /// What to say instead of the configured message.
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Forget an agent. Its tasks go on.
    #[command(after_help = "Example:\n  bailiwick agent remove researcher")]
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Send {
    /// The message; `-` reads it from standard input.
    pub(super) text: String,
    /// The agent; may be left out where there is only one.
    #[arg(long)]
    pub(super) agent: Option<String>,
    /// The skill meant.
    #[arg(long)]
    pub(super) skill: Option<String>,
    /// Continue this task instead of beginning one.
    #[arg(long, value_name = "ID")]
    pub(super) task: Option<String>,
    /// Print events as they come.
    #[arg(long, conflicts_with = "no_wait")]
    pub(super) stream: bool,
    /// Return as soon as the task exists.
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// Show a task.
    #[command(after_help = "Example:\n  bailiwick task get 0190…")]
    Get {
        /// The task.
        id: String,
    },
    /// List tasks, newest first.
    #[command(
        after_help = "Examples:\n  bailiwick task list\n  bailiwick task list --agent researcher --state TASK_STATE_WORKING"
    )]
    List {
        /// Only this agent's.
        #[arg(long)]
        agent: Option<String>,
        /// Only those in this state.
        #[arg(long)]
        state: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Draw the tree below a task.
    #[command(after_help = "Examples:
  bailiwick task tree            the newest tree
  bailiwick task tree 0190…")]
    Tree {
        /// The task; without one, the task that was begun last.
        id: Option<String>,
    },
    /// Print a task's events as they come, until it is over.
    #[command(after_help = "Example:\n  bailiwick task watch 0190…")]
    Watch {
        /// The task.
        id: String,
    },
    /// List the tasks that wait because something they need was not granted.
    #[command(after_help = "Example:\n  bailiwick task approvals")]
    Approvals,
    /// Grant what a task waits for.
    #[command(after_help = "Example:\n  bailiwick task approve 0190…")]
    Approve {
        /// The task.
        id: String,
    },
    /// Deny what a task waits for: it is rejected.
    #[command(after_help = "Example:\n  bailiwick task deny 0190…")]
    Deny {
        /// The task.
        id: String,
    },
    /// Decide about a task whose outcome nobody knows.
    #[command(after_help = "Examples:
  bailiwick task resolve 0190… --by ask       ask the agent once more
  bailiwick task resolve 0190… --by retry     it was not done, or doing it twice is harmless: send it again
  bailiwick task resolve 0190… --by fail      let it fail")]
    Resolve {
        /// The task.
        id: String,
        /// What to do.
        #[arg(long, value_enum)]
        by: ResolveBy,
    },
    /// Cancel a task and everything below it.
    #[command(after_help = "Example:\n  bailiwick task cancel 0190…")]
    Cancel {
        /// The task.
        id: String,
    },
}

/// What to do about a task whose outcome nobody knows.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ResolveBy {
    Ask,
    Retry,
    Fail,
}

impl ResolveBy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Retry => "retry",
            Self::Fail => "fail",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make an API key: shown once, kept nowhere; the configuration gets its digest.
    #[command(after_help = "Example:\n  bailiwick key new")]
    New,
}

#[derive(Debug, Subcommand)]
pub(super) enum GrantCommand {
    /// Show what a grant says, without verifying anything.
    #[command(after_help = "Example:\n  bailiwick grant inspect eyJhbGciOi…")]
    Inspect {
        /// The grant.
        token: String,
    },
    /// Verify a grant as a tool would: signature, issuer, audience, times.
    #[command(after_help = "Examples:
  bailiwick grant verify eyJhbGciOi… --jwks http://127.0.0.1:8420/.well-known/jwks.json \\
      --issuer http://127.0.0.1:8420 --audience http://127.0.0.1:9100
  bailiwick grant verify eyJhbGciOi… --jwks keys.json --issuer https://broker.example --audience https://broker.example")]
    Verify {
        /// The grant.
        token: String,
        /// URL or file of the key set.
        #[arg(long, value_name = "URL|FILE")]
        jwks: String,
        /// Who it must be for: the tool's URL, or the broker's.
        #[arg(long, value_name = "URL")]
        audience: String,
        /// Who it must be from: the broker's public URL.
        #[arg(long, value_name = "URL")]
        issuer: String,
    },
    /// Publish the next signing key; it signs ten minutes later, when everybody knows it.
    #[command(after_help = "Examples:
  bailiwick grant rotate
  bailiwick grant rotate --compromised     others know the key: every grant signed so far is dead")]
    Rotate {
        /// The next key signs at once, and grants signed before no longer count.
        #[arg(long)]
        compromised: bool,
    },
    /// Kill the grants of a task and of everything below it; what was begun goes on.
    #[command(after_help = "Example:\n  bailiwick grant revoke 0190…")]
    Revoke {
        /// The task.
        task: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CardCommand {
    /// Publish the next signing key; it signs ten minutes later, when everybody knows it.
    #[command(after_help = "Examples:
  bailiwick card rotate
  bailiwick card rotate --compromised     others know the key: cards signed so far verify no more")]
    Rotate {
        /// The next key signs at once, and the old ones are withdrawn.
        #[arg(long)]
        compromised: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether a configuration is good, and if not, what is wrong where.
    #[command(after_help = "Example:\n  bailiwick config check --config bailiwick.toml")]
    Check {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the configuration in effect, or the commented defaults.
    #[command(
        after_help = "Examples:\n  bailiwick config print --config bailiwick.toml\n  bailiwick config print --defaults > bailiwick.toml"
    )]
    Print {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print the commented defaults instead.
        #[arg(long)]
        defaults: bool,
    },
}
