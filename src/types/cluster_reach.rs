//! Whether publications pass between this host and others.

use super::Readiness;

/// Whether publications pass between this host and others, as a worker or the API process knows it. `T` is a moment of
/// its clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClusterReach<T> {
    /// They have not passed since the start of the process.
    #[default]
    Never,
    /// They pass.
    Joined,
    /// They have not passed since this moment.
    Cut(T),
}

impl<T: Copy> ClusterReach<T> {
    /// Notes that publications pass no more.
    pub fn cut(&mut self, now: T) {
        if matches!(self, Self::Joined) {
            *self = Self::Cut(now);
        }
    }

    /// Returns whether a host that must be joined takes traffic. `is_long` tells whether a moment is longer ago than an
    /// outage that is tolerated, such as the time in which a bridge is replaced.
    pub fn readiness(&self, is_long: impl FnOnce(T) -> bool) -> Readiness {
        let is_joined = match self {
            Self::Never => false,
            Self::Joined => true,
            Self::Cut(since) => !is_long(*since),
        };
        if is_joined { Readiness::Ready } else { Readiness::ClusterUnavailable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_counts_after_a_moment_and_the_start_at_once() {
        let mut reach = ClusterReach::default();
        let after_two = |since: u32| since + 2 <= 7;
        assert_eq!(reach.readiness(after_two), Readiness::ClusterUnavailable);
        reach.cut(1);
        assert_eq!(reach, ClusterReach::Never, "it has never been joined");
        reach = ClusterReach::Joined;
        assert_eq!(reach.readiness(after_two), Readiness::Ready);
        reach.cut(6);
        assert_eq!(reach.readiness(after_two), Readiness::Ready);
        reach = ClusterReach::Joined;
        reach.cut(5);
        reach.cut(7);
        assert_eq!(reach.readiness(after_two), Readiness::ClusterUnavailable, "the first counts");
    }
}
