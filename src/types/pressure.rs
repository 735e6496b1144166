//! Overload stages: memory usage relative to the limit, and the reaction of the server.

use serde::{Deserialize, Serialize};

use super::limits::{GROWTH_BYTES, PRESSURE_BUSY, PRESSURE_EASE, PRESSURE_FULL, PRESSURE_SHEDDING};

/// Overload stages. Each includes the reactions of the earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pressure {
    /// Memory is sufficient.
    #[default]
    None,
    /// No connections are accepted. New ones wait in the backlog of the socket.
    Full,
    /// The clients that use the most memory are closed.
    Shedding,
    /// Publications are denied.
    Busy,
}

/// The memory that the supervisor grants to a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Overload stage of the server.
    pub pressure: Pressure,
    /// Resident bytes up to which the worker may grow before it closes clients on its own: its
    /// share of the memory that was free at the last check. None without a limit.
    pub resident_max: Option<u64>,
}

impl Allowance {
    /// Returns true if the difference to `next` is worth sending to the worker. Small changes are
    /// not sent. `share` is the worker's share of the limit in bytes.
    #[must_use]
    pub fn differs(&self, next: &Self, share: u64) -> bool {
        let (before, now) = (self.resident_max.unwrap_or(0), next.resident_max.unwrap_or(0));
        let slack = (share / 8).max(GROWTH_BYTES as u64);
        self.pressure != next.pressure || before.abs_diff(now) > slack
    }
}

impl Pressure {
    /// Returns the bytes at which the clients that use the most memory are closed, for a limit of
    /// `ceiling` bytes.
    #[must_use]
    pub fn sheds_from(ceiling: u64) -> u64 {
        ceiling / 100 * PRESSURE_SHEDDING
    }

    /// Returns the stage for `used` bytes of `ceiling` bytes. A stage ends a little below its
    /// start, so that it does not alternate.
    ///
    /// ```
    /// use tagcast::types::Pressure;
    ///
    /// assert_eq!(Pressure::None.at(90, 100), Pressure::Full);
    /// assert_eq!(Pressure::Full.at(84, 100), Pressure::Full);
    /// assert_eq!(Pressure::Full.at(80, 100), Pressure::None);
    /// ```
    #[must_use]
    pub fn at(self, used: u64, ceiling: u64) -> Self {
        let percent = |of: u64| u128::from(ceiling) * u128::from(of) / 100;
        let reached = |stage: Self, begins: u64| {
            let from = if self >= stage { begins - PRESSURE_EASE } else { begins };
            u128::from(used) >= percent(from)
        };
        if reached(Self::Busy, PRESSURE_BUSY) {
            Self::Busy
        } else if reached(Self::Shedding, PRESSURE_SHEDDING) {
            Self::Shedding
        } else if reached(Self::Full, PRESSURE_FULL) {
            Self::Full
        } else {
            Self::None
        }
    }

    /// Returns the reaction of the server as text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "there is room",
            Self::Full => "no connection is accepted",
            Self::Shedding => "the clients that hold the most are closed",
            Self::Busy => "publications are denied",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_start_at_their_limits_and_end_a_little_below() {
        let stages = |from: Pressure, used: &[u64]| {
            let mut stage = from;
            let mut all = Vec::new();
            for used in used {
                stage = stage.at(*used, 1000);
                all.push(stage);
            }
            all
        };
        use Pressure::{Busy, Full, None, Shedding};
        assert_eq!(
            stages(None, &[0, 849, 850, 919, 920, 969, 970]),
            [None, None, Full, Full, Shedding, Shedding, Busy]
        );
        assert_eq!(
            stages(Busy, &[941, 939, 891, 889, 821, 819]),
            [Busy, Shedding, Shedding, Full, Full, None]
        );
    }
}
