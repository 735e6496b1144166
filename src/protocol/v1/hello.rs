//! The first frame of a client.

use std::borrow::Cow;

use super::frame::{V1RequestId, text_of};
use super::retag::{BadTopics, read_topics};
use crate::json::{JsonShape, NotJson, pick};
use crate::types::Topics;

/// What a client opens with. A member that is missing is as the request of the handshake says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct V1Hello<'a> {
    /// Key of an application.
    pub key: Option<Cow<'a, str>>,
    /// Its secret.
    pub secret: Option<Cow<'a, str>>,
    /// Connection token.
    pub token: Option<Cow<'a, str>>,
    /// The tags, as they are written.
    pub tags: Option<&'a str>,
    /// The topics that it joins.
    pub topics: Topics,
    /// Name of the client.
    pub ident: Option<Cow<'a, str>>,
    /// Name and version of the client program, for the log.
    pub client: Option<Cow<'a, str>>,
    /// Name of this run of the program.
    pub instance: Option<Cow<'a, str>>,
    /// Resume token of its last `welcome`.
    pub resume: Option<Cow<'a, str>>,
    /// The last position that it has received.
    pub since: Option<Cow<'a, str>>,
    /// How many of the latest publications it wants instead.
    pub rewind: u64,
}

const MEMBERS: [&str; 12] = [
    "op", "key", "secret", "token", "tags", "topics", "ident", "client", "instance", "resume",
    "since", "rewind",
];

/// Parses the first frame. Unknown members are ignored; of members with one name the last counts.
///
/// # Errors
///
/// What is wrong, for the text of the Close frame.
pub fn parse_hello(text: &str) -> Result<V1Hello<'_>, Cow<'static, str>> {
    let named = match pick(text, MEMBERS) {
        Ok(JsonShape::Object(members)) => members.named,
        Ok(_) => return Err("the text is not a JSON object".into()),
        Err(NotJson) => return Err("the text is not JSON".into()),
    };
    let [op, key, secret, token, tags, topics, ident, client, instance, resume, since, rewind] =
        named;
    if text_of(op).as_deref() != Some("hello") {
        return Err("the first frame must be `hello`".into());
    }
    let read = |raw: Option<&'_ str>, name: &str| match raw {
        None => Ok(()),
        Some(raw) if raw.starts_with('"') => Ok(()),
        Some(_) => Err(Cow::Owned(format!("`{name}` must be a string"))),
    };
    for (raw, name) in [
        (key, "key"),
        (secret, "secret"),
        (token, "token"),
        (ident, "ident"),
        (client, "client"),
        (instance, "instance"),
        (resume, "resume"),
        (since, "since"),
    ] {
        read(raw, name)?;
    }
    let instance = text_of(instance);
    if instance.as_deref().is_some_and(|name| !is_instance(name)) {
        return Err("`instance` must be 8 to 64 of A-Z a-z 0-9 - _".into());
    }
    let topics = topics.map(|raw| read_topics(raw).map_err(BadTopics::text)).transpose()?;
    let rewind = rewind.map_or(Some(V1RequestId(0)), V1RequestId::read);
    let Some(V1RequestId(rewind)) = rewind else {
        return Err("`rewind` must be an integer from 0 to 9007199254740991".into());
    };
    let client = text_of(client);
    if client.as_deref().is_some_and(|name| !is_client(name)) {
        return Err("`client` must be 1 to 64 printable ASCII characters".into());
    }
    Ok(V1Hello {
        key: text_of(key),
        secret: text_of(secret),
        token: text_of(token),
        tags,
        topics: topics.unwrap_or_default(),
        ident: text_of(ident),
        client,
        instance,
        resume: text_of(resume),
        since: text_of(since),
        rewind,
    })
}

fn is_instance(name: &str) -> bool {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (8..=64).contains(&name.len()) && name.bytes().all(is_right)
}

fn is_client(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
