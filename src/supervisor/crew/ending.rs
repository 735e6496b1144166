//! The steps of an orderly end: quiet, drained, stopped.

use std::time::{Duration, Instant};

use super::Member;
use super::post::Replaced;

/// The part of a time that is kept for what comes after it: of the drain time for the broker and
/// the log, of the time to close for processes that exit.
const MARGIN: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    NotAsked,
    /// Workers finish what they took from publishers; half the drain time at most.
    Quieting {
        drain_at: Instant,
        end_at: Instant,
    },
    /// Workers close their clients.
    Draining {
        end_at: Instant,
    },
    /// The workers have ended; the broker is left.
    Stopping {
        end_at: Instant,
    },
    /// Everybody was killed.
    Killed,
}

impl Ending {
    pub(super) fn quieting(now: Instant, drain_time: Duration) -> Self {
        let end_at = now + (drain_time - drain_time / MARGIN);
        Self::Quieting { drain_at: now + drain_time / 2, end_at }
    }

    /// Workers need a broker to their last client: until then they serve. A new worker would serve
    /// no client.
    pub(super) fn replaces(self, member: Member) -> Replaced {
        match (self, member) {
            (Self::NotAsked, _)
            | (Self::Quieting { .. } | Self::Draining { .. }, Member::Broker(_)) => Replaced::Yes,
            _ => Replaced::No,
        }
    }

    /// A worker that closes its clients has a deadline already, and may be busy with them for long.
    /// The broker is needed up to the end of the last one.
    pub(super) fn expects_answer_of(self, member: Member) -> bool {
        match self {
            Self::NotAsked | Self::Quieting { .. } => true,
            Self::Draining { .. } => matches!(member, Member::Broker(_)),
            Self::Stopping { .. } | Self::Killed => false,
        }
    }

    /// Whether anything is expected to answer.
    pub(super) fn expects_answers(self) -> bool {
        matches!(self, Self::NotAsked | Self::Quieting { .. } | Self::Draining { .. })
    }

    pub(super) fn wakes_at(self) -> Option<Instant> {
        match self {
            Self::NotAsked | Self::Killed => None,
            Self::Quieting { drain_at, .. } => Some(drain_at),
            Self::Draining { end_at } | Self::Stopping { end_at } => Some(end_at),
        }
    }

    pub(super) fn is_overdue(self, now: Instant) -> bool {
        match self {
            Self::Draining { end_at } | Self::Stopping { end_at } => end_at <= now,
            _ => false,
        }
    }

    pub(super) fn is_last(self) -> bool {
        matches!(self, Self::Stopping { .. } | Self::Killed)
    }
}

/// What workers are told: a little less than what they have before they are killed.
pub(super) fn time_to_close(now: Instant, end_at: Instant) -> Duration {
    let left = end_at.saturating_duration_since(now);
    left - left / MARGIN
}
