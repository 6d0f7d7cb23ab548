//! The report for continuous integration: one test case a requirement. Only a MUST fails; a SHOULD that is not met
//! stands in the case's output, since a build must not break over it.

use std::fmt::Write;

use super::{Judged, Report, Verdict};
use crate::suite::requirement::Level;

pub(super) fn written(report: &Report) -> String {
    let failures = report.count(Level::Must, "fail");
    let skipped: usize =
        [Level::Must, Level::Should, Level::May].iter().map(|level| report.count(*level, "skip")).sum();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"A2A conformance of {}\" tests=\"{}\" \
         failures=\"{failures}\" skipped=\"{skipped}\">\n",
        escaped(&report.url),
        report.judged.len(),
    );
    for judged in &report.judged {
        case(&mut out, judged);
    }
    out.push_str("</testsuite>\n");
    out
}

fn case(out: &mut String, judged: &Judged) {
    let requirement = &judged.requirement;
    let name = escaped(&format!("{} {} {}", requirement.id, requirement.level.name(), requirement.text));
    let _ = write!(out, "  <testcase classname=\"{}\" name=\"{name}\">", escaped(&judged.section));
    let verdict = judged.verdict();
    let seen = escaped(verdict.seen());
    let _ = match verdict {
        Verdict::Fail(_) if requirement.level == Level::Must => write!(out, "<failure message=\"{seen}\"/>"),
        Verdict::Fail(_) => write!(out, "<system-out>not met: {seen}</system-out>"),
        Verdict::Skip(_) => write!(out, "<skipped message=\"{seen}\"/>"),
        Verdict::Pass(_) => write!(out, "<system-out>{seen}</system-out>"),
    };
    out.push_str("</testcase>\n");
}

/// Text for XML; characters XML has no place for become a question mark.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
        out
    })
}
