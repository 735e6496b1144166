//! TLS session tickets. A returning client needs only a short TLS handshake, with any worker.
//!
//! A ticket is the encrypted session, which the client stores. The server stores no sessions. All
//! workers derive the same keys from one secret that the supervisor generates at its start, one key
//! per six hours. A key change therefore needs no messages, and a new worker can read the tickets
//! of dead ones.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::{Hmac, KeyInit, Mac};
use rustls::server::ProducesTickets;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

/// Time in which tickets are made with one key. They are accepted until the end of the next key's
/// time, which is six to twelve hours later.
const STEP_SECONDS: u32 = 6 * 60 * 60;
/// Purpose in the key derivation. It separates these keys from other keys derived from the secret.
const PURPOSE: &[u8] = b"tagcast session tickets";
/// Length of the key number before each ticket.
const STEP_BYTES: usize = size_of::<u64>();

/// Encrypts and decrypts tickets.
pub(in crate::worker) struct SessionTickets {
    secret: SecretBox<[u8; 32]>,
}

impl fmt::Debug for SessionTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl SessionTickets {
    /// Creates the tickets from a secret that all workers share.
    pub(in crate::worker) fn new(secret: &[u8; 32]) -> Self {
        Self { secret: SecretBox::new(Box::new(*secret)) }
    }

    /// Derives the key of a step. On a large machine, two of the random nonces may coincide within
    /// six hours. AES-GCM-SIV still protects both tickets then; plain GCM would not.
    fn key(&self, step: u64) -> Option<RandomizedNonceKey> {
        let mut derived = Hmac::<Sha256>::new_from_slice(self.secret.expose_secret()).ok()?;
        derived.update(PURPOSE);
        derived.update(&step.to_be_bytes());
        RandomizedNonceKey::new(&AES_256_GCM_SIV, &derived.finalize().into_bytes()).ok()
    }

    fn seal(&self, step: u64, session: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = session.to_vec();
        let nonce = self.key(step)?.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        Some([&step.to_be_bytes(), nonce.as_ref().as_slice(), &sealed].concat())
    }

    fn open(&self, now: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        let (step, rest) = ticket.split_first_chunk::<STEP_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let step = u64::from_be_bytes(*step);
        if step != now && step.checked_add(1) != Some(now) {
            return None;
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut session = sealed.to_vec();
        let bytes = self.key(step)?.open_in_place(nonce, Aad::empty(), &mut session).ok()?.len();
        session.truncate(bytes);
        Some(session)
    }
}

impl ProducesTickets for SessionTickets {
    fn enabled(&self) -> bool {
        true
    }

    /// Returns the least lifetime of a ticket in seconds.
    fn lifetime(&self) -> u32 {
        STEP_SECONDS
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.seal(step_of(SystemTime::now()), session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(step_of(SystemTime::now()), ticket)
    }
}

/// Returns the number of the key at this time. All workers use the clock of their machine. If it is
/// set back, clients need a full handshake.
fn step_of(time: SystemTime) -> u64 {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    seconds / u64::from(STEP_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SESSION: &[u8] = b"what the two sides agreed upon";

    #[test]
    fn a_ticket_of_one_worker_is_opened_by_another_one() {
        let [one, other] = [&[7; 32], &[7; 32]].map(SessionTickets::new);
        let ticket = one.encrypt(SESSION).unwrap();
        assert_eq!(other.decrypt(&ticket).unwrap(), SESSION);
        assert_ne!(one.encrypt(SESSION).unwrap(), ticket, "no two tickets are the same");
        assert_eq!(SessionTickets::new(&[8; 32]).decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_is_taken_until_the_next_keys_time_is_over() {
        let tickets = SessionTickets::new(&[7; 32]);
        let ticket = tickets.seal(10, SESSION).unwrap();
        let taken = |now| tickets.open(now, &ticket).is_some();
        assert_eq!([9, 10, 11, 12].map(taken), [false, true, true, false]);
        let hours = |hours: u64| step_of(UNIX_EPOCH + Duration::from_secs(hours * 3600));
        assert_eq!([0, 5, 6, 11, 12].map(hours), [0, 0, 1, 1, 2]);
    }

    #[test]
    fn a_modified_ticket_is_rejected() {
        let tickets = SessionTickets::new(&[7; 32]);
        let ticket = tickets.seal(10, SESSION).unwrap();
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(tickets.open(10, &changed), None, "byte {place}");
            assert_eq!(tickets.open(11, &changed), None, "byte {place}");
            assert_eq!(tickets.open(10, &ticket[..place]), None, "{place} bytes");
        }
        assert_eq!(tickets.open(0, &u64::MAX.to_be_bytes()), None);
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(format!("{:?}", SessionTickets::new(&[7; 32])), "Tickets");
    }
}
