//! What the broker counts, for Prometheus: requests, tasks, attempts, refusals, decisions; and how things stand when it is
//! asked. Labels are words of the broker's own or names of registered agents, never what a caller may choose.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use broker_core::Tree;
use broker_core::journal::{AttemptOutcome, Fact, Record};
use broker_core::quota::Bound;
use broker_core::text::word;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use protocol::A2aError;

use super::agents::Health;
use super::quotas::BoundView;
use super::{Broker, Caller, QuotaKind, error};

/// The media type of what is shown (OpenMetrics 1.0).
pub const METRICS_MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of durations of requests: from a millisecond to half a minute, doubling.
const REQUEST_BUCKETS: (f64, f64, u16) = (0.001, 2.0, 16);
/// Bounds of durations of tasks: from 50 milliseconds to 14 hours, doubling.
const TASK_BUCKETS: (f64, f64, u16) = (0.05, 2.0, 21);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    binding: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BindingLabels {
    binding: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AgentLabels {
    agent: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    agent: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    agent: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuotaLabels {
    kind: &'static str,
    bound: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UseLabels {
    kind: &'static str,
    name: String,
    bound: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: String,
}

/// All of it.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<BindingLabels, Histogram, fn() -> Histogram>,
    begun: Family<AgentLabels, Counter>,
    ended: Family<EndLabels, Counter>,
    task_seconds: Family<AgentLabels, Histogram, fn() -> Histogram>,
    attempts: Family<OutcomeLabels, Counter>,
    refusals: Family<ReasonLabels, Counter>,
    quota_refusals: Family<QuotaLabels, Counter>,
    quota_used: Family<UseLabels, Gauge<f64, AtomicU64>>,
    choices: Family<VerdictLabels, Counter>,
    checks: Family<VerdictLabels, Counter>,
    records: Counter,
    open: Gauge,
    principals: Gauge,
    busy: Family<AgentLabels, Gauge>,
    waiting: Family<AgentLabels, Gauge>,
    failing: Family<AgentLabels, Gauge>,
    uptime: Gauge<f64, AtomicU64>,
    /// Held while things are looked at.
    alone: Mutex<()>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("bailiwick");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", version);
        let mut new = Self {
            registry,
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(request_histogram),
            begun: Family::default(),
            ended: Family::default(),
            task_seconds: Family::new_with_constructor(task_histogram),
            attempts: Family::default(),
            refusals: Family::default(),
            quota_refusals: Family::default(),
            quota_used: Family::default(),
            choices: Family::default(),
            checks: Family::default(),
            records: Counter::default(),
            open: Gauge::default(),
            principals: Gauge::default(),
            busy: Family::default(),
            waiting: Family::default(),
            failing: Family::default(),
            uptime: Gauge::default(),
            alone: Mutex::default(),
        };
        new.register();
        new
    }

    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("requests", "Requests answered, by binding and HTTP status", self.requests.clone());
        let help = "From a request's head to the head of its answer, in seconds";
        to.register("request_seconds", help, self.request_seconds.clone());
        to.register("tasks_submitted", "Tasks submitted, by agent", self.begun.clone());
        to.register("tasks_ended", "Tasks that ended, by agent and state", self.ended.clone());
        let help = "From a task's delegation to its end, in seconds";
        to.register("task_seconds", help, self.task_seconds.clone());
        to.register(
            "attempts_ended",
            "Attempts that did not bring a result, by outcome",
            self.attempts.clone(),
        );
        to.register("refusals", "What was refused, by reason", self.refusals.clone());
        let help = "What quotas did not allow, by whose they are and bound";
        to.register("quota_refusals", help, self.quota_refusals.clone());
        let help = "Share of a quota that is used or held, 0 to 1, of whom the configuration names";
        to.register("quota_used_ratio", help, self.quota_used.clone());
        to.register("choices", "Delegates weighed, by verdict", self.choices.clone());
        to.register("checks", "Results checked before they were shown, by verdict", self.checks.clone());
        to.register("journal_records", "Records made durable", self.records.clone());
        to.register("tasks_open", "Open tasks", self.open.clone());
        to.register("principals_active", "Principals that have open tasks", self.principals.clone());
        to.register("agent_busy", "Tasks at an agent, where their number is limited", self.busy.clone());
        to.register("agent_waiting", "Tasks that wait for an agent", self.waiting.clone());
        let help = "1 while an agent could not be spoken to the last time";
        to.register("agent_failing", help, self.failing.clone());
        to.register("uptime_seconds", "Since the broker started", self.uptime.clone());
    }

    fn note_record(&self, tree: &Tree, record: &Record) {
        let agent = || tree.agent(record.task).unwrap_or_default().to_owned();
        match &record.fact {
            Fact::Submitted(submission) => {
                let agent = submission.terms.agent.clone();
                self.begun.get_or_create(&AgentLabels { agent }).inc();
            }
            Fact::Ended(outcome) => {
                let (agent, state) = (agent(), outcome.state.as_str());
                if let Some(work) = tree.work_of(record.task, record.at) {
                    let took = Duration::from_millis(u64::try_from(work.took_ms).unwrap_or_default());
                    let labels = AgentLabels { agent: agent.clone() };
                    self.task_seconds.get_or_create(&labels).observe(took.as_secs_f64());
                }
                self.ended.get_or_create(&EndLabels { agent, state }).inc();
            }
            // That one is with another agent by now, and nothing went wrong.
            Fact::AttemptEnded { outcome: AttemptOutcome::HandedOff, .. } => {}
            Fact::AttemptEnded { outcome, .. } => {
                let labels = OutcomeLabels { agent: agent(), outcome: word(outcome) };
                self.attempts.get_or_create(&labels).inc();
            }
            Fact::Weighed(choice) => {
                self.choices.get_or_create(&VerdictLabels { verdict: word(&choice.verdict) }).inc();
            }
            Fact::Checked { verdict, .. } => {
                self.checks.get_or_create(&VerdictLabels { verdict: word(&verdict.outcome) }).inc();
            }
            _ => {}
        }
    }
}

impl Broker {
    /// Counts what became true.
    pub(super) fn count_records(&self, tree: &Tree, records: &[Record]) {
        self.metrics.records.inc_by(records.len() as u64);
        for record in records {
            self.metrics.note_record(tree, record);
        }
    }

    /// Counts what was refused.
    pub(super) fn count_refusal(&self, reason: &'static str) {
        self.metrics.refusals.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts what a quota did not allow.
    pub(super) fn count_quota_refusal(&self, kind: QuotaKind, bound: Bound) {
        let labels = QuotaLabels { kind: kind.name(), bound: bound.name() };
        self.metrics.quota_refusals.get_or_create(&labels).inc();
    }

    /// Counts a request that was answered with an HTTP status code.
    pub fn count_request(&self, binding: &'static str, code: u16, took: Duration) {
        self.metrics.requests.get_or_create(&RequestLabels { binding, code }).inc();
        self.metrics.request_seconds.get_or_create(&BindingLabels { binding }).observe(took.as_secs_f64());
    }

    /// All that is counted, as OpenMetrics text. For operators.
    pub async fn metrics(self: &Arc<Self>, caller: &Caller) -> Result<String, A2aError> {
        self.require_operator(caller, "read the metrics")?;
        let broker = Arc::clone(self);
        // With many agents it takes its time.
        let shown = tokio::task::spawn_blocking(move || broker.show_metrics()).await;
        shown.map_err(|_| error::internal())
    }

    fn show_metrics(&self) -> String {
        // Another one must not look while agents are being counted anew.
        let _alone = self.metrics.alone.lock().unwrap_or_else(PoisonError::into_inner);
        self.measure();
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.metrics.registry);
        text
    }

    /// An agent is gone, and with it the largest of what is counted of it.
    pub(super) fn forget_metrics(&self, agent: &str) {
        self.metrics.task_seconds.remove(&AgentLabels { agent: agent.to_owned() });
    }

    /// Looks how things stand.
    fn measure(&self) {
        let metrics = &self.metrics;
        let (principals, open) = self.quotas.open_tasks();
        metrics.open.set(gauge(open));
        metrics.principals.set(gauge(principals));
        let up = self.clock.now().as_millis().saturating_sub(self.started.as_millis());
        metrics.uptime.set(Duration::from_millis(u64::try_from(up).unwrap_or_default()).as_secs_f64());
        for family in [&metrics.busy, &metrics.waiting, &metrics.failing] {
            family.clear();
        }
        self.measure_quotas();
        for agent in self.registry.all() {
            let load = self.load_of(&agent.name);
            let labels = AgentLabels { agent: agent.name.clone() };
            let is_failing = matches!(self.health(&agent.name), Health::Failing { .. });
            metrics.busy.get_or_create(&labels).set(gauge(load.busy as u64));
            metrics.waiting.get_or_create(&labels).set(gauge(load.waiting as u64));
            metrics.failing.get_or_create(&labels).set(is_failing.into());
        }
    }
}

impl Broker {
    /// Only of whom the configuration names: principals that tokens name have no bound in number.
    fn measure_quotas(&self) {
        self.metrics.quota_used.clear();
        for view in self.named_quotas() {
            for (bound, BoundView { limit, used, held }) in view.bounds {
                let Some(limit) = limit else { continue };
                let labels = UseLabels { kind: view.kind.name(), name: view.name.clone(), bound };
                // Precise enough for a share.
                #[allow(clippy::cast_precision_loss, reason = "a share needs no more")]
                let share = used.saturating_add(held) as f64 / limit.max(1) as f64;
                self.metrics.quota_used.get_or_create(&labels).set(share);
            }
        }
    }
}

fn request_histogram() -> Histogram {
    let (start, factor, length) = REQUEST_BUCKETS;
    Histogram::new(exponential_buckets(start, factor, length))
}

fn task_histogram() -> Histogram {
    let (start, factor, length) = TASK_BUCKETS;
    Histogram::new(exponential_buckets(start, factor, length))
}

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
