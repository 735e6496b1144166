//! Tests of deaths, lost links and shutdowns, without processes.

mod leader;
mod shutdown;

use super::*;
use crate::link::control::{
    Accepting, BrokerCommand, ChildCommand, CommonCommand, WorkerCommand, WorkerRole,
};
use crate::types::Generation;
use crate::types::limits::{LINK_LOST_WAIT, RESTART_PAUSE_MIN, RESTARTS_FREE};

const DRAIN: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "a test needs a moment to count from")]
fn start_of_time() -> Instant {
    Instant::now()
}

fn source(worker: u16, generation: u32) -> WorkerIncarnation {
    WorkerIncarnation { worker: WorkerId(worker), generation: Generation(generation) }
}

fn worker(worker_id: u16, generation: u32) -> ChildId {
    ChildId::Worker(source(worker_id, generation))
}

fn broker(generation: u32) -> ChildId {
    ChildId::Broker(Generation(generation))
}

fn link(worker_id: u16, generation: u32, broker: u32) -> Action {
    Action::Link { source: source(worker_id, generation), broker: Generation(broker) }
}

/// A running server with two workers and its clock.
struct Play {
    processes: ProcessTable,
    now: Instant,
    /// Leader commands that workers received.
    roles: Vec<(ChildId, WorkerRole)>,
}

impl Play {
    fn running() -> Self {
        let mut play = Self {
            processes: ProcessTable::new(2, DRAIN),
            now: start_of_time(),
            roles: Vec::new(),
        };
        play.did(ProcessTable::start);
        for worker_id in [0, 1] {
            play.reports(worker(worker_id, 0), ChildEvent::Ready);
        }
        play
    }

    fn did(
        &mut self,
        act: impl FnOnce(&mut ProcessTable, Instant, &mut Vec<Action>),
    ) -> Vec<Action> {
        let mut effects = Vec::new();
        act(&mut self.processes, self.now, &mut effects);
        effects.retain(|effect| match effect {
            Action::Send(child, ChildCommand::Worker(WorkerCommand::SetRole(role))) => {
                self.roles.push((*child, *role));
                false
            }
            _ => true,
        });
        effects
    }

    fn dies(&mut self, child: ChildId) -> Vec<Action> {
        self.did(|processes, now, effects| processes.died(child, now, effects))
    }

    fn reports(&mut self, child: ChildId, report: ChildEvent) -> Vec<Action> {
        self.did(|processes, now, effects| processes.reported(child, report, now, effects))
    }

    fn signal(&mut self) -> Vec<Action> {
        self.did(ProcessTable::request_shutdown)
    }

    /// Advances the clock to the next time that the process table waits for.
    fn wakes(&mut self) -> Vec<Action> {
        self.now = self.processes.advances_at().unwrap();
        self.did(ProcessTable::advance)
    }

    fn lost(worker_id: u16, generation: u32, broker: u32) -> ChildEvent {
        ChildEvent::LinkLost { peer: source(worker_id, generation), broker: Generation(broker) }
    }
}

#[test]
fn every_process_is_started_linked_and_announced_once() {
    let mut play =
        Play { processes: ProcessTable::new(2, DRAIN), now: start_of_time(), roles: Vec::new() };
    let effects = play.did(ProcessTable::start);
    assert_eq!(
        effects,
        [
            Action::Start(broker(0)),
            Action::Send(
                broker(0),
                ChildCommand::from(BrokerCommand::LiveWorkers { sources: vec![] })
            ),
            Action::Start(worker(0, 0)),
            link(0, 0, 0),
            Action::Start(worker(1, 0)),
            link(1, 0, 0),
        ]
    );
    assert_eq!(play.reports(worker(1, 0), ChildEvent::Ready), []);
    assert_eq!(play.reports(worker(0, 0), ChildEvent::Ready), [Action::Announce]);
    assert_eq!(play.reports(worker(0, 0), ChildEvent::Ready), []);
    play.dies(worker(0, 0));
    assert_eq!(play.reports(worker(0, 1), ChildEvent::Ready), []);
}

#[test]
fn a_dead_worker_is_reported_to_the_broker_and_replaced_at_once() {
    let mut play = Play::running();
    let effects = play.dies(worker(1, 0));
    let dead = Action::Send(broker(0), BrokerCommand::WorkerDead { source: source(1, 0) }.into());
    assert_eq!(effects, [dead, Action::Start(worker(1, 1)), link(1, 1, 0)]);
    assert_eq!(play.dies(worker(1, 0)), [], "no process dies twice");
}

#[test]
fn a_new_broker_gets_the_live_workers_before_any_link() {
    let mut play = Play::running();
    play.dies(worker(0, 0));
    let effects = play.dies(broker(0));
    let live_workers = ChildCommand::from(BrokerCommand::LiveWorkers {
        sources: vec![source(0, 1), source(1, 0)],
    });
    assert_eq!(
        effects,
        [
            Action::Start(broker(1)),
            Action::Send(broker(1), live_workers),
            link(0, 1, 1),
            link(1, 0, 1),
        ]
    );
}

#[test]
fn a_worker_started_during_a_broker_outage_is_linked_later() {
    let mut play = Play::running();
    for generation in 0..5 {
        play.dies(broker(generation));
    }
    let pause = RESTART_PAUSE_MIN;
    assert_eq!(play.dies(broker(5)), [Action::Wait { child: broker(5), pause }]);
    assert_eq!(play.dies(worker(0, 0)), [Action::Start(worker(0, 1))]);
    let effects = play.wakes();
    let live_workers = ChildCommand::from(BrokerCommand::LiveWorkers {
        sources: vec![source(0, 1), source(1, 0)],
    });
    assert_eq!(effects[..2], [Action::Start(broker(6)), Action::Send(broker(6), live_workers)]);
    assert_eq!(effects[2..], [link(0, 1, 6), link(1, 0, 6)]);
}

#[test]
fn a_worker_that_keeps_dying_waits_and_then_comes_back() {
    let mut play = Play::running();
    for generation in 0..u32::try_from(RESTARTS_FREE).unwrap() {
        assert!(
            play.dies(worker(0, generation)).contains(&Action::Start(worker(0, generation + 1)))
        );
    }
    let (child, pause) = (worker(0, 5), RESTART_PAUSE_MIN);
    assert_eq!(play.dies(child)[0], Action::Wait { child, pause });
    assert_eq!(play.wakes(), [Action::Start(worker(0, 6)), link(0, 6, 0)]);
}

#[test]
fn a_link_lost_without_a_death_kills_its_worker() {
    let mut play = Play::running();
    assert_eq!(play.reports(broker(0), Play::lost(1, 0, 0)), []);
    assert_eq!(play.reports(worker(1, 0), Play::lost(1, 0, 0)), []);
    let begun = play.now;
    assert_eq!(play.wakes(), [Action::Unlinked(worker(1, 0)), Action::Kill(worker(1, 0))]);
    assert_eq!(play.now, begun + LINK_LOST_WAIT);
    assert_eq!(play.processes.advances_at(), None);
}

#[test]
fn a_link_lost_by_a_death_kills_no_process() {
    for dead in [worker(1, 0), broker(0)] {
        let mut play = Play::running();
        play.reports(worker(1, 0), Play::lost(1, 0, 0));
        play.dies(dead);
        play.reports(broker(0), Play::lost(1, 0, 0));
        assert_eq!(play.processes.advances_at(), None, "{dead:?}");
    }
}

#[test]
fn a_worker_that_missed_messages_dies_with_its_broker() {
    for reported_before in [false, true] {
        let mut play = Play::running();
        if reported_before {
            play.reports(worker(1, 0), Play::lost(1, 0, 0));
        }
        play.reports(broker(0), Play::lost(1, 0, 0));
        let effects = play.dies(broker(0));
        let first = [Action::Unlinked(worker(1, 0)), Action::Kill(worker(1, 0))];
        assert!(effects.starts_with(&first), "{effects:?}");
        assert!(effects.contains(&Action::Start(broker(1))));
        play.dies(worker(1, 0));
        assert_eq!(play.processes.advances_at(), None);
    }
}

#[test]
fn silent_children_are_killed_and_others_are_not() {
    let mut play = Play::running();
    let mut effects = Vec::new();
    while effects.is_empty() {
        play.now = play.processes.wakes_at().unwrap();
        effects = play.did(ProcessTable::proceed);
        effects.retain(|effect| {
            !matches!(effect, Action::Send(_, ChildCommand::Common(CommonCommand::Heartbeat)))
        });
        for child in [worker(1, 0), broker(0)] {
            play.reports(child, ChildEvent::Heartbeat);
        }
    }
    assert_eq!(effects, [Action::Hangs(worker(0, 0)), Action::Kill(worker(0, 0))]);
    let dead = Action::Send(broker(0), BrokerCommand::WorkerDead { source: source(0, 0) }.into());
    assert_eq!(play.dies(worker(0, 0)), [dead, Action::Start(worker(0, 1)), link(0, 1, 0)]);
}

/// Starts a rolling restart and runs it until the first old worker is drained.
fn restarting() -> (Play, Vec<Action>) {
    let mut play = Play::running();
    let effects =
        play.did(|processes, now, effects| processes.restart_workers(now, effects).unwrap());
    (play, effects)
}

#[test]
fn a_worker_is_drained_when_its_successor_is_ready() {
    let (mut play, effects) = restarting();
    let old = source(0, 0);
    assert_eq!(
        effects,
        [
            Action::Start(worker(2, 0)),
            link(2, 0, 0),
            Action::Restarting { old, successor: WorkerId(2) }
        ]
    );
    let quiesce =
        Action::Send(worker(0, 0), WorkerCommand::Quiesce(PendingHandshakes::Finish).into());
    let stand_back = Action::Send(worker(1, 0), WorkerCommand::Accept(Accepting::No).into());
    assert_eq!(play.reports(worker(2, 0), ChildEvent::Ready), [quiesce, stand_back]);
    let effects = play.reports(worker(0, 0), ChildEvent::Quiesced);
    assert!(
        matches!(effects[..], [Action::Send(it, ChildCommand::Worker(WorkerCommand::Drain { .. }))] if it == worker(0, 0))
    );
    let effects = play.dies(worker(0, 0));
    let next = Action::Restarting { old: source(1, 0), successor: WorkerId(0) };
    assert_eq!(
        effects,
        [
            Action::Send(broker(0), BrokerCommand::WorkerDead { source: old }.into()),
            Action::Start(worker(0, 1)),
            link(0, 1, 0),
            next
        ]
    );
    play.reports(worker(0, 1), ChildEvent::Ready);
    play.reports(worker(1, 0), ChildEvent::Quiesced);
    let effects = play.dies(worker(1, 0));
    assert_eq!(effects.last(), Some(&Action::Restarted));
    assert!(!play.processes.is_restarting());
    let living: Vec<_> = play.processes.members().map(|(child, _)| child).collect();
    assert_eq!(living, [broker(0), worker(0, 1), worker(2, 0)]);
}

#[test]
fn the_old_worker_serves_until_a_successor_is_ready_even_if_one_dies() {
    let (mut play, _) = restarting();
    let effects = play.dies(worker(2, 0));
    assert!(effects.contains(&Action::Start(worker(2, 1))), "{effects:?}");
    assert!(
        !effects.iter().any(|it| matches!(
            it,
            Action::Send(_, ChildCommand::Worker(WorkerCommand::Quiesce(_)))
        ))
    );
    let effects = play.reports(worker(2, 1), ChildEvent::Ready);
    let quiesce =
        Action::Send(worker(0, 0), WorkerCommand::Quiesce(PendingHandshakes::Finish).into());
    assert_eq!(
        effects,
        [quiesce, Action::Send(worker(1, 0), WorkerCommand::Accept(Accepting::No).into())]
    );
}

#[test]
fn old_workers_accept_again_while_no_new_one_is_ready() {
    let (mut play, _) = restarting();
    play.reports(worker(2, 0), ChildEvent::Ready);
    let accept = |accepting| Action::Send(worker(1, 0), WorkerCommand::Accept(accepting).into());
    assert!(play.dies(worker(2, 0)).contains(&accept(Accepting::Yes)));
    assert_eq!(play.reports(worker(2, 1), ChildEvent::Ready), [accept(Accepting::No)]);
    play.reports(worker(0, 0), ChildEvent::Quiesced);
    play.dies(worker(0, 0));
    // The last old worker waits for its successor, and the first new worker accepts the
    // connections.
    assert!(play.dies(worker(2, 1)).contains(&accept(Accepting::Yes)));
    let effects = play.reports(worker(2, 2), ChildEvent::Ready);
    assert_eq!(effects, [accept(Accepting::No)]);
}

#[test]
fn a_worker_that_dies_while_replaced_gets_no_second_successor() {
    let (mut play, _) = restarting();
    play.dies(worker(0, 0));
    let workers = |play: &Play| {
        play.processes.members().filter(|(child, _)| matches!(child, ChildId::Worker(_))).count()
    };
    // Worker 2 is the successor of this worker, and worker 0 will be the next successor.
    assert_eq!(workers(&play), 3);
    for _ in 0..4 {
        for worker_id in 0..3 {
            for generation in 0..3 {
                play.reports(worker(worker_id, generation), ChildEvent::Ready);
                play.reports(worker(worker_id, generation), ChildEvent::Quiesced);
            }
        }
        play.dies(worker(1, 0));
    }
    assert_eq!(workers(&play), 2);
}

#[test]
fn a_worker_that_does_not_go_in_time_is_killed() {
    let (mut play, _) = restarting();
    play.reports(worker(2, 0), ChildEvent::Ready);
    let (mut sent, mut killed) = (0, 0);
    for _ in 0..200 {
        play.reports(worker(0, 0), ChildEvent::Heartbeat);
        for effect in play.wakes() {
            sent += usize::from(
                matches!(effect, Action::Send(it, ChildCommand::Worker(WorkerCommand::Drain { .. })) if it == worker(0, 0)),
            );
            killed += usize::from(effect == Action::Kill(worker(0, 0)));
            if let Action::Send(child, ChildCommand::Common(CommonCommand::Heartbeat)) = effect {
                play.reports(child, ChildEvent::Heartbeat);
            }
        }
        if killed > 0 {
            break;
        }
    }
    assert_eq!((sent, killed), (1, 1));
}

#[test]
fn nothing_is_restarted_twice_at_a_time_or_at_the_end() {
    let (mut play, _) = restarting();
    let again = play.processes.restart_workers(play.now, &mut Vec::new());
    assert_eq!(again, Err(RestartInProgress::Restarting));
    let effects = play.signal();
    let sent: Vec<_> = effects
        .iter()
        .filter(|it| {
            matches!(
                it,
                Action::Send(
                    _,
                    ChildCommand::Worker(WorkerCommand::Quiesce(PendingHandshakes::Refuse))
                )
            )
        })
        .collect();
    assert_eq!(sent.len(), 3, "{effects:?}");
    assert_eq!(
        play.processes.restart_workers(play.now, &mut Vec::new()),
        Err(RestartInProgress::Ending)
    );
}
