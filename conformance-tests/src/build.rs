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
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--bins", "--package", package, "--target-dir"])
            .arg(&folder)
            .status()
            .expect("cargo runs");
        assert!(status.success(), "{package} builds");
    }
    folder.join("debug").join(name)
}
