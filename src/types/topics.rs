//! Topics: names of which a client may have many, unlike the values of a tag.

use std::sync::Arc;

use super::limits::{TOPIC_BYTES_MAX, TOPICS_MAX};
use super::{Tag, TagError, TagRef};

/// Name of the tag that a topic matches.
const CHANNEL: &str = "channel";
/// Name of the tag that a guarded topic matches. Only the server assigns it.
const GUARDED_CHANNEL: &str = "@channel";
/// Beginnings of the names of guarded topics.
const GUARDED: [&str; 2] = ["private-", "presence-"];

/// The topics of one client, sorted, each once. Clients without topics have one word of memory.
///
/// A client in the topic `news` matches as if it had the tag `channel` with the value `news`; a topic whose name
/// begins with `private-` or `presence-` is guarded, and matches as the tag `@channel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Topics(Option<Arc<TopicList>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct TopicList(Box<[Box<str>]>);

/// Returns whether a topic may have this name.
#[must_use]
pub fn is_topic_name(name: &str) -> bool {
    let is_right = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'-' | b'=' | b'@' | b',' | b'.' | b';')
    };
    (1..=TOPIC_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_right)
}

/// Returns whether a topic with this name is guarded: only a token that names it admits a client.
#[must_use]
pub fn is_guarded_topic(name: &str) -> bool {
    GUARDED.iter().any(|beginning| name.starts_with(beginning))
}

/// Returns the name of the tag that a topic matches.
#[must_use]
pub fn topic_tag_name(topic: &str) -> &'static str {
    if is_guarded_topic(topic) { GUARDED_CHANNEL } else { CHANNEL }
}

/// Returns whether a tag with this name is matched by topics.
#[must_use]
pub fn is_topic_tag_name(name: &str) -> bool {
    name == CHANNEL || is_guarded_tag_name(name)
}

/// Returns whether a tag with this name is matched by guarded topics.
#[must_use]
pub fn is_guarded_tag_name(name: &str) -> bool {
    name == GUARDED_CHANNEL
}

impl Topics {
    /// Creates a set of topics.
    ///
    /// # Errors
    ///
    /// If a name is invalid, or there are more than [`TOPICS_MAX`].
    pub fn new(names: impl IntoIterator<Item = Box<str>>) -> Result<Self, TagError> {
        let mut names: Vec<Box<str>> = names.into_iter().collect();
        if !names.is_sorted_by(|one, next| one < next) {
            names.sort_unstable();
            names.dedup();
        }
        if let Some(name) = names.iter().find(|name| !is_topic_name(name)) {
            return Err(TagError::InvalidTopic { name: name.clone() });
        }
        Self::of_sorted(names)
    }

    fn of_sorted(names: Vec<Box<str>>) -> Result<Self, TagError> {
        match names.len() {
            0 => Ok(Self(None)),
            1..=TOPICS_MAX => Ok(Self(Some(Arc::new(TopicList(names.into_boxed_slice()))))),
            _ => Err(TagError::TooManyTopics),
        }
    }

    fn names(&self) -> &[Box<str>] {
        self.0.as_ref().map_or(&[], |list| &list.0)
    }

    /// Returns the names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names().iter().map(|name| &**name)
    }

    /// Returns the number of topics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names().len()
    }

    /// Returns true if there are no topics.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether a topic is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.names().binary_search_by(|known| (**known).cmp(name)).is_ok()
    }

    /// Returns whether they match a tag with this name and value.
    #[must_use]
    pub fn match_tag(&self, name: &str, value: &str) -> bool {
        !self.is_empty() && topic_tag_name(value) == name && self.contains(value)
    }

    /// Returns the values of a tag that they match, in order.
    pub fn values_of<'a>(&'a self, tag_name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |topic| topic_tag_name(topic) == tag_name)
    }

    /// Returns these topics without those of `leave`, and with those of `join`.
    ///
    /// # Errors
    ///
    /// If there would be more than [`TOPICS_MAX`].
    pub fn edited(&self, join: &Self, leave: &Self) -> Result<Self, TagError> {
        if join.is_empty() && (leave.is_empty() || self.is_empty()) {
            return Ok(self.clone());
        }
        let kept = self.names().iter().filter(|name| !leave.contains(name));
        let mut names: Vec<Box<str>> = kept.chain(join.names()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        Self::of_sorted(names)
    }

    /// Returns those that a test accepts.
    #[must_use]
    pub fn filtered(&self, accepts: impl Fn(&str) -> bool) -> Self {
        let names: Vec<Box<str>> =
            self.names().iter().filter(|name| accepts(name)).cloned().collect();
        Self::of_sorted(names).unwrap_or_default()
    }

    /// Returns their memory in bytes. Several clients and records may share it.
    #[must_use]
    pub fn held(&self) -> usize {
        self.iter().map(|name| size_of::<Box<str>>() + name.len()).sum()
    }
}

impl Tag {
    /// Returns the tag that a topic matches.
    ///
    /// # Errors
    ///
    /// If no topic can have this name.
    pub fn of_topic(topic: &str) -> Result<Self, TagError> {
        if is_topic_name(topic) {
            Self::new(topic_tag_name(topic), topic)
        } else {
            Err(TagError::InvalidTopic { name: topic.into() })
        }
    }
}

impl<'a> TagRef<'a> {
    /// Returns the topic whose clients have this tag.
    #[must_use]
    pub fn topic(self) -> Option<&'a str> {
        let topic = self.value();
        let is_one = is_topic_tag_name(self.name())
            && is_topic_name(topic)
            && topic_tag_name(topic) == self.name();
        is_one.then_some(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::AsTag as _;

    fn topics(text: &str) -> Topics {
        Topics::new(text.split_whitespace().map(Into::into)).unwrap()
    }

    #[test]
    fn names_of_topics_are_those_of_channels() {
        for name in ["news", "room-1", "a_b=c@d,e.f;g", "presence", &"x".repeat(200)] {
            assert!(is_topic_name(name), "{name}");
        }
        for name in ["", "#user", "a b", "caf\u{e9}", "a/b", &"x".repeat(201)] {
            assert!(!is_topic_name(name), "{name}");
            assert!(Topics::new([name.into()]).is_err());
        }
    }

    #[test]
    fn a_guarded_topic_matches_the_tag_of_the_server() {
        let own = topics("news private-x presence-y Private-z");
        assert!(own.match_tag("channel", "news") && own.match_tag("@channel", "private-x"));
        assert!(!own.match_tag("channel", "private-x") && !own.match_tag("@channel", "news"));
        assert!(!own.match_tag("room", "news") && !own.match_tag("channel", "other"));
        let values: Vec<&str> = own.values_of("channel").collect();
        assert_eq!(values, ["Private-z", "news"]);
        let tag = Tag::of_topic("presence-y").unwrap();
        assert_eq!((tag.name(), tag.as_tag().topic()), ("@channel", Some("presence-y")));
        assert_eq!(Tag::new("channel", "private-x").unwrap().as_tag().topic(), None);
        assert_eq!(Tag::new("room", "news").unwrap().as_tag().topic(), None);
    }

    #[test]
    fn topics_are_left_before_others_are_joined() {
        let own = topics("a b c");
        assert_eq!(own.edited(&topics("d b"), &topics("b c x")), Ok(topics("a b d")));
        assert_eq!(own.edited(&topics(""), &topics("a b c")), Ok(Topics::default()));
        let many = |range: std::ops::Range<usize>| {
            Topics::new(range.map(|n| format!("t{n}").into())).unwrap()
        };
        let full = many(0..TOPICS_MAX);
        assert_eq!(full.edited(&topics("a"), &Topics::default()), Err(TagError::TooManyTopics));
        assert_eq!(full.edited(&topics("a"), &topics("t1")).map(|it| it.len()), Ok(TOPICS_MAX));
    }
}
