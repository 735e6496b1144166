//! The worker's loop and what it owns.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use tracing::info;

use super::accept::Listeners;
use super::accept::tls_handshakes::TlsHandshakes;
use super::clock::{Clock, Moment};
use super::connection::backlog::BacklogPacing;
use super::connection::deferred_replies::DeferredReply;
use super::connection::fair_queue::{FairQueue, WorkClock};
use super::connection::serve::Waiter;
use super::connection::table::ConnectionTable;
use super::connection::timers::Timers;
use super::control::drain::DrainSchedule;
use super::control::overload::MemoryAccount;
use super::dispatch::resource_registry::ResourceRegistry;
use super::dispatch::ticks::TickScheduler;
use super::log_throttle::LogThrottle;
use super::push_socket::PushSocketReader;
use super::rng::Rng;
use super::settings::WorkerSettings;
use super::webhook::queue::WebhookQueue;
use crate::broker_client::{BrokerClient, BrokerEvent, LinkLoss};
use crate::link::control::{ChildEvent, Control, ExitReason, PendingHandshakes, WorkerIdentity};
use crate::reactor::poller::{Poller, Ready};
use crate::resource::Effects;
use crate::telemetry::let_go;
use crate::types::limits::READ_BYTES;
use crate::types::{Slot, TurnBudget, WorkerCounts};

/// Events that one wait hands out.
pub(super) const EVENTS: usize = 512;
/// The token of the control link. Tokens below are slots.
pub(super) const CONTROL: u64 = u64::MAX;
/// The token of the link to the broker.
pub(super) const LINK: u64 = u64::MAX - 1;
/// The token of the courier's answers.
pub(super) const COURIER: u64 = u64::MAX - 2;
/// The token of the sockets that shake hands.
pub(super) const SHAKING: u64 = u64::MAX - 3;
/// The token of the push socket.
pub(super) const PUSHES: u64 = u64::MAX - 4;
/// Tokens of the listening sockets, from here downwards.
pub(super) const DOORS: u64 = u64::MAX - 5;
/// Everything above is no slot.
pub(super) const SLOTS: u64 = u32::MAX as u64;

/// Whether the loop goes on.
#[derive(Debug)]
pub(super) enum LoopState {
    Turn,
    End(ExitReason),
}

/// What a worker is about.
#[derive(Debug)]
pub(super) enum WorkerStage {
    /// It serves.
    Serving,
    /// It accepts nobody and reads no publisher, until all it took over is acknowledged.
    Quiescing { newcomers: PendingHandshakes, is_reported: bool },
    /// Everybody is being closed, one after the other.
    Draining { until: Moment, end: ExitReason, farewell: DrainSchedule },
}

/// A worker.
#[derive(Debug)]
pub(super) struct EventLoop {
    pub(super) seat: WorkerIdentity,
    pub(super) control: Box<dyn Control>,
    pub(super) poller: Poller,
    pub(super) settings: WorkerSettings,
    pub(super) services: ResourceRegistry,
    pub(super) rounds: TickScheduler,
    pub(super) pushes: PushSocketReader,
    pub(super) errands: WebhookQueue,
    /// The list of effects of the last call, to be used again.
    pub(super) effects: Effects,
    pub(super) clock: Clock,
    pub(super) now: Moment,
    pub(super) dice: Rng,
    pub(super) stage: WorkerStage,
    pub(super) doors: Listeners,
    pub(super) shaking: TlsHandshakes,
    pub(super) table: ConnectionTable,
    pub(super) timers: Timers,
    pub(super) relay: BrokerClient,
    /// Connections that are told something when the broker is so far.
    pub(super) held: VecDeque<DeferredReply>,
    /// How far the work for connections has come.
    pub(super) work_clock: WorkClock,
    /// Connections that wait to be served.
    pub(super) waiting: FairQueue<Waiter>,
    /// What the connection that is being served may take before it waits behind the others.
    pub(super) share: TurnBudget,
    /// Where its work began, in the time of the work clock.
    pub(super) begun: u64,
    /// What was done for it so far, in bytes; each message counts for [`UNIT_WORK`](crate::types::limits::UNIT_WORK) more.
    pub(super) work: usize,
    /// Something was left for the next turn that nothing will announce.
    pub(super) is_behind: bool,
    /// Connections that wait for room in the window.
    pub(super) paused: FairQueue<Slot>,
    /// Connections whose socket broke during a fan-out.
    pub(super) broken: Vec<Slot>,
    /// Every read goes here first; an idle connection owns no buffer.
    pub(super) scratch: Vec<u8>,
    /// What was inside TLS in one read.
    pub(super) plain: Vec<u8>,
    pub(super) last_serial: u64,
    /// Connections that offered subprotocols of which none was agreed, by their numbers.
    pub(super) unmet_offers: HashSet<u64>,
    pub(super) refusals_logged: LogThrottle,
    pub(super) tls_failures_logged: LogThrottle,
    /// What was counted; the rest of it is filled in when somebody asks.
    pub(super) books: WorkerCounts,
    pub(super) memory: MemoryAccount,
    pub(super) backlog: BacklogPacing,
    /// When the supervisor is heard at the latest, though other events crowd its link out of a wait.
    pub(super) orders_due: Moment,
    /// What the last wait found, to be used again.
    ready: Vec<Ready>,
}

impl EventLoop {
    pub(super) fn new(
        seat: WorkerIdentity,
        (control, poller): (Box<dyn Control>, Poller),
        (settings, services): (WorkerSettings, ResourceRegistry),
    ) -> io::Result<Self> {
        let clock = Clock::start();
        Ok(Self {
            shaking: TlsHandshakes::new(&poller)?,
            now: clock.now(),
            seat,
            control,
            poller,
            settings,
            services,
            rounds: TickScheduler::default(),
            pushes: PushSocketReader::default(),
            errands: WebhookQueue::default(),
            effects: Effects::new(),
            clock,
            dice: Rng::default(),
            stage: WorkerStage::Serving,
            doors: Listeners::default(),
            table: ConnectionTable::default(),
            timers: Timers::default(),
            relay: BrokerClient::new(seat.source),
            held: VecDeque::new(),
            work_clock: WorkClock::default(),
            waiting: FairQueue::default(),
            share: TurnBudget::default(),
            begun: 0,
            work: 0,
            is_behind: false,
            paused: FairQueue::default(),
            broken: Vec::new(),
            scratch: vec![0; READ_BYTES],
            plain: Vec::new(),
            last_serial: 0,
            unmet_offers: HashSet::new(),
            refusals_logged: LogThrottle::default(),
            tls_failures_logged: LogThrottle::default(),
            books: WorkerCounts::default(),
            memory: MemoryAccount::default(),
            backlog: BacklogPacing::default(),
            orders_due: Moment::START,
            ready: Vec::with_capacity(EVENTS),
        })
    }

    /// One turn. Its order is worth a third of the speed: what the broker sends is written to the
    /// sockets before publishers are read again, so that publications come in full batches, and
    /// what they say to the broker leaves last, in one write (rule L2). Each kind of work has its part of
    /// the turn's time ([`TURN_PART`](crate::types::limits::TURN_PART)) and leaves the rest for the
    /// next turn, so a large fan-out takes several turns, and so does a crowd of busy senders.
    pub(super) fn turn(&mut self) -> io::Result<LoopState> {
        let_go();
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        self.poller.wait(self.patience(), &mut ready)?;
        self.now = self.clock.now();
        self.is_behind = false;
        self.work_clock.turn(self.now, self.waiting.len() + self.paused.len());
        let is_due = self.orders_due <= self.now && ready.len() >= EVENTS;
        if (is_due || ready.iter().any(|event| event.token == CONTROL))
            && let LoopState::End(end) = self.listen_to_supervisor()?
        {
            return Ok(LoopState::End(end));
        }
        if ready.iter().any(|event| event.token == LINK) {
            self.relay.mark_unread();
        }
        self.deliver_what_came();
        self.release_held();
        self.serve_light(&ready);
        if ready.iter().any(|event| event.token == COURIER) {
            self.errands.collect();
        }
        self.take_answers();
        self.resume_paused();
        self.serve_heavy();
        self.resume_pushes();
        self.wake_due();
        self.make_rounds();
        self.say_farewell();
        self.write_link();
        self.look_early();
        self.meet_newcomers(&ready)?;
        self.ready = ready;
        Ok(self.stage_over())
    }

    /// Newcomers come last, and in small numbers: nothing that is under way waits for them.
    fn meet_newcomers(&mut self, ready: &[Ready]) -> io::Result<()> {
        let any = |tokens: RangeInclusive<u64>| ready.iter().any(|it| tokens.contains(&it.token));
        if !any(SLOTS + 1..=SHAKING) {
            return Ok(());
        }
        if any(SLOTS + 1..=DOORS) {
            self.accept();
        }
        if any(SHAKING..=SHAKING) {
            self.shake_hands()?;
        }
        if any(PUSHES..=PUSHES) {
            self.read_pushes();
        }
        self.write_link();
        Ok(())
    }

    /// How long the loop may sleep.
    fn patience(&self) -> Option<Duration> {
        let delivers = self.relay.is_busy() && !self.backlog.is_waiting();
        if self.is_behind || !self.waiting.is_empty() || delivers {
            return Some(Duration::ZERO);
        }
        let stage = match &self.stage {
            WorkerStage::Draining { until, farewell, .. } => {
                Some(farewell.next().map_or(*until, |next| next.min(*until)))
            }
            _ => None,
        };
        let rounds = self.rounds.next().filter(|_| matches!(self.stage, WorkerStage::Serving));
        let backlog = self.backlog.looks_at(self.now);
        let moments = [self.timers.next(), self.doors.opens_at(), rounds, stage, backlog];
        moments.into_iter().flatten().min().map(|at| at.until_then(self.clock.now()))
    }

    /// Takes what the broker said, as far as the time of this part of the turn allows.
    pub(super) fn read_link(&mut self) {
        self.read_link_within(self.part());
    }

    pub(super) fn read_link_within(&mut self, mut part: TurnBudget) {
        self.relay.read(&mut self.scratch);
        loop {
            let Self { relay, clock, .. } = self;
            let is_spent = &mut || part.is_spent_after(0, || clock.time());
            let Some(arrival) = relay.next(is_spent) else { return };
            self.take_arrival(arrival);
            if part.is_spent(self.clock.time()) {
                return;
            }
        }
    }

    pub(super) fn take_arrival(&mut self, arrival: BrokerEvent) {
        match arrival {
            BrokerEvent::Joined { slot, own, smallest } => {
                self.doors.weigh(own, smallest);
                self.open(slot);
            }
            BrokerEvent::Reserved(slot) => self.ask_now(slot),
            BrokerEvent::Refused { slot, full, client } => self.turn_full_away(slot, full, &client),
            BrokerEvent::Answer { slot, question, found } => self.tell_who(slot, question, found),
            BrokerEvent::Reached { asker, clients } => self.report_reached(asker, clients),
            BrokerEvent::Lost(lost) => self.report_lost(&lost),
        }
    }

    /// Whether the broker is dead is the supervisor's to say (rule L1).
    fn report_lost(&mut self, lost: &LinkLoss) {
        info!(broker = lost.broker.0, error = %lost.error, "link to the broker lost");
        drop(self.poller.forget(lost.link.ready()));
        let report = ChildEvent::LinkLost { peer: self.seat.source, broker: lost.broker };
        if let Err(error) = self.control.report(report) {
            info!(%error, "the supervisor cannot be told");
        }
    }

    /// Says to the broker what this turn came to.
    pub(super) fn write_link(&mut self) {
        self.relay.write();
    }
}
