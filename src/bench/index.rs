//! Measures the index alone with a million clients, without sockets or processes.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::clock::RunClock;
use super::error::{At, BenchError};
use super::process::Tree;
use super::report::grouped;
use crate::index::Index;
use crate::types::{
    Address, AddressLimit, Client, ClientClass, ClientUuid, ConnectionRef, JoinNumber, Slot, Tag,
    Tags, Tenant, WorkerId,
};

/// Clients in the index. A query of three tags matches one in a thousand of them.
const CLIENTS: u64 = 1_000_000;
/// Workers that the clients are spread over.
const WORKERS: u64 = 4;
/// Clients are created in batches outside the measured time.
const BATCH: u64 = 50;
/// Clients that leave and join again, in random order.
const MOVED: u64 = 100_000;
const QUERIES: u32 = 2_000;

/// The cost of the index with 1,000,000 clients of five tags each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IndexReport {
    /// Clients in the index.
    pub clients: u64,
    /// Microseconds of a query of three tags, each of which a tenth of the clients has.
    pub query_us: f64,
    /// Clients that match the query.
    pub matching: u64,
    /// Microseconds of a join into an index that has one free place.
    pub join_us: f64,
    /// Microseconds of a leave of a random client.
    pub leave_us: f64,
    /// Resident bytes per client.
    pub bytes_per_client: u64,
}

/// Fills an index, queries it, and lets clients leave and join.
///
/// # Errors
///
/// None, unless the index breaks its own rules.
pub fn index() -> Result<IndexReport, BenchError> {
    let clock = RunClock::start();
    let before = Tree::own().resident();
    let mut index = Index::default();
    for batch in 0..CLIENTS / BATCH {
        for number in batch * BATCH..(batch + 1) * BATCH {
            join(&mut index, number, &client(number)?)?;
        }
    }
    let bytes = Tree::own().resident().saturating_sub(before);
    let (leave_us, join_us) = churn(&mut index, clock)?;
    let (query_us, matching) = query(&index, clock)?;
    let bytes_per_client = bytes / CLIENTS;
    Ok(IndexReport { clients: CLIENTS, query_us, matching, join_us, leave_us, bytes_per_client })
}

/// Runs [`index`] in another process of this program.
///
/// # Errors
///
/// If the process cannot be started or its output is not a report.
pub fn index_apart() -> Result<IndexReport, BenchError> {
    let mut command = Command::new(std::env::current_exe().at("finding this program")?);
    let output = command.args(["bench", "index", "--json"]).output().at("measuring the index")?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| BenchError::Plan(format!("the index was not measured: {error}")))
}

fn churn(index: &mut Index, clock: RunClock) -> Result<(f64, f64), BenchError> {
    let (mut leaving, mut joining) = (0, 0);
    for batch in 0..MOVED / BATCH {
        let mut numbers: Vec<u64> =
            (0..BATCH).map(|at| mix(batch * BATCH + at + 123_456_789) % CLIENTS).collect();
        numbers.sort_unstable_by_key(|number| mix(*number));
        numbers.dedup();
        let clients =
            numbers.iter().map(|number| client(*number)).collect::<Result<Vec<_>, _>>()?;
        let begun = clock.nanos();
        for number in &numbers {
            index.leave(place(*number));
        }
        let left = clock.nanos();
        for (number, client) in numbers.iter().zip(&clients) {
            join(index, *number, client)?;
        }
        leaving += left - begun;
        joining += clock.nanos() - left;
    }
    let each = |nanos: u64| nanos as f64 / 1000.0 / MOVED as f64;
    Ok((each(leaving), each(joining)))
}

fn query(index: &Index, clock: RunClock) -> Result<(f64, u64), BenchError> {
    let tags = Tags::new([tag("a", 1)?, tag("b", 1)?, tag("c", 1)?]);
    let address = Address::matching(tags.map_err(|error| BenchError::Plan(error.to_string()))?);
    let tenant = Tenant::shared();
    let begun = clock.nanos();
    let mut matching = 0;
    for _ in 0..QUERIES {
        let found = index.resolve(&tenant, &address);
        matching = found.sets.iter().map(|(_, slots)| slots.0.len()).sum();
    }
    Ok(((clock.nanos() - begun) as f64 / 1000.0 / f64::from(QUERIES), matching))
}

fn join(index: &mut Index, number: u64, client: &Client) -> Result<(), BenchError> {
    let joined = index.join(place(number), JoinNumber(number + 1), client);
    joined.map_err(|_| BenchError::Plan("a place of the index is taken".to_owned()))
}

fn place(number: u64) -> ConnectionRef {
    let worker = WorkerId(u16::try_from(number % WORKERS).unwrap_or(0));
    ConnectionRef { worker, slot: Slot(u32::try_from(number / WORKERS).unwrap_or(0)) }
}

/// Creates a client with five tags: three with ten possible values each, one with a thousand and
/// one with fifty.
fn client(number: u64) -> Result<Client, BenchError> {
    let any = |salt: u64, values: u64| mix(number + salt * 10_000_000) % values;
    let tags = [
        tag("a", any(1, 10))?,
        tag("b", any(2, 10))?,
        tag("c", any(3, 10))?,
        tag("room", any(4, 1000))?,
        tag("language", any(5, 50))?,
    ];
    Ok(Client {
        tenant: Tenant::shared(),
        uuid: uuid(number),
        ident: None,
        tags: Tags::new(tags).map_err(|error| BenchError::Plan(error.to_string()))?,
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    })
}

fn tag(name: &str, value: u64) -> Result<Tag, BenchError> {
    Tag::new(name, &value.to_string()).map_err(|error| BenchError::Plan(error.to_string()))
}

fn uuid(number: u64) -> ClientUuid {
    let mut bytes = [0; 16];
    let (first, second) = bytes.split_at_mut(8);
    first.copy_from_slice(&mix(number * 2 + 1).to_le_bytes());
    second.copy_from_slice(&mix(number * 2 + 2_000_000_007).to_le_bytes());
    ClientUuid(bytes)
}

/// Returns a pseudo-random number that is the same in every run (splitmix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

impl Display for IndexReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let clients = grouped(self.clients as f64);
        writeln!(f, "  {:<28}{clients} with five tags each", "clients")?;
        let Self { query_us, matching, join_us, leave_us, bytes_per_client, .. } = self;
        writeln!(f, "  {:<28}{query_us:.1} µs, {matching} found", "query of three tags")?;
        writeln!(f, "  {:<28}{join_us:.2} µs, leave {leave_us:.2} µs", "join")?;
        writeln!(f, "  {:<28}{bytes_per_client} bytes", "memory of a client")
    }
}
