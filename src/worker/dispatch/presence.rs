//! Presence of `tagcast.v1`: watched queries of clients, and the frames that they get.

use std::collections::VecDeque;

use bytes::Bytes;

use super::requests::error_frame;
use super::{ClientRef, Connection, ConnectionEffect, Phase, text_frame};
use crate::auth::uuid::Signer;
use crate::auth::{MemberKey, PresenceSettings};
use crate::broker_client::watches::WatchFault;
use crate::link::presence::{AudienceNews, AudienceNumber, ToWatcher};
use crate::protocol::v1::{
    MemberNames, PresenceReport, V1Error, V1ErrorCode, V1RequestId, ack, presence, presence_rest,
    watch_ended,
};
use crate::session::Session;
use crate::types::limits::{PRESENCE_WAITING_BYTES, WATCHED_QUERIES_MAX, WATCHES_MAX};
use crate::types::{ClientUuid, PresenceNews, Slot, SlotSet, WatchRefusal, WatchScope, WatchTerms};
use crate::websocket::write as frames;
use crate::worker::connection::outbox::PartKind;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{readiness, write};
use crate::worker::context::Context;

const DENIED: &str = "permission_denied";
const LIMIT: &str = "limit_exceeded";

/// News for watchers that are not written yet.
#[derive(Debug, Default)]
pub(in crate::worker) struct NewsQueue {
    waiting: VecDeque<WaitingNews>,
    bytes: usize,
}

#[derive(Debug)]
struct WaitingNews {
    audience: AudienceNumber,
    slots: SlotSet,
    /// The last client that was written to.
    last: Option<Slot>,
    /// The frame without the number of the watch, which clients choose.
    rest: String,
    /// The frame for the number that came last. Most clients choose the same.
    frame: Option<(u64, Bytes)>,
    /// The news have everything, so they are the first of a watch.
    is_complete: bool,
}

impl NewsQueue {
    /// Returns whether more news may be taken.
    pub(in crate::worker) fn has_room(&self) -> bool {
        self.bytes < PRESENCE_WAITING_BYTES
    }

    /// Returns whether nothing waits.
    pub(in crate::worker) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn push(&mut self, news: AudienceNews, names: &WorkerNames<'_>) {
        let AudienceNews { audience, slots, counts, is_partial, news } = news;
        let is_complete =
            matches!(news, PresenceNews::All(_) | PresenceNews::AllCounts | PresenceNews::TooMany);
        let rest = presence_rest(PresenceReport { counts, is_partial, news: &news }, names);
        self.bytes += rest.len();
        let (last, frame) = (None, None);
        self.waiting.push_back(WaitingNews { audience, slots, last, rest, frame, is_complete });
    }

    /// Removes the first news.
    fn pop(&mut self) {
        let done = self.waiting.pop_front().map_or(0, |news| news.rest.len());
        self.bytes -= done;
    }
}

impl WaitingNews {
    fn frame(&mut self, watch: u64) -> Bytes {
        match &self.frame {
            Some((id, frame)) if *id == watch => frame.clone(),
            _ => {
                let frame = frames::text_frame(presence(watch, &self.rest).as_bytes());
                self.frame = Some((watch, frame.clone()));
                frame
            }
        }
    }
}

struct WorkerNames<'a> {
    key: &'a MemberKey,
    signer: &'a Signer,
}

impl MemberNames for WorkerNames<'_> {
    fn id(&self, client: ClientUuid) -> String {
        self.key.id(client)
    }

    fn uuid(&self, client: ClientUuid) -> String {
        self.signer.text(client)
    }
}

/// Tells the broker what watchers see of a client, if that is not the usual or was not: before the client joins, and
/// when its rights have changed.
pub(in crate::worker) fn describe(context: &mut Context, slot: Slot, session: &Session) {
    let info = session.token().and_then(|token| token.verified.claims.info.as_deref());
    let settings = context.settings.rules.access.presence_settings(session.basis);
    let terms = match settings {
        Some(settings) => settings.member_terms(info),
        None => info.and_then(|info| PresenceSettings::default().member_terms(Some(info))),
    };
    let uplink = &mut context.broker.uplink;
    if terms.is_some() || uplink.watches.is_described(slot) {
        uplink.describe_member(slot, terms);
    }
}

/// The rights of a client have changed: ends the watches that it may not have any more.
pub(in crate::worker) fn on_new_rights(context: &mut Context, connection: &mut Connection) {
    let Phase::Open(session) = &connection.phase else { return };
    describe(context, connection.slot, session);
    let slot = connection.slot;
    let uplink = &context.broker.uplink;
    let access = &context.settings.rules.access;
    let scopes: Vec<(u64, WatchScope)> = uplink
        .watches
        .of(slot)
        .iter()
        .map(|watch| (watch.id, session.watch_scope(access, &watch.terms.query)))
        .collect();
    for (id, scope) in scopes {
        if scope != WatchScope::Nothing {
            context.broker.uplink.set_watch_scope(slot, id, scope);
        } else if context.broker.uplink.unwatch(slot, id) {
            let frame = frames::text_frame(watch_ended(id, DENIED).as_bytes());
            write::write(context, connection, frame, PartKind::Frames);
        }
    }
}

/// Begins a watch. Returns the answer if it does not begin.
pub(super) fn watch(
    context: &mut Context,
    client: ClientRef<'_>,
    V1RequestId(id): V1RequestId,
    terms: WatchTerms,
) -> Option<ConnectionEffect> {
    context.memory.grow(terms.query.held());
    let fault = context.broker.uplink.watch(client.slot, id, terms).err()?;
    let error = match fault {
        WatchFault::Gone => return None,
        WatchFault::TooMany => {
            let why = format!("a client may have {WATCHES_MAX} watches");
            V1Error::new(V1ErrorCode::LimitExceeded, why).over(WATCHES_MAX)
        }
        WatchFault::Known => V1Error::invalid("/id", "a watch has this number"),
    };
    Some(error_frame(Some(V1RequestId(id)), &error))
}

/// Ends a watch. Returns the answer.
pub(super) fn unwatch(
    context: &mut Context,
    client: ClientRef<'_>,
    id: V1RequestId,
    V1RequestId(watch): V1RequestId,
) -> Option<ConnectionEffect> {
    if context.broker.uplink.unwatch(client.slot, watch) {
        return Some(text_frame(ack(id, None).as_bytes()));
    }
    let error = V1Error::invalid("/watch", "no watch of this connection has this number");
    Some(error_frame(Some(id), &error))
}

/// Carries out what the broker says about watches.
pub(in crate::worker) fn on_event(
    context: &mut Context,
    connections: &mut ConnectionTable,
    event: ToWatcher,
) {
    let watches = &mut context.broker.uplink.watches;
    let (slot, frame) = match event {
        ToWatcher::Began { slot, id, audience } => {
            if !watches.began(slot, id, audience) {
                return;
            }
            (slot, ack(V1RequestId(id), None))
        }
        ToWatcher::Ended { slot, id } => match watches.take(slot, id) {
            Some(_) => (slot, watch_ended(id, DENIED)),
            None => return,
        },
        ToWatcher::Refused { slot, id, refusal } => match watches.take(slot, id) {
            Some(false) => (slot, refused(refusal).frame(Some(V1RequestId(id)))),
            Some(true) => {
                let is_own = refusal == WatchRefusal::NotOwn;
                (slot, watch_ended(id, if is_own { DENIED } else { LIMIT }))
            }
            None => return,
        },
        ToWatcher::News(news) => {
            let settings = &context.settings;
            let names = WorkerNames { key: &settings.member_key, signer: &settings.rules.signer };
            return context.news.push(*news, &names);
        }
    };
    write_to(context, connections, slot, frames::text_frame(frame.as_bytes()));
}

fn refused(refusal: WatchRefusal) -> Box<V1Error> {
    match refusal {
        WatchRefusal::NotOwn => {
            let why = "a client of this application may watch a tag or a topic that it has itself";
            V1Error::new(V1ErrorCode::PermissionDenied, why)
        }
        WatchRefusal::TooMany => {
            let why = format!("{WATCHED_QUERIES_MAX} different queries are watched in this space");
            V1Error::new(V1ErrorCode::LimitExceeded, why).over(WATCHED_QUERIES_MAX)
        }
        WatchRefusal::TooExpensive(values) => {
            let why = format!("the expression would scan {values} values: use longer prefixes");
            V1Error::new(V1ErrorCode::LimitExceeded, why)
        }
    }
}

/// Writes news to watchers, within the time budget of this part of the turn.
pub(in crate::worker) fn write_news(context: &mut Context, connections: &mut ConnectionTable) {
    if context.news.is_empty() {
        return;
    }
    let part = context.clock.part();
    while let Some(news) = context.news.waiting.front_mut() {
        let Some(slot) = news.slots.after(news.last).next() else {
            context.news.pop();
            continue;
        };
        news.last = Some(slot);
        let is_complete = news.is_complete;
        let ids = context.broker.uplink.watches.ids(slot, news.audience);
        let frames: Vec<(u64, Bytes)> = ids.iter().map(|id| (*id, news.frame(*id))).collect();
        for (id, frame) in frames {
            write_to(context, connections, slot, frame);
            let watches = &mut context.broker.uplink.watches;
            if is_complete && watches.is_once(slot, id) {
                watches.take(slot, id);
            }
        }
        if context.clock.is_over(part) {
            return;
        }
    }
}

fn write_to(context: &mut Context, connections: &mut ConnectionTable, slot: Slot, frame: Bytes) {
    if !connections.get(slot).is_some_and(Connection::is_open) {
        return;
    }
    let Some(mut connection) = connections.take(slot) else { return };
    write::write(context, &mut connection, frame, PartKind::Frames);
    readiness::rearm(context, connections, connection);
}
