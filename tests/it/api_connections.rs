//! Lists of clients by HTTP: which clients they show, and what becomes of them while clients come and go.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::api::{AUTH, Clients, LIST, OTHER, PUBLISH, SHOP, SHOP_SECRET, head, setup};
use crate::harness::{Open, Raw, Server, eventually};

fn list(server: &Server, query: &str) -> Value {
    let answer = server.call("GET", &format!("{LIST}{query}"), &[SHOP]);
    assert_eq!(answer.status(), 200, "{query}: {}", answer.body);
    answer.json()
}

/// The texts of the UUIDs of a page.
fn uuids(page: &Value) -> Vec<String> {
    let connections = page["connections"].as_array().unwrap();
    connections.iter().map(|client| client["uuid"].as_str().unwrap().to_owned()).collect()
}

fn set<'a>(uuids: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    uuids.into_iter().cloned().collect()
}

/// All pages of a list; `between` is called before each page but the first.
fn pages(server: &Server, query: &str, mut between: impl FnMut()) -> Vec<Value> {
    let mut pages = vec![list(server, query)];
    while let Some(cursor) = pages.last().unwrap()["cursor"].as_str() {
        between();
        pages.push(list(server, &format!("{query}&cursor={cursor}")));
    }
    pages
}

/// A89, A92.
#[test]
fn a_list_shows_the_clients_that_tags_reach() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let page = list(&server, "");
    assert_eq!((&page["matched"], &page["cursor"]), (&json!(3), &Value::Null));
    let listed: BTreeMap<String, Value> = uuids(&page)
        .into_iter()
        .zip(page["connections"].as_array().unwrap().iter().cloned())
        .collect();
    assert_eq!(listed.len(), 3);
    for uuid in [&clients.f.uuid, &clients.n.uuid] {
        assert!(listed.contains_key(uuid));
    }
    let f = &listed[&clients.f.uuid];
    let worker = f["worker"].clone();
    assert!(worker == json!(0) || worker == json!(1));
    let uuid = &clients.f.uuid;
    let right = json!({
        "uuid": uuid, "ident": null, "kind": "web", "tags": {"language": "FR"},
        "version": f["version"], "worker": worker
    });
    assert!(f["version"].is_u64());
    assert_eq!(*f, right);
    for uuid in listed.keys() {
        let body = format!(r#"{{"to":{{"uuid":"{uuid}"}},"message":1}}"#);
        assert_eq!(server.post(PUBLISH, SHOP, &body).json()["matched"], 1);
    }
    assert_eq!(clients.e.frame().as_text(), "1");
    assert_eq!(list(&server, "?limit=0"), json!({"matched": 3, "cursor": null, "connections": []}));
}

/// A90, A91.
#[test]
fn a_list_may_have_an_expression_or_a_name() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let second = server.open(&Open::php().target("/php?key=shop").ident("job"));
    let page = list(&server, "?expr=language%3F");
    assert_eq!(page["matched"], 2);
    assert!(uuids(&page).contains(&clients.f.uuid) && !uuids(&page).contains(&clients.n.uuid));
    let page = list(&server, "?expr=%7B%22tag%22%3A%22room%22%2C%22is%22%3A1%7D");
    assert_eq!(
        (&page["matched"], &page["connections"][0]["tags"]["room"]),
        (&json!(1), &json!("1"))
    );
    let page = list(&server, "?expr=not+language%3F");
    assert_eq!(uuids(&page), [clients.n.uuid.as_str()]);
    let page = list(&server, "?ident=job");
    assert_eq!(uuids(&page), [clients.p.uuid.clone(), second.uuid.clone()]);
    assert_eq!((&page["connections"][0]["kind"], &page["matched"]), (&json!("php"), &json!(2)));
    assert_eq!(page["connections"][0]["ident"], "job");
    let names: Vec<String> =
        pages(&server, "?ident=job&limit=1", || {}).iter().flat_map(uuids).collect();
    assert_eq!(names, [clients.p.uuid.clone(), second.uuid.clone()]);
    assert_eq!(list(&server, "?ident=nobody")["matched"], 0);
}

/// A27, A28, A95.
#[test]
fn parameters_that_are_not_understood_are_refused() {
    let server = setup().start();
    let _clients = Clients::open(&server);
    let is_error = |target: &str, header, status: u16, code: &str| {
        server.call("GET", target, &[header]).is_error(status, code);
    };
    for (query, status, code) in [
        ("?limt=3", 400, "unknown_parameter"),
        ("?secret=x", 400, "unknown_parameter"),
        ("?limit=1001", 400, "invalid_parameter"),
        ("?limit=-1", 400, "invalid_parameter"),
        ("?limit=1&limit=2", 400, "invalid_parameter"),
        ("?ident=", 400, "invalid_parameter"),
        ("?ident=job&expr=a%3D1", 400, "invalid_parameter"),
        ("?expr=", 422, "invalid_expression"),
        ("?expr=role!%3Da", 422, "invalid_expression"),
        ("?expr=%7B%22tag%22:%22a%22,%22tag%22:%22a%22,%22is%22:1%7D", 400, "duplicate_member"),
        ("?cursor=", 400, "invalid_cursor"),
        ("?cursor=AAAA", 400, "invalid_cursor"),
    ] {
        is_error(&format!("{LIST}{query}"), SHOP, status, code);
    }
    let cursor = list(&server, "?expr=language%3F&limit=1")["cursor"].as_str().unwrap().to_owned();
    let of_other = format!("/v1/apps/other/connections?expr=language%3F&cursor={cursor}");
    is_error(&of_other, OTHER, 400, "invalid_cursor");
    let target = format!("{LIST}?expr=language%3DFR&cursor={cursor}");
    is_error(&target, SHOP, 400, "invalid_cursor");
    is_error(&format!("{LIST}?cursor={cursor}"), SHOP, 400, "invalid_cursor");
    let short = &cursor[..cursor.len() - 1];
    is_error(&format!("{LIST}?expr=language%3F&cursor={short}"), SHOP, 400, "invalid_cursor");
    let last = list(&server, &format!("?expr=language%3F&limit=7&cursor={cursor}"));
    assert_eq!((uuids(&last).len(), &last["cursor"]), (1, &Value::Null));
}

/// A96.
#[test]
fn a_cursor_is_one_of_all_spellings_of_its_expression() {
    let server = setup().start();
    let tags = r#"/web?key=shop&tags={"a":"1","b":"2"}"#;
    let clients = [server.open(&Open::at(tags)), server.open(&Open::at(tags))];
    let first = list(&server, "?limit=1&expr=a%3D1+%26+b%3D2");
    let cursor = first["cursor"].as_str().unwrap();
    let second = list(&server, &format!("?limit=1&expr=b%3D2+and+a%3D1&cursor={cursor}"));
    assert_eq!(second["cursor"], Value::Null);
    let found: BTreeSet<String> = uuids(&first).into_iter().chain(uuids(&second)).collect();
    assert_eq!(found, set(clients.iter().map(|client| &client.uuid)));
}

/// A31, A45.
#[test]
fn a_list_needs_its_permission_and_shows_its_own_space_alone() {
    let auth = AUTH.replace("clientPublish: true", "permissions: [publish]");
    let server = setup().auth(&auth).start();
    let clients = Clients::open(&server);
    let answer = server.call("GET", LIST, &[SHOP]);
    assert_eq!(answer.is_error(403, "permission_denied").json()["error"]["permission"], "list");
    server.call("GET", LIST, &[]).is_error(401, "missing_credentials");
    let of_other = server.call("GET", "/v1/apps/other/connections", &[OTHER]).json();
    assert_eq!(uuids(&of_other), [clients.o.uuid.as_str()]);
    let answer = server.call("POST", LIST, &[SHOP]);
    assert_eq!(
        answer.is_error(405, "method_not_allowed").head.header("Allow"),
        Some("GET, HEAD, OPTIONS")
    );
    let answer = server.call("OPTIONS", LIST, &[]);
    assert_eq!((answer.status(), answer.head.header("Allow")), (204, Some("GET, HEAD, OPTIONS")));
}

/// Opens so many clients of `shop`, and returns them with their UUIDs.
fn open_many(server: &Server, count: usize) -> Vec<Raw> {
    (0..count).map(|_| server.open(&Open::at(r#"/web?key=shop&tags={"kept":"1"}"#))).collect()
}

/// A93, A94.
#[test]
fn each_client_is_listed_once_while_others_come_and_go_and_brokers_die() {
    let server = setup().start();
    let kept = open_many(&server, 2_500);
    let expected = set(kept.iter().map(|client| &client.uuid));
    let sizes: Vec<usize> =
        pages(&server, "?limit=1000", || {}).iter().map(|page| uuids(page).len()).collect();
    assert_eq!(sizes, [1000, 1000, 500]);
    let (mut others, mut turn): (Vec<Raw>, u32) = (Vec::new(), 0);
    let all = pages(&server, "?limit=300", || {
        // Every second one leaves, so that slots between those of the kept clients become free.
        let mut at = 0;
        others.retain(|_| {
            at += 1;
            at % 2 == 0
        });
        others.extend((0..60).map(|_| server.open(&Open::at("/web?key=shop"))));
        turn += 1;
        if turn % 3 == 1 {
            server.kill_broker();
        }
    });
    let listed: Vec<String> = all.iter().flat_map(uuids).collect();
    let distinct = set(&listed);
    assert_eq!(distinct.len(), listed.len(), "no client twice");
    assert!(distinct.is_superset(&expected));
    drop(others);
    eventually("the others have left", || {
        (list(&server, "?limit=0")["matched"] == 2_500).then_some(())
    });
    assert_eq!(list(&server, "?limit=0&expr=kept%3D1")["matched"], 2_500);
}

#[test]
fn a_page_with_many_long_tags_ends_early_and_the_next_one_follows() {
    let server = setup().start();
    // Each control character takes six bytes as JSON.
    let value = "%01".repeat(180);
    let tags: Vec<String> = (0..8).map(|n| format!(r#""n{n}":"{value}""#)).collect();
    let target = format!("/web?key=shop&tags={{{}}}", tags.join(",")).replace("%01", "\\u0001");
    let target = target.replace('\\', "%5C").replace('"', "%22");
    let clients: Vec<Raw> = (0..150).map(|_| server.open(&Open::at(&target))).collect();
    let mut api = Raw::connect(server.port);
    let mut listed = BTreeSet::new();
    let (mut cursor, mut pages) = (String::new(), 0);
    loop {
        let answer = api.request(head("GET", &format!("{LIST}?limit=1000{cursor}"), &[SHOP]));
        assert!(answer.body.len() < 1_100_000);
        let page = answer.json();
        listed.extend(uuids(&page));
        pages += 1;
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(listed, set(clients.iter().map(|client| &client.uuid)));
    assert_eq!(pages, 2);
}

#[test]
fn a_secret_as_api_key_lists_too() {
    let server = setup().start();
    let answer = server.call("GET", LIST, &[("X-API-Key", SHOP_SECRET)]);
    assert_eq!(answer.json(), json!({"matched": 0, "cursor": null, "connections": []}));
}
