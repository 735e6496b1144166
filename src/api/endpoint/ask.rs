//! `POST /connections/{uuid}/ask`: a publication to one client, whose answer is waited for.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::EndpointContext;
use super::over_hosts::{ask_bridge, silent};
use super::payload::{ApiPayload, read_event};
use super::publish::timeout;
use super::taken::no_such_client;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::publisher::{ApiPublication, Reached, ReachedHosts};
use crate::api::response::ApiAnswer;
use crate::api::state::ApiState;
use crate::api::tracked::{AskReceipt, TooManyOpen};
use crate::link::query::{HostsAnswer, QueryResult};
use crate::protocol::v1::{UNHANDLED, V1Headers};
use crate::types::limits::{
    ASK_TIMEOUT, ASK_TIMEOUT_MAX, ASKS_MAX, ASKS_PER_CLIENT_MAX, CLUSTER_QUERY_GRACE,
};
use crate::types::{Address, Number, PayloadForm, TrackedOutcome};

pub(super) const ASK_MEMBERS: &[&str] = &["message", "text", "event", "timeout_ms"];

/// A question that was taken over.
#[derive(Debug)]
pub(in crate::api) struct TakenQuestion<'a> {
    context: EndpointContext<'a>,
    receipt: AskReceipt,
    asked_at: Instant,
    within: Duration,
}

impl<'a> TakenQuestion<'a> {
    /// Sends the client of the path what a body says, as a question.
    ///
    /// # Errors
    ///
    /// What is wrong with it; then nothing was sent.
    pub(in crate::api) async fn take_over(
        context: EndpointContext<'a>,
        uuid: &str,
        text: &str,
    ) -> Result<Self, ApiError> {
        let body = JsonObject::read(text, JsonPlace::Body, ASK_MEMBERS)?;
        let uuid = context.uuid(uuid, None)?;
        let payload = ApiPayload::read(&body)?;
        let event = read_event(&body)?;
        let within = timeout(&body, ASK_TIMEOUT, ASK_TIMEOUT_MAX)?;
        payload.check(context)?;
        payload.count(context)?;
        let publisher = &context.state.publisher;
        let place = publisher.reserve_ask(uuid).map_err(|TooManyOpen| too_many())?;
        let address = Address::first(Some(uuid), None);
        let headers = V1Headers { event: &event, ..V1Headers::default() };
        let headed = (!headers.is_empty()).then(|| headers.payload(payload.form, &payload.bytes));
        let (form, bytes) = match &headed {
            Some(headed) => (PayloadForm::WithHeaders, headed.as_bytes()),
            None => (payload.form, payload.bytes.as_bytes()),
        };
        let publication = ApiPublication {
            tenant: &context.application.tenant,
            address: &address,
            form,
            payload: bytes,
            id: None,
            trace: None,
            turn: None,
        };
        let receipt = publisher.ask(publication, place, within, context.until).await?;
        Ok(Self { context, receipt, asked_at: Instant::now(), within })
    }

    /// Waits for the answer of the client.
    ///
    /// # Errors
    ///
    /// When there is none, with the reason.
    pub(in crate::api) async fn answer(self, state: &ApiState) -> Result<ApiAnswer, ApiError> {
        let Self { context, receipt, asked_at, within } = self;
        let AskReceipt { number, receipt, mut outcome, .. } = receipt;
        let until = asked_at + within;
        let outcome = tokio::select! {
            biased;
            outcome = &mut outcome => outcome.ok(),
            reached = receipt.reached(until) => match reached {
                Some(Reached { clients: 0, is_away: true, .. }) => return Err(away()),
                Some(Reached { clients: 0, hosts: ReachedHosts::Own, .. }) => {
                    return Err(no_such_client());
                }
                Some(Reached { clients: 0, .. }) => {
                    DirectedQuestion { number, until }.answer(context).await?
                }
                _ => timeout_at(until, &mut outcome).await.ok().and_then(Result::ok),
            },
        };
        let refused = |code, message: &str| Err(ApiError::new(code, message));
        match outcome {
            Some(TrackedOutcome::Answer(json)) => {
                answered(state, &json, asked_at.elapsed().as_millis())
            }
            Some(TrackedOutcome::Unsupported) => {
                let message = "the protocol of this client has no answers; nothing was sent";
                refused(ErrorCode::AskUnsupported, message)
            }
            Some(TrackedOutcome::Refused(reason)) if &*reason == UNHANDLED.as_bytes() => {
                refused(ErrorCode::Unhandled, "the client has no handler for such questions")
            }
            Some(TrackedOutcome::Refused(reason)) => {
                refused(ErrorCode::Refused, &String::from_utf8_lossy(&reason))
            }
            Some(TrackedOutcome::Full) => Err(too_many()),
            Some(TrackedOutcome::Away) => Err(away()),
            Some(TrackedOutcome::Closed | TrackedOutcome::Lost) => {
                let message = "the client closed its connection before it answered";
                refused(ErrorCode::ConnectionClosed, message)
            }
            Some(
                TrackedOutcome::Expired
                | TrackedOutcome::Writes(_)
                | TrackedOutcome::TimedWrites(_)
                | TrackedOutcome::Resolved(_),
            )
            | None => {
                let millis = within.as_millis();
                let message = format!("the client has not answered within {millis} ms");
                Err(ApiError::new(ErrorCode::AskTimeout, message))
            }
        }
    }
}

/// A question whose client is not on this host.
struct DirectedQuestion {
    number: Number,
    until: Instant,
}

impl DirectedQuestion {
    /// Waits for the answer of a client of another host. `None` if it does not come in time.
    async fn answer(
        self,
        context: EndpointContext<'_>,
    ) -> Result<Option<TrackedOutcome>, ApiError> {
        let Self { number, until } = self;
        let answer = ask_bridge(context, number, until + CLUSTER_QUERY_GRACE).await;
        let Some(HostsAnswer { hosts, .. }) = answer else { return Ok(None) };
        let mut is_missing = false;
        for (_, result) in hosts {
            match result {
                Some(QueryResult::Asked(outcome)) => return Ok(Some(outcome)),
                Some(_) => {}
                None => is_missing = true,
            }
        }
        match is_missing {
            true if Instant::now() < until => Err(silent()),
            true => Ok(None),
            false => Err(no_such_client()),
        }
    }
}

/// The answer has its share of the memory for bodies until it is sent.
fn answered(state: &ApiState, json: &Bytes, millis: u128) -> Result<ApiAnswer, ApiError> {
    let head = b"{\"answer\":";
    let body = [head, json.as_ref(), format!(",\"took_ms\":{millis}}}").as_bytes()].concat();
    ApiAnswer::ok_within(&state.bodies, body).ok_or_else(|| {
        let message = "the client answered, but too much memory is in use by other bodies";
        ApiError::new(ErrorCode::AskTimeout, message)
    })
}

fn away() -> ApiError {
    let message = "the client is away; questions are not kept for it";
    ApiError::new(ErrorCode::Away, message)
}

fn too_many() -> ApiError {
    let message = format!(
        "a client has at most {ASKS_PER_CLIENT_MAX} open questions, and all clients together \
         {ASKS_MAX}"
    );
    ApiError::new(ErrorCode::RateLimited, message).with_text("name", "asks").retry_after(1)
}
