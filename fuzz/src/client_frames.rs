//! Frames that the Rust client reads: no text of a server harms it, what it sends is JSON, data of messages are those
//! bytes, and a watched list is what a naive model makes of the same frames.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_json::value::RawValue;
use tagcast_client::testing::FedClient;
use tagcast_client::{Event, Member};

/// Feeds each line as a text of the server.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut client = FedClient::new();
    let mut watch = None;
    follow(&mut client, &mut watch);
    let mut members = BTreeSet::new();
    for line in text.lines() {
        let (_, changes) = client.presence();
        client.feed(line);
        let (presence, after) = client.presence();
        if after != changes {
            changed(line, watch, &mut members);
        }
        let known: BTreeSet<String> =
            presence.members().map(Member::id).map(str::to_owned).collect();
        assert_eq!(known, members, "{line}");
        for event in client.events() {
            if let Event::Message(message) = event {
                assert!(line.contains(message.json()), "{line}");
                assert!(serde_json::from_str::<&RawValue>(message.json()).is_ok(), "{line}");
            }
        }
        follow(&mut client, &mut watch);
    }
    assert!(client.ends());
}

/// Looks at what the client has sent: the number of its watch changes with the connection.
fn follow(client: &mut FedClient, watch: &mut Option<u64>) {
    for text in client.sent() {
        let frame: Value = serde_json::from_str(&text).expect("JSON");
        assert!(frame["op"].is_string(), "{text}");
        if frame["op"] == "watch" {
            *watch = frame["id"].as_u64();
        }
    }
}

/// The members of an object, each as its text: numbers may be out of every range.
type Members = BTreeMap<String, Box<RawValue>>;

/// A member that has this type.
macro_rules! value {
    ($members:expr, $name:literal, $kind:ty) => {
        $members.get($name).and_then(|it| serde_json::from_str::<$kind>(it.get()).ok())
    };
}

/// The client has taken something from this text for its watch. What it accepts has no member twice.
fn changed(text: &str, watch: Option<u64>, members: &mut BTreeSet<String>) {
    let frame: Members = serde_json::from_str(text).expect("an object");
    let op = value!(frame, "op", String).expect("a text");
    if op == "error" {
        assert_eq!(value!(frame, "id", u64), watch, "{text}");
        return;
    }
    let number = value!(frame, "watch", u64);
    assert_eq!((op.as_str(), number), ("presence", watch), "{text}");
    if value!(frame, "end", String).is_some() {
        return;
    }
    if value!(frame, "sync", bool) == Some(true) {
        members.clear();
    }
    let all = value!(frame, "members", Vec<Members>).unwrap_or_default();
    let joined = value!(frame, "joined", Vec<Members>).unwrap_or_default();
    for member in all.iter().chain(&joined) {
        members.insert(value!(member, "id", String).expect("a text"));
    }
    for id in value!(frame, "left", Vec<String>).unwrap_or_default() {
        members.remove(&id);
    }
}
