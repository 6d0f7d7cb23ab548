//! What a figure depends on beside the code: the machine, its kernel, the file system, the compiler, the commit.

use std::path::Path;
use std::process::Command;

use crate::os;

/// The machine in a few words.
pub fn describe(data: &Path) -> Vec<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let virtual_machine = if cpuinfo.contains(" hypervisor") { ", a virtual machine" } else { "" };
    let file_system = said(Command::new("stat").args(["-f", "-c", "%T"]).arg(data));
    vec![
        format!(
            "{} ({} cores{virtual_machine})",
            model.unwrap_or("an unknown processor").trim(),
            os::cores()
        ),
        format!("Linux {}", kernel.trim()),
        format!("data on {}", file_system.unwrap_or_else(|| "an unknown file system".to_owned())),
    ]
}

/// The commit of a repository, and whether what is built differs from it.
pub fn commit(repository: &Path) -> String {
    let git = |arguments: &[&str]| said(Command::new("git").arg("-C").arg(repository).args(arguments));
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // The page and the results change while this runs.
    let built = ["broker", "capability", "protocol", "Cargo.toml", "Cargo.lock", "benchmarks/src"];
    let changed =
        git(&[&["status", "--porcelain", "--"], &built[..]].concat()).is_some_and(|text| !text.is_empty());
    if changed { format!("{commit}, with changes") } else { commit }
}

/// The first line a command prints, on either output.
pub fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().map(|line| line.trim().to_owned())
}

/// The time, in UTC, to the minute.
pub fn now() -> String {
    said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"])).unwrap_or_default()
}
