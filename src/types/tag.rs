//! Tags of clients and tag queries of publishers.

use std::fmt;

use super::Topics;
use super::limits::{
    TAG_NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX, TAGS_MAX, TOPIC_BYTES_MAX, TOPICS_MAX,
};

/// A name and a value. An integer value is stored as its decimal text, so 12 and "12" are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    name: Box<str>,
    value: Box<str>,
}

/// Prefix of tag names that only the server may assign.
const OWN_MARK: char = '@';

impl Tag {
    /// Returns its memory in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.value.len()
    }

    /// Creates a tag.
    ///
    /// # Errors
    ///
    /// If the name is empty, or if the name or value is too long.
    pub fn new(name: &str, value: &str) -> Result<Self, TagError> {
        if name.is_empty() {
            return Err(TagError::NameEmpty);
        }
        if name.len() > TAG_NAME_BYTES_MAX {
            return Err(TagError::NameTooLong { bytes: name.len() });
        }
        if value.len() > TAG_VALUE_BYTES_MAX {
            return Err(TagError::ValueTooLong { name: name.into(), bytes: value.len() });
        }
        Ok(Self { name: name.into(), value: value.into() })
    }

    /// Returns true if only the server may assign this tag. Requests of clients for such tags are
    /// denied, so the tag is reliable.
    #[must_use]
    pub fn is_servers_own(&self) -> bool {
        is_servers_own(&self.name)
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value as text.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// The tags of one client, sorted by name, with one value per name, and its topics. A client in a topic matches a tag
/// as well ([`Topics`]). Tag queries have no topics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    tags: Box<[Tag]>,
    topics: Topics,
}

impl Tags {
    /// Creates a set of tags. If a name occurs twice, the later value wins, as in a JSON object.
    ///
    /// # Errors
    ///
    /// If there are more than [`TAGS_MAX`] tags.
    pub fn new(tags: impl IntoIterator<Item = Tag>) -> Result<Self, TagError> {
        let mut tags: Vec<Tag> = tags.into_iter().collect();
        // Tags from a link are already sorted.
        if !tags.is_sorted_by(|one, next| one.name < next.name) {
            tags.sort_by(|one, other| one.name.cmp(&other.name));
            tags.dedup_by(|later, kept| {
                let is_same = later.name == kept.name;
                if is_same {
                    std::mem::swap(later, kept);
                }
                is_same
            });
        }
        if tags.len() > TAGS_MAX {
            return Err(TagError::TooMany);
        }
        Ok(Self { tags: tags.into_boxed_slice(), topics: Topics::default() })
    }

    /// Returns the tags in order of their names.
    pub fn iter(&self) -> std::slice::Iter<'_, Tag> {
        self.tags.iter()
    }

    /// Returns the value of a tag by its name.
    #[must_use]
    pub fn value_of(&self, name: &str) -> Option<&str> {
        let at = self.tags.binary_search_by(|tag| tag.name().cmp(name)).ok()?;
        self.tags.get(at).map(Tag::value)
    }

    /// Returns their memory in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.tags.iter().map(Tag::held).sum::<usize>() + self.topics.held()
    }

    /// Returns the same tags with these topics in place of others.
    #[must_use]
    pub fn with_topics(self, topics: Topics) -> Self {
        Self { topics, ..self }
    }

    /// Returns the topics.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Returns whether a client with these tags and topics has a tag.
    #[must_use]
    pub fn have(&self, tag: &Tag) -> bool {
        self.value_of(tag.name()) == Some(tag.value())
            || self.topics.match_tag(tag.name(), tag.value())
    }

    /// Returns true if there are no tags, whatever topics there are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Returns the number of tags, without topics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tags.len()
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = &'a Tag;
    type IntoIter = std::slice::Iter<'a, Tag>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Returns whether only the server may assign tags with this name.
#[must_use]
pub(super) fn is_servers_own(name: &str) -> bool {
    name.starts_with(OWN_MARK)
}

/// Returns whether PHP would turn this array key into an integer. Such a key cannot be a tag name.
#[must_use]
pub fn is_integer_key(name: &str) -> bool {
    name.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && name.parse::<i64>().is_ok_and(|number| number.to_string() == name)
}

/// The tags that a client must have to match. An empty query matches all clients.
pub type TagQuery = Tags;

/// The reason why a tag is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagError {
    /// The name is empty.
    NameEmpty,
    /// The name is longer than [`TAG_NAME_BYTES_MAX`].
    NameTooLong {
        /// Length of the name in bytes.
        bytes: usize,
    },
    /// The value is longer than [`TAG_VALUE_BYTES_MAX`].
    ValueTooLong {
        /// Name of the tag.
        name: Box<str>,
        /// Length of the value in bytes.
        bytes: usize,
    },
    /// A client or query has more than [`TAGS_MAX`] tags.
    TooMany,
    /// No topic can have this name.
    InvalidTopic {
        /// The name.
        name: Box<str>,
    },
    /// A client would be in more than [`TOPICS_MAX`] topics.
    TooManyTopics,
}

impl fmt::Display for TagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameEmpty => write!(f, "a tag needs a name"),
            Self::NameTooLong { bytes } => {
                write!(f, "a tag name of {bytes} bytes, {TAG_NAME_BYTES_MAX} at most")
            }
            Self::ValueTooLong { name, bytes } => {
                write!(f, "the tag {name} has {bytes} bytes, {TAG_VALUE_BYTES_MAX} at most")
            }
            Self::TooMany => write!(f, "more than {TAGS_MAX} tags"),
            Self::InvalidTopic { name } => write!(
                f,
                "the name of a topic is 1 to {TOPIC_BYTES_MAX} of A-Z a-z 0-9 _ - = @ , . ; and not {name:?}"
            ),
            Self::TooManyTopics => write!(f, "more than {TOPICS_MAX} topics"),
        }
    }
}

impl std::error::Error for TagError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str, value: &str) -> Tag {
        Tag::new(name, value).unwrap()
    }

    #[test]
    fn of_two_tags_with_one_name_the_later_wins() {
        let tags = Tags::new([tag("b", "1"), tag("a", "2"), tag("b", "3")]).unwrap();
        let seen: Vec<_> = tags.iter().map(|tag| (tag.name(), tag.value())).collect();
        assert_eq!(seen, [("a", "2"), ("b", "3")]);
    }

    #[test]
    fn what_is_too_long_or_too_much_is_refused() {
        assert_eq!(Tag::new("", "x"), Err(TagError::NameEmpty));
        assert!(Tag::new(&"n".repeat(255), &"v".repeat(255)).is_ok());
        assert_eq!(Tag::new(&"n".repeat(256), ""), Err(TagError::NameTooLong { bytes: 256 }));
        assert!(matches!(Tag::new("n", &"v".repeat(256)), Err(TagError::ValueTooLong { .. })));
        let many = (0..129).map(|n| tag(&n.to_string(), "x"));
        assert_eq!(Tags::new(many), Err(TagError::TooMany));
    }
}
