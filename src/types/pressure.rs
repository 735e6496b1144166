//! How near a server is to the memory that it may have, and what it does about it.

use serde::{Deserialize, Serialize};

use super::limits::{GROWTH_BYTES, PRESSURE_BUSY, PRESSURE_EASE, PRESSURE_FULL, PRESSURE_SHEDDING};

/// Stages, each with what those before it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pressure {
    /// There is room.
    #[default]
    None,
    /// No connection is accepted: new ones wait in the backlog of the socket.
    Full,
    /// The clients that hold the most are closed.
    Shedding,
    /// Publications are denied.
    Busy,
}

/// What the supervisor lets a worker have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// How near the server is to its ceiling.
    pub pressure: Pressure,
    /// Bytes of memory up to which the worker may grow before it closes clients by itself: its part
    /// of what was left when the supervisor looked. None where there is no ceiling.
    pub resident_max: Option<u64>,
}

impl Allowance {
    /// Whether a worker should be told of it that was told this one before: not for each page that
    /// it takes or gives back.
    #[must_use]
    pub fn differs(&self, next: &Self, share: u64) -> bool {
        let (before, now) = (self.resident_max.unwrap_or(0), next.resident_max.unwrap_or(0));
        let slack = (share / 8).max(GROWTH_BYTES as u64);
        self.pressure != next.pressure || before.abs_diff(now) > slack
    }
}

impl Pressure {
    /// From how many bytes on, of so many, the clients that hold the most are closed.
    #[must_use]
    pub fn sheds_from(ceiling: u64) -> u64 {
        ceiling / 100 * PRESSURE_SHEDDING
    }

    /// The stage at so many bytes of so many. A stage ends a little below where it began, so that
    /// it does not come and go.
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

    /// What happens, in words.
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
    fn stages_begin_where_the_limits_say_and_end_a_little_below() {
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
