//! The first five minutes of a newcomer, as a script that is run, and that says what the page says.

use std::process::Stdio;

use conformance_tests::{missing_browser, target_folder};
use tempfile::TempDir;

use super::session::{alone, clean_folder, give_programs, missing_network};
use super::{pages, repository};

/// Seconds for all of it.
const LIMIT: &str = "600";
const SCRIPT: &str = "examples/first_five_minutes.sh";
/// The page, and how many commands it may take to have an agent of one's own called.
const PAGE: &str = "docs/start.md";
const COMMANDS: usize = 5;

#[test]
fn the_first_five_minutes_go_as_they_are_told() {
    if let Some(reason) = missing_network() {
        eprintln!("skipped: the first five minutes: no network of their own: {reason}");
        return;
    }
    let folder = TempDir::new().unwrap();
    let clean = clean_folder(folder.path());
    let picture = target_folder().join("first_five_minutes.png");
    // One of an earlier run says nothing of this one.
    let _ = std::fs::remove_file(&picture);
    let mut script = alone(LIMIT);
    give_programs(folder.path(), &mut script);
    let output = script.arg(clean.join(SCRIPT)).stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    for expected in [
        "http://127.0.0.1:8420/console#/tree/",
        "─ researcher  COMPLETED",
        "─ archive  COMPLETED",
        "refused: delegating to publisher",
        "skills: summarize",
        "[summary] one two three four five\nCOMPLETED",
    ] {
        assert!(printed.contains(expected), "{expected:?} is missing:\n{printed}");
    }
    if let Some(reason) = missing_browser() {
        eprintln!("skipped: the console's picture of the tree: {reason}");
        return;
    }
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"), "{printed}");
    eprintln!("a picture of the console is in {}", picture.display());
}

#[test]
fn the_script_and_the_page_and_the_readme_are_of_one_mind() {
    let script = std::fs::read_to_string(repository().join(SCRIPT)).unwrap();
    let pages = pages();
    let commands = |path: &str| {
        let page = pages.iter().find(|page| page.path.to_str() == Some(path)).unwrap();
        let lines = page.blocks.iter().filter(|block| block.is_shell()).flat_map(|block| block.text.lines());
        let bare = lines.map(|line| line.split("  ").next().unwrap_or_default().trim_end_matches('&').trim());
        bare.map(str::to_owned).collect::<Vec<_>>()
    };
    let (told, readme) = (commands(PAGE), commands("README.md"));
    assert_eq!(told.first(), readme.first());
    for command in told.iter().flat_map(|line| line.split(" && ")) {
        assert!(script.contains(command), "{SCRIPT} lacks {command:?} of {PAGE}");
    }
    let own = told.iter().skip_while(|command| !command.contains("task tree")).skip(1).count();
    assert!((1..=COMMANDS).contains(&own), "an agent of one's own takes {own} commands");
}
