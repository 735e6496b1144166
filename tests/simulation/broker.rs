//! The broker process, with the real `BrokerCore`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tagcast::broker::core::{BrokerCore, TurnBudgets};
use tagcast::link::control::{BrokerCommand, ChildCommand, ChildEvent, CommonCommand};
use tagcast::types::{Generation, WorkerId, WorkerIncarnation};

use super::budget::Budget;
use super::pipe::{BytesUntilDeath, End, Watch};
use super::positions;

/// Work at which brokers throttle tenants, by generation.
const FAIR_SHARES: [u64; 3] = [25, 6, 0];

#[derive(Debug)]
pub struct Broker {
    pub generation: Generation,
    pub bytes_until_death: BytesUntilDeath,
    pub board: BrokerCore,
    /// Commands from the supervisor that the process has not read yet.
    pub orders: VecDeque<Order>,
    watches: BTreeMap<WorkerId, Watch>,
    is_ready: bool,
    pub life: Life,
    /// An inconsistency of the index.
    pub fault: Option<String>,
}

/// Whether the broker must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Serves,
    Stopped,
}

#[derive(Debug)]
pub enum Order {
    Word(ChildCommand),
    Link(WorkerIncarnation, End),
}

impl Broker {
    pub fn new(generation: Generation, bytes_until_death: BytesUntilDeath) -> Self {
        let mut board = BrokerCore::new(generation);
        positions::store(&mut board, generation);
        board.limit_tenants(FAIR_SHARES[generation.0 as usize % FAIR_SHARES.len()]);
        Self {
            generation,
            bytes_until_death,
            board,
            orders: VecDeque::new(),
            watches: BTreeMap::new(),
            is_ready: false,
            life: Life::Serves,
            fault: None,
        }
    }

    /// Runs one turn, in the order of `broker/mod.rs`.
    pub fn turn(
        &mut self,
        now: Duration,
        [mut messages, mut removals]: [Budget; 2],
    ) -> Vec<ChildEvent> {
        let mut reports = Vec::new();
        let mut is_changed = !self.orders.is_empty() || self.board.has_unread();
        while let Some(order) = self.orders.pop_front() {
            match order {
                Order::Word(ChildCommand::Broker(BrokerCommand::LiveWorkers { sources })) => {
                    self.board.await_workers(sources);
                }
                Order::Word(ChildCommand::Broker(BrokerCommand::WorkerDead { source })) => {
                    self.board.remove_worker(source);
                }
                Order::Word(ChildCommand::Broker(BrokerCommand::Stop)) => self.life = Life::Stopped,
                Order::Word(ChildCommand::Common(CommonCommand::Heartbeat)) => {
                    reports.push(ChildEvent::Heartbeat);
                }
                Order::Word(_) => {}
                Order::Link(source, end) => {
                    self.watches.insert(source.worker, end.watch());
                    self.board.link(source, Box::new(end));
                }
            }
        }
        for (worker, watch) in &self.watches {
            if watch.take_rung() {
                is_changed = true;
                self.board.mark_unread(*worker);
            }
            // The event of a link that the broker watches later comes when it begins to watch it.
            if watch.has_ended() {
                self.board.mark_ended(*worker);
            }
        }
        let budgets = TurnBudgets {
            messages: &mut |_| messages.is_spent(),
            removals: &mut || removals.is_spent(),
        };
        self.board.run_turn(now, &mut |report| reports.push(report), budgets);
        if let Err(fault) = messages.is_kept(0).and_then(|()| removals.is_kept(0)) {
            self.fault.get_or_insert(fault);
        }
        if is_changed && let Err(fault) = self.board.router().is_consistent() {
            self.fault.get_or_insert(fault);
        }
        if self.board.router().is_resolving() && !std::mem::replace(&mut self.is_ready, true) {
            reports.push(ChildEvent::Ready);
        }
        reports
    }

    /// Returns whether it has received everything that it awaited.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Returns the link to a worker, so that a test can cut it.
    pub fn watch(&self, worker: WorkerId) -> Option<&Watch> {
        self.watches.get(&worker)
    }
}
