//! Command lines that the documentation names, run or not, are such as the program knows, and files they name are there.

use std::collections::BTreeMap;

use conformance_tests::command;

use super::page::Page;
use super::{pages, repository};

/// Words that begin a path in the repository.
const FOLDERS: [&str; 6] = ["benchmarks/", "broker/", "conformance-tests/", "deploy/", "docs/", "examples/"];

/// What the program says about its commands, asked once.
#[derive(Default)]
struct Manual(BTreeMap<String, String>);

impl Manual {
    fn of(&mut self, path: &[&str]) -> &str {
        self.0.entry(path.join(" ")).or_insert_with(|| {
            let output = command(path).arg("--help").output().expect("the program runs");
            String::from_utf8(output.stdout).expect("text")
        })
    }

    /// The commands below one.
    fn commands(&mut self, path: &[&str]) -> Vec<String> {
        let help = self.of(path).to_owned();
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names = listed.take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
        names
            .filter(|line| !line.starts_with("   "))
            .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
            .collect()
    }

    /// What is wrong with a command line, its first word left out.
    fn judge(&mut self, words: &[&str]) -> Option<String> {
        let (mut path, mut flags, mut after_flag) = (Vec::new(), Vec::new(), false);
        for word in words {
            let word = word.trim_matches(|bracket| matches!(bracket, '[' | ']'));
            if let Some(flag) = word.strip_prefix("--") {
                flags.push(flag.split('=').next().unwrap_or_default());
                after_flag = true;
            } else {
                let known = self.commands(&path);
                if known.iter().any(|name| name == word) {
                    path.push(word);
                } else if !known.is_empty() && !after_flag {
                    return Some(format!("there is no command {word:?} below {path:?}"));
                }
                after_flag = false;
            }
        }
        let help = self.of(&path);
        let missing = flags.into_iter().find(|flag| {
            !help.split_whitespace().any(|word| word.trim_end_matches(',') == format!("--{flag}"))
        });
        missing.map(|flag| format!("{path:?} takes no --{flag}"))
    }
}

/// The words of every command in a shell's lines, quotes undone; what is substituted stands for itself.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let (mut quote, mut comment) = (None, false);
    for letter in text.replace("\\\n", " ").chars().chain(['\n']) {
        match letter {
            '\n' if quote.is_none() => comment = false,
            _ if comment => continue,
            '#' if quote.is_none() && word.is_none() => comment = true,
            _ => {}
        }
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => (quote, word) = (Some(letter), Some(word.unwrap_or_default())),
            (None, ' ' | '\n' | '|' | ';' | '&' | '>' | '<' | '(' | ')' | '#') => {
                words.extend(word.take());
                if letter != ' ' {
                    lines.push(std::mem::take(&mut words));
                }
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// Everything in a page that may be a command line: what is for a shell, lines that are shown, code within sentences.
fn named(page: &Page) -> String {
    let mut named = String::new();
    for block in &page.blocks {
        let lines = block.text.lines().filter(|line| block.is_shell() || line.starts_with("bailiwick "));
        named.extend(lines.flat_map(|line| [line, "\n"]));
    }
    named.extend(page.spans.iter().flat_map(|span| [span, "\n"]));
    named
}

#[test]
fn every_command_line_that_is_named_is_one_that_the_program_knows() {
    let (mut manual, mut judged, mut problems) = (Manual::default(), 0, Vec::new());
    for page in pages() {
        for line in command_lines(&named(&page)) {
            let Some(("bailiwick", words)) = line.split_first().map(|(first, words)| (first.as_str(), words))
            else {
                continue;
            };
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let problem = manual.judge(&words);
            problems.extend(
                problem.map(|problem| format!("{}: {}: {problem}", page.path.display(), line.join(" "))),
            );
            judged += 1;
        }
    }
    assert!(judged > 50, "only {judged} were seen");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_file_that_a_command_names_is_there() {
    let mut named = 0;
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.is_shell()) {
            for word in command_lines(&block.text).into_iter().flatten() {
                if FOLDERS.iter().any(|folder| word.starts_with(folder)) {
                    let there = repository().join(&word).exists();
                    assert!(there, "{}:{}: there is no {word}", page.path.display(), block.line);
                    named += 1;
                }
            }
        }
    }
    assert!(named >= 5, "only {named} files are named");
}

#[test]
fn a_false_command_line_is_seen() {
    let mut manual = Manual::default();
    assert_eq!(manual.judge(&["--broker", "http://x", "task", "tree", "0190", "--json"]), None);
    assert!(manual.judge(&["task", "forest"]).is_some());
    assert!(manual.judge(&["task", "tree", "--root", "x"]).is_some());
    let quoted = command_lines("a 'b c' --d=\"e\" # no\nf \\\n  g && h | i");
    assert_eq!(quoted, [vec!["a", "b c", "--d=e"], vec!["f", "g"], vec!["h"], vec!["i"]]);
}
