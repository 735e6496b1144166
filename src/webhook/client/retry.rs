//! Sends one event: waits for its turn, retries, and gives up at the deadline.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Error;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::WebhookOutcome;
use super::target::WebhookTarget;
use crate::types::causes;
use crate::webhook::{BreakerDecision, BreakerTransition, parse};

/// Pause before a retry of an event that did not reach the backend.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Divisor of the deadline. Half of the deadline is the least time that a backend must have had
/// before a timeout counts as its failure. The time that an event waited for its turn does not
/// count.
const FAIR_SHARE: u32 = 2;

/// Result of one exchange with a backend.
enum BackendResponse {
    /// The backend sent a complete answer, so it is alive. The answer may still be an error.
    Answer(WebhookOutcome),
    /// The backend is unreachable or reports that it cannot answer. The text is the reason.
    Nothing(String),
}

impl WebhookTarget {
    /// Sends an event and waits for the answer, at most until the deadline.
    pub(super) async fn send(&self, event: &'static str, id: &str, body: Bytes) -> WebhookOutcome {
        let deadline = self.settings.deadline;
        let (mut admitted, mut turn_at) = (BreakerDecision::No, None);
        let handed = timeout(deadline, async {
            // The semaphore is never closed. It grants permits in the order of the requests.
            let turn = self.turns.acquire().await.ok()?;
            admitted = self.breaker.lock().admit(self.began.elapsed());
            if admitted == BreakerDecision::No {
                return None;
            }
            turn_at = Some(Instant::now());
            let received = self.try_until_arrived(event, id, body).await;
            drop(turn);
            Some(received)
        });
        let received = match Box::pin(handed).await {
            Ok(None) => return WebhookOutcome::LeftAlone,
            Ok(Some(received)) => received,
            Err(_) => {
                let why = format!("there was no answer within {deadline:?}");
                let had = turn_at.map_or(Duration::ZERO, |at| at.elapsed());
                // The timeout of a probe always counts. No other event can close or reopen the
                // breaker.
                if admitted != BreakerDecision::AsProbe && had < deadline / FAIR_SHARE {
                    return WebhookOutcome::Failed(format!("{why}: it waited for its turn"));
                }
                BackendResponse::Nothing(why)
            }
        };
        self.record_outcome(admitted, received)
    }

    /// Records the response in the circuit breaker and logs a change of its state.
    fn record_outcome(
        &self,
        admitted: BreakerDecision,
        received: BackendResponse,
    ) -> WebhookOutcome {
        let resource = self.settings.resource.as_str();
        match received {
            BackendResponse::Answer(outcome) => {
                if self.breaker.lock().record_success() == BreakerTransition::Closed {
                    info!(
                        event = "circuit_closed",
                        resource, "circuit breaker closed, the webhook answers again"
                    );
                }
                outcome
            }
            BackendResponse::Nothing(why) => {
                let change = self.breaker.lock().record_failure(admitted, self.began.elapsed());
                if let BreakerTransition::Opened(pause) = change {
                    warn!(
                        event = "circuit_opened",
                        resource,
                        ?pause,
                        why,
                        "circuit breaker open, calls of the webhook paused"
                    );
                }
                WebhookOutcome::Failed(why)
            }
        }
    }

    /// Sends the event. Retries only after errors that prove that the backend did not receive the
    /// event.
    async fn try_until_arrived(
        &self,
        event: &'static str,
        id: &str,
        body: Bytes,
    ) -> BackendResponse {
        loop {
            let request = match self.request(event, id, body.clone()) {
                Ok(request) => request,
                Err(error) => return BackendResponse::Nothing(error.to_string()),
            };
            match self.client.request(request).await {
                Ok(response) => return self.read(response).await,
                Err(error) if has_not_arrived(&error) => sleep(RETRY_PAUSE).await,
                Err(error) => {
                    return BackendResponse::Nothing(format!(
                        "the connection failed: {}",
                        causes(&error)
                    ));
                }
            }
        }
    }

    fn request(
        &self,
        event: &'static str,
        id: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signature = self.signing.lock().sign(timestamp, &body);
        Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("tagcast/", env!("CARGO_PKG_VERSION")))
            .header("x-tagcast-event", event)
            .header("x-tagcast-event-id", id)
            .header("x-tagcast-timestamp", timestamp)
            .header("x-tagcast-signature", signature)
            .body(Full::new(body))
    }

    async fn read(&self, response: Response<hyper::body::Incoming>) -> BackendResponse {
        let status = response.status();
        let most = self.settings.answer_bytes_max;
        let body = match Limited::new(response.into_body(), most).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let why = format!("the answer has more than maxMessage ({most} bytes)");
                return BackendResponse::Answer(WebhookOutcome::Failed(why));
            }
            Err(error) => {
                return BackendResponse::Nothing(format!("the answer is incomplete: {error}"));
            }
        };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                BackendResponse::Answer(WebhookOutcome::Refused(parse(&body).unwrap_or_default()))
            }
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => BackendResponse::Nothing(answered(status)),
            _ if status.is_success() => BackendResponse::Answer(
                parse(&body).map_or_else(WebhookOutcome::Wrong, WebhookOutcome::Done),
            ),
            _ => BackendResponse::Answer(WebhookOutcome::Failed(answered(status))),
        }
    }
}

fn answered(status: StatusCode) -> String {
    format!("it answered with status {}", status.as_u16())
}

/// Returns true if no byte of the request was sent. There was no connection, or the pooled
/// connection had been closed already.
fn has_not_arrived(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    let canceled = cause.and_then(|cause| cause.downcast_ref::<hyper::Error>());
    error.is_connect() || canceled.is_some_and(hyper::Error::is_canceled)
}
