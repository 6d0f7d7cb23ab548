//! Environments of JavaScript of the tests' own, under the target folder, with pinned versions: the official SDK as npm
//! has it, and what judges pages in a browser.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::build::target_folder;
use crate::python::{agents_folder, examples_folder, run_over_network};

/// The SDK runs on this version of Node.js and later ones.
const OLDEST_NODE: u32 = 20;
/// The link to the scripts, beside their packages.
const SOURCE: &str = "agents";
/// What npm reads; it installs again when either has changed.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// Why nothing in JavaScript can run here, if so: a test says so and goes on without.
pub fn missing_node() -> Option<&'static str> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(look_for_node).as_deref()
}

fn look_for_node() -> Option<String> {
    let Some(version) = version_of("node") else {
        return Some(format!("there is no node; install Node.js {OLDEST_NODE} or later"));
    };
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_NODE) {
        return Some(format!("node is {version}; the SDK asks for {OLDEST_NODE} or later"));
    }
    version_of("npm").is_none().then(|| "there is no npm; install it beside node".to_owned())
}

fn version_of(program: &str) -> Option<String> {
    let output =
        Command::new(program).arg("--version").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A command that runs a file of `agents/js` where it finds the SDK.
pub(crate) fn script(file: &str) -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    run_in(FOLDER.get_or_init(|| install(&agents_folder().join("js"), "node")), file)
}

/// A command that runs one of the JavaScript examples.
pub fn javascript_example(file: &str) -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let source = examples_folder().join("../javascript");
    run_in(FOLDER.get_or_init(|| install(&source, "node-examples")), file)
}

fn run_in(folder: &Path, file: &str) -> Command {
    let mut command = Command::new("node");
    // Packages are looked for beside the link, not beside what it leads to: nothing is installed into the source.
    command.args(["--preserve-symlinks", "--preserve-symlinks-main"]).arg(folder.join(SOURCE).join(file));
    command
}

fn install(source: &Path, name: &str) -> PathBuf {
    let folder = packages(source, name);
    link(source, &folder.join(SOURCE));
    folder
}

/// The folder below the target folder that holds the packages which the manifests of a folder name.
pub(crate) fn packages(source: &Path, name: &str) -> PathBuf {
    // Tests that want the same at once wait for the one that installs it.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(reason) = missing_node() {
        panic!("{reason}");
    }
    let folder = target_folder().join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the packages");
    let marker = folder.join("installed.txt");
    let read = |name| std::fs::read_to_string(source.join(name)).expect("a manifest");
    let wanted = MANIFESTS.map(read).concat();
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return folder;
    }
    eprintln!("installing packages of npm in {} (once)", folder.display());
    for name in MANIFESTS {
        std::fs::copy(source.join(name), folder.join(name)).expect("a manifest is copied");
    }
    run_over_network(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
            .current_dir(&folder),
    );
    std::fs::write(&marker, wanted).expect("the marker is written");
    folder
}

/// The target folder may have been copied from elsewhere: a link to another source is made anew.
fn link(source: &Path, link: &Path) {
    if std::fs::read_link(link).is_ok_and(|to| to == source) {
        return;
    }
    let _ = std::fs::remove_file(link);
    std::os::unix::fs::symlink(source, link).expect("a link to the agents");
}
