//! Reads the keys of tokens that are in files, variables and secrets of the application, and checks them.

use std::path::{Path, PathBuf};

use super::secret_sources::text_of;
use super::secrets::SecretSource;
use super::tokens::{NamedTokenKey, TokenKeySource};
use super::{Read, SecretReading, beside};
use crate::auth::{Application, TokenKey, TokenKeyMaterial};
use crate::config::diagnostic::{Diagnostic, Problem, ValueLocation, visible};
use crate::config::file_permissions::{self, Keep};
use crate::config::{UnreadFile, read};
use crate::types::limits::TOKEN_SECRET_BYTES_MIN;

/// Puts the keys into the applications, and reports those that cannot be used. The secrets of the
/// applications must have been read.
pub(super) fn take(
    found: &mut Read,
    path: &Path,
    named: &[NamedTokenKey],
    with: SecretReading<'_>,
) {
    for NamedTokenKey { application, at, line, subject, source } in named {
        let place = || ValueLocation::Line(path.to_owned(), *line);
        let mut list = found.applications.iter_mut().flat_map(|all| &mut all.list);
        let Some(application) = list.nth(*application) else { continue };
        if let Err(fault) = fill(application, *at, path, source, with) {
            found.findings.push(Diagnostic::new(place(), subject, fault));
        }
        if let Some((file, keep)) = file_of(source) {
            found.warnings.extend(file_permissions::of(&beside(path, file), keep));
        }
    }
    if !found.findings.is_empty() {
        found.applications = None;
    }
}

/// Returns the files that have keys, including missing ones.
pub(super) fn files(path: &Path, named: &[NamedTokenKey]) -> Vec<PathBuf> {
    named.iter().filter_map(|one| Some(beside(path, file_of(&one.source)?.0))).collect()
}

fn file_of(source: &TokenKeySource) -> Option<(&Path, Keep)> {
    match source {
        TokenKeySource::Public(file) => Some((file, Keep::FromWriters)),
        TokenKeySource::Secret(SecretSource::File(file)) => Some((file, Keep::FromReaders)),
        TokenKeySource::Secret(_) | TokenKeySource::SecretOf(_) => None,
    }
}

/// Puts one key into its application.
fn fill(
    application: &mut Application,
    at: usize,
    path: &Path,
    source: &TokenKeySource,
    with: SecretReading<'_>,
) -> Result<(), Problem> {
    let (mut material, mut expires) = (None, None);
    match source {
        TokenKeySource::SecretOf(id) => {
            let Some(one) = application.secrets.iter().find(|one| one.id == *id) else {
                let ids: Vec<&str> =
                    application.secrets.iter().map(|one| one.id.as_str()).collect();
                let what = format!("`{}` is the id of no secret of the application", visible(id));
                return Err(Problem::new(what, format!("its secrets are {}", ids.join(", "))));
            };
            material = Some(TokenKeyMaterial::Secret(one.secret.clone()));
            expires = one.expires;
        }
        TokenKeySource::Secret(source) => {
            material = text_of(path, source, with)?.map(TokenKeyMaterial::Secret);
        }
        TokenKeySource::Public(_) => {}
    }
    let mut keys = application.tokens.iter_mut().flat_map(|tokens| &mut tokens.keys);
    let Some(key) = keys.nth(at) else { return Ok(()) };
    if let TokenKeySource::Public(file) = source {
        material = Some(public_key(path, file, key)?);
    }
    if let Some(material) = material {
        key.material = material;
    }
    key.expires = expires;
    if key.material.is_long_enough() {
        return Ok(());
    }
    // RFC 7518 §3.2: the key is at least as long as the hash.
    let what = format!("has fewer than {TOKEN_SECRET_BYTES_MIN} bytes, which HS256 needs");
    Err(Problem::new(what, "use a long random one: tagcast app rotate"))
}

fn public_key(path: &Path, file: &Path, key: &TokenKey) -> Result<TokenKeyMaterial, Problem> {
    let shown = visible(&file.to_string_lossy());
    let text = read(&beside(path, file)).map_err(|unread| {
        let fault = unread.fault();
        let right = match unread {
            UnreadFile::Absent => {
                "name one that exists; a relative path starts at this file's folder"
            }
            _ => &fault.right,
        };
        Problem::new(format!("the file `{shown}`: {}", fault.what), right)
    })?;
    TokenKeyMaterial::public(key.algorithm, &text).map_err(|invalid| {
        let what = format!("the file `{shown}` {invalid}");
        Problem::new(what, format!("write {}", guide(key)))
    })
}

/// Returns how a key of an algorithm is made.
fn guide(key: &TokenKey) -> &'static str {
    match key.algorithm {
        crate::auth::TokenAlgorithm::EdDsa => {
            "it with `openssl genpkey -algorithm ed25519 -out private.pem` and `openssl pkey -in private.pem \
             -pubout -out public.pem`"
        }
        _ => {
            "it with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out private.pem` and \
             `openssl pkey -in private.pem -pubout -out public.pem`"
        }
    }
}
