//! Points the suite at servers of the official SDKs and at the broker, and writes down what it finds:
//! `docs/conformance.md`.
#![allow(clippy::print_stdout, reason = "a command line says what it finds")]

use std::fmt::Write;

use conformance_tests::suite::binding::Kind;
use conformance_tests::suite::report::Report;
use conformance_tests::suite::requirement::{Level, Requirement, Trace};
use conformance_tests::suite::server::Subject;
use conformance_tests::suite::{self, Order};
use conformance_tests::{Agent, Broker};

const HEAD: &str = "# Conformance

What the suite in `conformance-tests/` finds where it is pointed at servers of the official SDKs, unmodified, and at
the broker with such an agent behind it. Written by

```
cargo run -p conformance-tests --bin survey > docs/conformance.md
```

Any A2A server can be judged the same way:

```
cargo run -p conformance-tests -- --url https://agent.example.com [--token …] [--format text|json|junit]
```

Every MUST and SHOULD of the specification is traced to its checks, or to the reason why it has none, in
[`conformance-tests/requirements.toml`](../conformance-tests/requirements.toml). A requirement that could not be seen
(no credentials to judge with, no signature on the card, a capability the card does not declare) counts as skipped.
What is counted here was judged on one machine, without TLS and without credentials; the tests judge the broker with
principals too. The Python agent follows scripts (`agents/scripted.py`), so more of it can be seen than of the Rust
example. It has the SDK's defaults but for one: a validator of ours takes webhooks on loopback only, so 13.2-3 (SSRF)
passing there says nothing of the SDK. Signatures of cards are judged by their form; they are not verified.
";

/// Whether a requirement is of a kind.
type Holds = fn(&Requirement) -> bool;

struct Surveyed {
    name: &'static str,
    report: Report,
}

#[tokio::main]
async fn main() -> Result<(), String> {
    let python = Agent::for_the_suite("python");
    let rust = Agent::rust_example("specialist");
    let broker = Broker::start("");
    broker.add_agent("worker", python.url(), &[]).await;
    let all = [
        surveyed("Python `a2a-sdk` 1.3.0", python.url().to_owned(), true).await?,
        surveyed("Rust `a2a-server-lf` 0.5", rust.url().to_owned(), false).await?,
        surveyed("the broker, `a2a-sdk` behind it", broker.agent_url("worker"), true).await?,
    ];
    print!("{}", page(&all, &Trace::read()?));
    Ok(())
}

async fn surveyed(name: &'static str, url: String, scripted: bool) -> Result<Surveyed, String> {
    let subject = Subject { url, scripted, ..Subject::default() };
    let order = Order { subject, kinds: Kind::ALL.to_vec(), only: String::new() };
    Ok(Surveyed { name, report: suite::judge(order).await? })
}

fn page(all: &[Surveyed], trace: &Trace) -> String {
    let mut out = String::from(HEAD);
    out.push_str("\n## Traced\n\n");
    traced(&mut out, trace);
    out.push_str("\n## Judged\n\nPassed / failed / skipped requirements.\n\n");
    out.push_str("| server | bindings | MUST | SHOULD | MAY |\n|---|---|---|---|---|\n");
    for Surveyed { name, report } in all {
        let bindings: Vec<&str> = report.bindings.iter().map(|kind| kind.name()).collect();
        let counts = [Level::Must, Level::Should, Level::May].map(|level| {
            ["pass", "fail", "skip"].map(|verdict| report.count(level, verdict).to_string()).join(" / ")
        });
        let _ = writeln!(out, "| {name} | {} | {} |", bindings.join(", "), counts.join(" | "));
    }
    for Surveyed { name, report } in all {
        let _ = write!(out, "\n## Findings: {name}\n\n");
        findings(&mut out, report);
    }
    out
}

fn traced(out: &mut String, trace: &Trace) {
    let count = |holds: Holds| -> usize {
        trace
            .requirements()
            .filter(|requirement| holds(requirement))
            .map(|requirement| requirement.keywords)
            .sum()
    };
    let keywords = count(|_| true);
    let _ =
        writeln!(out, "| of the {keywords} words MUST, SHALL, REQUIRED, SHOULD, RECOMMENDED | |\n|---|---|");
    let rows: [(&str, Holds); 4] = [
        ("judged by checks", |requirement| !requirement.checks.is_empty()),
        ("bind clients", |requirement| requirement.client),
        ("bind authors of documents, bindings, extensions, SDKs", |requirement| {
            requirement.document.is_some()
        }),
        ("not visible from outside", |requirement| requirement.untestable.is_some()),
    ];
    for (what, holds) in rows {
        let _ = writeln!(out, "| {what} | {} |", count(holds));
    }
    let tables = trace.requirements().filter(|requirement| requirement.keywords == 0).count();
    let _ = writeln!(
        out,
        "\n{} checks; beside these, {tables} requirements stand in tables of the text or comments of the proto.",
        suite::checks::all().count()
    );
}

fn findings(out: &mut String, report: &Report) {
    let mut any = false;
    for level in [Level::Must, Level::Should, Level::May] {
        for judged in report.failures(level) {
            if !any {
                out.push_str("| | requirement | seen |\n|---|---|---|\n");
                any = true;
            }
            let (id, text) = (&judged.requirement.id, &judged.requirement.text);
            let seen = plain(judged.verdict().seen());
            let _ = writeln!(out, "| {} | {id} {text} | {seen} |", level.name());
        }
    }
    if !any {
        out.push_str("None.\n");
    }
}

/// What was seen, fit for a table, and without the ids that differ from run to run.
fn plain(seen: &str) -> String {
    let hides = |word: &str| word.len() == 36 && word.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    let mut out = String::new();
    for word in seen.split_inclusive(|c: char| c != '-' && !c.is_ascii_alphanumeric()) {
        let end = word.trim_end_matches(|c: char| c != '-' && !c.is_ascii_alphanumeric());
        let bare = end.trim_start_matches("conformance-");
        out.push_str(if hides(bare) { "…" } else { end });
        out.push_str(&word[end.len()..]);
    }
    out.replace('|', "\\|").replace('<', "&lt;")
}
