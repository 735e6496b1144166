//! `POST /publish` and `POST /connections/{uuid}/feedback`.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

use super::EndpointContext;
use super::over_hosts::ReachElsewhere;
use super::payload::{ApiPayload, read_event};
use super::recipients::is_open;
use super::taken::{RecipientLimits, TakenId, TakenPublication, TakenReceipt};
use crate::api::error::ApiError;
use crate::api::idempotency::{ClaimedId, IdClaim, IdempotencyKey};
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::publisher::ApiPublication;
use crate::api::state::unix_seconds;
use crate::auth::ApiPermission;
use crate::protocol::v1::V1Headers;
use crate::types::limits::{TRACKING_TIMEOUT_MIN, WRITE_TIMEOUT, WRITE_TIMEOUT_MAX};
use crate::types::{Address, PayloadForm, RecipientBounds};

pub(super) const PUBLISH_MEMBERS: &[&str] = &[
    "to",
    "message",
    "text",
    "event",
    "id",
    "ack",
    "max_recipients",
    "dry_run",
    "except",
    "timeout_ms",
];
pub(super) const FEEDBACK_MEMBERS: &[&str] =
    &["message", "text", "event", "id", "ack", "timeout_ms"];

/// When a publication is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PublishAck {
    /// As soon as this process holds it.
    None,
    /// After the broker has acknowledged it.
    Accepted,
    /// When every socket has taken it, or else after this time.
    Written { within: Duration },
}

/// The members of a body besides the recipients.
#[derive(Debug)]
struct PublishRequest<'a> {
    payload: ApiPayload<'a>,
    event: Cow<'a, str>,
    /// The id, if the publication is not a dry run.
    key: Option<IdempotencyKey<'a>>,
    ack: PublishAck,
    limits: RecipientLimits,
}

impl<'a> PublishRequest<'a> {
    fn read(body: &JsonObject<'a>, context: EndpointContext<'a>) -> Result<Self, ApiError> {
        let payload = ApiPayload::read(body)?;
        let event = read_event(body)?;
        let key = IdempotencyKey::of_body(body, context.key)?;
        let ack = ack(body)?;
        let limits = RecipientLimits::read(body, context)?;
        if limits.is_dry && ack != PublishAck::Accepted {
            let right = "with `dry_run`, `ack` must be accepted: the answer is the count";
            return Err(body.invalid("ack", right));
        }
        let key = key.filter(|_| !limits.is_dry);
        Ok(Self { payload, event, key, ack, limits })
    }
}

impl<'a> EndpointContext<'a> {
    /// Takes over what a body says for the client of the path.
    ///
    /// # Errors
    ///
    /// What is wrong with it; then nothing was published.
    pub(in crate::api) async fn feedback(
        self,
        uuid: &str,
        text: &str,
    ) -> Result<TakenPublication<'a>, ApiError> {
        let body = JsonObject::read(text, JsonPlace::Body, FEEDBACK_MEMBERS)?;
        self.application.require(ApiPermission::PUBLISH)?;
        let address = Address::first(Some(self.uuid(uuid, None)?), None);
        let request = PublishRequest::read(&body, self)?;
        let limits = request.limits.for_one();
        self.send(&PublishRequest { limits, ..request }, &address).await
    }

    /// Takes over the publication that a body says.
    ///
    /// # Errors
    ///
    /// What is wrong with it; then nothing was published.
    pub(in crate::api) async fn take_over(
        self,
        text: &str,
    ) -> Result<TakenPublication<'a>, ApiError> {
        let body = JsonObject::read(text, JsonPlace::Body, PUBLISH_MEMBERS)?;
        self.take_over_object(&body).await
    }

    /// Takes over the publication that an object with [`PUBLISH_MEMBERS`] says.
    ///
    /// # Errors
    ///
    /// What is wrong with it; then nothing was published.
    pub(super) async fn take_over_object(
        self,
        body: &JsonObject<'_>,
    ) -> Result<TakenPublication<'a>, ApiError> {
        let request = PublishRequest::read(body, self)?;
        let address = self.address(body)?;
        self.application.require(match is_open(&address) {
            true => ApiPermission::BROADCAST,
            false => ApiPermission::PUBLISH,
        })?;
        self.send(&request, &address).await
    }

    async fn send(
        self,
        request: &PublishRequest<'_>,
        address: &Address,
    ) -> Result<TakenPublication<'a>, ApiError> {
        let PublishRequest { payload, event, key, ack, limits } = request;
        payload.check(self)?;
        if !limits.is_dry {
            payload.count(self)?;
        }
        let ApiPayload { form, bytes } = payload;
        let (tenant, payload, turn) = (&self.application.tenant, bytes.as_bytes(), self.turn);
        // A dry run is no publication.
        let trace = self.trace.filter(|_| !limits.is_dry);
        let (form, id) = (*form, None);
        let publication = ApiPublication { tenant, address, form, payload, id, trace, turn };
        let elsewhere = ReachElsewhere::new(self, address);
        let topic = address.recipients.topic().unwrap_or_default();
        let headers = V1Headers { event, topic, from: "" };
        let headed = (!headers.is_empty()).then(|| headers.payload(form, bytes));
        let sent = match &headed {
            None => publication,
            Some(all) => ApiPublication {
                form: PayloadForm::WithHeaders,
                payload: all.as_bytes(),
                ..publication
            },
        };
        let Some(key) = key else {
            let receipt = self.publish(sent, *ack, limits.clients_max(), None).await?;
            return Ok(TakenPublication::new(receipt, *limits).counted_by(elsewhere));
        };
        let (at, application) = (unix_seconds(), &self.application.key);
        let mut id = key.identify(application, publication, event);
        (id.at, id.until) = (at, at.saturating_add(self.config.ids_window));
        let max = limits.clients_max().unwrap_or(u64::MAX);
        id.recipients = RecipientBounds { min: limits.min, max };
        let receipt = match self.state.publisher.claim_id(id, self.until).await? {
            IdClaim::New(claimed) => {
                let publication = ApiPublication { id: Some(id), ..sent };
                self.publish(publication, *ack, limits.clients_max(), Some(claimed)).await?
            }
            IdClaim::Used(used) => {
                self.state.request_stats.note_repeated();
                TakenReceipt::Used(used)
            }
        };
        let taken = TakenPublication::new(receipt, *limits).counted_by(elsewhere);
        let counts_sockets = matches!(ack, PublishAck::Written { .. });
        Ok(taken.with_id(TakenId { member: key.member(), id, counts_sockets }))
    }

    async fn publish(
        self,
        publication: ApiPublication<'_>,
        ack: PublishAck,
        clients_max: Option<u64>,
        claimed: Option<ClaimedId<'a>>,
    ) -> Result<TakenReceipt<'a>, ApiError> {
        let Self { state, until, .. } = self;
        let publisher = &state.publisher;
        // A dry run allows no recipient.
        if clients_max != Some(0) {
            let bytes = publication.payload.len();
            state.request_stats.note_publication(&self.application.key, bytes);
        }
        Ok(match ack {
            PublishAck::None if clients_max.is_none() && claimed.is_none() => {
                publisher.publish(publication, until).await?;
                TakenReceipt::None
            }
            PublishAck::None | PublishAck::Accepted => {
                let receipt = publisher.publish_counted(publication, clients_max, until).await?;
                match ack {
                    PublishAck::Accepted => TakenReceipt::Counted(receipt),
                    _ => TakenReceipt::None,
                }
            }
            PublishAck::Written { within } => {
                let reported =
                    publisher.publish_reported(publication, clients_max, within, until).await?;
                TakenReceipt::Reported { reported, until: Instant::now() + within, claimed }
            }
        })
    }
}

fn ack(body: &JsonObject<'_>) -> Result<PublishAck, ApiError> {
    let within = timeout(body, WRITE_TIMEOUT, WRITE_TIMEOUT_MAX)?;
    match body.text("ack")?.as_deref() {
        None | Some("accepted") => Ok(PublishAck::Accepted),
        Some("none") => Ok(PublishAck::None),
        Some("written") => Ok(PublishAck::Written { within }),
        Some(_) => Err(body.invalid("ack", "`ack` must be none, accepted or written")),
    }
}

/// The member `timeout_ms`.
pub(super) fn timeout(
    body: &JsonObject<'_>,
    default: Duration,
    max: Duration,
) -> Result<Duration, ApiError> {
    let Some(millis) = body.count("timeout_ms")? else { return Ok(default) };
    let (min, within) = (TRACKING_TIMEOUT_MIN, Duration::from_millis(millis));
    if (min..=max).contains(&within) {
        return Ok(within);
    }
    let (min, max) = (min.as_millis(), max.as_millis());
    Err(body.invalid("timeout_ms", format!("`timeout_ms` must be {min} to {max}")))
}
