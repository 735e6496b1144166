//! The driver of a script: reads commands from standard input, and answers each by one line.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tagcast_client::testing::TestClock;
use tagcast_client::{
    Client, Offline, Options, Publish, Request, Retag, Tags, To, TokenReason, WatchMode, WatchQuery,
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::recorder::{EventSource, Recorder, Shown, WatchSource, ack_value};

pub fn run(mode: &str) -> ExitCode {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut driver = None;
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let command: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let result = match command["do"].as_str().unwrap() {
            "start" => {
                driver = Some(Driver::start(&runtime, mode, &command));
                Value::Null
            }
            "stop" => break,
            name => driver.as_mut().unwrap().command(name, &command),
        };
        writeln!(output, "{}", json!({"result": result})).unwrap();
    }
    drop(driver);
    ExitCode::SUCCESS
}

struct Driver {
    client: AnyClient,
    clock: TestClock,
    recorder: Arc<Recorder>,
    runtime: Handle,
}

impl Driver {
    fn start(runtime: &Runtime, mode: &str, command: &Value) -> Self {
        let clock = TestClock::new(command["random"].as_f64().unwrap());
        let recorder = Recorder::new(clock.clone());
        let options = options(&command["options"], &recorder).clock(clock.clone()).lazy();
        let client = AnyClient::open(runtime, mode, command["url"].as_str().unwrap(), options);
        recorder.follow(client.events());
        if command["options"]["lazy"] != json!(true) {
            client.reopen();
        }
        Self { client, clock, recorder, runtime: runtime.handle().clone() }
    }

    fn command(&mut self, name: &str, command: &Value) -> Value {
        match name {
            "emitted" => return json!(self.recorder.emitted()),
            "advance" => {
                let time = Duration::from_secs_f64(command["ms"].as_f64().unwrap() / 1000.0);
                if command["late"] == json!(true) {
                    self.runtime.block_on(self.clock.jump(time));
                } else {
                    self.runtime.block_on(self.clock.advance(time));
                }
            }
            "call" => self.call(&command["step"]),
            other => panic!("no such command: {other}"),
        }
        Value::Null
    }

    fn call(&self, step: &Value) {
        let name = step["as"].as_str().unwrap_or_default();
        match step["call"].as_str().unwrap() {
            "open" => self.client.reopen(),
            "close" => self.client.close(&self.runtime),
            "publish" => {
                let publish = published(&self.client, step).start();
                self.recorder.call(name, Box::new(Shown(publish, ack_value)));
            }
            "tag" => {
                let retag = retagged(&self.client, &step["change"]).start();
                self.recorder.call(name, Box::new(Shown(retag, |()| Value::Null)));
            }
            "request" => {
                let op = step["op"].as_str().unwrap();
                let request = self.client.request(op, &step["members"]).start();
                self.recorder.call(name, Box::new(Shown(request, Value::Object)));
            }
            "ask" => {
                let show = |mut answer: Map<_, _>| answer.remove("data").unwrap_or_default();
                let ask = asked(&self.client, step).start();
                self.recorder.call(name, Box::new(Shown(ask, show)));
            }
            "abort" => self.recorder.abort(name),
            "tags" => {
                let (tags, topics) = (self.client.tags(), self.client.topics());
                self.recorder.record(json!({name: tags, "topics": topics}));
            }
            "watch" => {
                let watch = self.client.watch(&query(&step["query"]), mode(&step["mode"]));
                self.recorder.watch(name, watch);
            }
            "unwatch" => self.recorder.unwatch(name),
            other => panic!("no such call: {other}"),
        }
    }
}

fn options(given: &Value, recorder: &Arc<Recorder>) -> Options {
    let mut options = Options::new();
    for (name, value) in given.as_object().unwrap() {
        options = match name.as_str() {
            "key" => options.key(value.as_str().unwrap()),
            "token" => options.token(value.as_str().unwrap()),
            "tokens" => with_tokens(options, value, recorder),
            "ident" => options.ident(value.as_str().unwrap()),
            "answers" => with_answers(options, value, recorder),
            "rewind" => options.rewind(u32::try_from(value.as_u64().unwrap()).unwrap()),
            "resume" if *value == json!(false) => options.without_resuming(),
            "tags" => {
                value.as_object().unwrap().iter().fold(options, |options, (name, value)| {
                    options.tag(name, value.as_str().unwrap())
                })
            }
            "lazy" => options,
            other => panic!("no such option: {other}"),
        };
    }
    options
}

/// A token function that returns these in turn; null is a failure.
fn with_tokens(options: Options, tokens: &Value, recorder: &Arc<Recorder>) -> Options {
    let left = Arc::new(Mutex::new(tokens.as_array().unwrap().clone().into_iter()));
    let recorder = Arc::clone(recorder);
    options.token_from(move |reason| {
        let reason = match reason {
            TokenReason::Connect => "connect",
            TokenReason::Expires => "expires",
            TokenReason::Expired => "expired",
            TokenReason::Refused => "refused",
            other => panic!("{other:?}"),
        };
        recorder.record(json!({"token": reason}));
        let token = left.lock().unwrap().next().and_then(|it| it.as_str().map(str::to_owned));
        async { token.ok_or_else(|| "no token".into()) }
    })
}

/// Notes a question whose function was dropped before its answer.
struct Unanswered(Option<(Arc<Recorder>, String)>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some((recorder, event)) = self.0.take() {
            recorder.record(json!({"aborted": event}));
        }
    }
}

/// Functions that answer questions as the script says.
fn with_answers(options: Options, answers: &Value, recorder: &Arc<Recorder>) -> Options {
    let answers = answers.as_object().unwrap().clone();
    answers.into_iter().fold(options, |options, (event, behaviour)| {
        let recorder = Arc::clone(recorder);
        options.answer(event.clone(), move |question| {
            recorder.record(json!({"asked": event, "data": question.data::<Value>().unwrap()}));
            let unanswered = Unanswered(Some((Arc::clone(&recorder), event.clone())));
            let behaviour = behaviour.clone();
            async move {
                // The whole value, whose end is what is noted.
                let mut unanswered = unanswered;
                if behaviour["never"] == json!(true) {
                    std::future::pending::<()>().await;
                }
                unanswered.0 = None;
                match behaviour["throws"].as_str() {
                    Some(reason) => Err(reason.to_owned()),
                    None => Ok(behaviour["returns"].clone()),
                }
            }
        })
    })
}

fn published(client: &AnyClient, step: &Value) -> Publish {
    let data = match step["bytes"].as_u64() {
        Some(bytes) => json!("x".repeat(usize::try_from(bytes).unwrap())),
        None => step["data"].clone(),
    };
    let mut publish = client.publish(to(&step["to"]), &data);
    for (name, value) in step["options"].as_object().into_iter().flatten() {
        publish = match (name.as_str(), value) {
            ("event", event) => publish.event(event.as_str().unwrap()),
            ("except", Value::String(who)) => publish.except(who),
            ("from", _) => publish.from_self(),
            ("report", _) => publish.report(),
            ("repeat", _) => publish.repeat(),
            ("offline", how) => publish.offline(offline(how)),
            other => panic!("no such option: {other:?}"),
        };
    }
    publish
}

fn asked(client: &AnyClient, step: &Value) -> Request {
    let timeout = step["options"]["timeout"].as_u64().unwrap_or(5000);
    let mut members = json!({"to": step["to"], "timeout_ms": timeout, "data": step["data"]});
    if let Some(event) = step["options"].get("event") {
        members["event"] = event.clone();
    }
    client.request("ask", &members).timeout(Duration::from_millis(timeout + 1000))
}

fn retagged(client: &AnyClient, change: &Value) -> Retag {
    let mut retag = client.retag();
    for (name, value) in change["set"].as_object().into_iter().flatten() {
        retag = retag.set(name, value.as_str().unwrap());
    }
    for name in change["remove"].as_array().into_iter().flatten() {
        retag = retag.remove(name.as_str().unwrap());
    }
    for topic in change["join"].as_array().into_iter().flatten() {
        retag = retag.join(topic.as_str().unwrap());
    }
    for topic in change["leave"].as_array().into_iter().flatten() {
        retag = retag.leave(topic.as_str().unwrap());
    }
    retag
}

fn to(to: &Value) -> To {
    let (name, value) = to.as_object().unwrap().iter().next().unwrap();
    match name.as_str() {
        "all" => To::all(),
        "tags" => {
            let tags = value.as_object().unwrap().iter();
            To::tags(tags.map(|(name, value)| (name, value.as_str().unwrap())))
        }
        "topic" => To::topic(value.as_str().unwrap()),
        "uuid" => To::uuid(value.as_str().unwrap()),
        other => panic!("no such target: {other}"),
    }
}

fn query(query: &Value) -> WatchQuery {
    let (name, value) = query.as_object().unwrap().iter().next().unwrap();
    match name.as_str() {
        "tags" => {
            let tags = value.as_object().unwrap().iter();
            WatchQuery::tags(tags.map(|(name, value)| (name, value.as_str().unwrap())))
        }
        "topic" => WatchQuery::topic(value.as_str().unwrap()),
        "expr" => WatchQuery::expr(value.as_str().unwrap()),
        other => panic!("no such query: {other}"),
    }
}

fn mode(mode: &Value) -> WatchMode {
    match mode.as_str().unwrap() {
        "members" => WatchMode::Members,
        "count" => WatchMode::Count,
        other => panic!("no such mode: {other}"),
    }
}

fn offline(how: &Value) -> Offline {
    match how.as_str().unwrap() {
        "queue" => Offline::Queue,
        "drop" => Offline::Drop,
        "fail" => Offline::Fail,
        other => panic!("no such choice: {other}"),
    }
}

/// The asynchronous client or the blocking one.
enum AnyClient {
    Asynchronous(Client),
    #[cfg(feature = "blocking")]
    Blocking(tagcast_client::blocking::Client),
}

/// A method that both clients have.
macro_rules! on_both {
    ($self:ident, $client:ident => $call:expr) => {
        match $self {
            Self::Asynchronous($client) => $call,
            #[cfg(feature = "blocking")]
            Self::Blocking($client) => $call,
        }
    };
}

impl AnyClient {
    fn open(runtime: &Runtime, mode: &str, url: &str, options: Options) -> Self {
        match mode {
            "asynchronous" => {
                let _context = runtime.enter();
                Self::Asynchronous(Client::open(url, options).unwrap())
            }
            #[cfg(feature = "blocking")]
            "blocking" => {
                Self::Blocking(tagcast_client::blocking::Client::open(url, options).unwrap())
            }
            other => panic!("no such mode: {other}"),
        }
    }

    fn close(&self, runtime: &Handle) {
        match self {
            Self::Asynchronous(client) => runtime.block_on(client.close()),
            #[cfg(feature = "blocking")]
            Self::Blocking(client) => client.close(),
        }
    }

    fn events(&self) -> EventSource {
        on_both!(self, client => {
            let mut events = client.events();
            Box::new(move || events.try_next())
        })
    }

    fn reopen(&self) {
        on_both!(self, client => client.reopen());
    }

    fn tags(&self) -> Tags {
        on_both!(self, client => client.tags())
    }

    fn topics(&self) -> BTreeSet<String> {
        on_both!(self, client => client.topics())
    }

    fn watch(&self, query: &WatchQuery, mode: WatchMode) -> WatchSource {
        match self {
            Self::Asynchronous(client) => {
                let mut watch = client.watch(query, mode);
                Box::new(move || {
                    let mut change = std::pin::pin!(watch.changed());
                    match change.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                        Poll::Ready(change) => change,
                        Poll::Pending => None,
                    }
                })
            }
            #[cfg(feature = "blocking")]
            Self::Blocking(client) => {
                let mut watch = client.watch(query, mode);
                Box::new(move || match watch.changed_within(Duration::ZERO) {
                    Poll::Ready(change) => change,
                    Poll::Pending => None,
                })
            }
        }
    }

    fn publish(&self, to: To, data: &Value) -> Publish {
        on_both!(self, client => client.publish(to, data))
    }

    fn retag(&self) -> Retag {
        on_both!(self, client => client.retag())
    }

    fn request(&self, op: &str, members: &Value) -> Request {
        on_both!(self, client => client.request(op, members))
    }
}
