//! Tests of the choice of the leader.

use super::*;

#[test]
fn one_worker_that_serves_is_the_steward() {
    let mut play = Play::running();
    assert_eq!(play.roles, [(worker(0, 0), WorkerRole::Leader)]);
    play.roles.clear();
    play.dies(worker(1, 0));
    assert!(play.roles.is_empty());
    play.dies(worker(0, 0));
    assert!(play.roles.is_empty(), "no worker serves");
    play.reports(worker(1, 1), ChildEvent::Ready);
    play.reports(worker(0, 1), ChildEvent::Ready);
    assert_eq!(play.roles, [(worker(1, 1), WorkerRole::Leader)]);
}

#[test]
fn a_steward_that_is_replaced_lays_its_duty_down() {
    let (mut play, _) = restarting();
    play.roles.clear();
    play.reports(worker(2, 0), ChildEvent::Ready);
    play.reports(worker(0, 0), ChildEvent::Quiesced);
    let roles = [(worker(0, 0), WorkerRole::Follower), (worker(1, 0), WorkerRole::Leader)];
    assert_eq!(play.roles, roles);
}
