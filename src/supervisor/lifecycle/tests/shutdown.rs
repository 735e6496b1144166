//! Tests of a graceful shutdown: which processes get commands, are restarted and are killed.

use super::*;
use crate::supervisor::lifecycle::shutdown::quiesce_deadline;
use crate::types::limits::HUNG_BROKER_REPLACED;

#[test]
fn an_orderly_end_is_quiet_then_drained_then_stopped() {
    let mut play = Play::running();
    let quiesce = |worker_id| {
        Action::Send(worker(worker_id, 0), WorkerCommand::Quiesce(PendingHandshakes::Refuse).into())
    };
    assert_eq!(play.signal(), [quiesce(0), quiesce(1)]);
    assert_eq!(play.reports(worker(0, 0), ChildEvent::Quiesced), []);
    let drains = play.reports(worker(1, 0), ChildEvent::Quiesced);
    let within = Duration::from_millis(8100);
    let drain =
        |worker_id| Action::Send(worker(worker_id, 0), WorkerCommand::Drain { within }.into());
    assert_eq!(drains, [drain(0), drain(1)]);
    play.dies(worker(0, 0));
    let stops = play.dies(worker(1, 0));
    assert_eq!(stops.last(), Some(&Action::Send(broker(0), BrokerCommand::Stop.into())));
    assert_eq!(play.dies(broker(0)), [Action::End]);
}

#[test]
fn the_api_process_answers_until_the_last_worker_has_exited() {
    let mut play = Play { processes: ProcessTable::new(2, DRAIN).with_api(), ..Play::running() };
    play.did(ProcessTable::start);
    let api = ChildId::Api(Generation(0));
    let to_api = |effects: &[Action]| -> Vec<ChildCommand> {
        let sent = effects.iter().filter_map(|effect| match effect {
            Action::Send(child, command) if *child == api => Some(command.clone()),
            _ => None,
        });
        sent.filter(|it| !matches!(it, ChildCommand::Api(ApiCommand::Readiness(_)))).collect()
    };
    assert_eq!(to_api(&play.signal()), [ApiCommand::Quiesce.into()]);
    for child in [api, worker(0, 0), worker(1, 0)] {
        assert_eq!(to_api(&play.reports(child, ChildEvent::Quiesced)), []);
    }
    assert_eq!(to_api(&play.dies(worker(0, 0))), []);
    play.now += Duration::from_secs(4);
    // Five of the nine seconds are left, and a tenth of them is for the broker.
    let within = Duration::from_millis(4500);
    assert_eq!(to_api(&play.dies(worker(1, 0))), [ApiCommand::Drain { within }.into()]);
    let stops = play.dies(api);
    assert_eq!(stops.last(), Some(&Action::Send(broker(0), BrokerCommand::Stop.into())));
    assert_eq!(play.dies(broker(0)), [Action::End]);
}

#[test]
fn a_broker_that_dies_while_workers_wait_for_it_is_replaced() {
    let mut play = Play::running();
    play.signal();
    assert_eq!(play.dies(broker(0))[0], Action::Start(broker(1)));
    let dead = Action::Send(broker(1), BrokerCommand::WorkerDead { source: source(0, 0) }.into());
    assert_eq!(play.dies(worker(0, 0)), [dead], "no new worker is needed");
}

/// Returns a server with two workers that close their clients.
fn draining() -> Play {
    let mut play = Play::running();
    play.signal();
    for worker_id in [0, 1] {
        play.reports(worker(worker_id, 0), ChildEvent::Quiesced);
    }
    play
}

#[test]
fn a_broker_that_dies_in_a_drain_is_replaced_while_workers_live() {
    let mut play = draining();
    let effects = play.dies(broker(0));
    let live_workers = |worker_ids: &[u16]| {
        ChildCommand::from(BrokerCommand::LiveWorkers {
            sources: worker_ids.iter().map(|worker_id| source(*worker_id, 0)).collect(),
        })
    };
    let announced = Action::Send(broker(1), live_workers(&[0, 1]));
    assert_eq!(effects, [Action::Start(broker(1)), announced, link(0, 0, 1), link(1, 0, 1)]);
    let dead = Action::Send(broker(1), BrokerCommand::WorkerDead { source: source(0, 0) }.into());
    assert_eq!(play.dies(worker(0, 0)), [dead], "no client needs a new worker now");
    let announced = Action::Send(broker(2), live_workers(&[1]));
    assert_eq!(play.dies(broker(1)), [Action::Start(broker(2)), announced, link(1, 0, 2)]);
    let stops = play.dies(worker(1, 0));
    assert_eq!(stops.last(), Some(&Action::Send(broker(2), BrokerCommand::Stop.into())));
    assert_eq!(play.dies(broker(2)), [Action::End]);
}

#[test]
fn shutdown_does_not_wait_for_the_restart_of_a_broker() {
    let mut play = draining();
    for generation in 0..u32::try_from(RESTARTS_FREE).unwrap() {
        play.dies(broker(generation));
    }
    let pause = RESTART_PAUSE_MIN;
    assert_eq!(play.dies(broker(5)), [Action::Wait { child: broker(5), pause }]);
    assert_eq!(play.dies(worker(0, 0)), []);
    assert_eq!(play.dies(worker(1, 0)), [Action::End]);
}

#[test]
fn a_broker_that_hangs_while_clients_are_closed_is_killed() {
    let mut play = draining();
    play.reports(broker(0), ChildEvent::Heartbeat);
    let mut effects = Vec::new();
    while effects.is_empty() {
        play.now = play.processes.wakes_at().unwrap();
        effects = play.did(ProcessTable::proceed);
        effects.retain(|effect| {
            !matches!(effect, Action::Send(_, ChildCommand::Common(CommonCommand::Heartbeat)))
        });
    }
    assert_eq!(effects, [Action::Hangs(broker(0)), Action::Kill(broker(0))]);
}

/// The default drain time leaves three seconds to detect a hung broker, one second for its
/// successor, and the rest for the clients.
#[test]
fn workers_wait_until_a_hung_broker_is_replaced_where_the_time_allows_it() {
    let now = start_of_time();
    let waits = |drain_time| quiesce_deadline(now, drain_time) - now;
    let seconds = Duration::from_secs;
    assert_eq!(waits(seconds(5)), HUNG_BROKER_REPLACED);
    assert_eq!(waits(seconds(6)), HUNG_BROKER_REPLACED);
    assert_eq!(waits(seconds(60)), seconds(30));
    assert_eq!(waits(seconds(1)), Duration::from_millis(800));
    assert_eq!(waits(Duration::ZERO), Duration::ZERO);
}

#[test]
fn a_worker_that_misses_the_deadline_is_drained_then_killed() {
    let mut play = Play::running();
    let begun = play.now;
    play.signal();
    play.reports(worker(0, 0), ChildEvent::Quiesced);
    assert!(matches!(
        play.wakes()[..],
        [Action::Send(_, ChildCommand::Worker(WorkerCommand::Drain { .. })), Action::Send(..)]
    ));
    assert_eq!(play.now, quiesce_deadline(begun, DRAIN));
    play.dies(worker(0, 0));
    assert_eq!(play.wakes(), [Action::Late, Action::Kill(worker(1, 0)), Action::Kill(broker(0))]);
    assert!(play.now < begun + DRAIN);
    play.dies(broker(0));
    assert_eq!(play.dies(worker(1, 0)), [Action::End]);
}

#[test]
fn a_second_signal_means_now() {
    let mut play = Play::running();
    play.signal();
    let kills = [worker(0, 0), worker(1, 0), broker(0)].map(Action::Kill);
    assert_eq!(play.signal(), kills);
    for child in [worker(0, 0), broker(0)] {
        play.dies(child);
    }
    assert_eq!(play.dies(worker(1, 0)), [Action::End]);
}

#[test]
fn a_signal_without_live_children_exits_at_once() {
    let mut play =
        Play { processes: ProcessTable::new(1, DRAIN), now: start_of_time(), roles: Vec::new() };
    assert_eq!(play.signal(), [Action::End]);
}

#[test]
fn a_draining_worker_is_not_probed() {
    let mut play = Play::running();
    play.signal();
    assert!(
        play.processes.wakes_at() < play.processes.advances_at(),
        "what is under way needs a broker"
    );
    for worker_id in [0, 1] {
        play.reports(worker(worker_id, 0), ChildEvent::Quiesced);
    }
    let mut asked = Vec::new();
    for _ in 0..3 {
        play.now = play.processes.wakes_at().unwrap();
        asked.extend(play.did(ProcessTable::proceed));
        play.reports(broker(0), ChildEvent::Heartbeat);
    }
    let ask = Action::Send(broker(0), CommonCommand::Heartbeat.into());
    assert_eq!(asked, [ask.clone(), ask.clone(), ask], "clients publish to the last");
}
