//! Queue of events for backends. Each client has at most one event in flight; its other events wait
//! in order. The queue is bounded.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::reactor::poller::{Interest, Poller};
use crate::resource::ResourceId;
use crate::types::limits::{OPENINGS_PENDING_MAX, WEBHOOK_EVENTS_BYTES_MAX, WEBHOOK_EVENTS_MAX};
use crate::types::{ClientUuid, Slot, counted_as};
use crate::webhook::WebhookRequest;
use crate::webhook::client::{WebhookClient, WebhookOutcome, WebhookReply, WebhookTarget};
use crate::worker::clock::Moment;
use crate::worker::tokens::Token;

/// Client or resource that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) enum Subject {
    /// Client. It may have disconnected.
    Client(ClientUuid),
    /// Resource itself, for ticks and the events that result from them.
    Resource(ResourceId),
}

/// Events in flight and waiting events.
#[derive(Debug, Default)]
pub(in crate::worker) struct WebhookQueue {
    client: Option<WebhookClient>,
    targets: HashMap<u16, TargetQueue>,
    queues: HashMap<Subject, EventQueue>,
    under_way: HashMap<u64, UnderWay>,
    /// Number of opening connections in flight, by backend and address.
    openings: HashMap<(u16, IpAddr), usize>,
    answers: VecDeque<WebhookReply>,
    last: u64,
}

/// Backend, and its share of the queue.
#[derive(Debug)]
struct TargetQueue {
    target: Arc<WebhookTarget>,
    events: usize,
    bytes: usize,
    warnings: [WarningThrottle; 2],
}

/// Events of one client or resource.
#[derive(Debug)]
struct EventQueue {
    resource: ResourceId,
    /// Slot of the client at its last event. It may have been reused.
    slot: Slot,
    waiting: VecDeque<WebhookRequest>,
    /// Total size of the events, including the one in flight.
    bytes: usize,
}

#[derive(Debug)]
struct UnderWay {
    subject: Subject,
    event: &'static str,
    bytes: usize,
    /// Address of the client, for the event `open`.
    address: Option<IpAddr>,
}

/// Subject of an event, the slot of its client, and the resource whose backend receives it.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct EventOrigin {
    pub(in crate::worker) subject: Subject,
    pub(in crate::worker) slot: Slot,
    pub(in crate::worker) resource: ResourceId,
}

/// Event with its outcome.
#[derive(Debug)]
pub(in crate::worker) struct WebhookResult {
    pub(in crate::worker) subject: Subject,
    pub(in crate::worker) event: &'static str,
    pub(in crate::worker) resource: ResourceId,
    pub(in crate::worker) slot: Slot,
    pub(in crate::worker) outcome: WebhookOutcome,
    /// Time from the event to its outcome.
    pub(in crate::worker) took: Duration,
}

/// Result of queueing an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum PostOutcome {
    /// The event is in flight, or waits for another event of its subject.
    Taken,
    /// The event is `open`, and too many of this address are in flight.
    TooMany,
    /// The queue is full, or the resource has no backend.
    Rejected,
}

/// Kind of a warning about a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Warning {
    /// The backend is unreachable or answers with an error.
    Failed,
    /// The answer of the backend is invalid.
    Wrong,
}

/// Rate limit of one line per minute, with the number of suppressed warnings.
#[derive(Clone, Copy, Debug, Default)]
struct WarningThrottle {
    minute: Option<u32>,
    unlogged: u64,
}

impl WebhookQueue {
    /// Starts the webhook client, if it is not running.
    ///
    /// # Errors
    ///
    /// Fails when the process cannot create another thread or descriptor.
    pub(in crate::worker) fn start_client(&mut self, poller: &Poller) -> io::Result<()> {
        if self.client.is_none() {
            let client = WebhookClient::start()?;
            poller.watch(&client, Token::Webhooks.into(), Interest::Read)?;
            self.client = Some(client);
        }
        Ok(())
    }

    /// Returns true if answers wait to be applied.
    pub(in crate::worker) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Adds the backend of a resource.
    pub(in crate::worker) fn add_target(
        &mut self,
        resource: ResourceId,
        target: Arc<WebhookTarget>,
    ) {
        let warnings = Default::default();
        self.targets.insert(resource.key(), TargetQueue { target, events: 0, bytes: 0, warnings });
    }

    /// Returns the backend of a resource.
    pub(in crate::worker) fn target(&self, resource: ResourceId) -> Option<&WebhookTarget> {
        self.targets.get(&resource.key()).map(|route| &*route.target)
    }

    /// Returns the resources with backends, and whether their circuit breakers are open.
    pub(in crate::worker) fn circuits(&self) -> impl Iterator<Item = (&str, bool)> {
        self.targets.values().map(|queue| (queue.target.resource(), queue.target.is_circuit_open()))
    }

    /// Returns true if there are no events. It is called for each message of a client and must be
    /// cheap.
    pub(in crate::worker) fn is_idle(&self) -> bool {
        self.queues.is_empty()
    }

    /// Returns true if an event of this client is in flight. Its messages are not processed
    /// meanwhile.
    pub(in crate::worker) fn is_busy(&self, client: ClientUuid) -> bool {
        !self.is_idle() && self.queues.contains_key(&Subject::Client(client))
    }

    /// Returns the total size of the client's events in bytes.
    pub(in crate::worker) fn held(&self, client: ClientUuid) -> usize {
        self.queues.get(&Subject::Client(client)).map_or(0, |queue| queue.bytes)
    }

    /// Returns true if an event of the resource itself is in flight.
    pub(in crate::worker) fn is_ticking(&self, resource: ResourceId) -> bool {
        self.queues.contains_key(&Subject::Resource(resource))
    }

    /// Returns true if an `open` event is in flight.
    pub(in crate::worker) fn has_openings(&self) -> bool {
        self.under_way.values().any(|it| it.event == "open")
    }

    /// Returns the number of events in flight and waiting.
    pub(in crate::worker) fn count(&self) -> usize {
        self.targets.values().map(|route| route.events).sum()
    }

    /// Queues an event behind other events of its subject. `id` is the event id for the backend.
    pub(in crate::worker) fn post(
        &mut self,
        EventOrigin { subject, slot, resource }: EventOrigin,
        id: ClientUuid,
        post: WebhookRequest,
    ) -> PostOutcome {
        let Some(route) = self.targets.get_mut(&resource.key()) else {
            return PostOutcome::Rejected;
        };
        let bytes = post.body.len();
        let is_full =
            route.events >= WEBHOOK_EVENTS_MAX || route.bytes + bytes > WEBHOOK_EVENTS_BYTES_MAX;
        if is_full && route.events > 0 {
            return PostOutcome::Rejected;
        }
        route.events += 1;
        route.bytes += bytes;
        if let Some(queue) = self.queues.get_mut(&subject) {
            queue.bytes += bytes;
            queue.waiting.push_back(post);
            return PostOutcome::Taken;
        }
        self.queues.insert(subject, EventQueue { resource, slot, waiting: VecDeque::new(), bytes });
        self.send(subject, resource, id, post);
        PostOutcome::Taken
    }

    /// Queues an `open` event. The number of such events per address is limited.
    pub(in crate::worker) fn post_open(
        &mut self,
        origin: EventOrigin,
        ip: IpAddr,
        id: ClientUuid,
        post: WebhookRequest,
    ) -> PostOutcome {
        let address = counted_as(ip);
        let key = (origin.resource.key(), address);
        if self.openings.get(&key).is_some_and(|count| *count >= OPENINGS_PENDING_MAX) {
            return PostOutcome::TooMany;
        }
        let posted = self.post(origin, id, post);
        if posted == PostOutcome::Taken
            && let Some(under_way) = self.under_way.get_mut(&self.last)
        {
            under_way.address = Some(address);
            *self.openings.entry(key).or_default() += 1;
        }
        posted
    }

    fn on_open_answered(&mut self, resource: ResourceId, address: IpAddr) {
        let key = (resource.key(), address);
        if let Some(count) = self.openings.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.openings.remove(&key);
            }
        }
    }

    fn send(
        &mut self,
        subject: Subject,
        resource: ResourceId,
        id: ClientUuid,
        post: WebhookRequest,
    ) {
        let (Some(client), Some(route)) = (&self.client, self.targets.get(&resource.key())) else {
            return;
        };
        self.last += 1;
        let under_way =
            UnderWay { subject, event: post.event, bytes: post.body.len(), address: None };
        self.under_way.insert(self.last, under_way);
        client.submit(self.last, &route.target, id.text(), post);
    }

    /// Collects the replies of the webhook client.
    pub(in crate::worker) fn collect_answers(&mut self) {
        if let Some(client) = &self.client {
            self.answers.extend(client.answers());
        }
    }

    /// Returns the next answered event. The queue of its subject stays busy until
    /// [`WebhookQueue::send_next`] is called.
    pub(in crate::worker) fn next_answer(&mut self) -> Option<WebhookResult> {
        loop {
            let WebhookReply { number, outcome, took } = self.answers.pop_front()?;
            let Some(done) = self.under_way.remove(&number) else { continue };
            let UnderWay { subject, event, bytes, address } = done;
            let Some(queue) = self.queues.get_mut(&subject) else { continue };
            queue.bytes = queue.bytes.saturating_sub(bytes);
            let (resource, slot) = (queue.resource, queue.slot);
            if let Some(address) = address {
                self.on_open_answered(resource, address);
            }
            if let Some(route) = self.targets.get_mut(&resource.key()) {
                route.events -= 1;
                route.bytes -= bytes;
            }
            return Some(WebhookResult { subject, event, resource, slot, outcome, took });
        }
    }

    /// Sends the next event of a subject. Returns false and removes the queue if there is none.
    pub(in crate::worker) fn send_next(
        &mut self,
        subject: Subject,
        id: impl FnOnce() -> ClientUuid,
    ) -> bool {
        let Some(queue) = self.queues.get_mut(&subject) else { return false };
        let resource = queue.resource;
        match queue.waiting.pop_front() {
            Some(post) => {
                self.send(subject, resource, id(), post);
                true
            }
            None => {
                self.queues.remove(&subject);
                false
            }
        }
    }

    /// Returns the number of warnings for a log line, if one may be written now.
    pub(in crate::worker) fn note_warning(
        &mut self,
        resource: ResourceId,
        warning: Warning,
        now: Moment,
    ) -> Option<u64> {
        let minute = now.second() / 60;
        let [failed, wrong] = &mut self.targets.get_mut(&resource.key())?.warnings;
        let warnings = if warning == Warning::Failed { failed } else { wrong };
        warnings.unlogged += 1;
        if warnings.minute.replace(minute) == Some(minute) {
            return None;
        }
        Some(std::mem::take(&mut warnings.unlogged))
    }
}
