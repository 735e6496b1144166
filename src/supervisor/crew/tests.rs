//! Deaths, lost links and endings, without one process.

use super::*;
use crate::types::limits::{RESTART_PAUSE_MIN, RESTARTS_FREE};

const DRAIN: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "a test needs a moment to count from")]
fn start_of_time() -> Instant {
    Instant::now()
}

fn source(worker: u16, generation: u32) -> Source {
    Source { worker: WorkerId(worker), generation: Generation(generation) }
}

fn worker(seat: u16, generation: u32) -> Member {
    Member::Worker(source(seat, generation))
}

fn broker(generation: u32) -> Member {
    Member::Broker(Generation(generation))
}

fn link(seat: u16, generation: u32, broker: u32) -> Effect {
    Effect::Link { source: source(seat, generation), broker: Generation(broker) }
}

/// A crew of two that runs, with its clock.
struct Play {
    crew: Crew,
    now: Instant,
}

impl Play {
    fn running() -> Self {
        let mut play = Self { crew: Crew::new(2, DRAIN), now: start_of_time() };
        play.did(|crew, _, effects| crew.start(effects));
        for seat in [0, 1] {
            play.reports(worker(seat, 0), Report::Ready);
        }
        play
    }

    fn did(&mut self, act: impl FnOnce(&mut Crew, Instant, &mut Vec<Effect>)) -> Vec<Effect> {
        let mut effects = Vec::new();
        act(&mut self.crew, self.now, &mut effects);
        effects
    }

    fn dies(&mut self, member: Member) -> Vec<Effect> {
        self.did(|crew, now, effects| crew.died(member, now, effects))
    }

    fn reports(&mut self, member: Member, report: Report) -> Vec<Effect> {
        self.did(|crew, now, effects| crew.reported(member, report, now, effects))
    }

    fn signal(&mut self) -> Vec<Effect> {
        self.did(Crew::asked_to_end)
    }

    /// Lets time pass up to what the crew waits for.
    fn wakes(&mut self) -> Vec<Effect> {
        self.now = self.crew.wakes_at().unwrap();
        self.did(Crew::proceed)
    }

    fn lost(seat: u16, generation: u32, broker: u32) -> Report {
        Report::LinkLost { peer: source(seat, generation), broker: Generation(broker) }
    }
}

#[test]
fn everybody_is_started_linked_and_announced_once() {
    let mut play = Play { crew: Crew::new(2, DRAIN), now: start_of_time() };
    let effects = play.did(|crew, _, effects| crew.start(effects));
    assert_eq!(
        effects,
        [
            Effect::Start(broker(0)),
            Effect::Tell(broker(0), Word::Roster(vec![])),
            Effect::Start(worker(0, 0)),
            link(0, 0, 0),
            Effect::Start(worker(1, 0)),
            link(1, 0, 0),
        ]
    );
    assert_eq!(play.reports(worker(1, 0), Report::Ready), []);
    assert_eq!(play.reports(worker(0, 0), Report::Ready), [Effect::Announce]);
    assert_eq!(play.reports(worker(0, 0), Report::Ready), []);
    play.dies(worker(0, 0));
    assert_eq!(play.reports(worker(0, 1), Report::Ready), []);
}

#[test]
fn a_dead_worker_is_told_to_the_broker_and_replaced_at_once() {
    let mut play = Play::running();
    let effects = play.dies(worker(1, 0));
    let dead = Effect::Tell(broker(0), Word::WorkerDead(source(1, 0)));
    assert_eq!(effects, [dead, Effect::Start(worker(1, 1)), link(1, 1, 0)]);
    assert_eq!(play.dies(worker(1, 0)), [], "nobody dies twice");
}

#[test]
fn the_successor_of_a_broker_hears_who_lives_before_it_gets_a_link() {
    let mut play = Play::running();
    play.dies(worker(0, 0));
    let effects = play.dies(broker(0));
    let roster = Word::Roster(vec![source(0, 1), source(1, 0)]);
    assert_eq!(
        effects,
        [Effect::Start(broker(1)), Effect::Tell(broker(1), roster), link(0, 1, 1), link(1, 0, 1),]
    );
}

#[test]
fn a_worker_that_starts_while_the_broker_is_away_is_linked_by_the_successor() {
    let mut play = Play::running();
    for generation in 0..5 {
        play.dies(broker(generation));
    }
    let pause = RESTART_PAUSE_MIN;
    assert_eq!(play.dies(broker(5)), [Effect::Wait { member: broker(5), pause }]);
    assert_eq!(play.dies(worker(0, 0)), [Effect::Start(worker(0, 1))]);
    let effects = play.wakes();
    let roster = Word::Roster(vec![source(0, 1), source(1, 0)]);
    assert_eq!(effects[..2], [Effect::Start(broker(6)), Effect::Tell(broker(6), roster)]);
    assert_eq!(effects[2..], [link(0, 1, 6), link(1, 0, 6)]);
}

#[test]
fn a_worker_that_keeps_dying_waits_and_then_comes_back() {
    let mut play = Play::running();
    for generation in 0..u32::try_from(RESTARTS_FREE).unwrap() {
        assert!(
            play.dies(worker(0, generation)).contains(&Effect::Start(worker(0, generation + 1)))
        );
    }
    let (member, pause) = (worker(0, 5), RESTART_PAUSE_MIN);
    assert_eq!(play.dies(member)[0], Effect::Wait { member, pause });
    assert_eq!(play.wakes(), [Effect::Start(worker(0, 6)), link(0, 6, 0)]);
}

#[test]
fn a_link_lost_without_a_death_costs_its_worker_its_life() {
    let mut play = Play::running();
    assert_eq!(play.reports(broker(0), Play::lost(1, 0, 0)), []);
    assert_eq!(play.reports(worker(1, 0), Play::lost(1, 0, 0)), []);
    let begun = play.now;
    assert_eq!(play.wakes(), [Effect::Kill(worker(1, 0))]);
    assert_eq!(play.now, begun + LINK_LOST_WAIT);
    assert_eq!(play.crew.wakes_at(), None);
}

#[test]
fn a_link_lost_by_a_death_costs_nobody_anything() {
    for dead in [worker(1, 0), broker(0)] {
        let mut play = Play::running();
        play.reports(worker(1, 0), Play::lost(1, 0, 0));
        play.dies(dead);
        play.reports(broker(0), Play::lost(1, 0, 0));
        assert_eq!(play.crew.wakes_at(), None, "{dead:?}");
    }
}

#[test]
fn a_worker_whose_link_the_broker_had_lost_dies_with_that_broker_because_it_missed_something() {
    for told_before in [false, true] {
        let mut play = Play::running();
        if told_before {
            play.reports(worker(1, 0), Play::lost(1, 0, 0));
        }
        play.reports(broker(0), Play::lost(1, 0, 0));
        let effects = play.dies(broker(0));
        assert_eq!(effects.first(), Some(&Effect::Kill(worker(1, 0))));
        assert!(effects.contains(&Effect::Start(broker(1))));
        play.dies(worker(1, 0));
        assert_eq!(play.crew.wakes_at(), None);
    }
}

#[test]
fn an_orderly_end_is_quiet_then_drained_then_stopped() {
    let mut play = Play::running();
    let quiesce = |seat| Effect::Tell(worker(seat, 0), Word::Quiesce);
    assert_eq!(play.signal(), [quiesce(0), quiesce(1)]);
    assert_eq!(play.reports(worker(0, 0), Report::Quiet), []);
    let drains = play.reports(worker(1, 0), Report::Quiet);
    let within = Duration::from_millis(8100);
    let drain = |seat| Effect::Tell(worker(seat, 0), Word::Drain(within));
    assert_eq!(drains, [drain(0), drain(1)]);
    play.dies(worker(0, 0));
    let stops = play.dies(worker(1, 0));
    assert_eq!(stops.last(), Some(&Effect::Tell(broker(0), Word::Stop)));
    assert_eq!(play.dies(broker(0)), [Effect::End]);
}

#[test]
fn a_broker_that_dies_while_workers_wait_for_it_is_replaced() {
    let mut play = Play::running();
    play.signal();
    assert_eq!(play.dies(broker(0))[0], Effect::Start(broker(1)));
    let dead = Effect::Tell(broker(1), Word::WorkerDead(source(0, 0)));
    assert_eq!(play.dies(worker(0, 0)), [dead], "nobody needs a new worker now");
}

#[test]
fn who_is_not_done_in_time_is_drained_and_then_killed() {
    let mut play = Play::running();
    let begun = play.now;
    play.signal();
    play.reports(worker(0, 0), Report::Quiet);
    assert!(matches!(play.wakes()[..], [Effect::Tell(_, Word::Drain(_)), Effect::Tell(..)]));
    assert_eq!(play.now, begun + DRAIN / 2);
    play.dies(worker(0, 0));
    assert_eq!(play.wakes(), [Effect::Late, Effect::Kill(worker(1, 0)), Effect::Kill(broker(0))]);
    assert!(play.now < begun + DRAIN);
    play.dies(broker(0));
    assert_eq!(play.dies(worker(1, 0)), [Effect::End]);
}

#[test]
fn a_second_signal_means_now() {
    let mut play = Play::running();
    play.signal();
    let kills = [worker(0, 0), worker(1, 0), broker(0)].map(Effect::Kill);
    assert_eq!(play.signal(), kills);
    for member in [worker(0, 0), broker(0)] {
        play.dies(member);
    }
    assert_eq!(play.dies(worker(1, 0)), [Effect::End]);
}

#[test]
fn a_signal_while_nobody_lives_ends_at_once() {
    let mut play = Play { crew: Crew::new(1, DRAIN), now: start_of_time() };
    assert_eq!(play.signal(), [Effect::End]);
}
