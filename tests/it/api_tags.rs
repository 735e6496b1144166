//! Tag names and values of a space by HTTP.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::api::{AUTH, Clients, OTHER, SHOP, setup};
use crate::harness::{Open, Raw, Server};

const TAGS: &str = "/v1/apps/shop/tags";

fn tags(server: &Server, query: &str) -> Value {
    let answer = server.call("GET", &format!("{TAGS}{query}"), &[SHOP]);
    assert_eq!(answer.status(), 200, "{query}: {}", answer.body);
    answer.json()
}

/// A115 to A117.
#[test]
fn names_and_values_are_those_of_the_space() {
    let server = setup().start();
    let _clients = Clients::open(&server);
    let names = json!([{"name": "language", "values": 2}, {"name": "room", "values": 1}]);
    assert_eq!(tags(&server, ""), json!({"names": names, "cursor": null}));
    let values = json!([{"value": "EN", "clients": 1}, {"value": "FR", "clients": 1}]);
    assert_eq!(tags(&server, "?name=language"), json!({"values": values, "cursor": null}));
    let values = json!([{"value": "FR", "clients": 1}]);
    assert_eq!(tags(&server, "?name=language&prefix=F"), json!({"values": values, "cursor": null}));
    assert_eq!(tags(&server, "?name=nothing"), json!({"values": [], "cursor": null}));
    assert_eq!(tags(&server, "?limit=0"), json!({"names": [], "cursor": null}));
    let other = server.call("GET", "/v1/apps/other/tags", &[OTHER]).json();
    assert_eq!(other, json!({"names": [{"name": "language", "values": 1}], "cursor": null}));
    server.call("GET", &format!("{TAGS}?prefix=F"), &[SHOP]).is_error(400, "invalid_parameter");
    server
        .call("GET", &format!("{TAGS}?name=a&name=b"), &[SHOP])
        .is_error(400, "invalid_parameter");
    let auth = AUTH.replace("clientPublish: true", "permissions: [publish]");
    let server = setup().auth(&auth).start();
    server.call("GET", TAGS, &[SHOP]).is_error(403, "permission_denied");
}

#[test]
fn values_that_stay_are_listed_once_while_others_change_and_brokers_die() {
    let server = setup().start();
    let open = |n: u32| server.open(&Open::at(&format!(r#"/web?key=shop&tags={{"user":"u{n}"}}"#)));
    let kept: Vec<Raw> = (0..90).map(open).collect();
    let twice = open(7);
    let mut others: Vec<Raw> = Vec::new();
    let (mut found, mut cursor, mut next) = (BTreeMap::new(), String::new(), 1000);
    loop {
        let page = tags(&server, &format!("?name=user&prefix=u&limit=20{cursor}"));
        let values = page["values"].as_array().unwrap().clone();
        assert!(values.len() <= 20);
        for value in values {
            let before = found.insert(value["value"].to_string(), value["clients"].clone());
            assert!(before.is_none(), "{value} is listed twice");
        }
        let Some(text) = page["cursor"].as_str() else { break };
        cursor = format!("&cursor={text}");
        others.truncate(3);
        others.extend((0..6).map(|n| open(next + n)));
        next += 6;
        if next % 4 == 0 {
            server.kill_broker();
        }
    }
    for n in 0..u32::try_from(kept.len()).unwrap() {
        let clients = if n == 7 { 2 } else { 1 };
        assert_eq!(found.get(&format!("\"u{n}\"")), Some(&json!(clients)), "u{n}");
    }
    drop(twice);
    server
        .call("GET", &format!("{TAGS}?name=user&prefix=x{cursor}"), &[SHOP])
        .is_error(400, "invalid_cursor");
    server.call("GET", &format!("{TAGS}?limit=1{cursor}"), &[SHOP]).is_error(400, "invalid_cursor");
}
