//! Requests of operators that change something: each has a reason, and is logged.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::timeout;
use tracing::info;

use super::supervisor;
use crate::admin::AdminRequest;
use crate::api::config::ApiConfig;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::auth::Operator;
use crate::json;
use crate::json::NotJson;

/// Maximum bytes of a reason.
const REASON_BYTES_MAX: usize = 123;
const RIGHT: &str = "a change needs `reason`: one line of 1 to 123 bytes, for the log";

/// How long the supervisor may take to keep an event.
const NOTE_TIME: Duration = Duration::from_secs(1);

/// A change, for the log and the events.
#[derive(Clone, Copy, Debug)]
pub(super) struct OperatorChange<'a> {
    pub(super) operator: &'a Operator,
    /// What is done: the method and the path of the endpoint.
    pub(super) action: &'a str,
    /// The application. Empty for the whole server.
    pub(super) application: &'a str,
    /// The beginning of the UUID of the client. Empty for others.
    pub(super) uuid: &'a str,
    pub(super) reason: &'a str,
}

impl OperatorChange<'_> {
    /// Writes a line into the log, and adds an event.
    pub(super) async fn note(self, config: &ApiConfig) {
        self.log();
        let Self { operator, action, application, uuid, reason } = self;
        let client = if uuid.is_empty() { String::new() } else { format!(", client {uuid}…") };
        let text = format!("{}: {action}{client}: {reason}", operator.name);
        let application = Some(application.to_owned()).filter(|it| !it.is_empty());
        let request = AdminRequest::NoteChange { application, text };
        // The change is made, and the log has it.
        let _answer = timeout(NOTE_TIME, supervisor::first_answer(config, request)).await;
    }

    fn log(self) {
        let Self { operator, action, application, uuid, reason } = self;
        let operator = operator.name.as_str();
        info!(
            event = "operator_change",
            operator, action, application, uuid, reason, "change by an operator"
        );
    }
}

/// The error about a change that the role does not permit.
pub(super) fn not_permitted(operator: &Operator) -> ApiError {
    let role = operator.role.word();
    let message = match operator.sees_all() {
        true => format!("the role {role} does not permit this"),
        false => format!("the role {role} does not permit this, or only for some applications"),
    };
    ApiError::new(ErrorCode::PermissionDenied, message).with_text("role", role)
}

/// Returns the reason in a body.
///
/// # Errors
///
/// If it is missing or has line breaks.
pub(super) fn reason_of<'a>(body: &JsonObject<'a>) -> Result<Cow<'a, str>, ApiError> {
    let reason = body.text("reason")?.ok_or_else(|| body.missing("reason", RIGHT))?;
    match is_reason(&reason) {
        true => Ok(reason),
        false => Err(body.invalid("reason", RIGHT)),
    }
}

/// Checks the form of a reason.
pub(super) fn is_reason(text: &str) -> bool {
    (1..=REASON_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

/// The error about a request without a reason.
pub(super) fn no_reason() -> ApiError {
    ApiError::at(ErrorCode::MissingMember, "/reason", RIGHT)
}

/// A body, and the reason in it.
#[derive(Debug)]
pub(super) struct ReasonedBody {
    /// The body without the reason.
    pub(super) rest: String,
    /// Whether the body asks for a dry run, which changes nothing.
    pub(super) is_dry: bool,
    pub(super) reason: Option<String>,
}

impl ReasonedBody {
    /// Takes the reason out of a body. All other members stay as they are.
    ///
    /// # Errors
    ///
    /// If the text is not an object, or has two reasons.
    pub(super) fn read(text: &str) -> Result<Self, ApiError> {
        let (mut rest, mut is_dry, mut reasons) = (String::from("{"), false, Vec::new());
        let read = json::members(text, |name, value| {
            let name = json::text(name.raw);
            if name == "reason" {
                reasons.push(value);
                return Ok(());
            }
            is_dry |= name == "dry_run" && value == "true";
            if rest.len() > 1 {
                rest.push(',');
            }
            json::push_text(&name, &mut rest);
            rest.push(':');
            rest.push_str(value);
            Ok(())
        });
        if let Err(NotJson) = read {
            // This names what is wrong.
            return Err(JsonObject::read(text, JsonPlace::Body, &[])
                .err()
                .unwrap_or_else(no_reason));
        }
        rest.push('}');
        let reason = match reasons[..] {
            [] => None,
            [one] => {
                let text = format!("{{\"reason\":{one}}}");
                Some(
                    reason_of(&JsonObject::read(&text, JsonPlace::Body, &["reason"])?)?
                        .into_owned(),
                )
            }
            _ => return Err(crate::api::json_object::duplicate(JsonPlace::Body, "reason")),
        };
        Ok(Self { rest, is_dry, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> &'static str {
        ReasonedBody::read(text).map_or_else(|error| error.code().text(), |_| "ok")
    }

    #[test]
    fn the_reason_leaves_the_body_and_all_else_stays_byte_for_byte() {
        let text = r#" { "to" : "all", "reason":"a \"test\"", "message":{ "reason": 1.50 },"dry_run":true } "#;
        let read = ReasonedBody::read(text).unwrap();
        assert_eq!(read.rest, r#"{"to":"all","message":{ "reason": 1.50 },"dry_run":true}"#);
        assert_eq!((read.reason.as_deref(), read.is_dry), (Some("a \"test\""), true));
        let none = ReasonedBody::read(r#"{"to":"all"}"#).unwrap();
        assert_eq!((none.reason, none.is_dry), (None, false));
    }

    #[test]
    fn a_reason_is_one_line_and_occurs_once() {
        for (text, expected) in [
            (r#"{"reason":"x"}"#, "ok"),
            (r#"{"reason":""}"#, "invalid_value"),
            (r#"{"reason":"a\nb"}"#, "invalid_value"),
            (r#"{"reason":7}"#, "wrong_type"),
            (r#"{"reason":"x","reason":"y"}"#, "duplicate_member"),
            ("[]", "invalid_json"),
            ("{", "invalid_json"),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }
}
