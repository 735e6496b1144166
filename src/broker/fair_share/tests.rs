//! Tests of throttles, against a model that keeps every piece of work.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const A: usize = 0;
const B: usize = 1;

fn tenant(number: usize) -> Tenant {
    Tenant(format!("t{number}").into())
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn given(share: &mut FairShare, of: usize, worker: u16, work: u64) {
    if let Some(load) = share.load(&tenant(of)) {
        load.give(WorkerId(worker), work);
    }
}

fn done(share: &mut FairShare, of: usize, worker: u16, done: u64) {
    share.on_report(WorkerId(worker), &WorkReport { tenant: tenant(of), done });
}

/// Begins to count, because two tenants publish at this time.
fn counting(limit: u64, now: Duration) -> FairShare {
    let mut share = FairShare::default();
    share.limit(limit);
    share.note_publisher(&tenant(A), now);
    assert!(!share.begins_to_count(now), "a tenant that is alone is not counted");
    given(&mut share, A, 0, 1_000_000);
    share.note_publisher(&tenant(B), now);
    assert!(share.begins_to_count(now));
    assert!(!share.begins_to_count(now), "only once");
    share
}

fn decided(share: &mut FairShare, now: Duration) -> Vec<(String, bool)> {
    let orders = share.decide(now).into_iter();
    orders.map(|it| (it.tenant.0.to_string(), it.is_throttled)).collect()
}

fn throttled(name: &str) -> Vec<(String, bool)> {
    vec![(name.to_owned(), true)]
}

fn lifted(name: &str) -> Vec<(String, bool)> {
    vec![(name.to_owned(), false)]
}

#[test]
fn a_tenant_is_throttled_above_the_limit_and_lifted_at_a_quarter() {
    let mut share = counting(1000, at(0));
    given(&mut share, A, 0, 600);
    given(&mut share, A, 1, 400);
    assert_eq!(decided(&mut share, at(1)), []);
    given(&mut share, A, 1, 1);
    assert_eq!(decided(&mut share, at(2)), throttled("t0"));
    done(&mut share, A, 0, 600);
    assert_eq!(decided(&mut share, at(3)), []);
    done(&mut share, A, 1, 150);
    assert_eq!(decided(&mut share, at(4)), [], "251 are left");
    done(&mut share, A, 1, 1);
    assert_eq!(decided(&mut share, at(5)), lifted("t0"));
    assert_eq!(share.throttles(), 1);
}

#[test]
fn a_tenant_that_is_alone_is_not_throttled_and_no_longer_throttled() {
    let mut share = counting(1000, at(0));
    given(&mut share, A, 0, 5000);
    assert_eq!(decided(&mut share, at(1001)), [], "the other one is silent");
    share.note_publisher(&tenant(B), at(1100));
    given(&mut share, A, 0, 1);
    assert_eq!(decided(&mut share, at(1100)), throttled("t0"));
    share.note_publisher(&tenant(A), at(1500));
    assert_eq!(decided(&mut share, at(2100)), []);
    assert_eq!(decided(&mut share, at(2101)), lifted("t0"));
}

#[test]
fn two_throttled_tenants_are_company_for_each_other() {
    let mut share = counting(1000, at(0));
    given(&mut share, A, 0, 2000);
    given(&mut share, B, 0, 2000);
    assert_eq!(decided(&mut share, at(1)).len(), 2);
    assert_eq!(decided(&mut share, at(60_000)), [], "neither can publish");
    done(&mut share, A, 0, 1900);
    assert_eq!(
        decided(&mut share, at(60_001)),
        [("t0".to_owned(), false), ("t1".to_owned(), false)]
    );
}

#[test]
fn work_of_a_dead_worker_is_forgotten() {
    let mut share = counting(1000, at(0));
    given(&mut share, A, 0, 200);
    given(&mut share, A, 1, 2000);
    assert_eq!(decided(&mut share, at(1)), throttled("t0"));
    share.forget_worker(WorkerId(1));
    assert_eq!(decided(&mut share, at(2)), lifted("t0"));
    done(&mut share, A, 1, 2000);
    done(&mut share, A, 0, 5000);
    assert_eq!(decided(&mut share, at(3)), []);
    assert!(share.loads.is_empty(), "nothing is kept for tenants without work");
}

#[test]
fn zero_switches_throttles_off_at_once() {
    let mut share = counting(1000, at(0));
    given(&mut share, A, 0, 2000);
    assert_eq!(decided(&mut share, at(1)), throttled("t0"));
    share.limit(0);
    assert_eq!(decided(&mut share, at(2)), lifted("t0"));
    given(&mut share, A, 0, 2000);
    assert_eq!(decided(&mut share, at(3)), []);
    let mut off = FairShare::default();
    off.limit(0);
    off.note_publisher(&tenant(A), at(0));
    off.note_publisher(&tenant(B), at(0));
    assert!(!off.begins_to_count(at(0)));
}

#[test]
fn what_workers_leave_out_of_reports_cannot_keep_a_throttle() {
    for limit in [1, 3, 4, 1023, 1024, 20_000, 1_000_000_000] {
        let share = counting(limit, at(0));
        let left_out = share.reported_from().unwrap() - 1;
        assert!(256 * left_out <= limit / LIFTED_AT, "limit {limit}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish { of: usize, worker: u16, work: u64 },
    Done { of: usize, worker: u16, work: u64 },
    Dies(u16),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = || (0..4_usize, 0..3_u16, 1..900_u64);
    let step = prop_oneof![
        4 => one().prop_map(|(of, worker, work)| Step::Publish { of, worker, work }),
        4 => one().prop_map(|(of, worker, work)| Step::Done { of, worker, work }),
        1 => (0..3_u16).prop_map(Step::Dies),
        2 => (1..700_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    /// The throttles are those of a model that keeps all work and all times.
    #[test]
    fn throttles_follow_the_work(steps in steps()) {
        let mut share = counting(1000, at(0));
        let mut work: BTreeMap<(usize, u16), u64> = BTreeMap::new();
        let mut published: BTreeMap<usize, u64> = BTreeMap::from([(A, 0), (B, 0)]);
        let (mut now, mut is_throttled) = (0, [false; 4]);
        for step in steps {
            match step {
                Step::Publish { of, worker, work: more } => {
                    *work.entry((of, worker)).or_default() += more;
                    published.insert(of, now);
                    given(&mut share, of, worker, more);
                    share.note_publisher(&tenant(of), at(now));
                }
                Step::Done { of, worker, work: less } => {
                    let left = work.entry((of, worker)).or_default();
                    let less = less.min(*left);
                    *left -= less;
                    done(&mut share, of, worker, less);
                }
                Step::Dies(worker) => {
                    work.retain(|(_, of), _| *of != worker);
                    share.forget_worker(WorkerId(worker));
                }
                Step::Wait(millis) => now += millis,
            }
            for TenantThrottle { tenant: name, is_throttled: to } in share.decide(at(now)) {
                let of = (0..4).find(|of| tenant(*of) == name).unwrap();
                prop_assert_ne!(std::mem::replace(&mut is_throttled[of], to), to, "said once");
            }
            for of in 0..4 {
                let total: u64 = work.iter().filter(|((it, _), _)| *it == of).map(|it| it.1).sum();
                let others = (0..4).filter(|other| *other != of);
                let is_alone = others.into_iter().all(|other| {
                    !is_throttled[other] && published.get(&other).is_none_or(|then| now - then > 1000)
                });
                if total <= 250 || is_alone {
                    prop_assert!(!is_throttled[of], "{of} with {total}, alone: {is_alone}");
                }
                if let Step::Publish { of: it, .. } = step && it == of && total > 1000 && !is_alone {
                    prop_assert!(is_throttled[of], "{of} with {total}");
                }
            }
        }
        prop_assert!(share.loads.len() <= 4);
    }
}
