//! The report for programs: every requirement with what came of each of its checks.

use serde_json::{Value, json};

use super::{Judged, Report, place};
use crate::suite::requirement::Level;

pub(super) fn written(report: &Report) -> String {
    let bindings: Vec<&str> = report.bindings.iter().map(|kind| kind.name()).collect();
    let count = |level: Level| {
        let [pass, fail, skip] = ["pass", "fail", "skip"].map(|verdict| report.count(level, verdict));
        json!({ "pass": pass, "fail": fail, "skip": skip })
    };
    let document = json!({
        "url": report.url,
        "name": report.name,
        "bindings": bindings,
        "specification": report.specification,
        "summary": {
            "MUST": count(Level::Must), "SHOULD": count(Level::Should), "MAY": count(Level::May),
        },
        "requirements": report.judged.iter().map(entry).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn entry(judged: &Judged) -> Value {
    let requirement = &judged.requirement;
    let verdict = judged.verdict();
    let checks: Vec<Value> = judged
        .outcomes
        .iter()
        .map(|outcome| {
            json!({
                "check": outcome.check,
                "binding": place(outcome),
                "verdict": outcome.verdict.name(),
                "seen": outcome.verdict.seen(),
            })
        })
        .collect();
    json!({
        "id": requirement.id,
        "level": requirement.level.name(),
        "section": judged.section,
        "text": requirement.text,
        "verdict": verdict.name(),
        "seen": verdict.seen(),
        "checks": checks,
    })
}
