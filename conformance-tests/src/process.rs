//! Child processes that say where they listen, and end with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to say where it listens.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long one may take to end by itself.
const END_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks at whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
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
                if let Some(url) = line.strip_prefix("listening on ") {
                    let _ = sender.send(url.to_owned());
                }
            }
        });
        let Ok(url) = url.recv_timeout(START_LIMIT) else {
            let _ = child.kill();
            panic!("{command:?} did not say where it listens; its standard error is above");
        };
        Self { child, url }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the process is there");
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("the process is there");
    }

    /// SIGCONT.
    pub(crate) fn unpause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("the process is there");
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("the process is there");
    }

    /// Waits until it has ended by itself; its exit code, none if a signal ended it.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of this process") {
                return status.code();
            }
            assert!(began.elapsed() < END_LIMIT, "the process does not end");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
