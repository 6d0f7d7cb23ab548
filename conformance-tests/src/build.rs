//! Binaries of this workspace, brought up to date at first use.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// The folder cargo builds into, found from the running test or program in it.
pub fn target_folder() -> PathBuf {
    let exe = std::env::current_exe().expect("the test has a path");
    let built_into = |folder: &&std::path::Path| folder.join("debug").is_dir();
    exe.ancestors().find(built_into).expect("target/debug/deps/test").to_path_buf()
}

/// A binary of a package.
pub(crate) fn binary(package: &'static str, name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let folder = target_folder();
    let mut built = BUILT.lock().expect("no build has panicked");
    if built.insert(package) {
        let mut cargo = Command::new(env!("CARGO"));
        forget_the_package(&mut cargo);
        let status = cargo
            .args(["build", "--quiet", "--bins", "--package", package, "--target-dir"])
            .arg(&folder)
            .status()
            .expect("cargo runs");
        assert!(status.success(), "{package} builds");
    }
    folder.join("debug").join(name)
}

/// Takes from the environment of a command what cargo told this test about its package. Build scripts look at that, so
/// cargo would run them again, and build all that stands on them, at every turn between a shell and a test.
pub fn forget_the_package(command: &mut Command) {
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(told) {
            command.env_remove(name);
        }
    }
}
