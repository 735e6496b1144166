//! Tests of the turns of tenants, against a model that makes one send at a time.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow::Continue;

use proptest::prelude::*;

use super::*;
use crate::protocol::Protocol;
use crate::types::PayloadForm;
use crate::types::limits::{FANOUT_QUANTUM, FANOUT_QUEUES_IDLE, WORK_BYTES};

/// Tenants have slots of their own, from a multiple of this number on.
const SLOTS: u32 = 1_000_000;

fn tenant(number: usize) -> Tenant {
    // The first one is the shared tenant.
    if number == 0 { Tenant::shared() } else { Tenant(format!("t{number}").into()) }
}

/// What the fan-out gets over the link, and what it writes.
#[derive(Default)]
struct Tested {
    fanout: Fanout,
    pushed: u32,
}

impl Tested {
    /// A publication of this many work units for each of some clients. Each one has other clients, so none
    /// are joined.
    fn push(&mut self, of: usize, clients: u32, cost: usize) -> Vec<u32> {
        let first = u32::try_from(of).unwrap() * SLOTS + self.pushed * 1000;
        let slots: Vec<u32> = (first..first + clients).collect();
        self.pushed += 1;
        self.fanout.switch_to(tenant(of));
        self.fanout.take_sets(ToWorker::Batch).unwrap();
        let (name, set) = (SetName(0), slots.iter().copied().map(Slot).collect());
        self.fanout.take_sets(ToWorker::Set { name, slots: set }).unwrap();
        let payload = vec![b'x'; (cost - 1) * WORK_BYTES];
        let content = Content { form: PayloadForm::Text, payload: &payload[..] };
        self.fanout.deliver(DeliverTo::Set { name, except: None }, content).unwrap();
        slots
    }

    fn write(&mut self, most: usize) -> Vec<u32> {
        let mut written = Vec::new();
        self.fanout.write_some(most, |slot, _| {
            written.push(slot.0);
            Continue(())
        });
        written
    }
}

/// Deficit round robin, one send at a time.
#[derive(Default)]
struct Model {
    /// Sends that wait, with their work, by tenant.
    queues: BTreeMap<usize, VecDeque<(u32, i64)>>,
    balance: BTreeMap<usize, i64>,
    turns: VecDeque<usize>,
}

impl Model {
    fn push(&mut self, of: usize, slots: &[u32], cost: usize) {
        let queue = self.queues.entry(of).or_default();
        if queue.is_empty() {
            self.turns.push_back(of);
        }
        queue.extend(slots.iter().map(|slot| (*slot, i64::try_from(cost).unwrap())));
    }

    fn send(&mut self) -> Option<u32> {
        loop {
            let of = *self.turns.front()?;
            let balance = self.balance.entry(of).or_default();
            if self.turns.len() == 1 {
                *balance = 0;
            } else if *balance <= 0 {
                *balance += FANOUT_QUANTUM;
                if *balance <= 0 {
                    self.turns.rotate_left(1);
                    continue;
                }
            }
            let queue = self.queues.get_mut(&of).unwrap();
            let (slot, cost) = queue.pop_front().unwrap();
            let is_alone = self.turns.len() == 1;
            if !is_alone {
                *balance -= cost;
            }
            if queue.is_empty() {
                *balance = (*balance).min(0);
                self.turns.pop_front();
            } else if !is_alone && *balance <= 0 {
                self.turns.rotate_left(1);
            }
            return Some(slot);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push { of: usize, clients: u32, cost: usize },
    Write(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let push = (0..4_usize, 1..400_u32, prop_oneof![Just(1_usize), 2..9_usize, Just(600)])
        .prop_map(|(of, clients, cost)| Step::Push { of, clients, cost });
    let write = prop_oneof![1..40_usize, Just(256), 300..900_usize].prop_map(Step::Write);
    proptest::collection::vec(prop_oneof![push, write], 1..50)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn tenants_take_turns_as_in_the_model(steps in steps()) {
        let (mut tested, mut model) = (Tested::default(), Model::default());
        for step in steps {
            match step {
                Step::Push { of, clients, cost } => {
                    let slots = tested.push(of, clients, cost);
                    model.push(of, &slots, cost);
                }
                Step::Write(most) => {
                    let expected: Vec<u32> =
                        std::iter::from_fn(|| model.send()).take(most).collect();
                    prop_assert_eq!(tested.write(most), expected);
                }
            }
        }
        let expected: Vec<u32> = std::iter::from_fn(|| model.send()).collect();
        prop_assert_eq!(tested.write(usize::MAX), expected);
        prop_assert!(tested.fanout.is_empty());
        prop_assert_eq!(tested.fanout.queues.bytes(), 0);
    }
}

#[test]
fn a_tenant_waits_for_one_quantum_of_each_other_tenant() {
    let mut tested = Tested::default();
    tested.push(1, 900, 1);
    assert_eq!(tested.write(256).len(), 256, "it is alone");
    tested.push(2, 900, 2);
    let quiet = tested.push(3, 20, 1);
    let written = tested.write(usize::MAX);
    let place = written.iter().position(|slot| *slot == quiet[0]).unwrap();
    assert_eq!(place, 256 + 128, "a quantum of the first, and one of sends that count twice");
    assert_eq!(written[place..place + 20], quiet[..]);
}

#[test]
fn a_debt_for_a_large_publication_outlasts_an_empty_queue() {
    let mut tested = Tested::default();
    tested.push(1, 2000, 1);
    tested.push(2, 1, 600);
    assert_eq!(tested.write(257).len(), 257);
    tested.push(2, 1, 1);
    let written = tested.write(usize::MAX);
    let place = written.iter().position(|slot| *slot / SLOTS == 2).unwrap();
    assert_eq!(place, 2 * 256, "600 units are more than two turns");
}

#[test]
fn urgent_publications_of_a_tenant_keep_to_its_turn() {
    let mut tested = Tested::default();
    let bulk = tested.push(1, 600, 1);
    tested.push(2, 600, 1);
    assert_eq!(tested.write(10).len(), 10);
    tested.fanout.switch_to(tenant(1));
    let content = || Content { form: PayloadForm::Text, payload: &b"1"[..] };
    for slot in bulk.iter().rev().take(300) {
        tested.fanout.deliver(DeliverTo::One(Slot(*slot)), content()).unwrap();
    }
    // Each is two sends: what was queued before, and itself.
    let written = tested.write(0);
    assert_eq!(written.len(), 246);
    assert!(written.iter().all(|slot| slot / SLOTS == 1));
    let next = tested.write(256);
    assert!(next.iter().all(|slot| slot / SLOTS == 2), "the other one has its turn");
}

#[test]
fn a_retired_slot_waits_for_the_batches_of_all_tenants() {
    let mut tested = Tested::default();
    tested.push(1, 600, 1);
    tested.push(2, 3, 1);
    tested.fanout.retire(Slot(7));
    let mut released = Vec::new();
    tested.write(300);
    tested.fanout.release_retired(|slot| released.push(slot));
    assert_eq!(released, [], "the first tenant is not done");
    tested.write(usize::MAX);
    tested.fanout.release_retired(|slot| released.push(slot));
    assert_eq!(released, [Slot(7)]);
}

#[test]
fn a_client_that_closes_gets_what_waits_in_its_tenant() {
    let mut tested = Tested::default();
    tested.push(1, 600, 1);
    let slots = tested.push(2, 3, 1);
    let mut frames = Vec::new();
    tested.fanout.write_for(Slot(slots[1]), |slot, batch| {
        frames.push((slot.0, batch.frames_for(slot, Protocol::Phpws).count()));
    });
    assert_eq!(frames, [(slots[1], 1)]);
    assert_eq!(tested.write(usize::MAX).len(), 602, "and nothing twice");
}

#[test]
fn queues_of_tenants_that_are_gone_are_removed() {
    let mut tested = Tested::default();
    tested.push(1, 2, 1);
    for of in 2..10 * FANOUT_QUEUES_IDLE {
        tested.fanout.switch_to(tenant(of));
    }
    assert!(tested.fanout.queues.len() <= FANOUT_QUEUES_IDLE);
    tested.push(1, 2, 1);
    assert_eq!(tested.write(usize::MAX).len(), 4);
    tested.fanout.forget_sets();
    assert_eq!(tested.fanout.queues.current().map(|it| &it.tenant), Some(&Tenant::shared()));
}
