//! Commands in the answer of a backend. An answer is parsed as a whole: one invalid command rejects
//! all.

mod values;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use self::values::{ListItems, LossyText};
use crate::json::Scalar;
use crate::protocol::tags;
use crate::types::limits::TAGS_MAX;
use crate::types::{ClientFilter, CloseCode, CloseReason, Expression, Ident, TagQuery, Tags};

/// Most commands in one answer. The publications of one answer therefore fit in the send window of a
/// worker.
pub const COMMANDS_MAX: usize = 256;
/// Longest `user` value in bytes. The connection keeps it.
pub const USER_BYTES_MAX: usize = 4096;
/// Most characters of the backend's answer that an error message repeats.
const SHOWN_CHARS_MAX: usize = 24;
/// Most bytes of a reason in a Close frame (RFC 6455 §5.5).
const REASON_BYTES_MAX: usize = CloseReason::TEXT_BYTES_MAX;

/// One command of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookCommand {
    /// Reply to the client that the event is about.
    Reply(WebhookContent),
    /// Publication to other clients.
    Publish(PublishTo, WebhookContent),
    /// Change of the client's tags.
    Tag {
        /// Tags to add.
        set: Tags,
        /// Names of the tags to remove.
        remove: Vec<Box<str>>,
    },
    /// Acceptance of a client that opens a connection.
    Accept {
        /// Identity of the client as JSON. Later events of the client repeat it.
        user: Option<Box<str>>,
        /// Initial tags of the client.
        tags: Tags,
    },
    /// Refusal of a client that opens a connection, with the reason.
    Refuse(Box<str>),
    /// Close of the connection.
    Close(CloseReason),
    /// Query for connected clients.
    Who {
        /// Clients that are counted.
        query: ClientFilter,
        /// Name of the tag whose values the query returns.
        tag: Box<str>,
    },
    /// New `fyi` text of the client's acknowledgements.
    Fyi(String),
}

/// Recipients of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishTo {
    /// All clients in the tenant.
    All,
    /// All clients in the tenant except the one that the event is about.
    Others,
    /// All clients of the same resource.
    Resource,
    /// Client with this UUID.
    Uuid(Box<str>),
    /// Client with this ident.
    Ident(Ident),
    /// Clients that have all of these tags.
    Tags(TagQuery),
    /// Clients whose tags an expression matches.
    Expression(Expression),
}

/// Content for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookContent {
    /// Message as JSON. Each protocol wraps it in its own format.
    Message(String),
    /// Text that is sent unchanged.
    Text(String),
}

/// Reason why an answer is invalid, and what would be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAnswer(pub String);

impl fmt::Display for InvalidAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidAnswer {}

/// Parses an answer. It is empty, one command, a list of commands, or an object with the list
/// `commands`.
///
/// # Errors
///
/// Returns the reason when any command is invalid. The caller then carries out none of them.
pub fn parse(answer: &[u8]) -> Result<Vec<WebhookCommand>, InvalidAnswer> {
    let text =
        str::from_utf8(answer).map_err(|_| InvalidAnswer("it is not UTF-8".to_owned()))?.trim();
    if text.is_empty() || text == "null" {
        return Ok(Vec::new());
    }
    let ListItems { first: written, count } = written(text)?;
    if count > COMMANDS_MAX {
        return Err(InvalidAnswer(format!(
            "it has {count} commands, at most {COMMANDS_MAX} are allowed"
        )));
    }
    let read = |(place, json): (usize, &&RawValue)| {
        command(json.get())
            .map_err(|InvalidAnswer(why)| InvalidAnswer(format!("command {}: {why}", place + 1)))
    };
    written.iter().enumerate().map(read).collect()
}

fn written(text: &str) -> Result<ListItems<'_, COMMANDS_MAX>, InvalidAnswer> {
    #[derive(Deserialize)]
    struct AnswerShape<'a> {
        #[serde(borrow)]
        commands: Option<ListItems<'a, COMMANDS_MAX>>,
    }

    let no_json = |error| InvalidAnswer(format!("it is not JSON with commands ({error})"));
    match text.chars().next() {
        Some('[') => serde_json::from_str(text).map_err(no_json),
        Some('{') => match serde_json::from_str::<AnswerShape<'_>>(text).map_err(no_json)?.commands
        {
            Some(commands) => Ok(commands),
            None => {
                let first = vec![serde_json::from_str(text).map_err(no_json)?];
                Ok(ListItems { first, count: 1 })
            }
        },
        _ => Err(InvalidAnswer(
            "it is neither empty nor a JSON list or object of commands".to_owned(),
        )),
    }
}

fn command(json: &str) -> Result<WebhookCommand, InvalidAnswer> {
    #[derive(Deserialize)]
    struct CommandName<'a> {
        #[serde(borrow)]
        command: Cow<'a, str>,
    }

    let CommandName { command } = serde_json::from_str(json).map_err(wrong)?;
    match command.as_ref() {
        "reply" => {
            let Reply { message, text, .. } = serde_json::from_str(json).map_err(wrong)?;
            content(message, text).map(WebhookCommand::Reply)
        }
        "publish" => publish(json),
        "tag" => tag(json),
        "accept" => accept(json),
        "refuse" => {
            let Refuse { reason, .. } = serde_json::from_str(json).map_err(wrong)?;
            Ok(WebhookCommand::Refuse(reason_of(reason)?.into()))
        }
        "close" => close(json),
        "who" => {
            let Who { tags, expr, tag, .. } = serde_json::from_str(json).map_err(wrong)?;
            let query = match (tags, expr) {
                (tags, None) => query(tags)?.into(),
                (None, Some(raw)) => expression(raw)?.into(),
                (Some(_), Some(_)) => {
                    return Err(InvalidAnswer("has both `tags` and `expr`; use one".to_owned()));
                }
            };
            Ok(WebhookCommand::Who { query, tag: tag.0.into() })
        }
        "fyi" => {
            let Fyi { text, .. } = serde_json::from_str(json).map_err(wrong)?;
            Ok(WebhookCommand::Fyi(text.0.into_owned()))
        }
        _ => Err(InvalidAnswer(
            "is unknown; use reply, publish, tag, accept, refuse, close, who or fyi".to_owned(),
        )),
    }
}

/// Declares the members of each command. `command` itself has been read already.
macro_rules! members {
    ($($name:ident { $($member:ident: $kind:ty),* $(,)? })+) => {
        $(
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct $name<'a> {
                #[serde(rename = "command")]
                _command: IgnoredAny,
                $(#[serde(default, borrow)] $member: $kind,)*
                #[serde(skip)]
                _a: std::marker::PhantomData<&'a ()>,
            }
        )+
    };
}

members! {
    Publish { to: Option<&'a RawValue>, message: Option<&'a RawValue>, text: Option<LossyText<'a>> }
    Tag { set: Option<&'a RawValue>, remove: ListItems<'a, TAGS_MAX> }
    Accept { user: Option<&'a RawValue>, tags: Option<&'a RawValue> }
    Reply { message: Option<&'a RawValue>, text: Option<LossyText<'a>> }
    Refuse { reason: Option<LossyText<'a>> }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close<'a> {
    #[serde(rename = "command")]
    _command: IgnoredAny,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<LossyText<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who<'a> {
    #[serde(rename = "command")]
    _command: IgnoredAny,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
    #[serde(borrow)]
    expr: Option<&'a RawValue>,
    #[serde(borrow)]
    tag: LossyText<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fyi<'a> {
    #[serde(rename = "command")]
    _command: IgnoredAny,
    #[serde(borrow)]
    text: LossyText<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<'a> {
    #[serde(borrow)]
    uuid: Option<LossyText<'a>>,
    #[serde(borrow)]
    ident: Option<LossyText<'a>>,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
    #[serde(borrow)]
    expr: Option<&'a RawValue>,
}

fn content(
    message: Option<&RawValue>,
    text: Option<LossyText<'_>>,
) -> Result<WebhookContent, InvalidAnswer> {
    match (message, text) {
        (Some(message), None) => Ok(WebhookContent::Message(message.get().to_owned())),
        (None, Some(text)) => Ok(WebhookContent::Text(text.0.into_owned())),
        _ => Err(InvalidAnswer("needs either `message` or `text`".to_owned())),
    }
}

fn publish(json: &str) -> Result<WebhookCommand, InvalidAnswer> {
    const RIGHT: &str = "`to` is \"all\", \"others\", \"resource\", or an object with one of \
                         `uuid`, `ident`, `tags` and `expr`";
    let right = || InvalidAnswer(RIGHT.to_owned());
    let Publish { to, message, text, .. } = serde_json::from_str(json).map_err(wrong)?;
    let what = content(message, text)?;
    let to = to.ok_or_else(right)?.get();
    if let Scalar::Text(word) = Scalar::of(to) {
        let to = match word.as_ref() {
            "all" => PublishTo::All,
            "others" => PublishTo::Others,
            "resource" => PublishTo::Resource,
            _ => return Err(right()),
        };
        return Ok(WebhookCommand::Publish(to, what));
    }
    let named: Named<'_> = serde_json::from_str(to).map_err(|_| right())?;
    let to = match (named.uuid, named.ident, named.tags, named.expr) {
        (Some(uuid), None, None, None) => PublishTo::Uuid(uuid.0.into()),
        (None, Some(ident), None, None) => PublishTo::Ident(
            Ident::new(&ident.0).map_err(|error| InvalidAnswer(format!("`ident`: {error}")))?,
        ),
        (None, None, tags @ Some(_), None) => PublishTo::Tags(query(tags)?),
        (None, None, None, Some(raw)) => PublishTo::Expression(expression(raw)?),
        _ => return Err(right()),
    };
    Ok(WebhookCommand::Publish(to, what))
}

fn tag(json: &str) -> Result<WebhookCommand, InvalidAnswer> {
    let Tag { set, remove, .. } = serde_json::from_str(json).map_err(wrong)?;
    if remove.count > TAGS_MAX {
        return Err(InvalidAnswer(format!(
            "`remove` has {} names, at most {TAGS_MAX} are allowed",
            remove.count
        )));
    }
    let name = |raw: &&RawValue| Scalar::of(raw.get()).text().map(Into::into);
    let names = remove.first.iter().map(name).collect::<Option<Vec<Box<str>>>>();
    let remove = names.ok_or_else(|| InvalidAnswer("`remove` is a list of names".to_owned()))?;
    if remove.iter().any(|name| name.starts_with('@')) {
        return Err(InvalidAnswer("`remove`: tags that begin with @ are the server's".to_owned()));
    }
    Ok(WebhookCommand::Tag { set: own_tags("set", set)?, remove })
}

fn accept(json: &str) -> Result<WebhookCommand, InvalidAnswer> {
    let Accept { user, tags, .. } = serde_json::from_str(json).map_err(wrong)?;
    let user = user.map(RawValue::get).filter(|user| *user != "null");
    if let Some(user) = user.filter(|user| user.len() > USER_BYTES_MAX) {
        let bytes = user.len();
        return Err(InvalidAnswer(format!(
            "`user` has {bytes} bytes, at most {USER_BYTES_MAX} are allowed"
        )));
    }
    Ok(WebhookCommand::Accept { user: user.map(Into::into), tags: own_tags("tags", tags)? })
}

fn close(json: &str) -> Result<WebhookCommand, InvalidAnswer> {
    let Close { code, reason, .. } = serde_json::from_str(json).map_err(wrong)?;
    let code = match code.map(RawValue::get) {
        Some(raw) if raw != "null" => number(raw)?,
        _ => CloseCode::NORMAL.0,
    };
    if !matches!(code, 1000 | 3000..=4999) {
        return Err(InvalidAnswer("`code` is 1000 or 3000 to 4999".to_owned()));
    }
    let text = Cow::Owned(reason_of(reason)?);
    Ok(WebhookCommand::Close(CloseReason { code: CloseCode(code), text }))
}

fn number(raw: &str) -> Result<u16, InvalidAnswer> {
    raw.parse().map_err(|_| {
        let shown: String = raw.chars().take(SHOWN_CHARS_MAX).collect();
        InvalidAnswer(format!("`code` is 1000 or 3000 to 4999 (u16), and not `{shown}`"))
    })
}

fn reason_of(reason: Option<LossyText<'_>>) -> Result<String, InvalidAnswer> {
    let reason = reason.map(|reason| reason.0.into_owned()).unwrap_or_default();
    if reason.len() > REASON_BYTES_MAX || reason.contains(char::is_control) {
        let right = format!("`reason` has at most {REASON_BYTES_MAX} bytes, and one line");
        return Err(InvalidAnswer(right));
    }
    Ok(reason)
}

/// Parses tags of a client. PHP encodes an object without members as an empty list, which is
/// accepted.
fn own_tags(member: &str, json: Option<&RawValue>) -> Result<Tags, InvalidAnswer> {
    let Some(json) = json else { return Ok(Tags::default()) };
    tags::of_opening(json.get()).map_err(|why| InvalidAnswer(format!("`{member}`: {why}")))
}

fn query(json: Option<&RawValue>) -> Result<TagQuery, InvalidAnswer> {
    let Some(json) = json else { return Ok(TagQuery::default()) };
    tags::of_request(json.get()).map_err(|why| InvalidAnswer(format!("`tags`: {why}")))
}

/// Parses an expression: its text form as a string, or its JSON form.
fn expression(json: &RawValue) -> Result<Expression, InvalidAnswer> {
    let found = match Scalar::of(json.get()) {
        Scalar::Text(text) => Expression::parse(&text),
        _ => Expression::from_json(json.get()),
    };
    found.map_err(|error| InvalidAnswer(format!("`expr`: {error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn wrong(error: serde_json::Error) -> InvalidAnswer {
    InvalidAnswer(error.to_string())
}

#[cfg(test)]
mod tests;
