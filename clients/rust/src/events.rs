//! Streams of what a client receives, each with a queue of its own.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::event_queue::{BACKLOG_BOUND, EventQueue, Next, STREAM_BOUND, StreamKind};
use crate::message::{Event, Message};
use crate::options::Overflow;
use crate::status::{Recovery, RecoveryReason};

/// Everything that happens to a client, in its order.
///
/// The stream ends when the client is closed; after [`Client::reopen`](crate::Client::reopen) it goes on. It holds 1,024
/// events, and 16 MiB. A program that does not read them loses the oldest ones, which is reported by
/// [`RecoveryReason::Overflow`]; with [`Options::lossless`](crate::Options::lossless) the client waits for it.
#[derive(Debug)]
pub struct Events(Arc<EventQueue>);

/// Messages, in their order.
///
/// The stream ends when the client is closed; after [`Client::reopen`](crate::Client::reopen) it goes on. It holds 1,024
/// messages, and 16 MiB. A program that does not read them loses the oldest ones ([`Messages::lost`]); with
/// [`Options::lossless`](crate::Options::lossless) the client waits for it.
#[derive(Debug)]
pub struct Messages {
    queue: Arc<EventQueue>,
    lost: u64,
}

/// The streams of one client.
#[derive(Debug)]
pub(crate) struct Hub {
    queues: Vec<Weak<EventQueue>>,
    /// What has happened before the first stream.
    backlog: Option<Arc<EventQueue>>,
    is_ended: bool,
    overflow: Overflow,
}

impl Hub {
    pub(crate) fn new(overflow: Overflow) -> Self {
        let backlog = Arc::new(EventQueue::new(BACKLOG_BOUND, overflow));
        let queues = vec![Arc::downgrade(&backlog)];
        Self { queues, backlog: Some(backlog), is_ended: false, overflow }
    }

    /// Whether a stream is half full, or what is kept for the first one. `writer` is woken when it is not any more.
    pub(crate) fn is_full(&self, writer: &Waker) -> bool {
        self.queues.iter().filter_map(Weak::upgrade).any(|queue| queue.is_full(writer))
    }

    /// Passes an event to all streams.
    pub(crate) fn push(&mut self, event: &Event) {
        self.queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            queue.push(event);
            true
        });
    }

    /// Ends all streams, as soon as their programs have read everything.
    pub(crate) fn end(&mut self) {
        self.is_ended = true;
        self.queues.iter().filter_map(Weak::upgrade).for_each(|queue| queue.end());
    }

    /// Lets all streams go on.
    pub(crate) fn resume(&mut self) {
        self.is_ended = false;
        self.queues.iter().filter_map(Weak::upgrade).for_each(|queue| queue.resume());
    }

    pub(crate) fn events(&mut self) -> Events {
        Events(self.stream(StreamKind::Events))
    }

    pub(crate) fn messages(&mut self) -> Messages {
        Messages { queue: self.stream(StreamKind::Messages), lost: 0 }
    }

    fn stream(&mut self, kind: StreamKind) -> Arc<EventQueue> {
        if let Some(backlog) = self.backlog.take() {
            backlog.become_stream(kind);
            return backlog;
        }
        let queue = Arc::new(EventQueue::new(STREAM_BOUND, self.overflow));
        queue.become_stream(kind);
        if self.is_ended {
            queue.end();
        }
        self.queues.push(Arc::downgrade(&queue));
        queue
    }
}

impl Events {
    /// Waits for the next event. None when the client is closed.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Returns the next event if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        match event(self.0.next(None)) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        event(self.0.next(Some(context.waker())))
    }
}

fn event(next: Next) -> Poll<Option<Event>> {
    match next {
        Next::Event(event) => Poll::Ready(Some(event)),
        Next::Dropped(missed) => Poll::Ready(Some(Event::Recovery(Recovery {
            is_resumed: true,
            is_recovered: false,
            replayed: 0,
            missed: Some(missed),
            reason: Some(RecoveryReason::Overflow),
        }))),
        Next::End => Poll::Ready(None),
        Next::Nothing => Poll::Pending,
    }
}

impl Messages {
    /// Number of messages that this stream has dropped because the program did not read it.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Waits for the next message. None when the client is closed.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match self.queue.next(Some(context.waker())) {
                Next::Event(Event::Message(message)) => return Poll::Ready(Some(message)),
                Next::Event(_) => {}
                Next::Dropped(dropped) => self.lost += dropped,
                Next::End => return Poll::Ready(None),
                Next::Nothing => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Place;

    fn message(data: &str) -> Event {
        let frame = format!(r#"{{"op":"msg","data":{data}}}"#);
        Event::Message(Message::new(serde_json::from_str(&frame).unwrap(), Place::Live))
    }

    fn taken(events: &mut Events) -> Vec<String> {
        std::iter::from_fn(|| events.try_next())
            .map(|event| match event {
                Event::Message(message) => message.json().to_owned(),
                Event::Recovery(recovery) => format!("missed {}", recovery.missed.unwrap()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn the_first_stream_begins_with_what_came_before_it() {
        let mut hub = Hub::new(Overflow::DropOldest);
        hub.push(&message("1"));
        let (mut first, mut second) = (hub.events(), hub.events());
        hub.push(&message("2"));
        assert_eq!(taken(&mut first), ["1", "2"]);
        assert_eq!(taken(&mut second), ["2"]);
    }

    #[test]
    fn a_stream_that_is_not_read_loses_the_oldest_and_reports_it() {
        let mut hub = Hub::new(Overflow::DropOldest);
        let mut events = hub.events();
        for number in 0..STREAM_BOUND.events + 2 {
            hub.push(&message(&number.to_string()));
        }
        let taken = taken(&mut events);
        assert_eq!(taken.len(), STREAM_BOUND.events + 1);
        assert_eq!(taken[..2], ["missed 2", "2"]);
    }

    #[test]
    fn a_stream_holds_few_large_messages_and_at_least_one() {
        let mut hub = Hub::new(Overflow::DropOldest);
        let mut events = hub.events();
        let large = format!("\"{}\"", "x".repeat(STREAM_BOUND.bytes));
        hub.push(&message("1"));
        hub.push(&message(&large));
        assert_eq!(taken(&mut events), ["missed 1".to_owned(), large]);
    }

    #[test]
    fn a_stream_ends_after_its_last_event_and_goes_on_later() {
        let mut hub = Hub::new(Overflow::DropOldest);
        let events = hub.events();
        hub.push(&message("1"));
        hub.end();
        let is_end = |next: Next| matches!(next, Next::End);
        assert!(matches!(events.0.next(None), Next::Event(_)));
        assert!(is_end(events.0.next(None)) && is_end(hub.messages().queue.next(None)));
        hub.resume();
        hub.push(&message("2"));
        assert!(matches!(events.0.next(None), Next::Event(_)));
    }

    #[test]
    fn a_lossless_stream_is_full_when_it_is_half_full_and_drops_nothing() {
        let mut hub = Hub::new(Overflow::Wait);
        let mut events = hub.events();
        let half = STREAM_BOUND.events / 2;
        for number in 0..half {
            assert!(!hub.is_full(Waker::noop()));
            hub.push(&message(&number.to_string()));
        }
        assert!(hub.is_full(Waker::noop()));
        for _ in 0..STREAM_BOUND.events {
            hub.push(&message("1"));
        }
        assert_eq!(taken(&mut events).len(), half + STREAM_BOUND.events);
        assert!(!hub.is_full(Waker::noop()));
        hub.push(&message(&format!("\"{}\"", "x".repeat(STREAM_BOUND.bytes))));
        assert!(hub.is_full(Waker::noop()));
        drop(events);
        assert!(!hub.is_full(Waker::noop()));
    }

    #[test]
    fn what_comes_before_a_lossless_stream_is_not_dropped_either() {
        let mut hub = Hub::new(Overflow::Wait);
        for number in 0..BACKLOG_BOUND.events / 2 {
            assert!(!hub.is_full(Waker::noop()));
            hub.push(&message(&number.to_string()));
        }
        assert!(hub.is_full(Waker::noop()));
        for _ in 0..BACKLOG_BOUND.events {
            hub.push(&message("1"));
        }
        let mut events = hub.events();
        assert!(!hub.is_full(Waker::noop()), "a stream has more room");
        assert_eq!(taken(&mut events).len(), BACKLOG_BOUND.events * 3 / 2);
    }
}
