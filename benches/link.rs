//! Cost of the protocol between worker and broker: each message written and read, alone and in a
//! batch of sixty-four.

#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use tagcast::link::codec::{MessageDecoder, WireMessage, encode_publish};
use tagcast::link::message::{
    Deliver, DeliverTo, FromBroker, FromWorker, NewPublication, SetName, ToBroker, ToWorker,
};
use tagcast::types::{
    Address, AddressLimit, Client, ClientClass, ClientUuid, Content, Generation, Number,
    PayloadForm, Publication, Sequence, Slot, SlotSet, Tag, Tags, Tenant, WorkerId,
    WorkerIncarnation,
};

const UUID: ClientUuid = ClientUuid([0xA0; 16]);
const PAYLOAD: &[u8] = &[b'x'; 128];
const BATCHES: [usize; 2] = [1, 64];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    let mut group = criterion.benchmark_group("link");
    publish(&mut group);
    bench(&mut group, "Join", &ToBroker::Join { slot: Slot(7), client: client() }, from_worker);
    bench(&mut group, "Deliver to one", &deliver(DeliverTo::One(Slot(7))), from_broker);
    let target = DeliverTo::Set { name: SetName(0), except: Some(Slot(7)) };
    bench(&mut group, "Deliver to a set", &deliver(target), from_broker);
    let slots: SlotSet = (0..1_000).map(Slot).collect();
    bench(&mut group, "Set of 1,000", &ToWorker::Set { name: SetName(0), slots }, from_broker);
    bench(
        &mut group,
        "Acknowledged",
        &ToWorker::Acknowledged { up_to: Number(1_000_000) },
        from_broker,
    );
    group.finish();
    criterion.final_summary();
}

fn tags() -> Tags {
    Tags::new([Tag::new("room", "7").unwrap(), Tag::new("lang", "en").unwrap()]).unwrap()
}

fn client() -> Client {
    Client {
        tenant: Tenant::shared(),
        uuid: UUID,
        ident: None,
        tags: tags(),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn content() -> Content {
    Content { form: PayloadForm::Packet, payload: Bytes::from_static(PAYLOAD) }
}

fn deliver(target: DeliverTo) -> ToWorker {
    ToWorker::Deliver(Deliver {
        source: WorkerIncarnation { worker: WorkerId(1), generation: Generation(1) },
        number: Number(1_000_000),
        sequence: Sequence(2_000_000),
        target,
        content: Some(content()),
    })
}

/// Measures `Publish`, which a worker encodes without building the message first.
fn publish(group: &mut BenchmarkGroup<'_, WallTime>) {
    let cases = [
        ("Publish to everyone", Address::everyone_but(UUID)),
        ("Publish to one", Address::first(Some(UUID), None)),
        ("Publish to tags", Address::matching(tags())),
    ];
    for (name, address) in cases {
        let tenant = Tenant::shared();
        encode(group, name, |out| {
            encode_publish(
                out,
                Number(1_000_000),
                NewPublication {
                    tenant: black_box(&tenant),
                    address: black_box(&address),
                    form: PayloadForm::Packet,
                    payload: PAYLOAD,
                },
            );
        });
        let publication =
            Publication { tenant: tenant.clone(), address: address.clone(), content: content() };
        let message = ToBroker::Publish { number: Number(1_000_000), publication };
        decode(group, name, &message, from_worker);
    }
}

fn bench<M: WireMessage>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    message: &M,
    read: fn(&[u8]),
) {
    encode(group, name, |out| black_box(message).encode(out));
    decode(group, name, message, read);
}

/// As the broker reads.
fn from_worker(body: &[u8]) {
    drop(black_box(FromWorker::decode(body)));
}

/// As a worker reads.
fn from_broker(body: &[u8]) {
    drop(black_box(FromBroker::decode(body)));
}

fn encode(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut append: impl FnMut(&mut Vec<u8>),
) {
    for batch in BATCHES {
        let mut out = Vec::with_capacity(64 * 1024);
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("write {batch} {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                for _ in 0..batch {
                    append(black_box(&mut out));
                }
            });
        });
    }
}

/// Measures decoding, from received bytes to messages. It includes the copy into the decoder.
fn decode<M: WireMessage>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    message: &M,
    read: fn(&[u8]),
) {
    for batch in BATCHES {
        let mut bytes = Vec::new();
        for _ in 0..batch {
            message.encode(&mut bytes);
        }
        let mut inbox = MessageDecoder::default();
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("read {batch} {name}"), |bencher| {
            bencher.iter(|| {
                inbox.extend(black_box(&bytes));
                while let Some(body) = inbox.take_body().unwrap() {
                    read(body);
                }
            });
        });
    }
}
