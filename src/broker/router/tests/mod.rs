//! The rules of the link, tested from the broker's side.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;

use super::*;

mod commands;
mod ids_of_hosts;
mod moves;
mod presence;
mod recoveries;
use crate::broker::resolve_cache::RouteCounts;
use crate::link::codec::MessageDecoder;
use crate::link::message::{CountedPublication, DeliverTo, SetName, VERSION};
use crate::types::{
    Address, AddressLimit, Client, ClientClass, ClientUuid, Content, Generation, Ident, JoinNumber,
    PayloadForm, Publication, Sequence, Slot, Tag, TagVersion, Tags, Tenant,
};

fn source(worker: u16) -> WorkerIncarnation {
    WorkerIncarnation { worker: WorkerId(worker), generation: Generation(1) }
}

fn client(byte: u8) -> Client {
    Client {
        tenant: Tenant::shared(),
        uuid: ClientUuid([byte; 16]),
        ident: Ident::new("name").ok(),
        tags: Tags::new([Tag::new("n", &byte.to_string()).unwrap()]).unwrap(),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn publish(number: u64, address: Address) -> ToBroker {
    let content = Content { form: PayloadForm::Message, payload: Bytes::from_static(b"1") };
    let publication = Publication { tenant: Tenant::shared(), address, content };
    ToBroker::Publish { number: Number(number), publication }
}

/// Creates a router with this number of workers, none of which has clients.
fn router(workers: u16) -> Router {
    let mut router = Router::awaiting([]);
    for worker in 0..workers {
        greet(&mut router, worker);
        say(&mut router, worker, ToBroker::Announced { sequence: Sequence(0) });
    }
    router
}

fn greet(router: &mut Router, worker: u16) {
    router.linked(source(worker));
    say(router, worker, ToBroker::Hello { version: VERSION, source: source(worker) });
}

fn say(router: &mut Router, worker: u16, message: ToBroker) {
    router.on_message(source(worker), message).unwrap();
    assert!(router.resume(&mut |_| false).is_continue());
}

fn join(router: &mut Router, worker: u16, slot: u32, byte: u8) {
    say(router, worker, ToBroker::Join { slot: Slot(slot), client: client(byte) });
}

/// Returns the messages that are pending for a worker's link, and marks them as written.
fn told(router: &mut Router, worker: u16) -> Vec<ToWorker> {
    let member = router.worker_mut(WorkerId(worker)).unwrap();
    let mut inbox = MessageDecoder::default();
    inbox.extend(member.out.pending());
    let bytes = member.out.pending().len();
    member.out.advance(bytes);
    std::iter::from_fn(|| inbox.take().unwrap()).collect()
}

fn deliveries(told: &[ToWorker]) -> Vec<(u64, DeliverTo)> {
    let each = told.iter().filter_map(|message| match message {
        ToWorker::Deliver(deliver) => Some((deliver.number.0, deliver.target)),
        _ => None,
    });
    each.collect()
}

fn is_acknowledged(told: &[ToWorker], number: u64) -> bool {
    told.contains(&ToWorker::Acknowledged { up_to: Number(number) })
}

#[test]
fn a_client_is_addressable_before_its_join_is_answered() {
    let mut router = router(2);
    join(&mut router, 0, 3, 1);
    say(&mut router, 1, publish(1, Address::everyone()));
    let told = told(&mut router, 0);
    assert!(matches!(
        told.first(),
        Some(ToWorker::Joined { slot: Slot(3), own: 1, smallest: 0, .. })
    ));
    assert_eq!(deliveries(&told).len(), 1);
}

#[test]
fn an_acknowledgement_waits_for_the_links_of_all_other_workers() {
    let mut router = router(2);
    join(&mut router, 0, 0, 1);
    join(&mut router, 1, 0, 2);
    say(&mut router, 0, publish(1, Address::everyone()));
    router.end_turn();
    assert!(!is_acknowledged(&told(&mut router, 0), 1), "worker 1 has not taken its delivery");
    told(&mut router, 1);
    router.acknowledge();
    assert!(is_acknowledged(&told(&mut router, 0), 1));
}

#[test]
fn a_count_comes_only_with_the_acknowledgement_of_its_publication() {
    let mut router = router(2);
    join(&mut router, 0, 0, 1);
    join(&mut router, 1, 0, 2);
    join(&mut router, 1, 1, 3);
    told(&mut router, 0);
    told(&mut router, 1);
    let counted = |router: &mut Router, number, address| {
        say(router, 0, ToBroker::Count { clients_max: None, tracking: None });
        say(router, 0, publish(number, address));
    };
    counted(&mut router, 1, Address::everyone_but(ClientUuid([2; 16])));
    say(&mut router, 0, publish(2, Address::everyone()));
    counted(&mut router, 3, Address::first(Some(ClientUuid([9; 16])), None));
    router.end_turn();
    let reached = |told: Vec<ToWorker>| -> Vec<_> {
        let each = told.into_iter().filter_map(|message| match message {
            ToWorker::Reached(counted) => Some((counted.number.0, counted.clients)),
            _ => None,
        });
        each.collect()
    };
    assert_eq!(reached(told(&mut router, 0)), [], "worker 1 has not taken its deliveries");
    told(&mut router, 1);
    router.acknowledge();
    assert_eq!(reached(told(&mut router, 0)), [(1, 2), (3, 0)]);
}

#[test]
fn a_repeat_that_was_delivered_before_counts_as_one() {
    let mut router = Router::awaiting([source(0)]);
    greet(&mut router, 0);
    let numbers = vec![Number(7)];
    say(&mut router, 0, ToBroker::Seen { source: source(0), numbers });
    say(&mut router, 0, ToBroker::Announced { sequence: Sequence(7) });
    say(&mut router, 0, ToBroker::Count { clients_max: None, tracking: None });
    say(&mut router, 0, publish(7, Address::first(Some(ClientUuid([9; 16])), None)));
    router.end_turn();
    router.acknowledge();
    let counted = RouteCounts::ONE.of(Number(7));
    let reached = ToWorker::Reached(CountedPublication { away: Some(false), ..counted });
    assert!(told(&mut router, 0).contains(&reached));
}

#[test]
fn a_dead_worker_holds_up_no_acknowledgement() {
    let mut router = router(2);
    join(&mut router, 1, 0, 2);
    say(&mut router, 0, publish(1, Address::everyone()));
    router.end_turn();
    router.remove_worker(source(1));
    router.acknowledge();
    assert!(is_acknowledged(&told(&mut router, 0), 1));
}

#[test]
fn a_set_is_named_again_in_each_turn_and_after_each_join() {
    let mut router = router(1);
    join(&mut router, 0, 0, 1);
    say(&mut router, 0, publish(1, Address::everyone()));
    say(&mut router, 0, publish(2, Address::everyone()));
    let sets = |told: &[ToWorker]| {
        told.iter().filter(|message| matches!(message, ToWorker::Set { .. })).count()
    };
    assert_eq!(sets(&told(&mut router, 0)), 1);
    join(&mut router, 0, 1, 2);
    say(&mut router, 0, publish(3, Address::everyone()));
    let after_join = told(&mut router, 0);
    assert_eq!(sets(&after_join), 1);
    let target = DeliverTo::Set { name: SetName(1), except: None };
    assert_eq!(deliveries(&after_join), [(3, target)]);
    router.end_turn();
    say(&mut router, 0, publish(4, Address::everyone()));
    let next_turn = told(&mut router, 0);
    assert!(next_turn.contains(&ToWorker::Batch));
    assert_eq!(sets(&next_turn), 1);
}

#[test]
fn a_new_broker_resolves_nothing_before_all_workers_announced_or_died() {
    let mut router = Router::awaiting([source(0), source(1), source(2)]);
    greet(&mut router, 0);
    let (slot, number) = (Slot(4), JoinNumber(9));
    say(&mut router, 0, ToBroker::Announce { slot, number, client: client(1) });
    say(&mut router, 0, ToBroker::Announced { sequence: Sequence(70) });
    say(&mut router, 0, publish(12, Address::everyone()));
    join(&mut router, 0, 5, 5);
    assert_eq!(told(&mut router, 0), []);
    greet(&mut router, 1);
    say(&mut router, 1, ToBroker::Announce { slot, number: JoinNumber(3), client: client(2) });
    say(&mut router, 1, ToBroker::Announced { sequence: Sequence(60) });
    assert!(!router.is_resolving());
    router.remove_worker(source(2));
    assert!(router.resume(&mut |_| false).is_continue());
    let first = told(&mut router, 0);
    assert_eq!(deliveries(&first).len(), 1);
    assert_eq!(deliveries(&told(&mut router, 1)).len(), 1);
    let sequence = first.iter().find_map(|message| match message {
        ToWorker::Deliver(deliver) => Some(deliver.sequence),
        _ => None,
    });
    assert_eq!(sequence, Some(Sequence(71)), "the line goes on");
    let next = JoinNumber(9 + TagVersion::STEP + 1);
    let is_next = |it: &ToWorker| matches!(it, ToWorker::Joined { slot: Slot(5), number, .. } if *number == next);
    assert!(first.iter().any(is_next));
}

#[test]
fn a_repeat_of_a_single_delivery_reaches_no_second_client() {
    let mut router = Router::awaiting([source(0), source(1)]);
    let named = |worker: u16| ToBroker::Announce {
        slot: Slot(1),
        number: JoinNumber(u64::from(worker) + 1),
        client: client(u8::try_from(worker).unwrap()),
    };
    for worker in [0, 1] {
        greet(&mut router, worker);
        say(&mut router, worker, named(worker));
    }
    say(&mut router, 1, ToBroker::Seen { source: source(0), numbers: vec![Number(7)] });
    for worker in [0, 1] {
        say(&mut router, worker, ToBroker::Announced { sequence: Sequence(0) });
    }
    let to_name = Address::first(None, Ident::new("name").ok());
    say(&mut router, 0, publish(7, to_name.clone()));
    say(&mut router, 0, publish(8, to_name));
    router.end_turn();
    let told = told(&mut router, 0);
    assert_eq!(deliveries(&told), [(8, DeliverTo::One(Slot(1)))]);
    assert!(is_acknowledged(&told, 8));
}

#[test]
fn only_the_broker_frees_a_slot_and_tenants_are_isolated() {
    let mut router = router(1);
    join(&mut router, 0, 0, 1);
    let stranger = Client { tenant: Tenant("other".into()), ..client(2) };
    say(&mut router, 0, ToBroker::Join { slot: Slot(1), client: stranger });
    told(&mut router, 0);
    say(&mut router, 0, publish(1, Address::everyone()));
    say(&mut router, 0, ToBroker::Leave { slot: Slot(0) });
    say(&mut router, 0, publish(2, Address::everyone()));
    let told = told(&mut router, 0);
    assert_eq!(deliveries(&told).len(), 1);
    assert_eq!(told.last(), Some(&ToWorker::Left { slot: Slot(0) }));
}

#[test]
fn a_worker_that_breaks_the_rules_loses_its_link() {
    let mut router = router(1);
    join(&mut router, 0, 0, 1);
    let again = ToBroker::Join { slot: Slot(0), client: client(2) };
    assert_eq!(router.on_message(source(0), again), Err(ProtocolError::Taken(Slot(0))));
    say(&mut router, 0, publish(5, Address::everyone()));
    let repeat = publish(5, Address::everyone());
    assert_eq!(router.on_message(source(0), repeat), Err(ProtocolError::Disorder(Number(5))));
    let late = ToBroker::Announced { sequence: Sequence(0) };
    assert!(router.on_message(source(0), late).is_err());
    router.linked(source(1));
    let hello = ToBroker::Hello { version: VERSION, source: source(2) };
    assert_eq!(router.on_message(source(1), hello), Err(ProtocolError::OtherWorker(source(2))));
}

#[test]
fn what_was_held_back_is_done_in_parts_and_before_what_comes_meanwhile() {
    let mut router = Router::awaiting([source(0), source(1)]);
    greet(&mut router, 0);
    say(&mut router, 0, ToBroker::Announced { sequence: Sequence(0) });
    join(&mut router, 0, 1, 1);
    (1..=10).for_each(|number| say(&mut router, 0, publish(number, Address::everyone())));
    assert!(!router.is_behind(), "another worker is awaited");
    router.remove_worker(source(1));
    assert!(router.is_resolving() && router.is_behind());
    let mut done = 0;
    let mut after_three = |_| {
        done += 1;
        done >= 3
    };
    assert!(router.resume(&mut after_three).is_break());
    router.on_message(source(0), publish(11, Address::everyone())).unwrap();
    let numbers = |told: &[ToWorker]| deliveries(told).iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(numbers(&told(&mut router, 0)), [1, 2]);
    router.end_turn();
    assert!(is_acknowledged(&told(&mut router, 0), 2), "what was resolved is acknowledged");
    assert!(router.resume(&mut |_| false).is_continue());
    assert_eq!(numbers(&told(&mut router, 0)), (3..=11).collect::<Vec<_>>());
    assert!(!router.is_behind());
}

/// Three clients of the same ident on worker 0, which dies, and one on worker 1.
fn after_a_death() -> Router {
    let mut router = router(3);
    (0..3).for_each(|slot| join(&mut router, 0, slot, u8::try_from(slot).unwrap()));
    join(&mut router, 1, 0, 9);
    (0..3).for_each(|worker| drop(told(&mut router, worker)));
    router.remove_worker(source(0));
    router
}

/// Removes one more client; false when none is left.
fn remove_one(router: &mut Router) -> bool {
    let outcome = router.remove_departed(&mut || true);
    assert!(router.resume(&mut |_| false).is_continue());
    assert_eq!(router.is_consistent(), Ok(()));
    outcome.is_break()
}

#[test]
fn clients_of_a_dead_worker_stop_counting_before_they_are_removed() {
    let mut router = after_a_death();
    assert_eq!((router.clients(), figures::counts(&router).clients), (1, 1));
    assert!(router.has_departed() && !router.is_free(WorkerId(0)));
    say(&mut router, 2, ToBroker::Count { clients_max: None, tracking: None });
    say(&mut router, 2, publish(1, Address::everyone()));
    say(&mut router, 2, publish(2, Address::first(Some(ClientUuid([1; 16])), None)));
    assert_eq!(deliveries(&told(&mut router, 1)).len(), 1);
    router.end_turn();
    let told = told(&mut router, 2);
    assert!(told.contains(&ToWorker::Reached(RouteCounts::ONE.of(Number(1)))), "{told:?}");
    assert!(is_acknowledged(&told, 2));
    assert_eq!((0..9).take_while(|_| remove_one(&mut router)).count(), 3);
    assert!(!router.has_departed() && router.is_free(WorkerId(0)));
}

#[test]
fn an_ident_passes_to_the_next_client_in_order_when_the_first_leaves() {
    let mut router = after_a_death();
    let name = Address::first(None, Ident::new("name").ok());
    say(&mut router, 2, publish(1, name));
    say(&mut router, 2, publish(2, Address::everyone()));
    assert_eq!(deliveries(&told(&mut router, 1)), [], "it waits, and what follows it");
    assert!(router.holds_back(source(2)) && !router.holds_back(source(1)));
    while remove_one(&mut router) {}
    let told = deliveries(&told(&mut router, 1));
    assert_eq!(told.iter().map(|it| it.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(told[0].1, DeliverTo::One(Slot(0)));
}

#[test]
fn departed_clients_do_not_count_against_the_limit() {
    let mut router = router(2);
    let limits = MaxConnections { max_clients: 2, max_per_ip: 2, ..MaxConnections::default() };
    router.limit(limits);
    (0..2).for_each(|slot| join(&mut router, 0, slot, u8::try_from(slot).unwrap()));
    router.remove_worker(source(0));
    join(&mut router, 1, 0, 1);
    assert_eq!(told(&mut router, 1), [], "its address is full, as far as is known");
    while remove_one(&mut router) {}
    let joined =
        |told: &[ToWorker]| told.iter().filter(|it| matches!(it, ToWorker::Joined { .. })).count();
    assert_eq!(joined(&told(&mut router, 1)), 1);
    join(&mut router, 1, 1, 2);
    join(&mut router, 1, 2, 3);
    let told = told(&mut router, 1);
    assert_eq!(joined(&told), 1);
    assert!(told.iter().any(|it| matches!(it, ToWorker::Refused { slot: Slot(2), .. })));
}

#[test]
fn a_client_of_a_dead_worker_may_come_back_with_its_uuid_at_once() {
    let mut router = after_a_death();
    join(&mut router, 1, 1, 2);
    assert!(matches!(told(&mut router, 1)[..], [ToWorker::Joined { slot: Slot(1), .. }]));
    say(&mut router, 2, publish(1, Address::first(Some(ClientUuid([2; 16])), None)));
    assert_eq!(deliveries(&told(&mut router, 1)), [(1, DeliverTo::One(Slot(1)))]);
    while remove_one(&mut router) {}
    assert_eq!(router.clients(), 2);
}
