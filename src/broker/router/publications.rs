//! Publications: their recipients, the end of a turn, and the acknowledgements that it makes possible
//! (rule L5).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{LinkState, ProtocolError, Router};
use crate::broker::resolve_cache::{KnownRoute, RouteCounts};
use crate::broker::tracking::TrackedReport;
use crate::link::message::{Deliver, PublishFrame, ToBroker, ToWorker};
use crate::types::limits::ANSWERS_PENDING_BYTES_MAX;
use crate::types::{
    Content, Number, Publication, ReplayRecords, Sequence, TrackedOutcome, Tracking, UsedId,
    WorkerIncarnation,
};

/// The publications resolved in one turn. They are acknowledged when every link has taken the bytes that were
/// queued for it at the end of that turn.
#[derive(Debug)]
pub(super) struct Turn {
    /// Number of the last publication of each source.
    resolved: BTreeMap<WorkerIncarnation, Number>,
    /// For each link, the total number of bytes that it must have taken.
    marks: Vec<(WorkerIncarnation, u64)>,
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
            self.resolve_cache.keep_route(route);
            return published;
        }
        let KnownRoute { tenant, address, .. } = *route;
        let payload = Bytes::copy_from_slice(content.payload);
        let content = Content { form: content.form, payload };
        let publication = Publication { tenant, address, content };
        self.on_message(source, ToBroker::Publish { number, publication })
    }

    pub(super) fn publish(
        &mut self,
        source: WorkerIncarnation,
        number: Number,
        route: &mut KnownRoute,
        content: Content<&[u8]>,
    ) -> Result<(), ProtocolError> {
        let Some(member) = self.workers.get_mut(&source.worker) else { return Ok(()) };
        if member.last_publication.is_some_and(|last| number <= last) {
            return Err(ProtocolError::Disorder(number));
        }
        member.last_publication = Some(number);
        let is_single = route.address.recipients.is_single();
        let is_repeated = is_single && self.delivered.contains(&(source, number));
        let (mut is_refused, mut tracking) = (is_repeated, None);
        if let Some(request) = member.take_count_request() {
            let known = request.id.and_then(|id| self.replays.used(&id));
            let counts = match known {
                Some(UsedId { used, .. }) => RouteCounts::known(used.clients, used.workers),
                None if is_repeated => RouteCounts::ONE,
                None => route.count(&self.index, &self.departed),
            };
            if let Some(known) = known {
                member.out.send(&ToWorker::Remember(ReplayRecords::Ids(vec![known])));
            } else if let Some(id) = request.id.filter(|_| counts.is_evaluated()) {
                self.replays.keep(&id, counts.clients, counts.workers);
            }
            member.counted(counts.of(number));
            is_refused |= known.is_some();
            is_refused |= request.clients_max.is_some_and(|max| counts.clients > max);
            tracking = request.tracking;
        }
        if is_refused {
            return Ok(());
        }
        self.last_sequence += 1;
        self.publications += 1;
        let Self { index, resolve_cache, workers, .. } = self;
        let targets = route.targets(resolve_cache, index, workers);
        let sequence = Sequence(self.last_sequence);
        for (worker, target) in targets {
            if let Some(member) = workers.get_mut(worker) {
                if let Some(tracking) = tracking {
                    member.out.send(&ToWorker::Track(tracking));
                }
                // The worker of the publisher keeps the content until the acknowledgement.
                let content = (member.source != source).then_some(content);
                member.out.deliver(&Deliver { source, number, sequence, target: *target, content });
            }
        }
        if let Some(Tracking { subject, .. }) = tracking {
            let parts = route.clients_by_worker().iter();
            let parts = parts.filter_map(|(worker, clients)| {
                workers.get(worker).map(|member| (member.source, *clients))
            });
            self.tracked.open(source, number, subject, parts);
        }
        Ok(())
    }

    /// Sends a publisher a report on one of its publications. An answer that would have to wait behind too
    /// many bytes is dropped.
    pub(super) fn report_tracked(&mut self, report: TrackedReport) {
        let Some(member) = self.workers.get_mut(&report.publisher.worker) else { return };
        if member.source != report.publisher {
            return;
        }
        let waiting = member.out.pending().len();
        let is_dropped = waiting > ANSWERS_PENDING_BYTES_MAX
            && matches!(report.outcome, TrackedOutcome::Answer(_));
        let outcome = if is_dropped { TrackedOutcome::Expired } else { report.outcome };
        member.out.send(&ToWorker::Tracked { number: report.number, outcome });
    }

    /// Ends a turn. Its publications are acknowledged when all links have taken their bytes (rule L5).
    pub fn end_turn(&mut self) {
        self.resolve_cache.forget();
        let mut resolved = BTreeMap::new();
        for member in self.workers.values_mut() {
            member.set_names = 0;
            if let Some(last) = member.last_publication
                && member.turn_ended_at.is_none_or(|before| before < last)
            {
                member.turn_ended_at = Some(last);
                resolved.insert(member.source, last);
            }
        }
        if !resolved.is_empty() {
            let marks = self.workers.values().map(|member| (member.source, member.out.appended()));
            self.turns.push_back(Turn { resolved, marks: marks.collect() });
            self.turns_ended += 1;
        }
        self.acknowledge();
    }

    /// Acknowledges publications that all links have taken. The link of the source itself is not waited for,
    /// because the acknowledgement follows the deliveries in the same byte stream.
    pub fn acknowledge(&mut self) {
        self.acknowledge_turns();
        if self.replays.is_telling() {
            self.tell_records();
        }
    }

    fn acknowledge_turns(&mut self) {
        while let Some(turn) = self.turns.front_mut() {
            let members = &self.workers;
            turn.marks.retain(|(source, mark)| {
                members
                    .get(&source.worker)
                    .is_some_and(|member| member.source == *source && member.out.written() < *mark)
            });
            let open = &turn.marks;
            turn.resolved.retain(|source, up_to| {
                let waits = open.iter().any(|(waited_for, _)| waited_for != source);
                if let Some(member) = self.workers.get_mut(&source.worker)
                    && member.source == *source
                    && !waits
                {
                    member.acknowledge(*up_to);
                }
                waits
            });
            if !turn.resolved.is_empty() {
                return;
            }
            self.turns.pop_front();
        }
    }
}
