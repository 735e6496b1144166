//! The directory of names in the broker: what it has told other hosts, and what it waits for.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::forwards::KeptForwards;
use crate::cluster::{
    CarriedPublication, CarriedReplay, DirectoryBounds, Forward, SentToOne, SharedDirectory,
    SharedItem,
};
use crate::telemetry::LogThrottle;
use crate::types::{
    Generation, HostId, Number, PayloadForm, Sequence, WorkerId, WorkerIncarnation,
};

/// Time in which one line about names without room is written.
const FULL_LOG_EVERY: Duration = Duration::from_secs(60);

/// The directory, and its items on the way to the bridge.
#[derive(Debug)]
pub(super) struct NamesOfHosts {
    pub(super) shared: SharedDirectory,
    /// Items that this broker has made.
    items: u64,
    /// Forwards that must be carried before the next part of a snapshot is sent.
    carried_before: u64,
    /// Arrivals that only this host got, by their numbers. If the client has just left, another host may have one.
    passable: VecDeque<Number>,
    /// Publications that earlier brokers have given to other hosts. Their workers repeat them (rule L6).
    sent: HashMap<(WorkerIncarnation, Number), HostId>,
    /// Lines about names that have no room.
    full: LogThrottle,
}

impl NamesOfHosts {
    pub(super) fn new(own: HostId, generation: Generation) -> Self {
        let bounds = DirectoryBounds::default();
        let is_first = generation == Generation(0);
        let begin = if is_first { SharedDirectory::new } else { SharedDirectory::of_later_broker };
        Self {
            shared: begin(own, bounds),
            items: 0,
            carried_before: 0,
            passable: VecDeque::new(),
            sent: HashMap::new(),
            full: LogThrottle::new(1, FULL_LOG_EVERY),
        }
    }

    /// Gives the changes that wait to the bridge. This comes before each publication that follows them.
    pub(super) fn send_changes(&mut self, forwards: &mut KeptForwards, generation: Generation) {
        if let Some(item) = self.shared.take_changes() {
            forwards.push(&self.forward(item, generation));
        }
    }

    /// Gives the bridge the next part of a snapshot, if the last one is carried, and the next request.
    pub(super) fn send_rest(
        &mut self,
        forwards: &mut KeptForwards,
        generation: Generation,
        now: Duration,
    ) {
        if self.shared.has_parts()
            && forwards.is_carried(self.carried_before)
            && let Some(part) = self.shared.next_part()
        {
            forwards.push(&self.forward(part, generation));
            self.carried_before = forwards.added();
        }
        if let Some(request) = self.shared.next_request(now) {
            forwards.push(&self.forward(request, generation));
        }
    }

    fn forward(&mut self, item: SharedItem, generation: Generation) -> Forward {
        self.items += 1;
        let SharedItem { reach, body } = item;
        let publication = CarriedPublication {
            source: WorkerIncarnation { worker: WorkerId::DIRECTORY, generation },
            number: Number(self.items),
            generation,
            sequence: Sequence(0),
            route: Bytes::new(),
            form: PayloadForm::Message,
            payload: body,
            is_repeated: false,
            directive: None,
            question: None,
            report_ms: None,
            replay: CarriedReplay::None,
        };
        Forward { reach, publication }
    }

    /// Notes publications that earlier brokers have given to other hosts.
    pub(super) fn note_sent(&mut self, sent: Vec<SentToOne>) {
        let sent = sent.into_iter().map(|it| ((it.source, it.number), it.host));
        self.sent.extend(sent);
    }

    /// Returns the host that an earlier broker has given a publication to.
    pub(super) fn sent_to(&self, source: WorkerIncarnation, number: Number) -> Option<HostId> {
        if self.sent.is_empty() { None } else { self.sent.get(&(source, number)).copied() }
    }

    /// Notes an arrival that another host has sent to this one alone.
    pub(super) fn note_passable(&mut self, number: Number) {
        self.passable.push_back(number);
    }

    /// Returns whether an arrival may be passed on, once.
    pub(super) fn take_passable(&mut self, number: Number) -> bool {
        while self.passable.front().is_some_and(|first| *first < number) {
            self.passable.pop_front();
        }
        self.passable.pop_front_if(|first| *first == number).is_some()
    }

    /// The bridge is another one, whose arrivals have other numbers.
    pub(super) fn forget_passable(&mut self) {
        self.passable.clear();
    }

    /// Reports a name that has no room.
    pub(super) fn report_full(&mut self, now: Duration) {
        if self.full.admits(now) {
            tracing::error!(
                event = "cluster_directory_full",
                "too many names: further ones are known on the host of their client only"
            );
        }
    }
}
