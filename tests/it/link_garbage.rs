//! A link with bytes that no worker and no broker sends: the link is closed, the supervisor gets a report, no
//! process panics, and the other links continue (fault 35, rule L1). The tests use the real event loops over
//! real sockets.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use crate::harness::{DEADLINE, Folder, eventually};
use tagcast::config::{self, Config};
use tagcast::link::codec::{MessageDecoder, WireMessage};
use tagcast::link::control::{
    Attachment, BrokerCommand, ChildCommand, ChildEvent, ControlMessage, ExitReason,
    MemorySupervisorEnd, RoleCommand, SupervisorEnd, WorkerCommand, WorkerIdentity, memory_control,
};
use tagcast::link::message::{ToBroker, ToWorker, VERSION};
use tagcast::link::transport::{Transport, UnixTransport, unix_pair};
use tagcast::resource::ResourceFactories;
use tagcast::supervisor::lifecycle::ChildId;
use tagcast::supervisor::{Bootstrap, PassedSockets};
use tagcast::types::{
    AddressLimit, Client, ClientClass, ClientUuid, Generation, Sequence, Slot, Tags, Tenant,
    WorkerId, WorkerIncarnation,
};

/// A role that runs in a thread, with the supervisor's end of its control link.
struct Role {
    desk: MemorySupervisorEnd,
    thread: JoinHandle<ExitReason>,
    reports: Vec<ChildEvent>,
}

impl Role {
    /// Sends a command without an attachment.
    fn send(&mut self, command: impl Into<ChildCommand>) {
        self.desk.send(ControlMessage::plain(command)).unwrap();
    }

    fn send_link(&mut self, command: impl Into<ChildCommand>, end: Box<dyn Transport>) {
        self.desk.send(ControlMessage::with(command, Attachment::Link(end))).unwrap();
    }

    fn ends<C: RoleCommand + Into<ChildCommand>>(mut self) {
        self.send(C::terminate());
        assert!(matches!(self.thread.join().unwrap(), ExitReason::Requested));
    }

    /// Waits for an event.
    #[track_caller]
    fn expect(&mut self, report: &ChildEvent) {
        eventually("a report", || {
            self.desk.events(&mut self.reports).unwrap();
            self.reports.contains(report).then_some(())
        });
    }
}

fn broker() -> Role {
    let (mut desk, control) = memory_control().unwrap();
    let no_one = BrokerCommand::LiveWorkers { sources: Vec::new() };
    desk.send(ControlMessage::plain(no_one)).unwrap();
    let thread = std::thread::spawn(|| tagcast::broker::run(Generation(0), Box::new(control)));
    Role { desk, thread, reports: Vec::new() }
}

fn source(worker: u16, generation: u32) -> WorkerIncarnation {
    WorkerIncarnation { worker: WorkerId(worker), generation: Generation(generation) }
}

/// Creates a link: one end for a role, the other end for the test.
fn link() -> (Box<dyn Transport>, UnixStream) {
    let (theirs, ours) = unix_pair().unwrap();
    (Box::new(UnixTransport::new(theirs)), stream(ours))
}

fn stream(end: OwnedFd) -> UnixStream {
    let stream = UnixStream::from(end);
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn bytes(messages: &[ToBroker]) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| message.encode(&mut bytes));
    bytes.to_vec()
}

fn hello(source: WorkerIncarnation) -> [ToBroker; 2] {
    let announced = ToBroker::Announced { sequence: Sequence(0) };
    [ToBroker::Hello { version: VERSION, source }, announced]
}

fn joins(slot: u32) -> ToBroker {
    let client = Client {
        tenant: Tenant::shared(),
        uuid: ClientUuid([u8::try_from(slot).unwrap(); 16]),
        ident: None,
        tags: Tags::default(),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: std::net::Ipv4Addr::LOCALHOST.into(),
    };
    ToBroker::Join { slot: Slot(slot), client }
}

/// Returns the next message of a broker.
fn next(stream: &mut UnixStream, inbox: &mut MessageDecoder) -> ToWorker {
    loop {
        if let Some(message) = inbox.take().unwrap() {
            return message;
        }
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the broker ended the link");
        inbox.extend(&chunk[..count]);
    }
}

/// Ends in the middle of a message. All other kinds are invalid even if more bytes follow.
const CUT: &str = "a message cut in the middle";
/// Number of kinds of invalid input.
const KINDS: u32 = 10;

/// Returns invalid inputs, each preceded by the valid messages that it needs.
fn garbage(source: WorkerIncarnation) -> Vec<(&'static str, Vec<u8>)> {
    let begun = bytes(&hello(source));
    let after = |rest: &[u8]| [&begun[..], rest].concat();
    let version = ToBroker::Hello { version: VERSION + 1, source };
    let old = WorkerIncarnation { generation: Generation(source.generation.0 + 1), ..source };
    let noise = (0..64_u32).map(|n| u8::try_from(n * 37 % 251).unwrap());
    let noise: Vec<u8> = [64, 0, 0, 0].into_iter().chain(noise).collect();
    vec![
        ("a length of 4 GiB", after(&[0xff; 4])),
        ("an unknown kind", after(&[1, 0, 0, 0, 0xee])),
        ("an empty message", after(&[0, 0, 0, 0])),
        ("noise", after(&noise)),
        ("another version", bytes(&[version])),
        ("another process in its place", bytes(&hello(old))),
        ("a join before the greeting", bytes(&[joins(1)])),
        ("a slot given away twice", after(&bytes(&[joins(1), joins(1)]))),
        ("the greeting twice", after(&begun)),
        (CUT, begun[..begun.len() - 1].to_vec()),
    ]
}

#[test]
fn an_invalid_worker_message_ends_its_link_and_no_other() {
    let mut broker = broker();
    let good = source(0, 1);
    let (end, mut ours) = link();
    broker.send_link(BrokerCommand::WorkerLink { source: good }, end);
    ours.write_all(&bytes(&hello(good))).unwrap();
    let mut inbox = MessageDecoder::default();
    assert_eq!(garbage(good).len(), KINDS as usize);
    for generation in 0..KINDS {
        // The same place with the next generation.
        let bad = source(1, generation);
        let (what, output) = garbage(bad).swap_remove(generation as usize);
        let (end, mut theirs) = link();
        broker.send_link(BrokerCommand::WorkerLink { source: bad }, end);
        // The peer may close the link before everything is written.
        theirs.write_all(&output).ok();
        if what == CUT {
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let lost = ChildEvent::LinkLost { peer: bad, broker: Generation(0) };
        broker.expect(&lost);
        broker.send(BrokerCommand::WorkerDead { source: bad });
        let slot = generation + 10;
        ours.write_all(&bytes(&[joins(slot)])).unwrap();
        let answer = next(&mut ours, &mut inbox);
        assert!(
            matches!(answer, ToWorker::Joined { slot: Slot(joined), .. } if joined == slot),
            "after {what}: {answer:?}"
        );
    }
    broker.ends::<BrokerCommand>();
}

fn config(folder: &Folder) -> Config {
    let flags = [("address", "ws://127.0.0.1:0"), ("workers", "1"), ("console", "off")];
    let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let root = folder.root().to_owned();
    config::load(&config::ConfigSources { flags, folder: root, ..config::ConfigSources::default() })
        .unwrap()
        .config
}

#[test]
fn an_invalid_broker_message_ends_the_link_and_the_next_one_works() {
    let folder = Folder::new();
    let prepared = Bootstrap::from_config(config(&folder), PassedSockets::default()).unwrap();
    let me = source(0, 3);
    let (mut desk, control) = memory_control().unwrap();
    desk.send(ControlMessage::configure(prepared.number, prepared.json.clone())).unwrap();
    for message in prepared.sockets_for(ChildId::Worker(me)).unwrap() {
        desk.send(message).unwrap();
    }
    let run = move || {
        tagcast::worker::run(
            WorkerIdentity { source: me },
            Box::new(control),
            &ResourceFactories::default(),
        )
    };
    let mut worker = Role { desk, thread: std::thread::spawn(run), reports: Vec::new() };
    let greeting = bytes(&hello(me));
    let unknown_set = [1, 0, 0, 0, 0xee];
    for (broker, output) in (0..).zip([&[0xff; 8][..], &unknown_set, &[0, 0, 0, 0], b"GET / HTTP"])
    {
        let (end, mut ours) = link();
        worker.send_link(WorkerCommand::Link { broker: Generation(broker) }, end);
        let mut greeted = vec![0; greeting.len()];
        ours.read_exact(&mut greeted).unwrap();
        assert_eq!(greeted, greeting, "to broker {broker}");
        ours.write_all(output).unwrap();
        worker.expect(&ChildEvent::LinkLost { peer: me, broker: Generation(broker) });
    }
    worker.ends::<WorkerCommand>();
}
