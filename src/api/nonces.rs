//! The nonces of signed requests: each is accepted once, for as long as its request could be repeated.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest, Sha256};

use super::error::{ApiError, ErrorCode};
use crate::types::limits::{API_NONCES_MAX, SIGNATURE_CLOCK_SKEW_MAX};

/// What is kept of a nonce and its application.
type NonceDigest = [u8; 16];

/// Spent nonces.
#[derive(Debug)]
pub(super) struct Nonces {
    spent: HashSet<NonceDigest>,
    /// Until when each is kept, in Unix seconds; in the order in which they were spent.
    order: VecDeque<(u64, NonceDigest)>,
    /// Requests that were signed before this, in Unix seconds, are refused: an earlier process may have
    /// accepted them.
    begins: u64,
}

/// The nonce of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonce(NonceDigest);

impl Nonce {
    /// Creates the digest of a nonce and its application.
    pub(super) fn new(application: &str, nonce: &str) -> Self {
        let digest = Sha256::new().chain_update(application).chain_update([0]).chain_update(nonce);
        let [digest @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            <[u8; 32]>::from(digest.finalize());
        Self(digest)
    }
}

/// Maximum difference between the time of a request and the server's clock, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignatureWindow {
    pub(super) past: u64,
    pub(super) future: u64,
}

impl Nonces {
    /// Those of a process that begins at this Unix second, counted upwards.
    pub(super) fn new(begins: u64) -> Self {
        Self { spent: HashSet::new(), order: VecDeque::new(), begins }
    }

    /// Whether a request that was signed at this time may be served.
    ///
    /// # Errors
    ///
    /// 401 if it is too old, ahead of the clock, or older than this process; with the server's time.
    pub(super) fn check_time(
        &self,
        timestamp: u64,
        window: SignatureWindow,
        now: u64,
    ) -> Result<(), ApiError> {
        let (code, message) = if timestamp.saturating_add(window.past) < now {
            (ErrorCode::TimestampExpired, "the request was signed too long ago")
        } else if timestamp > now.saturating_add(window.future) {
            (ErrorCode::TimestampAhead, "the request was signed in the future")
        } else if timestamp < self.begins {
            (
                ErrorCode::PredatesRestart,
                "the request was signed before the API process started, or before signatureWindow was made longer",
            )
        } else {
            return Ok(());
        };
        Err(ApiError::new(code, message).with_number("server_time", now))
    }

    /// Refuses all requests that were too old before the window was made longer: their nonces may be forgotten.
    pub(super) fn lengthen(&mut self, former: SignatureWindow, window: SignatureWindow, now: u64) {
        if window.past > former.past {
            self.begins = self.begins.max(now.saturating_sub(former.past));
        }
    }

    /// Whether a nonce was spent.
    ///
    /// # Errors
    ///
    /// 401 if so.
    pub(super) fn check(&self, nonce: Nonce) -> Result<(), ApiError> {
        if self.spent.contains(&nonce.0) {
            return Err(ApiError::new(ErrorCode::NonceReused, "this nonce was used before"));
        }
        Ok(())
    }

    /// Spends a nonce.
    ///
    /// # Errors
    ///
    /// 401 if it is spent; 429 if as many are as are kept. None is forgotten early.
    pub(super) fn spend(
        &mut self,
        nonce: Nonce,
        window: SignatureWindow,
        now: u64,
    ) -> Result<(), ApiError> {
        while let Some((_, old)) = self.order.pop_front_if(|(until, _)| *until < now) {
            self.spent.remove(&old);
        }
        self.check(nonce)?;
        if self.order.len() >= API_NONCES_MAX {
            let after = self.order.front().map_or(0, |(until, _)| until.saturating_sub(now));
            let message = format!("{API_NONCES_MAX} nonces are kept; none is forgotten early");
            let error = ApiError::new(ErrorCode::RateLimited, message).with_text("name", "nonces");
            return Err(error.retry_after(after.max(1)));
        }
        // A reload may make the clock skew longer, so a nonce is kept for the longest one. A longer window of
        // the past moves `begins` instead.
        let until = now + window.past + window.future.max(SIGNATURE_CLOCK_SKEW_MAX.as_secs());
        self.spent.insert(nonce.0);
        self.order.push_back((until, nonce.0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: SignatureWindow = SignatureWindow { past: 300, future: 60 };
    const NOW: u64 = 1_764_345_600;

    fn code(checked: Result<(), ApiError>) -> &'static str {
        checked.map_or_else(|error| error.code().text(), |()| "ok")
    }

    #[test]
    fn time_has_two_ends_and_a_beginning() {
        let nonces = Nonces::new(NOW - 100_000);
        for (timestamp, expected) in [
            (NOW - 300, "ok"),
            (NOW - 301, "timestamp_expired"),
            (NOW + 60, "ok"),
            (NOW + 61, "timestamp_ahead"),
            (0, "timestamp_expired"),
            (u64::MAX, "timestamp_ahead"),
        ] {
            assert_eq!(code(nonces.check_time(timestamp, WINDOW, NOW)), expected, "{timestamp}");
        }
        let nonces = Nonces::new(NOW);
        assert_eq!(code(nonces.check_time(NOW - 1, WINDOW, NOW)), "predates_restart");
        assert_eq!(code(nonces.check_time(NOW, WINDOW, NOW)), "ok");
    }

    #[test]
    fn a_longer_window_accepts_no_request_with_a_forgotten_nonce() {
        let mut nonces = Nonces::new(0);
        let longer = SignatureWindow { past: 3_600, ..WINDOW };
        nonces.lengthen(WINDOW, longer, NOW);
        assert_eq!(code(nonces.check_time(NOW - 301, longer, NOW)), "predates_restart");
        assert_eq!(code(nonces.check_time(NOW - 300, longer, NOW)), "ok");
        nonces.lengthen(longer, WINDOW, NOW + 1_000);
        assert_eq!(code(nonces.check_time(NOW + 800, WINDOW, NOW + 1_000)), "ok");
    }

    #[test]
    fn a_nonce_is_accepted_once_per_application_within_its_time_window() {
        let mut nonces = Nonces::new(0);
        let nonce = Nonce::new("shop", "5f0c3b1e9a7d4c62");
        assert_ne!(nonce, Nonce::new("other", "5f0c3b1e9a7d4c62"));
        assert_eq!(code(nonces.spend(nonce, WINDOW, NOW)), "ok");
        assert_eq!(code(nonces.check(nonce)), "nonce_reused");
        assert_eq!(code(nonces.spend(nonce, WINDOW, NOW + 360)), "nonce_reused");
        assert_eq!(code(nonces.spend(nonce, WINDOW, NOW + 10_000)), "ok");
        assert_eq!(nonces.order.len(), 1, "what is too old is forgotten");
    }
}
