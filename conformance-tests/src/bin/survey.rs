//! Points the suite at servers of the official SDKs and at the broker, and writes down what it finds:
//! `docs/conformance.md`.
#![allow(clippy::print_stderr, reason = "a command line says what it finds")]

use std::fmt::Write;
use std::path::Path;

use conformance_tests::suite::binding::Kind;
use conformance_tests::suite::report::{Judged, Report};
use conformance_tests::suite::requirement::{Level, Requirement, Trace};
use conformance_tests::suite::server::Subject;
use conformance_tests::suite::{self, Order};
use conformance_tests::{Agent, Broker, missing_node};

const HEAD: &str = "# Conformance

What the suite in `conformance-tests/` finds where it is pointed at servers of the official SDKs, unmodified, and at
the broker with such an agent behind it. Written by

<!-- not run: it writes this page, and takes minutes -->
```sh
cargo run -p conformance-tests --bin survey
```

Any A2A server can be judged the same way, on every binding its card declares:

<!-- not run: there is no such agent; CI judges real ones -->
```sh
cargo run -p conformance-tests -- --url https://agent.example.com   # [--token …] [--binding grpc] [--format text|json|junit]
```

Every MUST and SHOULD of the specification is traced to its checks, or to the reason why it has none, in
[`conformance-tests/requirements.toml`](../conformance-tests/requirements.toml). A requirement that could not be seen
(no credentials to judge with, no signature on the card, a capability the card does not declare) counts as skipped.
What is counted here was judged on one machine, without TLS and without credentials; the tests judge the broker with
principals too. The Python and JavaScript agents follow scripts (`agents/scripted.py`, `agents/js/scripted.mjs`), so
more of them can be seen than of the Rust example. They have the SDKs' defaults but for one: in Python a validator of
ours takes webhooks on loopback only, so 13.2-3 (SSRF) passing there says nothing of that SDK. Signatures of cards are
judged by their form; they are not verified.
";

/// Where another survey keeps its table, which this one leaves as it is.
const MATRIX: [&str; 2] = ["<!-- matrix -->", "<!-- /matrix -->"];

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
    let mut all = vec![surveyed("Python `a2a-sdk` 1.3.0", python.url().to_owned(), true).await?];
    if let Some(why) = missing_node() {
        eprintln!("without the JavaScript SDK: {why}");
    } else {
        let javascript = Agent::scripted_js("javascript", &["--quiet"]);
        all.push(surveyed("JavaScript `@a2a-js/sdk` 1.3.0", javascript.url().to_owned(), true).await?);
    }
    all.push(surveyed("Rust `a2a-server-lf` 0.5", rust.url().to_owned(), false).await?);
    all.push(surveyed("the broker, `a2a-sdk` behind it", broker.agent_url("worker"), true).await?);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let kept = matrix(&std::fs::read_to_string(&file).unwrap_or_default());
    let page = page(&all, &Trace::read()?) + &kept;
    std::fs::write(&file, page).map_err(|error| format!("{}: {error}", file.display()))
}

/// The region of the page that is not this survey's.
fn matrix(page: &str) -> String {
    let [begin, end] = MATRIX;
    let region = page.split_once(begin).and_then(|(_, rest)| rest.split_once(end));
    region.map(|(inside, _)| format!("\n{begin}{inside}{end}\n")).unwrap_or_default()
}

async fn surveyed(name: &'static str, url: String, scripted: bool) -> Result<Surveyed, String> {
    eprintln!("judging {name}");
    let subject = Subject { url, scripted, ..Subject::default() };
    let order = Order { subject, kinds: Kind::ALL.to_vec(), only: String::new() };
    Ok(Surveyed { name, report: suite::judge(order).await? })
}

fn page(all: &[Surveyed], trace: &Trace) -> String {
    let mut out = String::from(HEAD);
    out.push_str("\n## Traced\n\n");
    traced(&mut out, trace);
    out.push_str("\n## Judged\n\nPassed / failed / skipped requirements.\n\n");
    out.push_str("| server | binding | MUST | SHOULD | MAY |\n|---|---|---|---|---|\n");
    for Surveyed { name, report } in all {
        let _ = writeln!(out, "| {name} | all | {} |", counts(report));
        for kind in &report.bindings {
            let _ = writeln!(out, "| | {} | {} |", kind.name(), counts(&report.on(*kind)));
        }
    }
    for Surveyed { name, report } in all {
        let _ = write!(out, "\n## Findings: {name}\n\n");
        findings(&mut out, report);
    }
    out
}

fn counts(report: &Report) -> String {
    let of_level =
        |level| ["pass", "fail", "skip"].map(|verdict| report.count(level, verdict).to_string()).join(" / ");
    [Level::Must, Level::Should, Level::May].map(of_level).join(" | ")
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
                out.push_str("| | requirement | on | seen |\n|---|---|---|---|\n");
                any = true;
            }
            finding(out, judged);
        }
    }
    if !any {
        out.push_str("None.\n");
    }
}

/// A row for each check that failed.
fn finding(out: &mut String, judged: &Judged) {
    let requirement = &judged.requirement;
    for (places, _, seen) in judged.grounds() {
        let (level, places, seen) = (requirement.level.name(), places.join(", "), plain(seen));
        let _ = writeln!(out, "| {level} | {} {} | {places} | {seen} |", requirement.id, requirement.text);
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
