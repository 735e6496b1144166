//! Pages of lists of clients.

use super::super::Index;
use super::{place, tags, web};
use crate::types::{
    Client, ClientClass, ClientPage, ClientTags, ClientUuid, Expression, Ident, JoinNumber,
    ListFilter, ListPosition, PageSize, ScannedTags, TagCount, TagScan, Tenant,
};

const ALL: PageSize = PageSize { clients: 1000, bytes: usize::MAX };

fn client(number: u32, text: &str) -> Client {
    let uuid = ClientUuid(u128::from(number).to_le_bytes());
    Client { uuid, tags: tags(text), ..web(0, "") }
}

/// Adds clients with these numbers, on two workers, in the reverse order.
fn crowd(numbers: impl DoubleEndedIterator<Item = u32>) -> Index {
    let mut index = Index::default();
    for (joined, number) in (1..).zip(numbers.rev()) {
        let tags = if number % 3 == 0 { "third=1 room=1" } else { "room=1" };
        let place = place(u16::from(number % 2 == 0), number);
        index.join(place, JoinNumber(joined), &client(number, tags)).unwrap();
    }
    index
}

fn page(
    index: &Index,
    filter: &ListFilter,
    after: Option<ListPosition>,
    size: PageSize,
) -> ClientPage {
    index.page(&Tenant::shared(), filter, after, size).unwrap()
}

/// Reads all pages of a list, and returns the slots of its clients.
fn slots(index: &Index, filter: &ListFilter, size: PageSize) -> Vec<u32> {
    let (mut slots, mut after) = (Vec::new(), None);
    loop {
        let page = page(index, filter, after, size);
        assert!(page.clients.len() <= size.clients);
        slots.extend(page.clients.iter().map(|client| client.position.place.slot.0));
        after = page.clients.last().map(|client| client.position);
        if !page.has_more {
            return slots;
        }
    }
}

#[test]
fn pages_of_any_size_have_each_client_once_by_worker_and_slot() {
    let index = crowd(0..200);
    let third = ListFilter::Expression(Expression::parse("third=1").unwrap());
    let expected: Vec<u32> = (0..200).filter(|n| n % 2 == 1).chain((0..200).step_by(2)).collect();
    let thirds: Vec<u32> = expected.iter().copied().filter(|n| n % 3 == 0).collect();
    for clients in [1, 7, 100, 199, 200, 201] {
        let size = PageSize { clients, ..ALL };
        assert_eq!(slots(&index, &ListFilter::Everyone, size), expected, "{clients}");
        assert_eq!(slots(&index, &third, size), thirds, "{clients}");
    }
    assert_eq!(page(&index, &third, None, PageSize { clients: 0, ..ALL }).matched, 67);
    let one_each = PageSize { bytes: 0, ..ALL };
    assert_eq!(slots(&index, &third, one_each), thirds, "a page is never empty for its size");
    let empty = page(&Index::default(), &ListFilter::Everyone, None, ALL);
    assert_eq!(empty, ClientPage::default());
}

#[test]
fn clients_with_one_name_are_listed_in_the_order_of_their_joins() {
    let mut index = Index::default();
    let ident = Ident::new("job").unwrap();
    for number in 0..50_u32 {
        let class = if number % 2 == 0 { ClientClass::Php } else { ClientClass::Web };
        let named = Client { ident: Some(ident.clone()), class, ..client(number, "room=1") };
        index.join(place(0, 50 - number), JoinNumber(u64::from(number)), &named).unwrap();
    }
    index.join(place(1, 1), JoinNumber(50), &client(50, "")).unwrap();
    let filter = ListFilter::Ident(ident);
    let expected: Vec<u32> = (1..=50).rev().collect();
    for clients in [1, 49, 50] {
        assert_eq!(slots(&index, &filter, PageSize { clients, ..ALL }), expected, "{clients}");
    }
    let all = page(&index, &filter, None, ALL);
    assert_eq!((all.matched, all.has_more), (50, false));
    let (php, web) = (&all.clients[0], &all.clients[1]);
    assert_eq!((php.class, php.tags.len()), (ClientClass::Php, 0), "tags do not reach it");
    assert_eq!((web.class, web.tags.value_of("room")), (ClientClass::Web, Some("1")));
    index.leave(place(0, 50));
    assert_eq!(page(&index, &filter, None, ALL).matched, 49);
    assert_eq!(index.is_consistent(), Ok(()));
}

/// Reads a whole list of tags in steps.
fn scanned(index: &Index, name: Option<&str>, after: Option<&str>, limit: usize) -> Vec<TagCount> {
    let mut scan = TagScan {
        name: name.map(Into::into),
        prefix: "".into(),
        after: after.map(Into::into),
        limit,
        before: None,
    };
    let mut all = Vec::new();
    loop {
        let ScannedTags { found, rest } = index.scan_tags(&Tenant::shared(), &scan);
        assert!(found.is_sorted() && found.len() <= limit);
        all.extend(found);
        if rest.is_none() {
            all.sort();
            all.truncate(limit);
            return all;
        }
        scan.before = rest;
    }
}

#[test]
fn tags_are_found_in_several_steps_with_their_counts() {
    let mut index = Index::default();
    for number in 0..25_000_u32 {
        let tags = format!("user=u{:05} half=h{}", number % 24_000, number % 2);
        index.join(place(0, number), JoinNumber(number.into()), &client(number, &tags)).unwrap();
    }
    let count = |text: &str, count| TagCount { text: text.into(), count };
    assert_eq!(scanned(&index, None, None, 10), [count("half", 2), count("user", 24_000)]);
    let halves = [count("h0", 12_500), count("h1", 12_500)];
    assert_eq!(scanned(&index, Some("half"), None, 10), halves);
    let users = scanned(&index, Some("user"), Some("u00998"), 3);
    assert_eq!(users, [count("u00999", 2), count("u01000", 1), count("u01001", 1)]);
    assert_eq!(scanned(&index, Some("user"), Some("u23999"), 3), []);
    assert_eq!(scanned(&index, Some("nothing"), None, 3), []);
    let stranger = Tenant("other".into());
    let tags = index.tags_of(&stranger, ClientUuid(0_u128.to_le_bytes()));
    assert_eq!(tags, ClientTags::Unknown);
}
