//! Clients that are away: what is published to them, and commands about them.

use super::{Router, presence, recording, resumes};
use crate::broker::records::{Record, RecordKey};
use crate::broker::resolve_cache::KnownRoute;
use crate::link::command::CommandOutcome;
use crate::link::message::CountedPublication;
use crate::link::query::CountedClients;
use crate::types::{
    Address, ClientUuid, Ident, Number, Recipients, TagChange, TagVersion, Tenant, VersionedTags,
};

/// Returns the client that is away and gets a publication to a single client, because none that is here does.
pub(super) fn recipient(
    router: &mut Router,
    tenant: &Tenant,
    address: &Address,
) -> Option<RecordKey> {
    // Clients of a worker that has died are away.
    if router.records.is_empty() || !(router.records.has_away() || router.has_departed()) {
        return None;
    }
    let (uuid, ident) = names(&address.recipients)?;
    let by_uuid = uuid.map(|uuid| RecordKey { tenant: tenant.clone(), uuid });
    if let Some(key) = &by_uuid {
        resumes::prepare(router, key);
    }
    let now = router.now;
    let by_uuid = by_uuid.filter(|key| router.records.keeps(key, now));
    let by_ident = || router.records.first_named(tenant, ident?, now);
    let key = by_uuid.or_else(by_ident)?;
    let is_here = router.index.resolve_one(tenant, address).is_some();
    let is_left_out = address.except == Some(key.uuid);
    (!is_here && !is_left_out && admits(router, &address.recipients, &key)).then_some(key)
}

/// Counts the clients that an address matches.
pub(super) fn count(router: &mut Router, tenant: &Tenant, address: &Address) -> CountedClients {
    let is_single = address.recipients.is_single();
    let is_away = is_single && recipient(router, tenant, address).is_some();
    let mut route = KnownRoute::new(tenant.clone(), address.clone());
    let counted = route.count(&router.index, &router.departed).of(Number(0));
    let CountedPublication { clients, workers, scan_values, .. } = counted;
    CountedClients { clients, workers, scan_values, is_away }
}

/// Returns the UUID and the ident by which recipients name a single client.
fn names(recipients: &Recipients) -> Option<(Option<ClientUuid>, Option<&Ident>)> {
    match recipients {
        Recipients::First { uuid, ident } => Some((*uuid, ident.as_ref())),
        Recipients::Named(named) => Some((named.uuid, named.ident.as_ref())),
        Recipients::Without(it) => names(&it.recipients),
        Recipients::Among(it) => names(&it.recipients),
        Recipients::Matching(_) | Recipients::TagSequence(_) | Recipients::Expression(_) => None,
    }
}

/// Returns whether recipients do not leave a client out.
fn admits(router: &Router, recipients: &Recipients, key: &RecordKey) -> bool {
    match recipients {
        Recipients::Without(it) => {
            !it.uuids.contains(&key.uuid) && admits(router, &it.recipients, key)
        }
        Recipients::Among(it) => {
            let own = router.records.get(key).and_then(Record::away);
            let own = own.and_then(|away| away.tags.as_ref());
            own.is_some_and(|own| it.expression.matches(&own.tags))
                && admits(router, &it.recipients, key)
        }
        _ => true,
    }
}

/// Changes the tags of a client that is away. `None`: there is no such client.
pub(super) fn change_tags(
    router: &mut Router,
    tenant: &Tenant,
    uuid: ClientUuid,
    change: &TagChange,
) -> Option<CommandOutcome> {
    let key = away(router, tenant, uuid)?;
    let away = router.records.get(&key).and_then(Record::away)?;
    let Some(present) = away.tags.clone() else { return Some(CommandOutcome::NotReached) };
    if change.if_version.is_some_and(|version| version != present.version) {
        return Some(CommandOutcome::Conflict(present));
    }
    let Ok(tags) = change.edit.apply(&present.tags) else {
        return Some(CommandOutcome::TooManyTags);
    };
    if tags == present.tags {
        return Some(CommandOutcome::Tagged(present));
    }
    recording::note_tags(router, &key, Some(present.tags));
    router.last_version += 1;
    let tags = VersionedTags { version: TagVersion(router.last_version), tags };
    presence::on_away_retag(router, tenant, uuid, &tags.tags);
    router.records.retag(&key, tags.clone());
    Some(CommandOutcome::Tagged(tags))
}

/// Ends a client that is away. `None`: there is no such client.
pub(super) fn end(
    router: &mut Router,
    tenant: &Tenant,
    uuid: ClientUuid,
) -> Option<CommandOutcome> {
    let key = away(router, tenant, uuid)?;
    router.records.end(&key);
    presence::on_ended_away(router, tenant, uuid);
    Some(CommandOutcome::EndedAway)
}

fn away(router: &mut Router, tenant: &Tenant, uuid: ClientUuid) -> Option<RecordKey> {
    if router.records.is_empty() {
        return None;
    }
    let key = RecordKey { tenant: tenant.clone(), uuid };
    resumes::prepare(router, &key);
    router.records.get(&key).and_then(Record::away).is_some().then_some(key)
}
