//! Presence of `tagcast.v1`: what a client watches, and what the watchers of others see of it.

use super::limits::PRESENCE_LINGER;
use super::{ClientFilter, ClientUuid, Tags};

/// What the watcher of a query gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WatchMode {
    /// How many clients and users there are.
    Count,
    /// The clients too, as long as there are no more than this.
    Members(u32),
}

/// What one host lists for another, of the clients that match a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchListing {
    /// Clients, as long as there are no more than this.
    pub most: u32,
    /// Whether what watchers see of them is listed too.
    pub is_shown: bool,
}

/// A query that a client watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchTerms {
    /// The clients that it is about.
    pub query: ClientFilter,
    /// What the watcher gets.
    pub mode: WatchMode,
    /// Whether it ends with the first answer.
    pub is_once: bool,
    /// Which clients the watcher may watch.
    pub scope: WatchScope,
}

/// Which clients a client may watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchScope {
    /// None.
    Nothing,
    /// Those with a tag that the client itself has. A watch ends when its client no longer has it.
    Own,
    /// Those of its space.
    Any,
}

/// Why a query is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchRefusal {
    /// The watcher does not match the query, as its application or its token demands.
    NotOwn,
    /// Too many different queries are watched in the space.
    TooMany,
    /// The prefixes of the expression would scan this many values.
    TooExpensive(u64),
}

/// What watchers see of a client, and for how long after its connection has ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemberTerms {
    /// How long the client stays a member after it has gone away, in milliseconds.
    pub linger_ms: u32,
    /// Whether its UUID is shown, which is an address.
    pub shows_uuid: bool,
    /// Names of its tags that are shown. A name that ends in `*` stands for all that begin with the rest of it.
    pub tags: Box<[Box<str>]>,
    /// What its token says about its user: JSON.
    pub info: Option<Box<str>>,
}

impl MemberTerms {
    /// Returns the usual: nothing is shown.
    #[must_use]
    pub fn usual() -> Self {
        let linger_ms = u32::try_from(PRESENCE_LINGER.as_millis()).unwrap_or(u32::MAX);
        Self { linger_ms, shows_uuid: false, tags: Box::default(), info: None }
    }

    /// Returns the tags that are shown.
    #[must_use]
    pub fn shown(&self, tags: &Tags) -> Tags {
        let is_shown = |name: &str| {
            self.tags.iter().any(|shown| match shown.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning) && !name.starts_with('@'),
                None => **shown == *name,
            })
        };
        let shown = tags.iter().filter(|tag| is_shown(tag.name()));
        Tags::new(shown).unwrap_or_default()
    }

    /// Returns the memory that it uses, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        let tags = self.tags.iter().map(|name| name.len() + size_of::<Box<str>>());
        size_of::<Self>() + tags.sum::<usize>() + self.info.as_ref().map_or(0, |it| it.len())
    }
}

/// A client as watchers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentMember {
    /// The client. What watchers see in its place is a keyed hash.
    pub client: ClientUuid,
    /// Whether its UUID is shown, which is an address.
    pub shows_uuid: bool,
    /// What its token says about its user: JSON.
    pub info: Option<Box<str>>,
    /// The tags that are shown.
    pub tags: Tags,
}

impl PresentMember {
    /// Returns the memory that it uses in addition to its own size, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.info.as_ref().map_or(0, |info| info.len()) + self.tags.held()
    }
}

/// How many match a watched query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PresenceCounts {
    /// Clients.
    pub clients: u64,
    /// Distinct users: by the subject of the token, else by the ident, else each client is one.
    pub users: u64,
}

/// What watchers learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceNews {
    /// The numbers alone.
    Counts,
    /// The numbers, in place of everything that the watcher knows.
    AllCounts,
    /// All members, in place of everything that the watcher knows.
    All(Vec<PresentMember>),
    /// There are too many members for a list.
    TooMany,
    /// Members that have come, or of which other things are shown now, and such as have left.
    Changed {
        /// Those that are members now.
        joined: Vec<PresentMember>,
        /// Those that have left.
        left: Vec<ClientUuid>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Tag;

    #[test]
    fn names_and_beginnings_of_names_choose_the_tags_that_are_shown() {
        let tag = |name: &str| Tag::new(name, "x").unwrap();
        let all = ["@user", "name", "name2", "public-a", "role"].map(tag);
        let shown = |names: &[&str]| {
            let tags = names.iter().map(|name| (*name).into()).collect();
            let terms = MemberTerms { linger_ms: 0, shows_uuid: false, tags, info: None };
            let tags = Tags::new(all.clone()).unwrap();
            terms.shown(&tags).iter().map(|tag| tag.name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(shown(&[]), [""; 0]);
        assert_eq!(shown(&["name", "public-*"]), ["name", "public-a"]);
        assert_eq!(shown(&["*"]), ["name", "name2", "public-a", "role"]);
    }
}
