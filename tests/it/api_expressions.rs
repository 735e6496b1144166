//! Random expressions by HTTP: the count of each, what its clients receive, and a naive reader agree.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::api::{SHOP, setup};
use crate::harness::{Open, Raw, Server};

const NAMES: [&str; 3] = ["a", "b", "cc"];
const VALUES: [&str; 5] = ["1", "12", "13", "2", "21"];
/// Requests, with a batch of as many publications as it may have each.
const BATCHES: usize = 100;
const PUBLICATIONS: usize = 100;
const CLIENTS: usize = 16;

/// Deterministic pseudo-random numbers (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }

    /// A condition in the JSON form.
    fn condition(&mut self, depth: usize) -> Value {
        let name = self.of(&NAMES);
        match self.below(if depth == 0 { 4 } else { 8 }) {
            0 => json!({"tag": name, "exists": true}),
            1 => {
                let values: Vec<_> = (0..2 + self.below(4)).map(|_| self.of(&VALUES)).collect();
                json!({"tag": name, "in": values})
            }
            2 => json!({"tag": name, "prefix": self.of(&["1", "2"])}),
            3 => json!({"tag": name, "is": self.of(&VALUES)}),
            4 => json!({"not": self.condition(depth - 1)}),
            kind => {
                let count = 1 + self.below(3);
                let operands: Vec<_> = (0..count).map(|_| self.condition(depth - 1)).collect();
                if kind == 7 { json!({"or": operands}) } else { json!({"and": operands}) }
            }
        }
    }
}

/// Whether a condition is true for a client with these tags.
fn holds(condition: &Value, tags: &BTreeMap<&str, &str>) -> bool {
    let list = |name: &str| condition[name].as_array().unwrap().iter();
    let has = |name: &str| condition.get(name).is_some();
    if has("and") {
        return list("and").all(|it| holds(it, tags));
    }
    if has("or") {
        return list("or").any(|it| holds(it, tags));
    }
    if has("not") {
        return !holds(&condition["not"], tags);
    }
    let Some(value) = tags.get(condition["tag"].as_str().unwrap()) else { return false };
    if has("in") {
        return list("in").any(|it| it == value);
    }
    if has("prefix") {
        return value.starts_with(condition["prefix"].as_str().unwrap());
    }
    has("exists") || condition["is"] == *value
}

/// A client, and the messages that it must receive.
struct Listener {
    client: Raw,
    tags: BTreeMap<&'static str, &'static str>,
    expected: Vec<usize>,
}

impl Listener {
    fn open(server: &Server, chance: &mut Chance) -> Self {
        let names: Vec<_> = NAMES.into_iter().filter(|_| chance.below(3) > 0).collect();
        let tags: BTreeMap<_, _> =
            names.into_iter().map(|name| (name, chance.of(&VALUES))).collect();
        let target = format!("/web?key=shop&tags={}", json!(tags));
        Self { client: server.open(&Open::at(&target)), tags, expected: Vec::new() }
    }

    #[track_caller]
    fn receives_what_it_must(&mut self) {
        for number in self.expected.drain(..) {
            self.client.expect_text(&format!(r#"{{"opcode":"broadcast","message":{number}}}"#));
        }
    }
}

/// Case A175.
#[test]
fn random_expressions_reach_the_clients_that_a_naive_reader_finds() {
    let server = setup().workers(2).start();
    let mut chance = Chance(175);
    let mut listeners: Vec<Listener> =
        (0..CLIENTS).map(|_| Listener::open(&server, &mut chance)).collect();
    for batch in 0..BATCHES {
        let conditions: Vec<Value> = (0..PUBLICATIONS).map(|_| chance.condition(3)).collect();
        let numbered = (batch * PUBLICATIONS..).zip(&conditions);
        let publications: Vec<Value> = numbered
            .clone()
            .map(|(number, condition)| json!({"to": {"expr": condition}, "message": number}))
            .collect();
        let body = json!({"publications": publications}).to_string();
        let answer = server.post("/v1/apps/shop/publish:batch", SHOP, &body);
        assert_eq!(answer.status(), 200, "{}", answer.body);
        let results = answer.json();
        for ((number, condition), result) in numbered.zip(results["results"].as_array().unwrap()) {
            let mut matched = 0;
            for listener in &mut listeners {
                if holds(condition, &listener.tags) {
                    listener.expected.push(number);
                    matched += 1;
                }
            }
            assert_eq!(result["matched"], matched, "{condition}: {result}");
        }
        listeners.iter_mut().for_each(Listener::receives_what_it_must);
        for _ in 0..2 {
            listeners.swap_remove(chance.below(listeners.len()));
            server.has_forgotten(listeners.len());
            listeners.push(Listener::open(&server, &mut chance));
        }
    }
    let condition =
        json!({"or": [{"tag": "a", "exists": true}, {"not": {"tag": "a", "exists": true}}]});
    let body = json!({"to": {"expr": condition}, "message": 0, "ack": "written"}).to_string();
    let report = server.post("/v1/apps/shop/publish", SHOP, &body).json();
    assert_eq!((&report["matched"], &report["written"]), (&json!(CLIENTS), &json!(CLIENTS)));
}

impl Server {
    /// Waits until this number of clients is left.
    #[track_caller]
    fn has_forgotten(&self, left: usize) {
        crate::harness::eventually("the client is gone", || {
            let target = "/v1/apps/shop/connections?limit=0";
            let page = self.call("GET", target, &[SHOP]).json();
            (page["matched"] == left).then_some(())
        });
    }
}
