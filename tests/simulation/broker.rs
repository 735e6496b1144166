//! The broker's process: the real switchboard.

use std::collections::{BTreeMap, VecDeque};

use tagcast::broker::switchboard::Switchboard;
use tagcast::link::control::Report;
use tagcast::supervisor::crew::Word;
use tagcast::types::{Generation, Source, WorkerId};

use super::budget::Budget;
use super::pipe::{Breath, End, Watch};

#[derive(Debug)]
pub struct Broker {
    pub generation: Generation,
    pub breath: Breath,
    pub board: Switchboard,
    /// What the supervisor has sent and the process has not looked at.
    pub orders: VecDeque<Order>,
    watches: BTreeMap<WorkerId, Watch>,
    is_ready: bool,
    pub life: Life,
    /// The index did not agree with itself.
    pub fault: Option<String>,
}

/// Whether it was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Serves,
    Stopped,
}

#[derive(Debug)]
pub enum Order {
    Word(Word),
    Link(Source, End),
}

impl Broker {
    pub fn new(generation: Generation, breath: Breath) -> Self {
        Self {
            generation,
            breath,
            board: Switchboard::new(generation),
            orders: VecDeque::new(),
            watches: BTreeMap::new(),
            is_ready: false,
            life: Life::Serves,
            fault: None,
        }
    }

    /// A turn as `broker/mod.rs` has it.
    pub fn turn(&mut self, mut budget: Budget) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut is_changed = !self.orders.is_empty() || self.board.has_unread();
        while let Some(order) = self.orders.pop_front() {
            match order {
                Order::Word(Word::Roster(sources)) => self.board.await_workers(sources),
                Order::Word(Word::WorkerDead(source)) => {
                    self.board.bury(source, &mut |report| reports.push(report));
                }
                Order::Word(Word::Stop) => self.life = Life::Stopped,
                Order::Word(Word::Beat) => reports.push(Report::Beat),
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
        }
        self.board.turn(&mut |report| reports.push(report), &mut || budget.is_spent());
        if let Err(fault) = budget.is_kept(0) {
            self.fault.get_or_insert(fault);
        }
        if is_changed && let Err(fault) = self.board.router().is_consistent() {
            self.fault.get_or_insert(fault);
        }
        if self.board.router().is_resolving() && !std::mem::replace(&mut self.is_ready, true) {
            reports.push(Report::Ready);
        }
        reports
    }

    /// The link to a worker, to be cut.
    pub fn watch(&self, worker: WorkerId) -> Option<&Watch> {
        self.watches.get(&worker)
    }
}
