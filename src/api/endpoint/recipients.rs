//! The recipients of a publication: the members `to` and `except`.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::EndpointContext;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace, duplicate, list_of};
use crate::expression::{ExpressionError, ExpressionPlace};
use crate::json;
use crate::json::Scalar;
use crate::protocol::tags;
use crate::types::limits::EXCEPT_MAX;
use crate::types::{Address, ClientUuid, Expression, Ident, Recipients};

const TO: &str = "`to` is \"all\", or an object with exactly one of `uuid`, `ident`, `tags` \
                  and `expr`";

/// The recipients as a body names them. An expression is not read yet.
enum NamedRecipients<'a> {
    Known(Address),
    Expression { raw: &'a str, at: String },
}

impl EndpointContext<'_> {
    /// The recipients that a body names. An error of their expression comes after all others.
    ///
    /// # Errors
    ///
    /// If they are invalid.
    pub(super) fn address(self, body: &JsonObject<'_>) -> Result<Address, ApiError> {
        let recipients = self.recipients(body)?;
        let mut except = match body.raw("except") {
            None => Vec::new(),
            Some(uuids) => self.except(uuids, body.place("except"))?,
        };
        let recipients = match recipients {
            NamedRecipients::Known(address) => address,
            NamedRecipients::Expression { raw, at } => Address::expr(read_expression(raw, &at)?),
        };
        // The same clients are the same content, in any order.
        except.sort_unstable();
        except.dedup();
        Ok(recipients.without(&except))
    }

    fn recipients<'a>(self, body: &'a JsonObject<'_>) -> Result<NamedRecipients<'a>, ApiError> {
        let to = body.raw("to").ok_or_else(|| body.missing("to", TO))?;
        let invalid = || body.invalid("to", TO);
        if let Scalar::Text(word) = Scalar::of(to) {
            return match word.as_ref() {
                "all" => Ok(NamedRecipients::Known(Address::everyone())),
                _ => Err(invalid()),
            };
        }
        if !to.starts_with('{') {
            return Err(body.wrong_type("to", "\"all\" or an object"));
        }
        let to = JsonObject::read(to, body.place("to"), &["uuid", "ident", "tags", "expr"])?;
        if to.len() != 1 {
            return Err(invalid());
        }
        if let Some(raw) = to.raw("expr") {
            return Ok(NamedRecipients::Expression { raw, at: to.place("expr").pointer() });
        }
        if let Some(uuid) = to.text("uuid")? {
            let uuid = self.uuid(&uuid, Some(to.place("uuid")))?;
            return Ok(NamedRecipients::Known(Address::first(Some(uuid), None)));
        }
        if let Some(ident) = to.text("ident")? {
            let ident = Ident::new(&ident).map_err(|error| to.invalid("ident", error.to_string()));
            return Ok(NamedRecipients::Known(Address::first(None, Some(ident?))));
        }
        let tags = to.raw("tags").ok_or_else(invalid)?;
        if !tags.starts_with('{') {
            return Err(to.wrong_type("tags", "an object"));
        }
        check_names_once(tags, to.place("tags"))?;
        let query = tags::of_request(tags).map_err(|why| to.invalid("tags", why.into_owned()))?;
        Ok(NamedRecipients::Known(Address::matching(query)))
    }

    /// Reads the excluded client.
    fn except(self, list: &str, at: JsonPlace<'_>) -> Result<Vec<ClientUuid>, ApiError> {
        let wrong =
            || ApiError::at(ErrorCode::WrongType, &at.pointer(), "`except` is a list of strings");
        let texts = list_of(list, EXCEPT_MAX).map_err(|_| wrong())?;
        if texts.len() > EXCEPT_MAX {
            let message = format!("`except` has at most {EXCEPT_MAX} UUIDs");
            return Err(ApiError::at(ErrorCode::InvalidValue, &at.pointer(), message));
        }
        let uuids = texts.iter().enumerate().map(|(index, element)| {
            let text = Scalar::of(element.get()).text().ok_or_else(wrong)?;
            self.uuid(&text, Some(JsonPlace::Element { of: &at, index }))
        });
        uuids.collect()
    }

    /// Reads a UUID that this server has issued.
    ///
    /// # Errors
    ///
    /// If the server has not issued it.
    pub(super) fn uuid(
        self,
        text: &str,
        at: Option<JsonPlace<'_>>,
    ) -> Result<ClientUuid, ApiError> {
        self.config.signer.verify(text).ok_or_else(|| {
            let message = "this is not a UUID that this server has issued";
            let error = ApiError::new(ErrorCode::InvalidUuid, message);
            if let Some(at) = at { error.with_text("at", &at.pointer()) } else { error }
        })
    }
}

/// Returns true if an address reaches clients without any tag.
pub(super) fn is_open(address: &Address) -> bool {
    let recipients = match &address.recipients {
        Recipients::Without(it) => &it.recipients,
        recipients => recipients,
    };
    match recipients {
        Recipients::Matching(query) => query.is_empty(),
        Recipients::Expression(expression) => expression.is_open(),
        Recipients::First { .. }
        | Recipients::Named(_)
        | Recipients::TagSequence(_)
        | Recipients::Among(_)
        | Recipients::Without(_) => false,
    }
}

/// An expression at this place of the body: its text form, or an object.
pub(super) fn read_expression(raw: &str, at: &str) -> Result<Expression, ApiError> {
    let read = match Scalar::of(raw).text() {
        Some(text) => Expression::parse(&text),
        None => Expression::from_json(raw),
    };
    read.map_err(|why| expression_error(&why, at))
}

/// The error about an expression at this place; empty for one in the query.
pub(super) fn expression_error(why: &ExpressionError, at: &str) -> ApiError {
    let is_duplicate = why.is_duplicate_member();
    let code = if is_duplicate { ErrorCode::DuplicateMember } else { ErrorCode::InvalidExpression };
    let error = ApiError::new(code, why.to_string());
    match why.place() {
        ExpressionPlace::Byte(byte) => error.with_number("at", *byte as u64),
        ExpressionPlace::Pointer(within) => error.with_text("at", &format!("{at}{within}")),
    }
}

/// A duplicate tag is refused, because one of its values would be lost silently.
pub(super) fn check_names_once(tags: &str, at: JsonPlace<'_>) -> Result<(), ApiError> {
    const NAMES_MAX: usize = 2 * crate::types::limits::TAGS_MAX;
    let mut names = SmallVec::<[Cow<'_, str>; 4]>::new();
    let mut twice = None;
    let read = json::members(tags, |name, _| {
        if twice.is_none() && names.len() < NAMES_MAX {
            let name = json::text(name.raw);
            match names.contains(&name) {
                true => twice = Some(name.into_owned()),
                false => names.push(name),
            }
        }
        Ok(())
    });
    if read.is_err() {
        return Err(ApiError::at(ErrorCode::WrongType, &at.pointer(), "`tags` is an object"));
    }
    match twice {
        Some(name) => Err(duplicate(at, &name)),
        None => Ok(()),
    }
}
