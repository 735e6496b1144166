//! Changes of a client's tags. The broker applies them, in its order, and gives each a version.

use std::fmt;

use super::limits::{TAG_NAME_BYTES_MAX, TAGS_MAX};
use super::tag::is_servers_own;
use super::{Tag, TagError, Tags, Topics};

/// The version of a client's tags: the number of its join, or of its last change. Both are counted by one
/// counter of the broker, so a version grows with each change. Compare versions for equality only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagVersion(pub u64);

impl TagVersion {
    /// A new broker continues this far above all versions that were announced to it. The old one may have shown
    /// a version in a list that it had not sent to the worker of the client.
    pub const STEP: u64 = 1 << 20;
}

/// A change of tags, without its condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagEdit {
    /// Sets some tags and removes others, joins topics and leaves others.
    Update {
        /// New tags and new values, and topics that the client joins.
        set: Tags,
        /// Names of removed tags. They are removed first.
        remove: TagNames,
        /// Topics that the client leaves. They are left first.
        leave: Topics,
    },
    /// Replaces all tags that the server does not own. Topics stay.
    Replace(Tags),
}

/// Names of tags: sorted, each once, at most [`TAGS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagNames(Vec<Box<str>>);

/// A change of the tags of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagChange {
    /// What changes.
    pub edit: TagEdit,
    /// The change has an effect only if the tags have this version.
    pub if_version: Option<TagVersion>,
}

/// Tags with their version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionedTags {
    /// The version.
    pub version: TagVersion,
    /// The tags.
    pub tags: Tags,
}

impl TagNames {
    /// Creates a list of names. Duplicates are dropped.
    ///
    /// # Errors
    ///
    /// If a name is empty or too long, or if there are more than [`TAGS_MAX`].
    pub fn new(names: impl IntoIterator<Item = Box<str>>) -> Result<Self, TagError> {
        let mut names: Vec<Box<str>> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > TAGS_MAX {
            return Err(TagError::TooMany);
        }
        for name in &names {
            match name.len() {
                0 => return Err(TagError::NameEmpty),
                bytes if bytes > TAG_NAME_BYTES_MAX => {
                    return Err(TagError::NameTooLong { bytes });
                }
                _ => {}
            }
        }
        Ok(Self(names))
    }

    /// Returns the names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// Returns the number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a name is in the list.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_ok()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|known| (**known).cmp(name))
    }
}

impl TagEdit {
    /// An edit that sets one tag.
    #[must_use]
    pub fn setting(tag: Tag) -> Self {
        let set = Tags::new([tag]).unwrap_or_default();
        Self::Update { set, remove: TagNames::default(), leave: Topics::default() }
    }

    /// An edit that removes one tag.
    ///
    /// # Errors
    ///
    /// If the name is empty or too long.
    pub fn removing(name: &str) -> Result<Self, TagError> {
        let remove = TagNames::new([name.into()])?;
        Ok(Self::Update { set: Tags::default(), remove, leave: Topics::default() })
    }

    /// Returns the same edit, which also leaves these topics. A replacement leaves none.
    #[must_use]
    pub fn leaving(self, topics: Topics) -> Self {
        match self {
            Self::Update { set, remove, .. } => Self::Update { set, remove, leave: topics },
            replacement @ Self::Replace(_) => replacement,
        }
    }

    /// Returns the tags that are set.
    #[must_use]
    pub fn set(&self) -> &Tags {
        match self {
            Self::Update { set, .. } | Self::Replace(set) => set,
        }
    }

    /// Returns the topics that the client joins.
    #[must_use]
    pub fn join(&self) -> &Topics {
        self.set().topics()
    }

    /// Returns the topics of a client after this change.
    ///
    /// # Errors
    ///
    /// If there would be more than [`TOPICS_MAX`](super::limits::TOPICS_MAX).
    pub fn topics(&self, topics: &Topics) -> Result<Topics, TagError> {
        match self {
            Self::Update { set, leave, .. } => topics.edited(set.topics(), leave),
            Self::Replace(set) => topics.edited(set.topics(), &Topics::default()),
        }
    }

    /// Returns whether topics may change.
    #[must_use]
    pub fn changes_topics(&self) -> bool {
        let leaves = matches!(self, Self::Update { leave, .. } if !leave.is_empty());
        leaves || !self.join().is_empty()
    }

    /// Returns whether a tag with this name stays unchanged.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        let is_kept = match self {
            Self::Update { remove, .. } => !remove.contains(name),
            Self::Replace(_) => is_servers_own(name),
        };
        is_kept && self.set().value_of(name).is_none()
    }

    /// Returns the tags after this change.
    ///
    /// # Errors
    ///
    /// If there would be more than [`TAGS_MAX`], or too many topics.
    pub fn apply(&self, tags: &Tags) -> Result<Tags, TagError> {
        let kept = tags.iter().filter(|tag| self.keeps(tag.name()));
        let all = Tags::new(kept.chain(self.set()))?;
        Ok(all.with_topics(self.topics(tags.topics())?))
    }

    /// Returns one edit with the effect of this one and then of `next`; `None` if it would have too many names.
    #[must_use]
    pub fn then(&self, next: &Self) -> Option<Self> {
        let Self::Update { set: later, remove, leave } = next else {
            return (!self.changes_topics()).then(|| next.clone());
        };
        let left = |set: &Tags| {
            let kept = set.iter().filter(|tag| !remove.contains(tag.name()));
            let tags = Tags::new(kept.chain(later)).ok()?;
            Some(tags.with_topics(next.topics(set.topics()).ok()?))
        };
        match self {
            // Names with `@` are not part of a replacement, so removing one must be kept.
            Self::Replace(_) => None,
            Self::Update { set, remove: earlier, leave: left_before } => {
                let names = earlier.0.iter().chain(&remove.0).cloned();
                let remove = TagNames::new(names).ok()?;
                let leave = left_before.edited(leave, &Topics::default()).ok()?;
                Some(Self::Update { set: left(set)?, remove, leave })
            }
        }
    }

    /// Returns the number of tags, names and topics.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Update { set, remove, leave } => {
                set.len() + remove.len() + set.topics().len() + leave.len()
            }
            Self::Replace(set) => set.len(),
        }
    }

    /// Returns true if it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Update { .. }) && self.len() == 0
    }

    /// Returns its memory in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::Update { set, remove, leave } => {
                let name = |name: &str| size_of::<Box<str>>() + name.len();
                set.held() + remove.iter().map(name).sum::<usize>() + leave.held()
            }
            Self::Replace(set) => set.held(),
        }
    }
}

impl fmt::Display for TagVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Tags {
        let tag = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap();
            Tag::new(name, value).unwrap()
        };
        Tags::new(text.split_whitespace().map(tag)).unwrap()
    }

    fn update(set: &str, remove: &str) -> TagEdit {
        let remove = TagNames::new(remove.split_whitespace().map(Into::into)).unwrap();
        TagEdit::Update { set: tags(set), remove, leave: Topics::default() }
    }

    #[test]
    fn an_update_leaves_other_tags_and_a_replacement_those_of_the_server() {
        let before = tags("@user=7 a=1 b=2");
        assert_eq!(update("b=3 c=4", "a x").apply(&before), Ok(tags("@user=7 b=3 c=4")));
        assert_eq!(TagEdit::Replace(tags("c=4")).apply(&before), Ok(tags("@user=7 c=4")));
        assert_eq!(update("", "@user").apply(&before), Ok(tags("a=1 b=2")));
        assert!(update("", "").is_empty() && !TagEdit::Replace(Tags::default()).is_empty());
    }

    #[test]
    fn more_tags_than_a_client_may_have_are_refused() {
        let many = |from: usize, to: usize| {
            let all = (from..to).map(|n| Tag::new(&format!("n{n}"), "x").unwrap());
            Tags::new(all).unwrap()
        };
        let (set, remove) = (many(100, 130), TagNames::default());
        let edit = TagEdit::Update { set, remove, leave: Topics::default() };
        assert_eq!(edit.apply(&many(0, 98)).map(|tags| tags.len()), Ok(128));
        assert_eq!(edit.apply(&many(0, 99)), Err(TagError::TooMany));
        let names = |count: usize| TagNames::new((0..count).map(|n| format!("n{n}").into()));
        assert_eq!((names(128).map(|it| it.len()), names(129)), (Ok(128), Err(TagError::TooMany)));
        assert_eq!(TagNames::new(["".into()]), Err(TagError::NameEmpty));
    }

    fn topics(text: &str) -> Topics {
        Topics::new(text.split_whitespace().map(Into::into)).unwrap()
    }

    fn move_to(set: &str, join: &str, leave: &str) -> TagEdit {
        let (set, remove) = (tags(set).with_topics(topics(join)), TagNames::default());
        TagEdit::Update { set, remove, leave: topics(leave) }
    }

    #[test]
    fn a_replacement_of_tags_leaves_topics_and_two_edits_move_on() {
        let before = tags("a=1 channel=news").with_topics(topics("news x"));
        let replaced = TagEdit::Replace(tags("b=1")).apply(&before).unwrap();
        assert_eq!(replaced, tags("b=1").with_topics(topics("news x")));
        for (first, second) in [
            (move_to("a=2", "y z", "x"), move_to("b=1", "x", "y")),
            (move_to("", "", "news"), move_to("", "news", "")),
            (move_to("", "q", ""), move_to("", "", "q x")),
        ] {
            let after = second.apply(&first.apply(&before).unwrap());
            assert_eq!(first.then(&second).unwrap().apply(&before), after);
        }
        assert_eq!(move_to("", "q", "").then(&TagEdit::Replace(tags("b=1"))), None);
    }

    #[test]
    fn two_edits_in_one_have_the_effect_of_both() {
        let before = tags("a=1 b=2 c=3");
        for (first, second) in [
            (update("a=5", "b"), update("b=7", "a")),
            (update("d=5", ""), update("d=6", "c")),
            (update("", "a"), TagEdit::Replace(tags("x=1"))),
        ] {
            let both = first.then(&second).unwrap();
            let after = second.apply(&first.apply(&before).unwrap());
            assert_eq!(both.apply(&before), after);
        }
        assert_eq!(TagEdit::Replace(tags("x=1")).then(&update("y=1", "")), None);
    }
}
