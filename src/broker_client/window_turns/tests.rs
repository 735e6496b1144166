//! Tests of the turns, against a model that serves one publication at a time.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Bytes of the window. A tenant has at most half of them while others wait.
const WINDOW: u64 = 1024 * 1024;

fn tenant(of: usize) -> Tenant {
    if of == 0 { Tenant::shared() } else { Tenant(format!("t{of}").into()) }
}

/// A window by bytes: what each tenant has in it, in order.
#[derive(Clone, Default)]
struct Window(VecDeque<(usize, u64)>);

impl Window {
    fn used(&self, of: Option<usize>) -> u64 {
        let its = self.0.iter().filter(|(its, _)| of.is_none_or(|of| of == *its));
        its.map(|(_, bytes)| bytes).sum()
    }

    /// Adds a publication if that is allowed. A tenant may have this many bytes.
    fn offer(&mut self, of: usize, bytes: u64, most: u64) -> TurnOutcome {
        if !self.0.is_empty() && self.used(None) + bytes > WINDOW {
            return TurnOutcome::NoRoom;
        }
        let own = self.used(Some(of));
        if own > 0 && own + bytes > most {
            return TurnOutcome::OverShare;
        }
        self.0.push_back((of, bytes));
        TurnOutcome::Served(bytes)
    }
}

/// What is served: the tenant, and the bytes.
type Served = Vec<(usize, u64)>;

#[derive(Default)]
struct Tested {
    turns: WindowTurns<VecDeque<(usize, u64)>>,
    window: Window,
}

impl Tested {
    fn push(&mut self, of: usize, bytes: u64) {
        self.turns.push_with(&tenant(of), |queue| queue.push_back((of, bytes)));
    }

    fn round(&mut self) -> Served {
        let (mut round, mut served) = (TurnRound::default(), Vec::new());
        while let Some((_, queue)) = self.turns.select(&mut round) {
            let (of, bytes) = queue.pop_front().unwrap();
            let most = if self.turns.others_wait(&tenant(of)) { WINDOW / 2 } else { WINDOW };
            let outcome = self.window.offer(of, bytes, most);
            match outcome {
                TurnOutcome::Served(_) => served.push((of, bytes)),
                _ => self.turns.push_with(&tenant(of), |queue| queue.push_front((of, bytes))),
            }
            self.turns.settle(&mut round, outcome);
        }
        served
    }

    fn acknowledge(&mut self, publications: usize) {
        self.window.0.drain(..publications.min(self.window.0.len()));
    }
}

/// The rules, with a list of tenants and no positions in it.
#[derive(Default)]
struct Model {
    /// Tenants that wait, in the order of their turns.
    order: Vec<usize>,
    waiting: BTreeMap<usize, VecDeque<u64>>,
    balances: BTreeMap<usize, i64>,
    window: Window,
}

impl Model {
    fn push(&mut self, of: usize, bytes: u64) {
        if !self.order.contains(&of) {
            self.order.push(of);
            let balance = self.balances.entry(of).or_default();
            *balance = (*balance).min(0);
        }
        self.waiting.entry(of).or_default().push_back(bytes);
    }

    fn serve(&mut self, of: usize, served: &mut Served) -> TurnOutcome {
        let bytes = self.waiting[&of][0];
        let most = if self.order.iter().any(|it| *it != of) { WINDOW / 2 } else { WINDOW };
        let outcome = self.window.offer(of, bytes, most);
        if let TurnOutcome::Served(_) = outcome {
            served.push((of, bytes));
            let queue = self.waiting.get_mut(&of).unwrap();
            queue.pop_front();
            if queue.is_empty() {
                self.order.retain(|it| *it != of);
            }
        }
        outcome
    }

    fn charge(&mut self, of: usize, work: u64) -> i64 {
        let balance = self.balances.get_mut(&of).unwrap();
        *balance -= i64::try_from(work).unwrap();
        *balance
    }

    /// Makes a tenant the last one of those that are not in `over`.
    fn move_to_end(&mut self, of: usize, over: &BTreeSet<usize>) {
        self.order.retain(|it| *it != of);
        let end = self.order.iter().position(|it| over.contains(it)).unwrap_or(self.order.len());
        self.order.insert(end, of);
    }

    fn round(&mut self) -> Served {
        let (mut served, mut over) = (Vec::new(), BTreeSet::new());
        loop {
            let eligible: Vec<usize> =
                self.order.iter().copied().filter(|it| !over.contains(it)).collect();
            let Some(first) = eligible.first().copied() else { break };
            let balance = self.balances.get_mut(&first).unwrap();
            let is_alone = eligible.len() == 1;
            if is_alone {
                *balance = 0;
            } else if *balance <= 0 {
                *balance += WINDOW_QUANTUM;
                if *balance <= 0 {
                    self.move_to_end(first, &over);
                    continue;
                }
            }
            match self.serve(first, &mut served) {
                TurnOutcome::Served(work) => {
                    let is_spent = !is_alone && self.charge(first, work) <= 0;
                    let waits = self.order.contains(&first);
                    if waits && is_spent {
                        self.move_to_end(first, &over);
                    } else if !waits && self.order.len() == 1 {
                        over.clear();
                    }
                }
                TurnOutcome::OverShare => {
                    self.order.retain(|it| *it != first);
                    self.order.push(first);
                    over.insert(first);
                }
                TurnOutcome::NoRoom => {
                    self.overtake(&eligible, &mut served);
                    break;
                }
            }
        }
        if self.order.is_empty() {
            self.balances.clear();
        }
        served
    }

    fn overtake(&mut self, eligible: &[usize], served: &mut Served) {
        for of in eligible.iter().skip(1) {
            while self.order.contains(of)
                && self.balances[of] > -WINDOW_QUANTUM
                && let TurnOutcome::Served(work) = self.serve(*of, served)
            {
                self.charge(*of, work);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push { of: usize, bytes: u64 },
    Acknowledge(usize),
    Round,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![
        4 => 500..3000_u64,
        2 => 20_000..200_000_u64,
        1 => Just(700_000_u64),
        1 => Just(2_000_000_u64),
    ];
    let step = prop_oneof![
        4 => (0..4_usize, bytes).prop_map(|(of, bytes)| Step::Push { of, bytes }),
        1 => (0..20_usize).prop_map(Step::Acknowledge),
        1 => Just(Step::Round),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn tenants_take_turns_for_the_window_as_in_the_model(steps in steps()) {
        let (mut tested, mut model) = (Tested::default(), Model::default());
        for step in steps.into_iter().chain([Step::Round]) {
            match step {
                Step::Push { of, bytes } => {
                    tested.push(of, bytes);
                    model.push(of, bytes);
                }
                Step::Acknowledge(publications) => {
                    tested.acknowledge(publications);
                    model.window = tested.window.clone();
                }
                Step::Round => {
                    prop_assert_eq!(tested.round(), model.round());
                    prop_assert_eq!(&tested.window.0, &model.window.0);
                }
            }
        }
        // All that wait are served once the window is empty often enough.
        while !tested.turns.is_empty() {
            tested.acknowledge(usize::MAX);
            prop_assert!(!tested.round().is_empty());
        }
        prop_assert!(tested.turns.debts.is_empty() && tested.turns.places.is_empty());
    }
}

/// Serves tenants that wait without a pause, and acknowledges one publication after each round.
fn share_of_each(bytes: &[u64]) -> Vec<u64> {
    let (mut tested, mut done) = (Tested::default(), vec![0; bytes.len()]);
    for _ in 0..5000 {
        for (of, bytes) in bytes.iter().enumerate() {
            let waits = tested.turns.places.get(&tenant(of)).copied();
            let waits = waits.map_or(0, |place| tested.turns.queues[place].queue.len());
            (waits..300).for_each(|_| tested.push(of, *bytes));
        }
        for (of, bytes) in tested.round() {
            done[of] += bytes;
        }
        tested.acknowledge(1);
    }
    done
}

#[test]
fn tenants_that_never_pause_publish_the_same_amounts() {
    for bytes in [&[600, 600][..], &[600, 60_000], &[600, 600, 100_000], &[1000, 60_000, 200_000]] {
        let done = share_of_each(bytes);
        let (most, least) = (done.iter().max().unwrap(), done.iter().min().unwrap());
        let largest = bytes.iter().max().unwrap();
        let quantum = u64::try_from(WINDOW_QUANTUM).unwrap();
        assert!(most - least <= 2 * quantum + largest, "{bytes:?}: {done:?}");
        assert!(*least > 5 * quantum, "{bytes:?}: {done:?}");
    }
}

#[test]
fn one_tenant_has_the_whole_window_and_no_account() {
    let mut tested = Tested::default();
    (0..3000).for_each(|_| tested.push(1, 1024));
    assert_eq!(tested.round().len(), 1024);
    assert!(!tested.turns.others_wait(&tenant(1)) && tested.turns.others_wait(&tenant(2)));
    assert_eq!(tested.turns.queues[0].balance, 0);
    tested.push(2, 1024);
    tested.acknowledge(600);
    let served = tested.round();
    assert_eq!(served.iter().filter(|(of, _)| *of == 2).count(), 1);
    assert_eq!(tested.window.used(None), WINDOW, "the second one no longer waits");
}

#[test]
fn a_tenant_that_comes_is_served_before_one_that_has_half() {
    let mut tested = Tested::default();
    (0..3000).for_each(|_| tested.push(1, 1024));
    tested.round();
    (0..100).for_each(|_| tested.push(2, 1024));
    tested.acknowledge(10);
    assert_eq!(tested.round(), vec![(2, 1024); 10]);
}
