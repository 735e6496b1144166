//! Cost of the index with a million clients of five tags each: query, join, leave, resolve.
//!
//! `cargo bench --bench index` takes less than two minutes and builds the million clients once.
//! Joins and leaves use random connections that were not touched during the last fifty thousand
//! changes. Their cost is mostly that of uncached memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may stop at the first surprise"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tagcast::index::Index;
use tagcast::link::codec::WireMessage;
use tagcast::link::message::ToWorker;
use tagcast::link::query::QueryResult;
use tagcast::types::limits::{EXPRESSION_SCAN_MAX, LIST_BYTES_MAX, LIST_CLIENTS_MAX};
use tagcast::types::{
    Address, AddressLimit, Client, ClientClass, ClientUuid, ConnectionRef, Expression, JoinNumber,
    ListFilter, PageSize, Slot, Tag, Tags, Tenant, WorkerId,
};

const CLIENTS: u32 = 1_000_000;
/// Connections without a client. As many changes lie between a leave and the join that reuses its
/// connection.
const VACANT: u32 = 50_000;
const WORKERS: u32 = 4;
/// Changes between two reads of the clock.
const BATCH: u64 = 500;

/// Names of tags and the number of values of each. A value has 100,000 clients, 1,000 clients or
/// one.
const TAGS: [(&str, u32); 5] =
    [("lang", 10), ("plan", 10), ("region", 10), ("room", 1_000), ("user", CLIENTS + VACANT)];

/// Index with a million clients, and the order in which connections are left and reused.
struct Population {
    index: Index,
    uuids: Vec<ClientUuid>,
    order: Vec<u32>,
    leaves: usize,
    joins: usize,
    chance: Chance,
}

impl Population {
    fn new() -> Self {
        let mut chance = Chance(4);
        let mut order: Vec<u32> = (0..CLIENTS + VACANT).collect();
        for at in (1..order.len()).rev() {
            let below = u32::try_from(at + 1).unwrap();
            order.swap(at, usize::try_from(chance.below(below)).unwrap());
        }
        let uuids = order.iter().map(|_| chance.uuid()).collect();
        let mut population =
            Self { index: Index::default(), uuids, order, leaves: 0, joins: 0, chance };
        // In slot order, as a worker allocates them.
        let mut absent = vec![false; population.order.len()];
        let vacant = usize::try_from(VACANT).unwrap();
        population.order[..vacant]
            .iter()
            .for_each(|at| absent[usize::try_from(*at).unwrap()] = true);
        population.leaves = vacant;
        for (number, _) in (0..).zip(absent).filter(|(_, absent)| !absent) {
            let client = population.client(number);
            population.index.join(place(number), JoinNumber(number.into()), &client).unwrap();
        }
        population
    }

    /// Returns the client with this number. Its tags are always the same.
    fn client(&self, number: u32) -> Client {
        let mut chance = Chance(number.into());
        let tags = TAGS.map(|(name, values)| {
            let value = if values > CLIENTS { number } else { chance.below(values) };
            Tag::new(name, &value.to_string()).unwrap()
        });
        Client {
            tenant: Tenant::shared(),
            uuid: self.uuids[usize::try_from(number).unwrap()],
            ident: None,
            tags: Tags::new(tags).unwrap(),
            class: ClientClass::Web,
            takes_publications: true,
            counted: AddressLimit::ByAddress,
            application: None,
            ip: "192.0.2.1".parse().unwrap(),
        }
    }

    /// Removes clients and returns the time it took.
    fn leave(&mut self, clients: u64) -> Duration {
        let numbers = next(&self.order, &mut self.leaves, clients);
        let places: Vec<ConnectionRef> = numbers.iter().map(|number| place(*number)).collect();
        timed(|| {
            for place in places {
                black_box(self.index.leave(place)).unwrap();
            }
        })
    }

    /// Adds new clients at vacant connections and returns the time it took.
    fn join(&mut self, clients: u64) -> Duration {
        let numbers = next(&self.order, &mut self.joins, clients);
        for number in &numbers {
            self.uuids[usize::try_from(*number).unwrap()] = self.chance.uuid();
        }
        let joining: Vec<(ConnectionRef, Client)> =
            numbers.iter().map(|number| (place(*number), self.client(*number))).collect();
        timed(|| {
            for (place, client) in &joining {
                self.index.join(*place, JoinNumber(7), client).unwrap();
            }
        })
    }
}

/// Returns the next numbers of the order, which repeats at its end.
fn next(order: &[u32], done: &mut usize, count: u64) -> Vec<u32> {
    let count = usize::try_from(count).unwrap();
    let numbers = (*done..*done + count).map(|at| order[at % order.len()]).collect();
    *done += count;
    numbers
}

fn place(number: u32) -> ConnectionRef {
    let worker = WorkerId(u16::try_from(number % WORKERS).unwrap());
    ConnectionRef { worker, slot: Slot(number / WORKERS) }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Deterministic pseudo-random numbers (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(((self.next() >> 32) * u64::from(end)) >> 32).unwrap()
    }

    fn uuid(&mut self) -> ClientUuid {
        ClientUuid((u128::from(self.next()) << 64 | u128::from(self.next())).to_le_bytes())
    }
}

fn changes(criterion: &mut Criterion, population: &mut Population) {
    let mut group = criterion.benchmark_group("change");
    group.throughput(Throughput::Elements(1));
    group.bench_function("leave", |bencher| {
        bencher.iter_custom(|clients| {
            batches(clients, |batch| {
                let spent = population.leave(batch);
                population.join(batch);
                spent
            })
        });
    });
    group.bench_function("join", |bencher| {
        bencher.iter_custom(|clients| {
            batches(clients, |batch| {
                let spent = population.join(batch);
                population.leave(batch);
                spent
            })
        });
    });
    group.finish();
}

fn batches(mut left: u64, mut change: impl FnMut(u64) -> Duration) -> Duration {
    let mut spent = Duration::ZERO;
    while left > 0 {
        let batch = left.min(BATCH);
        spent += change(batch);
        left -= batch;
    }
    spent
}

fn resolves(criterion: &mut Criterion, population: &mut Population) {
    let mut group = criterion.benchmark_group("resolve");
    let tenant = Tenant::shared();
    for query in ["lang=3 plan=4 region=5", "lang=3 plan=4 room=5", "lang=3 room=5 user=6"] {
        let pairs = query.split(' ').map(|pair| pair.split_once('=').unwrap());
        let tags = Tags::new(pairs.map(|(name, value)| Tag::new(name, value).unwrap())).unwrap();
        let address = Address::matching(tags);
        let resolve = || population.index.resolve(&tenant, black_box(&address));
        let found: u64 = resolve().sets.iter().map(|(_, slots)| slots.0.len()).sum();
        let id = BenchmarkId::new(query, format!("{found} clients"));
        group.bench_function(id, |bencher| bencher.iter(resolve));
    }
    let everyone = Address::everyone();
    group.bench_function("everyone", |bencher| {
        bencher.iter(|| population.index.resolve(&tenant, black_box(&everyone)));
    });
    group.bench_function("a UUID", |bencher| {
        let uuids: Vec<ClientUuid> = (0..100_000)
            .map(|_| population.uuids[usize::try_from(population.chance.below(CLIENTS)).unwrap()])
            .collect();
        let mut next = uuids.iter().cycle();
        bencher.iter(|| {
            let address = Address::first(next.next().copied(), None);
            population.index.resolve(&tenant, black_box(&address))
        });
    });
    group.finish();
}

/// Adds a tenant whose clients have a tag with as many values as the prefixes of one expression may scan.
fn add_seats(population: &mut Population) -> Tenant {
    let tenant = Tenant("hall".into());
    for number in 0..EXPRESSION_SCAN_MAX {
        let slot = Slot(u32::try_from(number).unwrap());
        let place = ConnectionRef { worker: WorkerId(9), slot };
        let client = Client {
            tenant: tenant.clone(),
            uuid: population.chance.uuid(),
            tags: Tags::new([Tag::new("seat", &number.to_string()).unwrap()]).unwrap(),
            ..population.client(0)
        };
        population.index.join(place, JoinNumber(number), &client).unwrap();
    }
    tenant
}

fn expressions(criterion: &mut Criterion, population: &mut Population) {
    let hall = add_seats(population);
    let shared = Tenant::shared();
    let tens = ["lang", "plan", "region"]
        .map(|name| (0..10).map(|value| format!("{name}={value}")).collect::<Vec<_>>().join("|"));
    let lists = |count: u32| {
        let values: Vec<String> = (0..count).map(|it| it.to_string()).collect();
        let each = values.chunks(256).map(|part| format!("room in ({})", part.join(",")));
        each.collect::<Vec<_>>().join("|")
    };
    let thousands = (0..34).map(|room| format!("room={room}")).collect::<Vec<_>>().join("|");
    let repeated = tens.iter().flat_map(|it| it.split('|'));
    let repeated = repeated.map(|term| format!("room? & {term}")).collect::<Vec<_>>().join("|");
    let mut group = criterion.benchmark_group("expression");
    for (name, tenant, text) in [
        ("a & !(b | c)", &shared, "lang=3 & !(plan=4 | region=5)".to_owned()),
        ("!(a | b)", &shared, "!(lang=3 | plan=4)".to_owned()),
        ("in of 256", &shared, lists(256)),
        ("in of 1,000", &shared, lists(1000)),
        ("or of 64", &shared, format!("{}|{thousands}", tens.join("|"))),
        ("one client & !(a | b)", &shared, "user=6 & !(lang=3 | plan=4)".to_owned()),
        ("exists, 1,000 values", &shared, "room?".to_owned()),
        ("exists 30 times", &shared, repeated),
        ("exists, 1,000,000 values", &shared, "user?".to_owned()),
        ("prefix of 50,000 values", &hall, "seat=4*".to_owned()),
        ("prefix of everyone", &hall, "seat=4* | !seat=4*".to_owned()),
    ] {
        let expression = Expression::parse(&text).unwrap();
        let evaluate = || population.index.evaluate(tenant, black_box(&expression));
        let found: u64 = evaluate().map_or(0, |sets| sets.iter().map(|(_, it)| it.0.len()).sum());
        let id = BenchmarkId::new(name, format!("{found} clients"));
        group.bench_function(id, |bencher| bencher.iter(evaluate));
    }
    group.finish();
}

/// A page of a list of clients, up to the bytes for the link: what the broker does for it.
fn pages(criterion: &mut Criterion, population: &Population) {
    let tenant = Tenant::shared();
    let size = PageSize { clients: LIST_CLIENTS_MAX, bytes: LIST_BYTES_MAX };
    let mut group = criterion.benchmark_group("page of 1,000");
    for text in ["lang=3", "lang=3 & !(plan=4 | region=5)", "room in (1,2,3,4,5) & !lang=1"] {
        let filter = ListFilter::Expression(Expression::parse(text).unwrap());
        let mut bytes = Vec::new();
        let mut page = || {
            let page = population.index.page(&tenant, black_box(&filter), None, size).unwrap();
            let clients = page.clients.len();
            bytes.clear();
            let result = QueryResult::Clients(page);
            ToWorker::Answer { slot: Slot::NONE, number: 1, result }.encode(&mut bytes);
            clients
        };
        assert_eq!(page(), LIST_CLIENTS_MAX);
        group.bench_function(text, |bencher| bencher.iter(&mut page));
    }
    group.finish();
}

/// Returns the resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[expect(clippy::print_stdout, reason = "where criterion prints too")]
fn main() {
    let mut population = Population::new();
    // The order and the UUIDs belong to the benchmark, not to the index.
    let own = population.order.len() * (size_of::<u32>() + size_of::<ClientUuid>());
    let bytes = resident() - u64::try_from(own).unwrap();
    println!("{} bytes of memory for each of {CLIENTS} clients", bytes / u64::from(CLIENTS));
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .sample_size(50)
        .configure_from_args();
    resolves(&mut criterion, &mut population);
    changes(&mut criterion, &mut population);
    expressions(&mut criterion, &mut population);
    pages(&mut criterion, &population);
    criterion.final_summary();
}
