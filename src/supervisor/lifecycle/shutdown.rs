//! The steps of a graceful shutdown: quiesce, drain, stop.

use std::time::{Duration, Instant};

use super::children::Children;
use super::{Action, ChildId};
use crate::link::control::{ApiCommand, BridgeCommand, BrokerCommand, WorkerCommand};
use crate::types::limits::HUNG_BROKER_REPLACED;

/// The fraction of a period that is reserved for later steps: of the drain time for the broker and
/// the log, of the time to close clients for the exit of the workers.
const MARGIN: u32 = 10;

/// The progress of the shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shutdown {
    #[default]
    NotRequested,
    /// Workers wait for the acknowledgements of their publications, up to [`quiesce_deadline`].
    Quiescing { drain_at: Instant, end_at: Instant },
    /// Workers close their clients. The API process tells health checks so.
    Draining { end_at: Instant },
    /// All workers have exited. The API process exits too.
    Leaving { end_at: Instant },
    /// The API process has exited too. The bridge sends what is left, and announces the end of this host.
    Parting { end_at: Instant },
    /// The bridge has exited too. The broker is still running.
    Stopping { end_at: Instant },
    /// All processes have been killed.
    Killed,
}

impl Shutdown {
    pub(super) fn quiescing(now: Instant, drain_time: Duration) -> Self {
        let end_at = now + (drain_time - drain_time / MARGIN);
        Self::Quiescing { drain_at: quiesce_deadline(now, drain_time), end_at }
    }

    /// Returns true if a shutdown was requested.
    pub(super) fn is_requested(self) -> bool {
        self != Self::NotRequested
    }

    /// Returns true if a process is restarted after its death. Workers need a broker until their
    /// last client is closed. A new worker would have no clients.
    pub(super) fn replaces(self, child: ChildId) -> bool {
        match self {
            Self::NotRequested => true,
            Self::Quiescing { .. } | Self::Draining { .. } | Self::Leaving { .. } => {
                matches!(child, ChildId::Broker(_) | ChildId::Bridge(_))
            }
            Self::Parting { .. } | Self::Stopping { .. } | Self::Killed => false,
        }
    }

    /// Returns true if the process must answer liveness probes. A worker that closes its clients
    /// may be busy for long and already has a deadline. The broker is needed until the last worker
    /// has exited.
    pub(super) fn expects_answer_of(self, child: ChildId) -> bool {
        match self {
            Self::NotRequested | Self::Quiescing { .. } => true,
            Self::Draining { .. } | Self::Leaving { .. } => {
                matches!(child, ChildId::Broker(_) | ChildId::Bridge(_))
            }
            Self::Parting { .. } | Self::Stopping { .. } | Self::Killed => false,
        }
    }

    /// Returns true if any process must answer liveness probes.
    pub(super) fn expects_answers(self) -> bool {
        !matches!(self, Self::Stopping { .. } | Self::Killed)
    }

    pub(super) fn wakes_at(self) -> Option<Instant> {
        match self {
            Self::NotRequested | Self::Killed => None,
            Self::Quiescing { drain_at, .. } => Some(drain_at),
            Self::Draining { end_at }
            | Self::Leaving { end_at }
            | Self::Parting { end_at }
            | Self::Stopping { end_at } => Some(end_at),
        }
    }

    fn is_overdue(self, now: Instant) -> bool {
        match self {
            Self::Draining { end_at }
            | Self::Leaving { end_at }
            | Self::Parting { end_at }
            | Self::Stopping { end_at } => end_at <= now,
            _ => false,
        }
    }

    fn is_last(self) -> bool {
        matches!(self, Self::Stopping { .. } | Self::Killed)
    }

    /// Continues the shutdown as far as possible.
    pub(super) fn advance(
        &mut self,
        children: &mut Children,
        now: Instant,
        effects: &mut Vec<Action>,
    ) {
        if let Self::Quiescing { drain_at, end_at } = *self
            && (drain_at <= now || children.all_quiesced())
        {
            *self = Self::Draining { end_at };
            children.vacate_workers();
            let within = time_to_close(now, end_at);
            let drain = |one| Action::Send(one, WorkerCommand::Drain { within }.into());
            effects.extend(children.living_workers().map(drain));
        }
        if let Self::Draining { end_at } = *self
            && children.living_workers().next().is_none()
        {
            *self = Self::Leaving { end_at };
            let within = time_to_close(now, end_at);
            let drain = |api| Action::Send(api, ApiCommand::Drain { within }.into());
            effects.extend(children.living_api().map(drain));
        }
        if let Self::Leaving { end_at } = *self
            && children.only_broker_lives()
        {
            *self = Self::Parting { end_at };
            children.vacate_bridge();
            let leave = |bridge| Action::Send(bridge, BridgeCommand::Leave.into());
            effects.extend(children.living_bridge().map(leave));
        }
        if let Self::Parting { end_at } = *self
            && children.living_bridge().is_none()
        {
            *self = Self::Stopping { end_at };
            children.vacate();
            let stop = |one| Action::Send(one, BrokerCommand::Stop.into());
            effects.extend(children.living_broker().map(stop));
        }
        if self.is_overdue(now) {
            effects.push(Action::Late);
            self.kill_all(children, effects);
        }
        let is_alone = children.only_broker_lives() && children.living_bridge().is_none();
        if self.is_last() && children.living_broker().is_none() && is_alone {
            effects.push(Action::End);
        }
    }

    /// Kills all processes.
    pub(super) fn kill_all(&mut self, children: &mut Children, effects: &mut Vec<Action>) {
        *self = Self::Killed;
        children.vacate();
        let living = children.living_workers().chain(children.living_api());
        let living = living.chain(children.living_bridge());
        effects.extend(living.chain(children.living_broker()).map(Action::Kill));
    }
}

/// Returns the time until which workers that shut down may wait for the broker's acknowledgements.
/// It is half the drain time, or longer if that is needed to replace a hung broker before the first
/// client is closed.
pub(super) fn quiesce_deadline(now: Instant, drain_time: Duration) -> Instant {
    let half = drain_time / 2;
    now + HUNG_BROKER_REPLACED.clamp(half, (drain_time * 4 / 5).max(half))
}

/// Returns the drain time for workers, which is slightly less than the time until they are killed.
pub(super) fn time_to_close(now: Instant, end_at: Instant) -> Duration {
    let left = end_at.saturating_duration_since(now);
    left - left / MARGIN
}
