//! The time budget of a turn: the real `TurnBudget` with a clock that advances with each unit of
//! work.

use std::time::Duration;

use tagcast::types::TurnBudget;
use tagcast::types::limits::CLOCK_WORK;

use super::rng::Rng;

/// Time of one unit of work.
const UNIT: Duration = Duration::from_micros(1);

/// The time budget of one kind of work in one turn.
#[derive(Clone, Debug)]
pub struct Budget {
    budget: TurnBudget,
    now: Duration,
    /// Bytes of each unit. For small units the budget does not read the clock each time.
    bytes: usize,
    is_spent: bool,
    /// Units of work done after the budget was spent.
    beyond: usize,
}

impl Budget {
    /// Creates a budget for a random number of units, up to `units_max`.
    pub fn any(rng: &mut Rng, units_max: usize) -> Self {
        let units = u32::try_from(rng.between(1, units_max)).unwrap();
        let bytes = rng.pick(&[CLOCK_WORK, CLOCK_WORK, CLOCK_WORK / 4]).unwrap();
        let budget = TurnBudget::new(Duration::ZERO, UNIT * units);
        Self { budget, now: Duration::ZERO, bytes, is_spent: false, beyond: 0 }
    }

    /// Counts another unit of work and returns true if the budget is spent.
    pub fn is_spent(&mut self) -> bool {
        self.beyond += usize::from(self.is_spent);
        self.now += UNIT;
        self.is_spent |= self.budget.is_spent_after(self.bytes, || self.now);
        self.is_spent
    }

    /// Checks that the turn processed at most `more` units after the budget was spent.
    pub fn is_kept(&self, more: usize) -> Result<(), String> {
        let Self { beyond, .. } = self;
        if *beyond <= more { Ok(()) } else { Err(format!("{beyond} units beyond the budget")) }
    }
}
