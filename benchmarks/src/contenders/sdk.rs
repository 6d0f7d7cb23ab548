//! The official SDKs' own servers with the same echo (`agents/`), each in an environment of its own under the target
//! folder, made at first use.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Setting;
use crate::machine;
use crate::os;
use crate::process::target_folder;
use crate::stage::Stage;

/// The JavaScript SDK runs on this version of Node.js and later ones.
const OLDEST_NODE: u32 = 20;

pub fn rust(stage: &Stage, listen: SocketAddr, setting: Setting) -> Result<Option<Command>> {
    let program = target_folder()?.join("release/sdk-echo");
    if stage.options.is_quick && !program.exists() {
        stage.skip("a2a-server-lf: its echo is not built yet, and a quick run builds nothing");
        return Ok(None);
    }
    if !stage.options.is_quick {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let manifest = folder().join("../Cargo.toml");
        run(cargo
            .args(["build", "--quiet", "--release", "--package", "sdk-echo", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(target_folder()?))?;
    }
    stage.version("a2a-server-lf", locked("a2a-server-lf")?);
    let mut command = Command::new(program);
    command.arg(listen.port().to_string()).args(flags(setting));
    Ok(Some(command))
}

pub fn python(stage: &Stage, listen: SocketAddr, setting: Setting) -> Result<Option<Command>> {
    let wanted = std::fs::read_to_string(folder().join("requirements.txt"))?;
    let environment = target_folder()?.join("python");
    let interpreter = environment.join("bin/python");
    if !is_installed(&environment, &wanted) {
        if stage.options.is_quick {
            stage.skip("a2a-sdk: it is not installed yet, and a quick run installs nothing");
            return Ok(None);
        }
        if !succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
            stage.skip("a2a-sdk: there is no python3 with venv");
            return Ok(None);
        }
        eprintln!("  making a Python environment in {} (once)", environment.display());
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        run(Command::new(&interpreter)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(folder().join("requirements.txt")))?;
        note_installed(&environment, &wanted)?;
    }
    let version = wanted.lines().next().unwrap_or_default().rsplit('=').next().unwrap_or_default();
    stage.version("a2a-sdk", version);
    stage.version("Python", said_by(Command::new(&interpreter).arg("--version"), "Python "));
    let mut command = Command::new(interpreter);
    command
        .arg(folder().join("echo.py"))
        .arg(listen.port().to_string())
        .args(setting.tasks.then_some("--tasks"));
    Ok(Some(command))
}

pub fn node(stage: &Stage, listen: SocketAddr, setting: Setting) -> Result<Option<Command>> {
    let version = said_by(Command::new("node").arg("--version"), "v");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
    if major < OLDEST_NODE || !succeeds(Command::new("npm").arg("--version")) {
        stage.skip(format!("@a2a-js/sdk: there is no Node.js {OLDEST_NODE} or later with npm"));
        return Ok(None);
    }
    let source = folder().join("js");
    let read = |name: &str| std::fs::read_to_string(source.join(name)).with_context(|| name.to_owned());
    let wanted = read("package.json")? + &read("package-lock.json")?;
    let environment = target_folder()?.join("node");
    if !is_installed(&environment, &wanted) {
        if stage.options.is_quick {
            stage.skip("@a2a-js/sdk: it is not installed yet, and a quick run installs nothing");
            return Ok(None);
        }
        eprintln!("  installing packages of npm in {} (once)", environment.display());
        std::fs::create_dir_all(&environment)?;
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(source.join(name), environment.join(name))?;
        }
        run(Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
            .current_dir(&environment))?;
        note_installed(&environment, &wanted)?;
    }
    let manifest: serde_json::Value = serde_json::from_str(&read("package.json")?)?;
    stage.version("@a2a-js/sdk", manifest["dependencies"]["@a2a-js/sdk"].as_str().unwrap_or_default());
    stage.version("Node.js", version);
    // Packages are looked for beside the file: nothing is installed into the source.
    let program = environment.join("echo.mjs");
    std::fs::copy(source.join("echo.mjs"), &program)?;
    let mut command = Command::new("node");
    command.arg(program).arg(listen.port().to_string()).args(setting.tasks.then_some("--tasks"));
    command.env("NODE_ENV", "production");
    Ok(Some(command))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("agents")
}

fn flags(setting: Setting) -> impl Iterator<Item = &'static str> {
    setting.tasks.then_some("--tasks").into_iter().chain(setting.streaming.then_some("--streaming"))
}

/// The version of a crate in the lock file.
fn locked(package: &str) -> Result<String> {
    let lock = std::fs::read_to_string(folder().join("../Cargo.lock"))?;
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{package}\"\n")));
    let version = entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next());
    version.map(str::to_owned).with_context(|| format!("{package} is not in Cargo.lock"))
}

fn is_installed(environment: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(environment.join("installed.txt")).is_ok_and(|installed| installed == wanted)
}

fn note_installed(environment: &Path, wanted: &str) -> Result<()> {
    Ok(std::fs::write(environment.join("installed.txt"), wanted)?)
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn said_by(command: &mut Command, before: &str) -> String {
    machine::said(command).unwrap_or_default().trim_start_matches(before).to_owned()
}

fn run(command: &mut Command) -> Result<()> {
    os::unpin(command);
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} failed with {status}");
    Ok(())
}
