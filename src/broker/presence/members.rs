//! Which queries of its space a client matches.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::PresenceTable;
use super::audience::EarlierState;
use super::audiences::Audiences;
use super::space::{QueryNumbers, UserName, WatchedQuery, WatchedSpace};
use crate::index::Index;
use crate::index::tag_changes::versioned_tags;
use crate::types::limits::PRESENCE_COLLECTED;
use crate::types::{ClientUuid, ConnectionRef, MemberTerms, PresentMember, Tags, Tenant};

/// Work of one comparison of tags with a query, in bytes of a usual message.
const COMPARISON_WORK: usize = 32;

/// Compares a client with the queries of its space. One without tags matches none.
pub(super) fn compare(
    presence: &mut PresenceTable,
    tenant: &Tenant,
    uuid: ClientUuid,
    standing: MemberStanding<'_>,
    now: Duration,
) {
    let MemberStanding { tags, name, appearance } = standing;
    let PresenceTable { spaces, queries, audiences, lingering, work, .. } = presence;
    let Some(space) = spaces.get_mut(tenant) else { return };
    let candidates = tags.map(|tags| space.candidates(tags)).unwrap_or_default();
    *work += COMPARISON_WORK * (1 + candidates.len());
    let is_match = |number: &u64| {
        let query = queries.get(number);
        tags.zip(query).is_some_and(|(tags, query)| query.matches(tags))
    };
    let mut matching: QueryNumbers = candidates.into_iter().filter(is_match).collect();
    matching.sort_unstable();
    matching.dedup();
    let Some(number) = member_for(space, uuid, &matching) else { return };
    let before = space.member(number).map(|it| it.queries.clone()).unwrap_or_default();
    let is_other_user = tags.is_some() && !space.is_user(number, name.as_ref());
    let had = space.member_mut(number).map(|it| std::mem::replace(&mut it.appearance, appearance));
    let looks_different = tags.is_some() && had != Some(appearance);
    for query in
        before.iter().filter(|query| is_other_user || matching.binary_search(query).is_err())
    {
        if let Some(watched) = queries.get_mut(query)
            && space.leave(number, *query, watched)
            && matching.binary_search(query).is_err()
        {
            let change = LocalChange { uuid, before: EarlierState::Member, look: had };
            note_change(audiences, watched, change, now);
        }
    }
    if is_other_user {
        space.set_user(number, name);
    }
    for query in &matching {
        let Some(watched) = queries.get_mut(query) else { continue };
        let is_new = before.binary_search(query).is_err();
        if is_new || is_other_user {
            space.enter(number, *query, watched);
        }
        let before = if is_new { EarlierState::Absent } else { EarlierState::OtherMember };
        if is_new || looks_different || is_other_user {
            let change = LocalChange { uuid, before, look: Some(appearance) };
            note_change(audiences, watched, change, now);
        }
    }
    forget_unused(space, lingering, tenant, number);
}

/// A change of a member on this host.
#[derive(Clone, Copy, Debug)]
struct LocalChange {
    uuid: ClientUuid,
    /// What it was before.
    before: EarlierState,
    /// What others saw of it before it has left, or see of it now.
    look: Option<u64>,
}

/// Notes a change for the watchers of a query. For clients, one that is a member on another host too has not joined or
/// left.
fn note_change(
    audiences: &mut Audiences,
    watched: &WatchedQuery,
    change: LocalChange,
    now: Duration,
) {
    let LocalChange { uuid, before, look } = change;
    audiences.note(watched.hosts_audiences(), uuid, before, now + PRESENCE_COLLECTED);
    let elsewhere = watched.shared.as_ref().and_then(|shared| shared.look_of(uuid));
    let before = match before {
        EarlierState::Absent | EarlierState::Member if elsewhere.is_some() => {
            if elsewhere == look {
                // Nothing is seen of it, but perhaps in the numbers.
                return audiences.hasten(watched.clients_audiences(), now + PRESENCE_COLLECTED);
            }
            EarlierState::OtherMember
        }
        before => before,
    };
    audiences.note(watched.clients_audiences(), uuid, before, now + PRESENCE_COLLECTED);
}

/// What a client is for the queries of its space.
pub(super) struct MemberStanding<'a> {
    pub(super) tags: Option<&'a Tags>,
    pub(super) name: Option<UserName>,
    pub(super) appearance: u64,
}

/// Returns the number of a client. It gets one with the first query that it matches.
fn member_for(space: &mut WatchedSpace, uuid: ClientUuid, matching: &[u64]) -> Option<u32> {
    let known = space.number_of(uuid);
    known.or_else(|| (!matching.is_empty()).then(|| space.add_member(uuid)))
}

/// Removes a member that matches nothing any more.
pub(super) fn forget_unused(
    space: &mut WatchedSpace,
    lingering: &mut BTreeSet<(Duration, Tenant, ClientUuid)>,
    tenant: &Tenant,
    number: u32,
) {
    let Some(member) = space.member(number).filter(|member| member.queries.is_empty()) else {
        return;
    };
    if let Some(away) = &member.away {
        lingering.remove(&(away.ends_at, tenant.clone(), member.client));
    }
    space.remove_member(number);
}

/// Returns the tags of the client at a place that queries are compared with; `None` if tags do not reach it.
pub(super) fn tags_at(index: &Index, place: ConnectionRef) -> Option<Tags> {
    versioned_tags(index, place).map(|own| own.tags)
}

/// Returns what others see of a client, in short.
pub(super) fn appearance(terms: Option<&Arc<MemberTerms>>, tags: Option<&Tags>) -> u64 {
    let Some(terms) = terms else { return 0 };
    let shown = tags.map(|tags| terms.shown(tags)).unwrap_or_default();
    SeenMember { shows_uuid: terms.shows_uuid, info: terms.info.as_deref(), shown: &shown }.digest()
}

/// Returns the same for a client of another host.
pub(super) fn appearance_elsewhere(look: &PresentMember) -> u64 {
    let PresentMember { client: _, shows_uuid, info, tags } = look;
    SeenMember { shows_uuid: *shows_uuid, info: info.as_deref(), shown: tags }.digest()
}

/// What is seen of a client.
#[derive(Hash)]
struct SeenMember<'a> {
    shows_uuid: bool,
    info: Option<&'a str>,
    shown: &'a Tags,
}

impl SeenMember<'_> {
    fn digest(&self) -> u64 {
        if !self.shows_uuid && self.info.is_none() && self.shown.is_empty() {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
