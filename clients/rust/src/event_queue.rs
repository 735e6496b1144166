//! The queue of one stream of a client.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::message::Event;
use crate::options::Overflow;

/// Events that a stream holds for a program that does not read it.
pub(crate) const STREAM_BOUND: Bound = Bound { events: 1024, bytes: 16 * 1024 * 1024 };
/// Events that are kept for the first stream of a client, until there is one.
pub(crate) const BACKLOG_BOUND: Bound = Bound { events: 128, bytes: 1024 * 1024 };

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct EventQueue(Mutex<QueueState>);

/// What a stream yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamKind {
    Events,
    Messages,
}

#[derive(Debug)]
struct QueueState {
    events: VecDeque<Event>,
    bytes: usize,
    bound: Bound,
    kind: StreamKind,
    dropped: u64,
    is_ended: bool,
    overflow: Overflow,
    /// Wakes the program.
    waker: Option<Waker>,
    /// Wakes the task of a client that does not read because this stream is full.
    writer: Option<Waker>,
}

/// The next item of a queue.
pub(crate) enum Next {
    Event(Event),
    /// This many events were dropped here.
    Dropped(u64),
    End,
    Nothing,
}

impl EventQueue {
    pub(crate) const fn new(bound: Bound, overflow: Overflow) -> Self {
        Self(Mutex::new(QueueState {
            events: VecDeque::new(),
            bytes: 0,
            bound,
            kind: StreamKind::Events,
            dropped: 0,
            is_ended: false,
            overflow,
            waker: None,
            writer: None,
        }))
    }

    /// A panic while the lock is held leaves a queue that is complete.
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, event: &Event) {
        let mut state = self.state();
        if state.kind == StreamKind::Messages && !matches!(event, Event::Message(_)) {
            return;
        }
        state.push(event.clone());
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn become_stream(&self, kind: StreamKind) {
        let mut state = self.state();
        state.bound = STREAM_BOUND;
        state.kind = kind;
        if kind == StreamKind::Messages {
            state.events.retain(|event| matches!(event, Event::Message(_)));
            state.bytes = state.events.iter().map(Event::weight).sum();
        }
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_full(&self, writer: &Waker) -> bool {
        let mut state = self.state();
        let is_full = state.is_half_full();
        if is_full {
            state.writer = Some(writer.clone());
        }
        is_full
    }

    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.is_ended = true;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn resume(&self) {
        self.state().is_ended = false;
    }

    /// Takes the next item. Without one, `waker` is called when there is one.
    pub(crate) fn next(&self, waker: Option<&Waker>) -> Next {
        let mut state = self.state();
        if state.dropped > 0 {
            return Next::Dropped(std::mem::take(&mut state.dropped));
        }
        if let Some(event) = state.events.pop_front() {
            state.bytes = state.bytes.saturating_sub(event.weight());
            let writer = if state.is_half_full() { None } else { state.writer.take() };
            drop(state);
            writer.into_iter().for_each(Waker::wake);
            return Next::Event(event);
        }
        if state.is_ended {
            return Next::End;
        }
        state.waker = waker.cloned();
        Next::Nothing
    }
}

/// A stream that is dropped holds nothing up any more.
impl Drop for EventQueue {
    fn drop(&mut self) {
        let writer = self.state().writer.take();
        writer.into_iter().for_each(Waker::wake);
    }
}

impl QueueState {
    fn is_half_full(&self) -> bool {
        self.events.len() >= self.bound.events / 2 || self.bytes >= self.bound.bytes / 2
    }

    fn push(&mut self, event: Event) {
        self.bytes += event.weight();
        self.events.push_back(event);
        let bound = self.bound;
        // A lossless stream is bounded by the client, which does not read while it is half full.
        while self.overflow == Overflow::DropOldest
            && (self.events.len() > bound.events || self.bytes > bound.bytes)
        {
            // One event is never dropped for its own size.
            if self.events.len() == 1 {
                return;
            }
            let oldest = self.events.pop_front();
            self.bytes = self.bytes.saturating_sub(oldest.as_ref().map_or(0, Event::weight));
            self.dropped += 1;
        }
    }
}
