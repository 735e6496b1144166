//! Each turn of a worker has a time limit. Work that many connections request at once is done in
//! parts, and clients that send little do not wait for all of it. Fault 43 of `docs/faults.md`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tagcast::index::Index;
use tagcast::types::{
    Address, AddressLimit, Alias, Claim, Client, ClientClass, ClientUuid, ConnectionRef,
    Exclusivity, GrantNumber, Ident, JoinNumber, MatchOptions, NamedClient, Slot, Tag, TagQuery,
    Tags, Tenant, WorkerId,
};

use crate::harness::wait::in_one_of_a_few;
use crate::harness::{Bystander, Open, Raw, Server, Setup, feedback_to, frames};

/// Starts a server with one worker, so the bystander shares it with the busy clients.
fn server() -> (Server, u32) {
    let server = Setup::new().workers(1).start();
    let worker = server.workers(1)[0];
    (server, worker)
}

fn bystander(server: &Server) -> Bystander {
    Bystander::between(server.open(&Open::web()), server.open(&Open::web()))
}

/// Serves the bystander until `work` is done. Returns the number of rounds and the longest round.
fn served_during(bystander: &mut Bystander, work: impl FnOnce() + Send) -> (u32, Duration) {
    let is_done = AtomicBool::new(false);
    let (mut rounds, mut longest) = (0, Duration::ZERO);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            work();
            is_done.store(true, Ordering::Release);
        });
        while !is_done.load(Ordering::Acquire) {
            let begun = Instant::now();
            bystander.is_served();
            longest = longest.max(begun.elapsed());
            rounds += 1;
        }
    });
    (rounds, longest)
}

/// Returns a message that is expensive to parse: many small objects next to the request.
fn costly(objects: usize) -> Vec<u8> {
    let objects = vec![r#"{"":0}"#; objects].join(",");
    frames::text(format!(r#"{{"opcode":"uuid","message":"u","x":[{objects}]}}"#))
}

/// Opens a client that has sent all but the last byte of a message.
fn prepared(server: &Server, message: &[u8]) -> Raw {
    let mut client = server.open(&Open::web());
    client.send(&message[..message.len() - 1]);
    client
}

/// Checks that the longest round of the bystander is within a limit.
fn within(longest: Duration, bound: Duration) -> Result<(), String> {
    if longest < bound { Ok(()) } else { Err(format!("{longest:?}, and {bound:?} at most")) }
}

/// Sends the last bytes of all clients at once and reads all answers.
fn complete_at_once(clients: &mut [Raw], message: &[u8]) {
    let last = &message[message.len() - 1..];
    clients.iter_mut().for_each(|client| client.send(last));
    clients.iter_mut().for_each(|client| drop(client.frame_or_end()));
}

fn costly_messages_at_once(message: &[u8], clients: usize) -> Result<(), String> {
    let (server, worker) = server();
    let mut bystander = bystander(&server);
    let mut alone = [prepared(&server, message)];
    bystander.is_served();
    let begun = Instant::now();
    complete_at_once(&mut alone, message);
    let one = begun.elapsed();
    let mut many_clients: Vec<Raw> = (0..clients).map(|_| prepared(&server, message)).collect();
    bystander.is_served();
    let begun = Instant::now();
    let (rounds, longest) =
        served_during(&mut bystander, || complete_at_once(&mut many_clients, message));
    let all = begun.elapsed();
    println!(
        "one {one:?}, {clients} {all:?}; {rounds} rounds of the bystander, longest {longest:?}"
    );
    assert_eq!(server.workers(1), [worker], "the worker lives");
    // A round passes through the worker four times, and each pass waits for at most one message.
    within(longest, all / 2)
}

#[test]
fn fault_43_costly_messages_are_served_one_per_turn() {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(|| costly_messages_at_once(&costly(60_000), 20));
}

#[test]
fn fault_43_requests_with_many_tags_at_once_are_served_one_in_a_turn() {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(requests_with_many_tags_at_once);
}

fn requests_with_many_tags_at_once() -> Result<(), String> {
    let (server, worker) = server();
    let mut bystander = bystander(&server);
    let tags = vec![r#""same":1"#; 30_000].join(",");
    let message = frames::text(format!(r#"{{"message":1,"tags":{{{tags}}}}}"#));
    let mut many_clients: Vec<Raw> = (0..20)
        .map(|_| {
            let mut client = Open::tags("{}").upgrade(server.port);
            client.send(&message[..message.len() - 1]);
            client
        })
        .collect();
    bystander.is_served();
    let begun = Instant::now();
    let (rounds, longest) = served_during(&mut bystander, || {
        let last = &message[message.len() - 1..];
        many_clients.iter_mut().for_each(|client| client.send(last));
        many_clients.iter_mut().for_each(|client| {
            client.stream().shutdown(std::net::Shutdown::Write).unwrap();
            client.wait_for_end();
        });
    });
    let all = begun.elapsed();
    println!("20 {all:?}; {rounds} rounds of the bystander, longest {longest:?}");
    assert_eq!(server.workers(1), [worker], "the worker lives");
    within(longest, all / 2)
}

/// All busy clients send everything before the first of them is served, so their sockets are always
/// readable. No message may be lost.
fn many_small_messages(clients: usize, messages: usize) -> Result<(), String> {
    let (server, worker) = server();
    let mut bystander = bystander(&server);
    let mut many_clients: Vec<Raw> = (0..clients).map(|_| server.open(&Open::web())).collect();
    let no_client = frames::text(feedback_to("nobody", "x")).repeat(messages);
    bystander.is_served();
    let begun = Instant::now();
    let (rounds, longest) = served_during(&mut bystander, || {
        many_clients.iter_mut().for_each(|client| client.send(&no_client));
        for client in &mut many_clients {
            (0..messages).for_each(|_| drop(client.expect_next()));
        }
    });
    let all = begun.elapsed();
    println!("all {all:?}; {rounds} rounds of the bystander, longest {longest:?}");
    assert_eq!(server.workers(1), [worker], "the worker lives");
    bystander.is_served();
    within(longest, all / 4)
}

#[test]
fn fault_43_busy_clients_take_turns_and_quiet_ones_go_first() {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(|| many_small_messages(100, 600));
}

#[test]
fn fault_43_three_senders_that_never_pause_have_their_turns_too() {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(|| many_small_messages(3, 20_000));
}

/// Creates an index with this many clients. Each has a shared ident, a shared alias and the maximum
/// number of tags. The php-type clients come first.
fn crowded(clients: u32) -> Index {
    let mut index = Index::default();
    let tags = (0..127).map(|number| Tag::new(&format!("0{number:03}"), "x").unwrap());
    let family = Tag::new("@family", "y").unwrap();
    let tags = Tags::new(tags.chain([family])).unwrap();
    for number in 0..clients {
        let mut uuid = [0; 16];
        uuid[..4].copy_from_slice(&number.to_le_bytes());
        let place = ConnectionRef { worker: WorkerId(1), slot: Slot(number) };
        let class = if number < clients / 2 { ClientClass::Php } else { ClientClass::Web };
        let client = Client {
            tenant: Tenant::shared(),
            uuid: ClientUuid(uuid),
            ident: Ident::new(&format!("{number}.0")).ok(),
            tags: tags.clone(),
            class,
            takes_publications: true,
            counted: AddressLimit::InAll,
            application: None,
            ip: [192, 0, 2, 1].into(),
        };
        index.join(place, JoinNumber(number.into()), &client).unwrap();
        let claim = Claim { alias: Alias::new("all").unwrap(), keeping: Exclusivity::Shared };
        index.claim(place, &claim, GrantNumber(number.into()));
    }
    index
}

/// Returns the time of a thousand queries, from the fastest of twenty runs of fifty. A busy machine
/// can slow a run down but cannot speed it up.
fn thousand(index: &Index, ask: impl Fn(&Index)) -> Duration {
    ask(index);
    let fifty = |_| {
        let begun = Instant::now();
        (0..50).for_each(|_| ask(index));
        begun.elapsed()
    };
    (0..20).map(fifty).min().unwrap() * 20
}

/// Checks that queries take about the same time with a thousand clients and with thirty times as
/// many.
#[track_caller]
fn costs_the_same(what: &str, indexes: [&Index; 2], ask: impl Fn(&Index)) {
    let [few, many] = indexes.map(|index| thousand(index, &ask));
    println!("{what}: {few:?} of few, {many:?} of many");
    assert!(many < 6 * few + Duration::from_millis(5), "{what}: {few:?} and {many:?}");
}

#[test]
fn fault_44_publications_and_queries_do_not_visit_all_clients() {
    let _quiet = crate::harness::alone();
    let (few, many) = (crowded(1000), crowded(30_000));
    let named = |options: &[MatchOptions], named: NamedClient| {
        let options = options.iter().fold(MatchOptions::default(), |all, one| all.and(*one));
        Address::named(NamedClient { options, ..named })
    };
    let number = NamedClient { ident: Ident::new("7").ok(), ..NamedClient::default() };
    let alias = NamedClient { alias: Alias::new("all").ok(), ..NamedClient::default() };
    for (what, address) in [
        ("any web-type client", named(&[MatchOptions::ANY_WEB], NamedClient::default())),
        ("any ident", named(&[MatchOptions::ANY_IDENT], NamedClient::default())),
        ("an ident of this number", named(&[MatchOptions::SAME_NUMBER], number)),
        ("a shared alias", named(&[], alias.clone())),
        ("a shared alias of web-type clients", named(&[MatchOptions::WEB_ONLY], alias)),
    ] {
        costs_the_same(what, [&few, &many], |index| {
            std::hint::black_box(index.resolve_one(&Tenant::shared(), &address));
        });
    }
    let family = TagQuery::new([Tag::new("@family", "y").unwrap()]).unwrap();
    for (what, query) in [("a number of all", TagQuery::default()), ("a number", family)] {
        costs_the_same(what, [&few, &many], |index| {
            std::hint::black_box(index.values(&Tenant::shared(), &query, "", 1000));
        });
    }
}
