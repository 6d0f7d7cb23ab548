//! Processes that say where they listen, and end with the test: children of this one, or forks of the nursery.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::nursery;

/// How long a process may take to say where it listens.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long one may take to end by itself.
const END_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks at whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What it says, before the URL.
const LISTENING: &str = "listening on ";

pub(crate) struct Process {
    running: Running,
    pub(crate) url: String,
}

enum Running {
    Child(Child),
    /// A process of the nursery's, and its standard output, which ends with it.
    Forked(Pid, UnixStream),
}

impl Process {
    /// Starts a process and waits for its line `listening on URL`.
    pub(crate) fn start(mut command: Command) -> Self {
        Self::start_again(&mut command)
    }

    /// The same with a command that will be needed again.
    pub(crate) fn start_again(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the process starts");
        let stdout = child.stdout.take().expect("standard output is piped");
        let (sender, url) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix(LISTENING) {
                    let _ = sender.send(url.to_owned());
                }
            }
        });
        let Ok(url) = url.recv_timeout(START_LIMIT) else {
            let _ = child.kill();
            panic!("{command:?} did not say where it listens; its standard error is above");
        };
        Self { running: Running::Child(child), url }
    }

    /// Forks a scripted agent, and waits for the same line.
    pub(crate) fn fork(arguments: &[String]) -> Self {
        let stream = nursery::begin(arguments);
        stream.set_read_timeout(Some(START_LIMIT)).expect("a socket");
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let id = lines.next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        let url = lines.find_map(|line| line.strip_prefix(LISTENING).map(ToOwned::to_owned));
        let (Some(id), Some(url)) = (id, url) else {
            panic!("scripted.py {arguments:?} did not say where it listens; its standard error is above");
        };
        stream.set_nonblocking(true).expect("a socket");
        Self { running: Running::Forked(id, stream), url }
    }

    pub(crate) fn id(&self) -> u32 {
        self.pid().as_raw_nonzero().get().unsigned_abs()
    }

    fn pid(&self) -> Pid {
        match &self.running {
            Running::Child(child) => Pid::from_child(child),
            Running::Forked(id, _) => *id,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is there");
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn unpause(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Waits until it has ended by itself; its exit code, none if a signal ended it or nobody knows.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let began = Instant::now();
        while !self.is_over() {
            assert!(began.elapsed() < END_LIMIT, "the process does not end");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        match &mut self.running {
            Running::Child(child) => child.try_wait().ok().flatten().and_then(|status| status.code()),
            Running::Forked(..) => None,
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_over(&mut self) -> bool {
        match &mut self.running {
            Running::Child(child) => child.try_wait().is_ok_and(|status| status.is_some()),
            Running::Forked(_, stream) => is_at_end(stream),
        }
    }

    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill(&mut self) {
        match &mut self.running {
            Running::Child(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Running::Forked(id, stream) => {
                // Once it is over its id may be another one's.
                while !is_at_end(stream) {
                    let _ = kill_process(*id, Signal::KILL);
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
}

/// Whether whoever wrote to it is gone.
fn is_at_end(stream: &mut UnixStream) -> bool {
    let mut said = [0; 1024];
    loop {
        match stream.read(&mut said) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
