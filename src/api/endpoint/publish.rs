//! `POST /publish` and `POST /connections/{uuid}/feedback`.

use std::time::Duration;

use tokio::time::Instant;

use super::EndpointContext;
use super::payload::{ApiPayload, check_event};
use super::recipients::is_open;
use super::taken::{RecipientLimits, TakenPublication, TakenReceipt};
use crate::api::error::ApiError;
use crate::api::json_object::JsonObject;
use crate::api::publisher::ApiPublication;
use crate::auth::ApiPermission;
use crate::types::Address;
use crate::types::limits::{TRACKING_TIMEOUT_MIN, WRITE_TIMEOUT, WRITE_TIMEOUT_MAX};

pub(super) const PUBLISH_MEMBERS: &[&str] =
    &["to", "message", "text", "event", "ack", "max_recipients", "dry_run", "except", "timeout_ms"];
pub(super) const FEEDBACK_MEMBERS: &[&str] = &["message", "text", "event", "ack", "timeout_ms"];

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
    ack: PublishAck,
    limits: RecipientLimits,
}

impl<'a> PublishRequest<'a> {
    fn read(body: &JsonObject<'a>, context: EndpointContext<'_>) -> Result<Self, ApiError> {
        let payload = ApiPayload::read(body)?;
        check_event(body)?;
        let ack = ack(body)?;
        let limits = RecipientLimits::read(body, context)?;
        if limits.is_dry && ack != PublishAck::Accepted {
            let right = "with `dry_run`, `ack` must be accepted: the answer is the count";
            return Err(body.invalid("ack", right));
        }
        Ok(Self { payload, ack, limits })
    }
}

impl EndpointContext<'_> {
    /// Takes over what a body says for the client of the path.
    ///
    /// # Errors
    ///
    /// What is wrong with it; then nothing was published.
    pub(in crate::api) async fn feedback(
        self,
        uuid: &str,
        text: &str,
    ) -> Result<TakenPublication, ApiError> {
        let body = JsonObject::read(text, "", FEEDBACK_MEMBERS)?;
        self.application.require(ApiPermission::PUBLISH)?;
        let address = Address::first(Some(self.uuid(uuid, None)?), None);
        let request = PublishRequest::read(&body, self)?;
        Ok(self.send(&request, &address).await?.for_one())
    }

    /// Takes over the publication that an object says, which is at this place of the body.
    ///
    /// # Errors
    ///
    /// What is wrong with it; then nothing was published.
    pub(in crate::api) async fn take_over(
        self,
        text: &str,
        at: &str,
    ) -> Result<TakenPublication, ApiError> {
        let body = JsonObject::read(text, at, PUBLISH_MEMBERS)?;
        let request = PublishRequest::read(&body, self)?;
        let address = self.address(&body)?;
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
    ) -> Result<TakenPublication, ApiError> {
        let PublishRequest { payload, ack, limits } = request;
        payload.check(self)?;
        let Self { state, application, until, .. } = self;
        let ApiPayload { form, bytes } = payload;
        let (tenant, payload) = (&application.tenant, bytes.as_bytes());
        let publication = ApiPublication { tenant, address, form: *form, payload };
        let (publisher, clients_max) = (&state.publisher, limits.clients_max());
        let receipt = match *ack {
            PublishAck::None if clients_max.is_none() => {
                publisher.publish(publication, until).await?;
                TakenReceipt::None
            }
            PublishAck::None | PublishAck::Accepted => {
                let receipt = publisher.publish_counted(publication, clients_max, until).await?;
                match *ack {
                    PublishAck::Accepted => TakenReceipt::Counted(receipt),
                    _ => TakenReceipt::None,
                }
            }
            PublishAck::Written { within } => {
                let reported =
                    publisher.publish_reported(publication, clients_max, within, until).await?;
                TakenReceipt::Reported { reported, until: Instant::now() + within }
            }
        };
        Ok(TakenPublication::new(receipt, *limits))
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
