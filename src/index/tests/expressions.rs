//! Expressions at their limits, and among many clients.

use super::super::Index;
use super::{index, place, places, tags, web};
use crate::types::{
    Address, Client, ClientUuid, ConnectionRef, Expression, JoinNumber, Tenant, TooExpensive,
};

/// Returns what an expression reaches.
fn reached(index: &Index, text: &str) -> Vec<ConnectionRef> {
    let address = Address::expr(Expression::parse(text).unwrap());
    places(&index.resolve(&Tenant::shared(), &address))
}

fn client(number: u32, text: &str) -> Client {
    let uuid = ClientUuid(u128::from(number).to_le_bytes());
    Client { uuid, tags: tags(text), ..web(0, "") }
}

/// Adds clients with these numbers, on two workers, with a tag whose value is the number.
fn join(index: &mut Index, numbers: impl Iterator<Item = u32>, name: &str) {
    for number in numbers {
        let client = client(number, &format!("{name}={number}"));
        index.join(at(number), JoinNumber(number.into()), &client).unwrap();
    }
}

fn at(number: u32) -> ConnectionRef {
    place(u16::from(number % 2 == 1), number / 2)
}

/// Case A174.
#[test]
fn existence_is_right_with_as_many_values_as_a_union_has_and_with_more() {
    let mut index = Index::default();
    index.columns.union_max = 1000;
    let has_list = |index: &Index| index.columns.iter().any(|(_, it)| it.clients().is_some());
    let all = |count: u32| {
        let mut all: Vec<_> = (0..count).map(at).collect();
        all.sort_unstable();
        all
    };
    join(&mut index, 0..999, "user");
    for (count, is_listed) in [(999, false), (1000, false), (1001, true), (1002, true)] {
        let known = u32::try_from(index.clients()).unwrap();
        join(&mut index, known..count, "user");
        assert_eq!(reached(&index, "user?"), all(count));
        assert_eq!(reached(&index, "!user?"), []);
        assert_eq!(has_list(&index), is_listed, "{count}");
    }
    for left in (400..1002).rev() {
        index.leave(at(left)).unwrap();
        if [1001, 1000, 999, 501, 500, 499, 400].contains(&left) {
            assert_eq!(reached(&index, "user?"), all(left));
            index.is_consistent().unwrap();
        }
    }
    assert!(!has_list(&index), "it is given up when half of the values are left");
}

#[test]
fn a_client_that_changes_its_value_keeps_the_tag() {
    let mut index = Index::default();
    index.columns.union_max = 1000;
    let all = |count: u32| {
        let mut all: Vec<_> = (0..count).map(at).collect();
        all.sort_unstable();
        all
    };
    join(&mut index, 0..1001, "user");
    assert!(index.retag(at(7), &tags("user=9")));
    assert_eq!(reached(&index, "user?"), all(1001));
    assert!(index.retag(at(1000), &tags("")));
    assert_eq!(reached(&index, "user?"), all(1000));
    assert_eq!(reached(&index, "user in (7,9,999)").len(), 3);
    index.is_consistent().unwrap();
}

/// Case A173.
#[test]
fn a_prefix_scans_as_many_values_as_the_limit_allows() {
    let mut index = Index::default();
    index.limit_scan(500);
    join(&mut index, 0..500, "user");
    let expression = |text: &str| Expression::parse(text).unwrap();
    let evaluate = |index: &Index, text: &str| {
        let found = index.evaluate(&Tenant::shared(), &expression(text));
        found.map(|sets| sets.iter().map(|(_, slots)| slots.iter().count()).sum::<usize>())
    };
    assert_eq!(evaluate(&index, "user=49*"), Ok(11));
    let twice = Err(TooExpensive { values: 1000, limit: 500 });
    assert_eq!(evaluate(&index, "user=49* | user=4*"), twice);
    join(&mut index, 500..501, "user");
    let more = TooExpensive { values: 501, limit: 500 };
    assert_eq!(evaluate(&index, "user=49* & none=x*"), Err(more));
    assert_eq!(evaluate(&index, "user? & !user in (1,2)"), Ok(499));
    assert_eq!(
        more.to_string(),
        "the prefixes of the expression would scan 501 values, the limit is 500 (exprScanMax)"
    );
    let address = Address::expr(expression("user=49*"));
    assert!(index.resolve(&Tenant::shared(), &address).sets.is_empty());
    assert_eq!(evaluate(&index, "user=1*"), Err(more));
    let stranger = Tenant("other".into());
    assert_eq!(index.evaluate(&stranger, &expression("user=49*")), Ok(Vec::new()));
}

#[test]
fn an_expression_reaches_no_other_tenant_and_leaves_out_one_client() {
    let mut index = index(&[web(1, "room=1"), web(2, "room=2"), web(3, "")]);
    let other = Client { tenant: Tenant("other".into()), ..web(4, "room=1") };
    index.join(place(1, 0), JoinNumber(9), &other).unwrap();
    assert_eq!(reached(&index, "!room=1"), [place(0, 1), place(0, 2)]);
    assert_eq!(reached(&index, "room?"), [place(0, 0), place(0, 1)]);
    let address = Address::expr(Expression::parse("room?").unwrap()).but(web(2, "").uuid);
    let resolved = index.resolve(&Tenant::shared(), &address);
    assert_eq!((resolved.except, resolved.clients()), (Some(place(0, 1)), 1));
}

/// Large sets, so that dense and compressed bitmaps are combined, and lookups one by one.
#[test]
fn thousands_of_clients_are_found_like_one_by_one() {
    let mut index = Index::default();
    let mut clients = Vec::new();
    for number in 0..20_000_u32 {
        let text = format!("lang={} plan={} room={}", number % 3, number / 7 % 4, number % 500);
        let text = if number % 11 == 0 { format!("{text} beta={}", number % 77) } else { text };
        let client = client(number, &text);
        index.join(at(number), JoinNumber(number.into()), &client).unwrap();
        clients.push((at(number), client.tags));
    }
    clients.sort_by_key(|(place, _)| *place);
    for text in [
        "lang=1 & !(plan=2 | plan=3)",
        "!(lang=1 | room=7)",
        "beta? & lang=1 & !room=22",
        "room in (1,2,3,450) & (plan=1 | beta=11)",
        "room=4* & !beta? | lang=0 & plan=0",
        "!(lang=1 & plan=1) & !(room=33 & beta?)",
        "room=7 & !(lang=1 & plan? | beta=7*)",
        "!beta? | !lang=1",
        "lang? & !lang=2",
        "none? & lang=1",
        "lang=1 & !none?",
    ] {
        let expression = Expression::parse(text).unwrap();
        let matching = clients.iter().filter(|(_, tags)| expression.matches(tags));
        let expected: Vec<ConnectionRef> = matching.map(|(place, _)| *place).collect();
        assert_eq!(reached(&index, text), expected, "{text}");
    }
}
