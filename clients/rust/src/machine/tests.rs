//! What a server may send, well formed or not.

use std::time::{Duration, Instant};

use super::*;
use crate::clock::Clock;
use crate::presence::{WatchMode, WatchQuery};

const WELCOME: &str = r#"{"op":"welcome","uuid":"u","resumed":false,"ids":"kept","resume":"r","tags":{"a":"b"},"recovering":true,"at":"e.1","ping":20,"features":["report"],"limits":{"message":1000}}"#;
/// Frames of a server, one of each kind.
const FRAMES: &[&str] = &[
    WELCOME,
    r#"{"op":"msg","at":"e.2","event":"e","topic":"t","from":"u","direct":true,"data":{"p":[1]}}"#,
    r#"{"op":"recovery","recovered":true,"replayed":3,"missed":1,"reason":"off","at":"e.3"}"#,
    r#"{"op":"ack","id":1,"repeated":true,"matched":3}"#,
    r#"{"op":"error","id":2,"code":"busy","message":"m","retry":true,"retry_after_ms":500,"at":5}"#,
    r#"{"op":"answer","id":3,"data":true}"#,
    r#"{"op":"tags","tags":{"a":"c"},"topics":[]}"#,
    r#"{"op":"presence","watch":4,"sync":true,"count":1,"users":1,"members":[{"id":"a","user":[7],"tags":{"a":"b"},"uuid":"u"}]}"#,
    r#"{"op":"presence","watch":4,"count":1,"users":1,"joined":[{"id":"b"}],"left":["a"]}"#,
    r#"{"op":"presence","watch":4,"end":"permission_denied"}"#,
    r#"{"op":"error","id":4,"code":"permission_denied","message":"m","retry":false}"#,
    r#"{"op":"expires","in":30}"#,
    r#"{"op":"ping","at":"e.4"}"#,
    r#"{"op":"bye","code":4200,"reason":"r","retry_after_ms":700}"#,
];
/// What takes the place of a byte.
const BYTES: &[u8] = b"\0\"{}[],:09-.eu\xff";

fn now() -> Instant {
    Clock::System.now()
}

/// A client that is online, has made three requests, and watches who is in a topic.
fn online(now: Instant) -> Machine {
    let mut machine = Machine::new(Options::new(), "instance".to_owned());
    machine.open(now);
    machine.opened(None);
    machine.receive(WELCOME, 0.5, now);
    for _ in 0..3 {
        let new = NewRequest {
            op: "pub".to_owned(),
            members: "{}".to_owned(),
            offline: Offline::Queue,
            is_repeated: false,
            timeout: Duration::from_secs(10),
            change: Some(TagChange::default()),
        };
        machine.request(new, oneshot::channel().0, now);
    }
    // Its request has the id 4.
    let _dropped = machine.watch(&WatchQuery::topic("t"), WatchMode::Members);
    machine
}

/// The client lives on after any text: it can be closed, and then it has nothing left to do.
fn survives(text: &str, now: Instant) {
    let mut machine = online(now);
    machine.receive(text, 0.5, now);
    machine.tick(0.5, now);
    machine.receive(WELCOME, 0.5, now);
    machine.unwatch(1);
    while machine.next_text().is_some() {}
    machine.close();
    assert!(machine.deadline().is_none() && machine.is_closed(), "{text}");
}

#[test]
fn a_client_can_be_closed_after_any_frame() {
    let now = now();
    for frame in FRAMES {
        for at in 0..frame.len() {
            survives(&frame[..at], now);
            for byte in BYTES {
                let mut changed = frame.as_bytes().to_vec();
                changed[at] = *byte;
                survives(&String::from_utf8_lossy(&changed), now);
            }
        }
    }
}

#[test]
fn a_client_can_be_closed_after_any_number() {
    let now = now();
    for number in ["0", "1", "18446744073709551615", "1e400", "-1", "1.5", "null"] {
        for frame in [
            r#"{"op":"bye","code":4200,"retry_after_ms":N}"#,
            r#"{"op":"bye","code":N}"#,
            r#"{"op":"welcome","uuid":"u","ping":N,"limits":{"message":N}}"#,
            r#"{"op":"error","id":N,"code":"busy","retry_after_ms":N}"#,
            r#"{"op":"recovery","replayed":N,"missed":N}"#,
        ] {
            survives(&frame.replace('N', number), now);
        }
    }
}

#[test]
fn a_client_that_waits_reads_no_time_as_silence() {
    let start = now();
    let mut machine = Machine::new(Options::new().lossless(), "instance".to_owned());
    machine.open(start);
    machine.receive(WELCOME, 0.5, start);
    let events = machine.hub().events();
    for _ in 0..600 {
        machine.receive(FRAMES[1], 0.5, start);
    }
    assert!(!machine.may_read(Waker::noop(), start));
    let later = start + Duration::from_secs(3600);
    machine.tick(0.5, later);
    assert!(machine.status().subscribe().borrow().is_online());
    drop(events);
    assert!(machine.may_read(Waker::noop(), later));
    machine.tick(0.5, later + Duration::from_secs(29));
    assert!(machine.status().subscribe().borrow().is_online());
    machine.tick(0.5, later + Duration::from_secs(30));
    assert!(!machine.status().subscribe().borrow().is_online());
}

#[test]
fn a_watch_that_has_ended_begins_again_with_the_next_connection() {
    let now = now();
    let mut machine = online(now);
    let (closed, state) = machine.watch(&WatchQuery::topic("u"), WatchMode::Count);
    while machine.next_text().is_some() {}
    machine.receive(r#"{"op":"error","id":5,"code":"permission_denied"}"#, 0.5, now);
    assert_eq!(state.borrow().presence.ended, Some(ErrorCode::PermissionDenied));
    // Another watch does not ask for this one again.
    let _other = machine.watch(&WatchQuery::topic("v"), WatchMode::Once);
    let sent = |machine: &mut Machine| -> Vec<String> {
        std::iter::from_fn(|| machine.next_text()).map(|text| text.as_str().to_owned()).collect()
    };
    assert_eq!(sent(&mut machine), [r#"{"op":"watch","id":6,"topic":"v","mode":"once"}"#]);
    machine.receive(r#"{"op":"presence","watch":6,"sync":true,"count":0}"#, 0.5, now);
    machine.lost(Disconnect::closed(ABNORMAL, "x"), None, 0.0, now);
    machine.open(now);
    machine.receive(WELCOME, 0.5, now);
    let watches = |sent: Vec<String>| -> Vec<String> {
        sent.into_iter().filter(|text| text.contains("watch")).collect()
    };
    let again = watches(sent(&mut machine));
    assert_eq!(
        again,
        [
            r#"{"op":"watch","id":7,"topic":"t","mode":"members"}"#,
            r#"{"op":"watch","id":8,"topic":"u","mode":"count"}"#
        ]
    );
    machine.unwatch(closed);
    assert_eq!(sent(&mut machine), [r#"{"op":"unwatch","id":9,"watch":8}"#]);
}
