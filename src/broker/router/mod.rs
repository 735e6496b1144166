//! The decisions of the broker: which clients are connected, which of them get a publication, and when it is
//! acknowledged.
//!
//! No I/O and no clock: the input is messages of workers, the output is bytes for their links. The rules L3
//! to L6 can therefore be tested without a process.

mod announced_records;
pub mod arrivals;
mod away;
pub mod bridge;
mod deliveries;
mod directives;
mod entering;
pub mod figures;
mod handing_over;
mod host_notices;
mod joins;
mod moves;
mod names;
pub mod presence;
mod presence_of_hosts;
mod publications;
mod questions;
pub mod recording;
mod recoveries;
mod replays_of_hosts;
mod resumes;
pub mod timers;
mod turns;
mod whereabouts;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use super::bulk_change::RunningBulkChange;
pub use super::clocks::BrokerClocks;
use super::connection_limits::{ConnectionLimits, MaxConnections};
use super::descriptions::OpenDescriptions;
use super::fair_share::FairShare;
use super::journal::Journals;
use super::other_hosts::OtherHosts;
use super::presence::PresenceTable;
pub use super::protocol_error::ProtocolError;
use super::records::Records;
use super::recoveries::Recoveries;
use super::replays::ReplayKeeper;
use super::resolve_cache::ResolveCache;
use super::resume_counts::ResumeCounts;
use super::tail::Tail;
use super::takeovers::Takeovers;
use super::tracking::{TrackedPublications, TrackedReport};
use super::traffic::TrafficByTenant;
use super::turn::Turn;
use super::worker_state::{LinkState, WorkerState};
use crate::index::Index;
use crate::index::tag_changes::{restore_version, versioned_tags};
use crate::link::command::{AnnouncedVersion, BulkChange};
use crate::link::message::{ToBroker, ToWorker};
use crate::link::resume::FromResumable;
use crate::types::{
    ConnectionRef, Number, PublicationId, VersionedTags, WorkerId, WorkerIncarnation,
};

/// The broker without its sockets.
#[derive(Debug, Default)]
pub struct Router {
    index: Index,
    connection_limits: ConnectionLimits,
    workers: BTreeMap<WorkerId, WorkerState>,
    /// Workers that this broker awaits: they have not announced their clients. Meanwhile nothing is resolved (rule L6).
    awaited: BTreeSet<WorkerIncarnation>,
    /// Dead workers that still have clients in the index.
    departed: BTreeSet<WorkerId>,
    /// Publications to a single recipient that were delivered before this broker started.
    delivered: HashSet<(WorkerIncarnation, Number)>,
    resolve_cache: ResolveCache,
    /// Publications on whose deliveries workers report.
    tracked: TrackedPublications,
    /// Requests that must not take effect twice (rule L11).
    pub(in crate::broker) replays: ReplayKeeper,
    /// Questions about single clients, which their workers answer.
    descriptions: OpenDescriptions,
    traffic: TrafficByTenant,
    /// Copies of publications for operators.
    pub(in crate::broker) tail: Tail,
    fair_share: FairShare,
    /// The last publications in this turn of members that were removed since.
    of_removed: BTreeMap<WorkerIncarnation, Number>,
    /// Resolved publications that are not acknowledged yet, by turn (rule L5).
    turns: VecDeque<Turn>,
    /// Total number of turns with publications.
    turns_ended: u64,
    /// A change of many clients that is under way. Nothing else is applied meanwhile.
    bulk: Option<Box<RunningBulkChange>>,
    /// The last change of many clients that workers have announced.
    announced_bulk: Option<Box<BulkChange>>,
    /// The change of many clients that this broker has completed for an earlier one.
    completed_bulk: Option<Box<BulkChange>>,
    /// The last join number and the last version of tags, from one counter (rule L12).
    last_version: u64,
    last_grant: u64,
    last_sequence: u64,
    /// Total number of resolved publications.
    publications: u64,
    /// Changes of tags that the API process has asked for.
    tag_changes_by_api: u64,
    /// Clients that may resume.
    records: Records,
    takeovers: Takeovers,
    /// The latest publications of spaces that store them.
    journals: Journals,
    recoveries: Recoveries,
    /// Workers that have not yet sent again what an earlier broker may have delivered. Meanwhile nothing is stored.
    repeating: BTreeSet<WorkerIncarnation>,
    /// Publications that were stored in this turn.
    appended: usize,
    resumes: ResumeCounts,
    presence: PresenceTable,
    /// Other hosts. `None` if this one shares nothing.
    hosts: Option<Box<OtherHosts>>,
    /// Time of this turn, since any fixed moment.
    now: Duration,
    /// Time since 1970 at which this broker was started.
    started: Duration,
}

impl Router {
    /// Creates a broker that resolves nothing before these workers have announced their clients.
    #[must_use]
    pub fn awaiting(sources: impl IntoIterator<Item = WorkerIncarnation>) -> Self {
        let awaited: BTreeSet<WorkerIncarnation> = sources.into_iter().collect();
        Self { repeating: awaited.clone(), awaited, ..Self::default() }
    }

    /// Sets the limits for new joins. Clients that have joined stay.
    pub fn limit(&mut self, limits: MaxConnections) {
        self.connection_limits.limit(limits);
    }

    /// Sets how many values the prefixes of one expression may scan.
    pub fn limit_scan(&mut self, values: u64) {
        self.index.limit_scan(values);
    }

    /// Adds a worker whose link was created.
    pub fn linked(&mut self, source: WorkerIncarnation) {
        let mut member = WorkerState::new(source);
        member.may_repeat = self.awaited.contains(&source);
        let former = self.workers.insert(source.worker, member);
        debug_assert!(former.is_none(), "a worker's link is made once for each broker");
        self.replays.linked(source);
        self.tell_throttles(source.worker);
    }

    /// Removes a worker whose link was closed. Acknowledgements no longer wait for it, and its clients are not reached or
    /// counted any more. They are removed from the index [in parts](Self::remove_departed).
    pub fn unlinked(&mut self, source: WorkerIncarnation) {
        if self.workers.get(&source.worker).is_none_or(|member| member.source != source) {
            return;
        }
        let removed = self.workers.remove(&source.worker);
        self.of_removed.extend(removed.and_then(|mut it| Some((it.source, it.end_turn()?))));
        if source.worker.is_bridge() {
            bridge::unlinked(self);
        }
        self.replays.unlinked(source);
        self.tail.unlinked(source);
        self.fair_share.forget_worker(source.worker);
        for report in self.tracked.on_worker_lost(source) {
            self.report_tracked(report);
        }
        questions::answer_lost(self, source);
        self.resolve_cache.forget();
        self.connection_limits.unlink(source.worker);
        self.takeovers.withdraw_all(source.worker);
        moves::forget_joining(self, source.worker);
        if self.index.clients_of(source.worker) > 0 {
            self.departed.insert(source.worker);
        }
        for key in self.takeovers.waiting_for(source.worker) {
            resumes::resume_waiting(self, &key);
        }
    }

    /// Removes a worker whose process has exited. Its announcement is no longer awaited.
    pub fn remove_worker(&mut self, source: WorkerIncarnation) {
        self.unlinked(source);
        self.no_longer_await(source);
        timers::on_window_repeated(self, source);
    }

    /// Returns the number of clients of all workers.
    #[must_use]
    pub fn clients(&self) -> usize {
        let departed = self.departed.iter().map(|worker| self.index.clients_of(*worker));
        self.index.clients() - departed.sum::<usize>()
    }

    /// Measures the time of expressions, and of traced publications.
    pub fn measure_with(&mut self, clocks: BrokerClocks) {
        self.index.meter.measure_with(clocks.since_start);
        self.tracked.trace_with(clocks.unix);
    }

    /// Returns the tags of the client at a place; `None` if tags do not reach it.
    #[must_use]
    pub fn versioned_tags(&self, place: ConnectionRef) -> Option<VersionedTags> {
        versioned_tags(&self.index, place)
    }

    /// Applies one message of a worker, or holds it back.
    ///
    /// # Errors
    ///
    /// If the message breaks the rules of the link. The caller must close the link.
    pub fn on_message(
        &mut self,
        source: WorkerIncarnation,
        message: ToBroker,
    ) -> Result<(), ProtocolError> {
        let Some(member) = self.workers.get_mut(&source.worker) else {
            return Err(ProtocolError::OtherWorker(source));
        };
        match (member.link_state, message) {
            (LinkState::Linked, ToBroker::Hello { version, source: claimed }) => {
                member.on_hello(version, claimed)
            }
            (LinkState::Announcing, ToBroker::Announce { slot, number, client }) => {
                joins::announce(self, source, slot, number, &client)
            }
            (LinkState::Announcing, ToBroker::Resumable(FromResumable::Announce(announced))) => {
                announced_records::announce(self, source, *announced)
            }
            (LinkState::Announcing, ToBroker::Holds { slot, claim, grant }) => {
                let place = ConnectionRef { worker: source.worker, slot };
                names::restore_alias(self, place, &claim, grant);
                Ok(())
            }
            (LinkState::Announcing, ToBroker::Version(AnnouncedVersion { slot, version })) => {
                self.last_version = self.last_version.max(version.0);
                let place = ConnectionRef { worker: source.worker, slot };
                restore_version(&mut self.index, place, version);
                Ok(())
            }
            (LinkState::Announcing, ToBroker::LastBulkChange(change)) => {
                self.last_version = self.last_version.max(change.version.0);
                if self.announced_bulk.as_ref().is_none_or(|it| it.version < change.version) {
                    self.announced_bulk = Some(change);
                }
                Ok(())
            }
            (LinkState::Announcing, ToBroker::Seen { source, numbers }) => {
                self.delivered.extend(numbers.into_iter().map(|number| (source, number)));
                Ok(())
            }
            (LinkState::Announcing, ToBroker::Announced { sequence }) => {
                member.link_state = LinkState::Announced;
                self.last_sequence = self.last_sequence.max(sequence.0);
                self.no_longer_await(source);
                self.replays.announced(source);
                host_notices::greet(self, source.worker);
                Ok(())
            }
            (LinkState::Announcing | LinkState::Announced, ToBroker::Bridge(message))
                if source.worker.is_bridge() =>
            {
                bridge::on_message(self, source, message)
            }
            // Nothing that is resolved depends on their order.
            (LinkState::Announcing | LinkState::Announced, ToBroker::Remember(records)) => {
                replays_of_hosts::learn(self, source, &records)
            }
            (LinkState::Announced, message) => self.apply_or_hold(source, message),
            _ => Err(ProtocolError::OutOfPlace("a message")),
        }
    }

    /// Applies a message of a worker that has announced its clients, or holds it back.
    fn apply_or_hold(
        &mut self,
        source: WorkerIncarnation,
        message: ToBroker,
    ) -> Result<(), ProtocolError> {
        let resolving = self.is_resolving();
        let Some(member) = self.workers.get_mut(&source.worker) else { return Ok(()) };
        if !(resolving && member.held.is_empty()) {
            member.held.push_back(message);
            return Ok(());
        }
        if self.waits_for_departed(source, &message) {
            self.hold(source, message);
            return Ok(());
        }
        self.apply(source, message)
    }

    fn apply(&mut self, source: WorkerIncarnation, message: ToBroker) -> Result<(), ProtocolError> {
        match message {
            ToBroker::Join { slot, client } => joins::join(self, source, slot, &client),
            ToBroker::Reserve { slot, ip } => {
                joins::reserve(self, source, slot, ip);
                Ok(())
            }
            ToBroker::Leave { slot } => {
                joins::leave(self, source, slot);
                Ok(())
            }
            ToBroker::Resumable(message) => resumes::apply(self, source, message),
            ToBroker::Presence(message) => presence::apply(self, source.worker, message),
            ToBroker::Bridge(message) => bridge::take_numbered(self, source, message),
            ToBroker::WindowRepeated => {
                timers::on_window_repeated(self, source);
                Ok(())
            }
            ToBroker::Command(command) => self.command(source, *command),
            ToBroker::Alias { slot, claim } => {
                names::claim_alias(self, source, slot, &claim);
                Ok(())
            }
            ToBroker::Ask { slot, query } => {
                questions::ask(self, source, slot, &query);
                Ok(())
            }
            ToBroker::Described(answer) => {
                self.on_described(source, answer);
                Ok(())
            }
            ToBroker::Sync { number } => {
                self.send(source.worker, &ToWorker::Synced { number });
                Ok(())
            }
            ToBroker::Count { clients_max, tracking } => {
                if let Some(member) = self.workers.get_mut(&source.worker) {
                    member.count_next(clients_max, tracking);
                }
                Ok(())
            }
            ToBroker::Identify(id) => self.identify_next(source.worker, id),
            ToBroker::Tracked { publisher, number, outcome } => {
                self.tracked.reported(source, publisher, number);
                self.report_tracked(TrackedReport { publisher, number, outcome });
                Ok(())
            }
            ToBroker::Work(report) => {
                self.fair_share.on_report(source.worker, &report);
                Ok(())
            }
            ToBroker::Charged(charge) => {
                self.pass_on_charge(source.worker, &charge);
                Ok(())
            }
            ToBroker::Publish { number, publication } => {
                self.publish_decoded(source, number, publication)
            }
            ToBroker::Hello { .. }
            | ToBroker::Announce { .. }
            | ToBroker::Holds { .. }
            | ToBroker::Version(_)
            | ToBroker::LastBulkChange(_)
            | ToBroker::Seen { .. }
            | ToBroker::Remember(_)
            | ToBroker::Announced { .. } => Err(ProtocolError::OutOfPlace("an announcement")),
        }
    }

    /// Keeps the id of the next publication, which only the API process gives.
    fn identify_next(&mut self, worker: WorkerId, id: PublicationId) -> Result<(), ProtocolError> {
        if !(worker.is_api() || worker.is_bridge()) {
            return Err(ProtocolError::OutOfPlace("an id"));
        }
        if let Some(member) = self.workers.get_mut(&worker) {
            member.identify_next(id);
        }
        Ok(())
    }

    fn send(&mut self, worker: WorkerId, message: &ToWorker) {
        if let Some(member) = self.workers.get_mut(&worker) {
            member.out.send(message);
        }
    }

    /// Returns the state of all workers, so that the caller can write their output and close broken links.
    pub fn workers_mut(&mut self) -> impl Iterator<Item = &mut WorkerState> {
        self.workers.values_mut()
    }

    /// Returns the state of one worker.
    pub fn worker_mut(&mut self, worker: WorkerId) -> Option<&mut WorkerState> {
        self.workers.get_mut(&worker)
    }
}

#[cfg(test)]
mod id_tests;
#[cfg(test)]
mod tests;
