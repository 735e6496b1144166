//! The budget of a turn: the real one over a clock that goes on with each unit of work.

use std::time::Duration;

use tagcast::types::TurnBudget;
use tagcast::types::limits::CLOCK_WORK;

use super::rng::Rng;

/// What one unit of work takes.
const UNIT: Duration = Duration::from_micros(1);

/// What one kind of work may take of one turn.
#[derive(Debug)]
pub struct Budget {
    budget: TurnBudget,
    now: Duration,
    /// Bytes of each unit: small ones are not worth a look at the clock each.
    bytes: usize,
    is_spent: bool,
    /// Units of work that were done although it was spent.
    beyond: usize,
}

impl Budget {
    /// A budget for up to so many units.
    pub fn any(rng: &mut Rng, units_max: usize) -> Self {
        let units = u32::try_from(rng.between(1, units_max)).unwrap();
        let bytes = rng.pick(&[CLOCK_WORK, CLOCK_WORK, CLOCK_WORK / 4]).unwrap();
        let budget = TurnBudget::new(Duration::ZERO, UNIT * units);
        Self { budget, now: Duration::ZERO, bytes, is_spent: false, beyond: 0 }
    }

    /// One more unit is done.
    pub fn is_spent(&mut self) -> bool {
        self.beyond += usize::from(self.is_spent);
        self.now += UNIT;
        self.is_spent |= self.budget.is_spent_after(self.bytes, || self.now);
        self.is_spent
    }

    /// Whether the turn went on for no more than so many units after it was spent.
    pub fn is_kept(&self, more: usize) -> Result<(), String> {
        let Self { beyond, .. } = self;
        if *beyond <= more { Ok(()) } else { Err(format!("{beyond} units beyond the budget")) }
    }
}
