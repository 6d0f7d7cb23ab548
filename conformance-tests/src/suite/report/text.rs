//! The report for people: one line a requirement, and below it what was seen where it did not simply pass.

use std::fmt::Write;

use super::{Judged, Report, Verdict, place};
use crate::suite::requirement::Level;

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
    out
}

fn line(out: &mut String, judged: &Judged) {
    let requirement = &judged.requirement;
    let verdict = judged.verdict();
    let word = if judged.failed() { "FAIL" } else { verdict.name() };
    let _ = writeln!(
        out,
        "  {word:4}  {:6}  {:9}  {}",
        requirement.level.name(),
        requirement.id,
        requirement.text
    );
    match verdict {
        Verdict::Pass(_) => {
            for outcome in
                judged.outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Pass(_)))
            {
                let _ = writeln!(out, "          {:9}  {}", place(outcome), outcome.verdict.seen());
            }
        }
        Verdict::Skip(why) => {
            let _ = writeln!(out, "                     {why}");
        }
        Verdict::Fail(_) => {
            for outcome in
                judged.outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Fail(_)))
            {
                let (place, seen) = (place(outcome), outcome.verdict.seen());
                let _ = writeln!(out, "          {place:9}  {}: {seen}", outcome.check);
            }
        }
    }
}
