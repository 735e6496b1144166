//! `GET /v1/info`: the version of the API and the server's time; with credentials, also what the server is.

use std::fmt::Write;

use crate::api::config::ApiConfig;
use crate::api::response::ApiAnswer;
use crate::api::state::unix_seconds;
use crate::protocol::Protocol;
use crate::types::limits::{
    API_BATCH_MAX, API_REQUESTS_MAX, ASK_TIMEOUT_MAX, ASKS_MAX, ASKS_PER_CLIENT_MAX, EXCEPT_MAX,
    EXPRESSION_BYTES_MAX, EXPRESSION_TERMS_MAX, EXPRESSION_VALUES_MAX, LIST_CLIENTS_MAX,
    WRITE_REPORTS_MAX,
};

/// The origin of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum InfoReader {
    /// A request without credentials.
    Stranger,
    /// A request of an application, or any request to a server without applications.
    Application,
}

/// Returns the answer.
pub(in crate::api) fn answer(config: &ApiConfig, reader: InfoReader) -> ApiAnswer {
    let now = unix_seconds();
    let mut json = format!("{{\"service\":\"tagcast\",\"api\":1,\"time\":{now}");
    if reader == InfoReader::Application {
        let names: Vec<String> = Protocol::ALL.map(|it| format!("\"{}\"", it.name())).into();
        let (version, names) = (env!("CARGO_PKG_VERSION"), names.join(","));
        let _written =
            write!(json, ",\"version\":\"{version}\",\"dialects\":[{names}],\"limits\":{{");
        for (at, (name, limit)) in limits(config).into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _written = write!(json, "{comma}\"{name}\":{limit}");
        }
        json.push('}');
    }
    json.push('}');
    ApiAnswer::ok(json)
}

/// The limits in force, by name.
fn limits(config: &ApiConfig) -> Vec<(&'static str, u128)> {
    let count = |number: usize| number as u128;
    vec![
        ("message_bytes", count(config.message_bytes_max)),
        ("body_bytes", count(config.body_bytes_max)),
        ("batch_publications", count(API_BATCH_MAX)),
        ("except_uuids", count(EXCEPT_MAX)),
        ("expression_bytes", count(EXPRESSION_BYTES_MAX)),
        ("expression_terms", count(EXPRESSION_TERMS_MAX)),
        ("expression_values", count(EXPRESSION_VALUES_MAX)),
        ("expression_scan_values", config.expression_scan.into()),
        ("page_entries", count(LIST_CLIENTS_MAX)),
        ("requests", count(API_REQUESTS_MAX)),
        ("connections", count(config.connections_max)),
        ("written_reports", count(WRITE_REPORTS_MAX)),
        ("asks", count(ASKS_MAX)),
        ("asks_per_client", count(ASKS_PER_CLIENT_MAX)),
        ("ask_timeout_ms", ASK_TIMEOUT_MAX.as_millis()),
        ("timeout_ms", config.timeout.as_millis()),
        ("idle_timeout_ms", config.idle_timeout.as_millis()),
        ("signature_window_s", config.signatures.past.into()),
        ("signature_clock_skew_s", config.signatures.future.into()),
    ]
}
