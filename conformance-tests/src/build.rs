//! Binaries of this workspace, brought up to date at first use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

/// The folder cargo builds into, found from the running test or program in it.
pub fn target_folder() -> PathBuf {
    let exe = std::env::current_exe().expect("the test has a path");
    let built_into = |folder: &&std::path::Path| folder.join("debug").is_dir();
    exe.ancestors().find(built_into).expect("target/debug/deps/test").to_path_buf()
}

/// A binary. Who has it already does not wait while another one is built: a broker that comes back in the middle of a
/// test is to be there at once.
pub(crate) fn binary(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, Arc<OnceLock<()>>>> = Mutex::new(BTreeMap::new());
    let built =
        Arc::clone(BUILT.lock().expect("nothing panics meanwhile").entry(name.to_owned()).or_default());
    built.get_or_init(|| build(name));
    target_folder().join("debug").join(name)
}

/// With the features that the whole workspace asks for, with which its tests are built, too: so that most is there.
fn build(name: &str) {
    let mut cargo = Command::new(env!("CARGO"));
    forget_the_package(&mut cargo);
    let status = cargo
        .args(["build", "--quiet", "--workspace", "--bin", name, "--target-dir"])
        .arg(target_folder())
        .status()
        .expect("cargo runs");
    assert!(status.success(), "{name} builds");
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
