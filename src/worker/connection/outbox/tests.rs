//! Held parts, and the end of an outbox.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::*;

#[test]
fn a_close_without_bytes_is_still_the_end() {
    let (here, _there) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None).unwrap();
    let mut outbox = Outbox::new(Moment::START);
    for (bytes, kind) in [(&b"next"[..], PartKind::Step), (b"", PartKind::Close)] {
        outbox.push(OutboxPart::of(Bytes::from_static(bytes), kind), Moment::START);
    }
    assert_eq!(
        outbox.flush_one_plain(&here, Moment::START),
        (Flushed::Empty, Some(PartKind::Step))
    );
    assert_eq!(outbox.next_kind(), Some(PartKind::Close));
    assert_eq!(outbox.flush_plain(&here, Moment::START), Flushed::Closed);
}

fn words(text: &'static str) -> OutboxPart {
    OutboxPart::of(Bytes::from_static(text.as_bytes()), PartKind::Frames)
}

#[test]
fn what_is_held_leaves_in_its_order_when_the_broker_is_so_far() {
    let (here, there) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None).unwrap();
    let (mut outbox, now) = (Outbox::new(Moment::START), Moment::START);
    let mark = |synced| SyncMark { synced, acknowledged: 0 };
    outbox.push(words("a"), now);
    assert!(outbox.hold(mark(1), now));
    assert!(!outbox.hold(mark(1), now), "it waits for that already");
    outbox.push(words("b"), now);
    assert!(outbox.hold(mark(2), now));
    outbox.push(words("c"), now);
    assert!(!outbox.is_held());
    assert_eq!(outbox.flush_plain(&here, now), Flushed::Held);
    assert!(outbox.is_held());
    assert_eq!(outbox.flush_one_plain(&here, now), (Flushed::Held, None));
    outbox.release(mark(0), now);
    assert_eq!(outbox.flush_plain(&here, now), Flushed::Held);
    outbox.release(mark(1), now);
    assert_eq!(outbox.flush_plain(&here, now), Flushed::Held);
    outbox.release(mark(2), now);
    assert_eq!(outbox.flush_plain(&here, now), Flushed::Empty);
    let mut received = [0; 8];
    let read = rustix::io::read(&there, &mut received).unwrap();
    assert_eq!(&received[..read], b"abc");
}

#[test]
fn a_closed_slow_client_has_no_pending_output() {
    let mut outbox = Outbox::new(Moment::START);
    outbox.hold(SyncMark { synced: 1, acknowledged: 0 }, Moment::START);
    outbox.push(words("late"), Moment::START);
    outbox.truncate();
    assert!(outbox.is_empty() && outbox.bytes() == 0);
}

#[test]
fn a_large_part_is_written_in_several_turns() {
    let (here, there) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None).unwrap();
    let bytes: Vec<u8> =
        (0..5 * SEND_BYTES_MAX).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let reader = std::thread::spawn(move || {
        let (mut all, mut some) = (Vec::new(), vec![0; 1 << 20]);
        while let Ok(read @ 1..) = rustix::io::read(&there, &mut some) {
            all.extend_from_slice(&some[..read]);
        }
        all
    });
    let mut outbox = Outbox::new(Moment::START);
    outbox.push(words("before"), Moment::START);
    outbox.push(OutboxPart::of(Bytes::from(bytes.clone()), PartKind::Frames), Moment::START);
    loop {
        let before = outbox.bytes();
        let flushed = outbox.flush_plain(&here, Moment::START);
        assert!(before - outbox.bytes() < 2 * SEND_BYTES_MAX, "{flushed:?}");
        match flushed {
            Flushed::Empty => break,
            Flushed::Full | Flushed::Yielded => {}
            other => panic!("{other:?}"),
        }
    }
    drop(here);
    assert!(reader.join().unwrap() == [&b"before"[..], &bytes].concat());
}
