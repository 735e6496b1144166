//! Signed UUIDs: what a client is given can be handed to a backend and back, and cannot be forged.
//!
//! The form is that of phpWebSocketServer since 2026-08: the 36 characters of a version 4 UUID, a
//! dot, and the HMAC-SHA256 of those characters in lower-case hexadecimal.

mod recent;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use self::recent::Recent;
use crate::types::ClientUuid;

const PLAIN_CHARACTERS: usize = 36;
const SIGNATURE_CHARACTERS: usize = 64;

/// How a client's UUID looks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UuidForm {
    /// 101 characters, with a signature.
    Signed,
    /// 36 characters, for applications that keep it in a `CHAR(36)`: whoever guesses one can
    /// address its client.
    Plain,
}

/// Writes and reads UUIDs under the server's key.
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
    /// A signer under a key that all workers share.
    #[must_use]
    pub fn new(key: &[u8; 32], form: UuidForm) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let keyed = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
        Self { keyed, form, recent: Recent::default() }
    }

    /// The text that a client is given.
    #[must_use]
    pub fn text(&self, uuid: ClientUuid) -> String {
        let plain = uuid.text();
        match self.form {
            UuidForm::Plain => plain,
            UuidForm::Signed => {
                let signature = self.signature(uuid, plain.as_bytes());
                format!("{plain}.{}", str::from_utf8(&signature).unwrap_or_default())
            }
        }
    }

    /// The UUID in a text that this server once gave out; a forged one is nobody's.
    #[must_use]
    pub fn verify(&self, text: &str) -> Option<ClientUuid> {
        let (plain, signature) = match self.form {
            UuidForm::Plain => (text, None),
            UuidForm::Signed => text.split_once('.').map(|(plain, rest)| (plain, Some(rest)))?,
        };
        if plain.len() != PLAIN_CHARACTERS {
            return None;
        }
        let parsed = uuid::Uuid::try_parse(plain).ok()?;
        // Only the form that was given out: upper case would be a second name for one client.
        let mut canonical = [0; PLAIN_CHARACTERS];
        if parsed.hyphenated().encode_lower(&mut canonical) != plain {
            return None;
        }
        let uuid = ClientUuid(parsed.into_bytes());
        let is_genuine = signature.is_none_or(|signature| {
            let genuine = self.signature(uuid, plain.as_bytes());
            is_same(&genuine, signature.as_bytes())
        });
        is_genuine.then_some(uuid)
    }

    /// A backend reports to one page many times over: a signature that was made lately is not made
    /// again, which was a quarter of what such a message cost.
    fn signature(&self, uuid: ClientUuid, plain: &[u8]) -> Signature {
        self.recent.get_or_insert_with(uuid, || self.sign(plain))
    }

    fn sign(&self, plain: &[u8]) -> Signature {
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

/// Compares in a time that says nothing about where they differ; by words, because by bytes it was
/// a twelfth of what a feedback cost.
fn is_same(genuine: &Signature, shown: &[u8]) -> bool {
    let (Ok(shown), (genuine, _)) =
        (shown.try_into() as Result<&Signature, _>, genuine.as_chunks())
    else {
        return false;
    };
    let (shown, _) = shown.as_chunks();
    let words = genuine.iter().zip(shown);
    let same =
        words.map(|(one, other)| u64::from_le_bytes(*one).ct_eq(&u64::from_le_bytes(*other)));
    same.fold(Choice::from(1), |all, one| all & one).into()
}

/// The HMAC-SHA256 of a UUID's characters, in lower-case hexadecimal.
type Signature = [u8; SIGNATURE_CHARACTERS];

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
    fn what_was_given_out_is_recognised_under_the_same_key_only() {
        let text = signer(1, UuidForm::Signed).text(UUID);
        assert_eq!(text.len(), 101);
        assert!(text.starts_with("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11."));
        assert_eq!(signer(1, UuidForm::Signed).verify(&text), Some(UUID));
        assert_eq!(signer(2, UuidForm::Signed).verify(&text), None);
    }

    #[test]
    fn a_forged_one_is_nobodys() {
        let signer = signer(1, UuidForm::Signed);
        let text = signer.text(UUID);
        let other = text.replacen('a', "b", 1);
        for forged in ["", ".", &text[..36], &text[..100], &text.to_uppercase(), &other] {
            assert_eq!(signer.verify(forged), None, "{forged}");
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

    /// RFC 4231 §4.2, so that the signature is what any HMAC-SHA256 says.
    #[test]
    fn the_signature_is_hmac_sha256_in_hexadecimal() {
        let keyed = Hmac::new_from_slice(&[0x0b; 20]).unwrap();
        let signer = Signer { keyed, form: UuidForm::Signed, recent: Recent::default() };
        let text = signer.sign(b"Hi There");
        assert_eq!(
            str::from_utf8(&text),
            Ok("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        );
    }
}
