//! Limits of rates: how many units per second, and how many at once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A limit of a rate. A unit is a request, a publication or a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    per_second: u64,
    burst: u64,
}

impl RateLimit {
    /// Creates a limit. The burst is what is allowed at once after a pause. Each of the two is at least 1.
    #[must_use]
    pub const fn new(per_second: u64, burst: u64) -> Self {
        let per_second = if per_second == 0 { 1 } else { per_second };
        Self { per_second, burst: if burst == 0 { 1 } else { burst } }
    }

    /// Returns the share of one host in this limit, by the number of hosts.
    #[must_use]
    pub const fn shared_by(self, hosts: u32) -> Self {
        let hosts = if hosts == 0 { 1 } else { hosts as u64 };
        Self::new(self.per_second / hosts, self.burst / hosts)
    }

    /// Returns the units per second.
    #[must_use]
    pub const fn per_second(self) -> u64 {
        self.per_second
    }

    /// Returns the units that are allowed at once.
    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }
}

/// Publications that were counted towards limits, and the bytes of their payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChargedAmount {
    /// Publications.
    pub publications: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

impl ChargedAmount {
    /// Adds another amount.
    pub fn add(&mut self, more: Self) {
        self.publications = self.publications.saturating_add(more.publications);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// The numbers of a rate as they are written: `200/s`, `5M/s burst 20M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateText<'a> {
    /// Units per second.
    pub per_second: &'a str,
    /// Units at once. `None`: as many as per second.
    pub burst: Option<&'a str>,
}

impl<'a> RateText<'a> {
    /// Finds the numbers of a rate. `None` if it has another form.
    #[must_use]
    pub fn of(text: &'a str) -> Option<Self> {
        let (per_second, rest) = text.trim().split_once('/')?;
        let mut words = rest.split_ascii_whitespace();
        if words.next() != Some("s") {
            return None;
        }
        match (words.next(), words.next(), words.next()) {
            (None, ..) => Some(Self { per_second, burst: None }),
            (Some("burst"), burst, None) if burst.is_some() => Some(Self { per_second, burst }),
            _ => None,
        }
    }
}

/// As it is written in a configuration file, with plain numbers.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second)?;
        if self.burst == self.per_second { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

/// A limit of an application, which may leave it to the default of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitValue<T> {
    /// The default of the server applies.
    #[default]
    Inherited,
    /// There is no limit, even if the server has a default.
    Unlimited,
    /// This limit.
    At(T),
}

impl<T: Copy> LimitValue<T> {
    /// Returns this value, with the default of the server in place of [`Self::Inherited`].
    #[must_use]
    pub fn or(self, default: Option<T>) -> Self {
        match (self, default) {
            (Self::Inherited, Some(limit)) => Self::At(limit),
            (own, _) => own,
        }
    }

    /// Returns the limit, if there is one.
    #[must_use]
    pub fn limit(self) -> Option<T> {
        match self {
            Self::At(limit) => Some(limit),
            Self::Inherited | Self::Unlimited => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_without_a_limit_has_that_of_the_server() {
        assert_eq!(LimitValue::Inherited.or(Some(3)).limit(), Some(3));
        assert_eq!(LimitValue::At(5).or(Some(3)).limit(), Some(5));
        assert_eq!(LimitValue::Unlimited.or(Some(3)).limit(), None);
        assert_eq!(LimitValue::<u32>::Inherited.or(None).limit(), None);
    }

    #[test]
    fn a_limit_is_shown_as_it_is_written() {
        assert_eq!(RateLimit::new(200, 200).to_string(), "200/s");
        assert_eq!(RateLimit::new(200, 1000).to_string(), "200/s burst 1000");
        assert_eq!(RateLimit::new(0, 0), RateLimit::new(1, 1));
    }

    #[test]
    fn hosts_share_a_limit_and_each_has_at_least_one_unit() {
        assert_eq!(RateLimit::new(10, 7).shared_by(3), RateLimit::new(3, 2));
        assert_eq!(RateLimit::new(2, 2).shared_by(100), RateLimit::new(1, 1));
        assert_eq!(RateLimit::new(5, 6).shared_by(0), RateLimit::new(5, 6));
    }
}
