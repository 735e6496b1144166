//! Tests of joining publications and of excluding clients.

use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::broker_client::write_reports::WriteReports;
use crate::protocol::Protocol;
use crate::types::{Content, Generation, Number, PayloadForm, WorkerId, WorkerIncarnation};
use crate::websocket::write;
use bytes::Bytes;

fn content(text: &str) -> Content<&[u8]> {
    Content { form: PayloadForm::Packet, payload: text.as_bytes() }
}

fn set(name: u32, except: Option<u32>) -> DeliverTo {
    DeliverTo::Set { name: SetName(name), except: except.map(Slot) }
}

fn named(name: u32, slots: &[u32]) -> ToWorker {
    let slots = slots.iter().copied().map(Slot).collect();
    ToWorker::Set { name: SetName(name), slots }
}

/// Returns the bytes that each client gets in one slice, one entry per write.
fn written(fanout: &mut Fanout, most: usize) -> BTreeMap<u32, Vec<Vec<u8>>> {
    written_until(fanout, most, usize::MAX)
}

/// The same with a budget that is spent after this number of writes.
fn written_until(fanout: &mut Fanout, most: usize, spent: usize) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut delivered: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    let mut writes = 0;
    fanout.write_some(most, |slot, batch| {
        let frames = batch.frames_for(slot, Protocol::Phpws);
        let text = frames.each().flat_map(|frame| frame[2..].to_vec()).collect();
        delivered.entry(slot.0).or_default().push(text);
        writes += 1;
        // An urgent publication that was started is completed, with everything that was queued before it.
        if writes < spent { Continue(()) } else { Break(()) }
    });
    delivered
}

fn delivered(fanout: &mut Fanout, slot: u32) -> Vec<Vec<u8>> {
    written(fanout, usize::MAX).remove(&slot).unwrap_or_default()
}

/// Returns the slot that can be reused, if there is one.
fn reusable(fanout: &mut Fanout) -> Option<Slot> {
    let mut found = Vec::new();
    fanout.release_retired(|slot| found.push(slot));
    assert!(found.len() < 2);
    found.pop()
}

#[test]
fn a_large_publication_keeps_its_place_and_its_memory() {
    let mut fanout = Fanout::default();
    fanout.take_sets(ToWorker::Batch).unwrap();
    fanout.take_sets(named(0, &[1, 2])).unwrap();
    let packet = format!(r#"{{"message":"{}"}}"#, "x".repeat(70_000));
    let framed = write::framed_text(packet.as_bytes());
    fanout.deliver(set(0, None), content("a")).unwrap();
    let large = Content { form: PayloadForm::Packet, payload: framed.clone() };
    fanout.deliver_large(set(0, Some(1)), large).unwrap();
    fanout.deliver(set(0, None), content("b")).unwrap();
    let mut frames: BTreeMap<u32, Vec<Bytes>> = BTreeMap::new();
    fanout.write_some(usize::MAX, |slot, batch| {
        let protocol = if slot == Slot(1) { Protocol::Gomoob } else { Protocol::Phpws };
        frames.entry(slot.0).or_default().push(batch.frames_for(slot, protocol).bytes.clone());
        Continue(())
    });
    assert_eq!(frames[&1].iter().map(Bytes::len).collect::<Vec<_>>(), [6, 0, 6]);
    let [a, shared, b] = &frames[&2][..] else { panic!() };
    assert_eq!((&a[2..], &b[2..]), (&b"a"[..], &b"b"[..]));
    assert_eq!(shared.as_ptr(), framed.frame().as_ptr(), "not copied");
    assert!(fanout.is_empty() && fanout.has_room());
    let large = Content { form: PayloadForm::Packet, payload: framed };
    fanout.deliver_large(DeliverTo::One(Slot(1)), large).unwrap();
    fanout.write_some(1, |slot, batch| {
        let message = &batch.frames_for(slot, Protocol::Gomoob).bytes;
        let expected = &packet.as_bytes()[11..packet.len() - 1];
        assert_eq!(*message, write::text_frame(expected));
        Continue(())
    });
}

#[test]
fn consecutive_publications_are_joined_and_skip_their_own_senders() {
    let mut fanout = Fanout::default();
    fanout.take_sets(ToWorker::Batch).unwrap();
    fanout.take_sets(named(0, &[1, 2, 3])).unwrap();
    for (except, text) in [(Some(1), "a"), (Some(2), "b"), (None, "c"), (Some(1), "d")] {
        fanout.deliver(set(0, except), content(text)).unwrap();
    }
    let all: Vec<Vec<Vec<u8>>> = written(&mut fanout, usize::MAX).into_values().collect();
    assert_eq!(all, [[b"bc".to_vec()], [b"acd".to_vec()], [b"abcd".to_vec()]]);
}

#[test]
fn a_client_served_out_of_turn_gets_everything_once_and_in_order() {
    let mut fanout = Fanout::default();
    fanout.take_sets(ToWorker::Batch).unwrap();
    fanout.take_sets(named(0, &[1, 2, 3])).unwrap();
    fanout.deliver(set(0, None), content("a")).unwrap();
    fanout.deliver(DeliverTo::One(Slot(3)), content("b")).unwrap();
    fanout.deliver(set(0, Some(3)), content("c")).unwrap();
    fanout.deliver(set(0, None), content("d")).unwrap();
    assert_eq!(written(&mut fanout, 1), BTreeMap::from([(1, vec![b"a".to_vec()])]));
    fanout.deliver(DeliverTo::One(Slot(3)), content("e")).unwrap();
    let mut delivered = Vec::new();
    fanout.write_for(Slot(3), |slot, batch| {
        assert_eq!(slot, Slot(3));
        let frames = batch.frames_for(slot, Protocol::Phpws);
        delivered.extend(frames.each().flat_map(|frame| frame[2..].to_vec()));
    });
    assert_eq!(String::from_utf8(delivered).unwrap(), "abde");
    fanout.write_for(Slot(3), |_, _| panic!("nothing is left for it"));
    let rest = written(&mut fanout, usize::MAX);
    assert_eq!(rest.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(rest[&1].concat(), b"cd");
    assert_eq!(rest[&2].concat(), b"acd");
}

#[test]
fn a_mixture_of_addresses_in_one_turn_reaches_each_client_in_order() {
    let mut fanout = Fanout::default();
    fanout.take_sets(named(0, &[1, 2])).unwrap();
    fanout.take_sets(named(1, &[2, 3])).unwrap();
    for (target, text) in [
        (DeliverTo::One(Slot(2)), "1"),
        (set(0, None), "2"),
        (set(1, None), "3"),
        (DeliverTo::One(Slot(2)), "4"),
        (set(0, None), "5"),
    ] {
        fanout.deliver(target, content(text)).unwrap();
    }
    assert_eq!(delivered(&mut fanout, 2).concat(), b"12345");
}

#[test]
fn the_same_clients_in_the_next_batch_are_the_same_set() {
    let mut fanout = Fanout::default();
    fanout.take_sets(named(0, &[1, 2])).unwrap();
    fanout.deliver(set(0, None), content("1")).unwrap();
    fanout.take_sets(ToWorker::Batch).unwrap();
    fanout.take_sets(named(0, &[1, 2])).unwrap();
    fanout.deliver(set(0, None), content("2")).unwrap();
    assert_eq!(delivered(&mut fanout, 1), [b"12".to_vec()]);
}

#[test]
fn a_set_that_was_not_named_in_this_batch_is_unknown() {
    let mut fanout = Fanout::default();
    fanout.take_sets(named(0, &[1])).unwrap();
    fanout.take_sets(ToWorker::Batch).unwrap();
    assert_eq!(fanout.deliver(set(0, None), content("x")), Err(UnknownSet(SetName(0))));
    assert_eq!(fanout.take_sets(named(5, &[1])), Err(UnknownSet(SetName(5))));
}

#[test]
fn one_client_does_not_wait_for_the_rest_of_a_fan_out() {
    let mut fanout = Fanout::default();
    fanout.take_sets(named(0, &[1, 2, 3, 4])).unwrap();
    fanout.deliver(set(0, None), content("1")).unwrap();
    assert_eq!(written(&mut fanout, 2).into_keys().collect::<Vec<_>>(), [1, 2]);
    fanout.deliver(set(0, None), content("2")).unwrap();
    fanout.deliver(DeliverTo::One(Slot(4)), content("3")).unwrap();
    fanout.deliver(set(0, None), content("4")).unwrap();
    assert_eq!(written(&mut fanout, 0).remove(&4).unwrap().concat(), b"123");
    let rest = written(&mut fanout, usize::MAX);
    assert_eq!(rest[&4].concat(), b"4", "and gets nothing twice");
    assert_eq!(rest[&3].concat(), b"124");
    assert!(fanout.is_empty() && fanout.queues.bytes() == 0);
}

#[test]
fn a_slot_is_freed_when_no_waiting_delivery_names_it() {
    let mut fanout = Fanout::default();
    fanout.retire(Slot(9));
    assert_eq!(reusable(&mut fanout), Some(Slot(9)), "nothing waits");
    fanout.take_sets(named(0, &[1, 2, 3])).unwrap();
    fanout.deliver(set(0, None), content("1")).unwrap();
    written(&mut fanout, 1);
    fanout.retire(Slot(3));
    assert_eq!(reusable(&mut fanout), None);
    fanout.deliver(DeliverTo::One(Slot(2)), content("2")).unwrap();
    written(&mut fanout, 2);
    assert_eq!(reusable(&mut fanout), Some(Slot(3)));
    assert_eq!(reusable(&mut fanout), None);
}

#[test]
fn publications_to_one_client_stay_within_the_budget_and_in_order() {
    let mut fanout = Fanout::default();
    fanout.take_sets(named(0, &[1, 2, 3, 4])).unwrap();
    fanout.deliver(set(0, None), content("1")).unwrap();
    written(&mut fanout, 1);
    for (slot, text) in [(2, "2"), (3, "3"), (4, "4")] {
        fanout.deliver(DeliverTo::One(Slot(slot)), content(text)).unwrap();
    }
    fanout.deliver(set(0, None), content("5")).unwrap();
    fanout.retire(Slot(9));
    let first = written_until(&mut fanout, 4, 1);
    assert_eq!(first.into_iter().collect::<Vec<_>>(), [(2, vec![b"1".to_vec(), b"2".to_vec()])]);
    let second = written_until(&mut fanout, 4, 1);
    assert_eq!(second.into_iter().collect::<Vec<_>>(), [(3, vec![b"1".to_vec(), b"3".to_vec()])]);
    assert_eq!(reusable(&mut fanout), None, "what waits may name it");
    let rest = written(&mut fanout, usize::MAX);
    assert_eq!((rest[&4].concat(), rest[&3].concat()), (b"145".to_vec(), b"5".to_vec()));
    assert_eq!(reusable(&mut fanout), Some(Slot(9)));
    assert!(fanout.is_empty() && fanout.queues.bytes() == 0);
}

#[test]
fn a_tracked_publication_is_alone_in_its_batch_and_keeps_its_place() {
    let reports = &mut WriteReports::default();
    let publisher = WorkerIncarnation { worker: WorkerId::API, generation: Generation(1) };
    let mut track = |fanout: &mut Fanout, target, text| {
        let recipients = fanout.recipients(target).unwrap();
        let tally = reports.open(publisher, Number(1), Duration::from_secs(1), recipients);
        fanout.deliver_tracked(target, content(text), DeliveryTracking::Writes(tally)).unwrap();
        recipients
    };
    let mut fanout = Fanout::default();
    fanout.take_sets(named(0, &[1, 2, 3])).unwrap();
    fanout.deliver(set(0, None), content("a")).unwrap();
    assert_eq!(track(&mut fanout, set(0, Some(2)), "b"), 2);
    fanout.deliver(set(0, None), content("c")).unwrap();
    assert_eq!(
        track(&mut fanout, set(0, Some(9)), "d"),
        3,
        "the excepted client is not in the set"
    );
    let first = written(&mut fanout, 1);
    assert_eq!(first[&1], [b"a".to_vec()], "and is not joined with its neighbours");
    assert_eq!(track(&mut fanout, DeliverTo::One(Slot(3)), "e"), 1);
    fanout.deliver(DeliverTo::One(Slot(3)), content("f")).unwrap();
    let rest = written(&mut fanout, usize::MAX);
    assert_eq!(rest[&1].concat(), b"bcd");
    assert_eq!(rest[&2].concat(), b"acd");
    assert_eq!(rest[&3], ["a", "b", "c", "d", "e", "f"].map(|text| text.as_bytes().to_vec()));
}

#[derive(Clone, Debug)]
enum Step {
    One(u32),
    /// A publication to the set with this index, and the excluded slot.
    Many(usize, Option<u32>),
    /// A slice with these limits: number of clients, and number of writes after which the budget is spent.
    Write(usize, usize),
}

const SETS: [&[u32]; 3] = [&[0, 1, 2, 3, 4, 5], &[0, 2, 4], &[3, 4, 5]];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..6_u32).prop_map(Step::One),
        (0..SETS.len(), proptest::option::of(0..6_u32))
            .prop_map(|(set, except)| Step::Many(set, except)),
        (0..5_usize, 1..5_usize).prop_map(|(most, spent)| Step::Write(most, spent)),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn every_client_gets_its_deliveries_in_order_however_they_are_sliced(steps in steps()) {
        let mut fanout = Fanout::default();
        for (name, slots) in (0..).zip(SETS) {
            fanout.take_sets(named(name, slots)).unwrap();
        }
        let mut expected: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut found: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut write = |fanout: &mut Fanout, most, spent| {
            for (slot, texts) in written_until(fanout, most, spent) {
                found.entry(slot).or_default().extend(texts.concat());
            }
        };
        for (step, number) in steps.into_iter().zip(0_u8..) {
            let text: &'static str = Box::leak(format!("{number:02x}").into_boxed_str());
            let (target, slots, except) = match step {
                Step::Write(most, spent) => {
                    write(&mut fanout, most, spent);
                    continue;
                }
                Step::One(slot) => (DeliverTo::One(Slot(slot)), vec![slot], None),
                Step::Many(name, except) => {
                    (set(u32::try_from(name).unwrap(), except), SETS[name].to_vec(), except)
                }
            };
            fanout.deliver(target, content(text)).unwrap();
            for slot in slots.into_iter().filter(|slot| Some(*slot) != except) {
                expected.entry(slot).or_default().extend(text.as_bytes());
            }
        }
        write(&mut fanout, usize::MAX, usize::MAX);
        found.retain(|_, text| !text.is_empty());
        prop_assert_eq!(found, expected);
        prop_assert!(fanout.is_empty());
        prop_assert_eq!(fanout.queues.bytes(), 0);
    }
}

#[test]
fn a_client_has_the_position_of_what_was_written_to_it() {
    let mut fanout = Fanout::default();
    let (shop, slot) = (Tenant("shop".into()), Slot(3));
    let text = |text: &'static str| Content { form: PayloadForm::Text, payload: text.as_bytes() };
    let at = |number| ReplayPosition { epoch: 36, number };
    let head = |tenant: &Tenant, number| JournalHead {
        tenant: tenant.clone(),
        position: Some(at(number)),
    };
    fanout.take_head(head(&shop, 4));
    assert_eq!(fanout.position_of(&shop, slot), Some(at(4)));
    assert_eq!(fanout.position_of(&Tenant::shared(), slot), None);
    fanout.switch_to(shop.clone());
    fanout.position_next(at(5));
    fanout.deliver(DeliverTo::One(slot), text("5")).unwrap();
    fanout.position_next(at(6));
    fanout.deliver(DeliverTo::One(Slot(9)), text("6")).unwrap();
    // What a client has not been sent yet is not behind its position.
    assert_eq!(fanout.position_of(&shop, slot), None);
    assert_eq!(fanout.position_of(&shop, Slot(4)), Some(at(6)));
    let mut written = Vec::new();
    fanout.write_some(10, |_, batch| {
        for protocol in [Protocol::V1, Protocol::Gomoob] {
            let frames = batch.frames_for(slot, protocol);
            written.push(String::from_utf8(frames.bytes[2..].to_vec()).unwrap());
        }
        Continue(())
    });
    let expected = [
        r#"{"op":"msg","at":"10.5","direct":true,"data":"5"}"#,
        "\"5\"",
        r#"{"op":"msg","at":"10.6","direct":true,"data":"6"}"#,
        "\"6\"",
    ];
    assert_eq!(written, expected);
    assert_eq!(fanout.position_of(&shop, slot), Some(at(6)));
    // The publication that follows was received before, and has no part in the next one.
    fanout.position_next(at(7));
    assert_eq!(fanout.position_of(&shop, slot), Some(at(6)));
    fanout.forget_next();
    fanout.switch_to(Tenant::shared());
    assert_eq!(fanout.position_of(&shop, slot), Some(at(7)));
    fanout.deliver(DeliverTo::One(slot), text("8")).unwrap();
    fanout.write_some(10, |_, batch| {
        assert!(!batch.frames_for(slot, Protocol::V1).bytes.ends_with(b"7\"}"));
        Continue(())
    });
    fanout.take_head(JournalHead { tenant: shop.clone(), position: None });
    assert_eq!(fanout.position_of(&shop, slot), None);
}
