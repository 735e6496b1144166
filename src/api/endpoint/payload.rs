//! What is published: the members `message`, `text` and `event`.

use std::borrow::Cow;

use super::EndpointContext;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::JsonObject;
use crate::api::state::ApiState;
use crate::json;
use crate::protocol::v1::is_event_name;
use crate::types::{PayloadForm, Pressure};

/// What is published, read and checked.
#[derive(Debug)]
pub(super) struct ApiPayload<'a> {
    pub(super) form: PayloadForm,
    pub(super) bytes: Cow<'a, str>,
}

impl<'a> ApiPayload<'a> {
    /// Reads the members of a body.
    ///
    /// # Errors
    ///
    /// When it has not exactly one of them.
    pub(super) fn read(body: &JsonObject<'a>) -> Result<Self, ApiError> {
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

    /// Checks the size, and then the schema of the application: a message that is too large costs no check.
    /// Then whether the server has memory for it.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub(super) fn check(&self, context: EndpointContext<'_>) -> Result<(), ApiError> {
        let own = context.application.limits.message.limit();
        let (found, max) = (self.bytes.len(), context.config.message_bytes_max);
        let (limit, setting) = match own.filter(|own| *own < max) {
            Some(own) => (own, "message"),
            None => (max, "maxMessage"),
        };
        if found > limit {
            let (found, limit) = (found as u64, limit as u64);
            return Err(ApiError::over_limit("the message", found, limit, setting));
        }
        let Some(check) = &context.application.check else { return check_memory(context.state) };
        let checked = match self.form {
            PayloadForm::Text => {
                let mut text = String::new();
                json::push_text(&self.bytes, &mut text);
                check.check(text.as_bytes())
            }
            _ => check.check(self.bytes.as_bytes()),
        };
        checked.map_err(|why| {
            let place = why.split_once(" at /").and_then(|(_, rest)| rest.split(": ").next());
            let at = place.map(|place| format!("/{place}")).unwrap_or_default();
            ApiError::at(ErrorCode::SchemaViolation, &at, why)
        })?;
        check_memory(context.state)
    }

    /// Counts it towards the limits of its application.
    ///
    /// # Errors
    ///
    /// 429 if there are too many publications, or too many bytes.
    pub(super) fn count(&self, context: EndpointContext<'_>) -> Result<(), ApiError> {
        context.state.rate_limits.take_publication(context.application, self.bytes.len())
    }
}

/// Checks that there is memory for what a request adds.
///
/// # Errors
///
/// If the server is short of memory.
pub(super) fn check_memory(state: &ApiState) -> Result<(), ApiError> {
    match state.pressure.get() {
        Pressure::Busy => Err(ApiError::new(ErrorCode::Busy, "the server is short of memory")),
        _ => Ok(()),
    }
}

/// The name of an event, which is for protocols that name events; empty if there is none.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read_event<'a>(body: &JsonObject<'a>) -> Result<Cow<'a, str>, ApiError> {
    let Some(event) = body.text("event")? else { return Ok(Cow::Borrowed("")) };
    if is_event_name(&event) {
        return Ok(event);
    }
    let right = "`event` must be 1 to 64 printable ASCII characters without a blank, and must not begin \
                 with tagcast:, pusher: or pusher_internal:";
    Err(body.invalid("event", right))
}
