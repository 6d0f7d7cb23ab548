//! A PostgreSQL server of a test's own, from the machine's package: its data in a temporary folder, on a free port, gone with
//! the process that started it, however that ends.

mod port;

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use port::lasting_port;

/// Where Debian's packages put a version's programs.
const PACKAGES: &str = "/usr/lib/postgresql";
/// Who may run a server; root may not.
const ACCOUNT: &str = "postgres";
/// Whom its databases belong to.
const OWNER: &str = "bailiwick";
/// Longest wait for it to answer.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);
/// Ports that are tried: between its being free and its being taken somebody else may take one.
const TRIES: usize = 5;
/// Ends the server, and removes what it leaves, when whoever holds the other end of its input is gone.
const KEEPER: &str = r#"folder=$1; shift; "$@" & server=$!; read -r word; kill -INT "$server" 2>/dev/null
wait "$server"; [ "$word" = stay ] || rm -rf "$folder""#;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    fsync: Fsync,
    keeper: Child,
}

/// Whether what is told to be durable has to outlive the machine, or only the server.
#[derive(Debug, Clone, Copy)]
enum Fsync {
    On,
    Off,
}

/// The account that runs it, if this process is root's.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Server {
    /// The server that all tests of a process share, or why the machine has none.
    pub fn shared() -> Result<&'static Self, &'static str> {
        static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref().map_err(String::as_str)
    }

    /// Makes a server and waits until it answers; or why the machine cannot. It does not wait for the disk.
    pub fn start() -> Result<Self, String> {
        Self::make(&std::env::temp_dir(), Fsync::Off)
    }

    /// One that does, with its data below a folder.
    pub fn start_durable(below: &Path) -> Result<Self, String> {
        Self::make(below, Fsync::On)
    }

    fn make(below: &Path, fsync: Fsync) -> Result<Self, String> {
        let programs = programs().ok_or("PostgreSQL is not installed (apt-get install postgresql)")?;
        let account = account()?;
        let folder = tempfile::Builder::new().prefix("bailiwick-postgres-").tempdir_in(below);
        let folder = folder.map_err(|error| error.to_string())?.keep();
        if let Some(Account { uid, gid }) = account {
            chown(&folder, Some(uid), Some(gid)).map_err(|error| error.to_string())?;
        }
        let data = folder.join("data");
        let mut made = Command::new(programs.join("initdb"));
        made.args([
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--username",
            OWNER,
            "--pgdata",
        ]);
        run(as_account(made.arg(&data).current_dir(&folder), account))?;
        let mut problem = String::new();
        for _ in 0..TRIES {
            match Self::serve(&programs, &folder, fsync, account) {
                Ok(server) => return Ok(server),
                Err(failure) => problem = failure,
            }
        }
        Err(problem)
    }

    fn serve(programs: &Path, folder: &Path, fsync: Fsync, account: Option<Account>) -> Result<Self, String> {
        let port = lasting_port()?;
        let keeper = keep(programs, folder, (port, fsync), account).map_err(|error| error.to_string())?;
        let mut server =
            Self { programs: programs.to_owned(), folder: folder.to_owned(), port, fsync, keeper };
        server.until_ready()?;
        Ok(server)
    }

    fn until_ready(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while !self.answers() {
            if let Ok(Some(status)) = self.keeper.try_wait() {
                return Err(format!("the server ended at once: {status}"));
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("the server did not answer within {} s", PATIENCE.as_secs()));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let asked = self.client("pg_isready").args(["--quiet", "--timeout=1"]).status();
        asked.is_ok_and(|status| status.success())
    }

    fn client(&self, program: &str) -> Command {
        let mut client = Command::new(self.programs.join(program));
        client.args(["--host=127.0.0.1", &format!("--port={}", self.port), &format!("--username={OWNER}")]);
        client.stdin(Stdio::null());
        client
    }

    /// A new, empty database; its URL.
    pub fn database(&self) -> Result<String, String> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("d{}", MADE.fetch_add(1, Ordering::Relaxed));
        run(self.client("createdb").arg(&name))?;
        Ok(self.url(&name))
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process that all its others come from.
    pub fn process_id(&self) -> Result<String, String> {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid"));
        let file = file.map_err(|error| error.to_string())?;
        Ok(file.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// Runs statements in the database of a URL; what they print, one row a line.
    pub fn run(&self, url: &str, statements: &str) -> Result<String, String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command"]);
        run(psql.arg(statements).arg(url).stdin(Stdio::null()))
    }

    /// Ends it at once, as if it had crashed, and starts it again at the same port: it recovers by its log.
    pub fn crash_and_restart(&mut self) -> Result<(), String> {
        run(Command::new("kill").args(["-QUIT", &self.process_id()?]))?;
        if let Some(mut input) = self.keeper.stdin.take() {
            io::Write::write_all(&mut input, b"stay\n").map_err(|error| error.to_string())?;
        }
        self.keeper.wait().map_err(|error| error.to_string())?;
        let keeper = keep(&self.programs, &self.folder, (self.port, self.fsync), account()?);
        self.keeper = keeper.map_err(|error| error.to_string())?;
        self.until_ready()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It is gone, or was never there.
        let _ = self.keeper.wait();
    }
}

/// Starts the server, and beside it who ends it.
fn keep(
    programs: &Path,
    folder: &Path,
    (port, fsync): (u16, Fsync),
    account: Option<Account>,
) -> io::Result<Child> {
    let mut keeper = Command::new("/bin/sh");
    keeper.args(["-c", KEEPER, "keeper"]).arg(folder).arg(programs.join("postgres"));
    keeper.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    let fsync = match fsync {
        Fsync::On => "fsync=on",
        Fsync::Off => "fsync=off",
    };
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", fsync, "max_connections=200"] {
        keeper.args(["-c", setting]);
    }
    keeper.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    as_account(&mut keeper, account).spawn()
}

fn as_account(command: &mut Command, account: Option<Account>) -> &mut Command {
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// Runs a program to its end; what it printed, or what it complained of.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// The programs of the latest version that is installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(PACKAGES).into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin"));
    programs.filter(|programs| programs.join("initdb").is_file()).max_by_key(|programs| {
        let version = programs.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    })
}

/// Whom to run it as: this process's own account, unless that is root.
fn account() -> Result<Option<Account>, String> {
    let id = run(Command::new("id").arg("-u"))?;
    if id.trim() != "0" {
        return Ok(None);
    }
    let number = |of: &str| -> Result<u32, String> {
        run(Command::new("id").args([of, ACCOUNT]))?
            .trim()
            .parse()
            .map_err(|_| "id printed no number".to_owned())
    };
    Ok(Some(Account { uid: number("-u")?, gid: number("-g")? }))
}
