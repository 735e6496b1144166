//! What a reader of `GET /v1/server/tail` costs the broker: 10,000 publications a second, two in a turn, with a
//! reader that asks four times a second for 20 a second, in turns with none. Prints the processor time of the
//! broker for each publication, and the median of the ratios of neighbours.
//!
//! ```text
//! cargo bench --bench tail
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may stop at the first surprise"
)]
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures and prints")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tagcast::broker::core::{BrokerCore, TurnBudgets};
use tagcast::link::codec::{MessageDecoder, WireMessage};
use tagcast::link::message::{ToBroker, ToWorker, VERSION};
use tagcast::link::query::{BrokerQuery, QueryKind, QueryResult};
use tagcast::link::tail::TailQuery;
use tagcast::link::transport::{Transport, UnixTransport, unix_pair};
use tagcast::types::{
    Address, AddressLimit, Client, ClientClass, ClientUuid, Content, Generation, Number,
    PayloadForm, Publication, Sequence, Slot, Tag, Tags, Tenant, WorkerId, WorkerIncarnation,
};

const CLIENTS: u8 = 10;
const PUBLICATIONS_A_SECOND: u64 = 10_000;
const PUBLICATIONS_A_TURN: u64 = 2;
const QUESTIONS_A_SECOND: u64 = 4;
const CREDIT: u32 = 5;
/// Simulated seconds, half of them with a reader.
const SECONDS: usize = 600;

fn main() {
    let mut broker = Broker::new();
    for _ in 0..20 {
        broker.second(0);
        broker.second(CREDIT);
    }
    let mut without = Vec::new();
    let mut with = Vec::new();
    let mut ratios = Vec::new();
    for round in 0..SECONDS / 2 {
        let order = if round % 2 == 0 { [0, CREDIT] } else { [CREDIT, 0] };
        let times = order.map(|credit| (credit, broker.second(credit)));
        let of = |wanted| times.iter().find(|(credit, _)| *credit == wanted).unwrap().1;
        let [alone, read] = [of(0), of(CREDIT)];
        without.push(alone);
        with.push(read);
        ratios.push(read / alone);
    }
    let [without, with] = [without, with].map(|times| quartiles(times).map(|it| it * 1e6));
    println!(
        "without a reader: {:.3} us a publication (quartiles {:.3}, {:.3})",
        without[1], without[0], without[2]
    );
    println!(
        "with a reader:    {:.3} us a publication (quartiles {:.3}, {:.3})",
        with[1], with[0], with[2]
    );
    let [low, median, high] = quartiles(ratios);
    println!("ratio of neighbours: {median:.4} (quartiles {low:.4}, {high:.4})");
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

/// A broker with the link of a worker that has all clients, and that of the process with the reader.
struct Broker {
    core: BrokerCore,
    worker: UnixTransport,
    reader: UnixTransport,
    number: u64,
    questions: u32,
    answers: MessageDecoder,
    /// What the reader got: copies, and publications that are only counted.
    shown: u64,
    dropped: u64,
    buffer: Vec<u8>,
    received: Vec<u8>,
    started: Instant,
}

impl Broker {
    fn new() -> Self {
        let mut core = BrokerCore::new(Generation(1));
        let mut link = |worker| {
            let (broker, own) = unix_pair().unwrap();
            core.link(incarnation(worker), Box::new(UnixTransport::new(broker)));
            UnixTransport::new(own)
        };
        let (worker, reader) = (link(0), link(1));
        let mut broker = Self {
            core,
            worker,
            reader,
            number: 0,
            questions: 0,
            answers: MessageDecoder::default(),
            shown: 0,
            dropped: 0,
            buffer: Vec::new(),
            received: vec![0; 1024 * 1024],
            started: Instant::now(),
        };
        for worker in [0, 1] {
            broker.say(worker, &ToBroker::Hello { version: VERSION, source: incarnation(worker) });
            broker.say(worker, &ToBroker::Announced { sequence: Sequence(0) });
            broker.say(worker, &ToBroker::WindowRepeated);
        }
        broker.turn();
        for slot in 0..CLIENTS {
            broker.say(0, &ToBroker::Join { slot: Slot(u32::from(slot)), client: client(slot) });
        }
        broker.turn();
        broker
    }

    /// Simulates a second. Returns the time of the broker for each publication in seconds.
    fn second(&mut self, credit: u32) -> f64 {
        let turns = PUBLICATIONS_A_SECOND / PUBLICATIONS_A_TURN;
        let address = Address::matching(tags());
        let mut spent = Duration::ZERO;
        for turn in 0..turns {
            if credit > 0 && turn % (turns / QUESTIONS_A_SECOND) == 0 {
                self.ask(credit);
            }
            for _ in 0..PUBLICATIONS_A_TURN {
                self.number += 1;
                let publication = Publication {
                    tenant: Tenant::shared(),
                    address: address.clone(),
                    content: Content {
                        form: PayloadForm::Packet,
                        payload: Bytes::from_static(&[b'x'; 128]),
                    },
                };
                self.say(0, &ToBroker::Publish { number: Number(self.number), publication });
            }
            spent += self.turn();
        }
        if credit > 0 {
            self.ask(0);
            spent += self.turn();
            assert_eq!(self.shown, QUESTIONS_A_SECOND * u64::from(credit), "copies");
            // The first turn may read its publications before the question.
            let known = self.shown + self.dropped + PUBLICATIONS_A_TURN;
            assert!(known >= PUBLICATIONS_A_SECOND, "all publications");
            (self.shown, self.dropped) = (0, 0);
        }
        spent.as_secs_f64() / PUBLICATIONS_A_SECOND as f64
    }

    fn ask(&mut self, credit: u32) {
        self.questions += 1;
        let query = TailQuery {
            place: 0,
            reader: 1,
            is_one_tenant: false,
            expression: None,
            credit,
            payload_max: 0,
        };
        let kind = QueryKind::Tail(Box::new(query));
        let query = BrokerQuery { number: self.questions, tenant: Tenant::shared(), kind };
        self.say(1, &ToBroker::Ask { slot: Slot::NONE, query });
    }

    fn say(&mut self, worker: u16, message: &ToBroker) {
        self.buffer.clear();
        message.encode(&mut self.buffer);
        let link = if worker == 0 { &mut self.worker } else { &mut self.reader };
        let written = link.write(&[std::io::IoSlice::new(&self.buffer)]).unwrap();
        assert_eq!(written, self.buffer.len());
        self.core.mark_unread(WorkerId(worker));
    }

    /// Runs a turn. Returns its time.
    fn turn(&mut self) -> Duration {
        let before = Instant::now();
        let budgets = TurnBudgets { messages: &mut |_| false, removals: &mut || false };
        self.core.run_turn(self.started.elapsed(), &mut |_| {}, budgets);
        let spent = before.elapsed();
        while self.worker.read(&mut self.received).is_ok_and(|bytes| bytes > 0) {}
        while let Ok(bytes) = self.reader.read(&mut self.received) {
            self.answers.extend(&self.received[..bytes]);
        }
        while let Some(message) = self.answers.take::<ToWorker>().unwrap() {
            if let ToWorker::Answer { result: QueryResult::Tail(page), .. } = message {
                self.shown += page.publications.len() as u64;
                self.dropped += page.dropped;
            }
        }
        spent
    }
}

fn incarnation(worker: u16) -> WorkerIncarnation {
    WorkerIncarnation { worker: WorkerId(worker), generation: Generation(1) }
}

fn tags() -> Tags {
    Tags::new([Tag::new("room", "7").unwrap()]).unwrap()
}

fn client(number: u8) -> Client {
    Client {
        tenant: Tenant::shared(),
        uuid: ClientUuid([number; 16]),
        ident: None,
        tags: tags(),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}
