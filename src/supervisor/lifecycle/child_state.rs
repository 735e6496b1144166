//! A slot for one child process and the state of that process.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use crate::types::Generation;

/// A slot that is used by one process after another.
#[derive(Debug, Default)]
pub(super) struct ChildSlot {
    /// Generation of the next process.
    next: u32,
    state: ChildState,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChildState {
    /// No process. A successor starts at `until`; None means never.
    Vacant { until: Option<Instant> },
    /// Running, but not ready yet.
    Starting,
    /// Ready.
    Ready,
    /// A worker that has no unacknowledged publications left.
    Quiesced,
    /// A worker that closes its clients, because its successor is ready.
    Leaving,
}

impl ChildState {
    /// Returns the state as text for the status. None if the slot stays empty.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Self::Vacant { until: None } => None,
            Self::Vacant { until: Some(_) } => Some("waiting"),
            Self::Starting => Some("starting"),
            Self::Ready => Some("ready"),
            Self::Quiesced | Self::Leaving => Some("leaving"),
        }
    }
}

impl Default for ChildState {
    fn default() -> Self {
        Self::Vacant { until: None }
    }
}

impl ChildSlot {
    /// Marks the slot as starting and returns the generation of the new process.
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

    /// Records the death of the process and returns the delay of its restart.
    pub(super) fn died(&mut self, now: Instant) -> Duration {
        let pause = self.backoff.died(now);
        self.state = ChildState::Vacant { until: Some(now + pause) };
        pause
    }

    /// Records the death of a process that is not restarted.
    pub(super) fn retire(&mut self) {
        self.state = ChildState::Vacant { until: None };
    }

    /// Returns the time of the restart. None if none is planned.
    pub(super) fn starts_at(&self) -> Option<Instant> {
        match self.state {
            ChildState::Vacant { until } => until,
            _ => None,
        }
    }

    /// Makes the restart happen at the latest at this time.
    pub(super) fn start_by(&mut self, latest: Instant) {
        if let ChildState::Vacant { until: Some(until) } = &mut self.state {
            *until = latest.min(*until);
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, ChildState::Vacant { until: Some(until) } if until <= now)
    }

    /// Cancels the restart.
    pub(super) fn vacate(&mut self) {
        if let ChildState::Vacant { until } = &mut self.state {
            *until = None;
        }
    }

    /// Returns the generation of the running process.
    pub(super) fn holder(&self) -> Option<Generation> {
        match self.state {
            ChildState::Vacant { .. } => None,
            _ => self.last(),
        }
    }

    /// Returns the generation of the running process, or of the last one.
    pub(super) fn last(&self) -> Option<Generation> {
        self.next.checked_sub(1).map(Generation)
    }

    pub(super) fn is_held_by(&self, generation: Generation) -> bool {
        self.holder() == Some(generation)
    }
}
