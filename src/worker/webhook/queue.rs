//! Events on their way to backends: one at a time for each client, in order, and within bounds.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crate::reactor::poller::{Interest, Poller};
use crate::resource::ResourceId;
use crate::types::limits::{OPENINGS_ASKED_MAX, WEBHOOK_EVENTS_BYTES_MAX, WEBHOOK_EVENTS_MAX};
use crate::types::{ClientUuid, Slot, counted_as};
use crate::webhook::WebhookRequest;
use crate::webhook::client::{WebhookClient, WebhookOutcome, WebhookReply, WebhookTarget};
use crate::worker::clock::Moment;
use crate::worker::tokens::Token;

/// The client or the resource that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) enum Subject {
    /// A client, which may have gone meanwhile.
    Client(ClientUuid),
    /// The resource itself: a tick, and what follows from it.
    Resource(ResourceId),
}

/// Events that were given to the client for backends, and those that wait for that.
#[derive(Debug, Default)]
pub(in crate::worker) struct WebhookQueue {
    client: Option<WebhookClient>,
    targets: HashMap<u16, TargetQueue>,
    queues: HashMap<Subject, EventQueue>,
    under_way: HashMap<u64, UnderWay>,
    /// Openings that each backend is asked about, by address.
    openings: HashMap<(u16, IpAddr), usize>,
    answers: VecDeque<WebhookReply>,
    last: u64,
}

/// The way to one backend.
#[derive(Debug)]
struct TargetQueue {
    target: Arc<WebhookTarget>,
    events: usize,
    bytes: usize,
    warnings: [WarningThrottle; 2],
}

/// The events of one client, or of a resource.
#[derive(Debug)]
struct EventQueue {
    resource: ResourceId,
    /// Where the client was when it posted last; the slot may be another's by now.
    slot: Slot,
    waiting: VecDeque<WebhookRequest>,
    /// Of all of them, with the one that is under way.
    bytes: usize,
}

#[derive(Debug)]
struct UnderWay {
    subject: Subject,
    event: &'static str,
    bytes: usize,
    /// Of the client that opens a connection.
    address: Option<IpAddr>,
}

/// What an event is about, where its client was, and which resource's backend gets it.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct EventOrigin {
    pub(in crate::worker) subject: Subject,
    pub(in crate::worker) slot: Slot,
    pub(in crate::worker) resource: ResourceId,
}

/// An event that was answered.
#[derive(Debug)]
pub(in crate::worker) struct WebhookResult {
    pub(in crate::worker) subject: Subject,
    pub(in crate::worker) event: &'static str,
    pub(in crate::worker) resource: ResourceId,
    pub(in crate::worker) slot: Slot,
    pub(in crate::worker) outcome: WebhookOutcome,
}

/// Whether an event is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum PostOutcome {
    /// It is under way, or waits after another one of the same client.
    Taken,
    /// It is an opening, and too many of its address wait.
    TooMany,
    /// There are too many, or the resource has no backend.
    Rejected,
}

/// What is wrong with a backend, as far as lines of the log are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Warning {
    /// It cannot be reached, or does not answer as it should.
    Failed,
    /// It answers what cannot be understood or done.
    Wrong,
}

/// One line a minute, with the number of warnings that it stands for.
#[derive(Clone, Copy, Debug, Default)]
struct WarningThrottle {
    minute: Option<u32>,
    unlogged: u64,
}

impl WebhookQueue {
    /// Starts the thread of the client for backends, if it does not run yet.
    ///
    /// # Errors
    ///
    /// When there is no thread or no descriptor for it.
    pub(in crate::worker) fn start_client(&mut self, poller: &Poller) -> io::Result<()> {
        if self.client.is_none() {
            let client = WebhookClient::start()?;
            poller.watch(&client, Token::Webhooks.into(), Interest::Read)?;
            self.client = Some(client);
        }
        Ok(())
    }

    /// Whether answers of backends wait to be applied.
    pub(in crate::worker) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Knows the way to a backend from now on.
    pub(in crate::worker) fn add_target(
        &mut self,
        resource: ResourceId,
        target: Arc<WebhookTarget>,
    ) {
        let warnings = Default::default();
        self.targets.insert(resource.key(), TargetQueue { target, events: 0, bytes: 0, warnings });
    }

    /// The backend of a resource.
    pub(in crate::worker) fn target(&self, resource: ResourceId) -> Option<&WebhookTarget> {
        self.targets.get(&resource.key()).map(|route| &*route.target)
    }

    /// Whether no event is under way; asked with each message of each client.
    pub(in crate::worker) fn is_idle(&self) -> bool {
        self.queues.is_empty()
    }

    /// Whether an event of this client is under way, so that it is read no further.
    pub(in crate::worker) fn is_busy(&self, client: ClientUuid) -> bool {
        !self.is_idle() && self.queues.contains_key(&Subject::Client(client))
    }

    /// Bytes of the events of this client.
    pub(in crate::worker) fn held(&self, client: ClientUuid) -> usize {
        self.queues.get(&Subject::Client(client)).map_or(0, |queue| queue.bytes)
    }

    /// Whether an event of this resource itself is under way.
    pub(in crate::worker) fn is_ticking(&self, resource: ResourceId) -> bool {
        self.queues.contains_key(&Subject::Resource(resource))
    }

    /// Whether a backend is being asked about a client that opens a connection.
    pub(in crate::worker) fn has_openings(&self) -> bool {
        self.under_way.values().any(|it| it.event == "open")
    }

    /// How many events are with backends or wait.
    pub(in crate::worker) fn count(&self) -> usize {
        self.targets.values().map(|route| route.events).sum()
    }

    /// Takes an event over, after those of the same client. `id` is what the backend knows it by.
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

    /// The same for the question about a client that opens a connection. Those of one address take
    /// only so much of the queue.
    pub(in crate::worker) fn post_open(
        &mut self,
        origin: EventOrigin,
        ip: IpAddr,
        id: ClientUuid,
        post: WebhookRequest,
    ) -> PostOutcome {
        let address = counted_as(ip);
        let key = (origin.resource.key(), address);
        if self.openings.get(&key).is_some_and(|count| *count >= OPENINGS_ASKED_MAX) {
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

    fn answered_opening(&mut self, resource: ResourceId, address: IpAddr) {
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

    /// Takes over the answers that have come.
    pub(in crate::worker) fn collect_answers(&mut self) {
        if let Some(client) = &self.client {
            self.answers.extend(client.answers());
        }
    }

    /// What the next answer is about. The queue of its client stays busy until
    /// [`WebhookQueue::send_next`] is called.
    pub(in crate::worker) fn next_answer(&mut self) -> Option<WebhookResult> {
        loop {
            let WebhookReply { number, outcome } = self.answers.pop_front()?;
            let Some(done) = self.under_way.remove(&number) else { continue };
            let UnderWay { subject, event, bytes, address } = done;
            let Some(queue) = self.queues.get_mut(&subject) else { continue };
            queue.bytes = queue.bytes.saturating_sub(bytes);
            let (resource, slot) = (queue.resource, queue.slot);
            if let Some(address) = address {
                self.answered_opening(resource, address);
            }
            if let Some(route) = self.targets.get_mut(&resource.key()) {
                route.events -= 1;
                route.bytes -= bytes;
            }
            return Some(WebhookResult { subject, event, resource, slot, outcome });
        }
    }

    /// Sends the next event of a queue; false when there is none and the queue is free.
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

    /// How many warnings the line of the log stands for, if one is written now.
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
