//! What a backend wants done: its answer, read once and whole, or not at all.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::tags;
use crate::json::Scalar;
use crate::types::limits::TAGS_MAX;
use crate::types::{CloseCode, CloseReason, Ident, TagQuery, Tags};

/// Commands of one answer: a publication more than these would not fit into what a worker holds.
pub const COMMANDS_MAX: usize = 256;
/// What is kept with a connection of who its user is.
pub const USER_BYTES_MAX: usize = 4096;
/// How much of what a backend wrote an error repeats.
const SHOWN_CHARS_MAX: usize = 24;
/// What fits into a Close frame (RFC 6455 §5.5).
const REASON_BYTES_MAX: usize = 123;

/// One thing that a backend wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Something for the client that the event is about.
    Reply(Saying),
    /// Something for others.
    Publish(To, Saying),
    /// Other tags for the client.
    Tag {
        /// Tags that it gets.
        set: Tags,
        /// Names of tags that it loses.
        remove: Vec<Box<str>>,
    },
    /// The client is let in.
    Accept {
        /// Who it is, as JSON: sent along with its later events.
        user: Option<Box<str>>,
        /// Tags that it carries from its first moment.
        tags: Tags,
    },
    /// The client is not let in.
    Refuse(Box<str>),
    /// The connection ends.
    Close(CloseReason),
    /// A question about who is connected.
    Who {
        /// What they carry.
        tags: TagQuery,
        /// The tag whose values are wanted.
        tag: Box<str>,
    },
    /// What acknowledgements say from now on.
    Fyi(String),
}

/// Whom a publication is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Everyone in the space.
    All,
    /// Everyone but the client that the event is about.
    Others,
    /// Everyone who is served by the same resource.
    Resource,
    /// The client that was given this UUID.
    Uuid(Box<str>),
    /// The client of this name.
    Ident(Ident),
    /// Everyone who carries all of these.
    Tags(TagQuery),
}

/// What is said to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// A message, as JSON: each dialect words it in its way.
    Message(String),
    /// A text as it is.
    Text(String),
}

/// What is wrong with an answer, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(pub String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// Reads an answer: nothing, a command, a list of them, or an object that holds such a list.
///
/// # Errors
///
/// What is wrong with it. Then none of its commands is to be carried out.
pub fn parse(answer: &[u8]) -> Result<Vec<Command>, Wrong> {
    let text = str::from_utf8(answer).map_err(|_| Wrong("it is no UTF-8".to_owned()))?.trim();
    if text.is_empty() || text == "null" {
        return Ok(Vec::new());
    }
    let Written { first: written, count } = written(text)?;
    if count > COMMANDS_MAX {
        return Err(Wrong(format!("it has {count} commands, {COMMANDS_MAX} at the most")));
    }
    let read = |(place, json): (usize, &&RawValue)| {
        command(json.get()).map_err(|Wrong(why)| Wrong(format!("command {}: {why}", place + 1)))
    };
    written.iter().enumerate().map(read).collect()
}

fn written(text: &str) -> Result<Written<'_, COMMANDS_MAX>, Wrong> {
    #[derive(Deserialize)]
    struct Shape<'a> {
        #[serde(borrow)]
        commands: Option<Written<'a, COMMANDS_MAX>>,
    }

    let no_json = |error| Wrong(format!("it is no JSON of commands ({error})"));
    match text.chars().next() {
        Some('[') => serde_json::from_str(text).map_err(no_json),
        Some('{') => match serde_json::from_str::<Shape<'_>>(text).map_err(no_json)?.commands {
            Some(commands) => Ok(commands),
            None => {
                let first = vec![serde_json::from_str(text).map_err(no_json)?];
                Ok(Written { first, count: 1 })
            }
        },
        _ => Err(Wrong("it is neither empty nor a JSON list or object of commands".to_owned())),
    }
}

fn command(json: &str) -> Result<Command, Wrong> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        command: Cow<'a, str>,
    }

    let Named { command } = serde_json::from_str(json).map_err(wrong)?;
    match command.as_ref() {
        "reply" => {
            let Reply { message, text, .. } = serde_json::from_str(json).map_err(wrong)?;
            saying(message, text).map(Command::Reply)
        }
        "publish" => publish(json),
        "tag" => tag(json),
        "accept" => accept(json),
        "refuse" => {
            let Refuse { reason, .. } = serde_json::from_str(json).map_err(wrong)?;
            Ok(Command::Refuse(reason_of(reason)?.into()))
        }
        "close" => close(json),
        "who" => {
            let Who { tags, tag, .. } = serde_json::from_str(json).map_err(wrong)?;
            Ok(Command::Who { tags: query(tags)?, tag: tag.0.into() })
        }
        "fyi" => {
            let Fyi { text, .. } = serde_json::from_str(json).map_err(wrong)?;
            Ok(Command::Fyi(text.0.into_owned()))
        }
        _ => Err(Wrong(
            "is unknown; use reply, publish, tag, accept, refuse, close, who or fyi".to_owned(),
        )),
    }
}

/// The items of a list as they were written: no more of them are kept than are taken.
#[derive(Default)]
struct Written<'a, const MAX: usize> {
    first: Vec<&'a RawValue>,
    /// How many there are.
    count: usize,
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for Written<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Items<const MAX: usize>;

        impl<'de, const MAX: usize> Visitor<'de> for Items<MAX> {
            type Value = Written<'de, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut written = Written::default();
                while written.first.len() < MAX
                    && let Some(item) = list.next_element()?
                {
                    written.first.push(item);
                }
                written.count = written.first.len();
                while list.next_element::<IgnoredAny>()?.is_some() {
                    written.count += 1;
                }
                Ok(written)
            }
        }

        json.deserialize_seq(Items)
    }
}

/// A text, in which half of a surrogate pair is U+FFFD.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(json)?.get();
        let text = Scalar::of(raw).text().map(Self);
        text.ok_or_else(|| D::Error::custom("a string is expected"))
    }
}

/// The members of each command; `command` itself was read before.
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
    Publish { to: Option<&'a RawValue>, message: Option<&'a RawValue>, text: Option<Text<'a>> }
    Tag { set: Option<&'a RawValue>, remove: Written<'a, TAGS_MAX> }
    Accept { user: Option<&'a RawValue>, tags: Option<&'a RawValue> }
    Reply { message: Option<&'a RawValue>, text: Option<Text<'a>> }
    Refuse { reason: Option<Text<'a>> }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close<'a> {
    #[serde(rename = "command")]
    _command: IgnoredAny,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who<'a> {
    #[serde(rename = "command")]
    _command: IgnoredAny,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
    #[serde(borrow)]
    tag: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fyi<'a> {
    #[serde(rename = "command")]
    _command: IgnoredAny,
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<'a> {
    #[serde(borrow)]
    uuid: Option<Text<'a>>,
    #[serde(borrow)]
    ident: Option<Text<'a>>,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

fn saying(message: Option<&RawValue>, text: Option<Text<'_>>) -> Result<Saying, Wrong> {
    match (message, text) {
        (Some(message), None) => Ok(Saying::Message(message.get().to_owned())),
        (None, Some(text)) => Ok(Saying::Text(text.0.into_owned())),
        _ => Err(Wrong("needs either `message` or `text`".to_owned())),
    }
}

fn publish(json: &str) -> Result<Command, Wrong> {
    const RIGHT: &str = "`to` is \"all\", \"others\", \"resource\", or an object with one of \
                         `uuid`, `ident` and `tags`";
    let right = || Wrong(RIGHT.to_owned());
    let Publish { to, message, text, .. } = serde_json::from_str(json).map_err(wrong)?;
    let what = saying(message, text)?;
    let to = to.ok_or_else(right)?.get();
    if let Scalar::Text(word) = Scalar::of(to) {
        let to = match word.as_ref() {
            "all" => To::All,
            "others" => To::Others,
            "resource" => To::Resource,
            _ => return Err(right()),
        };
        return Ok(Command::Publish(to, what));
    }
    let to = match serde_json::from_str(to).map_err(|_| right())? {
        Named { uuid: Some(uuid), ident: None, tags: None } => To::Uuid(uuid.0.into()),
        Named { uuid: None, ident: Some(ident), tags: None } => {
            To::Ident(Ident::new(&ident.0).map_err(|error| Wrong(format!("`ident`: {error}")))?)
        }
        Named { uuid: None, ident: None, tags: tags @ Some(_) } => To::Tags(query(tags)?),
        _ => return Err(right()),
    };
    Ok(Command::Publish(to, what))
}

fn tag(json: &str) -> Result<Command, Wrong> {
    let Tag { set, remove, .. } = serde_json::from_str(json).map_err(wrong)?;
    if remove.count > TAGS_MAX {
        return Err(Wrong(format!("`remove` has {} names, {TAGS_MAX} at the most", remove.count)));
    }
    let name = |raw: &&RawValue| Scalar::of(raw.get()).text().map(Into::into);
    let names = remove.first.iter().map(name).collect::<Option<Vec<Box<str>>>>();
    let remove = names.ok_or_else(|| Wrong("`remove` is a list of names".to_owned()))?;
    if remove.iter().any(|name| name.starts_with('@')) {
        return Err(Wrong("`remove`: tags that begin with @ are the server's".to_owned()));
    }
    Ok(Command::Tag { set: own_tags("set", set)?, remove })
}

fn accept(json: &str) -> Result<Command, Wrong> {
    let Accept { user, tags, .. } = serde_json::from_str(json).map_err(wrong)?;
    let user = user.map(RawValue::get).filter(|user| *user != "null");
    if let Some(user) = user.filter(|user| user.len() > USER_BYTES_MAX) {
        let bytes = user.len();
        return Err(Wrong(format!("`user` has {bytes} bytes, {USER_BYTES_MAX} at the most")));
    }
    Ok(Command::Accept { user: user.map(Into::into), tags: own_tags("tags", tags)? })
}

fn close(json: &str) -> Result<Command, Wrong> {
    let Close { code, reason, .. } = serde_json::from_str(json).map_err(wrong)?;
    let code = match code.map(RawValue::get) {
        Some(raw) if raw != "null" => number(raw)?,
        _ => CloseCode::NORMAL.0,
    };
    if !matches!(code, 1000 | 3000..=4999) {
        return Err(Wrong("`code` is 1000 or 3000 to 4999".to_owned()));
    }
    let text = Cow::Owned(reason_of(reason)?);
    Ok(Command::Close(CloseReason { code: CloseCode(code), text }))
}

fn number(raw: &str) -> Result<u16, Wrong> {
    raw.parse().map_err(|_| {
        let shown: String = raw.chars().take(SHOWN_CHARS_MAX).collect();
        Wrong(format!("`code` is 1000 or 3000 to 4999 (u16), and not `{shown}`"))
    })
}

fn reason_of(reason: Option<Text<'_>>) -> Result<String, Wrong> {
    let reason = reason.map(|reason| reason.0.into_owned()).unwrap_or_default();
    if reason.len() > REASON_BYTES_MAX || reason.contains(char::is_control) {
        let right = format!("`reason` has {REASON_BYTES_MAX} bytes at the most, and one line");
        return Err(Wrong(right));
    }
    Ok(reason)
}

/// Tags of a client; PHP writes an empty list for an object without members.
fn own_tags(member: &str, json: Option<&RawValue>) -> Result<Tags, Wrong> {
    let Some(json) = json else { return Ok(Tags::default()) };
    tags::of_opening(json.get()).map_err(|why| Wrong(format!("`{member}`: {why}")))
}

fn query(json: Option<&RawValue>) -> Result<TagQuery, Wrong> {
    let Some(json) = json else { return Ok(TagQuery::default()) };
    tags::of_request(json.get()).map_err(|why| Wrong(format!("`tags`: {why}")))
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn wrong(error: serde_json::Error) -> Wrong {
    Wrong(error.to_string())
}

#[cfg(test)]
mod tests;
