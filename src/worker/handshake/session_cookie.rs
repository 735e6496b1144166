//! Session check of `[jsauth]`: a page needs a PHP session.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::auth::AuthBasis;
use crate::auth::php_session::{Truth, flag};
use crate::config::JsAuth;
use crate::http::{Upgrade, cookie_value};

/// Largest session file. It bounds the bytes that one handshake reads.
const SESSION_BYTES_MAX: u64 = 1024 * 1024;
/// Longest session id that PHP generates.
const ID_BYTES_MAX: usize = 256;

/// The text does not tell which part is missing, because that would help an attacker to guess.
const NO_SESSION: &str = "no session of this site lets this page in";

/// Check that a handshake must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum RequiredCheck {
    /// A PHP session.
    Session,
    /// An address in `allowedIP`, which is checked elsewhere. Scripts have no cookies.
    Address,
}

/// Checks that a page has a PHP session whose flag is set.
#[derive(Debug)]
pub(in crate::worker) struct SessionCheck {
    folder: PathBuf,
    cookie: String,
    key: String,
    truth: Truth,
}

impl SessionCheck {
    pub(in crate::worker) fn new(jsauth: &JsAuth) -> Self {
        let JsAuth { save_path, cookie_name, key, truth } = jsauth.clone();
        Self { folder: save_path, cookie: cookie_name, key, truth }
    }

    /// Decides about a handshake. A client that has shown an application's secret or a token needs no
    /// session.
    pub(in crate::worker) fn admit(
        &self,
        upgrade: &Upgrade<'_>,
        check: RequiredCheck,
        basis: AuthBasis,
    ) -> Result<(), &'static str> {
        if check == RequiredCheck::Address || basis.is_proven() || basis.is_of_token() {
            return Ok(());
        }
        let id = self.session_id(upgrade.head.headers("Cookie"));
        let session = id.and_then(|id| self.read(&id).ok());
        let flag = session.and_then(|session| flag(&session, &self.key));
        let is_yes = flag.is_some_and(|flag| flag.is_yes(self.truth));
        if is_yes { Ok(()) } else { Err(NO_SESSION) }
    }

    /// Reads the session id. The first of several cookies with this name counts, and its value is
    /// decoded, as in PHP.
    fn session_id<'a>(&self, mut headers: impl Iterator<Item = &'a [u8]>) -> Option<Cow<'a, str>> {
        let of_header = |header: &'a [u8]| {
            let mut cookies = header.split(|byte| *byte == b';').filter_map(pair);
            cookies.find(|(name, _)| *name == self.cookie.as_bytes()).map(|(_, id)| id)
        };
        let id = match cookie_value(headers.find_map(of_header)?) {
            Cow::Borrowed(id) => Cow::Borrowed(str::from_utf8(id).ok()?),
            Cow::Owned(id) => Cow::Owned(String::from_utf8(id).ok()?),
        };
        is_id(&id).then_some(id)
    }

    /// Reads a session file. It does not follow links and does not block on a pipe or a device,
    /// which an attacker may have put in place of the file.
    fn read(&self, id: &str) -> io::Result<Vec<u8>> {
        let path = self.folder.join(format!("sess_{id}"));
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(openat(CWD, path, flags, Mode::empty())?);
        let found = file.metadata()?;
        if !found.is_file() || found.len() > SESSION_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        file.take(SESSION_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Splits a cookie into name and value. Other cookies may contain any bytes.
pub(super) fn pair(cookie: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = cookie.split_at_checked(cookie.iter().position(|byte| *byte == b'=')?)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

/// Checks the characters of a PHP session id. They cannot form a path to another folder.
fn is_id(id: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b',' || byte == b'-';
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(headers: &[&(impl AsRef<[u8]> + ?Sized)]) -> Option<String> {
        let check = SessionCheck {
            folder: PathBuf::new(),
            cookie: "PHPSESSID".to_owned(),
            key: "allow".to_owned(),
            truth: Truth::Php,
        };
        check.session_id(headers.iter().map(|header| (*header).as_ref())).map(Cow::into_owned)
    }

    #[test]
    fn the_cookie_is_found_by_its_whole_name() {
        assert_eq!(id(&["a=b; PHPSESSID=ok1; c=d"]), Some("ok1".to_owned()));
        assert_eq!(id(&["a=b", "PHPSESSID=ok,-2"]), Some("ok,-2".to_owned()));
        assert_eq!(id(&["PHPSESSID=one; PHPSESSID=two"]), Some("one".to_owned()));
        for other in ["my-PHPSESSID=ok1", "phpsessid=ok1", "PHPSESSID", "a=PHPSESSID=ok1", ""] {
            assert_eq!(id(&[other]), None, "{other}");
        }
    }

    #[test]
    fn an_id_is_decoded_once_as_php_decodes_it() {
        for (sent, read) in
            [("ab%2Ccd-EF12", "ab,cd-EF12"), ("a%2cb", "a,b"), ("%61b", "ab"), ("a%2Db", "a-b")]
        {
            assert_eq!(id(&[&format!("PHPSESSID={sent}")]), Some(read.to_owned()));
        }
        for bad in ["a%252Cb", "a+b", "%2E%2E", "a%2Fb", "a%00", "a%ff", "%", "a%2", "%20ok1"] {
            assert_eq!(id(&[&format!("PHPSESSID={bad}")]), None, "{bad}");
        }
        // The name is not decoded; PHP stopped doing that in 2020.
        assert_eq!(id(&["PHP%53ESSID=ok1"]), None);
    }

    #[test]
    fn bytes_of_other_cookies_do_not_matter() {
        for header in [&b"name=Jos\xE9; PHPSESSID=ok1"[..], b"\xFF; PHPSESSID=ok1; \xE9=\xE9"] {
            assert_eq!(id(&[header]), Some("ok1".to_owned()), "{header:?}");
        }
        assert_eq!(id(&[&b"PHPSESSID=ok\xE9"[..]]), None);
    }

    #[test]
    fn an_id_never_leads_out_of_the_folder() {
        for bad in ["../x", "a/b", "..", "", ".", "a.b", "a%2fb", "é", "\u{fffd}", "a b", "\"a\""]
        {
            assert_eq!(id(&[&format!("PHPSESSID={bad}")]), None, "{bad}");
        }
        let longest = "a".repeat(256);
        assert_eq!(id(&[&format!("PHPSESSID={longest}")]), Some(longest.clone()));
        assert_eq!(id(&[&format!("PHPSESSID={longest}a")]), None);
    }
}
