//! The book builds, and no link in it leads nowhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use conformance_tests::{document_tool, target_folder};

use super::repository;

/// What is linked or shown, as it stands in an attribute.
fn targets(html: &str) -> impl Iterator<Item = &str> {
    let values = ["href=\"", "src=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    values.filter_map(|rest| rest.split('"').next()).filter(|target| !target.contains(':'))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_book_builds_and_no_link_in_it_leads_nowhere() {
    let mdbook = document_tool("mdbook");
    let path = std::env::var("PATH").expect("a PATH");
    let tools = mdbook.parent().expect("a folder").display();
    let output = Command::new(repository().join("docs/book.sh"))
        .env("PATH", format!("{tools}:{path}"))
        .env("CARGO_TARGET_DIR", target_folder())
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("WARN"), "{said}");
    let book = target_folder().join("book");
    let (mut followed, mut broken) = (0, Vec::new());
    for page in files(&book).iter().filter(|file| file.extension().is_some_and(|kind| kind == "html")) {
        let html = std::fs::read_to_string(page).expect("a page");
        for target in targets(&html) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = page.parent().expect("a folder");
            let leads_to = if file.is_empty() { page.clone() } else { folder.join(file) };
            let found = leads_to.exists()
                && (heading.is_empty()
                    || std::fs::read_to_string(&leads_to)
                        .is_ok_and(|there| there.contains(&format!("id=\"{heading}\""))));
            if !found {
                broken.push(format!("{}: {target}", page.display()));
            }
            followed += 1;
        }
    }
    assert!(followed > 1_000, "only {followed} links were seen");
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    eprintln!("the book is in {}", book.join("index.html").display());
}
