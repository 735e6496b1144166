//! Tests of the line of publishers: order, rates, reloads.

use std::time::Duration;

use super::*;
use crate::auth::Application;
use crate::types::{LimitValue, RateLimit};

const A: ApplicationIndex = Some(0);
const NO_DEFAULTS: DefaultLimits =
    DefaultLimits { requests: None, publications: None, bytes: None };

fn at(millis: u64) -> Moment {
    Moment::START.after(Duration::from_millis(millis))
}

fn connection(n: u32) -> ThrottledConnection {
    ThrottledConnection { slot: Slot(n), serial: u64::from(n) }
}

fn per_second(units: u64) -> LimitValue<RateLimit> {
    LimitValue::At(RateLimit::new(units, units))
}

fn applications(limits: &[(&str, ApplicationLimits)]) -> Applications {
    let application = |(key, limits): &(&str, ApplicationLimits)| Application {
        key: (*key).to_owned(),
        limits: *limits,
        ..Application::placeholder()
    };
    Applications { list: limits.iter().map(application).collect(), anonymous: None }
}

fn limited(units: u64) -> ApplicationLimits {
    ApplicationLimits { publications: per_second(units), ..ApplicationLimits::default() }
}

fn throttle(limits: ApplicationLimits) -> Throttle {
    let mut throttle = Throttle::default();
    throttle.configure(Some(&applications(&[("a", limits)])), &NO_DEFAULTS, at(0));
    throttle
}

/// One message of a connection: it waits, or publishes.
fn send(throttle: &mut Throttle, n: u32, now: Moment) -> bool {
    match throttle.wait_of(Slot(n), || A, now) {
        None => throttle.charge(A, Slot(n), 1, now),
        Some(wait) => {
            throttle.push(connection(n), wait, now);
            return false;
        }
    }
    true
}

fn ready(throttle: &mut Throttle, now: Moment) -> Option<u32> {
    let ready = throttle.next_ready(now)?;
    throttle.charge(A, ready.connection.slot, 1, now);
    Some(ready.connection.slot.0)
}

#[test]
fn publishers_wait_in_a_line_and_each_turn_is_one_message() {
    let mut throttle = throttle(limited(10));
    assert!((0..10).all(|_| send(&mut throttle, 1, at(0))));
    assert!(!send(&mut throttle, 1, at(0)) && !send(&mut throttle, 2, at(0)));
    assert!(!send(&mut throttle, 2, at(0)), "it is in the line once");
    assert_eq!((throttle.next_due(), ready(&mut throttle, at(99))), (Some(at(100)), None));
    assert_eq!(ready(&mut throttle, at(100)), Some(1));
    assert!(!send(&mut throttle, 1, at(100)) && !send(&mut throttle, 3, at(250)));
    assert_eq!(ready(&mut throttle, at(250)), Some(2));
    assert_eq!(ready(&mut throttle, at(250)), None);
    assert_eq!(ready(&mut throttle, at(300)), Some(1));
    assert_eq!(ready(&mut throttle, at(400)), Some(3));
    assert_eq!((ready(&mut throttle, at(500)), throttle.next_due()), (None, None));
    let waited: Duration = [100, 250, 200, 150].map(Duration::from_millis).iter().sum();
    let AllWaits { limits, tenants } = throttle.waits();
    assert_eq!((limits, tenants), (WaitTotals { waits: 4, waited }, WaitTotals::default()));
}

#[test]
fn a_connection_with_a_limit_of_its_own_waits_alone() {
    let per_connection =
        PublisherLimits { publications: per_second(2), bytes: LimitValue::Inherited };
    let limits = ApplicationLimits { per_connection, ..ApplicationLimits::default() };
    let mut throttle = throttle(limits);
    assert!(send(&mut throttle, 1, at(0)) && send(&mut throttle, 1, at(0)));
    assert!(!send(&mut throttle, 1, at(0)) && send(&mut throttle, 2, at(0)));
    assert_eq!(throttle.next_due(), Some(at(500)));
    assert_eq!(ready(&mut throttle, at(500)), Some(1));
    throttle.forget(Slot(1));
    assert!(send(&mut throttle, 1, at(500)), "another connection has the slot");
}

#[test]
fn a_reload_finds_applications_by_key_and_looks_at_all_that_wait() {
    let mut throttle = throttle(limited(1));
    assert!(send(&mut throttle, 1, at(0)) && !send(&mut throttle, 1, at(0)));
    let other = ("b", ApplicationLimits::default());
    let both = applications(&[other, ("a", limited(2))]);
    throttle.configure(Some(&both), &NO_DEFAULTS, at(0));
    assert_eq!(throttle.next_due(), Some(at(0)));
    let released = throttle.next_ready(at(0)).unwrap();
    assert_eq!(released, ReadyPublisher { connection: connection(1), is_admitted: false });
    // One publication is still owed, at twice the rate.
    let wait = throttle.wait_of(Slot(1), || None, at(0));
    assert_eq!(wait, None, "the bucket holds two now");
    throttle.charge(Some(1), Slot(1), 1, at(0));
    let wait = throttle.wait_of(Slot(1), || None, at(0));
    assert_eq!(wait, Some(PublisherWait::Application(Some(1))));
    throttle.configure(Some(&applications(&[other])), &NO_DEFAULTS, at(0));
    assert!(!throttle.is_on() && throttle.next_ready(at(0)).is_none());
}

#[test]
fn publishers_of_a_throttled_tenant_wait_for_its_end() {
    let mut throttle = Throttle::default();
    let [shop, own] = ["shop", "own"].map(|name| Tenant(name.into()));
    for slot in 1..3 {
        throttle.push(connection(slot), PublisherWait::Tenant(shop.clone()), at(0));
    }
    throttle.push(connection(3), PublisherWait::Tenant(own.clone()), at(50));
    assert_eq!((throttle.next_due(), throttle.next_ready(at(90))), (None, None));
    throttle.release_tenant(&own, at(100));
    assert_eq!(throttle.next_due(), Some(at(100)));
    assert_eq!(throttle.next_ready(at(100)).map(|it| it.connection), Some(connection(3)));
    assert_eq!((throttle.next_ready(at(100)), throttle.next_due()), (None, None));
    throttle.release_tenants(at(200));
    let released: Vec<_> = std::iter::from_fn(|| throttle.next_ready(at(200))).collect();
    let expected = |slot| ReadyPublisher { connection: connection(slot), is_admitted: false };
    assert_eq!(released, [expected(1), expected(2)]);
    let AllWaits { limits, tenants } = throttle.waits();
    let waited = Duration::from_millis(200 + 200 + 50);
    assert_eq!((limits, tenants), (WaitTotals::default(), WaitTotals { waits: 3, waited }));
}

#[test]
fn a_publication_may_be_of_another_tenant_than_its_connection() {
    let mut throttle = Throttle::default();
    let [shop, own] = ["shop", "own"].map(|name| Tenant(name.into()));
    throttle.note_publication(Slot(1), &shop, &own);
    throttle.note_publication(Slot(2), &own, &own);
    assert_eq!([1, 2].map(|slot| throttle.tenant_of(Slot(slot))), [Some(&shop), None]);
    throttle.note_publication(Slot(1), &own, &own);
    throttle.note_publication(Slot(2), &shop, &own);
    throttle.forget(Slot(2));
    assert_eq!([1, 2].map(|slot| throttle.tenant_of(Slot(slot))), [None, None]);
}

#[test]
fn a_server_without_applications_has_the_default_limits() {
    let mut throttle = Throttle::default();
    throttle.configure(None, &NO_DEFAULTS, at(0));
    assert!(!throttle.is_on());
    let publications = Some(RateLimit::new(1, 1));
    throttle.configure(None, &DefaultLimits { publications, ..NO_DEFAULTS }, at(0));
    assert!(throttle.is_on() && throttle.wait_of(Slot(1), || None, at(0)).is_none());
    throttle.charge(None, Slot(1), 1, at(0));
    assert!(throttle.wait_of(Slot(2), || None, at(0)).is_some());
}

#[test]
fn hosts_share_the_rate_of_an_application() {
    let mut throttle = throttle(limited(10));
    throttle.share(2, at(0));
    let accepted = |throttle: &mut Throttle, slot, now| {
        (0..20).take_while(|_| send(throttle, slot, now)).count()
    };
    assert_eq!(accepted(&mut throttle, 1, at(0)), 5);
    throttle.configure(Some(&applications(&[("a", limited(10))])), &NO_DEFAULTS, at(0));
    throttle.share(1, at(0));
    assert_eq!(accepted(&mut throttle, 2, at(1000)), 10, "another host has left");
    throttle.share(u32::MAX, at(1000));
    let of_all = throttle.applications[0].as_ref().unwrap().of_all.shared_by(throttle.hosts());
    assert_eq!(of_all, [Some(RateLimit::new(1, 1)), None], "each host has a little");
}
