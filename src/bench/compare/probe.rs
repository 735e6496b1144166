//! Checks a template with one message before anything is measured.

use std::time::Duration;

use crate::bench::clock::{RunClock, nanos};
use crate::bench::connect::{BenchClient, Opener, WantedClient};
use crate::bench::error::{At, BenchError};
use crate::bench::http_responses::HttpResponses;
use crate::bench::load_sources::Sources;
use crate::bench::socket::{Buffers, ReadResult};
use crate::bench::splitter::ServerFrame;
use crate::bench::stamp::Stamp;
use crate::bench::target::{BenchDestination, BenchTarget};
use crate::bench::template::{ServerDialect, ServerTemplate};
use crate::reactor::poller::{Interest, Poller, Ready};

/// Time for the message to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two checks of the deadline.
const TURN: Duration = Duration::from_millis(100);
/// Bytes of the message.
const PAYLOAD: usize = 64;
/// Maximum characters of a received message in an error.
const SHOWN_MAX: usize = 160;
const SUBSCRIBER: u64 = 0;
const PUBLISHER: u64 = 1;

/// Publishes a message and waits until a subscriber has received it as the template says.
pub(super) fn probe(template: &ServerTemplate, target: &BenchTarget) -> Result<(), BenchError> {
    let named = |error: BenchError| template.wrong(&error.to_string());
    let sources = Sources::towards(target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(target, &sources)?.with_patience(PATIENCE);
    let subscriber = WantedClient { group: Some(0), ..WantedClient::plain(target.wire) };
    let subscriber = one(opener.open(std::iter::once(subscriber), 1).map_err(named)?)?;
    let publisher = match target.publishes_by_http() {
        true => opener.dial()?,
        false => {
            let wanted = std::iter::once(WantedClient::plain(target.wire));
            one(opener.open(wanted, 1).map_err(named)?)?
        }
    };
    let message = Stamp { stream: 0, number: 0 }.message(PAYLOAD);
    let mut probe = Probe { template, target, subscriber, publisher, message, seen: Vec::new() };
    probe.run()
}

fn one(clients: Vec<BenchClient>) -> Result<BenchClient, BenchError> {
    clients.into_iter().next().ok_or_else(|| BenchError::Plan("no connection was opened".into()))
}

struct Probe<'a> {
    template: &'a ServerTemplate,
    target: &'a BenchTarget,
    subscriber: BenchClient,
    publisher: BenchClient,
    message: String,
    /// The text that the subscriber has received.
    seen: Vec<String>,
}

impl Probe<'_> {
    fn run(&mut self) -> Result<(), BenchError> {
        let mut poller = Poller::new(2).at("making an epoll")?;
        let (clock, mut buffers) = (RunClock::start(), Buffers::new());
        let watched = poller.watch(self.subscriber.socket.fd(), SUBSCRIBER, Interest::Read);
        watched.at("watching a socket")?;
        let watched = poller.watch(self.publisher.socket.fd(), PUBLISHER, Interest::Read);
        watched.at("watching a socket")?;
        self.publish()?;
        let mut responses = HttpResponses::default();
        while clock.nanos() < nanos(PATIENCE) {
            // An HTTP connection may not be open yet.
            self.publisher.socket.flush().at("publishing")?;
            let mut ready: Vec<Ready> = Vec::new();
            poller.wait(Some(TURN), &mut ready).at("waiting")?;
            for event in ready.iter().filter(|event| event.readable) {
                match event.token {
                    SUBSCRIBER => self.read_subscriber(&mut buffers)?,
                    _ => self.read_publisher(&mut buffers, &mut responses)?,
                }
            }
            if self.seen.iter().any(|text| text.contains(&self.message)) {
                return self.check_form();
            }
        }
        let seen = self.seen.last().map_or("nothing", String::as_str);
        Err(self.template.wrong(&format!(
            "what was published did not arrive in {} s: the subscriber received {}; \
             compare the topics of [subscribe] and [publish]",
            PATIENCE.as_secs(),
            shown(seen)
        )))
    }

    fn publish(&mut self) -> Result<(), BenchError> {
        let to = BenchDestination::All;
        let text = self.target.publication(self.target.wire, &to, &self.message);
        let mut bytes = Vec::new();
        match self.target.publishes_by_http() {
            true => bytes.extend_from_slice(text.as_bytes()),
            false => self.target.put(&mut bytes, text.as_bytes()),
        }
        self.publisher.socket.queue(&bytes).at("publishing")
    }

    fn read_subscriber(&mut self, buffers: &mut Buffers) -> Result<(), BenchError> {
        let client = &mut self.subscriber;
        let bytes = match client.socket.read(buffers).at("reading")? {
            ReadResult::Bytes(bytes) => bytes,
            ReadResult::Nothing => return Ok(()),
            ReadResult::End => return Err(self.template.wrong("the server closed a subscriber")),
        };
        let seen = &mut self.seen;
        client.splitter.split(bytes, |frame| {
            if let ServerFrame::Message(text) | ServerFrame::Close(text) = frame {
                seen.push(String::from_utf8_lossy(text).into_owned());
            }
        });
        Ok(())
    }

    fn read_publisher(
        &mut self,
        buffers: &mut Buffers,
        responses: &mut HttpResponses,
    ) -> Result<(), BenchError> {
        let client = &mut self.publisher;
        let bytes = match client.socket.read(buffers).at("reading")? {
            ReadResult::Bytes(bytes) => bytes,
            ReadResult::Nothing => return Ok(()),
            ReadResult::End => return Err(self.template.wrong("the server closed a publisher")),
        };
        if self.target.publishes_by_http() {
            let read = responses.read(bytes, |_| Ok(()));
            return read.map_err(|error| self.template.wrong(&error.to_string()));
        }
        let (target, mut refused) = (self.target, None);
        client.splitter.split(bytes, |frame| match frame {
            ServerFrame::Message(text) if target.is_error(text) => {
                refused = Some(String::from_utf8_lossy(text).into_owned());
            }
            ServerFrame::Close(text) => refused = Some(String::from_utf8_lossy(text).into_owned()),
            _ => {}
        });
        let Some(answer) = refused else { return Ok(()) };
        Err(self.template.wrong(&format!("[publish] send: the server answered {}", shown(&answer))))
    }

    fn check_form(&self) -> Result<(), BenchError> {
        let Some(received) = self.seen.iter().find(|text| text.contains(&self.message)) else {
            return Ok(());
        };
        let dialect = &self.template.dialect;
        if dialect.message.is_in(received, &ServerDialect::topic(0), &self.message) {
            return Ok(());
        }
        let pattern = received.replace(&self.message, "{payload}");
        Err(self.template.wrong(&format!(
            "[receive] message: does not describe what arrived; write `message = {}`, with {{any}} \
             for what differs from message to message",
            shown(&pattern)
        )))
    }
}

/// Returns the start of a received text, without control characters.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect()
}
