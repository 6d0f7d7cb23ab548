//! Binaries of this workspace, brought up to date at first use.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// The folder cargo builds into, found from the running test or program in it.
pub(crate) fn target_folder() -> PathBuf {
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
        cargo.args(["build", "--quiet", "--bins", "--package", package, "--target-dir"]).arg(&folder);
        // What cargo says of the package under test: build scripts that look at it (ring's) would run again, and all
        // that depends on them, each time a cargo with it and one without it take turns.
        let told = std::env::vars_os().map(|(name, _)| name);
        for name in told.filter(|name| name.as_encoded_bytes().starts_with(b"CARGO_PKG_")) {
            cargo.env_remove(name);
        }
        let status = cargo.env_remove("CARGO_MANIFEST_DIR").status().expect("cargo runs");
        assert!(status.success(), "{package} builds");
    }
    folder.join("debug").join(name)
}
