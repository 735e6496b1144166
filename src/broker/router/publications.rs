//! Publications and commands: their recipients and effects.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;

use super::bridge::{self, ResolvedPublication};
use super::deliveries::{ResolvedDelivery, deliver};
use super::directives::{self, AwaitedOfHosts};
use super::recording::{self, PublishedEntry};
use super::{LinkState, ProtocolError, Router, away, names, presence};
use crate::broker::bulk_change::{BulkAnswer, BulkResult, RunningBulkChange, with_sources};
use crate::broker::close_orders::order_closes;
use crate::broker::other_hosts::SoleRecipient;
use crate::broker::resolve_cache::{KnownRoute, RouteCounts};
use crate::broker::tag_changes::{TagChangeEffect, change_tags, outcome_of_repeated};
use crate::broker::tail::TailIndex;
use crate::broker::tracking::BegunTracking;
use crate::link::command::{
    BulkChange, ClientCommand, CloseOrder, ClosedConnections, CommandKind, CommandOutcome,
    MatchedClients, NumberedCommand, RetaggedClient, RetaggedClients, address_of,
};
use crate::link::message::{CountedPublication, PublishFrame, ToBroker, ToWorker};
use crate::types::{
    ClientUuid, CloseReason, ConnectionRef, Content, Number, Publication, ReplayRecords, SlotSet,
    TagChange, TagVersion, Tenant, UsedId, WorkerId, WorkerIncarnation,
};

/// The sender of a command or a publication, and its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandId {
    pub(super) source: WorkerIncarnation,
    pub(super) number: Number,
}

impl Router {
    /// Processes one publication of a worker. Most messages are publications.
    ///
    /// # Errors
    ///
    /// The same as [`Router::on_message`].
    pub fn on_publish(
        &mut self,
        source: WorkerIncarnation,
        publish: PublishFrame<'_>,
    ) -> Result<(), ProtocolError> {
        let is_never_held = self.is_resolving() && !self.has_departed();
        let is_applied = is_never_held
            && self.workers.get(&source.worker).is_some_and(|member| {
                member.link_state == LinkState::Announced && member.held.is_empty()
            });
        let mut route =
            self.resolve_cache.take_route(&publish).map_err(ProtocolError::Malformed)?;
        let PublishFrame { number, content, .. } = publish;
        if is_applied {
            let published = self.publish(source, number, &mut route, content);
            self.resolve_cache.keep_route(route, &mut self.traffic);
            return published;
        }
        let KnownRoute { tenant, address, .. } = *route;
        let payload = Bytes::copy_from_slice(content.payload);
        let content = Content { form: content.form, payload };
        let publication = Publication { tenant, address, content };
        self.on_message(source, ToBroker::Publish { number, publication })
    }

    /// Processes a publication that was held back.
    pub(super) fn publish_decoded(
        &mut self,
        source: WorkerIncarnation,
        number: Number,
        publication: Publication,
    ) -> Result<(), ProtocolError> {
        let Publication { tenant, address, content } = publication;
        let mut route = KnownRoute::new(tenant, address);
        let published = self.publish(source, number, &mut route, content.borrowed());
        self.traffic.take_from(&mut route);
        published
    }

    pub(super) fn publish(
        &mut self,
        source: WorkerIncarnation,
        number: Number,
        route: &mut KnownRoute,
        content: Content<&[u8]>,
    ) -> Result<(), ProtocolError> {
        let is_single = route.address.recipients.is_single();
        let (away, holder) = names::locate(self, source, number, route);
        let Some(member) = self.workers.get_mut(&source.worker) else { return Ok(()) };
        member.take_number(number)?;
        let is_repeated = is_single && self.delivered.contains(&(source, number));
        let (mut is_refused, mut tracking) = (is_repeated, None);
        let mut client_request = member.take_request();
        let (mut is_evaluated, mut id) = (true, None);
        if let Some(request) = member.take_count_request() {
            tracking = request.tracking.map(|tracking| self.tracked.begin(tracking));
            let known = request.id.and_then(|id| self.replays.used(&id));
            let counts = match known {
                Some(UsedId { used, .. }) => RouteCounts::known(used.clients, used.workers),
                None if is_repeated => RouteCounts::ONE,
                None => route.count(&self.index, &self.departed),
            };
            if let Some(known) = known {
                member.out.send(&ToWorker::Remember(ReplayRecords::Ids(vec![known])));
            } else if let Some(id) = request.id.filter(|_| counts.is_evaluated()) {
                self.replays.keep(&id, counts.clients, counts.workers, self.turns_ended + 1);
            }
            id = request.id;
            let counted = counts.of(number);
            let is_away = is_single.then_some(away.is_some() && !is_repeated && known.is_none());
            member.counted(CountedPublication { away: is_away, ..counted });
            is_refused |= known.is_some();
            is_evaluated = counts.is_evaluated();
            client_request = client_request.filter(|_| is_evaluated);
            // A dry run allows no recipient, and is no publication even if none matches.
            is_refused |= request.clients_max.is_some_and(|max| max == 0 || counts.clients > max);
        }
        if let Some(request) = client_request {
            self.records.accept(&route.tenant, request, self.turns_ended + 1);
        }
        if is_refused {
            return Ok(());
        }
        let is_away = away.is_some();
        self.last_sequence += 1;
        self.publications += 1;
        let index = TailIndex { index: &self.index, departed: &self.departed };
        self.tail.copy(source, route, content, index);
        route.resolve(&mut self.resolve_cache, &self.index, &mut self.workers);
        let is_question = recording::is_question(tracking.as_ref());
        let origin = bridge::origin_of(self, source, number);
        let published = PublishedEntry { source, number, content, away, origin, is_question };
        let at = recording::keep(self, route, &published);
        let delivery = ResolvedDelivery { source, number, content, at };
        let reached = deliver(self, route, delivery, tracking.as_ref());
        let sole = match holder {
            Some(host) => SoleRecipient::On(host),
            None if is_away => SoleRecipient::Away,
            None => reached,
        };
        // A question of another host is not passed on: its asker awaits the answer of this one.
        if is_evaluated && !(is_question && source.worker.is_bridge()) {
            let awaited = AwaitedOfHosts::of(source, tracking.as_ref());
            let resolved = ResolvedPublication { source, number, content, sole, awaited, id };
            bridge::forward(self, route, resolved);
        }
        if let Some(begun) = tracking {
            self.track(source, number, begun, route);
        }
        Ok(())
    }

    /// Awaits the reports of workers on a publication that was sent to them. The publisher of a traced one
    /// gets the time until now.
    fn track(
        &mut self,
        source: WorkerIncarnation,
        number: Number,
        begun: BegunTracking,
        route: &KnownRoute,
    ) {
        let parts = route.clients_by_worker().iter();
        let parts = parts.filter_map(|(worker, clients)| {
            self.workers.get(worker).map(|member| (member.source, *clients))
        });
        self.tracked.open(source, number, begun.tracking.subject, parts);
        if let Some(outcome) = self.tracked.resolved(begun)
            && let Some(member) = self.workers.get_mut(&source.worker)
        {
            member.out.send(&ToWorker::Tracked { number, outcome });
        }
    }

    /// Carries out a command, in the order of publications. Its outcome is sent with the acknowledgement. A
    /// command that an earlier broker has carried out has no second effect.
    pub(super) fn command(
        &mut self,
        source: WorkerIncarnation,
        NumberedCommand { number, is_answered, command }: NumberedCommand,
    ) -> Result<(), ProtocolError> {
        let Some(member) = self.workers.get_mut(&source.worker) else { return Ok(()) };
        member.check_number(number)?;
        let request = member.take_request();
        let directive = directives::prepare(self, source, &command);
        let (ClientCommand { tenant, kind }, id) = (command, CommandId { source, number });
        let outcome = match kind {
            CommandKind::ChangeTagsMatching { clients, clients_max, edit } => {
                let (version, matched) = (TagVersion::default(), MatchedClients::default());
                let change = BulkChange { source, number, tenant, clients, edit, version, matched };
                match self.begin_bulk(change, clients_max) {
                    Some(outcome) => outcome,
                    // Its number is recorded when it is complete.
                    None => {
                        let is_forwarded =
                            directive.is_some_and(|it| directives::forward(self, id, it));
                        let answer = match (is_answered, is_forwarded) {
                            (false, _) => BulkAnswer::None,
                            (true, true) => BulkAnswer::Forwarded,
                            (true, false) => BulkAnswer::Outcome,
                        };
                        self.bulk.iter_mut().for_each(|bulk| bulk.answer = answer);
                        return Ok(());
                    }
                }
            }
            CommandKind::ChangeTags { uuid, change } => {
                let place = self.connected(&tenant, uuid);
                self.tag_changes_by_api += u64::from(place.is_some() && source.worker.is_api());
                let outcome = match place {
                    Some(place) => self.change_tags(id, place, &change),
                    None => away::change_tags(self, &tenant, uuid, &change)
                        .unwrap_or(CommandOutcome::Unknown),
                };
                if let Some(request) = request.filter(|_| outcome != CommandOutcome::TooManyTags) {
                    self.records.accept(&tenant, request, self.turns_ended + 1);
                }
                outcome
            }
            CommandKind::Barrier => CommandOutcome::Matched(MatchedClients::default()),
            CommandKind::Close { uuid, reason } => match self.connected(&tenant, uuid) {
                None if !self.delivered.contains(&(source, number)) => {
                    away::end(self, &tenant, uuid).unwrap_or(CommandOutcome::Unknown)
                }
                place => self.close_one(id, place, reason),
            },
            CommandKind::CloseMatching { clients, clients_max, reason, spread } => {
                let address = address_of(&clients);
                let matching = self.index.resolve(&tenant, &address).without(&self.departed);
                let (clients, workers) = matching.counts();
                if let Some(refused) = matching.refused {
                    CommandOutcome::TooExpensive(refused)
                } else {
                    if clients_max.is_none_or(|max| clients <= max) {
                        let connections = ClosedConnections::Set(SlotSet::default());
                        let order = CloseOrder { source, number, connections, reason, spread };
                        order_closes(&mut self.workers, matching.sets, &order);
                    }
                    CommandOutcome::Matched(MatchedClients { clients, workers })
                }
            }
        };
        let directive = directive.filter(|directive| directive.goes_on_after(&outcome));
        let outcome = match directive.is_some_and(|it| directives::forward(self, id, it)) {
            true => CommandOutcome::Forwarded(Box::new(outcome)),
            false => outcome,
        };
        self.end_command(id, Some(outcome).filter(|_| is_answered))
    }

    fn end_command(
        &mut self,
        CommandId { source, number }: CommandId,
        outcome: Option<CommandOutcome>,
    ) -> Result<(), ProtocolError> {
        let member = self.workers.get_mut(&source.worker).filter(|it| it.source == source);
        let Some(member) = member else { return Ok(()) };
        member.take_number(number)?;
        if let Some(outcome) = outcome {
            member.has_outcome(number, outcome);
        }
        Ok(())
    }

    /// Begins a change of all clients that match. Returns the outcome if there is nothing to do.
    fn begin_bulk(
        &mut self,
        change: BulkChange,
        clients_max: Option<u64>,
    ) -> Option<CommandOutcome> {
        let is_it = |it: &&BulkChange| (it.source, it.number) == (change.source, change.number);
        if let Some(completed) = self.completed_bulk.as_deref().filter(is_it) {
            return Some(CommandOutcome::Matched(completed.matched));
        }
        let address = address_of(&change.clients);
        let matching = self.index.resolve(&change.tenant, &address).without(&self.departed);
        if let Some(refused) = matching.refused {
            return Some(CommandOutcome::TooExpensive(refused));
        }
        let (clients, workers) = matching.counts();
        let matched = MatchedClients { clients, workers };
        if clients_max.is_some_and(|max| clients > max) {
            return Some(CommandOutcome::Matched(matched));
        }
        self.last_version += 1;
        let version = TagVersion(self.last_version);
        let change = BulkChange { version, matched, ..change };
        let matching = with_sources(matching.sets, |worker| self.source_of(worker));
        self.bulk = Some(Box::new(RunningBulkChange::new(change, matching)));
        None
    }

    /// Begins to complete the change of many clients that the workers have announced, before anything else.
    pub(super) fn complete_announced_bulk(&mut self) {
        let Some(change) = self.announced_bulk.take() else { return };
        // The earlier broker has evaluated it, and the limit may have been lowered since.
        let sets = self.index.evaluate_all(&change.tenant, &address_of(&change.clients));
        let sets = sets.into_iter().filter(|(worker, _)| !self.departed.contains(worker));
        let matching = with_sources(sets.collect(), |worker| self.source_of(worker));
        self.bulk = Some(Box::new(RunningBulkChange::completing(*change, matching)));
    }

    fn source_of(&self, worker: WorkerId) -> Option<WorkerIncarnation> {
        self.workers.get(&worker).map(|member| member.source)
    }

    /// Continues the change of many clients until `is_spent` returns true. Breaks if it is not complete.
    pub fn continue_bulk(&mut self, is_spent: &mut dyn FnMut(usize) -> bool) -> ControlFlow<()> {
        let Some(mut bulk) = self.bulk.take() else { return ControlFlow::Continue(()) };
        match presence::run_bulk(self, &mut bulk, is_spent) {
            ControlFlow::Break(()) => {
                self.bulk = Some(bulk);
                ControlFlow::Break(())
            }
            ControlFlow::Continue(result) => {
                self.end_bulk(*bulk, result);
                ControlFlow::Continue(())
            }
        }
    }

    fn end_bulk(&mut self, bulk: RunningBulkChange, result: BulkResult) {
        self.resolve_cache.forget();
        let (is_completing, answer) = (bulk.is_completing(), bulk.answer);
        let change = bulk.change;
        let id = CommandId { source: change.source, number: change.number };
        let outcome = match result {
            BulkResult::TooManyTags => CommandOutcome::TooManyTags,
            BulkResult::Changed(mut changed) => {
                let workers = self.workers.values_mut();
                for member in workers.filter(|it| it.source.worker.has_clients()) {
                    let slots = changed.remove(&member.source).unwrap_or_default();
                    let retagged = RetaggedClients { change: change.clone(), slots };
                    member.out.send(&ToWorker::RetaggedMatching(Box::new(retagged)));
                }
                self.tag_changes_by_api += change.matched.clients;
                CommandOutcome::Matched(change.matched)
            }
        };
        if is_completing {
            self.completed_bulk = Some(Box::new(change));
            return;
        }
        let ended = self.end_command(id, answer.with(outcome));
        debug_assert!(ended.is_ok(), "no other message of its source was applied meanwhile");
    }

    /// Returns the place of a client by its UUID, unless its worker is dead.
    fn connected(&self, tenant: &Tenant, uuid: ClientUuid) -> Option<ConnectionRef> {
        let place = self.index.place_of(tenant, uuid);
        place.filter(|place| !self.departed.contains(&place.worker))
    }

    fn change_tags(
        &mut self,
        CommandId { source, number }: CommandId,
        place: ConnectionRef,
        change: &TagChange,
    ) -> CommandOutcome {
        if self.delivered.contains(&(source, number)) {
            return outcome_of_repeated(&self.index, place);
        }
        let next = TagVersion(self.last_version + 1);
        let before = recording::tags_before(self, place);
        match change_tags(&mut self.index, place, change, next) {
            TagChangeEffect::Nothing(outcome) => outcome,
            TagChangeEffect::Changed(tags) => {
                presence::on_present(self, place);
                self.last_version = next.0;
                self.resolve_cache.forget();
                if let Some((key, tags)) = before {
                    recording::note_tags(self, &key, Some(tags));
                }
                let (slot, outcome) = (place.slot, CommandOutcome::Tagged(tags.clone()));
                let retagged = Box::new(RetaggedClient { source, number, slot, tags });
                self.send(place.worker, &ToWorker::Retagged(retagged));
                outcome
            }
        }
    }

    fn close_one(
        &mut self,
        CommandId { source, number }: CommandId,
        place: Option<ConnectionRef>,
        reason: CloseReason,
    ) -> CommandOutcome {
        let one = CommandOutcome::Matched(MatchedClients { clients: 1, workers: 1 });
        // The client may have left since an earlier broker had its worker close it.
        if self.delivered.contains(&(source, number)) {
            return one;
        }
        let Some(place) = place else { return CommandOutcome::Unknown };
        let (connections, spread) = (ClosedConnections::One(place.slot), Duration::ZERO);
        let order = CloseOrder { source, number, connections, reason, spread };
        self.send(place.worker, &ToWorker::Close(Box::new(order)));
        one
    }
}
