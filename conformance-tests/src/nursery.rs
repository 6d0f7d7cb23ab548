//! Where scripted agents are born: one Python process that has read the SDK, and is forked for each of them
//! (`agents/nursery.py`). Reading the SDK takes the better part of a second of a core, and tests start hundreds.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::python::{agents_folder, interpreter};

/// The one of this process. It ends when its input does, which is when this process ends.
struct Nursery {
    socket: PathBuf,
    _process: Child,
}

impl Nursery {
    fn start() -> Self {
        // It removes the folder: this is never dropped.
        let socket = TempDir::new().expect("a temporary folder").keep().join("nursery");
        let mut command = Command::new(interpreter());
        command.arg(agents_folder().join("nursery.py")).arg(&socket);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the nursery starts");
        let mut ready = String::new();
        let stdout = process.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("the nursery's standard output");
        assert_eq!(ready.trim(), "ready", "the nursery did not start; its standard error is above");
        Self { socket, _process: process }
    }
}

/// Begins an agent; its standard output, which ends with it. The first line is its process id.
pub(crate) fn begin(arguments: &[String]) -> UnixStream {
    static NURSERY: OnceLock<Nursery> = OnceLock::new();
    let socket = &NURSERY.get_or_init(Nursery::start).socket;
    let mut stream = UnixStream::connect(socket).expect("the nursery is there");
    let line = serde_json::to_string(arguments).expect("texts") + "\n";
    stream.write_all(line.as_bytes()).expect("the nursery listens");
    stream
}
