//! The report for people: one line a requirement, and below it what was seen, on which bindings, by which check.

use std::fmt::Write;

use super::{Judged, Report, Verdict};
use crate::suite::requirement::Level;

/// Below the text of a requirement.
const INDENT: &str = "                           ";

pub(super) fn written(report: &Report) -> String {
    let bindings: Vec<&str> = report.bindings.iter().map(|kind| kind.name()).collect();
    let mut out = format!(
        "{} at {}\njudged on {} by {}\n\n",
        report.name,
        report.url,
        bindings.join(", "),
        report.specification
    );
    let mut section = "";
    for judged in &report.judged {
        if judged.section != section {
            section = &judged.section;
            let number = judged.requirement.id.split('-').next().unwrap_or_default();
            let _ = writeln!(out, "§{number} {section}");
        }
        line(&mut out, judged);
    }
    out.push('\n');
    for level in [Level::Must, Level::Should, Level::May] {
        let [pass, fail, skip] = ["pass", "fail", "skip"].map(|verdict| report.count(level, verdict));
        let _ = writeln!(out, "{:6} {pass:3} passed {fail:3} failed {skip:3} skipped", level.name());
    }
    conclusion(&mut out, report);
    out
}

/// What follows from it, in words.
fn conclusion(out: &mut String, report: &Report) {
    let ids: Vec<&str> = report.failures(Level::Must).map(|judged| judged.requirement.id.as_str()).collect();
    let _ = match ids.first() {
        None => {
            writeln!(out, "\nNo MUST failed (exit code 0). What was skipped was not seen; each says why.")
        }
        Some(first) => writeln!(
            out,
            "\n{} MUST failed (exit code 1): {}. To see one alone: --only {first}",
            ids.len(),
            ids.join(", ")
        ),
    };
}

fn line(out: &mut String, judged: &Judged) {
    let requirement = &judged.requirement;
    let verdict = judged.verdict();
    let word = if judged.failed() { "FAIL" } else { verdict.name() };
    let (level, id) = (requirement.level.name(), &requirement.id);
    let _ = writeln!(out, "  {word:4}  {level:6}  {id:9}  {}", requirement.text);
    if let Verdict::Skip(why) = &verdict {
        let _ = writeln!(out, "{INDENT}{why}");
        return;
    }
    for (places, check, seen) in judged.grounds() {
        let _ = writeln!(out, "{INDENT}{}: {seen} ({check})", places.join(", "));
    }
}
