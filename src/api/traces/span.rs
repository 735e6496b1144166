//! A span, and its JSON form (OTLP 1.x over HTTP, encoding JSON).

use serde_json::{Value, json};

use crate::types::SpanTimes;

/// Whom a span is for (`SpanKind` of OTLP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanKind {
    /// Work inside the server.
    Internal = 1,
    /// The answer to a request.
    Server = 2,
    /// A message is given to others.
    Producer = 4,
}

/// Identifier of a span within its trace.
pub(super) type SpanId = [u8; 8];

/// A piece of work in a trace.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TraceSpan {
    pub(super) trace: [u8; 16],
    pub(super) id: SpanId,
    pub(super) parent: SpanId,
    pub(super) name: &'static str,
    pub(super) kind: SpanKind,
    pub(super) times: SpanTimes,
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// Whether the server failed.
    pub(super) is_error: bool,
}

/// `STATUS_CODE_UNSET`.
const UNSET: u8 = 0;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers of 64 bits are texts in OTLP's JSON.
fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::Number(number) => json!({"intValue": number.to_string()}),
        value => json!({"stringValue": value}),
    };
    json!({"key": key, "value": value})
}

impl TraceSpan {
    fn json(&self) -> Value {
        let SpanTimes { began, ended } = self.times;
        json!({
            "traceId": hex(&self.trace),
            "spanId": hex(&self.id),
            "parentSpanId": hex(&self.parent),
            "name": self.name,
            "kind": self.kind as u8,
            "startTimeUnixNano": began.as_nanos().to_string(),
            "endTimeUnixNano": ended.max(began).as_nanos().to_string(),
            "attributes": self.attributes.iter().map(|(key, value)| attribute(key, value)).collect::<Vec<_>>(),
            "status": {"code": if self.is_error { ERROR } else { UNSET }},
        })
    }
}

/// Returns the body of an export.
pub(super) fn export_json(spans: &[TraceSpan]) -> String {
    let version = json!(env!("CARGO_PKG_VERSION"));
    let resource = [("service.name", json!("tagcast")), ("service.version", version)];
    json!({"resourceSpans": [{
        "resource": {"attributes": resource.iter().map(|(key, value)| attribute(key, value)).collect::<Vec<_>>()},
        "scopeSpans": [{
            "scope": {"name": "tagcast"},
            "spans": spans.iter().map(TraceSpan::json).collect::<Vec<_>>(),
        }],
    }]})
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_span_has_the_json_form_of_otlp() {
        let time = |micros: u32| Duration::new(1_795_890_000, micros * 1000);
        let span = TraceSpan {
            trace: [0xab; 16],
            id: [1; 8],
            parent: [0x0f; 8],
            name: "tagcast.http",
            kind: SpanKind::Server,
            times: SpanTimes { began: time(5), ended: time(3) },
            attributes: vec![
                ("http.route", json!("/x")),
                ("http.response.status_code", json!(503)),
            ],
            is_error: true,
        };
        let json: Value = serde_json::from_str(&export_json(&[span])).unwrap();
        let scope = &json["resourceSpans"][0]["scopeSpans"][0];
        assert_eq!(
            scope["spans"][0],
            json!({
                "traceId": "ab".repeat(16),
                "spanId": "01".repeat(8),
                "parentSpanId": "0f".repeat(8),
                "name": "tagcast.http",
                "kind": 2,
                "startTimeUnixNano": "1795890000000005000",
                "endTimeUnixNano": "1795890000000005000",
                "attributes": [
                    {"key": "http.route", "value": {"stringValue": "/x"}},
                    {"key": "http.response.status_code", "value": {"intValue": "503"}},
                ],
                "status": {"code": 2},
            })
        );
        let resource = &json["resourceSpans"][0]["resource"]["attributes"][0];
        assert_eq!(resource["value"]["stringValue"], "tagcast");
    }
}
