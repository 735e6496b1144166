//! One test for each rule of the index; `model` compares the index with a naive implementation.

mod addresses;
mod expressions;
mod lists;
mod model;
mod random_expressions;
mod topics;

use super::{Index, JoinError, Resolved};
use crate::types::{
    Address, AddressLimit, Alias, Claim, Client, ClientClass, ClientUuid, ConnectionRef,
    Exclusivity, GrantNumber, Ident, JoinNumber, MatchOptions, NamedClient, Slot, SlotSet, Tag,
    TagQuery, Tags, Tenant, WorkerId,
};

fn place(worker: u16, slot: u32) -> ConnectionRef {
    ConnectionRef { worker: WorkerId(worker), slot: Slot(slot) }
}

fn uuid(number: u8) -> ClientUuid {
    ClientUuid([number; 16])
}

/// Parses tags from a text such as `room=1 lang=de`.
fn tags(text: &str) -> Tags {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    Tags::new(pairs.map(|(name, value)| Tag::new(name, value).unwrap())).unwrap()
}

fn web(number: u8, own: &str) -> Client {
    Client {
        tenant: Tenant::shared(),
        uuid: uuid(number),
        ident: None,
        tags: tags(own),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: "192.0.2.1".parse().unwrap(),
    }
}

fn named(number: u8, ident: &str) -> Client {
    Client { ident: Some(Ident::new(ident).unwrap()), ..web(number, "") }
}

fn php(number: u8, ident: &str) -> Client {
    Client { class: ClientClass::Php, tags: tags("room=1"), ..named(number, ident) }
}

fn echo(number: u8, ident: &str) -> Client {
    Client { takes_publications: false, tags: tags("room=1"), ..named(number, ident) }
}

/// Builds an index of clients at slots 0, 1, … of worker 0, with join numbers 100, 101, …
fn index(clients: &[Client]) -> Index {
    let mut index = Index::default();
    for (slot, client) in (0..).zip(clients) {
        index.join(place(0, slot), JoinNumber(100 + u64::from(slot)), client).unwrap();
    }
    index.is_consistent().unwrap();
    index
}

fn places(resolved: &Resolved) -> Vec<ConnectionRef> {
    let of = |(worker, slots): &(WorkerId, SlotSet)| {
        slots.iter().map(|slot| ConnectionRef { worker: *worker, slot }).collect::<Vec<_>>()
    };
    resolved.sets.iter().flat_map(of).collect()
}

fn reached(index: &Index, address: &Address) -> Vec<ConnectionRef> {
    places(&index.resolve(&Tenant::shared(), address))
}

fn query(text: &str) -> Address {
    Address::matching(tags(text))
}

fn by_ident(ident: &str) -> Address {
    Address::first(None, Some(Ident::new(ident).unwrap()))
}

/// Asserts that the index is consistent and contains nothing.
fn assert_empty(index: &Index) {
    index.is_consistent().unwrap();
    assert_eq!((index.columns.iter().count(), index.topics.iter().count()), (0, 0));
    let left = (index.clients(), index.tenants.len(), index.rows.len());
    assert_eq!(left, (0, 0, 0));
    assert_eq!((index.idents.tenants().count(), index.uuids.len()), (0, 0));
}

#[test]
fn a_query_reaches_clients_that_have_all_of_its_tags() {
    let index = index(&[web(1, "room=1 lang=de"), web(2, "room=1 lang=en"), web(3, "lang=de")]);
    assert_eq!(reached(&index, &query("room=1")), [place(0, 0), place(0, 1)]);
    assert_eq!(reached(&index, &query("lang=de room=1")), [place(0, 0)]);
    assert_eq!(reached(&index, &query("room=2")), []);
    assert_eq!(reached(&index, &query("room=1 colour=red")), []);
}

#[test]
fn an_empty_query_reaches_all_clients_even_without_tags() {
    let index = index(&[web(1, "room=1"), web(2, "")]);
    assert_eq!(reached(&index, &Address::everyone()), [place(0, 0), place(0, 1)]);
}

#[test]
fn php_clients_are_reached_by_uuid_and_ident_only() {
    let index = index(&[php(1, "script"), web(2, "room=1")]);
    assert_eq!(reached(&index, &Address::everyone()), [place(0, 1)]);
    assert_eq!(reached(&index, &query("room=1")), [place(0, 1)]);
    assert_eq!(reached(&index, &by_ident("script")), [place(0, 0)]);
    assert_eq!(reached(&index, &Address::first(Some(uuid(1)), None)), [place(0, 0)]);
}

#[test]
fn nothing_reaches_a_client_that_takes_no_publications() {
    let index = index(&[echo(1, "own"), php(2, "own")]);
    assert_eq!(reached(&index, &Address::everyone()), []);
    assert_eq!(reached(&index, &query("room=1")), []);
    assert_eq!(reached(&index, &Address::first(Some(uuid(1)), None)), []);
    assert_eq!(reached(&index, &by_ident("own")), [place(0, 1)]);
}

#[test]
fn nothing_crosses_between_tenants() {
    let other = Tenant("other".into());
    let stranger = Client { tenant: other.clone(), tags: tags("room=1"), ..named(1, "own") };
    let index = index(&[Client { tags: tags("room=1"), ..named(1, "own") }, stranger]);
    let by_uuid = Address::first(Some(uuid(1)), None);
    for address in [Address::everyone(), query("room=1"), by_ident("own"), by_uuid] {
        assert_eq!(reached(&index, &address), [place(0, 0)]);
        assert_eq!(places(&index.resolve(&other, &address)), [place(0, 1)]);
        assert_eq!(places(&index.resolve(&Tenant("third".into()), &address)), []);
    }
}

#[test]
fn an_ident_means_its_oldest_client_and_then_the_next() {
    let mut index = Index::default();
    let order = [(5, 30), (1, 10), (3, 20)];
    for (slot, number) in order {
        let client = named(u8::try_from(slot).unwrap(), "own");
        index.join(place(9 - slot, u32::from(slot)), JoinNumber(number), &client).unwrap();
    }
    for slot in [1, 3, 5] {
        assert_eq!(reached(&index, &by_ident("own")), [place(9 - slot, u32::from(slot))]);
        index.leave(place(9 - slot, u32::from(slot))).unwrap();
        index.is_consistent().unwrap();
    }
    assert_eq!(reached(&index, &by_ident("own")), []);
    assert_empty(&index);
}

#[test]
fn uuid_or_ident_reach_one_client_and_the_older_of_two() {
    let index = index(&[named(1, "old"), named(2, "young")]);
    let both = |number, ident| Address::first(Some(uuid(number)), Some(Ident::new(ident).unwrap()));
    assert_eq!(reached(&index, &both(2, "old")), [place(0, 0)]);
    assert_eq!(reached(&index, &both(1, "young")), [place(0, 0)]);
    assert_eq!(reached(&index, &both(9, "young")), [place(0, 1)]);
    assert_eq!(reached(&index, &both(2, "nobody")), [place(0, 1)]);
    assert_eq!(reached(&index, &Address::first(None, None)), []);
    assert!(index.resolve(&Tenant::shared(), &both(9, "nobody")).single);
}

#[test]
fn the_excluded_client_is_reported_only_where_it_was_addressed() {
    let index = index(&[web(1, "room=1"), web(2, "room=2"), php(3, "script")]);
    let but = |number, query: TagQuery| Address {
        except: Some(uuid(number)),
        ..Address::matching(query)
    };
    let resolve = |address: &Address| index.resolve(&Tenant::shared(), address);
    let everyone = resolve(&but(1, Tags::default()));
    assert_eq!(places(&everyone), [place(0, 0), place(0, 1)]);
    assert_eq!((everyone.except, everyone.single), (Some(place(0, 0)), false));
    assert_eq!(resolve(&but(2, tags("room=1"))).except, None);
    assert_eq!(resolve(&but(3, Tags::default())).except, None);
    assert_eq!(resolve(&but(9, Tags::default())).except, None);
}

#[test]
fn no_other_client_replaces_an_excluded_first_one() {
    let index = index(&[named(1, "own"), named(2, "own")]);
    let address = |but| Address { except: Some(uuid(but)), ..by_ident("own") };
    let none = index.resolve(&Tenant::shared(), &address(1));
    assert_eq!((none.sets, none.except), (vec![], None));
    assert_eq!(reached(&index, &address(2)), [place(0, 0)]);
}

#[test]
fn a_taken_place_and_a_known_uuid_are_refused_and_change_nothing() {
    let mut index = index(&[web(1, "room=1")]);
    let stranger = Client { tenant: Tenant("other".into()), ..web(2, "room=2") };
    let taken = index.join(place(0, 0), JoinNumber(7), &stranger);
    assert_eq!(taken, Err(JoinError::PlaceTaken { place: place(0, 0) }));
    let known = index.join(place(1, 1), JoinNumber(7), &web(1, "room=2"));
    assert_eq!(known, Err(JoinError::UuidKnown { uuid: uuid(1) }));
    index.is_consistent().unwrap();
    assert_eq!((index.clients(), index.rows.len(), index.tenants.len()), (1, 1, 1));
    assert_eq!(reached(&index, &query("room=1")), [place(0, 0)]);
}

#[test]
fn a_removed_client_frees_its_slot_and_uuid() {
    let mut index = index(&[web(1, "room=1"), php(2, "script"), echo(3, "own")]);
    assert_eq!(index.leave(place(0, 9)), None);
    assert_eq!(index.leave(place(0, 0)), Some(JoinNumber(100)));
    assert_eq!(index.leave(place(0, 0)), None);
    assert_eq!(reached(&index, &Address::everyone()), []);
    index.join(place(0, 0), JoinNumber(200), &web(1, "room=2")).unwrap();
    (0..3).for_each(|slot| assert!(index.leave(place(0, slot)).is_some()));
    assert_empty(&index);
}

#[test]
fn other_tags_take_the_place_of_the_old_ones() {
    let mut index = index(&[web(1, "room=1 lang=de"), php(2, "script")]);
    assert!(index.retag(place(0, 0), &tags("lang=de room=2")));
    assert!(index.retag(place(0, 1), &tags("room=2")));
    assert!(!index.retag(place(0, 2), &tags("room=2")));
    index.is_consistent().unwrap();
    for (text, expected) in [("room=1", vec![]), ("room=2 lang=de", vec![place(0, 0)])] {
        assert_eq!(reached(&index, &query(text)), expected);
    }
    assert!(index.retag(place(0, 0), &Tags::default()));
    assert_eq!(reached(&index, &Address::everyone()), [place(0, 0)]);
    assert_eq!(index.rows.len(), 0);
    index.remove_worker(WorkerId(0));
    assert_empty(&index);
}

#[test]
fn removing_a_worker_removes_only_its_own_clients() {
    let mut index = Index::default();
    for number in 0..600_u32 {
        let mut client = named(0, "own");
        client.uuid = ClientUuid(u128::from(number).to_le_bytes());
        client.tags = tags("room=1");
        let worker = u16::from(number % 3 == 0);
        index.join(place(worker, number), JoinNumber(number.into()), &client).unwrap();
    }
    assert_eq!((index.clients_of(WorkerId(0)), index.clients_of(WorkerId(1))), (400, 200));
    assert_eq!(index.remove_worker(WorkerId(1)), 200);
    assert_eq!((index.remove_worker(WorkerId(1)), index.clients_of(WorkerId(1))), (0, 0));
    index.is_consistent().unwrap();
    assert_eq!(reached(&index, &query("room=1")).len(), 400);
    assert_eq!(reached(&index, &by_ident("own")), [place(0, 1)]);
    assert_eq!(index.remove_worker(WorkerId(0)), 400);
    assert_empty(&index);
}

#[test]
fn any_slot_can_be_used() {
    let mut index = Index::default();
    for (number, slot) in [(1, 0), (2, 255), (3, 256), (4, u32::MAX)] {
        index.join(place(u16::MAX, slot), JoinNumber(1), &named(number, "own")).unwrap();
    }
    index.is_consistent().unwrap();
    assert_eq!(reached(&index, &Address::everyone()).last(), Some(&place(u16::MAX, u32::MAX)));
    assert_eq!(index.remove_worker(WorkerId(u16::MAX)), 4);
    assert_empty(&index);
}

#[test]
fn the_values_of_a_tag_are_those_of_the_matching_clients() {
    let mut index = index(&[
        web(1, "room=1 nick=anna"),
        web(2, "room=1 nick=berta"),
        web(3, "room=1"),
        web(4, "room=2 nick=carl"),
        php(5, "script"),
    ]);
    let other = Client { tenant: Tenant("b".into()), ..web(6, "room=1 nick=dora") };
    index.join(place(1, 0), JoinNumber(9), &other).unwrap();
    let values = |query: &str, tag: &str, wanted| {
        let mut carried = index.values(&Tenant::shared(), &tags(query), tag, wanted);
        carried.values.sort();
        (carried.clients, carried.values.join(" "))
    };
    assert_eq!(values("room=1", "nick", 9), (3, "anna berta".to_owned()));
    assert_eq!(values("", "nick", 9), (4, "anna berta carl".to_owned()));
    assert_eq!(values("room=1", "nick", 1).0, 3);
    assert_eq!(values("room=3", "nick", 9), (0, String::new()));
    assert_eq!(values("room=1", "", 9), (3, String::new()));
}

fn claim(text: &str, keeping: Exclusivity) -> Claim {
    Claim { alias: Alias::new(text).unwrap(), keeping }
}

/// Returns the slot that an alias resolves to.
fn called(index: &Index, text: &str) -> Option<Slot> {
    let named = NamedClient { alias: Alias::new(text).ok(), ..NamedClient::default() };
    index.resolve_one(&Tenant::shared(), &Address::named(named)).map(|place| place.slot)
}

/// The later grant wins, whichever worker announces first.
#[test]
fn of_two_clients_that_announce_an_alias_the_later_grant_wins() {
    for order in [[(0, 5), (1, 7)], [(1, 7), (0, 5)]] {
        let mut index = index(&[web(1, ""), web(2, "")]);
        for (slot, grant) in order {
            index.restore(place(0, slot), &claim("u1", Exclusivity::Alone), GrantNumber(grant));
        }
        index.is_consistent().unwrap();
        assert_eq!(called(&index, "u1"), Some(Slot(1)));
        assert_eq!(index.leave(place(0, 1)), Some(JoinNumber(101)));
        assert_eq!(called(&index, "u1"), None);
    }
}

#[test]
fn a_shared_alias_is_that_of_the_oldest_and_then_of_the_next() {
    let mut index = index(&[web(1, ""), web(2, "")]);
    for slot in [1, 0] {
        let claim = claim("u1", Exclusivity::Shared);
        assert!(index.claim(place(0, slot), &claim, GrantNumber(1)));
    }
    assert_eq!(called(&index, "u1"), Some(Slot(0)));
    let alone = claim("u1", Exclusivity::Alone);
    assert!(!index.claim(place(0, 1), &alone, GrantNumber(2)));
    index.leave(place(0, 0));
    assert_eq!(called(&index, "u1"), Some(Slot(1)));
}

/// The lookup is made before and after each change, because the groups must be kept up to date.
#[test]
fn a_lookup_by_options_finds_the_first_that_joined_of_those_left() {
    let mut index = index(&[
        echo(1, "5"),
        php(2, "5.0"),
        web(3, ""),
        named(4, " 5"),
        named(5, "five"),
        named(6, "5e0"),
    ]);
    let found = |index: &Index, options, ident: &str| {
        let named =
            NamedClient { ident: Ident::new(ident).ok(), options, ..NamedClient::default() };
        let one = index.resolve_one(&Tenant::shared(), &Address::named(named));
        index.is_consistent().unwrap();
        one.map(|place| place.slot.0)
    };
    assert_eq!(found(&index, MatchOptions::SAME_NUMBER, "+5"), Some(1));
    assert_eq!(found(&index, MatchOptions::ANY_WEB, "none"), Some(2));
    assert_eq!(found(&index, MatchOptions::ANY_IDENT, "none"), Some(1));
    index.leave(place(0, 1));
    assert_eq!(found(&index, MatchOptions::SAME_NUMBER, "5"), Some(3));
    assert_eq!(found(&index, MatchOptions::ANY_IDENT, "none"), Some(3));
    index.leave(place(0, 2));
    assert_eq!(found(&index, MatchOptions::ANY_WEB, "none"), Some(3));
    // A worker announces a client that joined before all others.
    index.join(place(7, 0), JoinNumber(1), &named(9, "0005")).unwrap();
    assert_eq!(found(&index, MatchOptions::SAME_NUMBER, "5"), Some(0));
    assert_eq!(found(&index, MatchOptions::SAME_NUMBER, "6"), None);
    let other = Client { tenant: Tenant("b".into()), ..named(10, "6") };
    index.join(place(7, 1), JoinNumber(2), &other).unwrap();
    assert_eq!(
        found(&index, MatchOptions::SAME_NUMBER, "6"),
        None,
        "nothing crosses between tenants"
    );
    index.remove_worker(WorkerId(7));
    index.remove_worker(WorkerId(0));
    assert_eq!(found(&index, MatchOptions::ANY_WEB.and(MatchOptions::ANY_IDENT), "5"), None);
    assert_empty(&index);
}

#[test]
fn a_number_of_clients_is_known_and_a_value_is_found_among_many_tags() {
    let many = |number: u8| (0..120).map(move |tag| format!("{tag:03}={number}"));
    let own = |number: u8| many(number).chain([format!("@peer={number}"), "z=1".to_owned()]);
    let text = |number: u8| own(number).collect::<Vec<_>>().join(" ");
    let index = index(&[web(1, &text(1)), web(2, &text(2)), web(3, "z=1"), php(4, "x")]);
    let values = |query: &str, tag: &str| {
        let mut carried = index.values(&Tenant::shared(), &tags(query), tag, 9);
        carried.values.sort();
        (carried.clients, carried.values.join(" "))
    };
    assert_eq!(values("z=1", "@peer"), (3, "1 2".to_owned()));
    assert_eq!(values("z=1", "119"), (3, "1 2".to_owned()));
    assert_eq!(values("z=1", "zz"), (3, String::new()));
    assert_eq!(values("z=1", ""), (3, String::new()));
    assert_eq!(values("z=1 000=2", ""), (1, String::new()));
    assert_eq!(values("", ""), (3, String::new()));
    assert_eq!(values("none=1", ""), (0, String::new()));
}
