//! The members and users of one space in which something is watched.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use roaring::RoaringBitmap;
use smallvec::SmallVec;

use super::audience::AudienceKind;
use super::remote::SharedQuery;
use crate::types::{
    AsTag, ClientFilter, ClientUuid, ConnectionRef, Ident, MemberTerms, PresenceCounts, Tag,
    TagRef, Tags, Tenant,
};

/// Numbers of the queries of a space.
pub(super) type QueryNumbers = SmallVec<[u64; 4]>;

/// A space in which something is watched.
#[derive(Debug, Default)]
pub(super) struct WatchedSpace {
    members: HashMap<ClientUuid, u32>,
    table: Vec<Option<SpaceMember>>,
    free: Vec<u32>,
    users: HashMap<UserName, u32>,
    /// Users by their digests.
    by_digest: HashMap<u64, u32>,
    user_table: Vec<Option<SpaceUser>>,
    free_users: Vec<u32>,
    /// Queries by what they are about.
    pub(super) by_key: HashMap<QueryKey, u64>,
    /// Queries of tags, by the first one.
    by_tag: hashbrown::HashMap<Tag, Vec<u64>, RandomState>,
    /// All other queries.
    others: Vec<u64>,
}

/// What a query is about. Equal ones are evaluated once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum QueryKey {
    Tags(Tags),
    Expression(Box<str>),
}

impl QueryKey {
    pub(super) fn of(query: &ClientFilter) -> Self {
        match query {
            ClientFilter::Tags(tags) => Self::Tags(tags.clone()),
            ClientFilter::Expression(expression) => Self::Expression(expression.canonical().into()),
        }
    }
}

/// The name of a user with several clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum UserName {
    /// Subject of the token.
    Subject(Box<str>),
    Ident(Ident),
}

impl UserName {
    /// Returns the user of a client. `None`: the client is a user of its own.
    pub(super) fn of(tags: &Tags, ident: Option<Ident>) -> Option<Self> {
        let subject = tags.value_of("@user").map(|subject| Self::Subject(subject.into()));
        subject.or_else(|| ident.map(Self::Ident))
    }

    /// Returns the digest by which hosts compare users (FNV-1a). It is the same on all hosts. Two users with one digest
    /// count as one where their clients are on different hosts.
    fn digest(&self) -> u64 {
        let (kind, text) = match self {
            Self::Subject(subject) => (1, &**subject),
            Self::Ident(ident) => (2, ident.as_str()),
        };
        let bytes = std::iter::once(kind).chain(text.bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |digest: u64, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// A client that at least one watched query matches.
#[derive(Debug)]
pub(super) struct SpaceMember {
    pub(super) client: ClientUuid,
    pub(super) user: Option<u32>,
    /// `None`: it is away.
    pub(super) place: Option<ConnectionRef>,
    pub(super) away: Option<Box<AwayMember>>,
    /// What others see of it, in short.
    pub(super) appearance: u64,
    /// The queries that it matches, in ascending order.
    pub(super) queries: QueryNumbers,
}

/// What is known of a member that is away.
#[derive(Debug)]
pub(super) struct AwayMember {
    pub(super) ends_at: Duration,
    pub(super) ident: Option<Ident>,
    pub(super) tags: Tags,
    pub(super) terms: Option<Arc<MemberTerms>>,
}

#[derive(Debug)]
struct SpaceUser {
    name: UserName,
    digest: u64,
    members: RoaringBitmap,
}

/// A query that is watched.
#[derive(Debug)]
pub(super) struct WatchedQuery {
    pub(super) tenant: Tenant,
    pub(super) filter: ClientFilter,
    pub(super) members: RoaringBitmap,
    users: RoaringBitmap,
    /// Members that are a user of their own.
    nameless: u64,
    /// Numbers of the audiences.
    pub(super) audiences: SmallVec<[(AudienceKind, u64); 1]>,
    /// The members on other hosts, if these know the query.
    pub(super) shared: Option<Box<SharedQuery>>,
    /// Until when it is kept without a watcher.
    pub(super) kept_until: Option<Duration>,
}

impl WatchedQuery {
    pub(super) fn new(tenant: Tenant, filter: ClientFilter) -> Self {
        let (members, users) = (RoaringBitmap::new(), RoaringBitmap::new());
        let (nameless, audiences, shared, kept_until) = (0, SmallVec::new(), None, None);
        Self { tenant, filter, members, users, nameless, audiences, shared, kept_until }
    }

    pub(super) fn matches(&self, tags: &Tags) -> bool {
        matches(&self.filter, tags)
    }

    /// Returns the numbers of its audiences of clients.
    pub(super) fn clients_audiences(&self) -> impl Iterator<Item = u64> + '_ {
        self.audiences.iter().filter(|(kind, _)| kind.is_of_clients()).map(|(_, number)| *number)
    }

    /// Returns the numbers of its audiences of other hosts.
    pub(super) fn hosts_audiences(&self) -> impl Iterator<Item = u64> + '_ {
        self.audiences.iter().filter(|(kind, _)| !kind.is_of_clients()).map(|(_, number)| *number)
    }

    /// Returns whether a user is among those of its members.
    pub(super) fn has_user(&self, user: u32) -> bool {
        self.users.contains(user)
    }

    /// Returns how many clients and users of this host match.
    pub(super) fn counts(&self) -> PresenceCounts {
        let users = self.users.len() + self.nameless;
        PresenceCounts { clients: self.members.len(), users }
    }
}

impl WatchedSpace {
    /// Returns the queries that a client with these tags and topics may match: those of one of them, and all that are
    /// about something else.
    pub(super) fn candidates(&self, tags: &Tags) -> Vec<u64> {
        let of_tag = |tag: TagRef<'_>| self.by_tag.get(&tag).into_iter().flatten();
        let mut found: Vec<u64> = self.others.clone();
        tags.iter().for_each(|tag| found.extend(of_tag(tag)));
        for topic in tags.topics().iter().filter_map(|topic| Tag::of_topic(topic).ok()) {
            found.extend(of_tag(topic.as_tag()));
        }
        found
    }

    pub(super) fn add_query(&mut self, number: u64, filter: &ClientFilter) {
        self.by_key.insert(QueryKey::of(filter), number);
        match first_tag(filter) {
            Some(tag) => self.by_tag.entry(tag.to_tag()).or_default().push(number),
            None => self.others.push(number),
        }
    }

    pub(super) fn remove_query(&mut self, number: u64, filter: &ClientFilter) {
        self.by_key.remove(&QueryKey::of(filter));
        let Some(tag) = first_tag(filter) else {
            return self.others.retain(|it| *it != number);
        };
        if let Some(numbers) = self.by_tag.get_mut(&tag) {
            numbers.retain(|it| *it != number);
            if numbers.is_empty() {
                self.by_tag.remove(&tag);
            }
        }
    }

    pub(super) fn number_of(&self, client: ClientUuid) -> Option<u32> {
        self.members.get(&client).copied()
    }

    pub(super) fn member(&self, number: u32) -> Option<&SpaceMember> {
        self.table.get(number as usize)?.as_ref()
    }

    pub(super) fn member_mut(&mut self, number: u32) -> Option<&mut SpaceMember> {
        self.table.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &SpaceMember> {
        self.table.iter().flatten()
    }

    /// Adds a member that matches nothing yet.
    pub(super) fn add_member(&mut self, client: ClientUuid) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            u32::try_from(self.table.len() - 1).unwrap_or(u32::MAX)
        });
        self.members.insert(client, number);
        let (user, place, away, queries) = (None, None, None, QueryNumbers::new());
        let member = SpaceMember { client, user, place, away, appearance: 0, queries };
        if let Some(entry) = self.table.get_mut(number as usize) {
            *entry = Some(member);
        }
        number
    }

    /// Removes a member that matches nothing any more.
    pub(super) fn remove_member(&mut self, number: u32) {
        self.set_user(number, None);
        if let Some(member) = self.table.get_mut(number as usize).and_then(Option::take) {
            debug_assert!(member.queries.is_empty(), "a member is removed after it left");
            self.members.remove(&member.client);
            self.free.push(number);
        }
    }

    /// Returns whether a member is of this user.
    pub(super) fn is_user(&self, number: u32, name: Option<&UserName>) -> bool {
        let user = self.member(number).and_then(|member| member.user);
        let present = user.and_then(|user| self.user_table.get(user as usize)?.as_ref());
        present.map(|user| &user.name) == name
    }

    /// Sets the user of a member that is in no query.
    pub(super) fn set_user(&mut self, number: u32, name: Option<UserName>) {
        let before = self.member(number).and_then(|member| member.user);
        if let Some(user) = before
            && let Some(entry) = self.user_table.get_mut(user as usize)
            && let Some(own) = entry
        {
            own.members.remove(number);
            if own.members.is_empty() {
                self.users.remove(&own.name);
                self.by_digest.remove(&own.digest);
                *entry = None;
                self.free_users.push(user);
            }
        }
        let user = name.map(|name| self.user_number(name));
        if let Some(entry) = user.and_then(|user| self.user_table.get_mut(user as usize)) {
            entry.iter_mut().for_each(|own| _ = own.members.insert(number));
        }
        if let Some(member) = self.member_mut(number) {
            member.user = user;
        }
    }

    fn user_number(&mut self, name: UserName) -> u32 {
        if let Some(number) = self.users.get(&name) {
            return *number;
        }
        let number = self.free_users.pop().unwrap_or_else(|| {
            self.user_table.push(None);
            u32::try_from(self.user_table.len() - 1).unwrap_or(u32::MAX)
        });
        let digest = name.digest();
        self.users.insert(name.clone(), number);
        self.by_digest.insert(digest, number);
        if let Some(entry) = self.user_table.get_mut(number as usize) {
            *entry = Some(SpaceUser { name, digest, members: RoaringBitmap::new() });
        }
        number
    }

    /// Returns the number of the user with a digest.
    pub(super) fn user_of_digest(&self, digest: u64) -> Option<u32> {
        self.by_digest.get(&digest).copied()
    }

    /// Returns the digest of the user of a member. `None`: it is a user of its own.
    pub(super) fn digest_of(&self, member: &SpaceMember) -> Option<u64> {
        let user = self.user_table.get(member.user? as usize)?.as_ref();
        user.map(|user| user.digest)
    }

    /// Adds a member to a query. Returns false if it is there already.
    pub(super) fn enter(&mut self, number: u32, query: u64, watched: &mut WatchedQuery) -> bool {
        let Some(member) = self.member_mut(number) else { return false };
        if !watched.members.insert(number) {
            return false;
        }
        if let Err(at) = member.queries.binary_search(&query) {
            member.queries.insert(at, query);
        }
        match member.user {
            Some(user) => _ = watched.users.insert(user),
            None => watched.nameless += 1,
        }
        true
    }

    /// Removes a member from a query. Returns false if it is not there.
    pub(super) fn leave(&mut self, number: u32, query: u64, watched: &mut WatchedQuery) -> bool {
        let Some(member) = self.member_mut(number) else { return false };
        if !watched.members.remove(number) {
            return false;
        }
        if let Ok(at) = member.queries.binary_search(&query) {
            member.queries.remove(at);
        }
        let Some(user) = member.user else {
            watched.nameless -= 1;
            return true;
        };
        let own = self.user_table.get(user as usize).and_then(Option::as_ref);
        if own.is_none_or(|own| own.members.is_disjoint(&watched.members)) {
            watched.users.remove(user);
        }
        true
    }
}

/// Returns whether a client with these tags matches a query.
pub(super) fn matches(filter: &ClientFilter, tags: &Tags) -> bool {
    match filter {
        ClientFilter::Tags(query) => query.iter().all(|tag| tags.have(tag)),
        ClientFilter::Expression(expression) => expression.matches(tags),
    }
}

fn first_tag(filter: &ClientFilter) -> Option<TagRef<'_>> {
    match filter {
        ClientFilter::Tags(tags) => tags.iter().next(),
        ClientFilter::Expression(_) => None,
    }
}
