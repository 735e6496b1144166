//! Passwords of operators as argon2id hashes.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{ARGON2ID_IDENT, Argon2, Params};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::types::Secret;
use crate::types::limits::{PASSWORD_MEMORY_MAX, PASSWORD_PASSES_MAX};

/// Bytes of a salt, as RFC 9106 §3.1 recommends.
const SALT_BYTES: usize = 16;

/// Returns the hash of a password with a random salt. `None` if the system has no random numbers.
#[must_use]
pub fn hash_password(password: &str) -> Option<Secret> {
    let mut salt = [0; SALT_BYTES];
    if getrandom(&mut salt, GetRandomFlags::empty()) != Ok(SALT_BYTES) {
        return None;
    }
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).ok()?;
    Some(Secret::new(hash.to_string()))
}

/// Checks a password. It takes tens of milliseconds and some megabytes, as the hash says.
#[must_use]
pub fn is_password(password: &str, hash: &Secret) -> bool {
    let verifier = Argon2::default();
    PasswordHash::new(hash.expose())
        .is_ok_and(|hash| verifier.verify_password(password.as_bytes(), &hash).is_ok())
}

/// Checks the form of a hash, and what its check would cost.
///
/// # Errors
///
/// What is wrong.
pub(super) fn check_hash(text: &str) -> Result<(), &'static str> {
    let hash = PasswordHash::new(text).map_err(|_| "is not an argon2id hash")?;
    if hash.algorithm != ARGON2ID_IDENT || hash.hash.is_none() || hash.salt.is_none() {
        return Err("is not an argon2id hash");
    }
    let params = Params::try_from(&hash).map_err(|_| "is not an argon2id hash")?;
    if params.m_cost() > PASSWORD_MEMORY_MAX || params.t_cost() > PASSWORD_PASSES_MAX {
        return Err("needs more than 256 MiB of memory or 16 passes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_fits_its_password_and_no_other() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "OWASP's choice");
        assert_eq!(check_hash(hash.expose()), Ok(()));
        assert!(is_password("correct horse", &hash) && !is_password("correct horse ", &hash));
        assert!(!is_password("x", &Secret::new("x".to_owned())));
        assert_ne!(hash_password("correct horse").unwrap(), hash);
    }
}
