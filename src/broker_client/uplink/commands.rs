//! Changes of tags, and commands about clients of any worker (rule L12).

use super::Uplink;
use crate::broker_client::BrokerEvent;
use crate::broker_client::resumable::{KnownRecord, ResumeRequest};
use crate::broker_client::watches::WatchFault;
use crate::link::codec::WireMessage;
use crate::link::command::{
    AnnouncedVersion, BulkChange, ClientCommand, CloseOrder, ClosedConnections, CommandKind,
    NumberedCommand, RetaggedClient,
};
use crate::link::message::{DeliverTo, SetName, ToBroker};
use crate::link::presence::FromWatcher;
use crate::link::resume::{DecidedRecord, FromResumable, ReplayedPublication, ToResumable};
use crate::types::{
    Claim, Client, JoinNumber, MemberTerms, Number, Slot, TagChange, TagEdit, Tags, VersionedTags,
    WatchScope, WatchTerms,
};

/// Clients to which a change of many is applied between two looks at the budget of the turn.
const BULK_PIECE: usize = 64;

impl Uplink {
    /// Returns the memory used for the client in a slot, in bytes: tags, alias requests and queries.
    #[must_use]
    pub fn held(&self, slot: Slot) -> usize {
        let tags = self.joins.client(slot).map_or(0, |client| client.tags.held());
        tags + self.tags_in_flight.held(slot)
            + self.aliases.held(slot)
            + self.queries.held(slot)
            + self.resumable.held(slot)
            + self.sent_requests.held(slot)
            + self.watches.held(slot)
    }

    /// Requests an alias, which replaces the client's current one. This broker or a later one decides. A
    /// granted alias is announced to later brokers (rule L6).
    pub fn request_alias(&mut self, slot: Slot, claim: Claim) {
        if self.joins.client(slot).is_none() {
            return;
        }
        let asked = self.aliases.request(slot, claim);
        if let Some(claim) = asked.filter(|_| self.is_linked) {
            ToBroker::Alias { slot, claim: claim.clone() }.encode(&mut self.out);
        }
    }

    /// Returns the alias that a broker has granted to a client; `None` while the client has an unanswered
    /// request.
    #[must_use]
    pub fn alias(&self, slot: Slot) -> Option<&Claim> {
        self.aliases.settled(slot)
    }

    /// Asks the broker to add a client like [`Uplink::join`]. The client may resume.
    pub fn join_resumable(&mut self, slot: Slot, client: Client, request: ResumeRequest) {
        let message = self.resumable.join(slot, &client, request);
        if self.is_linked {
            ToBroker::Resumable(message).encode(&mut self.out);
        }
        self.joins.join(slot, client);
    }

    /// Reports that a connection has ended, like [`Uplink::leave`]. Its client may come back if it may resume.
    pub fn go_away(&mut self, slot: Slot) {
        let is_known = self.resumable.forget(slot) && !self.joins.is_leaving(slot);
        if !is_known || !self.is_linked {
            return self.leave(slot);
        }
        self.forget(slot);
        self.joins.leave(slot);
        ToBroker::Resumable(FromResumable::Away(slot)).encode(&mut self.out);
    }

    /// Returns which client a joined one is, if it may resume.
    #[must_use]
    pub fn record(&self, slot: Slot) -> Option<KnownRecord> {
        self.resumable.known(slot)
    }

    /// Records that a client has received its `welcome`, and what was kept for it.
    pub fn settle(&mut self, slot: Slot) {
        let message = self.resumable.settle(slot);
        self.say_of_resumable(message);
    }

    /// Answers a question of the broker: the client in this slot has sent something.
    pub fn is_alive(&mut self, slot: Slot) {
        self.say_of_resumable(Some(FromResumable::Alive(slot)));
    }

    /// Replaces the tags that the token of a client fixes.
    pub fn fix_tags(&mut self, slot: Slot, fixed: &Tags) {
        let message = self.resumable.fix(slot, fixed);
        self.say_of_resumable(message);
    }

    fn say_of_resumable(&mut self, message: Option<FromResumable>) {
        if let Some(message) = message.filter(|_| self.is_linked) {
            ToBroker::Resumable(message).encode(&mut self.out);
        }
    }

    /// Records that the broker has added a client. Returns false if the client has left meanwhile.
    pub(super) fn on_joined(&mut self, slot: Slot, number: JoinNumber) -> bool {
        if let Some(record) = self.resumable.joined(slot) {
            let begun = self.last_number();
            if let Some(ids) = record.ids.accepted {
                self.sent_requests.come_back(slot, ids, begun);
            }
            let DecidedRecord { uuid, ident, tags, .. } = *record;
            self.joins.become_known(slot, uuid, ident, tags);
        }
        self.joins.joined_as(slot, number)
    }

    /// Takes a message about a client that may resume. Returns an event for the others.
    pub(super) fn on_resumable(&mut self, message: ToResumable) -> Option<BrokerEvent> {
        match message {
            ToResumable::Record(record) => {
                self.resumable.decided(record);
                return None;
            }
            ToResumable::Replay(replayed) => {
                let ReplayedPublication { slot, source, number, is_direct, .. } = *replayed;
                self.resumable.replayed(slot);
                match is_direct {
                    true => self.deduplicator.saw_replayed(source, number),
                    false => self.deduplicator.saw_replayed_to_many(source, number),
                }
                Some(ToResumable::Replay(replayed))
            }
            ToResumable::Passed { source, number } => {
                self.deduplicator.saw_replayed_to_many(source, number);
                return None;
            }
            ToResumable::Recovered(recovery) => {
                self.resumable.recovered(recovery.slot);
                Some(ToResumable::Recovered(recovery))
            }
            other => Some(other),
        }
        .map(BrokerEvent::Resumable)
    }

    /// Sets what watchers see of a client. `None`: the usual, after something else.
    pub fn describe_member(&mut self, slot: Slot, terms: Option<MemberTerms>) {
        let message = match terms {
            Some(terms) => self.watches.describe(slot, terms),
            None => Some(self.watches.describe_usual(slot)),
        };
        self.say_of_watches(message);
    }

    /// Watches a query for a client. Answered by [`BrokerEvent::Presence`].
    ///
    /// # Errors
    ///
    /// Why it is not sent.
    pub fn watch(&mut self, slot: Slot, id: u64, terms: WatchTerms) -> Result<(), WatchFault> {
        self.joins.client(slot).ok_or(WatchFault::Gone)?;
        let message = self.watches.add(slot, id, terms)?;
        self.say_of_watches(Some(message));
        Ok(())
    }

    /// Changes which clients a watch may be about. Its news begin again.
    pub fn set_watch_scope(&mut self, slot: Slot, id: u64, scope: WatchScope) {
        let message = self.watches.set_scope(slot, id, scope);
        self.say_of_watches(message);
    }

    /// Ends a watch. Returns false if there is none.
    pub fn unwatch(&mut self, slot: Slot, id: u64) -> bool {
        let message = self.watches.remove(slot, id);
        let is_known = message.is_some();
        self.say_of_watches(message);
        is_known
    }

    fn say_of_watches(&mut self, message: Option<FromWatcher>) {
        if let Some(message) = message.filter(|_| self.is_linked) {
            ToBroker::Presence(message).encode(&mut self.out);
        }
    }

    /// Returns whether the broker will say that a client has got what it gets of the past.
    #[must_use]
    pub fn is_recovering(&self, slot: Slot) -> bool {
        self.resumable.is_recovering(slot)
    }

    /// Returns true if recoveries are left that a dead broker has not completed.
    pub(crate) fn has_unrecovered(&self) -> bool {
        !self.unrecovered.is_empty()
    }

    /// Takes the next recovery that a dead broker has not completed.
    pub(crate) fn next_unrecovered(&mut self) -> Option<BrokerEvent> {
        let (_, recovery) = self.unrecovered.pop_first()?;
        Some(BrokerEvent::Resumable(ToResumable::Recovered(recovery)))
    }

    /// Changes the tags of a client of this worker. Later publications use the new tags, even if the broker
    /// dies in between. The broker has the last word, since others may change the same tags.
    pub fn change_tags(&mut self, slot: Slot, edit: TagEdit) {
        if let Some(command) = self.change_command(slot, &edit) {
            self.send_change(slot, edit, command);
        }
    }

    /// Changes the tags like [`Uplink::change_tags`]. Returns the number of the change; answered by
    /// [`BrokerEvent::Outcome`](crate::broker_client::BrokerEvent::Outcome), from this broker or a later one.
    /// `None`: the change is complete, since the broker has no tags of the client.
    pub fn request_tag_change(&mut self, slot: Slot, edit: TagEdit) -> Option<Number> {
        let command = self.change_command(slot, &edit)?;
        let number = command.number;
        self.send_change(slot, edit, NumberedCommand { is_answered: true, ..command });
        Some(number)
    }

    /// Returns the command that changes the tags of a client. The tags of a client that the broker does not reach
    /// by tags are changed here.
    fn change_command(&mut self, slot: Slot, edit: &TagEdit) -> Option<NumberedCommand> {
        let client = self.joins.client(slot)?;
        if !client.is_reached_by_tags() {
            if let Ok(tags) = edit.apply(&client.tags) {
                self.joins.retag(slot, tags);
            }
            return None;
        }
        let change = TagChange { edit: edit.clone(), if_version: None };
        let kind = CommandKind::ChangeTags { uuid: client.uuid, change };
        let command = ClientCommand { tenant: client.tenant.clone(), kind };
        Some(NumberedCommand { number: self.window.next_number(), is_answered: false, command })
    }

    fn send_change(&mut self, slot: Slot, edit: TagEdit, command: NumberedCommand) {
        let Some(present) = self.joins.client(slot).map(|client| client.tags.clone()) else {
            return;
        };
        let number = command.number;
        self.push_command(command);
        let tags = self.tags_in_flight.sent(slot, number, edit, &present);
        self.joins.retag(slot, tags);
    }

    /// Reports each change of a client's tags from now on, with
    /// [`BrokerEvent::TagsChanged`](crate::broker_client::BrokerEvent::TagsChanged).
    pub fn watch_tags(&mut self, slot: Slot) {
        self.watched_tags.0.insert(slot.0);
    }

    /// Returns a client whose tags a change of many has changed.
    pub(crate) fn next_tags_changed(&mut self) -> Option<Slot> {
        self.tags_changed.pop_front()
    }

    /// Accepts a command like a publication, and returns its number; answered by
    /// [`BrokerEvent::Outcome`](crate::broker_client::BrokerEvent::Outcome), from this broker or a later one.
    /// The caller must have checked [`Uplink::has_room`].
    pub fn command(&mut self, command: ClientCommand) -> Number {
        let number = self.window.next_number();
        self.push_command(NumberedCommand { number, is_answered: true, command });
        number
    }

    pub(super) fn push_command(&mut self, command: NumberedCommand) {
        let (start, tenant) = (self.start_entry(), command.command.tenant.clone());
        ToBroker::Command(Box::new(command)).encode(&mut self.out);
        self.window.push(&tenant, start..self.out.len());
        self.commands += 1;
    }

    /// Returns the tags of a client that the broker has confirmed, with their version. Own changes that are
    /// under way are not among them.
    #[must_use]
    pub fn confirmed_tags(&self, slot: Slot) -> Option<VersionedTags> {
        let client = self.joins.client(slot)?;
        let tags = self.tags_in_flight.base(slot).unwrap_or(&client.tags).clone();
        Some(VersionedTags { version: self.joins.version(slot)?, tags })
    }

    /// Takes the tags of a client after a change. Returns an event if changes of them are reported.
    pub(super) fn on_retagged(&mut self, retagged: RetaggedClient) -> Option<BrokerEvent> {
        let RetaggedClient { source, number, slot, tags } = retagged;
        self.deduplicator.saw_single(source, number);
        let own = (source == self.source).then_some(number);
        self.joins.set_version(slot, tags.version);
        if self.joins.client(slot).is_some() {
            let tags = self.tags_in_flight.told(slot, tags.tags, own);
            self.joins.retag(slot, tags);
        }
        self.watched_tags.contains(slot).then_some(BrokerEvent::TagsChanged { slot, own })
    }

    /// Returns whether a change of many clients is not applied to all of them yet. Messages of the broker must
    /// wait for it.
    pub(crate) fn is_changing_many(&self) -> bool {
        self.bulk_changes.is_running() || !self.tags_changed.is_empty()
    }

    /// Applies a change of many clients to some more of them. Returns false if there is none.
    pub(crate) fn continue_bulk(&mut self) -> bool {
        let is_running = self.bulk_changes.is_running();
        for _ in 0..BULK_PIECE {
            let Self { bulk_changes, joins, tags_in_flight, watched_tags, tags_changed, .. } = self;
            let Some((slot, BulkChange { edit, version, .. })) = bulk_changes.next() else {
                break;
            };
            let Some(client) = joins.client(slot) else { continue };
            let base = tags_in_flight.base(slot).unwrap_or(&client.tags);
            // The broker has checked that no client gets too many tags.
            let Ok(tags) = edit.apply(base) else { continue };
            joins.set_version(slot, *version);
            let tags = tags_in_flight.told(slot, tags, None);
            joins.retag(slot, tags);
            if watched_tags.contains(slot) {
                tags_changed.push_back(slot);
            }
        }
        is_running
    }

    /// Takes an order to close connections. A repeated one is dropped.
    pub(super) fn on_close(&mut self, order: CloseOrder) -> Option<BrokerEvent> {
        let CloseOrder { source, number, connections, .. } = &order;
        match connections {
            // The broker does not send it again.
            ClosedConnections::One(_) => self.deduplicator.saw_single(*source, *number),
            ClosedConnections::Set(_) => {
                let several = DeliverTo::Set { name: SetName(0), except: None };
                if !self.deduplicator.is_new(*source, *number, &several) {
                    return None;
                }
            }
        }
        Some(BrokerEvent::Close(Box::new(order)))
    }

    /// Ends own changes that had no effect.
    pub(super) fn on_commands_acknowledged(&mut self, up_to: Number) {
        for (slot, tags) in self.tags_in_flight.acknowledged(up_to) {
            self.joins.retag(slot, tags);
        }
    }

    /// Queues the announcements of all clients with the tags that the broker has confirmed. Changes in flight
    /// follow with the publications, in their order.
    pub(super) fn announce_clients(&mut self) {
        let Self { joins, resumable, sent_requests, tags_in_flight, bulk_changes, out, .. } = self;
        for (slot, number, version, client) in joins.joined() {
            let mut client = client.clone();
            if let Some(base) = tags_in_flight.base(slot) {
                client.tags = base.clone();
            }
            match resumable.announce(slot, number, &client, sent_requests.announced(slot)) {
                Some(message) => ToBroker::Resumable(message).encode(out),
                None => ToBroker::Announce { slot, number, client }.encode(out),
            }
            if version.0 != number.0 {
                ToBroker::Version(AnnouncedVersion { slot, version }).encode(out);
            }
        }
        if let Some(change) = bulk_changes.last() {
            ToBroker::LastBulkChange(Box::new(change.clone())).encode(out);
        }
    }

    /// Queues the joins without an answer again, with all own changes. A repeated change finds no such client
    /// yet, so it has no second effect.
    pub(super) fn join_again(&mut self) {
        let Self { joins, resumable, tags_in_flight, out, .. } = self;
        for (slot, client) in joins.joining() {
            tags_in_flight.forget(slot);
            match resumable.join_again(slot, client) {
                Some(message) => ToBroker::Resumable(message).encode(out),
                None => ToBroker::Join { slot, client: client.clone() }.encode(out),
            }
        }
    }
}
