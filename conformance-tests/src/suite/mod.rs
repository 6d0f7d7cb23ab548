//! Judges any A2A server at a URL, by nothing but what it says on the wire.
//!
//! `requirements.toml` says what the specification asks and which checks judge it; `checks/` holds the checks, in
//! files named by section; `binding/` puts operations on the wire; `report/` says what was found.

pub mod bench;
pub mod binding;
pub mod check;
pub mod checks;
pub mod http;
pub mod operation;
pub mod protobuf;
pub mod report;
pub mod requirement;
pub mod server;
pub mod shape;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use bench::Bench;
use binding::{Binding, Kind};
use check::{Check, On, Stop};
use report::{Outcome, Report, Verdict};
use requirement::Trace;
use server::{Server, Subject};

/// Longest time for one check.
const CHECK_LIMIT: Duration = Duration::from_mins(2);

/// What is to be judged.
#[derive(Debug, Clone)]
pub struct Order {
    /// The server.
    pub subject: Subject,
    /// On which bindings, of those its card declares.
    pub kinds: Vec<Kind>,
    /// Only requirements whose id, or checks whose name, begin so; empty for all.
    pub only: String,
}

/// Judges a server. Errors say why it cannot be judged.
pub async fn judge(order: Order) -> Result<Report, String> {
    let trace = Trace::read()?;
    let wanted = |check: &Check| {
        let of_requirement = trace.requirements().any(|requirement| {
            requirement.id.starts_with(&order.only)
                && requirement.checks.iter().any(|name| name == check.name)
        });
        of_requirement || check.name.starts_with(&order.only)
    };
    let checks: Vec<&Check> = checks::all().filter(|check| wanted(check)).collect();
    if checks.is_empty() {
        return Err(format!("no requirement and no check begins with {:?}", order.only));
    }
    let server = Arc::new(Server::discover(order.subject.clone(), &order.kinds).await?);
    let mut outcomes = Vec::new();
    for check in checks {
        for binding in places(&server, check.on) {
            let bench = Bench { server: Arc::clone(&server), binding: binding.clone() };
            outcomes.push(Outcome {
                check: check.name,
                binding: (check.on != On::Server).then_some(binding.kind),
                verdict: run(check, &bench).await,
            });
        }
    }
    Ok(Report::new(&server, &trace, &outcomes, &order.only))
}

async fn run(check: &Check, bench: &Bench) -> Verdict {
    match tokio::time::timeout(CHECK_LIMIT, (check.run)(bench)).await {
        Ok(Ok(seen)) => Verdict::Pass(seen),
        Ok(Err(Stop::Fail(seen))) => Verdict::Fail(seen),
        Ok(Err(Stop::Skip(why))) => Verdict::Skip(why),
        Err(_) => Verdict::Fail(format!("no end within {} s", CHECK_LIMIT.as_secs())),
    }
}

fn places(server: &Server, on: On) -> Vec<&Binding> {
    let of = |fits: fn(Kind) -> bool| server.bindings.iter().filter(|binding| fits(binding.kind)).collect();
    match on {
        On::Server => server.bindings.iter().take(1).collect(),
        On::Each => server.bindings.iter().collect(),
        On::JsonRpc => of(|kind| kind == Kind::JsonRpc),
        On::HttpJson => of(|kind| kind == Kind::HttpJson),
        On::Grpc => of(|kind| kind == Kind::Grpc),
        On::Json => of(Kind::is_json),
    }
}
