//! The request `pub`: what is published, and to which clients.

use std::borrow::Cow;
use std::ops::Range;

use super::error::{V1Error, V1ErrorCode, V1Place};
use super::frame::{BadList, read_data, text_of, texts_in};
use super::headers::is_event_name;
use super::place;
use super::retag::TOPIC_NAME;
use crate::json::{JsonShape, pick};
use crate::protocol::tags;
use crate::types::limits::{V1_EVENT_BYTES_MAX, V1_EXCEPT_MAX};
use crate::types::{Expression, Ident, Tag, TagQuery};

/// A publication of a client.
#[expect(clippy::struct_excessive_bools, reason = "two independent wishes of the client")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Publish<'a> {
    /// The recipients.
    pub to: V1Target<'a>,
    /// The data, as they are written.
    pub data: &'a str,
    /// Name of an event; empty if there is none.
    pub event: Cow<'a, str>,
    /// Clients that are left out: `self` and UUIDs, as they were given.
    pub except: Vec<Cow<'a, str>>,
    /// Whether the recipients see the UUID of the sender.
    pub shows_sender: bool,
    /// Whether the acknowledgement has the number of recipients.
    pub is_counted: bool,
}

impl V1Publish<'_> {
    /// Returns where the data are in the text that was parsed.
    #[must_use]
    pub fn place_in(&self, text: &str) -> Range<usize> {
        place(text, self.data)
    }
}

/// The recipients of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum V1Target<'a> {
    /// Clients that have all of these tags; all clients if there are none.
    Tags(TagQuery),
    /// Clients that match an expression.
    Expression(Expression),
    /// The client with this UUID, which may be forged.
    Uuid(Cow<'a, str>),
    /// The first client with this ident.
    Ident(Ident),
}

/// Members of the request, as they are written.
pub(super) struct PublishMembers<'a> {
    pub(super) to: Option<&'a str>,
    pub(super) data: Option<&'a str>,
    pub(super) event: Option<&'a str>,
    pub(super) except: Option<&'a str>,
    pub(super) from: Option<&'a str>,
    pub(super) report: Option<&'a str>,
}

pub(super) fn read<'a>(members: &PublishMembers<'a>) -> Result<V1Publish<'a>, Box<V1Error>> {
    let PublishMembers { to, data, event, except, from, report } = *members;
    Ok(V1Publish {
        to: read_target(to)?,
        data: read_data(data)?,
        event: read_event(event)?,
        except: read_except(except)?,
        shows_sender: read_flag(from, "from")?,
        is_counted: read_flag(report, "report")?,
    })
}

const ONE_TARGET: &str = "`to` must be an object with one of `all`, `tags`, `topic`, `expr`, `uuid` and `ident`";

pub(super) fn read_target(to: Option<&str>) -> Result<V1Target<'_>, Box<V1Error>> {
    let no_target = || V1Error::new(V1ErrorCode::InvalidTarget, ONE_TARGET);
    const NAMES: [&str; 6] = ["all", "tags", "expr", "uuid", "ident", "topic"];
    let Some(Ok(JsonShape::Object(members))) = to.map(|to| pick(to, NAMES)) else {
        return Err(no_target());
    };
    // A member that is not known might be a restriction, so the request is refused.
    if members.other.is_some() || members.named.iter().flatten().count() != 1 {
        return Err(no_target());
    }
    let [all, tags, expr, uuid, ident, topic] = members.named;
    let wrong = |name: &str, why: Cow<'static, str>| {
        let place = V1Place::Pointer(format!("/to/{name}").into());
        V1Error::new(V1ErrorCode::InvalidTarget, why).at(place)
    };
    let text = |raw, name: &str| {
        text_of(Some(raw)).ok_or_else(|| wrong(name, format!("`{name}` must be a string").into()))
    };
    if let Some(raw) = all {
        return match raw {
            "true" => Ok(V1Target::Tags(TagQuery::default())),
            _ => Err(wrong("all", "`all` must be true".into())),
        };
    }
    if let Some(raw) = tags {
        return tags::of_request(raw).map(V1Target::Tags).map_err(|why| wrong("tags", why));
    }
    if let Some(raw) = expr {
        return read_expression(&text(raw, "expr")?).map(V1Target::Expression);
    }
    if let Some(raw) = uuid {
        return text(raw, "uuid").map(V1Target::Uuid);
    }
    if let Some(raw) = ident {
        let ident = Ident::new(&text(raw, "ident")?);
        return ident
            .map(V1Target::Ident)
            .map_err(|_| wrong("ident", "no client can have this ident".into()));
    }
    let topic = text(topic.ok_or_else(no_target)?, "topic")?;
    let query = Tag::of_topic(&topic).and_then(|tag| TagQuery::new([tag]));
    query.map(V1Target::Tags).map_err(|_| wrong("topic", TOPIC_NAME.into()))
}

pub(super) fn read_expression(text: &str) -> Result<Expression, Box<V1Error>> {
    Expression::parse(text).map_err(|error| {
        let wrong = V1Error::new(V1ErrorCode::InvalidExpression, error.to_string());
        match error.byte() {
            Some(offset) => wrong.at(V1Place::Byte(offset)),
            None => wrong,
        }
    })
}

pub(super) fn read_event(event: Option<&str>) -> Result<Cow<'_, str>, Box<V1Error>> {
    let Some(raw) = event else { return Ok(Cow::Borrowed("")) };
    text_of(Some(raw)).filter(|name| is_event_name(name)).ok_or_else(|| {
        let why = format!(
            "`event` must be 1 to {V1_EVENT_BYTES_MAX} printable ASCII characters without a blank, and must \
             not begin with tagcast:, pusher: or pusher_internal:"
        );
        V1Error::invalid("/event", why)
    })
}

fn read_except(except: Option<&str>) -> Result<Vec<Cow<'_, str>>, Box<V1Error>> {
    const RIGHT: &str = "`except` must be \"self\", or a list of \"self\" and UUIDs";
    let Some(raw) = except else { return Ok(Vec::new()) };
    if let Some(text) = text_of(Some(raw)) {
        return match &*text {
            "self" => Ok(vec![text]),
            _ => Err(V1Error::invalid("/except", RIGHT)),
        };
    }
    texts_in(raw, V1_EXCEPT_MAX).map_err(|bad| match bad {
        BadList::NotAList => V1Error::invalid("/except", RIGHT),
        BadList::Item(place) => V1Error::invalid(format!("/except/{place}"), RIGHT),
        BadList::TooLong => {
            let why = format!("`except` may have {V1_EXCEPT_MAX} items");
            V1Error::invalid("/except", why).over(V1_EXCEPT_MAX)
        }
    })
}

fn read_flag(raw: Option<&str>, name: &str) -> Result<bool, Box<V1Error>> {
    match raw {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            Err(V1Error::invalid(format!("/{name}"), format!("`{name}` must be true or false")))
        }
    }
}
