//! Counts failed attempts to log in, by name and address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::types::limits::{LOGIN_SOURCES_MAX, LOGIN_TRIES_MAX, LOGIN_WINDOW};

/// Name and address of an attempt.
type Source = (Box<str>, IpAddr);

/// The attempts of the last minute that were not successful.
#[derive(Debug, Default)]
pub(super) struct LoginTries {
    by_source: HashMap<Source, Vec<Instant>>,
}

/// Error: there were too many attempts. The next one is possible after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyTries(pub(super) Duration);

impl LoginTries {
    /// Counts an attempt before its password is checked, so that attempts at the same time count too.
    pub(super) fn begin(
        &mut self,
        name: &str,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), TooManyTries> {
        self.by_source.retain(|_, tries| {
            tries.retain(|at| now.duration_since(*at) < LOGIN_WINDOW);
            !tries.is_empty()
        });
        let source = (name.into(), address);
        if self.by_source.len() >= LOGIN_SOURCES_MAX && !self.by_source.contains_key(&source) {
            return Err(TooManyTries(LOGIN_WINDOW));
        }
        let tries = self.by_source.entry(source).or_default();
        match tries.first() {
            Some(first) if tries.len() >= LOGIN_TRIES_MAX => {
                Err(TooManyTries(LOGIN_WINDOW.saturating_sub(now.duration_since(*first))))
            }
            _ => {
                tries.push(now);
                Ok(())
            }
        }
    }

    /// Forgets the attempts after the right password.
    pub(super) fn succeeded(&mut self, name: &str, address: IpAddr) {
        self.by_source.remove(&(name.into(), address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_attempts_a_minute_count_for_a_name_and_an_address() {
        let (mut tries, start) = (LoginTries::default(), Instant::now());
        let [here, there] = ["127.0.0.1", "127.0.0.2"].map(|text| text.parse().unwrap());
        for second in 0..5 {
            assert_eq!(tries.begin("anna", here, start + Duration::from_secs(second)), Ok(()));
        }
        let late = start + Duration::from_secs(20);
        let refused = Err(TooManyTries(Duration::from_secs(40)));
        assert_eq!(tries.begin("anna", here, late), refused);
        assert_eq!(tries.begin("anna", there, late), Ok(()));
        assert_eq!(tries.begin("bob", here, late), Ok(()));
        assert_eq!(tries.begin("anna", here, start + LOGIN_WINDOW), Ok(()));
        tries.succeeded("anna", here);
        for _ in 0..5 {
            assert_eq!(tries.begin("anna", here, start + LOGIN_WINDOW), Ok(()));
        }
        tries.begin("x", here, start + 3 * LOGIN_WINDOW).unwrap();
        assert_eq!(tries.by_source.len(), 1);
    }
}
