//! The commands of a page, run one after the other by a shell in an empty folder and in a network of its own, so that
//! every page may have its broker where a reader has it.

use std::fmt::Write;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conformance_tests::{command, forget_the_package, site_packages, target_folder, wheels};
use tempfile::TempDir;

use super::page::{Block, Mark, Page};
use super::repository;

/// Seconds for all commands of a page.
const PAGE_LIMIT: &str = "300";
/// What comes before them.
const PRELUDE: &str = include_str!("session.sh");
/// A network, processes and mounts of its own, all of which end with the shell.
const ALONE: [&str; 5] = ["-rn", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// A new network's loopback is down.
const LOOPBACK: &str = "python3 -c '
import fcntl, socket, struct
UP_AND_RUNNING = 0x49
fcntl.ioctl(socket.socket(), 0x8914, struct.pack(\"16sh14x\", b\"lo\", UP_AND_RUNNING))' && exec \"$@\"";
/// What a reader sees in the folder that has the repository.
const IN_SIGHT: [&str; 6] = ["Cargo.toml", "benchmarks", "broker", "deploy", "docs", "examples"];
/// cargo, from a folder that only looks like the repository.
const CARGO: &str = "#!/bin/sh\nverb=$1; shift\nexec \"$REAL_CARGO\" \"$verb\" --manifest-path \"$REPOSITORY/Cargo.toml\" \"$@\"\n";

/// Why commands cannot have a network of their own here, if so.
pub(super) fn missing_network() -> Option<String> {
    match alone("10").args(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("timeout or unshare: {error}")),
    }
}

/// What is to run a command, in a network of its own and for so many seconds at most.
pub(super) fn alone(limit: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", limit, "unshare"]).args(ALONE).args(["sh", "-c", LOOPBACK, "sh"]);
    command
}

/// Makes what programs the documentation takes for granted: `bailiwick`, and a `cargo` that finds the repository.
pub(super) fn give_programs(folder: &Path, to: &mut Command) {
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    symlink(command(&[]).get_program(), bin.join("bailiwick")).expect("a link");
    std::fs::write(bin.join("cargo"), CARGO).expect("a script");
    let status = Command::new("chmod").arg("+x").arg(bin.join("cargo")).status().expect("chmod runs");
    assert!(status.success(), "the script can be run");
    forget_the_package(to);
    to.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").expect("a PATH")))
        .envs([
            ("REAL_CARGO", env!("CARGO")),
            ("CARGO_NET_OFFLINE", "true"),
            ("PIP_NO_INDEX", "1"),
            ("PIP_NO_COMPILE", "1"),
        ])
        .env("REPOSITORY", repository())
        .env("CARGO_TARGET_DIR", target_folder())
        .env("PIP_FIND_LINKS", wheels());
}

/// A folder in which there is the repository, and nothing besides.
pub(super) fn clean_folder(within: &Path) -> PathBuf {
    let clean = within.join("clean");
    std::fs::create_dir(&clean).expect("a folder");
    for name in IN_SIGHT {
        symlink(repository().join(name), clean.join(name)).expect("a link");
    }
    symlink(target_folder(), clean.join("target")).expect("a link");
    clean
}

/// Runs a page; what went wrong, if anything did.
pub(super) fn run(page: &Page) -> Result<(), String> {
    let folder = TempDir::new().expect("a temporary folder");
    let clean = clean_folder(folder.path());
    let out = folder.path().join("out");
    std::fs::create_dir(&out).expect("a folder");
    let script = folder.path().join("page.sh");
    std::fs::write(&script, self::script(page, &out)).expect("a script");
    let mut shell = alone(PAGE_LIMIT);
    give_programs(folder.path(), &mut shell);
    // The first five minutes install everything; here it is enough that pip finds nothing missing.
    shell.env("PYTHONPATH", site_packages());
    let errors = folder.path().join("errors");
    let status = shell
        .arg("bash")
        .arg(&script)
        .current_dir(&clean)
        .stdin(Stdio::null())
        .stderr(File::create(&errors).expect("a file"))
        .status()
        .expect("a shell");
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let mut problems = String::new();
    for block in page.blocks.iter().filter(|block| is_run(block)) {
        let printed = read(&out.join(block.line.to_string()));
        for expected in block.marks.iter().filter_map(prints).flat_map(str::lines).map(str::trim) {
            if status.success() && !printed.contains(expected) {
                let _ =
                    writeln!(problems, "line {} does not print {expected:?}, but:\n{printed}", block.line);
            }
        }
        if !status.success() && !printed.is_empty() {
            let _ = writeln!(problems, "line {} printed:\n{printed}", block.line);
        }
    }
    if !status.success() {
        let _ = write!(problems, "{status}\n{}", read(&errors));
    }
    if problems.is_empty() { Ok(()) } else { Err(format!("{}:\n{problems}", page.path.display())) }
}

/// Whether a block is run.
pub(super) fn is_run(block: &Block) -> bool {
    let by_command = block.marks.iter().any(|mark| matches!(mark, Mark::Run(_)));
    block.not_run().is_none() && (block.is_shell() || by_command)
}

fn prints(mark: &Mark) -> Option<&str> {
    if let Mark::Prints(lines) = mark { Some(lines) } else { None }
}

/// All blocks of a page as one script; what each prints goes to a file that is called like its line.
fn script(page: &Page, out: &Path) -> String {
    let mut script = PRELUDE.to_owned();
    for block in page.blocks.iter().filter(|block| is_run(block)) {
        let _ = writeln!(script, "exec >{} 2>&1", out.join(block.line.to_string()).display());
        let terminals = block.marks.contains(&Mark::Terminals);
        let mut command = None;
        for mark in &block.marks {
            match mark {
                Mark::Given(commands) => script.push_str(&waiting(commands)),
                Mark::Run(named) => command = Some(named),
                _ => {}
            }
        }
        match command {
            Some(command) => {
                let _ = writeln!(script, "{command} <<'END OF THE BLOCK'\n{}END OF THE BLOCK", block.text);
            }
            None if terminals => script.push_str(&side_by_side(&block.text)),
            None => script.push_str(&waiting(&block.text)),
        }
    }
    script
}

/// Commands, with a wait behind each that stays in the background.
fn waiting(commands: &str) -> String {
    let wait = |line: &str| {
        if stays(line) { format!("starting\n{line}\nsettled $!\n") } else { format!("{line}\n") }
    };
    commands.lines().map(wait).collect()
}

fn stays(line: &str) -> bool {
    let line = line.split(" #").next().unwrap_or_default().trim_end();
    line.ends_with('&') && !line.ends_with("&&")
}

/// Each line in the background, as the process that a simple command is.
fn side_by_side(commands: &str) -> String {
    let whole = commands.replace("\\\n", " ");
    let mut started = String::new();
    for line in whole.lines().filter(|line| !line.trim().is_empty()) {
        let _ = write!(started, "starting\nbash -c '{}' &\nsettled $!\n", line.replace('\'', "'\\''"));
    }
    started
}
