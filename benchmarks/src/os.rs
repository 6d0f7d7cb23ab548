//! What the harness asks of Linux beyond the standard library: cores to run on, CPU time of a process to the nanosecond,
//! resident memory, a timer finer than a millisecond. All `unsafe` of the package is here.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has a command run on one core, and die with the harness.
pub fn pin(command: &mut Command, core: Option<usize>) {
    // SAFETY: both calls are system calls that allocate nothing, as is demanded between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            core.map_or(Ok(()), run_on)
        });
    }
}

/// Has a command run on any core, though this process may not: building is not measured.
pub fn unpin(command: &mut Command) {
    // SAFETY: one system call, which allocates nothing, as is demanded between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let all = [u8::MAX; size_of::<libc::cpu_set_t>()];
            let failed = libc::sched_setaffinity(0, all.len(), all.as_ptr().cast());
            if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        });
    }
}

/// How many cores the machine has, whatever this process may use of them.
pub fn cores() -> usize {
    // SAFETY: it reads a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1)
}

/// Has this thread, and those it starts, run on one core.
pub fn run_on(core: usize) -> io::Result<()> {
    // SAFETY: the set is a plain bit field, for which zero is empty, and lives through the call.
    let failed = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// User and system time of a process, of all its threads, also of those that have ended. Far finer than the ticks of
/// `/proc/PID/stat`.
pub fn cpu_time(process: u32) -> Result<Duration> {
    let gone = || format!("process {process} has no CPU clock: it has ended; see its log");
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the clock's id is written to a variable that lives through the call.
    let failed = unsafe { libc::clock_getcpuclockid(libc::pid_t::try_from(process)?, &mut clock) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed)).with_context(gone);
    }
    read_clock(clock).with_context(gone)
}

/// User and system time of this process.
pub fn own_cpu_time() -> Result<Duration> {
    Ok(read_clock(libc::CLOCK_PROCESS_CPUTIME_ID)?)
}

fn read_clock(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is written to a variable that lives through the call.
    match unsafe { libc::clock_gettime(clock, &mut time) } {
        0 => Ok(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Resident memory of a process, in bytes.
pub fn resident(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("{path}: the process has ended"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kilobytes.map(|number| number * 1024).with_context(|| format!("{path} has no VmRSS"))
}

/// Lets this process have as many files open as the system allows.
pub fn raise_open_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit lives through both calls.
    let failed = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit)
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A timer of the kernel. The one of tokio counts milliseconds, which is longer than most answers take.
pub struct FineTimer(AsyncFd<OwnedFd>);

impl FineTimer {
    pub fn new() -> Result<Self> {
        // SAFETY: the descriptor is new and belongs to nobody else.
        let descriptor = unsafe {
            let raw = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC);
            if raw < 0 {
                return Err(io::Error::last_os_error()).context("timerfd_create");
            }
            OwnedFd::from_raw_fd(raw)
        };
        // SAFETY: the descriptor is owned by what it is registered for, which never gives it away.
        let timer = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(Self(timer.map_err(io::Error::from)?))
    }

    /// Waits this long, to a few tens of microseconds.
    pub async fn sleep(&self, time: Duration) -> Result<()> {
        if time.is_zero() {
            return Ok(());
        }
        let once = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec {
                tv_sec: i64::try_from(time.as_secs())?,
                tv_nsec: i64::from(time.subsec_nanos()),
            },
        };
        // SAFETY: the new setting lives through the call; the old one is not asked for.
        if unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &once, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error()).context("timerfd_settime");
        }
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|descriptor| {
                let mut expirations = [0_u8; 8];
                // SAFETY: the kernel writes eight bytes into a buffer of eight bytes.
                match unsafe { libc::read(descriptor.as_raw_fd(), expirations.as_mut_ptr().cast(), 8) } {
                    8 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
            if let Ok(read) = read {
                return Ok(read?);
            }
        }
    }
}
