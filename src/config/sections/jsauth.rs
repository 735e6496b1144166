//! `[jsauth]`: pages must have a PHP session, as phpWebSocketServer can require.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::auth::php_session::Truth;
use crate::config::diagnostic::{Diagnostic, Problem, ValueLocation, visible};
use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, is_absent, switch};

/// The PHP session that a page must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsAuth {
    /// Folder in which PHP stores its sessions.
    pub save_path: PathBuf,
    /// Cookie with the session id.
    pub cookie_name: String,
    /// Session entry that permits the connection.
    pub key: String,
    /// Values of the entry that permit the connection.
    pub truth: Truth,
}

const SECTION: &str = "jsauth";

/// Reads the section. Returns None if no session is required.
pub(in crate::config) fn read(given: &mut ConfigLayers<'_>, folder: &Path) -> Option<JsAuth> {
    let is_required = given.or_default(SECTION, "require", switch);
    let truth = given.read(SECTION, "truth", choice).unwrap_or(Truth::Php);
    let cookie_name = given.or_default(SECTION, "cookieName", cookie_name);
    if !is_required {
        return None;
    }
    let before = given.faults();
    let save_path = given.read(SECTION, "ssp", |text| save_path(text, folder)).flatten();
    let key = given.read(SECTION, "key", key).flatten();
    let missing = match (save_path, key) {
        (Some(save_path), Some(key)) => {
            warn_of_other_sites(given);
            return Some(JsAuth { save_path, cookie_name, key, truth });
        }
        (None, None) => "ssp and key",
        (None, Some(_)) => "ssp",
        (Some(_), None) => "key",
    };
    // An invalid value was already reported.
    if given.faults() == before {
        let what = format!("needs {missing}; without it no client could connect");
        let right = "set `ssp` to the folder of PHP's sessions (session_save_path()) and `key` to \
            the session entry that admits a page, or `require = off`";
        let place = given.place(SECTION, "require").unwrap_or(ValueLocation::Default);
        given.find_fault(place, "require", Problem::new(what, right));
    }
    None
}

/// Warns about other sites: a browser sends the cookie with every page that opens a connection.
fn warn_of_other_sites(given: &mut ConfigLayers<'_>) {
    if given.place("", "allowedOrigins").is_some() {
        return;
    }
    let what = "is on, and pages of every other site may connect with the visitor's session";
    let fault = Problem::new(what, "name the site's own pages in allowedOrigins");
    let place = given.place(SECTION, "require").unwrap_or(ValueLocation::Default);
    given.take_read(Vec::new(), vec![Diagnostic::new(place, "require", fault)]);
}

/// Parses the folder. A missing folder is an error, because then no page could connect.
fn save_path(text: &str, folder: &Path) -> Result<Option<PathBuf>, Problem> {
    let right = "name the folder that session_save_path() returns in the site's PHP";
    if is_absent(text) {
        return Ok(None);
    }
    filled_in(text, right)?;
    let path = folder.join(text.trim());
    match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => Ok(Some(path)),
        Ok(_) => Err(Problem::new("is not a folder", right)),
        Err(error) => Err(Problem::new(format!("cannot be read: {error}"), right)),
    }
}

fn key(text: &str) -> Result<Option<String>, Problem> {
    if is_absent(text) {
        return Ok(None);
    }
    let right = "name the entry that the site sets: $_SESSION['…'] = true";
    filled_in(text, right)?;
    let key = text.trim();
    if key.contains('|') {
        return Err(Problem::new("contains |, which is not possible in a session key", right));
    }
    Ok(Some(key.to_owned()))
}

/// Rejects placeholders such as `__SESSIONSAVEPATH__`, which the installer of phpWebSocketServer
/// should have replaced.
fn filled_in(text: &str, right: &str) -> Result<(), Problem> {
    let is_placeholder = text
        .trim()
        .strip_prefix("__")
        .and_then(|rest| rest.split_once("__"))
        .is_some_and(|(name, _)| !name.is_empty());
    if is_placeholder {
        return Err(Problem::new("is a placeholder that has not been filled in", right));
    }
    Ok(())
}

fn cookie_name(text: &str) -> Result<String, Problem> {
    let name = text.trim();
    let is_letter = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_letter) {
        return Ok(name.to_owned());
    }
    let what = format!("`{}` cannot be the name of a cookie", visible(name));
    Err(Problem::new(what, "use the one that session_name() returns in the site's PHP"))
}
