//! Spans on their way to an OpenTelemetry collector (OTLP over HTTP). Batching, encoding and retrying are the SDK's; the
//! connection is the dialer's, as all connections are.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use broker_core::Timestamp;
use broker_core::delegation::spans::{Span, Value};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value as OtelValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};

use super::body;
use super::dialer::Dialer;
use crate::address::Reach;
use crate::ports::traces::Traces;

/// Of what a collector answers, read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Spans that wait for the collector; of more, the newest are dropped.
const MAX_WAITING: usize = 8 * 1024;
/// What collectors call this program, unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "bailiwick";

/// Where a collector is and how it is talked to.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Where spans are posted to.
    pub url: String,
    /// How often what waits is sent.
    pub interval: Duration,
    /// For one request.
    pub timeout: Duration,
}

/// Sends spans to a collector.
pub struct Otlp {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Otlp {
    /// Begins to send. Call within the runtime that is to carry the requests.
    pub fn start(dialer: Arc<Dialer>, to: &Collector) -> Result<Self, String> {
        let client = ByDialer { dialer, runtime: tokio::runtime::Handle::current(), timeout: to.timeout };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&to.url)
            .with_timeout(to.timeout)
            .build()
            .map_err(|error| format!("traces cannot be sent to {}: {error}", to.url))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_scheduled_delay(to.interval)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        processor.set_resource(&resource());
        Ok(Self { processor, scope: InstrumentationScope::builder(SERVICE).build() })
    }
}

impl Traces for Otlp {
    fn record(&self, span: Span) {
        let kind = if span.is_call { SpanKind::Client } else { SpanKind::Internal };
        let context = SpanContext::new(
            TraceId::from(span.trace),
            SpanId::from(span.id),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        self.processor.on_end(SpanData {
            span_context: context,
            parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: false,
            span_kind: kind,
            name: Cow::Owned(span.name),
            start_time: system_time(span.start),
            end_time: system_time(span.end),
            attributes: span.attributes.into_iter().map(|(name, value)| attribute(name, value)).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: span.problem.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }

    fn close(&self) {
        if let Err(error) = self.processor.shutdown() {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}

fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    // The environment has the last word (OpenTelemetry's specification of resources).
    if std::env::var_os("OTEL_SERVICE_NAME").is_some() {
        return builder.build();
    }
    builder.with_service_name(SERVICE).build()
}

fn attribute(name: &'static str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => OtelValue::from(text),
        Value::Texts(texts) => {
            OtelValue::Array(Array::String(texts.into_iter().map(StringValue::from).collect()))
        }
        Value::Whole(number) => OtelValue::from(number),
        Value::Real(number) => OtelValue::from(number),
    };
    KeyValue::new(name, value)
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or_default())
}

/// The dialer, as the SDK wants it.
struct ByDialer {
    dialer: Arc<Dialer>,
    /// The SDK asks from a thread of its own, which has none.
    runtime: tokio::runtime::Handle,
    timeout: Duration,
}

impl fmt::Debug for ByDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByDialer").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for ByDialer {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (dialer, timeout) = (Arc::clone(&self.dialer), self.timeout);
        let answered = self.runtime.spawn(async move {
            let sent = dialer.send(Reach::Anywhere, request.map(Full::new), Some(timeout)).await;
            let answer = sent.map_err(|trouble| trouble.to_string())?;
            let (head, incoming) = answer.into_parts();
            let body = tokio::time::timeout(timeout, body::read(incoming, MAX_ANSWER_BYTES)).await;
            let body = body.map_err(|_| "its answer did not end in time".to_owned())?;
            Ok::<_, String>(Response::from_parts(head, body.map_err(|trouble| trouble.to_string())?))
        });
        let answer: Result<Response<Bytes>, String> = answered.await?;
        answer.map_err(HttpError::from)
    }
}
