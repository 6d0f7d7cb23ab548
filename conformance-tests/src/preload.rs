//! Small C libraries that are preloaded into the broker's binary as it is (`preload/`), each between it and a few calls of
//! the C library.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::build::target_folder;

/// The variable that names them.
pub(crate) const LD_PRELOAD: &str = "LD_PRELOAD";

/// What the environment of a broker must hold whose clock is to be off by so many milliseconds. Nothing where nothing can be
/// preloaded.
pub fn clock_off_by(millis: i64) -> Vec<(String, String)> {
    if millis == 0 || !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return Vec::new();
    }
    let variables = [(LD_PRELOAD, library("clock_skew")), ("CLOCK_SKEW_MS", millis.to_string())];
    variables.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// The path of one of them, compiled at first use with the compiler that Rust links with.
pub(crate) fn library(name: &'static str) -> String {
    static COMPILED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let library: PathBuf = target_folder().join(name).with_extension("so");
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if !compiled.contains(name) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("preload").join(name).with_extension("c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        assert!(cc.status().expect("cc runs: Rust links with it").success(), "{} compiles", source.display());
        compiled.insert(name);
    }
    library.to_str().expect("a path").to_owned()
}
