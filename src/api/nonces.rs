//! The nonces of signed requests: each is accepted once, for as long as its request could be repeated.

use sha2::{Digest, Sha256};

use super::error::{ApiError, ErrorCode};
use crate::replay::ReplayMemory;
use crate::types::limits::{API_NONCES_MAX, SIGNATURE_CLOCK_SKEW_MAX};
use crate::types::{ReplayBasis, ReplayDigest, SpentNonce};

/// The nonce of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonce(ReplayDigest);

impl Nonce {
    /// Creates the digest of a nonce and its application.
    pub(super) fn new(application: &str, nonce: &str) -> Self {
        let digest = Sha256::new().chain_update(application).chain_update([0]).chain_update(nonce);
        Self(half_of(digest))
    }
}

/// The first half of a digest.
pub(super) fn half_of(digest: Sha256) -> ReplayDigest {
    let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        <[u8; 32]>::from(digest.finalize());
    ReplayDigest(half)
}

/// Maximum difference between the time of a request and the server's clock, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignatureWindow {
    pub(super) past: u64,
    pub(super) future: u64,
}

/// Judges the nonces of requests by the memory of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nonces<'a>(pub(super) &'a ReplayMemory);

impl Nonces<'_> {
    /// Whether a request that was signed at this time may be served.
    ///
    /// # Errors
    ///
    /// 401 if it is too old, ahead of the clock, or older than the memory; with the server's time.
    pub(super) fn check_time(
        self,
        timestamp: u64,
        window: SignatureWindow,
        now: u64,
    ) -> Result<(), ApiError> {
        let (code, message) = if timestamp.saturating_add(window.past) < now {
            (ErrorCode::TimestampExpired, "the request was signed too long ago")
        } else if timestamp > now.saturating_add(window.future) {
            (ErrorCode::TimestampAhead, "the request was signed in the future")
        } else if self.0.basis().is_none_or(|basis| timestamp < basis.since) {
            (
                ErrorCode::PredatesRestart,
                "the request was signed before the server started after an unclean end, or before \
                 signatureWindow was made longer",
            )
        } else {
            return Ok(());
        };
        Err(ApiError::new(code, message).with_number("server_time", now))
    }

    /// Whether a nonce was spent.
    ///
    /// # Errors
    ///
    /// 401 if so.
    pub(super) fn check(self, nonce: Nonce) -> Result<(), ApiError> {
        if self.0.has_nonce(nonce.0) {
            return Err(ApiError::new(ErrorCode::NonceReused, "this nonce was used before"));
        }
        Ok(())
    }

    /// Returns the record of a nonce that is to be spent. What has expired must have been forgotten.
    ///
    /// # Errors
    ///
    /// 401 if it is spent; 429 if as many are as are kept. None is forgotten early.
    pub(super) fn record(
        self,
        nonce: Nonce,
        window: SignatureWindow,
        now: u64,
    ) -> Result<SpentNonce, ApiError> {
        self.check(nonce)?;
        if self.0.nonces() >= API_NONCES_MAX {
            let after = self.0.oldest_nonce_until().map_or(0, |until| until.saturating_sub(now));
            let message = format!("{API_NONCES_MAX} nonces are kept; none is forgotten early");
            let error = ApiError::new(ErrorCode::RateLimited, message).with_text("name", "nonces");
            return Err(error.retry_after(after.max(1)));
        }
        // A reload may make the clock skew longer, so a nonce is kept for the longest one. A longer window of
        // the past moves the basis instead.
        let until = now + window.past + window.future.max(SIGNATURE_CLOCK_SKEW_MAX.as_secs());
        Ok(SpentNonce { nonce: nonce.0, until })
    }
}

/// The basis of a memory whose requests have this window from now on. If it is longer than before, requests
/// that were too old before are refused: their nonces may be forgotten.
pub(super) fn with_window(basis: ReplayBasis, window: SignatureWindow, now: u64) -> ReplayBasis {
    let former = basis.window;
    let oldest = if window.past > former { now.saturating_sub(former) } else { 0 };
    ReplayBasis { since: basis.since.max(oldest), window: window.past }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ReplayRecords;

    const WINDOW: SignatureWindow = SignatureWindow { past: 300, future: 60 };
    const NOW: u64 = 1_764_345_600;

    fn code<T>(checked: Result<T, ApiError>) -> &'static str {
        checked.map_or_else(|error| error.code().text(), |_| "ok")
    }

    fn memory(basis: ReplayBasis) -> ReplayMemory {
        let mut memory = ReplayMemory::default();
        memory.learn(&ReplayRecords::Basis(Some(basis)));
        memory
    }

    fn since(since: u64) -> ReplayBasis {
        ReplayBasis { since, window: WINDOW.past }
    }

    /// A38.
    #[test]
    fn time_has_two_ends_and_a_beginning() {
        let memory_of = |begins| memory(since(begins));
        let memory = memory_of(NOW - 100_000);
        for (timestamp, expected) in [
            (NOW - 300, "ok"),
            (NOW - 301, "timestamp_expired"),
            (NOW + 60, "ok"),
            (NOW + 61, "timestamp_ahead"),
            (0, "timestamp_expired"),
            (u64::MAX, "timestamp_ahead"),
        ] {
            let nonces = Nonces(&memory);
            assert_eq!(code(nonces.check_time(timestamp, WINDOW, NOW)), expected, "{timestamp}");
        }
        let memory = memory_of(NOW);
        assert_eq!(code(Nonces(&memory).check_time(NOW - 1, WINDOW, NOW)), "predates_restart");
        assert_eq!(code(Nonces(&memory).check_time(NOW, WINDOW, NOW)), "ok");
        let unknown = ReplayMemory::default();
        assert_eq!(code(Nonces(&unknown).check_time(NOW, WINDOW, NOW)), "predates_restart");
    }

    #[test]
    fn a_longer_window_accepts_no_request_with_a_forgotten_nonce() {
        let longer = SignatureWindow { past: 3_600, ..WINDOW };
        let basis = with_window(since(0), longer, NOW);
        let longer_memory = memory(basis);
        let nonces = Nonces(&longer_memory);
        assert_eq!(code(nonces.check_time(NOW - 301, longer, NOW)), "predates_restart");
        assert_eq!(code(nonces.check_time(NOW - 300, longer, NOW)), "ok");
        let shorter = memory(with_window(basis, WINDOW, NOW + 1_000));
        assert_eq!(code(Nonces(&shorter).check_time(NOW + 800, WINDOW, NOW + 1_000)), "ok");
    }

    #[test]
    fn a_nonce_is_accepted_once_per_application_within_its_time_window() {
        let mut memory = memory(since(0));
        let nonce = Nonce::new("shop", "5f0c3b1e9a7d4c62");
        assert_ne!(nonce, Nonce::new("other", "5f0c3b1e9a7d4c62"));
        let mut spend = |now: u64| {
            memory.forget_expired(now, usize::MAX);
            let record = Nonces(&memory).record(nonce, WINDOW, now);
            if let Ok(record) = &record {
                memory.learn(&ReplayRecords::Nonces(vec![*record]));
            }
            code(record)
        };
        assert_eq!([NOW, NOW + 360, NOW + 10_000].map(&mut spend), ["ok", "nonce_reused", "ok"]);
        assert_eq!(memory.nonces(), 1, "what is too old is forgotten");
    }

    /// A272.
    #[test]
    fn no_nonce_is_forgotten_early_when_there_are_too_many() {
        let mut memory = memory(since(0));
        let spent = |it: usize| {
            let mut digest = [1; 16];
            digest[..8].copy_from_slice(&(it as u64).to_le_bytes());
            SpentNonce { nonce: ReplayDigest(digest), until: NOW + 360 }
        };
        memory.learn(&ReplayRecords::Nonces((0..API_NONCES_MAX).map(spent).collect()));
        let nonce = Nonce::new("shop", "5f0c3b1e9a7d4c62");
        assert_eq!(code(Nonces(&memory).record(nonce, WINDOW, NOW)), "rate_limited");
        assert!(memory.has_nonce(spent(0).nonce));
        memory.forget_expired(NOW + 361, usize::MAX);
        assert_eq!(code(Nonces(&memory).record(nonce, WINDOW, NOW + 361)), "ok");
    }
}
