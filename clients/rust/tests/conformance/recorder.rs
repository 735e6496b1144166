//! What a client has reported, in the order in which it happened.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use serde_json::{Map, Value, json};
use tagcast_client::testing::TestClock;
use tagcast_client::{
    Ack, Answered, Disconnect, Event, Member, Message, Presence, Recovery, RequestError, Status,
};

/// Returns the next event, if there is one.
pub type EventSource = Box<dyn FnMut() -> Option<Event> + Send>;
/// Returns what a watch knows, if it has changed.
pub type WatchSource = Box<dyn FnMut() -> Option<Presence> + Send>;
pub type Outcome = Result<Value, RequestError>;

/// A request without an answer yet.
pub trait Call: Send {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome>;
}

/// A call whose answer is shown by a function.
pub struct Shown<T>(pub Answered<T>, pub fn(T) -> Value);

impl<T> Call for Shown<T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        Pin::new(&mut self.0).poll(context).map(|outcome| outcome.map(self.1))
    }
}

/// Everything since the start. Answers are noted when they arrive, so that their place among the events is known.
pub struct Recorder {
    clock: TestClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: Option<EventSource>,
    watches: Vec<(String, WatchSource)>,
    list: Vec<Entry>,
    calls: Vec<Option<(String, Box<dyn Call>)>>,
}

enum Entry {
    Seen(Value),
    Answered(usize),
}

impl Recorder {
    pub fn new(clock: TestClock) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default() })
    }

    pub fn follow(&self, events: EventSource) {
        self.state.lock().unwrap().events = Some(events);
    }

    /// Notes what a watch reports.
    pub fn watch(&self, name: &str, watch: WatchSource) {
        self.state.lock().unwrap().watches.push((name.to_owned(), watch));
    }

    pub fn unwatch(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.drain(&self.clock);
        state.watches.retain(|(other, _)| other != name);
    }

    /// Notes something that happens now.
    pub fn record(&self, value: Value) {
        let mut state = self.state.lock().unwrap();
        state.drain(&self.clock);
        state.list.push(Entry::Seen(value));
    }

    /// Waits for the answer of a call.
    pub fn call(self: &Arc<Self>, name: &str, mut call: Box<dyn Call>) {
        let mut state = self.state.lock().unwrap();
        state.drain(&self.clock);
        let index = state.calls.len();
        let waker = Waker::from(Arc::new(Note { recorder: Arc::clone(self), index }));
        match call.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => state.list.push(Entry::Seen(shown(name, outcome))),
            Poll::Pending => state.calls.push(Some((name.to_owned(), call))),
        }
    }

    /// Drops the future of a call.
    pub fn abort(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        let is_named = |call: &&mut Option<(String, Box<dyn Call>)>| {
            call.as_ref().is_some_and(|(other, _)| other == name)
        };
        *state.calls.iter_mut().find(is_named).unwrap() = None;
        state.list.push(Entry::Seen(json!({"failed": name, "code": "aborted"})));
    }

    pub fn emitted(&self) -> Vec<Value> {
        let mut state = self.state.lock().unwrap();
        state.drain(&self.clock);
        let State { list, calls, .. } = &mut *state;
        for entry in list.iter_mut() {
            if let Entry::Answered(index) = entry
                && let Some((name, mut call)) = calls[*index].take()
            {
                let Poll::Ready(outcome) = call.poll(&mut Context::from_waker(Waker::noop()))
                else {
                    panic!("{name} was woken without an answer");
                };
                *entry = Entry::Seen(shown(&name, outcome));
            }
        }
        let seen = list.iter().filter_map(|entry| match entry {
            Entry::Seen(value) => Some(value.clone()),
            Entry::Answered(_) => None,
        });
        seen.collect()
    }
}

/// Wakes for the answer of one call.
struct Note {
    recorder: Arc<Recorder>,
    index: usize,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        let mut state = self.recorder.state.lock().unwrap();
        state.drain(&self.recorder.clock);
        state.list.push(Entry::Answered(self.index));
    }
}

impl State {
    fn drain(&mut self, clock: &TestClock) {
        while let Some(event) = self.events.as_mut().and_then(|next| next()) {
            self.list.push(Entry::Seen(event_value(event, clock)));
        }
        for (name, watch) in &mut self.watches {
            while let Some(presence) = watch() {
                self.list.push(Entry::Seen(presence_value(name, &presence)));
            }
        }
    }
}

fn shown(name: &str, outcome: Outcome) -> Value {
    match outcome {
        Ok(Value::Null) => json!({"result": name}),
        Ok(value) => json!({"result": name, "value": value}),
        Err(error) => {
            let mut failed = json!({
                "failed": name, "code": error.code().as_str(), "message": error.message(),
                "retry": error.is_retryable(),
            });
            if let Some(after) = error.retry_after() {
                failed["retryAfter"] = json!(u64::try_from(after.as_millis()).unwrap());
            }
            failed
        }
    }
}

pub fn ack_value(ack: Ack) -> Value {
    present([
        ("repeated", ack.is_repeated.then_some(json!(true))),
        ("matched", ack.matched.map(Value::from)),
        ("away", ack.away.map(Value::from)),
        ("workers", ack.workers.map(Value::from)),
        ("dropped", ack.is_dropped.then_some(json!(true))),
    ])
}

fn event_value(event: Event, clock: &TestClock) -> Value {
    match event {
        Event::Status(status) => status_value(&status, clock),
        Event::Message(message) => message_value(&message),
        Event::Recovery(recovery) => json!({"recovery": recovery_value(&recovery)}),
        Event::Tags { tags, topics } => json!({"tags": tags, "topics": topics}),
        other => panic!("{other:?}"),
    }
}

fn status_value(status: &Status, clock: &TestClock) -> Value {
    let ended = |lost: &Disconnect| (Some(json!(lost.code())), Some(json!(lost.reason())));
    let (state, attempt, wait, (code, reason)) = match status {
        Status::Connecting { attempt } => ("connecting", *attempt, None, (None, None)),
        Status::Online { attempt } => ("online", *attempt, None, (None, None)),
        Status::Waiting { attempt, retry_at, lost } => {
            let wait = retry_at.saturating_duration_since(clock.now());
            ("waiting", *attempt, Some(json!(wait.as_secs_f64() * 1000.0)), ended(lost))
        }
        Status::Closed { lost } => ("closed", 0, None, lost.as_ref().map_or((None, None), ended)),
        other => panic!("{other:?}"),
    };
    present([
        ("status", Some(json!(state))),
        ("attempt", Some(json!(attempt))),
        ("in", wait),
        ("code", code),
        ("reason", reason),
    ])
}

fn message_value(message: &Message) -> Value {
    present([
        ("message", Some(message.data().unwrap())),
        ("event", message.event().map(Value::from)),
        ("topic", message.topic().map(Value::from)),
        ("from", message.from().map(Value::from)),
        ("direct", Some(json!(message.is_direct()))),
        ("replayed", Some(json!(message.is_replayed()))),
    ])
}

fn presence_value(name: &str, presence: &Presence) -> Value {
    let members: Vec<&str> = presence.members().map(Member::id).collect();
    present([
        ("presence", Some(json!(name))),
        ("count", Some(json!(presence.count))),
        ("users", Some(json!(presence.users))),
        ("members", Some(json!(members))),
        ("long", Some(json!(presence.is_long))),
        ("ended", presence.ended.as_ref().map(|code| json!(code.as_str()))),
    ])
}

fn recovery_value(recovery: &Recovery) -> Value {
    present([
        ("resumed", Some(json!(recovery.is_resumed))),
        ("recovered", Some(json!(recovery.is_recovered))),
        ("replayed", Some(json!(recovery.replayed))),
        ("missed", recovery.missed.map(Value::from)),
        ("reason", recovery.reason.as_ref().map(|reason| json!(reason.as_str()))),
    ])
}

fn present<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}
