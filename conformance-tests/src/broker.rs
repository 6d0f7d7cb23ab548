//! A broker as a process, killed and started again at will.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use private_postgres::{Server, lasting_port};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::build::binary;
use crate::process::Process;
use crate::wire;

/// A running broker with a data directory and an address of its own.
pub struct Broker {
    process: Process,
    address: String,
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// Sets how much is logged; where a test sets it, the log is kept.
const LOG_LEVEL: &str = "BAILIWICK_LOG_LEVEL";
/// Where a broker's store is.
const STORE_URL: &str = "BAILIWICK_STORE_URL";
/// Which engine the brokers of all tests have: `postgres`, or else the embedded one.
const TEST_STORE: &str = "BAILIWICK_TEST_STORE";
const LOG_FILE: &str = "log.txt";
const CONFIG_FILE: &str = "bailiwick.toml";
/// What a configuration has that names a database of its own.
const NAMES_DATABASE: &str = "url = \"postgres://";

impl Broker {
    /// Starts a broker with a configuration (TOML; the address and the data directory are set for it).
    pub fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    /// The same with variables in its environment.
    pub fn start_with(config: &str, env: &[(&str, &str)]) -> Self {
        Self::start_in(config, env, |_| ())
    }

    /// The same on a data directory that is filled first.
    pub fn start_on(config: &str, fill: impl FnOnce(&Path)) -> Self {
        Self::start_in(config, &[], |data| {
            std::fs::create_dir(data).expect("a data directory");
            fill(data);
        })
    }

    fn start_in(config: &str, env: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        let mut env: Vec<_> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if !config.contains(NAMES_DATABASE) {
            env.extend(database().map(|url| (STORE_URL.to_owned(), url)));
        }
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join(CONFIG_FILE), config).expect("the configuration is written");
        prepare(&folder.path().join("data"));
        let address = format!("127.0.0.1:{}", lasting_port().expect("a port"));
        let process = Self::launch(&folder, &address, &env);
        Self { process, address, folder, env }
    }

    fn launch(folder: &TempDir, address: &str, env: &[(String, String)]) -> Process {
        let mut command = Command::new(binary("bailiwick"));
        command
            .arg("serve")
            .args(["--listen", address])
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg("--config")
            .arg(folder.path().join(CONFIG_FILE))
            .env(LOG_LEVEL, "error")
            .envs(env.iter().cloned());
        if env.iter().any(|(name, _)| name == LOG_LEVEL) {
            let log = File::options().create(true).append(true).open(folder.path().join(LOG_FILE));
            command.stderr(log.expect("a file for the log"));
        }
        Process::start(command)
    }

    /// Base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// An agent's address at the broker.
    pub fn agent_url(&self, name: &str) -> String {
        format!("{}/agents/{name}", self.url())
    }

    /// Everything it wrote into its data directory, and its database.
    pub fn stored(&self) -> Vec<u8> {
        let database = self.env.iter().find(|(name, _)| name == STORE_URL);
        let (mut folders, mut bytes) = (vec![self.folder.path().join("data")], Vec::new());
        bytes.extend(database.map(|(_, url)| documents_of(url)).unwrap_or_default());
        while let Some(folder) = folders.pop() {
            // Where it has a database there may be none.
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    bytes.extend(std::fs::read(path).unwrap_or_default());
                }
            }
        }
        bytes
    }

    /// What it logged, if the test set `BAILIWICK_LOG_LEVEL`.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(LOG_FILE)).expect("a log that was asked for")
    }

    /// The process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL, then the same broker again.
    pub fn crash(&mut self) {
        self.process.kill();
        self.process = Self::launch(&self.folder, &self.address, &self.env);
    }

    /// SIGTERM: asks it to end in good order.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Writes another configuration, at once as a whole.
    pub fn configure(&self, config: &str) {
        let next = self.folder.path().join("next.toml");
        std::fs::write(&next, config).expect("the configuration is written");
        std::fs::rename(next, self.folder.path().join(CONFIG_FILE)).expect("the configuration is replaced");
    }

    /// SIGSTOP: it does nothing any more, and does not know it.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// SIGCONT: it goes on as if nothing had been.
    pub fn unpause(&self) {
        self.process.unpause();
    }

    /// SIGHUP: asks it to read its configuration again.
    pub fn hang_up(&self) {
        self.process.hang_up();
    }

    /// Waits until it has ended by itself; its exit code, none if a signal ended it.
    pub async fn ended(&mut self) -> Option<i32> {
        self.process.ended().await
    }

    /// The same broker again, after it has ended.
    pub fn restart(&mut self) {
        self.process = Self::launch(&self.folder, &self.address, &self.env);
    }

    /// Memory it has in use.
    pub fn resident_kilobytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process_id()));
        let status = status.expect("a system with /proc, and the broker running");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("its resident size");
        line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number")
    }

    /// Whether it has died by itself.
    pub fn is_dead(&mut self) -> bool {
        self.process.is_over()
    }

    /// The same broker again, dead or alive, with other variables in its environment.
    pub fn start_again_with(&mut self, env: &[(String, String)]) {
        self.env = env.to_vec();
        self.crash();
    }

    /// Registers an agent.
    pub async fn add_agent(&self, name: &str, url: &str, caps: &[&str]) {
        let body = json!({ "name": name, "url": url, "caps": caps });
        let answer = wire::post(&format!("{}/api/v1/agents", self.url()), &body, None).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }

    /// Calls an operation over JSON-RPC; the whole response.
    pub async fn rpc(&self, path: &str, method: &str, params: Value) -> Value {
        self.rpc_as(None, path, method, params).await
    }

    /// The same, with a credential.
    pub async fn rpc_as(&self, key: Option<&str>, path: &str, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        wire::post(&format!("{}{path}", self.url()), &body, key).await.json()
    }

    /// How many callers wait for their answer or hear a stream, by the broker's word.
    pub async fn callers(&self) -> u64 {
        let quotas = wire::get(&format!("{}/api/v1/quotas", self.url())).await.json();
        let all = quotas["quotas"].as_array().unwrap_or_else(|| panic!("quotas: {quotas}"));
        all.iter().filter_map(|quota| quota["bounds"]["calls_at_once"]["used"].as_u64()).sum()
    }

    /// Runs a command of the command line against this broker.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("bailiwick"));
        command.args(["--broker", &self.url()]).args(arguments).output().expect("the command runs")
    }

    /// SIGKILL, and nothing after it: the data directory it leaves behind.
    pub fn end(&mut self) -> PathBuf {
        self.process.kill();
        self.folder.path().join("data")
    }

    /// The tree below a task.
    pub async fn tree(&self, task: &str) -> Vec<Value> {
        let answer = wire::get(&format!("{}/api/v1/tasks/{task}/tree", self.url())).await;
        answer.json()["tasks"].as_array().cloned().unwrap_or_default()
    }
}

/// A database of its own, where the tests are run on PostgreSQL.
fn database() -> Option<String> {
    is_on_postgres().then(|| server().database().expect("a new database"))
}

fn server() -> &'static Server {
    Server::shared().unwrap_or_else(|missing| panic!("{TEST_STORE}=postgres: {missing}"))
}

/// All that is kept as a document there, as text as far as it is one.
fn documents_of(url: &str) -> Vec<u8> {
    let kept = [("record", "journal"), ("document", "agents"), ("document", "documents"), ("line", "audit")];
    let ask = |(column, table)| server().run(url, &format!("SELECT encode({column}, 'escape') FROM {table}"));
    let texts = kept.into_iter().map(|kept| ask(kept).expect("its tables are there to be read"));
    texts.collect::<String>().into_bytes()
}

fn is_on_postgres() -> bool {
    std::env::var(TEST_STORE).is_ok_and(|store| store == "postgres")
}

/// Whether the brokers of all tests have the embedded store; said aloud if something is left out because they have not.
pub fn is_embedded(what: &str) -> bool {
    if is_on_postgres() {
        eprintln!("skipped on PostgreSQL: {what}");
    }
    !is_on_postgres()
}

/// The command `bailiwick` with arguments.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("bailiwick"));
    command.args(arguments);
    command
}

/// The command `bailiwick demo`.
pub fn demonstration() -> Command {
    command(&["demo"])
}

/// The digest of an API key as the configuration has it (`key_sha256`).
pub fn key_digest(key: &str) -> String {
    format!("{:x}", Sha256::digest(key))
}
