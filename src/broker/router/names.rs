//! Names (idents and aliases) of clients on several hosts: which host has the first client with a name.
//!
//! A host without a cluster does nothing of this.

use std::time::Duration;

use super::{Router, away, whereabouts};
use crate::broker::other_hosts::{OtherHosts, SoleRecipient, bare};
use crate::broker::records::RecordKey;
use crate::broker::resolve_cache::KnownRoute;
use crate::cluster::{Arrival, DirectoryItem, DirectoryName, ForwardReach, NameKind};
use crate::index::identity::{alias_at, client_at, first_with_alias, first_with_ident, ident_at};
use crate::link::message::ToWorker;
use crate::types::{
    Address, Alias, Claim, Client, ClientUuid, ConnectionRef, Exclusivity, GrantNumber, HostId,
    Ident, JoinNumber, MatchOptions, Number, Recipients, Slot, Tenant, WorkerIncarnation,
};

/// The names by which a publication addresses one client.
struct AddressedClient {
    uuid: Option<ClientUuid>,
    names: [Option<DirectoryName>; 2],
}

impl AddressedClient {
    /// Returns the names in recipients; `None` if there are none, or if they are compared loosely, which each host does
    /// for itself.
    fn of(tenant: &Tenant, recipients: &Recipients) -> Option<Self> {
        let (uuid, alias, ident) = match recipients {
            Recipients::First { uuid, ident } => (*uuid, None, ident.as_ref()),
            Recipients::Named(named) => {
                let loose = [
                    MatchOptions::WEB_ONLY,
                    MatchOptions::ANY_WEB,
                    MatchOptions::ANY_IDENT,
                    MatchOptions::SAME_NUMBER,
                ];
                if loose.iter().any(|option| named.options.has(*option)) {
                    return None;
                }
                let alias = named.alias.as_ref().map(Alias::as_ident);
                (named.uuid, alias, named.ident.as_ref())
            }
            _ => return None,
        };
        let name = |kind, text: Option<&Ident>| {
            text.map(|text| DirectoryName { tenant: tenant.clone(), kind, text: text.clone() })
        };
        let names = [name(NameKind::ALIAS, alias), name(NameKind::IDENT, ident)];
        let is_one = uuid.is_some() || names.iter().any(Option::is_some);
        is_one.then_some(Self { uuid, names })
    }

    fn has_name(&self) -> bool {
        self.names.iter().any(Option::is_some)
    }
}

/// Returns the client that is away and gets a publication, or the other host that gets it, if it is for a single client.
pub(super) fn locate(
    router: &mut Router,
    source: WorkerIncarnation,
    number: Number,
    route: &mut KnownRoute,
) -> (Option<RecordKey>, Option<HostId>) {
    if !route.address.recipients.is_single() {
        return (None, None);
    }
    let sent_to = router.hosts.as_deref().and_then(|hosts| hosts.names.sent_to(source, number));
    let holder = match sent_to {
        // The other host has decided.
        None if source.worker.is_bridge() => None,
        None => other_holder(router, route),
        sent_to => sent_to,
    };
    route.set_holder(holder);
    match holder {
        Some(_) => (None, holder),
        None => (away::recipient(router, &route.tenant, &route.address), None),
    }
}

/// Returns the other host whose client gets a publication.
fn other_holder(router: &mut Router, route: &KnownRoute) -> Option<HostId> {
    if !router.hosts.as_deref()?.are_known() {
        return None;
    }
    let (tenant, (recipients, _)) = (&route.tenant, bare(&route.address));
    let wanted = AddressedClient::of(tenant, recipients)?;
    // The UUID goes first.
    if let Some(uuid) = wanted.uuid {
        let is_here = router.index.place_of(tenant, uuid).is_some();
        let key = RecordKey { tenant: tenant.clone(), uuid };
        if is_here || !router.records.is_empty() && router.records.keeps(&key, router.now) {
            return None;
        }
        let moved = whereabouts::holder(router, &key);
        if moved.is_some() || !wanted.has_name() {
            return moved;
        }
        let (home, hosts) = (uuid.home(), router.hosts.as_deref()?);
        if home != hosts.own() && hosts.is_live(home) {
            return Some(home);
        }
    }
    first_host(router, &wanted).filter(|host| Some(*host) != own(router))
}

pub(super) fn own(router: &Router) -> Option<HostId> {
    router.hosts.as_deref().map(OtherHosts::own)
}

/// Returns the host that has the first client with one of the names.
fn first_host(router: &mut Router, wanted: &AddressedClient) -> Option<HostId> {
    let mut first = None;
    for name in wanted.names.iter().flatten() {
        if router.hosts.as_ref().is_some_and(|hosts| hosts.names.shared.is_unchecked(name)) {
            check(router, name);
        }
        let hosts = router.hosts.as_deref()?;
        let holder = hosts.names.shared.records().first_holder(name);
        let holder = holder.map(|(stamp, host)| (stamp.unix_ms, host, stamp.number));
        first = match (first, holder) {
            (Some(first), Some(holder)) => Some(std::cmp::min(first, holder)),
            (first, holder) => first.or(holder),
        };
    }
    first.map(|(_, host, _)| host)
}

/// Returns the other host that a publication of another one is passed on to, because its client has just left.
pub(super) fn pass_on(
    router: &mut Router,
    route: &KnownRoute,
    number: Number,
    sole: SoleRecipient,
) -> Option<ForwardReach> {
    if let SoleRecipient::On(host) = sole {
        return Some(ForwardReach::One(host));
    }
    let is_passable = router.hosts.as_deref_mut()?.names.take_passable(number);
    if !is_passable || sole != SoleRecipient::Elsewhere {
        return None;
    }
    let (recipients, is_plain) = bare(&route.address);
    let wanted = AddressedClient::of(&route.tenant, recipients)?;
    let holder = Address { recipients: recipients.clone(), except: None };
    let is_left_out = !is_plain && router.index.resolve_one(&route.tenant, &holder).is_some();
    let moved = wanted.uuid.and_then(|uuid| {
        whereabouts::holder(router, &RecordKey { tenant: route.tenant.clone(), uuid })
    });
    let host = moved.or_else(|| first_host(router, &wanted))?;
    (Some(host) != own(router) && !is_left_out).then_some(ForwardReach::One(host))
}

/// A client has joined.
pub(super) fn joined(router: &mut Router, number: JoinNumber, client: &Client) {
    if router.hosts.is_some() {
        let (tenant, uuid) = (client.tenant.clone(), client.uuid);
        whereabouts::check_uuid(router, &RecordKey { tenant, uuid });
    }
    let (Some(hosts), Some(ident)) = (&mut router.hosts, &client.ident) else { return };
    hosts.names.shared.joined(number, unix_ms(router.tracked.unix_now()));
    let (tenant, kind, text) = (client.tenant.clone(), NameKind::IDENT, ident.clone());
    check(router, &DirectoryName { tenant, kind, text });
}

/// A client that an earlier broker admitted is known.
pub(super) fn announced(router: &mut Router, client: &Client) {
    let Some(hosts) = &mut router.hosts else { return };
    if client.uuid.home() != hosts.own() {
        let (tenant, uuid) = (client.tenant.clone(), client.uuid);
        let name = whereabouts::name_of(&RecordKey { tenant, uuid });
        name.into_iter().for_each(|name| hosts.names.shared.check_later(name));
    }
    let Some(ident) = &client.ident else { return };
    let (tenant, kind, text) = (client.tenant.clone(), NameKind::IDENT, ident.clone());
    hosts.names.shared.check_later(DirectoryName { tenant, kind, text });
}

/// Removes the client at a place from the index.
pub(super) fn leave(router: &mut Router, place: ConnectionRef) {
    let names = match &router.hosts {
        None => [None, None],
        Some(_) => names_at(router, place),
    };
    let client = router.hosts.as_ref().and_then(|_| client_at(&router.index, place));
    let Some(number) = router.index.leave(place) else { return };
    router.resolve_cache.forget();
    if let Some(hosts) = &mut router.hosts {
        hosts.names.shared.left(number);
    }
    names.iter().flatten().for_each(|name| check(router, name));
    if let Some((tenant, uuid)) = client {
        whereabouts::check_uuid(router, &RecordKey { tenant, uuid });
    }
}

fn names_at(router: &Router, place: ConnectionRef) -> [Option<DirectoryName>; 2] {
    let (alias, ident) = (alias_at(&router.index, place), ident_at(&router.index, place));
    if alias.is_none() && ident.is_none() {
        return [None, None];
    }
    let Some((tenant, _)) = client_at(&router.index, place) else { return [None, None] };
    let name = |kind, text: Option<Ident>| {
        text.map(|text| DirectoryName { tenant: tenant.clone(), kind, text })
    };
    [name(NameKind::ALIAS, alias), name(NameKind::IDENT, ident)]
}

/// Compares the record of a name with its first client here.
fn check(router: &mut Router, name: &DirectoryName) {
    note_first(router, name);
    if name.kind == NameKind::ALIAS {
        settle_alias(router, name);
    }
}

pub(super) fn note_first(router: &mut Router, name: &DirectoryName) {
    let DirectoryName { tenant, kind, text } = name;
    let first = match *kind {
        NameKind::ALIAS => first_with_alias(&router.index, tenant, text),
        NameKind::UUID => whereabouts::join_of(router, name),
        _ => first_with_ident(&router.index, tenant, text),
    };
    let (now, unix) = (router.now, router.tracked.unix_now());
    let Some(hosts) = &mut router.hosts else { return };
    if !hosts.names.shared.note_first(name, first, unix_ms(unix)) {
        hosts.names.report_full(now);
    }
    if hosts.names.shared.fills_item() {
        send_changes(router);
    }
}

fn unix_ms(unix: Duration) -> u64 {
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
}

/// Takes an alias back that another host has granted earlier. Both were granted before either host knew of the other.
fn settle_alias(router: &mut Router, name: &DirectoryName) {
    let Some(hosts) = router.hosts.as_deref() else { return };
    let (own, records) = (hosts.own(), hosts.names.shared.records());
    let is_anothers = records.first(name).is_some_and(|host| host != own);
    if is_anothers && records.stamp(own, name).is_some() {
        if router.index.take_back(&name.tenant, &name.text) {
            note_first(router, name);
        }
        router.resolve_cache.forget();
    }
}

/// Restores an alias that an earlier broker has granted.
pub(super) fn restore_alias(
    router: &mut Router,
    place: ConnectionRef,
    claim: &Claim,
    grant: GrantNumber,
) {
    router.last_grant = router.last_grant.max(grant.0);
    router.index.restore(place, claim, grant);
    router.resolve_cache.forget();
    let [alias, _] = if router.hosts.is_some() { names_at(router, place) } else { [None, None] };
    if let (Some(hosts), Some(alias)) = (&mut router.hosts, alias) {
        hosts.names.shared.check_later(alias);
    }
}

/// Grants or refuses an alias. All workers have announced their clients by now, so all holders here are known.
pub(super) fn claim_alias(
    router: &mut Router,
    source: WorkerIncarnation,
    slot: Slot,
    claim: &Claim,
) {
    let place = ConnectionRef { worker: source.worker, slot };
    let [before, _] = if router.hosts.is_some() { names_at(router, place) } else { [None, None] };
    let grant = GrantNumber(router.last_grant + 1);
    let is_granted =
        !is_taken_elsewhere(router, place, claim) && router.index.claim(place, claim, grant);
    let granted = is_granted.then_some(grant);
    router.resolve_cache.forget();
    if is_granted {
        router.last_grant = grant.0;
        let [now, _] = if router.hosts.is_some() { names_at(router, place) } else { [None, None] };
        [before, now].iter().flatten().for_each(|name| check(router, name));
    }
    router.send(source.worker, &ToWorker::Aliased { slot, granted });
}

/// Returns whether a client of another host has an alias that is to have one client only.
fn is_taken_elsewhere(router: &Router, place: ConnectionRef, claim: &Claim) -> bool {
    let Some(hosts) = router.hosts.as_deref() else { return false };
    if claim.keeping != Exclusivity::Alone {
        return false;
    }
    let Some((tenant, _)) = client_at(&router.index, place) else { return false };
    let (kind, text) = (NameKind::ALIAS, claim.alias.as_ident().clone());
    let first = hosts.names.shared.records().first(&DirectoryName { tenant, kind, text });
    first.is_some_and(|host| host != hosts.own())
}

/// Takes an item of another host.
pub(super) fn take(router: &mut Router, arrival: &Arrival) {
    let Arrival { taken, publication, .. } = arrival;
    let now = router.now;
    let Some(hosts) = router.hosts.as_deref_mut() else { return };
    hosts.note_taken(taken, publication);
    let item = match DirectoryItem::decode(publication.payload.clone()) {
        Ok(item) => item,
        Err(error) => {
            return hosts.report_unreadable(taken.host, "a list of names", &error, now);
        }
    };
    // A host that has a client now has got it after this one.
    let uuids =
        item.names().filter(|name| name.kind == NameKind::UUID).filter_map(whereabouts::key_of);
    let uuids: Vec<RecordKey> = uuids.collect();
    uuids.iter().for_each(|key| hosts.moves.moved.is_known(key));
    let refused = hosts.names.shared.records().counts().refused;
    let aliases = hosts.names.shared.take(taken.host, item, now);
    if hosts.names.shared.records().counts().refused > refused {
        hosts.names.report_full(now);
    }
    aliases.iter().for_each(|alias| settle_alias(router, alias));
    uuids.iter().for_each(|key| whereabouts::compare(router, key, taken.host));
}

/// Items of a host will never arrive. They may have been changes of names.
pub(super) fn note_gap(router: &mut Router, host: HostId) {
    let now = router.now;
    if let Some(hosts) = &mut router.hosts {
        hosts.names.shared.note_gap(host, now);
    }
}

/// All clients of this host are known.
pub(super) fn begin(router: &mut Router) {
    if let Some(hosts) = &mut router.hosts {
        hosts.names.shared.begin();
    }
}

/// Gives the changes that wait to the bridge.
pub(super) fn send_changes(router: &mut Router) {
    if let Some(OtherHosts { names, forwards, generation, .. }) = router.hosts.as_deref_mut() {
        names.send_changes(forwards, *generation);
    }
}

/// Gives the bridge what is to be sent about names.
pub(super) fn end_turn(router: &mut Router) {
    while let Some(key) = router.records.ended.take() {
        whereabouts::check_uuid(router, &key);
    }
    let (now, is_resolving) = (router.now, router.is_resolving());
    if let Some(OtherHosts { names, forwards, generation, .. }) = router.hosts.as_deref_mut()
        && is_resolving
    {
        names.send_changes(forwards, *generation);
        names.send_rest(forwards, *generation, now);
    }
}

/// Compares records with clients, and frees those of hosts that are gone, until `is_spent` returns true.
pub(super) fn serve(router: &mut Router, is_spent: &mut dyn FnMut() -> bool) {
    while router.is_resolving()
        && let Some(hosts) = &mut router.hosts
        && let Some(name) = hosts.names.shared.next_unchecked()
    {
        check(router, &name);
        if is_spent() {
            return;
        }
    }
    if let Some(hosts) = &mut router.hosts {
        _ = hosts.names.shared.free_dropped(is_spent);
    }
}

/// Returns whether [`serve`] has something to do.
pub(super) fn has_work(router: &Router) -> bool {
    let hosts = router.hosts.as_deref().filter(|_| router.is_resolving());
    hosts.is_some_and(|hosts| hosts.names.shared.has_work())
}

/// Returns when another host is to be asked for its names.
pub(super) fn next_due(router: &Router) -> Option<Duration> {
    router.hosts.as_deref()?.names.shared.request_due()
}
