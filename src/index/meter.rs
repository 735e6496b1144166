//! Counts the expressions that the index evaluates, and their time.

use std::cell::Cell;
use std::time::Duration;

use crate::types::Histogram;

/// What the evaluated expressions cost, since the index was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpressionCosts {
    /// Evaluated expressions.
    pub evaluated: u64,
    /// Values that their prefixes have scanned.
    pub values_scanned: u64,
    /// Time of each evaluation. Zero without a clock.
    pub times: Histogram,
}

/// Measures evaluations.
#[derive(Debug)]
pub struct ExpressionMeter {
    costs: Cell<ExpressionCosts>,
    /// Returns the time since any fixed moment.
    clock: fn() -> Duration,
}

impl Default for ExpressionMeter {
    fn default() -> Self {
        Self { costs: Cell::default(), clock: || Duration::ZERO }
    }
}

impl ExpressionMeter {
    /// Sets the clock, which returns the time since any fixed moment.
    pub fn measure_with(&mut self, clock: fn() -> Duration) {
        self.clock = clock;
    }

    /// Counts an evaluation, its time, and the number of values that it scans.
    pub(super) fn measure<T>(&self, values: u64, evaluate: impl FnOnce() -> T) -> T {
        let started = (self.clock)();
        let result = evaluate();
        let mut costs = self.costs.get();
        costs.evaluated += 1;
        costs.values_scanned += values;
        costs.times.record_time((self.clock)().saturating_sub(started));
        self.costs.set(costs);
        result
    }

    /// Returns what the evaluated expressions have cost.
    #[must_use]
    pub fn costs(&self) -> ExpressionCosts {
        self.costs.get()
    }
}
