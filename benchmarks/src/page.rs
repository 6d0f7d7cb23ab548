//! The page: a summary of all goals, then a section for each experiment, made from nothing but the results.

use std::fmt::Write;

use crate::experiments::Experiment;
use crate::outcome::{Goal, Outcome, Verdict};

const HEAD: &str = "# Benchmarks

Made by `cargo run --release --manifest-path benchmarks/Cargo.toml -- all`; do not edit. Every figure is a median of rounds in which all contenders
took turns; every ratio is the median of each round's own, with its lowest and highest beside it. The server that is measured has one core to itself,
the load generator and the agent share the other. How and why: [decision 24](decisions/0024-benchmarks.md), [benchmarks/](../benchmarks/README.md).
";

const TAIL: &str = "
## Measured elsewhere

- Grants, minted, verified and seen before, beside plain signatures and other engines: [benchmarks/capability](../benchmarks/README.md#authority), [comparison](comparison.md).
- Choosing among 100,000 agents: [selection](selection.md).
- The store's engine: [decision 3](decisions/0003-embedded-store-engine.md).
";

/// What the page says of one experiment.
pub struct Section<'a> {
    pub experiment: &'a Experiment,
    pub outcome: Outcome,
    /// What somebody who looked closer found out, in words; empty if nobody has.
    pub finding: String,
}

/// The whole page, of what has been measured. `profile` is what was found out about all of it.
pub fn page(found: &[Section<'_>], profile: &str) -> String {
    let mut text = HEAD.to_owned();
    if found.is_empty() {
        return text + "\nNothing has been measured yet.\n" + TAIL;
    }
    text.push_str("\n## Goals\n\n| experiment | ratio | is | goal | met |\n|---|---|---|---|---|\n");
    for Section { experiment, outcome, .. } in found {
        for verdict in outcome.verdicts.iter().filter(|verdict| verdict.goal.is_some()) {
            let name = format!("[{}](#{})", experiment.name, anchor(experiment.title));
            push_line(&mut text, &[&name, &verdict.what, &spread(verdict), &goal(verdict), is_met(verdict)]);
        }
    }
    if !profile.is_empty() {
        let _ = write!(text, "\n## Where the time goes\n\n{}\n", profile.trim());
    }
    for section in found {
        push_section(&mut text, section);
    }
    text + TAIL
}

fn push_section(text: &mut String, section: &Section<'_>) {
    let Section { experiment, outcome, finding } = section;
    let Outcome { rounds, verdicts, .. } = outcome;
    let name = experiment.name;
    // Writing to a string cannot fail.
    let _ = write!(text, "\n## {}\n\n{}\n\n", experiment.title, experiment.about);
    let mut head = vec![""];
    head.extend(rounds.columns.iter().map(String::as_str));
    push_line(text, &head);
    push_line(text, &vec!["---"; head.len()]);
    for row in &rounds.rows {
        let figures = rounds
            .columns
            .iter()
            .map(|column| rounds.median(&row.name, column).map_or("".to_owned(), figure));
        let line: Vec<String> = std::iter::once(row.name.clone()).chain(figures).collect();
        push_line(text, &line.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if !verdicts.is_empty() {
        text.push_str("\n| ratio | is (lowest to highest round) | goal | met |\n|---|---|---|---|\n");
        for verdict in verdicts {
            push_line(text, &[&verdict.what, &spread(verdict), &goal(verdict), is_met(verdict)]);
        }
    }
    if outcome.picture.is_some() {
        let _ = write!(text, "\n![{}](img/benchmark-{name}.svg)\n", experiment.title);
    }
    if !finding.is_empty() {
        let _ = write!(text, "\n{}\n", finding.trim());
    }
    text.push('\n');
    for note in &outcome.notes {
        let _ = writeln!(text, "- {note}");
    }
    for skipped in &outcome.skipped {
        let _ = writeln!(text, "- Not measured: {skipped}");
    }
    for dropped in &rounds.dropped {
        let _ = writeln!(text, "- Dropped: {dropped}.");
    }
    let versions: Vec<String> =
        outcome.versions.iter().map(|(what, version)| format!("{what} {version}")).collect();
    let _ = write!(
        text,
        "- {}, {} kept. {}. {}. {}.\n- Again: `cargo run --release --manifest-path benchmarks/Cargo.toml -- {name}`\n",
        outcome.plan,
        rounds.kept,
        outcome.measured,
        outcome.machine.join("; "),
        versions.join(", "),
    );
}

fn push_line(text: &mut String, cells: &[&str]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn spread(verdict: &Verdict) -> String {
    let Verdict { ratio, lowest, highest, .. } = verdict;
    format!("{} ({} to {})", short(*ratio), short(*lowest), short(*highest))
}

fn goal(verdict: &Verdict) -> String {
    match verdict.goal {
        None => String::new(),
        Some(Goal::AtMost(limit)) => format!("≤ {}", short(limit)),
        Some(Goal::AtLeast(limit)) => format!("≥ {}", short(limit)),
    }
}

fn is_met(verdict: &Verdict) -> &'static str {
    match verdict.goal {
        None => "",
        Some(goal) if goal.is_met(verdict.ratio) => "yes",
        Some(_) => "**no**",
    }
}

/// A ratio: two decimals, more where it is small.
fn short(ratio: f64) -> String {
    let decimals = if ratio.abs() < 0.1 { 3 } else { 2 };
    let text = format!("{ratio:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A figure: three digits that count, thousands apart.
fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            format!("{}{}", if value < 0.0 { "-" } else { "" }, whole(large.round() as u64))
        }
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A whole number, thousands apart.
pub fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Where GitHub puts a heading.
fn anchor(title: &str) -> String {
    let kept = title.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::ALL;
    use crate::outcome::tests::outcome;

    #[test]
    fn a_page_says_what_was_measured_and_whether_it_is_enough() {
        let judged = outcome()
            .judge("CPU µs", "broker", "floor", Some(Goal::AtMost(1.5)))
            .judge("CPU µs", "floor", "broker", None)
            .note("a note");
        let experiment = ALL.iter().find(|experiment| experiment.name == "hop").unwrap();
        let finding = "It is slow because.".to_owned();
        let page = page(&[Section { experiment, outcome: judged, finding }], "Half of it is fsync.");
        for line in [
            "|  | CPU µs |",
            "| floor | 10.0 |",
            "| broker | 40.0 |",
            "| CPU µs: broker / floor | 2 (2 to 4) | ≤ 1.5 | **no** |",
            "| CPU µs: floor / broker | 0.5 (0.25 to 0.5) |  |  |",
            "- a note",
            "It is slow because.",
            "Half of it is fsync.",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        assert_eq!(page.matches("**no**").count(), 2, "in the summary and in the section");
    }

    #[test]
    fn figures_are_as_long_as_they_are_sure() {
        assert_eq!(
            [0.123, 12.34, 123.4, 1234.4, 1_234_567.0].map(figure),
            ["0.12", "12.3", "123", "1,234", "1,234,567"]
        );
        assert_eq!([2.0, 1.5, 0.0133, 120.0].map(short), ["2", "1.5", "0.013", "120"]);
    }

    #[test]
    fn a_heading_is_linked_as_it_is_shown() {
        assert_eq!(anchor("SendMessage, durable: 32 at a time"), "sendmessage-durable-32-at-a-time");
    }
}
