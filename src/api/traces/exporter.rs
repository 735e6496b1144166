//! Sends spans to a receiver: OTLP over HTTP with JSON.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::span::{TraceSpan, export_json};
use crate::api::state::ApiState;
use crate::telemetry::LogThrottle;
use crate::types::causes;
use crate::types::limits::{TRACE_EXPORT_TIMEOUT, TRACE_WARNING_EVERY};

/// A receiver, and the client for it.
pub(in crate::api) struct Exporter {
    endpoint: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why spans were not taken.
#[derive(Debug)]
pub(super) struct ExportError(String);

fn failed(error: impl fmt::Display) -> ExportError {
    ExportError(error.to_string())
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Exporter {
    /// A client of this receiver. It trusts the certificate authorities of the system.
    ///
    /// # Errors
    ///
    /// If TLS cannot be used.
    pub(super) fn new(endpoint: Uri) -> Result<Self, ExportError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(TRACE_EXPORT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&endpoint)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Ok(Self { endpoint, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Returns the URL that spans are posted to.
    pub(super) fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    async fn send(&self, spans: &[TraceSpan]) -> Result<(), ExportError> {
        let request = Request::post(self.endpoint.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("tagcast/", env!("CARGO_PKG_VERSION")))
            .body(Full::from(export_json(spans)))
            .map_err(failed)?;
        let answer = timeout(TRACE_EXPORT_TIMEOUT, self.client.request(request)).await;
        let answer = answer.map_err(|_| failed("no answer in time"))?;
        let status = answer.map_err(|error| ExportError(causes(&error)))?.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(failed(format_args!("status {}", status.as_u16()))),
        }
    }
}

fn tls(endpoint: &Uri) -> Result<ClientConfig, ExportError> {
    let mut roots = RootCertStore::empty();
    if endpoint.scheme_str() == Some("https") {
        // The system's store may contain certificates that cannot be parsed.
        let _counts =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// Sends the spans that wait, once a second. A receiver that does not answer delays nothing but this: what
/// does not fit meanwhile is dropped and counted.
pub(in crate::api) async fn export(state: Rc<ApiState>) {
    let traces = &state.traces;
    let (began, mut warnings) = (Instant::now(), LogThrottle::new(1, TRACE_WARNING_EVERY));
    loop {
        traces.collected().await;
        while let Some(spans) = traces.take() {
            let Some(exporter) = traces.exporter() else {
                traces.note_dropped(spans.len());
                continue;
            };
            let Err(error) = exporter.send(&spans).await else {
                traces.note_exported(spans.len());
                continue;
            };
            traces.note_dropped(spans.len());
            if warnings.admits(began.elapsed()) {
                let dropped = traces.dropped();
                warn!(event = "trace_export_failed", why = %error, dropped, "failed to send spans");
            }
        }
    }
}
