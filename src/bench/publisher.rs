//! One connection that publishes.

use super::connect::{BenchClient, Opener, WantedClient};
use super::delivery_tracker::{DeliveryTracker, PublishedStream};
use super::error::{At, BenchError};
use super::http_responses::HttpResponses;
use super::pending_client::close_words;
use super::plan::{Audience, Load, PublishPace};
use super::socket::{Buffers, ReadResult};
use super::splitter::ServerFrame;
use super::stamp::{STAMP_BYTES, Stamp};
use super::target::{BenchDestination, BenchProtocol, BenchTarget, pong};
use crate::reactor::poller::{Interest, Poller};

const SECOND: f64 = 1e9;

/// Opens the publishers of a run. `clients` are the recipients, which may be those of another server.
pub(super) fn open_publishers(
    load: &Load,
    target: &BenchTarget,
    opener: &mut Opener<'_>,
    clients: &[BenchClient],
) -> Result<Vec<BenchPublisher>, BenchError> {
    // The client in the middle, so that it is neither first nor last in any list.
    let chosen = load.chosen();
    let uuid: Box<str> = clients.get(chosen).map(|client| client.uuid.clone()).unwrap_or_default();
    let mut publishers = Vec::new();
    let pace = load.pace.shared_by(load.publishers);
    for _ in 0..load.publishers {
        publishers.push(BenchPublisher::new(load.audience, pace, uuid.clone(), chosen));
    }
    if let Some(rate) = load.fanout_rate {
        publishers.push(BenchPublisher::new(
            Audience::All,
            PublishPace::PerSecond(rate),
            uuid,
            chosen,
        ));
    }
    if target.publishes_by_http() {
        for one in &mut publishers {
            one.connect(opener.dial()?, target.clone(), target.wire);
        }
        return Ok(publishers);
    }
    let wires: Vec<_> = publishers.iter().map(|one| target.wire_to(&one.to(0))).collect();
    let wanted = wires.iter().map(|wire| WantedClient::plain(*wire));
    for ((one, client), wire) in publishers.iter_mut().zip(opener.open(wanted, 1)?).zip(&wires) {
        one.connect(client, target.clone(), *wire);
    }
    Ok(publishers)
}

/// A publisher and the recipients of its publications.
#[derive(Debug)]
pub(super) struct BenchPublisher {
    audience: Audience,
    pace: PublishPace,
    /// UUID of the client that receives single-recipient publications.
    one_uuid: Box<str>,
    one_group: usize,
    /// Start of the rate in nanoseconds, and the number of publications due since then.
    rate_start: (u64, u64),
    connection: Option<PublisherSocket>,
    /// Prebuilt publications, one per group.
    templates: Vec<Template>,
    frame: Vec<u8>,
}

/// The text of a publication and the offset of its stamp.
#[derive(Debug)]
struct Template {
    text: Vec<u8>,
    stamp_at: usize,
}

#[derive(Debug)]
struct PublisherSocket {
    client: BenchClient,
    target: BenchTarget,
    wire: BenchProtocol,
    is_full: bool,
    /// Reads the answers, if publications are HTTP requests.
    responses: Option<HttpResponses>,
}

impl PublishPace {
    /// Returns the share of each publisher if several share this pace.
    pub(super) fn shared_by(self, publishers: usize) -> Self {
        match self {
            Self::InFlight(count) => Self::InFlight((count / publishers).max(1)),
            Self::PerSecond(rate) => Self::PerSecond(rate / publishers as f64),
        }
    }
}

impl BenchPublisher {
    pub(super) fn new(
        audience: Audience,
        pace: PublishPace,
        one_uuid: Box<str>,
        one_group: usize,
    ) -> Self {
        Self {
            audience,
            pace,
            one_uuid,
            one_group,
            rate_start: (0, 0),
            connection: None,
            templates: Vec::new(),
            frame: Vec::new(),
        }
    }

    pub(super) fn connect(
        &mut self,
        client: BenchClient,
        target: BenchTarget,
        wire: BenchProtocol,
    ) {
        let responses = target.publishes_by_http().then(HttpResponses::default);
        self.connection = Some(PublisherSocket { client, target, wire, is_full: false, responses });
    }

    pub(super) fn audience(&self) -> Audience {
        self.audience
    }

    pub(super) fn client(&self) -> Option<&BenchClient> {
        self.connection.as_ref().map(|line| &line.client)
    }

    /// Returns the destination of the publication with this number.
    pub(super) fn to(&self, number: u64) -> BenchDestination<'_> {
        match self.audience {
            Audience::All => BenchDestination::All,
            Audience::Groups(groups) => {
                BenchDestination::Group(usize::try_from(number % groups as u64).unwrap_or(0))
            }
            Audience::One => BenchDestination::One(&self.one_uuid, self.one_group),
        }
    }

    /// Starts the rate at `now`.
    pub(super) fn begin(&mut self, now: u64) {
        self.rate_start = (now, 0);
    }

    /// Publishes everything that is due and returns the time at which the next publication is due.
    pub(super) fn publish(
        &mut self,
        stream: usize,
        now: u64,
        payload: usize,
        tracker: &mut DeliveryTracker,
    ) -> Result<u64, BenchError> {
        match self.pace {
            PublishPace::InFlight(most) => {
                while tracker.streams.get(stream).is_some_and(|tracker| tracker.in_flight() < most)
                {
                    self.send(stream, now, payload, tracker)?;
                }
                Ok(u64::MAX)
            }
            PublishPace::PerSecond(rate) => loop {
                let (begun, count) = self.rate_start;
                let due = begun + to_nanos(count as f64 * SECOND / rate);
                if due > now {
                    return Ok(due);
                }
                self.rate_start.1 += 1;
                self.send(stream, due, payload, tracker)?;
            },
        }
    }

    fn send(
        &mut self,
        stream: usize,
        due: u64,
        payload: usize,
        tracker: &mut DeliveryTracker,
    ) -> Result<(), BenchError> {
        let number = tracker.streams.get(stream).map_or(0, PublishedStream::next_number);
        let stamp = Stamp { stream: u8::try_from(stream).unwrap_or(u8::MAX), number };
        if self.templates.is_empty() {
            self.templates = self.make_templates(stamp, payload);
        }
        let (Some(line), count) = (&mut self.connection, self.templates.len() as u64) else {
            return Ok(());
        };
        let at = usize::try_from(number % count.max(1)).unwrap_or(0);
        let Some(Template { text, stamp_at }) = self.templates.get_mut(at) else { return Ok(()) };
        if let Some(place) = text.get_mut(*stamp_at..*stamp_at + STAMP_BYTES) {
            place.copy_from_slice(&stamp.bytes());
        }
        tracker.publish(stream, due);
        if line.responses.is_some() {
            return line.client.socket.queue(text).at("publishing");
        }
        self.frame.clear();
        line.target.put(&mut self.frame, text);
        line.client.socket.queue(&self.frame).at("publishing")
    }

    /// Builds the publications once. They differ only in their stamps, and building each one again
    /// would cost more than the server spends on it.
    fn make_templates(&self, stamp: Stamp, payload: usize) -> Vec<Template> {
        let Some(line) = &self.connection else { return Vec::new() };
        let groups = if let Audience::Groups(groups) = self.audience { groups as u64 } else { 1 };
        let message = stamp.message(payload);
        let template = |number| {
            let text = line.target.publication(line.wire, &self.to(number), &message);
            let stamp_at = text.find(&message).unwrap_or(0);
            Template { text: text.into_bytes(), stamp_at }
        };
        (0..groups).map(template).collect()
    }

    /// Reads acknowledgements, and publications addressed to the publisher itself.
    pub(super) fn on_readable(&mut self, buffers: &mut Buffers) -> Result<(), BenchError> {
        let Some(line) = &mut self.connection else { return Ok(()) };
        let bytes = match line.client.socket.read(buffers).at("reading acknowledgements")? {
            ReadResult::Bytes(bytes) => bytes,
            ReadResult::Nothing => return Ok(()),
            ReadResult::End => return Err(BenchError::Closed("without a word".to_owned())),
        };
        if let Some(responses) = &mut line.responses {
            return responses.read(bytes, |_| Ok(()));
        }
        let (mut pongs, mut closed, mut refused) = (Vec::new(), None, None);
        let target = &line.target;
        line.client.splitter.split(bytes, |frame| match frame {
            ServerFrame::Ping(payload) => pongs.extend(pong(payload)),
            ServerFrame::Close(reason) => closed = Some(close_words(reason)),
            ServerFrame::Message(text) if is_refusal(text) || target.is_error(text) => {
                refused = Some(String::from_utf8_lossy(text).into_owned());
            }
            ServerFrame::Message(text) => pongs.extend(target.answer_to(text)),
            ServerFrame::Pong => {}
        });
        if let Some(reason) = refused {
            return Err(BenchError::Refused(reason));
        }
        if let Some(reason) = closed {
            return Err(BenchError::Closed(reason));
        }
        line.client.socket.queue(&pongs).at("answering a ping")
    }

    /// Sends as much as the kernel accepts, and watches for writability while bytes are left.
    pub(super) fn flush(&mut self, poller: &Poller, token: u64) -> Result<(), BenchError> {
        let Some(line) = &mut self.connection else { return Ok(()) };
        let is_full = line.client.socket.flush().at("publishing")?;
        if is_full != line.is_full {
            line.is_full = is_full;
            let interest = if is_full { Interest::ReadWrite } else { Interest::Read };
            let fd = line.client.socket.fd();
            poller.rewatch(fd, token, interest).at("watching a socket")?;
        }
        Ok(())
    }
}

/// Returns true for the answer of phpWebSocketServer to a client that may not publish.
fn is_refusal(text: &[u8]) -> bool {
    text.starts_with(br#"{"opcode":"error""#) || text.starts_with(br#"{"opcode":"close""#)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time of a run, in whole nanoseconds"
)]
fn to_nanos(nanos: f64) -> u64 {
    nanos as u64
}
