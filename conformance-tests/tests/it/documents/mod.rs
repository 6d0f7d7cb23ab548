//! What is written down is true: links lead somewhere, commands do what the pages say, the book builds, and the files to
//! deploy with are what their tools take.

mod book;
mod commands;
mod deployment;
mod first_five_minutes;
mod known;
mod links;
mod page;
mod session;

use std::path::{Path, PathBuf};

use page::Page;

/// Folders and files in which pages are looked for, from the repository's root.
const PLACES: [&str; 6] =
    ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "examples/README.md", "benchmarks/README.md"];

/// The root of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("a repository")
}

/// Every page, by its path from the root.
fn pages() -> Vec<Page> {
    let root = repository();
    let (mut waiting, mut pages): (Vec<_>, Vec<_>) = (PLACES.map(PathBuf::from).to_vec(), Vec::new());
    while let Some(path) = waiting.pop() {
        let full = root.join(&path);
        if full.is_dir() {
            let entries = std::fs::read_dir(full).expect("a readable folder");
            waiting.extend(entries.map(|entry| path.join(entry.expect("an entry").file_name())));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(Page::read(&root, path));
        }
    }
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    pages
}
