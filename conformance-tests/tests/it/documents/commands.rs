//! Every block of commands in the documentation is run, in the order of its page; what cannot run here is named, with
//! its reason, and read by a shell.

use std::process::Command;

use super::pages;
use super::session::{is_run, missing_network, run};

#[test]
fn every_command_in_the_documentation_works() {
    if let Some(reason) = missing_network() {
        eprintln!("skipped: the commands in the documentation: no network of their own: {reason}");
        return;
    }
    let (mut ran, mut problems) = (0, Vec::new());
    for page in pages().iter().filter(|page| page.blocks.iter().any(is_run)) {
        let began = std::time::Instant::now();
        problems.extend(run(page).err());
        let blocks = page.blocks.iter().filter(|block| is_run(block)).count();
        eprintln!("{}: {blocks} blocks in {:.1} s", page.path.display(), began.elapsed().as_secs_f64());
        ran += blocks;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(ran >= 8, "only {ran} blocks were run");
}

#[test]
fn commands_that_are_not_run_are_at_least_read_and_say_why() {
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.is_shell()) {
            let place = format!("{}:{}", page.path.display(), block.line);
            let output = Command::new("bash").args(["-n", "-c", &block.text]).output().expect("a shell");
            assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
            if let Some(reason) = block.not_run() {
                assert!(!reason.is_empty(), "{place} does not say why it is not run");
                eprintln!("not run: {place}: {reason}");
            }
        }
    }
}

#[test]
fn examples_of_files_are_at_least_legible() {
    let mut read = 0;
    for page in pages() {
        for block in &page.blocks {
            let problem = match block.language.as_str() {
                "json" => serde_json::from_str::<serde_json::Value>(&block.text).err().map(|e| e.to_string()),
                "toml" => toml::from_str::<toml::Table>(&block.text).err().map(|e| e.to_string()),
                _ => continue,
            };
            assert!(
                problem.is_none(),
                "{}:{}: {}",
                page.path.display(),
                block.line,
                problem.unwrap_or_default()
            );
            read += 1;
        }
    }
    assert!(read >= 5, "only {read} examples were read");
}
