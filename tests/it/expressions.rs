//! Tag expressions over real sockets: publications and counts of a backend reach exactly the
//! clients that the expression matches.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tagcast::types::{Expression, Tag, Tags};

use crate::backend::chat::{APPLICATIONS, start};
use crate::backend::{Act, Backend};
use crate::harness::{Open, Raw, Server, Setup};

/// A client and its tags.
struct Member {
    socket: Raw,
    tags: Vec<(&'static str, String)>,
}

impl Member {
    fn open(server: &Server, tags: Vec<(&'static str, String)>) -> Self {
        let members: serde_json::Map<String, Value> =
            tags.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let encoded: String =
            Value::Object(members).to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
        let socket = Open::at(&format!("/chat?tags={encoded}")).upgrade(server.port);
        Self { socket, tags }
    }

    /// The tags that the server knows.
    fn all(&self) -> Tags {
        let own = self.tags.iter().map(|(name, value)| Tag::new(name, value).unwrap());
        Tags::new(own.chain([Tag::new("@resource", "/chat").unwrap()])).unwrap()
    }

    /// Changes the tags by way of the backend.
    fn retag(&mut self, tags: Vec<(&'static str, String)>) {
        let old: Vec<&str> = self.tags.iter().map(|(name, _)| *name).collect();
        let set: serde_json::Map<String, Value> =
            tags.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let commands = json!([
            {"command": "tag", "remove": old}, {"command": "tag", "set": set},
            {"command": "reply", "text": "retagged"},
        ]);
        self.socket.text(commands.to_string());
        self.socket.expect_text("retagged");
        self.tags = tags;
    }

    /// Returns whether a publication came before the one that all clients get.
    fn receives(&mut self, text: &str, end: &str) -> bool {
        let first = self.socket.frame();
        if first.as_text() == end {
            return false;
        }
        assert_eq!(first.as_text(), text);
        self.socket.expect_text(end);
        true
    }
}

/// A backend that carries out the commands in a message of a client.
fn obedient() -> Backend {
    Backend::start(|event| match event["text"].as_str() {
        Some(commands) => Act::Answer(200, commands.to_owned()),
        None => Act::Commands(""),
    })
}

/// Publishes to an expression, in either form, and compares every socket with the expression itself.
fn compare(backend: &Backend, members: &mut [Member], round: usize, expr: &Value) {
    let expression = match expr.as_str() {
        Some(text) => Expression::parse(text).unwrap(),
        None => Expression::from_json(&expr.to_string()).unwrap(),
    };
    let (text, end) = (format!("to some {round}"), format!("to all {round}"));
    let asked = backend.events("who").len();
    let commands = json!([
        {"command": "publish", "to": {"expr": expr}, "text": text},
        {"command": "publish", "to": "resource", "text": end},
        {"command": "who", "expr": expr, "tag": "room"},
    ]);
    members[0].socket.text(commands.to_string());
    let mut matched = 0;
    for member in members.iter_mut() {
        let expected = expression.matches(&member.all());
        matched += u64::from(expected);
        assert_eq!(member.receives(&text, &end), expected, "{expression}: {:?}", member.tags);
    }
    let who = &backend.wait_for("who", asked + 1)[asked];
    assert_eq!(who["clients"], matched, "{expression}");
    assert_eq!(who["asked"], json!({"expr": expression.canonical(), "tag": "room"}));
}

fn own(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[test]
fn a_publication_reaches_all_matching_clients_of_both_workers() {
    let backend = obedient();
    let server = start(&backend, "");
    let mut members: Vec<Member> = [
        own(&[]),
        own(&[("role", "admin"), ("region", "eu")]),
        own(&[("role", "admin"), ("region", "us-east")]),
        own(&[("role", "user"), ("region", "eu-west"), ("level", "12")]),
        own(&[("role", "user"), ("level", "012")]),
        own(&[("region", ""), ("beta", "1")]),
        own(&[("Role", "Admin"), ("weird name", "a&b"), ("é", "ü")]),
        own(&[("role", "ad*")]),
    ]
    .into_iter()
    .map(|tags| Member::open(&server, tags))
    .collect();
    while members.iter().map(|it| server.worker_of(&it.socket)).collect::<BTreeSet<_>>().len() < 2 {
        members.push(Member::open(&server, own(&[("role", "user")])));
    }
    for (round, expr) in [
        json!("role=admin"),
        json!("role = admin & (region=us-east | role=user)"),
        json!("!(role in (admin,user))"),
        json!("region? & !region=\"\""),
        json!("region=eu* & !region=eu"),
        json!("\"weird name\"=a* | \"é\"=\"ü\""),
        json!("!beta? | level=12"),
        json!("nobody?"),
        json!({"or": [{"tag": "level", "in": [12, "012"]}, {"not": {"tag": "role", "exists": true}}]}),
        json!({"and": [{"tag": "@resource", "is": "/chat"}, {"tag": "role", "prefix": "ad"}]}),
    ]
    .into_iter()
    .enumerate()
    {
        compare(&backend, &mut members, round, &expr);
    }
}

/// Numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn tags(&mut self) -> Vec<(&'static str, String)> {
        let mut tags = Vec::new();
        for name in ["room", "lang", "user"] {
            if self.below(3) > 0 {
                tags.push((name, self.below(4).to_string()));
            }
        }
        tags
    }

    fn expression(&mut self, depth: u64) -> String {
        let name = ["room", "lang", "user", "none"][usize::try_from(self.below(4)).unwrap()];
        let (one, other) = (self.below(4), self.below(4));
        match self.below(if depth == 0 { 4 } else { 8 }) {
            0 => format!("{name}={one}"),
            1 => format!("{name} in ({one},{other})"),
            2 => format!("{name}={one}*"),
            3 => format!("{name}?"),
            4 => format!("!({})", self.expression(depth - 1)),
            5 | 6 => format!("({} & {})", self.expression(depth - 1), self.expression(depth - 1)),
            _ => format!("({} | {})", self.expression(depth - 1), self.expression(depth - 1)),
        }
    }
}

/// Case A175: clients that come, go and change their tags between publications.
#[test]
fn random_expressions_agree_while_clients_come_go_and_change_their_tags() {
    let backend = obedient();
    let server = start(&backend, "");
    let mut numbers = Numbers(7);
    let mut members: Vec<Member> = (0..20).map(|_| Member::open(&server, numbers.tags())).collect();
    for round in 0..80 {
        let (tags, expression) = (numbers.tags(), numbers.expression(3));
        match numbers.below(4) {
            0 => members.push(Member::open(&server, tags)),
            1 if members.len() > 2 => {
                let left = members.swap_remove(1);
                backend_forgets(&backend, left);
            }
            _ => members[1].retag(tags),
        }
        compare(&backend, &mut members, round, &json!(expression));
    }
}

/// Closes a connection, and waits until its leave was handled.
fn backend_forgets(backend: &Backend, mut left: Member) {
    let closed = backend.events("close").len();
    left.socket.send(crate::harness::frames::close(1000, ""));
    left.socket.expect_closed(1000);
    backend.wait_for("close", closed + 1);
}

/// Case A173 over a socket.
#[test]
fn a_prefix_with_too_many_values_is_reported_and_not_delivered() {
    let backend = obedient();
    let ini = format!(
        "exprScanMax = 3\n[resource /chat]\nkind = http\nurl = {}\napplication = chat",
        backend.url()
    );
    let server = Setup::new().workers(2).ini(&ini).auth(APPLICATIONS).start();
    let mut members: Vec<Member> =
        (0..3).map(|user| Member::open(&server, vec![("user", user.to_string())])).collect();
    compare(&backend, &mut members, 0, &json!("user=1* | user=2"));
    let mut fourth = Member::open(&server, own(&[("user", "31")]));
    let commands = json!([
        {"command": "publish", "to": {"expr": "user=3*"}, "text": "some"},
        {"command": "publish", "to": "resource", "text": "all"},
        {"command": "who", "expr": "user=3*", "tag": ""},
    ]);
    fourth.socket.text(commands.to_string());
    fourth.socket.expect_text("all");
    let who = &backend.wait_for("who", 2)[1];
    assert_eq!(who["clients"], 0);
    let error = who["error"].as_str().unwrap();
    assert_eq!(
        error,
        "the prefixes of the expression would scan 4 values, the limit is 3 (exprScanMax)"
    );
}
