//! What is joined, and who is left out.

use super::*;
use crate::types::{Form, Generation, Number, Sequence, Source, WorkerId};

fn deliver(target: Target, text: &'static str) -> Deliver {
    Deliver {
        source: Source { worker: WorkerId(0), generation: Generation(1) },
        number: Number(1),
        sequence: Sequence(1),
        target,
        content: Content { form: Form::PhpwsPacket, payload: Bytes::from_static(text.as_bytes()) },
    }
}

fn set(name: u32, except: Option<u32>) -> Target {
    Target::Set { name: SetName(name), except: except.map(Slot) }
}

fn named(name: u32, slots: &[u32]) -> ToWorker {
    let slots = slots.iter().copied().map(Slot).collect();
    ToWorker::Set { name: SetName(name), slots }
}

/// What each batch sends to a client, as texts.
fn heard(fanout: &mut Fanout, slot: u32) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for mut batch in fanout.take() {
        let is_meant = match batch.recipients() {
            Recipients::One(one) => one.0 == slot,
            Recipients::Set(set) => set.contains(Slot(slot)),
        };
        if is_meant {
            let frames = batch.frames_for(Slot(slot), Dialect::Phpws);
            all.push(frames.each().flat_map(|frame| frame[2..].to_vec()).collect());
        }
    }
    all
}

#[test]
fn neighbours_for_the_same_clients_are_joined_and_each_sender_is_left_out_of_its_own() {
    let mut fanout = Fanout::default();
    fanout.take_sets(ToWorker::Batch).unwrap();
    fanout.take_sets(named(0, &[1, 2, 3])).unwrap();
    for (except, text) in [(Some(1), "a"), (Some(2), "b"), (None, "c"), (Some(1), "d")] {
        fanout.deliver(deliver(set(0, except), text)).unwrap();
    }
    let mut batches = fanout.take();
    assert_eq!(batches.len(), 1);
    let mut to = |slot| {
        let frames = batches[0].frames_for(Slot(slot), Dialect::Phpws);
        frames.each().flat_map(|frame| frame[2..].to_vec()).collect::<Vec<u8>>()
    };
    assert_eq!([to(1), to(2), to(3)], [b"bc".to_vec(), b"acd".to_vec(), b"abcd".to_vec()]);
}

#[test]
fn a_mixture_of_addresses_in_one_turn_reaches_each_client_in_order() {
    let mut fanout = Fanout::default();
    fanout.take_sets(named(0, &[1, 2])).unwrap();
    fanout.take_sets(named(1, &[2, 3])).unwrap();
    for (target, text) in [
        (Target::One(Slot(2)), "1"),
        (set(0, None), "2"),
        (set(1, None), "3"),
        (Target::One(Slot(2)), "4"),
        (set(0, None), "5"),
    ] {
        fanout.deliver(deliver(target, text)).unwrap();
    }
    assert_eq!(heard(&mut fanout, 2).concat(), b"12345");
}

#[test]
fn the_same_clients_in_the_next_batch_are_the_same_set() {
    let mut fanout = Fanout::default();
    fanout.take_sets(named(0, &[1, 2])).unwrap();
    fanout.deliver(deliver(set(0, None), "1")).unwrap();
    fanout.take_sets(ToWorker::Batch).unwrap();
    fanout.take_sets(named(0, &[1, 2])).unwrap();
    fanout.deliver(deliver(set(0, None), "2")).unwrap();
    assert_eq!(heard(&mut fanout, 1), [b"12".to_vec()]);
}

#[test]
fn a_set_that_was_not_named_in_this_batch_is_unknown() {
    let mut fanout = Fanout::default();
    fanout.take_sets(named(0, &[1])).unwrap();
    fanout.take_sets(ToWorker::Batch).unwrap();
    assert_eq!(fanout.deliver(deliver(set(0, None), "x")), Err(UnknownSet(SetName(0))));
    assert_eq!(fanout.take_sets(named(5, &[1])), Err(UnknownSet(SetName(5))));
}
