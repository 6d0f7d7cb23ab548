//! The matrix as the documentation shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::limits::{self, LIMITS, MISSING_BINDING, MISSING_BINDING_REASON};
use super::subjects::{Binding, Cell, Feature, Sdk, Way};

const BEGIN: &str = "<!-- matrix -->\n";
const END: &str = "<!-- /matrix -->";
const WRITE: &str = "BAILIWICK_BLESS";
const COMMAND: &str = "BAILIWICK_BLESS=1 cargo test -p conformance-tests --test it -- interop::matrix";

/// The page shows what was seen; writes it there if told to.
pub(super) fn check(ways: &[Way], seen: &BTreeMap<Cell, Result<(), String>>) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let text = std::fs::read_to_string(&page).expect("the page");
    let begin = text.find(BEGIN).unwrap_or_else(|| panic!("{} has no line {BEGIN}", page.display()));
    let begin = begin + BEGIN.len();
    let end = begin + text[begin..].find(END).unwrap_or_else(|| panic!("nothing closes {BEGIN}"));
    let table = render(ways, seen);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&page, format!("{}{table}{}", &text[..begin], &text[end..]))
            .expect("the page is written");
    } else {
        assert_eq!(
            text[begin..end],
            table,
            "docs/conformance.md shows another matrix; write it by {COMMAND}"
        );
    }
}

fn render(ways: &[Way], seen: &BTreeMap<Cell, Result<(), String>>) -> String {
    let features: Vec<&str> = Feature::ALL.iter().map(|feature| feature.round()).collect();
    let mut out = format!(
        "Clients in rows, agents in columns, each an official SDK, unmodified, in a process of its own, and the broker \
         between them. Every\ncell is these features: {}. A number in brackets leads to the reason below. Written by\n`{COMMAND}`.\n\n",
        features.join(", ")
    );
    for (number, sdk) in Sdk::ALL.into_iter().enumerate() {
        let _ = writeln!(out, "- {}: {}", letter(number), sdk.title());
    }
    out.push_str("\n| client ↓ agent → |");
    let all = || Sdk::ALL.into_iter().flat_map(|sdk| Binding::ALL.map(|binding| Way { sdk, binding }));
    for agent in all() {
        let _ = write!(out, " {} {} |", letter(agent.sdk as usize), agent.binding.title());
    }
    let _ = write!(out, "\n|---|{}\n", "---|".repeat(all().count()));
    for client in all() {
        let _ = write!(out, "| {} {} |", letter(client.sdk as usize), client.binding.title());
        for agent in all() {
            let _ = write!(out, " {} |", shown(client, agent, ways, seen));
        }
        out.push('\n');
    }
    out.push('\n');
    let _ = writeln!(out, "1. {MISSING_BINDING_REASON}");
    for (number, limit) in LIMITS.iter().enumerate() {
        let _ = writeln!(out, "{}. {}: {}", number + 2, limit.feature.round(), limit.reason);
    }
    out
}

fn letter(number: usize) -> char {
    ['A', 'B', 'C', 'D'][number]
}

fn shown(client: Way, agent: Way, ways: &[Way], seen: &BTreeMap<Cell, Result<(), String>>) -> String {
    let is_missing = |way: Way| (way.sdk, way.binding) == MISSING_BINDING;
    if is_missing(client) || is_missing(agent) {
        return "— (1)".to_owned();
    }
    assert!(ways.contains(&client) && ways.contains(&agent));
    let mut notes = Vec::new();
    for feature in Feature::ALL {
        let cell = Cell { client, agent, feature };
        if seen[&cell].is_err() {
            let number = limits::of(cell).expect("what fails is declared") + 2;
            notes.push(format!("{} ({number})", feature.round()));
        }
    }
    if notes.is_empty() { "all".to_owned() } else { format!("all but {}", notes.join(", ")) }
}
