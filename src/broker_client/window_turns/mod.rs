//! Publishers that wait for the send window, in turns of their tenants.
//!
//! Deficit round robin (Shreedhar and Varghese), with debts in place of credits as in the fan-out: how much a
//! publisher sends is known when it was served. A tenant that has its part of the window is passed over. A
//! publication for which the window as a whole has no room stays first, and the other tenants may overtake it by
//! a quantum each. So small publications do not wait for a large one, and it does not wait for ever.

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;

use crate::types::Tenant;
use crate::types::limits::WINDOW_QUANTUM;

/// The publishers of one tenant that wait, in an order of their own.
pub trait WaiterQueue: Debug + Default {
    /// Returns whether no publisher waits.
    fn is_empty(&self) -> bool;
}

impl<T: Debug> WaiterQueue for VecDeque<T> {
    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

/// The publishers that wait, by tenant.
#[derive(Debug, Default)]
pub struct WindowTurns<Q> {
    /// One for each tenant that waits, and unused ones.
    queues: Vec<WaitingTenant<Q>>,
    /// Indices of unused queues.
    unused: Vec<usize>,
    /// Index of the queue of each tenant that waits.
    places: HashMap<Tenant, usize>,
    /// The order of turns.
    waiting: VecDeque<usize>,
    /// Debts of tenants that do not wait at present, while others do.
    debts: HashMap<Tenant, i64>,
}

#[derive(Debug)]
struct WaitingTenant<Q> {
    tenant: Tenant,
    queue: Q,
    /// Work that is left of its turn, or a debt if negative.
    balance: i64,
}

/// A pass over the tenants that wait.
#[derive(Debug, Default)]
pub struct TurnRound {
    /// Position in the order of turns. The tenants before it wait for room in the window.
    at: usize,
    /// Tenants that have their part of the window. They are the last ones in the order of turns.
    passed: usize,
}

/// What became of the publisher whose turn it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnOutcome {
    /// It was served. Its work is in bytes, plus a number for each message.
    Served(u64),
    /// Its tenant has its part of the window.
    OverShare,
    /// The window has no room for it.
    NoRoom,
}

impl<Q: WaiterQueue> WindowTurns<Q> {
    /// Adds a publisher of a tenant by `push`.
    pub fn push_with(&mut self, tenant: &Tenant, push: impl FnOnce(&mut Q)) {
        let place = match self.places.get(tenant) {
            Some(place) => *place,
            None => self.begin(tenant.clone()),
        };
        if let Some(waiters) = self.queues.get_mut(place) {
            push(&mut waiters.queue);
        }
    }

    /// Removes publishers of a tenant by `remove`, out of turn. Not to be called during a round.
    pub fn remove_with(&mut self, tenant: &Tenant, remove: impl FnOnce(&mut Q)) {
        let Some(place) = self.places.get(tenant).copied() else { return };
        let Some(waiters) = self.queues.get_mut(place) else { return };
        remove(&mut waiters.queue);
        if waiters.queue.is_empty()
            && let Some(at) = self.waiting.iter().position(|it| *it == place)
        {
            self.end(&mut TurnRound { at, passed: 0 }, place);
        }
    }

    /// Gives a tenant a queue, as the last one.
    fn begin(&mut self, tenant: Tenant) -> usize {
        let balance = self.debts.remove(&tenant).unwrap_or(0);
        let place = self.unused.pop().unwrap_or(self.queues.len());
        match self.queues.get_mut(place) {
            Some(unused) => (unused.tenant, unused.balance) = (tenant.clone(), balance),
            None => {
                let (tenant, queue) = (tenant.clone(), Q::default());
                self.queues.push(WaitingTenant { tenant, queue, balance });
            }
        }
        self.places.insert(tenant, place);
        self.waiting.push_back(place);
        place
    }

    /// Returns the queue whose turn it is, with its tenant; `None` if the round is over. The caller removes a
    /// publisher of it, and then calls [`WindowTurns::settle`].
    pub fn select(&mut self, round: &mut TurnRound) -> Option<(&Tenant, &mut Q)> {
        let place = self.next_place(round)?;
        let WaitingTenant { tenant, queue, .. } = self.queues.get_mut(place)?;
        Some((tenant, queue))
    }

    fn next_place(&mut self, round: &mut TurnRound) -> Option<usize> {
        loop {
            let eligible = self.eligible(round);
            let place = *self.waiting.get(round.at).filter(|_| round.at < eligible)?;
            let waiters = self.queues.get_mut(place)?;
            if round.at > 0 {
                if waiters.balance > -WINDOW_QUANTUM {
                    return Some(place);
                }
                round.at += 1;
                continue;
            }
            if eligible == 1 {
                waiters.balance = 0;
                return Some(place);
            }
            if waiters.balance <= 0 {
                waiters.balance += WINDOW_QUANTUM;
            }
            if waiters.balance > 0 {
                return Some(place);
            }
            self.end_turn(eligible);
        }
    }

    /// Returns how many tenants may be served in a round. They are the first ones.
    fn eligible(&self, round: &TurnRound) -> usize {
        self.waiting.len().saturating_sub(round.passed)
    }

    /// Makes the first of the eligible tenants the last one of them.
    fn end_turn(&mut self, eligible: usize) {
        if let Some(first) = self.waiting.pop_front() {
            let last = eligible.saturating_sub(1).min(self.waiting.len());
            self.waiting.insert(last, first);
        }
    }

    /// Records what became of the publisher that was removed last. If it still waits, the caller has put it back.
    pub fn settle(&mut self, round: &mut TurnRound, outcome: TurnOutcome) {
        let eligible = self.eligible(round);
        let is_first = round.at == 0;
        let is_alone = is_first && eligible == 1;
        let Some(place) = self.waiting.get(round.at).copied() else { return };
        let Some(waiters) = self.queues.get_mut(place) else { return };
        if let TurnOutcome::Served(work) = outcome
            && !is_alone
        {
            let work = i64::try_from(work).unwrap_or(i64::MAX);
            waiters.balance = waiters.balance.saturating_sub(work);
        }
        if waiters.queue.is_empty() {
            return self.end(round, place);
        }
        match outcome {
            TurnOutcome::Served(_) if is_first && !is_alone && waiters.balance <= 0 => {
                self.end_turn(eligible);
            }
            TurnOutcome::Served(_) => {}
            TurnOutcome::OverShare if is_first => {
                self.waiting.rotate_left(1);
                round.passed += 1;
            }
            TurnOutcome::OverShare | TurnOutcome::NoRoom => round.at += 1,
        }
    }

    /// Removes the queue of a tenant that no longer waits.
    fn end(&mut self, round: &mut TurnRound, place: usize) {
        self.waiting.remove(round.at);
        self.unused.push(place);
        if self.waiting.len() == 1 {
            // The last tenant may use the whole window.
            round.passed = 0;
        }
        let Some(WaitingTenant { tenant, balance, .. }) = self.queues.get(place) else { return };
        self.places.remove(tenant);
        if self.waiting.is_empty() {
            self.debts.clear();
        } else if *balance < 0 {
            self.debts.insert(tenant.clone(), *balance);
        }
    }

    /// Returns whether publishers of another tenant wait.
    #[must_use]
    pub fn others_wait(&self, tenant: &Tenant) -> bool {
        match self.waiting.front().and_then(|place| self.queues.get(*place)) {
            None => false,
            Some(first) => self.waiting.len() > 1 || first.tenant != *tenant,
        }
    }

    /// Returns the number of tenants that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns whether no publisher waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the queue of each tenant that waits.
    pub fn queues(&self) -> impl Iterator<Item = &Q> {
        self.waiting.iter().filter_map(|place| Some(&self.queues.get(*place)?.queue))
    }
}

#[cfg(test)]
mod tests;
