//! Signed UUIDs. A client can pass its UUID to a backend and back, and a forged one is detected.
//!
//! The format is that of phpWebSocketServer since 2026-08: the 36 characters of a version 4 UUID, a
//! dot, and the HMAC-SHA256 of those characters in lower-case hexadecimal.

use std::cell::RefCell;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::types::{ClientUuid, word_choices};

const PLAIN_CHARACTERS: usize = 36;
const SIGNATURE_CHARACTERS: usize = 64;

type Plain = [u8; PLAIN_CHARACTERS];
type Signature = [u8; SIGNATURE_CHARACTERS];

word_choices! {
    /// Format of client UUIDs in messages.
    UuidForm {
        /// 101 characters including a signature.
        Signed = "signed",
        /// 36 characters, for applications that store it in a `CHAR(36)`. A sender that guesses a
        /// UUID can address its client.
        Plain = "plain",
    }
}

/// Signs and verifies UUIDs with the server's key.
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha256>,
    form: UuidForm,
    recent: Recent,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("form", &self.form).finish_non_exhaustive()
    }
}

impl Signer {
    /// Creates a signer with a key that all workers share.
    #[must_use]
    pub fn new(key: &[u8; 32], form: UuidForm) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let keyed = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
        Self { keyed, form, recent: Recent::default() }
    }

    /// Returns true if UUIDs carry a signature.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.form == UuidForm::Signed
    }

    /// Returns the text that the client receives.
    #[must_use]
    pub fn text(&self, uuid: ClientUuid) -> String {
        let plain = uuid.text();
        match self.form {
            UuidForm::Plain => plain,
            UuidForm::Signed => {
                let signature = self.signature(plain.as_bytes());
                format!("{plain}.{}", str::from_utf8(&signature).unwrap_or_default())
            }
        }
    }

    /// Returns the UUID in a text that this server issued. `None` if it is forged.
    #[must_use]
    pub fn verify(&self, text: &str) -> Option<ClientUuid> {
        match self.form {
            UuidForm::Plain => read(text.as_bytes().try_into().ok()?),
            UuidForm::Signed => self.verified(text.as_bytes()),
        }
    }

    fn verified(&self, text: &[u8]) -> Option<ClientUuid> {
        let (plain, rest) = text.split_first_chunk()?;
        let signature = rest.strip_prefix(b".")?.try_into().ok()?;
        self.recent.find(plain, signature).or_else(|| {
            let is_genuine = is_same(&self.signature(plain), signature);
            let uuid = read(plain).filter(|_| is_genuine)?;
            self.recent.keep(Genuine { plain: *plain, signature: *signature, uuid });
            Some(uuid)
        })
    }

    fn signature(&self, plain: &[u8]) -> Signature {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut mac = self.keyed.clone();
        mac.update(plain);
        let mut text = [0; SIGNATURE_CHARACTERS];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(mac.finalize().into_bytes())
        {
            #[expect(clippy::indexing_slicing, reason = "four bits index sixteen digits")]
            let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            *pair = digits;
        }
        text
    }
}

/// Parses the issued spelling only. Upper case would be a second name for the same client.
fn read(plain: &Plain) -> Option<ClientUuid> {
    let uuid = uuid::Uuid::try_parse_ascii(plain).ok()?;
    let mut given_out = uuid::Uuid::encode_buffer();
    let is_it = uuid.hyphenated().encode_lower(&mut given_out).as_bytes() == plain;
    is_it.then(|| ClientUuid(uuid.into_bytes()))
}

/// Compares in constant time, eight characters per step.
fn is_same(one: &Signature, other: &Signature) -> bool {
    let words = one.as_chunks().0.iter().zip(other.as_chunks().0);
    let same = words.fold(Choice::from(1), |same, (one, other)| {
        same & u64::from_ne_bytes(*one).ct_eq(&u64::from_ne_bytes(*other))
    });
    same.into()
}

/// Recently verified texts. A publisher often addresses the same clients again. Without processor
/// support a signature takes a microsecond, which is more than the rest of the work for a feedback.
///
/// The time of a lookup can reveal which UUIDs are cached, but not their signatures, and a UUID
/// without its signature addresses no client.
#[derive(Clone, Default)]
struct Recent(RefCell<Vec<Option<Genuine>>>);

/// Size of the cache: 30 KiB, allocated with the first entry.
const RECENT_MAX: usize = 256;

#[derive(Clone, Copy)]
struct Genuine {
    plain: Plain,
    signature: Signature,
    uuid: ClientUuid,
}

impl Recent {
    fn find(&self, plain: &Plain, signature: &Signature) -> Option<ClientUuid> {
        let kept = self.0.borrow();
        let known = kept.get(place(plain))?.as_ref().filter(|known| known.plain == *plain)?;
        is_same(&known.signature, signature).then_some(known.uuid)
    }

    /// Stores an entry and replaces the one in its place.
    fn keep(&self, genuine: Genuine) {
        let mut kept = self.0.borrow_mut();
        if kept.is_empty() {
            kept.resize(RECENT_MAX, None);
        }
        if let Some(at) = kept.get_mut(place(&genuine.plain)) {
            *at = Some(genuine);
        }
    }
}

/// Returns the cache index of a UUID. It multiplies the first four characters, which are random, by
/// the golden ratio; that distributes the eight bits of the index evenly.
fn place(plain: &Plain) -> usize {
    let [a, b, c, d, ..] = *plain;
    (u32::from_ne_bytes([a, b, c, d]).wrapping_mul(0x9E37_79B1) >> 24) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: ClientUuid = ClientUuid([
        0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a,
        0x11,
    ]);

    fn signer(byte: u8, form: UuidForm) -> Signer {
        Signer::new(&[byte; 32], form)
    }

    #[test]
    fn an_issued_uuid_is_recognised_only_with_the_same_key() {
        let text = signer(1, UuidForm::Signed).text(UUID);
        assert_eq!(text.len(), 101);
        assert!(text.starts_with("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11."));
        assert_eq!(signer(1, UuidForm::Signed).verify(&text), Some(UUID));
        assert_eq!(signer(2, UuidForm::Signed).verify(&text), None);
    }

    #[test]
    fn a_forged_uuid_is_rejected() {
        let signer = signer(1, UuidForm::Signed);
        let text = signer.text(UUID);
        let other = text.replacen('a', "b", 1);
        for forged in ["", ".", &text[..36], &text[..100], &text.to_uppercase(), &other] {
            assert_eq!(signer.verify(forged), None, "{forged}");
        }
    }

    #[test]
    fn what_was_found_genuine_once_lends_nothing_to_a_forged_one() {
        let signer = signer(1, UuidForm::Signed);
        let uuids: Vec<_> = (0..2_000_u64).map(|n| uuid::Uuid::from_u64_pair(n << 40, n)).collect();
        let texts: Vec<_> =
            uuids.iter().map(|uuid| signer.text(ClientUuid(uuid.into_bytes()))).collect();
        for _ in 0..2 {
            for (uuid, text) in uuids.iter().zip(&texts) {
                assert_eq!(signer.verify(text), Some(ClientUuid(uuid.into_bytes())));
                let forged = text.replace(|last: char| last.is_ascii_digit(), "7");
                assert_eq!(signer.verify(&forged), None);
                let (plain, _) = text.split_at(PLAIN_CHARACTERS + 1);
                assert_eq!(signer.verify(&format!("{plain}{}", "a".repeat(64))), None);
                assert_eq!(signer.verify(text), Some(ClientUuid(uuid.into_bytes())));
            }
        }
    }

    #[test]
    fn a_plain_one_has_36_characters() {
        let signer = signer(1, UuidForm::Plain);
        assert_eq!(signer.text(UUID), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        assert_eq!(signer.verify(&signer.text(UUID)), Some(UUID));
        assert_eq!(signer.verify("a0eebc999c0b4ef8bb6d6bb9bd380a11"), None);
        assert_eq!(signer.verify("A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11"), None);
    }

    /// RFC 4231 §4.2: proves that the signature is a standard HMAC-SHA256.
    #[test]
    fn the_signature_is_hmac_sha256_in_hexadecimal() {
        let signer = Signer {
            keyed: Hmac::new_from_slice(&[0x0b; 20]).unwrap(),
            ..signer(1, UuidForm::Signed)
        };
        let text = signer.signature(b"Hi There");
        assert_eq!(
            str::from_utf8(&text),
            Ok("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        );
    }
}
