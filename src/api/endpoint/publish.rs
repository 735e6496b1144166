//! `POST /publish` and `POST /connections/{uuid}/feedback`.

use std::borrow::Cow;

use tokio::time::Instant;

use super::recipients::is_open;
use crate::api::access::ApiApplication;
use crate::api::config::ApiConfig;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::JsonObject;
use crate::api::publisher::{ApiPublication, NoRoom, PublicationReceipt, Reached};
use crate::api::response::ApiAnswer;
use crate::api::state::ApiState;
use crate::auth::ApiPermission;
use crate::json;
use crate::types::{Address, PayloadForm, Pressure};

const PUBLISH_MEMBERS: &[&str] =
    &["to", "message", "text", "event", "ack", "max_recipients", "dry_run", "except"];
const FEEDBACK_MEMBERS: &[&str] = &["message", "text", "event", "ack"];
const EVENT_BYTES_MAX: usize = 64;
/// What names of events may not begin with.
const RESERVED_EVENTS: [&str; 3] = ["tagcast:", "pusher:", "pusher_internal:"];

/// What a publication needs besides its body.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct PublishContext<'a> {
    pub(in crate::api) state: &'a ApiState,
    pub(in crate::api) config: &'a ApiConfig,
    pub(in crate::api) application: &'a ApiApplication,
    /// End of the time that the request waits for the broker, for room and for its answers together.
    pub(in crate::api) until: Instant,
}

/// When a publication is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PublishAck {
    /// As soon as this process holds it.
    None,
    /// After the broker has acknowledged it.
    Accepted,
}

/// How many recipients a publication may have.
#[derive(Clone, Copy, Debug)]
struct RecipientLimits {
    /// With more it is delivered to none.
    max: Option<u64>,
    /// Values that the prefixes of its expression may scan.
    scan_max: u64,
    /// It is delivered to none in any case.
    is_dry: bool,
}

impl RecipientLimits {
    /// A publication can only lower what its application may reach.
    fn read(body: &JsonObject<'_>, context: PublishContext<'_>) -> Result<Self, ApiError> {
        let max = context.application.rights.max_recipients;
        let scan_max = context.config.expression_scan;
        let (own, is_dry) = (body.count("max_recipients")?, body.flag("dry_run")?);
        Ok(Self {
            max: own.into_iter().chain(max).min(),
            scan_max,
            is_dry: is_dry.unwrap_or(false),
        })
    }

    /// What the broker has to keep to.
    fn clients_max(self) -> Option<u64> {
        if self.is_dry { Some(0) } else { self.max }
    }

    fn check(self, reached: Reached) -> Result<Reached, ApiError> {
        if reached.scan_values > 0 {
            return Err(too_expensive(reached.scan_values, self.scan_max));
        }
        let Some(max) = self.max.filter(|max| reached.clients > *max) else { return Ok(reached) };
        let matched = reached.clients;
        let message = format!("{matched} clients match, the limit is {max}; nothing was sent");
        let error = ApiError::new(ErrorCode::TooManyRecipients, message);
        Err(error.with_number("matched", matched).with_number("max_recipients", max))
    }
}

/// What is published, read and checked.
#[derive(Debug)]
struct ApiPayload<'a> {
    form: PayloadForm,
    bytes: Cow<'a, str>,
}

/// The members of a body besides the recipients.
#[derive(Debug)]
struct PublishRequest<'a> {
    payload: ApiPayload<'a>,
    ack: PublishAck,
    limits: RecipientLimits,
}

impl<'a> PublishRequest<'a> {
    fn read(body: &JsonObject<'a>, context: PublishContext<'_>) -> Result<Self, ApiError> {
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

impl<'a> ApiPayload<'a> {
    fn read(body: &JsonObject<'a>) -> Result<Self, ApiError> {
        let right = "a publication has either `message`, any JSON but null, or `text`";
        match (body.raw("message"), body.text("text")?) {
            (Some(message), None) => {
                Ok(Self { form: PayloadForm::Message, bytes: Cow::Borrowed(message) })
            }
            (None, Some(text)) => Ok(Self { form: PayloadForm::Text, bytes: text }),
            (Some(_), Some(_)) => Err(body.invalid("text", right)),
            (None, None) => Err(body.missing("message", right)),
        }
    }
}

/// A publication that was taken over.
#[derive(Debug)]
pub(super) struct TakenPublication {
    /// None where the count is not waited for.
    receipt: Option<PublicationReceipt>,
    limits: RecipientLimits,
}

impl PublishContext<'_> {
    /// Publishes what a body says.
    ///
    /// # Errors
    ///
    /// What is wrong with it; then nothing was published.
    pub(in crate::api) async fn publish(self, text: &str) -> Result<ApiAnswer, ApiError> {
        let taken = self.take_over(text, "").await?;
        Ok(match taken.reached(self.until).await? {
            None => ApiAnswer::accepted(),
            Some(members) => ApiAnswer::ok(format!("{{{members}}}")),
        })
    }

    /// Publishes what a body says to the client of the path.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or that there is no such client; then nothing was published.
    pub(in crate::api) async fn feedback(
        self,
        uuid: &str,
        text: &str,
    ) -> Result<ApiAnswer, ApiError> {
        let body = JsonObject::read(text, "", FEEDBACK_MEMBERS)?;
        self.application.require(ApiPermission::PUBLISH)?;
        let address = Address::first(Some(self.uuid(uuid, None)?), None);
        let request = PublishRequest::read(&body, self)?;
        let taken = self.send(&request, &address).await?;
        let limits = taken.limits;
        let Some(receipt) = taken.receipt else { return Ok(ApiAnswer::accepted()) };
        match receipt.reached(self.until).await {
            None => Ok(ApiAnswer::accepted()),
            Some(Reached { clients: 0, .. }) => {
                let message = "no such client is connected in this space";
                Err(ApiError::new(ErrorCode::ConnectionNotFound, message))
            }
            Some(reached) => Ok(ApiAnswer::ok(format!("{{{}}}", counts(limits.check(reached)?)))),
        }
    }

    /// Takes over the publication that an object says, which is at this place of the body.
    pub(super) async fn take_over(
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
        self.check_message(payload)?;
        if self.state.pressure.get() == Pressure::Busy {
            return Err(ApiError::new(ErrorCode::Busy, "the server is short of memory"));
        }
        let Self { state, application, until, .. } = self;
        let ApiPayload { form, bytes } = payload;
        let (tenant, payload) = (&application.tenant, bytes.as_bytes());
        let publication = ApiPublication { tenant, address, form: *form, payload };
        let (publisher, clients_max) = (&state.publisher, limits.clients_max());
        let limits = *limits;
        if *ack == PublishAck::None && clients_max.is_none() {
            publisher.publish(publication, until).await.map_err(unavailable)?;
            return Ok(TakenPublication { receipt: None, limits });
        }
        let counted = publisher.publish_counted(publication, clients_max, until);
        let receipt = counted.await.map_err(unavailable)?;
        let receipt = Some(receipt).filter(|_| *ack == PublishAck::Accepted);
        Ok(TakenPublication { receipt, limits })
    }

    /// Checks the size, and then the schema of the application: a message that is too large costs no check.
    fn check_message(self, payload: &ApiPayload<'_>) -> Result<(), ApiError> {
        let (found, limit) = (payload.bytes.len(), self.config.message_bytes_max);
        if found > limit {
            let (found, limit) = (found as u64, limit as u64);
            return Err(ApiError::over_limit("the message", found, limit, "maxMessage"));
        }
        let Some(check) = &self.application.check else { return Ok(()) };
        let checked = match payload.form {
            PayloadForm::Text => {
                let mut text = String::new();
                json::push_text(&payload.bytes, &mut text);
                check.check(text.as_bytes())
            }
            PayloadForm::Message | PayloadForm::Packet => check.check(payload.bytes.as_bytes()),
        };
        checked.map_err(|why| {
            let place = why.split_once(" at /").and_then(|(_, rest)| rest.split(": ").next());
            let at = place.map(|place| format!("/{place}")).unwrap_or_default();
            ApiError::at(ErrorCode::SchemaViolation, &at, why)
        })
    }
}

/// Whether an application may publish at all.
///
/// # Errors
///
/// 403 if it has neither permission.
pub(in crate::api) fn check_permission(application: &ApiApplication) -> Result<(), ApiError> {
    match application.rights.permissions.has(ApiPermission::BROADCAST) {
        true => Ok(()),
        false => application.require(ApiPermission::PUBLISH),
    }
}

impl TakenPublication {
    /// The members of the answer; none if it is not known by this time what was reached, or not asked for.
    ///
    /// # Errors
    ///
    /// When there were more recipients than there may be.
    pub(super) async fn reached(self, until: Instant) -> Result<Option<String>, ApiError> {
        let Self { receipt: Some(receipt), limits } = self else { return Ok(None) };
        let Some(reached) = receipt.reached(until).await else {
            return if limits.is_dry { Err(not_counted()) } else { Ok(None) };
        };
        let dry = if limits.is_dry { "\"dry_run\":true," } else { "" };
        Ok(Some(format!("{dry}{}", counts(limits.check(reached)?))))
    }
}

fn too_expensive(values: u64, limit: u64) -> ApiError {
    let message = format!(
        "the prefixes of the expression would scan {values} values, the limit is {limit}; nothing was sent"
    );
    let error = ApiError::new(ErrorCode::ExpressionTooExpensive, message);
    error
        .with_number("values", values)
        .with_number("limit", limit)
        .with_text("setting", "exprScanMax")
}

fn counts(Reached { clients, workers, .. }: Reached) -> String {
    format!("\"matched\":{clients},\"workers\":{workers}")
}

/// A dry run is only its count.
fn not_counted() -> ApiError {
    let message = "the broker has not counted the recipients in time; nothing was sent";
    ApiError::new(ErrorCode::BrokerUnavailable, message)
}

fn unavailable(NoRoom: NoRoom) -> ApiError {
    let message = "the broker does not answer, and no more can be kept for it";
    ApiError::new(ErrorCode::BrokerUnavailable, message)
}

fn ack(body: &JsonObject<'_>) -> Result<PublishAck, ApiError> {
    match body.text("ack")?.as_deref() {
        None | Some("accepted") => Ok(PublishAck::Accepted),
        Some("none") => Ok(PublishAck::None),
        Some(_) => Err(body.invalid("ack", "`ack` must be none or accepted")),
    }
}

/// An event's name is for protocols that name events.
fn check_event(body: &JsonObject<'_>) -> Result<(), ApiError> {
    let Some(event) = body.text("event")? else { return Ok(()) };
    let is_right = (1..=EVENT_BYTES_MAX).contains(&event.len())
        && event.bytes().all(|byte| byte.is_ascii_graphic())
        && !RESERVED_EVENTS.iter().any(|reserved| event.starts_with(reserved));
    if is_right {
        return Ok(());
    }
    let right = "`event` must be 1 to 64 printable ASCII characters without a blank, and must not begin \
                 with tagcast:, pusher: or pusher_internal:";
    Err(body.invalid("event", right))
}
