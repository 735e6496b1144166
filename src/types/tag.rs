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

/// A tag of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagRef<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> TagRef<'a> {
    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.name
    }

    /// Returns the value as text.
    #[must_use]
    pub fn value(self) -> &'a str {
        self.value
    }

    /// Returns true if only the server may assign this tag.
    #[must_use]
    pub fn is_servers_own(self) -> bool {
        is_servers_own(self.name)
    }

    /// Returns a tag of its own.
    #[must_use]
    pub fn to_tag(self) -> Tag {
        Tag { name: self.name.into(), value: self.value.into() }
    }
}

/// A map by tags finds one without a copy of it.
impl hashbrown::Equivalent<Tag> for TagRef<'_> {
    fn equivalent(&self, tag: &Tag) -> bool {
        *self == tag.as_tag()
    }
}

/// A tag that can be added to a set.
pub trait AsTag {
    /// Returns the tag.
    fn as_tag(&self) -> TagRef<'_>;
}

impl AsTag for Tag {
    fn as_tag(&self) -> TagRef<'_> {
        TagRef { name: &self.name, value: &self.value }
    }
}

impl AsTag for TagRef<'_> {
    fn as_tag(&self) -> TagRef<'_> {
        *self
    }
}

impl<T: AsTag> AsTag for &T {
    fn as_tag(&self) -> TagRef<'_> {
        (*self).as_tag()
    }
}

/// The tags of one client, sorted by name, with one value per name, and its topics. A client in a topic matches a tag
/// as well ([`Topics`]). Tag queries have no topics.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    /// All tags in one piece of memory, because each client has some: for each the lengths of its name and of its
    /// value as a character, then both.
    packed: Box<str>,
    topics: Topics,
}

impl Tags {
    /// Creates a set of tags. If a name occurs twice, the later value wins, as in a JSON object.
    ///
    /// # Errors
    ///
    /// If there are more than [`TAGS_MAX`] tags.
    pub fn new<T: AsTag>(tags: impl IntoIterator<Item = T>) -> Result<Self, TagError> {
        let tags: Vec<T> = tags.into_iter().collect();
        let mut tags: Vec<TagRef<'_>> = tags.iter().map(AsTag::as_tag).collect();
        // Tags from a link are already sorted.
        if !tags.is_sorted_by(|one, next| one.name < next.name) {
            tags.sort_by_key(|tag| tag.name);
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
        Ok(Self { packed: pack(&tags), topics: Topics::default() })
    }

    /// Returns the tags in order of their names.
    #[must_use]
    pub fn iter(&self) -> TagIter<'_> {
        TagIter(&self.packed)
    }

    /// Returns the value of a tag by its name.
    #[must_use]
    pub fn value_of(&self, name: &str) -> Option<&str> {
        self.iter().find(|tag| tag.name == name).map(TagRef::value)
    }

    /// Returns their memory in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.packed.len() + self.topics.held()
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
    pub fn have(&self, tag: impl AsTag) -> bool {
        let tag = tag.as_tag();
        self.value_of(tag.name) == Some(tag.value) || self.topics.match_tag(tag.name, tag.value)
    }

    /// Returns true if there are no tags, whatever topics there are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Returns the number of tags, without topics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }
}

/// Puts tags into one text. A character holds a length, since none is longer than [`TAG_VALUE_BYTES_MAX`].
fn pack(tags: &[TagRef<'_>]) -> Box<str> {
    let length = |text: &str| u8::try_from(text.len()).map_or(char::MAX, char::from);
    let bytes_of = |tag: &TagRef<'_>| {
        let lengths = length(tag.name).len_utf8() + length(tag.value).len_utf8();
        lengths + tag.name.len() + tag.value.len()
    };
    let mut packed = String::with_capacity(tags.iter().map(bytes_of).sum());
    for tag in tags {
        packed.push(length(tag.name));
        packed.push(length(tag.value));
        packed.push_str(tag.name);
        packed.push_str(tag.value);
    }
    packed.into_boxed_str()
}

/// The tags of a set in order of their names.
#[derive(Clone, Debug)]
pub struct TagIter<'a>(&'a str);

impl<'a> Iterator for TagIter<'a> {
    type Item = TagRef<'a>;

    fn next(&mut self) -> Option<TagRef<'a>> {
        let mut lengths = self.0.chars();
        let (name, value) = (lengths.next()? as usize, lengths.next()? as usize);
        let (name, rest) = lengths.as_str().split_at_checked(name)?;
        let (value, rest) = rest.split_at_checked(value)?;
        self.0 = rest;
        Some(TagRef { name, value })
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = TagRef<'a>;
    type IntoIter = TagIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<TagRef<'_>> = self.iter().collect();
        f.debug_struct("Tags").field("tags", &tags).field("topics", &self.topics).finish()
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
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_set_has_the_tags_that_were_put_in(all in vec((".{1,40}", ".{0,40}"), 0..20)) {
            let tags = Tags::new(all.iter().map(|(name, value)| tag(name, value))).unwrap();
            let wanted: BTreeMap<&str, &str> =
                all.iter().map(|(name, value)| (&**name, &**value)).collect();
            let found: Vec<_> = tags.iter().map(|tag| (tag.name(), tag.value())).collect();
            prop_assert_eq!(&found, &wanted.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(tags.len(), wanted.len());
            for (name, value) in wanted {
                prop_assert_eq!(tags.value_of(name), Some(value));
            }
        }
    }

    #[test]
    fn the_longest_tags_are_stored() {
        let (name, value) = ("n".repeat(255), "\u{e9}".repeat(127));
        let tags = Tags::new([tag(&name, &value), tag("z", "")]).unwrap();
        let found: Vec<_> = tags.iter().map(|tag| (tag.name(), tag.value())).collect();
        assert_eq!(found, [(&*name, &*value), ("z", "")]);
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
