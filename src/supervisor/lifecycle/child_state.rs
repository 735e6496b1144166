//! One slot for a child process, and the process in it.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use crate::types::Generation;

/// A place that is held by one process after the other.
#[derive(Debug, Default)]
pub(super) struct ChildSlot {
    /// Of the next one to take it up.
    next: u32,
    state: ChildState,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChildState {
    /// Empty; a successor starts at that time, if at all.
    Vacant { until: Option<Instant> },
    /// Not ready yet.
    Starting,
    /// Ready.
    Ready,
    /// A worker that has nothing under way any more.
    Quiet,
    /// A worker that closes its clients, because its successor is there.
    Leaving,
}

impl ChildState {
    /// The state for the status; none if the slot stays empty.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Self::Vacant { until: None } => None,
            Self::Vacant { until: Some(_) } => Some("waiting"),
            Self::Starting => Some("starting"),
            Self::Ready => Some("ready"),
            Self::Quiet | Self::Leaving => Some("leaving"),
        }
    }
}

impl Default for ChildState {
    fn default() -> Self {
        Self::Vacant { until: None }
    }
}

impl ChildSlot {
    /// The next one begins; its generation.
    pub(super) fn take_up(&mut self) -> Generation {
        let generation = Generation(self.next);
        self.next += 1;
        self.state = ChildState::Starting;
        generation
    }

    pub(super) fn state(&self) -> ChildState {
        self.state
    }

    pub(super) fn set_state(&mut self, state: ChildState) {
        self.state = state;
    }

    /// Its holder died: how long its successor waits.
    pub(super) fn died(&mut self, now: Instant) -> Duration {
        let pause = self.backoff.died(now);
        self.state = ChildState::Vacant { until: Some(now + pause) };
        pause
    }

    /// Its holder died, and gets no successor.
    pub(super) fn retire(&mut self) {
        self.state = ChildState::Vacant { until: None };
    }

    /// When its successor starts.
    pub(super) fn starts_at(&self) -> Option<Instant> {
        match self.state {
            ChildState::Vacant { until } => until,
            _ => None,
        }
    }

    /// Its successor, if there is to be one, begins no later than at this time.
    pub(super) fn hasten(&mut self, latest: Instant) {
        if let ChildState::Vacant { until: Some(until) } = &mut self.state {
            *until = latest.min(*until);
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, ChildState::Vacant { until: Some(until) } if until <= now)
    }

    /// It gets no successor after all.
    pub(super) fn vacate(&mut self) {
        if let ChildState::Vacant { until } = &mut self.state {
            *until = None;
        }
    }

    /// The generation that lives.
    pub(super) fn holder(&self) -> Option<Generation> {
        match self.state {
            ChildState::Vacant { .. } => None,
            _ => self.last(),
        }
    }

    /// The generation that lives, or lived last.
    pub(super) fn last(&self) -> Option<Generation> {
        self.next.checked_sub(1).map(Generation)
    }

    pub(super) fn is_held_by(&self, generation: Generation) -> bool {
        self.holder() == Some(generation)
    }
}
