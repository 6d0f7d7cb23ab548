//! What the documentation is built and judged with: mdBook and linters as the Python package index has them, and the
//! packages that pages have their readers install.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::build::target_folder;
use crate::python::{examples_folder, interpreter, interpreter_documents, run_over_network};

/// A program of `agents/requirements-documents.txt`, installed at first use.
pub fn document_tool(name: &str) -> PathBuf {
    interpreter_documents().with_file_name(name)
}

/// A folder with the packages that the Python examples ask for, from which pip installs without a network.
pub fn wheels() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(download).clone()
}

/// Where the tests' own environment keeps its packages: a new one that looks there needs none of those that it has.
pub fn site_packages() -> PathBuf {
    let environment = interpreter().parent().and_then(Path::parent).expect("an environment").join("lib");
    let mut versions = std::fs::read_dir(&environment).expect("an environment's packages");
    let version = versions.next().expect("a version of Python").expect("an entry");
    version.path().join("site-packages")
}

fn download() -> PathBuf {
    let file = examples_folder().join("requirements.txt");
    let requirements = std::fs::read_to_string(&file).expect("requirements");
    let folder = target_folder().join("wheels");
    let marker = folder.join("downloaded.txt");
    if std::fs::read_to_string(&marker).is_ok_and(|downloaded| downloaded == requirements) {
        return folder;
    }
    eprintln!("downloading Python packages into {} (once)", folder.display());
    let mut pip = Command::new(interpreter());
    pip.args(["-m", "pip", "download", "--quiet", "--requirement"]).arg(file);
    run_over_network(pip.arg("--dest").arg(&folder));
    std::fs::write(&marker, requirements).expect("the marker is written");
    folder
}
