//! The clocks of a broker.

use std::time::Duration;

/// Clocks of a broker.
#[derive(Clone, Copy, Debug)]
pub struct BrokerClocks {
    /// Returns the time since any fixed moment. It is monotonic.
    pub since_start: fn() -> Duration,
    /// Returns the time since 1970.
    pub unix: fn() -> Duration,
}
